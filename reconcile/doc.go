// Package reconcile turns what Docker says, and what names mean, into the tables that nf_tables holds.
//
//	Docker events ─┐
//	names, expiries ┼─> Kick ─> State ─┬─> Build ────> nft.Ruleset ─> Kernel.Apply
//	foreign changes ┤                  └─> BuildTap ─> nft.Tap ─────> Kernel.ApplyTap
//	timer ─────────┘
//	DNS answer ─> resolver.Found ─> Learn ─> index ──> nft.Learned ─> Kernel.Learn
//
// It is the one place where the domains meet. [Build] and [BuildTap] are pure and total: a bad label is data, which
// fences its container harder and leaves the others alone. The [Loop] is level-triggered: a kick
// carries nothing, kicks merge, and each run builds the whole ruleset again from the whole state; what
// a commit costs is what changed, because package nft sends the difference.
//
// [Loop.Learn] is the short path: what a DNS answer names goes into the sets that want it while the answer waits. An
// index of the committed policies says which sets those are, and the next run builds the same, since the resolver
// knows the addresses before Learn is told. A run that looks up what names mean and Learn exclude each other until the run
// has committed, so that no run takes away what was learned while it was under way. While the Engine does not answer, the
// last state is built again with what names mean by then. What no committed policy wants waits for a run, and nobody
// for longer than that.
package reconcile
