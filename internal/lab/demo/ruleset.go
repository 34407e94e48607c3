package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// ruleset prints what decides: the hooks, the maps that lead to containers, and the containers' own parts.
func (d *demo) ruleset(ctx context.Context) error {
	text, err := d.dockerwall(ctx, "nft", "dump")
	if err != nil {
		return err
	}
	parts := text
	if !d.whole {
		parts = excerpt(text, "c_"+d.containers[0].ID[:12]+"_deny")
	}
	d.text(parts)
	total, shown := strings.Count(text, "\n"), strings.Count(parts, "\n")
	if !d.whole {
		d.say("%d of the %d lines of `dockerwall nft dump`; `make demo ARGS=-all` prints them all.", shown, total)
	}
	return d.accepted(ctx, text)
}

// excerpt keeps the hooks, the source maps, and the sets and policy chains of containers; of the chains that record
// and end what is denied, alike for all, it keeps the one named.
func excerpt(text, denying string) string {
	var b strings.Builder
	for _, block := range strings.Split(text, "\n\n") {
		for _, part := range splitTitle(block) {
			if decides(part, denying) {
				b.WriteString(strings.Trim(part, "\n") + "\n")
			}
		}
	}
	return b.String()
}

// splitTitle parts the comment line that heads a container's objects from the first of them.
func splitTitle(block string) []string {
	block = strings.TrimPrefix(block, "table inet dockerwall {\n")
	block = strings.TrimSuffix(strings.TrimRight(block, "\n"), "\n}")
	if title, rest, ok := strings.Cut(block, "\n"); ok && strings.HasPrefix(title, "\t# ") {
		return []string{title, rest}
	}
	return []string{block}
}

func decides(part, denying string) bool {
	head, _, _ := strings.Cut(strings.TrimSpace(part), "\n")
	words := strings.Fields(head)
	if len(words) < 2 {
		return false
	}
	kind, name := words[0], words[1]
	switch kind {
	case "#":
		return words[1] == "container"
	case "map":
		return strings.HasPrefix(name, "source")
	case "set":
		return (strings.HasPrefix(name, "c_") && !strings.Contains(part, "flags dynamic")) || strings.HasPrefix(name, "resolvers") || name == "bridges"
	case "chain":
		return name == "forward" || name == "input" || name == denying || (strings.HasPrefix(name, "c_") && !strings.HasSuffix(name, "_deny"))
	}
	return false
}

// accepted lets nft check the dump where no table is, and the daemon compare it with the kernel's table.
func (d *demo) accepted(ctx context.Context, text string) error {
	empty, err := lab.NewNamespace()
	if err != nil {
		return err
	}
	defer func() { _ = empty.Close() }()
	check := empty.Command(ctx, "nft", "-c", "-f", "-")
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil {
		return fmt.Errorf("nft -c -f does not accept the dump: %s", out)
	}
	if diff, err := d.dockerwall(ctx, "nft", "diff"); err != nil {
		return fmt.Errorf("the table in the kernel is not the one wanted: %w\n%s", err, diff)
	}
	version, err := empty.Command(ctx, "nft", "--version").Output()
	if err != nil {
		return err
	}
	d.say("`dockerwall nft dump | nft -c -f -`: accepted by %s.", strings.TrimSpace(string(version)))
	d.say("`dockerwall nft diff`: the kernel holds exactly this.")
	return nil
}
