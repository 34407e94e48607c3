// Package reconcile turns what Docker says into the table that nf_tables holds.
//
//	Docker events ─┐
//	names, expiries ┼─> Kick ─> State ─> Build ─> nft.Ruleset ─> Kernel.Apply
//	foreign changes ┤
//	timer ─────────┘
//
// It is the one place where the domains meet. [Build] is pure and total: a bad label is data, which
// fences its container harder and leaves the others alone. The [Loop] is level-triggered: a kick
// carries nothing, kicks merge, and each run builds the whole ruleset again from the whole state; what
// a commit costs is what changed, because package nft sends the difference.
package reconcile
