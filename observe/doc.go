// Package observe remembers what containers were denied, and what they reached: as it happens, for those who watch, and on
// disk, for those who write policies later.
//
//	kernel's counters and records ─┐
//	nflog (at once, with a reason) ┴─> Ledger ─> Denial ─┬─> Feed  ─> watch, the status page
//	                                   pure, exact       └─> Store ─> suggest, first seen; a file
//	DNS answers to containers ──────────────────────────────> Store
//	conntrack, every 25 s ──────────> Contacts ─> Opened ───> Store
//
// The counts are the kernel's, nflog only says that it is worth looking, and why packets of nobody we know were denied: so
// neither its limits nor its losses lose a destination. Observations are per container name and image, for a container
// that is created anew is the same to whoever wrote its policy.
//
// The Store's file is JSON, a line for each subject, written whole at most once a minute: beside the old one, on disk before
// it takes its name. An embedded database would bring more code than the rest of the daemon has, and a log with rotation
// a second form to read; both buy the last minute, which is not lost here: the kernel keeps what it denied for an hour, and
// the file says what of the kernel's counters is in it already, so the next daemon tells the rest, once. What is lost is
// what was denied in the minute before the host itself goes down. A file of 50,000 records has about 10 MB.
package observe
