package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// demo is one showing.
type demo struct {
	*page
	lab    *lab.Lab
	docker *lab.Docker
	daemon daemon
	bin    string
	whole  bool

	gateway    netip.Addr // the host's address on the containers' network
	containers []*container
	before     map[string]float64 // metrics, before there was a container
	outcomes   int
	unexpected int
}

// play is the whole show, part by part.
func (d *demo) play(ctx context.Context) error {
	for _, part := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"A host with a Docker Engine, and an internet with DNS and web servers", d.stage},
		{"Without dockerwall: what a container reaches", d.control},
		{"dockerwall run", d.fence},
		{"Three containers, one network", d.enter},
		{"Who reaches what, and why", d.act},
		{"The ruleset", d.ruleset},
		{"The metrics that moved", d.metrics},
		{"kill -9 of dockerwall: the table stays", d.orphan},
	} {
		d.step(part.title)
		if err := part.play(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.title, err)
		}
	}
	if d.unexpected > 0 {
		return fmt.Errorf("%d of %d outcomes are not the expected ones: see the lines marked UNEXPECTED", d.unexpected, d.outcomes)
	}
	d.printf("\n%s\n", d.paint("1;32", fmt.Sprintf("All %d outcomes are as the labels say.", d.outcomes)))
	return nil
}

// stage builds the host and what its containers may want to reach.
func (d *demo) stage(ctx context.Context) (err error) {
	if d.docker, err = d.lab.StartDocker(ctx, lab.DockerOptions{}); err != nil {
		return err
	}
	if err := d.docker.ImportProbe(ctx, lab.ProbeImage); err != nil {
		return err
	}
	d.names()
	if _, err := d.lab.NewDNS(netip.MustParseAddr("203.0.113.53")); err != nil {
		return err
	}
	version, err := d.docker.CLI(ctx, "version", "--format", "{{.Server.Version}}")
	if err != nil {
		return err
	}
	if _, err := d.docker.CLI(ctx, "network", "create", networkName, "--ipv6", "--subnet=2001:db8:c:1::/64"); err != nil {
		return err
	}
	gateways, err := d.docker.CLI(ctx, "network", "inspect", networkName, "--format", "{{range .IPAM.Config}}{{.Gateway}} {{end}}")
	if err != nil {
		return err
	}
	for _, text := range strings.Fields(gateways) {
		if a, err := netip.ParseAddr(text); err == nil && a.Is4() {
			d.gateway = a
		}
	}
	if !d.gateway.IsValid() {
		return fmt.Errorf("network %s has no IPv4 gateway: %q", networkName, gateways)
	}
	d.say("Docker Engine %s; network %s; the host is %s on it.", version, networkName, d.gateway)
	return d.serveOnHost(ctx)
}

// serveOnHost is a service of the host itself, on all its addresses.
func (d *demo) serveOnHost(ctx context.Context) error {
	listener, err := d.lab.Host.Listen(":8080")
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
	return nil
}

// control shows that all destinations answer: what is denied later is denied by dockerwall.
func (d *demo) control(ctx context.Context) error {
	c, neighbour := &container{name: "unfenced"}, &container{name: "unfenced-neighbour"}
	for _, c := range []*container{c, neighbour} {
		if err := d.start(ctx, c); err != nil {
			return err
		}
	}
	all := d.destinations(neighbour.addr)
	results, err := try(ctx, c.Container, all)
	if err != nil {
		return err
	}
	n := 0
	for i, r := range results {
		if reached(r) {
			n++
		} else {
			d.say("not reached: %s (%s)", all[i].title, r.Error)
		}
	}
	if n != len(all) {
		return fmt.Errorf("%d of %d destinations answer: without all of them the rest would prove nothing", n, len(all))
	}
	d.say("%d of %d destinations, the host's own service among them.", n, len(all))
	return errors.Join(c.Remove(ctx), neighbour.Remove(ctx))
}

// fence starts the daemon.
func (d *demo) fence(ctx context.Context) error {
	began := time.Now()
	if err := d.startDaemon(ctx); err != nil {
		return err
	}
	d.say("healthy after %d ms; containers not yet known are denied from here on.", time.Since(began).Milliseconds())
	var err error
	d.before, err = d.scrape(ctx)
	return err
}

