// Package resolver knows which addresses a name means now.
//
// There are two ways to know: asking (A and AAAA, udp with tcp fallback), which is for names that policies spell out, and
// reading the replies that others got, which is for names beneath wildcards, too. It is the one place that sees dns.Msg.
//
//	Want(names) ─> Cache.Due, below.due ─> ask ─> Answer, Failure ─> Cache, below ─> kick ─> Names, Below, Denied, DeniedBelow
//	resolv.conf, systemd-resolved, daemon.json, settings ─> Discover ─> Servers ─┘
//	bytes ─> ReadReply ─> Reply ─> Learn ─> Found: what has to be in the kernel before the reply goes on
//
// Cache (names in full) and below (names beneath wildcards) are pure: time is an argument. Resolver holds one of each behind
// a lock, and Run does the asking. Only addresses whose owner is reachable from the question through CNAMEs and DNAMEs
// count; the addresses of a name on that way are that name's as well.
//
// # Lifetimes
//
// An address lives clamp(TTL, 5 min, 24 h) after the last answer that had it; an answer extends a lifetime and
// never shortens it, and one missing from a newer answer lives out its own. One that a flow goes to (Options.InUse) stays.
// A name in full is asked again after clamp(TTL/2, 30 s, 15 min). Failures keep what is known until five in a row and the
// lifetime's end. Answers to others extend lifetimes; they neither put off nor replace the daemon's own questions, so nobody
// keeps an address by asking for it in a certain way.
//
// A wildcard cannot be asked for. Names learned beneath one are kept warm: asked again when three quarters of a lifetime are
// over, for as long as a container asked within 24 hours, so that a program which resolved a name once still reaches
// it. At most 1024 are; the wildcard that has most of them gives up its coldest.
//
// # Bounds
//
// Whoever owns a zone and a container can have any number of addresses learned. Of one answer 64 a family are taken, a name
// has 256, a wildcard 4096, of which those go first that would lapse first, never what was just heard. One
// wildcard's names take no other's place. Which addresses may be opened at all is Guard's to say.
//
// # Denials
//
// A denied name or wildcard remembers every address it was heard to have, whatever lifetimes, bounds and the guard say, and
// begins with what is known when it becomes wanted, by whichever way. What it could not remember (16,384 addresses of a
// name, 65,536 of a wildcard) makes it unknown, for what is not known cannot be denied. A name in full is known once both
// families were answered whole: not by a truncated reply, nor by hints.
//
// # Names of addresses
//
// What addresses were called in the questions of late, allowed or not, is remembered for people (NamesOf): 3 names of each, in
// two generations of 8192 addresses.
package resolver
