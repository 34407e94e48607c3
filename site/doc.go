// Package site serves the status page and its JSON twins to people, over TCP and read-only, and decides who may have them.
//
//	/                     the status page; a page with a link to the metrics for those who may not see it
//	/api/v1/status        what `dockerwall status -o json` says
//	/api/v1/denials       the last denials, ?last=N of them, oldest first, one object a line
//	/api/v1/suggestions   what `dockerwall suggest -o json` says
//	/healthz              "ok" or "degraded", for everybody
//
// The page tells of every container, so it is for the host's own: for peers on loopback, and those the operator names. What
// Docker's networks hold never has it, whatever the operator allows. The fence keeps containers from the host as well, but a
// label can open the host to one, and in audit nothing is kept from anything. The Host header is checked, so that a name of a
// stranger that resolves to 127.0.0.1 does not make a browser hand over the page (DNS rebinding).
//
// Nothing here changes anything.
package site
