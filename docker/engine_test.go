package docker_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
)

func TestAPIVersionIsNegotiated(t *testing.T) {
	tests := map[string]struct{ oldest, newest, err string }{
		"Docker 20.10":                {oldest: "1.12", newest: "1.41"},
		"Docker 29.0, min 1.44":       {oldest: "1.44", newest: "1.52"},
		"Docker 19.03 is too old":     {oldest: "1.12", newest: "1.40", err: "upgrade to Docker 20.10"},
		"no version: it is no Docker": {oldest: "1.12", newest: "", err: "is this Docker"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := dockertest.New(t)
			e.SetVersions(tt.oldest, tt.newest)
			_, err := client(t, docker.Options{Host: e.Host()}).List(t.Context())
			mention(t, err, tt.err)
		})
	}
}

func TestAnotherEngineIsNegotiatedWithAnew(t *testing.T) {
	e := dockertest.New(t)
	f := follow(t, e)
	e.Down()
	e.SetVersions("1.24", "1.41")
	e.Up()
	f.next()
	e.Down()
	e.SetVersions("1.44", "1.52")
	e.Up()
	f.next()
}

func TestErrorsSayWhatWhereAndHowToMendIt(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "docker.sock")
	tests := map[string]struct {
		prepare func(*dockertest.Engine) (host string)
		want    []string
	}{
		"no socket": {
			func(*dockertest.Engine) string { return "unix://" + gone },
			[]string{"reach Docker at unix://" + gone + ": no such file or directory; is Docker running, or is DOCKER_HOST wrong?"},
		},
		"nobody listens": {
			func(*dockertest.Engine) string { return "tcp://127.0.0.1:1" },
			[]string{"reach Docker at tcp://127.0.0.1:1: connection refused; is Docker running?"},
		},
		"a proxy that does not allow it": {
			func(e *dockertest.Engine) string {
				e.SetFault(dockertest.ListContainers, dockertest.Fault{Status: 403})
				return e.Host()
			},
			[]string{"list containers of Docker at ", "the fence needs it: allow GET /containers/json in the socket proxy"},
		},
		"an Engine that does not answer": {
			func(e *dockertest.Engine) string {
				e.SetFault(dockertest.ListContainers, dockertest.Fault{Wait: make(chan struct{})})
				return e.Host()
			},
			[]string{"list containers of Docker at ", "no answer within 1s; is Docker overloaded or stuck?"},
		},
		"an answer cut short": {
			func(e *dockertest.Engine) string {
				e.SetFault(dockertest.ListContainers, dockertest.Fault{Cut: true})
				return e.Host()
			},
			[]string{"list containers of Docker at ", "cut short", "did Docker stop"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			host := tt.prepare(dockertest.New(t))
			_, err := client(t, docker.Options{Host: host, Timeout: time.Second}).List(t.Context())
			for _, want := range tt.want {
				mention(t, err, want)
			}
		})
	}
}

func TestHostIsTakenFromTheEnvironment(t *testing.T) {
	e := dockertest.New(t)
	t.Setenv("DOCKER_HOST", e.Host())
	c := client(t, docker.Options{})
	list(t, c)
	if c.Host() != e.Host() {
		t.Errorf("host %q", c.Host())
	}
	t.Setenv("DOCKER_HOST", "")
	if c := client(t, docker.Options{}); c.Host() != "unix:///var/run/docker.sock" {
		t.Errorf("default host %q", c.Host())
	}
}

func TestBadHostsAreRefusedAtOnce(t *testing.T) {
	for _, host := range []string{"/var/run/docker.sock", "ssh://box", "tcp://", "npipe:////./pipe/docker_engine", "unix://"} {
		_, err := docker.New(docker.Options{Host: host})
		mention(t, err, "want unix:///path/to/docker.sock or tcp://host:port")
	}
}

func TestTCPWithAPath(t *testing.T) {
	s := httptest.NewServer(http.StripPrefix("/docker", dockertest.New(t)))
	t.Cleanup(s.Close)
	f := &followed{t: t, kicked: make(chan struct{}, 1)}
	f.Client = client(t, docker.Options{Host: "tcp://" + s.Listener.Addr().String() + "/docker"})
	f.run()
	f.next()
	if !f.Connected() {
		t.Error("no event stream")
	}
}

func TestTLSAsTheDockerCommandDoesIt(t *testing.T) {
	e := dockertest.New(t)
	s := serveTLS(t, e)
	host := "tcp://" + s.Listener.Addr().String()
	right, wrong := t.TempDir(), t.TempDir()
	certificate(t, right, s.Certificate().Raw)
	certificate(t, wrong, nil)
	tests := map[string]struct{ dir, verify, err string }{
		"verified":               {right, "1", ""},
		"not verified":           {wrong, "", ""},
		"signed by a stranger":   {wrong, "1", "DOCKER_CERT_PATH"},
		"no certificates at all": {"", "", "HTTPS server"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKER_CERT_PATH", tt.dir)
			t.Setenv("DOCKER_TLS_VERIFY", tt.verify)
			_, err := client(t, docker.Options{Host: host}).List(t.Context())
			mention(t, err, tt.err)
		})
	}
	t.Setenv("DOCKER_CERT_PATH", t.TempDir())
	_, err := docker.New(docker.Options{Host: host})
	mention(t, err, "check DOCKER_CERT_PATH and DOCKER_TLS_VERIFY")
}

func TestTheEventStreamGoesByTLSToo(t *testing.T) {
	e := dockertest.New(t)
	s := serveTLS(t, e)
	dir := t.TempDir()
	certificate(t, dir, s.Certificate().Raw)
	t.Setenv("DOCKER_CERT_PATH", dir)
	t.Setenv("DOCKER_TLS_VERIFY", "1")
	f := &followed{t: t, engine: e, kicked: make(chan struct{}, 1)}
	f.Client = client(t, docker.Options{Host: "tcp://" + s.Listener.Addr().String()})
	f.run()
	f.next()
	e.Create(box("app", "created"))
	if _, ok := find(f.next(), "app"); !ok {
		t.Error("the event did not arrive")
	}
}

func serveTLS(t *testing.T, e *dockertest.Engine) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(e)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0) // the failed handshakes are the test
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// certificate writes a client's key pair and, as ca.pem, what it trusts: ca, or itself.
func certificate(t *testing.T, dir string, ca []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	self, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if ca == nil {
		ca = self
	}
	for name, b := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: ca}, "cert.pem": {Type: "CERTIFICATE", Bytes: self}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// mention wants an error that says so; "" wants none.
func mention(t *testing.T, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}
