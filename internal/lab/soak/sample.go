package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// sample is what was read at one moment, by what it is of.
type sample struct {
	At     float64            `json:"at"` // seconds since the load began
	Values map[string]float64 `json:"values"`
}

// sampling takes samples until the context is done. The daemon's end is an error.
func (s *soak) sampling(ctx context.Context) (all []sample, err error) {
	began := time.Now()
	err = each(ctx, s.every, func(i int) error {
		values, err := s.take(ctx)
		select {
		case <-s.daemon.Exited:
			return errors.New("the daemon ended")
		default:
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		all = append(all, sample{time.Since(began).Seconds(), values})
		if i%12 == 0 {
			fmt.Fprintf(s.progress, "%5.0f s of %.0f: %.1f MiB resident, %.0f elements in sets, %.0f goroutines\n",
				time.Since(began).Seconds(), s.length.Seconds(), values["rss"]/(1<<20), values["elements"], values["goroutines"])
		}
		return nil
	})
	return all, err
}

// take reads everything once.
func (s *soak) take(ctx context.Context) (map[string]float64, error) {
	text, err := s.Host.Get(ctx, metrics)
	if err != nil {
		return nil, fmt.Errorf("scrape metrics: %w", err)
	}
	v := map[string]float64{"scrape": float64(len(text)), "log": float64(s.daemon.logged())}
	names := scraped()
	for line := range strings.Lines(text) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, wanted := names[series]
		if f, err := strconv.ParseFloat(value, 64); wanted && err == nil {
			v[name] = f
		}
	}
	for series, name := range names {
		if _, ok := v[name]; !ok {
			return nil, fmt.Errorf("scrape metrics: no %s", series)
		}
	}
	if err := s.kernel(ctx, v); err != nil {
		return nil, err
	}
	return v, s.files(ctx, v)
}

// scraped are the series that are read, and what they are called here.
func scraped() map[string]string {
	return map[string]string{
		"process_resident_memory_bytes": "rss", "go_memstats_next_gc_bytes": "heap", "process_open_fds": "fds",
		"go_goroutines": "goroutines", "go_threads": "threads", "process_cpu_seconds_total": "cpu",
		"dockerwall_dns_hold_timeouts_total": "late",
	}
}

// kernel counts what stands in the kernel's tables.
func (s *soak) kernel(ctx context.Context, v map[string]float64) error {
	for _, family := range []string{"inet", "bridge"} {
		out, err := s.HostCommand(ctx, "nft", "-j", "list", "table", family, "dockerwall").Output()
		if err != nil {
			return fmt.Errorf("list table %s dockerwall: %w", family, err)
		}
		var listing struct {
			Nftables []struct {
				Set, Map *struct{ Elem []json.RawMessage }
				Rule     *struct{}
			}
		}
		if err := json.Unmarshal(out, &listing); err != nil {
			return fmt.Errorf("list table %s dockerwall: %w", family, err)
		}
		v["table"] += float64(len(out))
		for _, o := range listing.Nftables {
			v["objects"]++
			switch {
			case o.Set != nil:
				v["elements"] += float64(len(o.Set.Elem))
			case o.Map != nil:
				v["elements"] += float64(len(o.Map.Elem))
			}
		}
	}
	return nil
}

// files measures what the daemon keeps on disk, and the host's conntrack.
func (s *soak) files(ctx context.Context, v map[string]float64) error {
	// The directory is made when it is written first, after a minute; the log with the first denial.
	script := `mkdir -p -m 700 "$1"; du -sb "$1" | cut -f1; stat -c %s "$2" 2>/dev/null || echo 0; cat /proc/sys/net/netfilter/nf_conntrack_count`
	out, err := s.HostCommand(ctx, "sh", "-c", script, "sh", stateDir, decisions).Output()
	if err != nil {
		return fmt.Errorf("measure files: %w", err)
	}
	numbers := strings.Fields(string(out))
	if len(numbers) != 3 {
		return fmt.Errorf("measure files: %q", out)
	}
	for i, name := range []string{"state", "decisions", "conntrack"} {
		if v[name], err = strconv.ParseFloat(numbers[i], 64); err != nil {
			return fmt.Errorf("measure files: %w", err)
		}
	}
	return nil
}
