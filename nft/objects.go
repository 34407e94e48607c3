package nft

// Objects is the tables as data, for programs: everything by name, rules and elements as nft text.
type Objects struct {
	Table    string        `json:"table"`
	Counters []string      `json:"counters"`
	Sets     []SetObject   `json:"sets"`
	Chains   []ChainObject `json:"chains"`
	Ports    *Objects      `json:"ports,omitempty"` // table bridge dockerwall, if it stands
}

// SetObject is a set or, with Map, a verdict map.
type SetObject struct {
	Name     string   `json:"name"`
	Map      bool     `json:"map,omitempty"`
	Type     []string `json:"type"`
	Flags    string   `json:"flags,omitempty"`
	Elements []string `json:"elements,omitempty"`
}

// ChainObject is a chain with its rules in order.
type ChainObject struct {
	Name  string   `json:"name"`
	Hook  string   `json:"hook,omitempty"`
	Rules []string `json:"rules"`
}

// Objects lists t.
func (t Table) Objects() Objects {
	out := objectsOf("inet "+TableName, t.Fragments)
	if t.Ports != nil {
		ports := objectsOf(portsTableName, t.Ports)
		out.Ports = &ports
	}
	return out
}

func objectsOf(name string, fragments []*Fragment) Objects {
	out := Objects{Table: name}
	for _, f := range fragments {
		out.Counters = append(out.Counters, f.Counters...)
		for _, s := range f.Sets {
			out.Sets = append(out.Sets, s.object())
		}
		for _, c := range f.Chains {
			out.Chains = append(out.Chains, c.object())
		}
	}
	return out
}

func (s Set) object() SetObject {
	out := SetObject{Name: s.Name, Map: s.Verdicts, Flags: s.flags()}
	for _, t := range s.Types {
		out.Type = append(out.Type, t.String())
	}
	for _, e := range s.Elements {
		out.Elements = append(out.Elements, s.formatElement(e))
	}
	return out
}

func (c Chain) object() ChainObject {
	out := ChainObject{Name: c.Name, Rules: []string{}}
	if c.Hook != NoHook {
		out.Hook = c.Hook.String()
	}
	for _, r := range c.Rules {
		out.Rules = append(out.Rules, r.String())
	}
	return out
}
