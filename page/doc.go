// Package page renders the status page: one HTML document without script, with a style sheet of its own and charts as
// inline SVG. It knows nothing of HTTP; package site serves it.
//
// Every text in it that others chose (labels, names, DNS data) is cleaned by package plain, cut to a length and escaped;
// lists are folded, and say by how much. A page of 20 containers has some 40 KB, one of 1,000 some 160 KB,
// and one of nothing but the longest texts some 1.2 MB.
package page
