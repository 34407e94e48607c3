// Package doctor says what of a host is well, and what is not, for a fence to stand on it.
//
//	Read ──> Facts ──> Examine ──> Lines
//	 IO     values      pure
//
// A line is about one thing; [Entries] lists them all.
package doctor
