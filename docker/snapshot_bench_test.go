package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
)

// BenchmarkHost is what each List does whatever it has read.
func BenchmarkHost(b *testing.B) {
	s := snapshot{containers: map[string]Container{}, networks: map[string]Network{}, ended: map[string]struct{}{}}
	network := Network{ID: "n"}
	for i := range 1000 {
		sum := sha256.Sum256(fmt.Append(nil, i))
		c := Container{ID: hex.EncodeToString(sum[:]), Labels: map[string]string{}, Networks: []string{"n"}}
		for j := range 10 {
			c.Labels[fmt.Sprint("label", j)] = "x"
		}
		s.containers[c.ID] = c
		network.Endpoints = append(network.Endpoints, Endpoint{ContainerID: c.ID, EndpointID: c.ID})
	}
	s.networks["n"] = network
	own := newInspector()
	b.ReportAllocs()
	for b.Loop() {
		if h := s.host(own.complete); len(h.Containers) != 1000 {
			b.Fatal("containers are missing")
		}
	}
}
