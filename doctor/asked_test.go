package doctor_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker/dockertest"
	"github.com/dockerwall/dockerwall/doctor"
)

// TestEnginesAreToldApart asks fake ones, in words of the real.
func TestEnginesAreToldApart(t *testing.T) {
	engine := []any{map[string]any{"Name": "Engine"}}
	for name, c := range map[string]struct {
		line          string
		result        doctor.Result
		says          string
		version, info map[string]any
	}{
		"Docker 28":      {"engine", doctor.OK, "Docker Engine 28.5.2, API 1.51", map[string]any{"Version": "28.5.2", "Components": engine}, nil},
		"rootless":       {"engine-kind", doctor.Fail, "rootless", nil, map[string]any{"SecurityOptions": []string{"name=seccomp,profile=builtin", "name=rootless"}}},
		"Docker Desktop": {"engine-kind", doctor.Fail, "Docker Desktop", nil, map[string]any{"OperatingSystem": "Docker Desktop"}},
		"Podman":         {"engine-kind", doctor.Warn, "this is Podman Engine", map[string]any{"Version": "5.4.2", "Components": []any{map[string]any{"Name": "Podman Engine"}}}, nil},
		"Docker 29 with nftables": {"firewall-backend", doctor.Warn, "nftables", map[string]any{"Version": "29.0.0", "Components": engine}, map[string]any{
			"FirewallBackend": map[string]any{"Driver": "nftables"},
		}},
		"Docker 29 with iptables": {"firewall-backend", doctor.OK, "iptables+firewalld", nil, map[string]any{"FirewallBackend": map[string]any{"Driver": "iptables+firewalld"}}},
		"live-restore":            {"live-restore", doctor.OK, "on:", nil, map[string]any{"LiveRestoreEnabled": true}},
		"a hostile one":           {"engine-kind", doctor.OK, "root on [31mRed", nil, map[string]any{"OperatingSystem": "\x1b[31mRed\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.engine.SetAbout(c.version, c.info)
			h.sees(t, c.line, c.result, c.says)
		})
	}
	t.Run("an old API", func(t *testing.T) {
		h := newHost(t)
		h.engine.SetVersions("1.12", "1.40")
		h.sees(t, "engine", doctor.Fail, "API 1.40 is older than 1.41", "upgrade to Docker 20.10")
	})
	t.Run("a proxy that refuses /info", func(t *testing.T) {
		h := newHost(t)
		h.engine.SetFault(dockertest.Info, dockertest.Fault{Status: 403})
		h.sees(t, "engine", doctor.OK, "28.5.2")
		h.sees(t, "firewall-backend", doctor.Skip, "ask for the state of Docker")
	})
	t.Run("none", func(t *testing.T) {
		h := newHost(t)
		h.engine.Down()
		h.sees(t, "engine", doctor.Fail, "no such file or directory", "is Docker running")
		h.sees(t, "namespace", doctor.Skip)
		h.sees(t, "unfenced", doctor.Skip)
	})
}

// TestNobodyIsWaitedForWithoutEnd has an Engine and a daemon that take requests and say nothing.
func TestNobodyIsWaitedForWithoutEnd(t *testing.T) {
	h := newHost(t)
	h.options.Patience = 50 * time.Millisecond
	never := make(chan struct{})
	h.engine.SetFault(dockertest.Version, dockertest.Fault{Wait: never})
	mute, err := net.Listen("unix", h.options.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mute.Close() }()
	h.sees(t, "engine", doctor.Fail, "no answer within 50ms")
	h.sees(t, "daemon", doctor.Skip, "deadline exceeded")
}

// TestDaemonsAreAsked runs the API without a daemon behind it.
func TestDaemonsAreAsked(t *testing.T) {
	h := newHost(t)
	h.options.Unfenced = func(context.Context) ([]doctor.Unfenced, error) {
		return []doctor.Unfenced{{Name: "free", Why: "host"}, {Name: "x-dockerwall-1", Why: "host"}}, nil
	}
	h.sees(t, "daemon", doctor.Warn, "no daemon listens")
	h.sees(t, "socket", doctor.OK, "is free")
	h.sees(t, "table", doctor.Warn, "there is none: nothing is fenced")
	h.sees(t, "unfenced", doctor.Warn, "nothing is fenced (2): free (host), x-dockerwall-1 (host)", "dockerwall status")
	h.sees(t, "boot", doctor.Warn, "Docker starts dockerwall")
	for name, c := range map[string]struct {
		health api.Health
		result doctor.Result
		says   string
	}{
		"healthy":   {api.Health{Healthy: true, Fenced: 4}, doctor.OK, "4 containers"},
		"degraded":  {api.Health{Healthy: true, Reasons: []string{"\x1b[31mno queue"}}, doctor.Warn, "degraded: [31mno queue"},
		"dry":       {api.Health{Healthy: true, DryRun: true}, doctor.Warn, "is in audit"},
		"unhealthy": {api.Health{Reasons: []string{"commit table: no"}}, doctor.Fail, "commit table: no"},
	} {
		t.Run(name, func(t *testing.T) {
			server, err := api.New(api.Options{
				Path: h.options.Socket, Health: func() api.Health { return c.health }, Flush: func(context.Context) error { return errors.New("no") },
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- server.Run(ctx) }()
			defer func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				if _, err := api.Dial(h.options.Socket).Health(t.Context()); err == nil {
					break
				}
			}
			h.sees(t, "daemon", c.result, c.says)
			h.sees(t, "socket", doctor.OK, "answers")
		})
	}
}
