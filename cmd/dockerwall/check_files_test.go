package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCheckReadsPolicyFiles has check given files, folders and what stands in --policy-dir.
func TestCheckReadsPolicyFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"good/10.yaml":  "groups:\n  pay: api.example.com\npolicies:\n  - match: {project: shop}\n    allow: [\"@pay\", \"@npm\"]\n",
		"good/20.yml":   "policies:\n  - match: {container: \"*\"}\n    deny: \"@pay\"\n",
		"good/notes.md": "no policy",
		"bad/10.yaml":   "policies:\n  - match: {project: shop}\n    alow: www.example.com\n",
		"bad/20.yaml":   "policies:\n  - match: {project: shop}\n    allow: [*.example.com]\n",
		"lost.yaml":     "policies:\n  - match: {project: shop}\n    deny: \"@ads\"\n",
		"twice.yaml":    "groups:\n  ads: b.example.com\n",
		"etc/ads.yaml":  "groups:\n  ads: a.example.com\n",
		"etc/bad.yaml":  "policies: no\n",
		"compose.yml":   "services:\n  a: {image: x, labels: {dockerwall.outbound: \"@pay, @npm, @ads\"}}\n",
		"empty/readme":  "",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const unknown = `define it under "groups" in a file of the directory, or write its destinations themselves; "dockerwall groups" lists those there are`
	const noLabel = `"dockerwall groups" lists those there are; define it under "groups" in a policy file, or write its names themselves [unknown-group]` + "\n"
	const key = "bad/10.yaml:3:5: error: \"alow\" is not known here; write allow, deny, deny-action, match or mode; did you mean allow? [unknown-key]\n"
	const star = "bad/20.yaml:3:13: error: without quotes, YAML does not read \"*.example.com\" as a text; write it in quotation marks, \"*.example.com\" [not-yaml]\n"
	tests := map[string]struct {
		args      []string
		code      int
		out, said string
	}{
		"a folder of good ones":   {[]string{"good"}, exitOK, "", "no errors, no warnings, no notes in 2 policy files\n"},
		"a folder with bad ones":  {[]string{"bad"}, exitFindings, key + star, "2 errors, no warnings, no notes in 2 policy files\n"},
		"as annotations":          {[]string{"bad/10.yaml", "-o=github"}, exitFindings, "::error file=bad/10.yaml,line=3,col=5,title=dockerwall unknown-key::\"alow\" is not known here; write allow, deny, deny-action, match or mode; did you mean allow?\n", "1 error, no warnings, no notes in 1 policy file\n"},
		"a group that is missing": {[]string{"lost.yaml"}, exitFindings, "lost.yaml:3:12: error: \"@ads\": there is no such group; " + unknown + " [unknown-group]\n", "1 error, no warnings, no notes in 1 policy file\n"},
		"one of --policy-dir":     {[]string{"lost.yaml", "--policy-dir=etc"}, exitOK, "", "no errors, no warnings, no notes in 1 policy file\n"},
		"one that is there twice": {[]string{"twice.yaml", "--policy-dir=etc"}, exitFindings, "twice.yaml:2:1: error: \"@ads\": ads.yaml, line 2, defines this group, too; leave one of them out, or give it another name [group-twice]\n", "1 error, no warnings, no notes in 1 policy file\n"},
		"the directory itself":    {[]string{"etc", "--policy-dir=etc"}, exitFindings, "etc/bad.yaml:1:11: error: this is a text; write a list of rules, each with \"- match:\" [wrong-type]\n", "1 error, no warnings, no notes in 2 policy files\n"},
		"labels beside them":      {[]string{"compose.yml", "good"}, exitFindings, "compose.yml:2:60: error: a: dockerwall.outbound at 13, \"@ads\": there is no group \"@ads\"; " + noLabel, "1 error, no warnings, no notes in 1 service and 2 policy files\n"},
		"labels alone":            {[]string{"--policy-dir=etc", "--label=@ads, @npm, @pay"}, exitFindings, "error: dockerwall.outbound at 13, \"@pay\": there is no group \"@pay\"; " + noLabel, "1 error, no warnings, no notes in the label\n"},
		"a folder without any":    {[]string{"empty"}, exitFailure, "", "dockerwall: empty: no policy files (*.yaml or *.yml) are in this directory\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out, said strings.Builder
			code := run(t.Context(), streams{out: &out, err: &said}, append([]string{"check"}, tt.args...))
			if diff := cmp.Diff(tt.out, out.String()); code != tt.code || diff != "" {
				t.Errorf("exit %d, want %d (-want +got):\n%s", code, tt.code, diff)
			}
			if diff := cmp.Diff(tt.said, said.String()); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
		})
	}
}
