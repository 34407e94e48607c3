// Package simulate replays what containers were seen to send against policies that are not in force.
//
//	api.Observations ─> host ─┬─────────────> reconcile.Build ─> Trial ─┐
//	                          └─> Change ───> reconcile.Build ─> Trial ─┴─> Report
//
// There is no second model: both sides are judged by the rulesets that the daemon would commit, as it judges packets itself.
// Names mean the addresses that they were recorded with.
package simulate
