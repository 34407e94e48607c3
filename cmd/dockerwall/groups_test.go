package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGroupsCommand(t *testing.T) {
	dir := t.TempDir()
	text := "groups:\n  payments: [api.example.com:443, \"*.example.org\"]\n  npm: npm.example.com\n"
	if err := os.WriteFile(filepath.Join(dir, "10-shop.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "20-bad.yaml"), []byte("groups: [a]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	bad := "dockerwall: 20-bad.yaml:1:9: error: this is a list (nothing of this file counts); write names of groups and what each holds\n"
	tests := map[string]struct {
		args      []string
		code      int
		out, said string // out begins with
	}{
		"one of a file":                {[]string{"payments"}, exitOK, "@payments\n  where    10-shop.yaml:2\n  holds    api.example.com:443\n           *.example.org\n", bad},
		"one in place of a shipped":    {[]string{"@npm"}, exitOK, "@npm\n  where    10-shop.yaml:3, in place of the shipped one\n  holds    npm.example.com\n", bad},
		"a shipped one, in any case":   {[]string{"@PyPI"}, exitOK, "@pypi\n  where    shipped, of 20", bad},
		"one for programs":             {[]string{"payments", "-o=jsonl"}, exitOK, `{"apiVersion":"v1","kind":"Group","spec":{"name":"payments","file":"10-shop.yaml","line":2,"tokens":["api.example.com:443","*.example.org"]}}` + "\n", bad},
		"all, as YAML":                 {[]string{"-o=yaml"}, exitOK, "apiVersion: v1\nkind: Groups\nspec:\n  - name: alpine-apk\n", bad},
		"all":                          {nil, exitOK, "GROUP          WHERE", bad},
		"one that is not there":        {[]string{"ads"}, exitFailure, "", bad + "dockerwall: there is no group \"ads\"; `dockerwall groups` lists those there are\n"},
		"shipped ones alone":           {[]string{"--policy-dir=off", "npm"}, exitOK, "@npm\n  where    shipped, of 20", ""},
		"a format that there is not":   {[]string{"-o=xml"}, exitUsage, "", `dockerwall: -o "xml": want table or json or jsonl or yaml` + "\n"},
		"a directory that is not made": {[]string{"--policy-dir=" + dir + "/none", "npm"}, exitOK, "@npm\n", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out, said strings.Builder
			args := append([]string{"groups", "--policy-dir=" + dir, "--state-dir=off"}, tt.args...)
			code := run(t.Context(), streams{out: &out, err: &said}, args)
			if code != tt.code || !strings.HasPrefix(out.String(), tt.out) || tt.out == "" && out.Len() > 0 {
				t.Errorf("exit %d:\n%swant %d:\n%s", code, out.String(), tt.code, tt.out)
			}
			if diff := cmp.Diff(tt.said, said.String()); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
		})
	}
}
