// Package docker tells what runs on this host: containers, networks, and which container has
// which address on which bridge. It is the one place that speaks to the Docker Engine.
//
// # What is asked
//
// Only GET and HEAD, so a read-only socket proxy is enough; any other method is refused before it
// leaves the process. The endpoints are:
//
//	HEAD|GET /_ping             API version, negotiated at each connect: 1.41 (Docker 20.10) and up
//	GET /events                 hints, see below
//	GET /containers/json        names, labels, image, state, network mode
//	GET /networks               the networks there are
//	GET /networks/{id}          endpoints: addresses, MAC, endpoint ID
//	GET /images/json            labels that images bring along
//	GET /containers/{id}/json   only --dns, capabilities and the restart policy, beside everything else
//	GET /services               labels of Swarm's services, for the status of a host that runs tasks; not needed
//
// An address is taken from the network's inspect: it is there 2 to 11 ms after the event "network
// connect", before the container's first packet, while /containers/json shows it only once the
// container runs. A container's inspect blocks until the container has started (its lock is held;
// measured on 20.10.24 and 29.7.2), so nothing on the way from a start to a rule waits for it.
// docker_gwbridge, by which Swarm tasks leave the host, sends no events of its own and appears in no
// container's inspect; its endpoints come from its network inspect, read again with any other network's.
// Only fields that every API version from 1.41 to 1.52 has are used.
//
// # Events are only hints
//
// The Engine keeps 256 events and drops what a slow reader does not take, silently. So an event
// never carries a fact here: it marks what to read again and kicks whoever called Run. The next List
// reads what is marked and answers the rest from its cache. A first call, a reconnect and Invalidate
// mark everything, and without a live event stream every List reads everything. The one exception
// takes away, never adds: a container's "die" ends its state "running" and the endpoints it had until
// then, because Docker up to 27 changes them only some time later.
//
// # Failure
//
// A List that meets an error returns it and no Host; the cache and the marks stay as they were. What
// vanishes while it is being read (a removed network answers 404) is normal and simply not there.
package docker
