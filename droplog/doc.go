// Package droplog says what was denied.
//
// The kernel hands denied packets to an nflog group; [Reader] turns each into a [Drop]: the prefix of
// the rule that denied it, the packet's addresses and ports, the interfaces. [Log] writes drops down:
// a line for the first packet of a container to a destination, then at most a line a minute with the
// number of repeats. Everything an attacker can choose is bounded and stripped of control bytes.
//
//	rule "log group 32 prefix …" ─> Reader ─> Decode ─> Drop ─> Log ─> slog
//
// What reaches the group is what the rules let through their limits: counts here are of packets seen,
// the exact totals are the kernel's counters (package metrics).
package droplog
