// Package boot keeps the ruleset that fences a host between its next boot and the first answer of its Engine.
//
//	reconcile.Reboot ─> Saved ─> Keeper ─> <state-dir>/ruleset.json ─> Read ─> reconcile.Resume ─> Kernel.Apply
//
// Whoever writes the file opens the fence, so [Read] takes only what nobody else can have written, and of that only what
// package nft accepts whole. [Encode] and [Decode] are pure.
package boot
