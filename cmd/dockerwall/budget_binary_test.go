package main

import (
	"os"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab/pair"
)

const maxBinary = 18 // MB, of 10⁶ bytes

// TestTheProgramIsSmall fails when something keeps the linker from leaving out what is not called, as html/template and
// text/template do; `go build -ldflags=-dumpdep` names it, as <ReflectMethod>.
func TestTheProgramIsSmall(t *testing.T) {
	if size := binarySize(t); size > maxBinary {
		t.Errorf("%.2f MB, of %d", size, maxBinary)
	}
}

func BenchmarkBudgetBinary(b *testing.B) {
	pair.Figure{Case: "binary size", Unit: "MB", Ours: pair.Samples{binarySize(b)}, Max: maxBinary}.Report(b)
}

func binarySize(tb testing.TB) float64 {
	tb.Helper()
	binary, _ := programs(tb)
	info, err := os.Stat(binary)
	if err != nil {
		tb.Fatal(err)
	}
	return float64(info.Size()) / 1e6
}
