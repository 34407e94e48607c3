package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// What packaging/build.sh and the Dockerfile write with -ldflags -X; empty in other builds.
var version, revision string //nolint:gochecknoglobals // the linker knows nothing else

// build is what the binary was made from.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
}

// buildInfo is what the build was stamped with, else what the Go toolchain recorded.
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
	if version != "" {
		out.Version, out.Revision = version, revision
	}
	return out
}

// printVersion is for people.
func printVersion(w io.Writer) error {
	b := buildInfo()
	_, err := fmt.Fprintln(w, "dockerwall", b.Version, b.Go)
	return err
}

func newVersion(env environment) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if format == "json" {
				return json.NewEncoder(env.out).Encode(buildInfo())
			}
			return printVersion(env.out)
		},
	}
	outputFlag(c, &format, "text", "json")
	return c
}
