// Package api is how dockerwall's commands speak to its daemon: HTTP on a unix socket.
//
//	GET  /v1/health  is the fence up, and if not, why: [Health]
//	POST /v1/flush   remove the table and end the daemon
//
// Answers are JSON, errors {"error": "…"}. Who may open the socket may do all of it: it is 0660 and in
// a directory that is 0750. Nothing that changes anything listens anywhere else.
package api
