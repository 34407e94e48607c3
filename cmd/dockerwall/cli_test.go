package main

import (
	"errors"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dockerwall": main})
}

// TestCommandLine runs what needs neither a kernel nor an Engine: testdata/script.
func TestCommandLine(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"exitcode": exitsWith,
	}})
}

// exitsWith is "exitcode CODE PROGRAM ARGS...", which must print nothing on stdout.
func exitsWith(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode code program args...")
	}
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if code := args[0]; !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != code {
		ts.Fatalf("ended with %v, want exit code %s", err, code)
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("stdout: %s", out)
	}
}
