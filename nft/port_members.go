package nft

import (
	"net/netip"
	"slices"
)

// portMembers are the elements of ports in the sets of the bridge table.
type portMembers struct{ sets [8]Set }

func newPortMembers() *portMembers {
	return &portMembers{[8]Set{
		{Name: setOwn, Types: []keyType{typeIfname, typeMAC}},
		{Name: setMACs, Types: []keyType{typeMAC}},
		{Name: mapAdverts, Types: []keyType{typeIfname}, Verdicts: true},
		{Name: boundSet(v4), Types: []keyType{typeIfname, typeMAC, typeIPv4}},
		{Name: takenSet(v4), Types: []keyType{typeIPv4}},
		{Name: boundSet(v6), Types: []keyType{typeIfname, typeMAC, typeIPv6}},
		{Name: takenSet(v6), Types: []keyType{typeIPv6}},
		{Name: setKnown, Types: []keyType{typeIfname}},
	}}
}

func (m *portMembers) put(i int, e Element) { m.sets[i].Elements = append(m.sets[i].Elements, e) }

func (m *portMembers) add(p Port) {
	name, mac := ifname(p.Name), string(p.MAC[:])
	m.put(0, Element{Key: keyOf(name, mac)})
	m.put(1, Element{Key: mac})
	m.put(2, Element{Key: name, Verdict: Verdict{Jump: portChain(p.MAC)}})
	m.put(7, Element{Key: name})
	bind := func(a netip.Addr) (taken int) {
		i := 3
		if isFamily(a, v6) {
			i = 5
		}
		m.put(i, Element{Key: keyOf(name, mac, addrBytes(a))})
		return i + 1
	}
	for _, a := range p.Addrs {
		m.put(bind(a), Element{Key: addrBytes(a)})
	}
	for _, a := range p.Also { // where it is taken is for the port of that network to say
		bind(a)
	}
}

// addHost adds the host's own on a bridge. The same address may be on several: fe80::1.
func (m *portMembers) addHost(b Bridge) {
	once := func(i int, key string) {
		if !slices.ContainsFunc(m.sets[i].Elements, func(e Element) bool { return e.Key == key }) {
			m.put(i, Element{Key: key})
		}
	}
	if b.MAC != (MAC{}) {
		once(1, string(b.MAC[:]))
	}
	for _, a := range b.Addrs {
		i := 4
		if isFamily(a, v6) {
			i = 6
		}
		once(i, addrBytes(a))
	}
}
