// Package hold keeps DNS replies waiting until what they name is in the kernel.
//
//	rule "queue flags bypass to 5300" ─> Holder ─> Message ─> Learn ─> (committed) ─> verdict: accept
//
// The rules that send replies here are package nft's, see its Tap: they choose whose replies are trusted. Holder reads
// the queue, puts streams of tcp together again, hands whole DNS messages to Learn, and gives every packet the verdict
// accept: at once, when Learn is done with it, or when the limit is over. It never drops one, and never changes one.
//
// DNS goes on without us. With no reader the packets pass (bypass), with a full queue or a reader's full
// socket they pass too (fail-open); only what a daemon had in its hand when it was killed is lost, and asked
// again by its client. What passes unread is denied as a destination until it is asked for again.
//
// Where a kernel has no queue, [Copier] reads copies from an nflog group: the same, but too late for the first packet.
package hold
