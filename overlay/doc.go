// Package overlay holds what an operator changed at run time: tokens and modes of containers, for a while or until the
// container is removed, and whether all of the host is enforced. It survives a restart of the daemon.
package overlay
