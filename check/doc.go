// Package check finds mistakes in policies before they run: in the text of a label, in a Compose project, in the
// containers of a host. It is pure: what is to be checked comes in, findings come out.
//
// What a label means is decided by package policy, what of a container no hook sees by package reconcile; their problems
// become findings in the same words. This package adds where they stand in a file, and what is understood and counts but
// may not be what was meant.
package check
