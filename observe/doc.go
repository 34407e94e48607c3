// Package observe remembers what containers were denied: as it happens, for those who watch, and on disk, for those who
// write policies later.
//
//	kernel's counters and records ─┐
//	nflog (at once, with a reason) ┴─> Ledger ─> Denial ─┬─> Feed  ─> watch, the status page
//	                                   pure, exact       └─> Store ─> suggest, first seen; a file
//	DNS answers to containers ──────────────────────────────> Store
//
// The counts are the kernel's, nflog only says that it is worth looking, and why packets of nobody we know were denied: so
// neither its limits nor its losses lose a destination. Observations are per container name and image, for a container
// that is created anew is the same to whoever wrote its policy.
package observe
