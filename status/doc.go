// Package status tells the state of the fence and of every container as the API has it:
//
//	reconcile.Outcome ──────────┐
//	the kernel's counters ──────┼─> Take ─> api.Status
//	names and their addresses ──┤   pure
//	what the daemon's parts say ┘
//
// It judges nothing anew: what counts for a container, and why one is not fenced, is package reconcile's to say.
package status
