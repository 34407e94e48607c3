package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// reason is why an outcome came about.
type reason struct {
	text  string
	rule  string // the kernel's, that decided
	wrong string // the kernel or the log contradicts the outcome
}

// why asks the kernel's trace and sets, and the daemon's log.
func (d *demo) why(ctx context.Context, c *container, to destination, r lab.Result, t *trace) (out reason, inLog bool, err error) {
	found, traced := d.await(ctx, t, c, to)
	switch {
	case !traced && to.kind == neighbour:
		return reason{text: "same network: it stays on the bridge, no hook of the host sees it"}, false, nil
	case !traced && to.kind == resolver:
		return reason{text: "the Engine asks, from the host's namespace: no hook sees the container"}, false, nil
	case !traced:
		return reason{text: "?", wrong: "the kernel traced no packet of it"}, false, nil
	}
	out.rule = found.rule
	if found.denied {
		out.text = d.whyDenied(c, to, found)
		if _, inLog = d.denial(ctx, c, found); !inLog {
			out.wrong = "the denial is not in the daemon's log"
		}
	} else if out.text, err = d.whyAllowed(ctx, c, to, found); err != nil {
		return out, inLog, err
	}
	if found.denied == reached(r) {
		out.wrong = fmt.Sprintf("the container saw %q, the kernel's trace says denied is %t", r.Outcome, found.denied)
	}
	return out, inLog, nil
}

// await finds the kernel's decision; it may be told a moment after the container saw its effect.
func (d *demo) await(ctx context.Context, t *trace, c *container, to destination) (decision, bool) {
	patience := 2 * time.Second
	if to.kind == neighbour || to.kind == resolver {
		patience = 100 * time.Millisecond
	}
	for end := time.Now().Add(patience); ; {
		found, ok := t.find(c, to)
		if ok || ctx.Err() != nil || time.Now().After(end) {
			return found, ok
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (d *demo) whyDenied(c *container, to destination, found decision) string {
	if to.kind == host {
		return "the host itself: only _host_, * or this very address in a label opens it"
	}
	where := fmt.Sprintf("%s %s/%d", found.dst, found.proto, found.port)
	if c.label == "" {
		return where + ": no label opens it"
	}
	return where + ": not in the label"
}

// whyAllowed names the set that holds the destination, and whose it is.
func (d *demo) whyAllowed(ctx context.Context, c *container, to destination, found decision) (string, error) {
	set := regexp.MustCompile(`@([a-z0-9_]+)`).FindStringSubmatch(found.rule)
	if set == nil {
		if to.kind == neighbour {
			return "same network", nil
		}
		return "by this rule", nil
	}
	key := found.dst.String()
	if strings.Contains(found.rule, "th dport @") {
		key = fmt.Sprintf("%s . %s . %d", found.dst, found.proto, found.port)
	}
	element, err := d.element(ctx, set[1], key)
	if err != nil {
		return "", err
	}
	whose := "the resolver Docker gives it, implied by every label"
	if strings.HasPrefix(set[1], "c_"+c.ID[:12]) {
		whose = fmt.Sprintf("token %q of its label", c.label)
	}
	return whose + ": " + element, nil
}

// element asks the kernel for an element of a set, comment included.
func (d *demo) element(ctx context.Context, set, key string) (string, error) {
	out, err := d.lab.Host.Command(ctx, "nft", "get", "element", "inet", "dockerwall", set, "{ "+key+" }").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("look for %s in set %s: %s", key, set, strings.TrimSpace(string(out)))
	}
	found := regexp.MustCompile(`elements = \{ (.*?) \}`).FindStringSubmatch(strings.Join(strings.Fields(string(out)), " "))
	if found == nil {
		return "", fmt.Errorf("look for %s in set %s: %s", key, set, out)
	}
	return found[1], nil
}

// denial waits for the log line of a denied packet.
func (d *demo) denial(ctx context.Context, c *container, found decision) (r record, ok bool) {
	for end := time.Now().Add(3 * time.Second); !ok && ctx.Err() == nil && time.Now().Before(end); {
		r, ok = d.daemon.said(func(r record) bool {
			return r.Msg == "denied" && r.Container == c.name && r.Destination == found.dst.String() &&
				r.Port == int(found.port) && r.Protocol == found.proto
		})
		if !ok {
			time.Sleep(10 * time.Millisecond)
		}
	}
	return r, ok
}
