package nft

import (
	"fmt"
	"strings"
	"unicode"
)

// String prints the tables in nft(8) syntax: what `nft -f` loads, from nft 1.0.6 on. Table flags,
// counter values and elements that the packet path adds are left out, so that two prints compare.
func (r Ruleset) String() string { return r.Table().String() }

// String prints t; see [Ruleset.String].
func (t Table) String() string {
	var b strings.Builder
	t.print(&b, "inet "+TableName)
	if t.Ports != nil {
		Table{Fragments: t.Ports}.print(&b, portsTableName)
	}
	return b.String()
}

func (t Table) print(b *strings.Builder, name string) {
	fmt.Fprintf(b, "table %s {", name)
	for _, f := range t.Fragments {
		note := func(Rule) string { return "" }
		if f.Who != "" {
			note = notes{f.Who, t}.note
		}
		f.print(b, note)
	}
	b.WriteString("\n}\n")
}

func (f *Fragment) print(b *strings.Builder, note func(Rule) string) {
	if f.Title != "" {
		fmt.Fprintf(b, "\n\t# %s\n", f.Title)
	} else {
		b.WriteString("\n")
	}
	for i, c := range f.Counters {
		separate(b, i)
		fmt.Fprintf(b, "\tcounter %s {\n\t}\n", c)
	}
	for i, s := range f.Sets {
		separate(b, i+len(f.Counters))
		writeSet(b, s)
	}
	for i, c := range f.Chains {
		separate(b, i+len(f.Counters)+len(f.Sets))
		writeChain(b, c, note)
	}
}

func separate(b *strings.Builder, i int) {
	if i > 0 {
		b.WriteString("\n")
	}
}

// writeDefinition writes what of a set cannot change while it lives, each line behind indent.
func writeDefinition(b *strings.Builder, s Set, indent string) {
	types := make([]string, 0, len(s.Types))
	for _, t := range s.Types {
		types = append(types, t.String())
	}
	fmt.Fprintf(b, "%stype %s", indent, strings.Join(types, " . "))
	if s.Verdicts {
		b.WriteString(" : verdict")
	}
	b.WriteString("\n")
	if s.Size > 0 {
		fmt.Fprintf(b, "%ssize %d\n", indent, s.Size)
	}
	if flags := s.flags(); flags != "" {
		fmt.Fprintf(b, "%sflags %s\n", indent, flags)
	}
	if s.Timeout > 0 {
		fmt.Fprintf(b, "%stimeout %s\n", indent, nftDuration(s.Timeout.Seconds()))
	}
	if s.Counter {
		fmt.Fprintf(b, "%scounter\n", indent)
	}
}

func (s Set) flags() string {
	var flags []string
	if s.Dynamic {
		flags = append(flags, "dynamic")
	}
	if s.Timeout > 0 {
		flags = append(flags, "timeout")
	}
	if s.Interval {
		flags = append(flags, "interval")
	}
	return strings.Join(flags, ",")
}

func nftDuration(seconds float64) string {
	if s := int(seconds); s%3600 == 0 {
		return fmt.Sprintf("%dh", s/3600)
	}
	return fmt.Sprintf("%ds", int(seconds))
}

func writeSet(b *strings.Builder, s Set) {
	kind := "set"
	if s.Verdicts {
		kind = "map"
	}
	fmt.Fprintf(b, "\t%s %s {\n", kind, s.Name)
	writeDefinition(b, s, "\t\t")
	// nft takes no empty list of elements.
	for i, e := range s.Elements {
		if i == 0 {
			b.WriteString("\t\telements = { ")
		} else {
			b.WriteString(",\n\t\t\t     ")
		}
		b.WriteString(s.formatElement(e))
	}
	if len(s.Elements) > 0 {
		b.WriteString(" }\n")
	}
	b.WriteString("\t}\n")
}

func (s Set) formatElement(e Element) string {
	first, last := fieldsOf(s.Types, e.Key), fieldsOf(s.Types, e.End)
	parts := make([]string, 0, len(first))
	for i, t := range s.Types {
		if e.End == "" {
			parts = append(parts, t.format(first[i]))
			continue
		}
		parts = append(parts, t.formatRange(first[i], last[i]))
	}
	text := strings.Join(parts, " . ")
	if e.Comment != "" {
		text += fmt.Sprintf(" comment %q", e.Comment)
	}
	if s.Verdicts {
		text += " : " + e.Verdict.String()
	}
	return text
}

func (t keyType) formatRange(first, last string) string {
	switch {
	case first == last:
		return t.format(first)
	case t == typeIPv4 || t == typeIPv6:
		return Range{addrFrom(first), addrFrom(last)}.String()
	}
	return t.format(first) + "-" + t.format(last)
}

func writeChain(b *strings.Builder, c Chain, note func(Rule) string) {
	fmt.Fprintf(b, "\tchain %s {\n", c.Name)
	if c.Hook != NoHook {
		fmt.Fprintf(b, "\t\t%s\n", c.hookText())
	}
	for _, r := range c.Rules {
		fmt.Fprintf(b, "\t\t%s%s\n", r, note(r))
	}
	b.WriteString("\t}\n")
}

// maxComment is the longest comment nft can load, in bytes; the kernel would take 253.
const maxComment = 128

// comment makes text fit for a comment: one line, no quote, no control or format character (nft
// has no escape for them), cut at 128 bytes on a character.
func comment(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r == '"' || r == '\\' || r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	if len(clean) <= maxComment {
		return clean
	}
	cut := maxComment
	for cut > 0 && clean[cut]&0xc0 == 0x80 {
		cut--
	}
	return clean[:cut]
}
