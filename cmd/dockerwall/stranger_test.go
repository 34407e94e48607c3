package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

func TestFlushRemovesTheTableAndEndsTheDaemon(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	b := w.run(t, lab.RunSpec{Network: web})
	for name, kill := range map[string]bool{"while it runs": false, "after it was killed": true} {
		t.Run(name, func(t *testing.T) {
			d := w.start(t)
			b.isKeptFrom(t, "tcp 203.0.113.1:80")
			if kill {
				d.kill9()
			}
			out, err := w.command(t.Context(), "nft", "flush").CombinedOutput()
			if err != nil || !strings.Contains(string(out), "not fenced until") {
				t.Fatalf("%v: %s", err, out)
			}
			if code := d.code(t); !kill && code != exitOK {
				t.Errorf("the daemon's exit code is %d", code)
			}
			if tables := w.host(t, "nft", "list", "tables"); strings.Contains(tables, "inet dockerwall") {
				t.Errorf("tables: %s", tables)
			}
			b.reaches(t, "tcp 203.0.113.1:80", "tcp [2001:db8:1::1]:80")
		})
	}
}

// A kernel that knows owners keeps strangers out for as long as the daemon lives, and keeps the table after it.
func TestNoStrangerOpensATableThatTheDaemonOwns(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.start(t).kill9()
	d := w.start(t) // it takes over the table of the first
	b := w.labelled(t, "2001:db8:1::1")
	b.reaches(t, "tcp [2001:db8:1::1]:80")
	denied := b.flood(t, "[2001:db8:1::2]:5000", 2000)
	for _, command := range [][]string{{"delete", "table", "inet", "dockerwall"}, {"flush", "chain", "inet", "dockerwall", "forward"}, {"flush", "ruleset"}} {
		out, err := w.HostCommand(t.Context(), "nft", command...).CombinedOutput()
		if err == nil && command[1] != "ruleset" {
			t.Error("the table has no owner")
		}
		t.Logf("nft %s: %v %s", strings.Join(command, " "), err, out)
		b.isKeptFrom(t, "tcp [2001:db8:1::2]:80")
		b.reaches(t, "tcp [2001:db8:1::1]:80")
	}
	denied.received(0)
	d.kill9()
	w.host(t, "nft", "list", "table", "inet", "dockerwall")
	if n := w.Arrived(netip.MustParseAddr("2001:db8:1::2")); n != 0 {
		t.Errorf("%d denied packets arrived", n)
	}
}

func TestATableWithoutAnOwnerIsRepairedAtOnce(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	b := w.labelled(t, "2001:db8:1::1")
	for _, command := range []string{
		"delete table inet dockerwall", "flush ruleset", "flush table inet dockerwall", "flush chain inet dockerwall forward",
		"flush set inet dockerwall bridges", "insert rule inet dockerwall forward accept", "add table inet dockerwall { flags dormant; }",
	} {
		t.Run(command, func(t *testing.T) {
			w.load(t)
			b.reaches(t, "tcp [2001:db8:1::1]:80") // the table by itself, without a daemon
			b.isKeptFrom(t, "tcp [2001:db8:1::2]:80")
			d := w.start(t)
			d.says(t, "level=WARN", "without an owner", "dockerwall nft flush")
			began := time.Now()
			w.host(t, "nft", strings.Fields(command)...)
			d.says(t, "somebody changed table inet dockerwall; repaired")
			t.Logf("repaired within %v", time.Since(began))
			eventually(t, func() error {
				if n := w.scrape(t).sum("dockerwall_ruleset_restores_total", "cause=notified"); n != 1 {
					return fmt.Errorf("%v repairs are counted", n)
				}
				return nil
			})
			if out, err := w.command(t.Context(), "nft", "diff").CombinedOutput(); err != nil {
				t.Errorf("nft diff: %v\n%s", err, out)
			}
			b.isKeptFrom(t, "tcp [2001:db8:1::2]:80")
			b.reaches(t, "tcp [2001:db8:1::1]:80")
			w.host(t, w.binary, "nft", "flush")
		})
	}
}

// load makes the table as an administrator could, without the daemon and so without an owner.
func (w *world) load(t *testing.T, settings ...string) {
	t.Helper()
	dump := w.command(t.Context(), append([]string{"nft", "dump"}, settings...)...)
	text, err := dump.Output()
	if err != nil {
		t.Fatal(err)
	}
	load := w.HostCommand(t.Context(), "nft", "-f", "-")
	load.Stdin = strings.NewReader(string(text))
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, text)
	}
}

func TestRulesOfTheOldProgramAreReportedAndLeftAlone(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.host(t, "sh", "-ec", `ipset -N managed-subnets nethash; iptables -N DOCKERWALL-ALLOW; iptables -N DOCKERWALL-DENY
		iptables -I DOCKER-USER -m set --match-set managed-subnets src -j DROP
		iptables -I DOCKER-USER -m set --match-set managed-subnets src -j DOCKERWALL-ALLOW`)
	before := w.host(t, "iptables", "-S")
	d := w.start(t)
	d.says(t, "level=WARN", "rules of the old iptables dockerwall", "-D DOCKER-USER", "-X DOCKERWALL-ALLOW", "managed-subnets")
	if after := w.host(t, "iptables", "-S"); after != before {
		t.Errorf("the rules were\n%s\nand are\n%s", before, after)
	}
}
