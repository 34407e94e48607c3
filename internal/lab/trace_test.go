package lab_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func glob(t *testing.T, patterns ...string) (found []string) {
	t.Helper()
	for _, pattern := range patterns {
		some, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, some...)
	}
	return found
}

// descendants are the processes of this one and those that live in a network namespace of their own making: orphans
// have another parent, but no other test of this package runs meanwhile.
func descendants(t *testing.T) (found []string) {
	t.Helper()
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range glob(t, "/proc/[0-9]*") {
		ns, err := os.Readlink(dir + "/ns/net")
		if err != nil {
			continue // a kernel thread, or gone
		}
		status, _ := os.ReadFile(dir + "/status")
		if strings.Contains(string(status), "\nPPid:\t"+itoa(os.Getpid())+"\n") || (ns != own && ours(dir)) {
			command, _ := os.ReadFile(dir + "/cmdline")
			found = append(found, dir+" "+strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	return found
}

// ours says whether a process was started by this one: it carries a mark in its environment.
func ours(dir string) bool {
	environment, _ := os.ReadFile(dir + "/environ")
	return strings.Contains(string(environment), "DOCKERWALL_LAB_TEST="+itoa(os.Getpid()))
}

func namespaceFiles(t *testing.T) (found []string) {
	t.Helper()
	for _, fd := range glob(t, "/proc/self/fd/*") {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "net:") {
			found = append(found, to)
		}
	}
	return found
}

func TestMain(m *testing.M) {
	_ = os.Setenv("DOCKERWALL_LAB_TEST", itoa(os.Getpid()))
	os.Exit(m.Run())
}
