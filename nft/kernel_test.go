package nft

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
)

// namespace is an empty network namespace for one test.
func namespace(t testing.TB) *lab.Namespace { return lab.NamespaceForTest(t) }

func open(t testing.TB, n *lab.Namespace) *Kernel {
	t.Helper()
	k, err := Open(Options{NetNS: n.FD()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

func apply(t testing.TB, k *Kernel, r Ruleset) Report {
	t.Helper()
	report, err := k.Apply(r)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// list is the tables as nft lists them, normalised.
func list(t testing.TB, n *lab.Namespace) string {
	t.Helper()
	text := normalise(lab.Nft(t, n, "", "-s", "list", "table", "inet", TableName))
	if ports := listPorts(t, n); ports != "" {
		text += "\n\n" + portsTableName + "\n\n" + normalise(ports)
	}
	return text
}

// listPorts is table bridge dockerwall as nft lists it, "" if there is none.
func listPorts(t testing.TB, n *lab.Namespace) string {
	t.Helper()
	if !strings.Contains(lab.Nft(t, n, "", "list", "tables", "bridge"), portsTableName) {
		return ""
	}
	return lab.Nft(t, n, "", "-s", "list", "table", "bridge", TableName)
}

var (
	volatile = regexp.MustCompile(`(?m)^\tflags .*\n|^table .*\n|^}\n| ?(counter )?packets \d+ bytes \d+| expires [0-9a-z]+|[ \t]+$`)
	commas   = regexp.MustCompile(`,\s+`)
	elements = regexp.MustCompile(`(?s)elements = \{ (.*?) \}\n`)
)

// normalise leaves out what is not part of a ruleset (flags of the table, counter values, the time an
// element has left) and sorts what has no order: objects, and the elements of a set.
func normalise(text string) string {
	text = volatile.ReplaceAllString(text, "")
	text = elements.ReplaceAllStringFunc(text, func(list string) string {
		inner := elements.FindStringSubmatch(list)[1]
		parts := commas.Split(inner, -1)
		slices.Sort(parts)
		return "elements = " + strings.Join(parts, "\n\t\t\t") + "\n"
	})
	blocks := strings.Split(strings.TrimSpace(text), "\n\n")
	for i := range blocks {
		blocks[i] = strings.TrimSpace(blocks[i])
	}
	slices.Sort(blocks)
	return strings.Join(blocks, "\n\n")
}

// listingOf is what nft lists after loading text.
func listingOf(t testing.TB, text string) string {
	t.Helper()
	n := namespace(t)
	lab.Nft(t, n, text, "-f", "-")
	return list(t, n)
}

func TestTextAndKernelAreEqual(t *testing.T) {
	n := namespace(t)
	r := sample()
	apply(t, open(t, n), r)
	if diff := cmp.Diff(listingOf(t, r.String()), list(t, n)); diff != "" {
		t.Errorf("text loaded by nft (-) and the committed table (+) differ:\n%s", diff)
	}
}

// unwritable is an operation that fails before anything is sent.
type unwritable struct{ addCounter }

func (unwritable) write(*nftables.Conn, *nftables.Table) error {
	return errors.New("cannot be written")
}

func TestABatchThatCannotBeWrittenIsNotSentInPart(t *testing.T) {
	n := namespace(t)
	k := open(t, n)
	apply(t, k, sample())
	before := list(t, n)
	if err := k.commit([]Op{addCounter{"drop_half"}, unwritable{}}); err == nil {
		t.Fatal("committed")
	}
	if diff := cmp.Diff(before, list(t, n)); diff != "" {
		t.Errorf("the table changed:\n%s", diff)
	}
	apply(t, k, Ruleset{LogGroup: 32})
}
