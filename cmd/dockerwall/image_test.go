package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/dockerwall/dockerwall/doctor"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// repository is the root of the source tree.
const repository = "../.."

// TestTheImageFencesItsNeighbours builds the image as its users do and runs it as docker-compose.yml says.
func TestTheImageFencesItsNeighbours(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.names()
	importGo(t, w, "local/go")
	build := w.engine.Command(t.Context(), "build", "--network=none", "--build-arg=GO_IMAGE=local/go",
		"--build-arg=VERSION=1.2.3", "--build-arg=REVISION=0123abc", "--tag=dockerwall", repository)
	build.Env = append(build.Env, "DOCKER_BUILDKIT=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("docker build: %v\n%s", err, tail(string(out)))
	}
	t.Logf("the image has %s bytes", w.docker(t, "image", "inspect", "--format={{.Size}}", "dockerwall"))
	if is := w.docker(t, "image", "inspect", "--format={{json .Config.Labels}}", "dockerwall"); !strings.Contains(is, `image.version":"1.2.3"`) || !strings.Contains(is, `image.revision":"0123abc"`) {
		t.Errorf("its labels are %s", is)
	}
	if is := w.docker(t, "run", "--rm", "dockerwall", "version"); !strings.Contains(is, "1.2.3") {
		t.Errorf("it says that it is %s", is)
	}
	b := w.labelled(t, "www.example.com, 203.0.113.1")
	fresh(w.DNS, "fresh.example")
	below := w.labelled(t, "*.fresh.example, !*.bad.fresh.example")
	t.Run("as docker-compose.yml says", func(t *testing.T) {
		w.docker(t, composed(t, "dockerwall", nil, "--health-interval=200ms")...)
		defer w.remove(t)
		w.becomes(t, "healthy")
		b.reaches(t, "tcp 203.0.113.10:443", "tcp 203.0.113.1:80")
		b.isKeptFrom(t, append(everything("203.0.113.2"), act("tcp "+webGate+":50000"), act("tcp "+lab.HostAddr+":50000"))...)
		below.contacts(t, "image.fresh.example", 50)
		below.resolves(t, "n1.bad.fresh.example", true)
		if out := w.docker(t, "exec", "dockerwall", "dockerwall", "nft", "diff"); out != "" {
			t.Errorf("nft diff: %s", out)
		}
		if w.scrape(t).packets(b, "drop") == 0 {
			t.Error("nothing is counted as dropped")
		}
		d := examined(t, w.engine.Command(t.Context(), "exec", "dockerwall", "/dockerwall", "doctor", "-o", "json"))
		d.fails(t)
		d.has(t, "boot", doctor.Warn, "as a container")
		d.has(t, "daemon", doctor.OK, "is healthy")
		d.has(t, "nflog-group", doctor.OK, "dockerwall's")
		d.has(t, "docker-iptables", doctor.OK) // by the mount of /etc/docker
	})
	t.Run("as the older program's compose file says", func(t *testing.T) {
		w.docker(t, "run", "--detach", "--name=dockerwall", "--health-interval=200ms", "--cap-add=NET_ADMIN", "--network=host",
			"--env=LOG_LEVEL=debug", "--env=GATEWAY_NETWORKS=!"+other, "--volume=/var/run/docker.sock:/var/run/docker.sock", "dockerwall")
		defer w.remove(t)
		w.becomes(t, "healthy")
		b.reaches(t, "tcp 203.0.113.10:443", "tcp 203.0.113.1:80")
		b.isKeptFrom(t, "tcp 203.0.113.2:80", "udp 203.0.113.2:53")
		w.run(t, lab.RunSpec{Network: other}).reaches(t, "tcp 203.0.113.2:80")
		if !strings.Contains(w.containerLog(t), "level=DEBUG") {
			t.Error("LOG_LEVEL=debug does nothing")
		}
		s := w.scrape(t)
		for _, family := range []string{"dockerwall_container_packets", "dockerwall_container_bytes", "dockerwall_dropped_packets"} {
			if s.sum(family, b.id()) == 0 {
				t.Errorf("%s counts nothing", family)
			}
		}
	})
	t.Run("killed, it leaves its neighbours fenced", func(t *testing.T) {
		b.reaches(t, "tcp 203.0.113.10:443")
		b.isKeptFrom(t, "tcp 203.0.113.2:80")
	})
	t.Run("with a stub resolver it reads the real one's files", func(t *testing.T) {
		w.stub(t)
		late := netip.MustParseAddr("203.0.113.30")
		if err := w.WriteFile("/run/systemd/resolve/resolv.conf", "nameserver "+lab.DNSAddr+"\n"); err != nil {
			t.Fatal(err)
		}
		w.DNS.Set("late.example.com", late)
		w.docker(t, composed(t, "dockerwall", map[string]string{"DEFAULT_OUTBOUND": "late.example.com"}, "--health-interval=200ms")...)
		defer w.remove(t)
		b.reaches(t, act("tcp "+late.String()+":80"), "tcp "+lab.DNSAddr+":53")
	})
	t.Run("with a stub resolver and without its files it says which mount is missing", func(t *testing.T) {
		w.stub(t)
		args := slices.DeleteFunc(composed(t, "dockerwall", nil), func(a string) bool { return strings.Contains(a, "/run/systemd/resolve") })
		w.docker(t, args...)
		defer w.remove(t)
		eventually(t, func() error {
			log := w.containerLog(t)
			if !strings.Contains(log, "mount /run/systemd/resolve read-only or set DOCKERWALL_RESOLVERS") {
				return fmt.Errorf("the log does not name the mount:\n%s", log)
			}
			return nil
		})
		b.isKeptFrom(t, "tcp 203.0.113.2:80")
	})
}

