package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// ready says that an act without an end stands.
func (a act) ready() error {
	return json.NewEncoder(os.Stdout).Encode(result.Result{Act: strings.Join(a.args, " "), Outcome: result.OK})
}

func (a act) listen(*result.Result) error {
	if a.args[1] == "udp" {
		return a.listenUDP()
	}
	listener, err := net.Listen("tcp", ":"+a.args[2])
	if err != nil {
		return err
	}
	if err := a.ready(); err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}()
	}
}

func (a act) listenUDP() error {
	conn, err := net.ListenPacket("udp", ":"+a.args[2])
	if err != nil {
		return err
	}
	if err := a.ready(); err != nil {
		return err
	}
	buf := make([]byte, 65536)
	for {
		n, from, err := conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err == nil {
			_, _ = conn.WriteTo(buf[:n], from)
		}
	}
}

func (a act) serve(*result.Result) error {
	port := "8080"
	if len(a.args) > 1 {
		port = a.args[1]
	}
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	if err := a.ready(); err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(hello)}
	return server.Serve(listener)
}

func hello(w http.ResponseWriter, r *http.Request) {
	name, _ := os.Hostname()
	_, _ = fmt.Fprintf(w, "%s says hello to %s\n", name, r.RemoteAddr)
}

func (a act) sleep(*result.Result) error {
	if len(a.args) == 1 {
		for {
			time.Sleep(time.Hour)
		}
	}
	d, err := time.ParseDuration(a.args[1])
	time.Sleep(d)
	return err
}
