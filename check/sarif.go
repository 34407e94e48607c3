package check

import (
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
	"strings"
)

// Home is where the rules are explained.
const Home = "https://github.com/dockerwall/dockerwall/blob/main/docs/check.md"

// sarif is a log of SARIF 2.1.0 with one run (OASIS, docs.oasis-open.org/sarif/sarif/v2.1.0); the comments name its
// sections.
type sarif struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct { // 3.14
	Tool       sarifTool     `json:"tool"`
	ColumnKind string        `json:"columnKind"`
	Results    []sarifResult `json:"results"`
}

type sarifTool struct { // 3.18
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct { // 3.19
	Name           string      `json:"name"`
	Version        string      `json:"version,omitempty"`
	InformationURI string      `json:"informationUri"`
	Rules          []sarifRule `json:"rules"`
}

type sarifRule struct { // 3.49
	ID      string    `json:"id"`
	Short   sarifText `json:"shortDescription"`
	Full    sarifText `json:"fullDescription"`
	Help    sarifText `json:"help"`
	HelpURI string    `json:"helpUri"`
	Default struct {
		Level Severity `json:"level"`
	} `json:"defaultConfiguration"`
}

type sarifText struct { // 3.11 and 3.12
	Text string `json:"text"`
}

type sarifResult struct { // 3.27
	RuleID    string          `json:"ruleId"`
	RuleIndex int             `json:"ruleIndex"`
	Level     Severity        `json:"level"` // 3.27.10 has the same words
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations"`
}

type sarifLocation struct { // 3.28
	Physical *sarifPhysical `json:"physicalLocation,omitempty"`
	Logical  []sarifLogical `json:"logicalLocations,omitempty"`
}

type sarifPhysical struct { // 3.29
	Artifact struct {
		URI string `json:"uri"`
	} `json:"artifactLocation"`
	Region *sarifRegion `json:"region,omitempty"`
}

type sarifRegion struct { // 3.30
	StartLine   int `json:"startLine"`
	StartColumn int `json:"startColumn"`
}

type sarifLogical struct { // 3.33
	Name string `json:"fullyQualifiedName"`
	Kind string `json:"kind"`
}

// PrintSARIF writes findings as SARIF 2.1.0. version is the program's.
func PrintSARIF(w io.Writer, version string, list []Finding) error {
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: make([]sarifResult, 0, len(list))}
	run.Tool.Driver = sarifDriver{Name: "dockerwall", Version: version, InformationURI: Home}
	index := map[string]int{}
	for i, r := range Rules() {
		index[r.ID] = i
		rule := sarifRule{ID: r.ID, Short: sarifText{r.Title}, Full: sarifText{r.Title + ": " + r.Help}, Help: sarifText{r.Help}, HelpURI: Home}
		rule.Default.Level = r.Severity
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, rule)
	}
	for _, f := range list {
		run.Results = append(run.Results, sarifResult{f.Rule, index[f.Rule], f.Severity, sarifText{f.text()}, locations(f)})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(sarif{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

func locations(f Finding) []sarifLocation {
	var l sarifLocation
	if f.File != "" && f.File != Stdin {
		l.Physical = &sarifPhysical{}
		l.Physical.Artifact.URI = fileURI(f.File)
		if f.Line > 0 {
			l.Physical.Region = &sarifRegion{f.Line, f.Column}
		}
	}
	switch {
	case f.Service != "":
		l.Logical = []sarifLogical{{"services." + f.Service, "object"}}
	case f.Container != "":
		l.Logical = []sarifLogical{{f.Container, "object"}}
	}
	if l.Physical == nil && l.Logical == nil {
		return []sarifLocation{}
	}
	return []sarifLocation{l}
}

// fileURI is a path as a relative reference (RFC 3986), or a file URI where it is absolute.
func fileURI(path string) string {
	u := url.URL{Path: filepath.ToSlash(path)}
	if strings.HasPrefix(u.Path, "/") {
		u.Scheme = "file"
	}
	return u.String()
}