// stub makes the host one whose only resolver is systemd-resolved's on loopback, which passes questions on.
func (w *world) stub(t *testing.T) {
	t.Helper()
	conn, err := w.Host.ListenPacket("udp4", "127.0.0.53:53")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if upstream, err := w.Host.Dial(context.Background(), "udp", lab.DNSAddr+":53"); err == nil {
				_ = upstream.SetDeadline(time.Now().Add(time.Second))
				_, _ = upstream.Write(buf[:n])
				if n, err = upstream.Read(buf); err == nil {
					_, _ = conn.WriteTo(buf[:n], from)
				}
				_ = upstream.Close()
			}
		}
	}()
	if err := w.SetResolvConf("nameserver 127.0.0.53\n"); err != nil {
		t.Fatal(err)
	}
}

func (w *world) containerLog(t *testing.T) string {
	t.Helper()
	out, err := w.engine.Command(t.Context(), "logs", "dockerwall").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func (w *world) remove(t *testing.T) {
	t.Helper()
	if t.Failed() {
		t.Logf("log of the container:\n%s", tail(w.containerLog(t)))
	}
	w.docker(t, "rm", "--force", "dockerwall")
}

// becomes waits for the word of the image's HEALTHCHECK.
func (w *world) becomes(t *testing.T, want string) {
	t.Helper()
	eventually(t, func() error {
		if is := w.docker(t, "inspect", "--format={{.State.Health.Status}}", "dockerwall"); is != want {
			return fmt.Errorf("the container is %s, not %s", is, want)
		}
		return nil
	})
}

// composed is the `docker run` that a service of docker-compose.yml amounts to. What it does not understand fails the
// test, so that the file cannot say more than is tried here.
func composed(t *testing.T, name string, env map[string]string, more ...string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Version  string
		Services map[string]map[string]yaml.Node
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	args, image := append([]string{"run", "--detach", "--name=" + name}, more...), ""
	service := file.Services[name]
	for _, key := range slices.Sorted(maps.Keys(service)) {
		node := service[key]
		switch key {
		case "build":
		case "image":
			image = node.Value
		default:
			flags, err := flagsOf(key, node, env)
			if err != nil {
				t.Fatalf("docker-compose.yml: %v", err)
			}
			args = append(args, flags...)
		}
	}
	return append(args, image)
}

// flagsOf are the flags of `docker run` that mean what a key of a service says.
func flagsOf(key string, node yaml.Node, env map[string]string) (flags []string, err error) {
	flag, known := map[string]string{
		"network_mode": "--network", "restart": "--restart", "cap_drop": "--cap-drop", "cap_add": "--cap-add", "read_only": "--read-only",
		"security_opt": "--security-opt", "tmpfs": "--tmpfs", "environment": "--env", "volumes": "--volume", "init": "--init", "pid": "--pid",
	}[key]
	if !known {
		return nil, fmt.Errorf("this test does not know %q", key)
	}
	switch node.Kind {
	case yaml.ScalarNode:
		return []string{flag + "=" + interpolate(node.Value, env)}, nil
	case yaml.SequenceNode:
		for _, item := range node.Content {
			flags = append(flags, flag+"="+interpolate(item.Value, env))
		}
		return flags, nil
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			flags = append(flags, flag+"="+node.Content[i].Value+"="+interpolate(node.Content[i+1].Value, env))
		}
		return flags, nil
	default:
		return nil, errors.New(key + " is neither a word, a list nor a map")
	}
}

// interpolate replaces ${NAME:-default} as docker-compose does.
func interpolate(text string, env map[string]string) string {
	variable := regexp.MustCompile(`\$\{([A-Z_]+):-([^}]*)\}`)
	return variable.ReplaceAllStringFunc(text, func(v string) string {
		parts := variable.FindStringSubmatch(v)
		if value := env[parts[1]]; value != "" {
			return value
		}
		return parts[2]
	})
}
