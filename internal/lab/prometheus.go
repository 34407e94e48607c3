package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// prometheusPrograms are what tests use of Prometheus, by their names in the distribution's package.
func prometheusPrograms() []string { return []string{"promtool", "prometheus"} }

// FetchPrometheus makes sure that Prometheus and its promtool are in the cache and returns their folder. Their package
// would start a service if it were installed: it is unpacked, never installed.
func FetchPrometheus(ctx context.Context) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", fmt.Errorf("fetch Prometheus: %w", err)
	}
	dir := filepath.Join(cache, "prometheus-"+distribution()+"-"+runtime.GOARCH)
	unlock, err := lock(cache, "prometheus")
	if err != nil {
		return "", fmt.Errorf("fetch Prometheus: %w", err)
	}
	defer unlock()
	if hasPrograms(dir, prometheusPrograms()) {
		return dir, nil
	}
	fill := func(work, programs string) error { return fillPrometheus(ctx, work, programs) }
	if err := fetchTo(dir, fill); err != nil {
		return "", fmt.Errorf("fetch Prometheus: %w", err)
	}
	return dir, nil
}

func hasPrograms(dir string, names []string) bool {
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

func fillPrometheus(ctx context.Context, work, programs string) error {
	download := func() error {
		_, err := output(apt(ctx, work, "download", "prometheus"))
		return err
	}
	if err := withLists(ctx, work, download); err != nil {
		return err
	}
	if err := unpack(ctx, work); err != nil {
		return err
	}
	if err := os.MkdirAll(programs, 0o755); err != nil {
		return err
	}
	for _, name := range prometheusPrograms() {
		found := program(filepath.Join(work, "root"), name)
		if found == "" {
			return fmt.Errorf("find %s in the package: not there", name)
		}
		if err := os.Rename(found, filepath.Join(programs, name)); err != nil {
			return err
		}
	}
	return nil
}
