package main

import (
	"encoding/json"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build is what the binary was made from.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
}

// buildInfo reads what the Go toolchain recorded.
func buildInfo() build {
	out := build{Version: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return out
	}
	out.Version, out.Go = info.Main.Version, info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			out.Revision = s.Value
		}
	}
	return out
}

// text is for people.
func (b build) text() string { return "dockerwall " + b.Version + " " + b.Go }

func newVersion(env environment) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			info := buildInfo()
			if format == "json" {
				return json.NewEncoder(env.out).Encode(info)
			}
			_, err := fmt.Fprintln(env.out, info.text())
			return err
		},
	}
	outputFlag(c, &format, "text", "json")
	return c
}
