// Command probe is what runs inside the lab's containers: it does what it is told on the network and says what came
// of it, one JSON line for each act (see package result). It needs nothing else in its image.
//
//	probe tcp ADDR:PORT [-timeout 3s]            connect
//	probe stream ADDR:PORT [-for 5s] [-every 100ms]  connect to an echo server, send a line at a time, count the answers
//	probe udp ADDR:PORT [-count 1] [-rate 0] [-wait 0s]  send packets (rate a second, 0 is at once), count the answers
//	probe http URL [-timeout 3s]                 fetch
//	probe lookup NAME [-timeout 3s]              resolve, A and AAAA
//	probe ping ADDR [-count 1] [-timeout 3s]     ICMP or ICMPv6 echo
//	probe spoof SOURCE ADDR:PORT [-proto udp|tcp] [-sport N] [-flags 2] [-count 1]  forge the source address
//	probe contacts SUFFIX [-count 1] [-start 0] [-parallel 1] [-port 80] [-family 4|6]
//	                                             resolve n0.SUFFIX, n1.SUFFIX ... and connect, so many at once
//	probe ask SERVER[:PORT] NAME [-proto udp|tcp] [-type A] [-size 0] [-timeout 3s]
//	                                             one DNS question; size is that of EDNS, 0 is none
//	probe forge SOURCE:PORT ADDR:PORT NAME ANSWER [-id 1] [-qname NAME] [-count 1]
//	                                             a DNS reply from a forged source
//	probe hostile ADDR:PORT... -gateway ADDR,ADDR -lan ADDR,ADDR -sibling ADDR,ADDR,MAC [-for 5s] [-rate 0] [-poison] [-answer]
//	        [-links LIST] [-sources LIST] [-ways LIST] [-payloads LIST]
//	                                             one round or more of what a compromised container would send, by
//	                                             AF_PACKET, and with -poison lies about who is where,
//	                                             with -answer the answers of the targets too; a LIST is
//	                                             names of tricks.go, all but those after a "-"
//	probe resolver ADDR[:PORT] [-upstream ADDR[:PORT]] [-timeout 3s]
//	                                             a DNS server, for ever: a-203-0-113-7 and aaaa-2001-db8--7 (with
//	                                             any labels behind) are such addresses, upstream knows the rest
//	probe listen tcp|udp PORT                    echo, for ever
//	probe serve [PORT]                           a web server, for ever
//	probe sleep [DURATION]                       for ever
//	probe script LINE...                         one after the other
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

func main() {
	outcome, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if outcome != result.OK {
		os.Exit(1)
	}
}

// act is one command line, read.
type act struct {
	args                           []string
	timeout, span, every           time.Duration
	wait                           time.Duration
	count, rate, size              int
	proto, kind                    string
	sport, flags                   int
	parallel, start                int
	port, family                   int
	id                             int
	qname, upstream                string
	gateway, lan, sibling          string
	links, sources, ways, payloads string
	poison, both                   bool
}

func run(args []string) (result.Outcome, error) {
	if len(args) > 0 && args[0] == "script" {
		return script(args[1:])
	}
	a, err := parse(args)
	if err != nil {
		return "", err
	}
	do, err := a.find()
	if err != nil {
		return "", err
	}
	return report(strings.Join(args, " "), do)
}

func script(lines []string) (outcome result.Outcome, err error) {
	for _, line := range lines {
		if outcome, err = run(strings.Fields(line)); err != nil {
			return "", err
		}
	}
	return outcome, nil
}

// parse reads flags wherever they stand.
func parse(args []string) (act, error) {
	var a act
	set := flag.NewFlagSet("probe", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.DurationVar(&a.timeout, "timeout", 3*time.Second, "")
	set.DurationVar(&a.span, "for", 5*time.Second, "")
	set.DurationVar(&a.every, "every", 100*time.Millisecond, "")
	set.DurationVar(&a.wait, "wait", 0, "")
	set.IntVar(&a.count, "count", 1, "")
	set.IntVar(&a.rate, "rate", 0, "")
	set.IntVar(&a.size, "size", -1, "")
	set.StringVar(&a.proto, "proto", "udp", "")
	set.IntVar(&a.sport, "sport", 40000, "")
	set.IntVar(&a.flags, "flags", 2, "")
	a.dnsFlags(set)
	a.hostileFlags(set)
	for len(args) > 0 {
		if err := set.Parse(args); err != nil {
			return act{}, err
		}
		if args = set.Args(); len(args) > 0 {
			a.args, args = append(a.args, args[0]), args[1:]
		}
	}
	return a, nil
}

func (a *act) dnsFlags(set *flag.FlagSet) {
	set.IntVar(&a.parallel, "parallel", 1, "")
	set.IntVar(&a.start, "start", 0, "")
	set.IntVar(&a.port, "port", 80, "")
	set.IntVar(&a.family, "family", 4, "")
	set.StringVar(&a.kind, "type", "A", "")
	set.IntVar(&a.id, "id", 1, "")
	set.StringVar(&a.qname, "qname", "", "")
	set.StringVar(&a.upstream, "upstream", "", "")
}

func (a *act) hostileFlags(set *flag.FlagSet) {
	set.StringVar(&a.gateway, "gateway", "", "")
	set.StringVar(&a.lan, "lan", "", "")
	set.StringVar(&a.sibling, "sibling", "", "")
	set.StringVar(&a.links, "links", "", "")
	set.StringVar(&a.sources, "sources", "", "")
	set.StringVar(&a.ways, "ways", "", "")
	set.StringVar(&a.payloads, "payloads", "", "")
	set.BoolVar(&a.both, "answer", false, "")
	set.BoolVar(&a.poison, "poison", false, "")
}

// find is what the words ask for.
func (a act) find() (func(*result.Result) error, error) {
	verbs := map[string]struct {
		words int
		do    func(*result.Result) error
	}{
		"tcp": {1, a.tcp}, "stream": {1, a.stream}, "udp": {1, a.udp}, "http": {1, a.http}, "lookup": {1, a.lookup},
		"ping": {1, a.ping}, "spoof": {2, a.spoof}, "listen": {2, a.listen}, "serve": {0, a.serve}, "sleep": {0, a.sleep},
		"contacts": {1, a.contacts}, "ask": {2, a.ask}, "forge": {4, a.forge}, "resolver": {1, a.resolver},
		"hostile": {1, a.hostile},
	}
	if len(a.args) == 0 {
		return nil, errors.New("probe: what?")
	}
	verb, ok := verbs[a.args[0]]
	if !ok || len(a.args)-1 < verb.words {
		return nil, fmt.Errorf("probe: cannot read %q", a.args)
	}
	return verb.do, nil
}

// report does it and prints what came of it.
func report(line string, do func(*result.Result) error) (result.Outcome, error) {
	r := result.Result{Act: line}
	before, began := retransmits(), time.Now()
	err := do(&r)
	r.Milliseconds = float64(time.Since(began).Microseconds()) / 1000
	r.Retransmits = retransmits() - before
	r.Outcome = result.Of(err)
	if err != nil {
		r.Error = err.Error()
	}
	return r.Outcome, json.NewEncoder(os.Stdout).Encode(r)
}

// retransmits reads RetransSegs of /proc/net/snmp: a line of names, then one of values.
func retransmits() int {
	text, _ := os.ReadFile("/proc/net/snmp")
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, name := range names {
			if name == "RetransSegs" && i < len(fields) {
				n, _ := strconv.Atoi(fields[i])
				return n
			}
		}
	}
	return 0
}

func (a act) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), a.timeout)
}
