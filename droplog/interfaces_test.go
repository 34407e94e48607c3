package droplog

import (
	"strconv"
	"testing"
	"time"
)

func TestInterfaceNamesAreKeptAndBounded(t *testing.T) {
	asked := 0
	i := interfaces{lookup: func(index uint32) string { asked++; return "eth" + strconv.Itoa(int(index)) }}
	now := time.Unix(1000, 0)
	want := func(what string, index uint32, name string, times int) {
		t.Helper()
		if got := i.name(index, now); got != name || asked != times {
			t.Errorf("%s: got %q after asking %d times, want %q after %d", what, got, asked, name, times)
		}
	}
	want("none", 0, "", 0)
	want("first", 7, "eth7", 1)
	want("again", 7, "eth7", 1)
	now = now.Add(interfacesFor)
	want("a minute later", 7, "eth7", 2)
	for n := range uint32(10 * maxInterfaces) {
		i.name(n+1, now)
	}
	if len(i.names) > maxInterfaces {
		t.Errorf("%d names kept", len(i.names))
	}
}