// enter starts the containers and waits until the name's addresses are in the table.
func (d *demo) enter(ctx context.Context) error {
	d.containers = cast()
	for _, c := range d.containers {
		if err := d.start(ctx, c); err != nil {
			return err
		}
		what := label + "=" + c.label
		if c.label == "" {
			what = "no label"
		}
		d.say("%-11s %-12s %-18s %s", c.name, c.addr, c.addr6, what)
	}
	began := time.Now()
	err := d.until(ctx, "www.example.com is in the table", func() error {
		_, err := d.element(ctx, "c_"+d.containers[0].ID[:12]+"_dns4", "203.0.113.10")
		return err
	})
	if waited := time.Since(began); err == nil && waited > time.Second {
		d.say("www.example.com came into the table %.1f s later.", waited.Seconds())
	}
	return err
}

// act lets all containers try everything at once, under the kernel's eyes.
func (d *demo) act(ctx context.Context) error {
	trace, err := d.startTrace(ctx)
	if err != nil {
		return err
	}
	defer trace.stop()
	results := make([][]lab.Result, len(d.containers))
	var g errgroup.Group
	for i, c := range d.containers {
		g.Go(func() (err error) {
			results[i], err = try(ctx, c.Container, d.destinations(d.next(i).addr))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	d.say("What decided, as `nft monitor trace` shows it and the sets hold it:")
	for i, c := range d.containers {
		if err := d.judge(ctx, c, d.destinations(d.next(i).addr), results[i], trace); err != nil {
			return err
		}
	}
	if r, ok := d.daemon.said(func(r record) bool { return r.Msg == "denied" }); ok {
		d.printf("\n  The first denial in the log:\n  %s\n", r.line)
	}
	return nil
}

// next is the neighbour that a container tries to reach.
func (d *demo) next(i int) *container { return d.containers[(i+1)%len(d.containers)] }

// judge prints what came of a container's tries, each with the reason.
func (d *demo) judge(ctx context.Context, c *container, all []destination, results []lab.Result, t *trace) error {
	what := label + ": " + c.label
	if c.label == "" {
		what = "no label"
	}
	d.printf("\n  %s\n", d.paint("1", fmt.Sprintf("%s (%s, %s)", c.name, c.addr, what)))
	logged := 0
	for i, to := range all {
		why, inLog, err := d.why(ctx, c, to, results[i], t)
		if err != nil {
			return err
		}
		if inLog {
			logged++
		}
		d.line(c, to, results[i], why)
	}
	d.say("%d denials, all in the daemon's log.", logged)
	return nil
}

// line prints one outcome, and loudly when it is not the expected one.
func (d *demo) line(c *container, to destination, r lab.Result, why reason) {
	d.outcomes++
	word := d.paint("31", "denied ")
	if reached(r) {
		word = d.paint("32", "reached")
	}
	d.say("%s  %-30s  %s", word, to.title, why.text)
	if why.rule != "" && !strings.HasPrefix(why.rule, "goto ") { // the last rule of every container's chain
		d.say("%s", d.paint("2", fmt.Sprintf("         %30s  %s", "", why.rule)))
	}
	wrong := why.wrong
	if reached(r) != c.reaches(to) {
		wrong = fmt.Sprintf("the label asks for the contrary; the container saw: %s %s", r.Outcome, r.Error)
	}
	if wrong != "" {
		d.unexpected++
		d.say("%s", d.paint("1;31", "UNEXPECTED: "+wrong))
	}
}

// orphan shows that the fence does not depend on its daemon.
func (d *demo) orphan(ctx context.Context) error {
	if err := d.daemon.kill(); err != nil {
		return err
	}
	c := d.containers[0]
	if err := d.again(ctx, c, 3, "from "+c.name+", as before"); err != nil {
		return err
	}
	late := &container{name: "late", label: "www.example.com", opens: nothing}
	if err := d.start(ctx, late); err != nil {
		return err
	}
	return d.again(ctx, late, 1, "from a container started just now, with the same label: nobody has let it in yet")
}

// again tries the first few destinations.
func (d *demo) again(ctx context.Context, c *container, n int, why string) error {
	all := d.destinations(d.next(0).addr)[:n]
	results, err := try(ctx, c.Container, all)
	if err != nil {
		return err
	}
	for i, to := range all {
		d.line(c, to, results[i], reason{text: why})
	}
	return nil
}
