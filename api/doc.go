// Package api is how dockerwall's commands speak to its daemon: HTTP on a unix socket.
//
//	GET  /v1/health                            is the fence up, and if not, why: [Health]
//	GET  /v1/status                            the fence and every container: [Status]
//	GET  /v1/explain?container=C&destination=D what becomes of C's packets to D, and why: [Explanation]
//	GET  /v1/suggestions[?container=C]         what would have to be allowed: [Suggestion], a list
//	GET  /v1/observations[?container=C]        what was seen, and the policies then: [Observations]
//	GET  /v1/denials?last=N&follow=true        a line for each denial, as it happens: [Denial]
//	POST /v1/change                            change something at run time: a [Change], answered with [Changed]
//	POST /v1/flush                             remove the table and end the daemon
//
// Answers are JSON, each in an [Object] that says its version and kind; errors are {"error": "…"}. Who may open the socket
// may do all of it: it is 0660 and in a directory that is 0750, of group [SocketGroup] where there is one. Nothing that changes anything listens anywhere else.
package api
