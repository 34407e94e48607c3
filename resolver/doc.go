// Package resolver knows which addresses a name means now.
//
// The cache is pure: time is an argument. Asking (A and AAAA, udp with tcp fallback) and finding the
// resolvers the containers use are the IO around it. It is the one place that sees dns.Msg.
//
//	Want(names) ─> Cache.Due ─> ask ─> Answer, Failure ─> Cache ─> kick ─> Names
//	resolv.conf, systemd-resolved, daemon.json, settings ─> Discover ─> Servers ─┘
//
// An address lives clamp(TTL, 5 min, 24 h) after the last answer that had it; an answer extends a lifetime and
// never shortens it. A name is asked again after clamp(TTL/2, 30 s, 15 min). Failures keep what is
// known until five in a row and the lifetime's end. Only addresses whose owner is reachable from the question
// through CNAMEs and DNAMEs count. Which of them may be opened at all is Guard's to say.
package resolver
