package page

import (
	"cmp"
	"strconv"
)

func (w writer) containers(v view) {
	w.put(`
<section>
<h2>Containers</h2>`)
	if len(v.Containers) == 0 {
		w.put(`
<p class="dim">None runs.</p>
</section>`)
		return
	}
	w.put(`
<table class="containers">
<thead><tr><th>Container</th><th>May reach</th><th class="n">Sent</th><th class="n">Denied</th><th>Denied, 24 h</th></tr></thead>
<tbody>`)
	for _, c := range v.Containers {
		w.container(c)
	}
	w.put(`
</tbody>
</table>`)
	if v.Folded > 0 {
		w.put(`
<p class="dim">and {} more, fewer mistakes and denials first to be left out: <a href="/api/v1/status">all of them</a></p>`, strconv.Itoa(v.Folded))
	}
	w.put(`
</section>`)
}

func (w writer) container(c container) {
	w.put(`
<tr>
<td class="who"><b>{}</b> <span class="state {}"><i></i>{}</span>`, c.Name, c.State.Class, c.State.Word)
	w.some(`<p class="dim">{}</p>`, c.Why)
	w.put(`
<p class="dim">`)
	w.some(`{}; `, c.Stack)
	w.put(`{}</p></td>
<td class="what" data-label="May reach">`, cmp.Or(c.Networks, "no network"))
	w.some(`<code>{}</code>`, c.Label)
	if c.Label == "" {
		w.put(`<span class="dim">no label</span>`)
	}
	if len(c.Findings) > 0 {
		w.put(`
<ul>`)
		w.findings(c.Findings)
		w.put(`</ul>`)
	}
	if len(c.Names) > 0 {
		w.names(c)
	}
	w.put(`</td>
<td class="n" data-label="Sent">{} <small>{}</small></td>
<td class="n" data-label="Denied">{} <small>{}</small></td>
<td class="day" data-label="Denied, 24 h">`, c.Sent, c.SentBytes, c.Denied, c.DeniedBytes)
	w.spark(c.History)
	w.put(`</td>
</tr>`)
}

// names are folded, for a container may have many.
func (w writer) names(c container) {
	w.put(`
<details><summary>{}</summary>
<ul>`, c.Summary)
	for _, n := range c.Names {
		w.put(`
<li>`)
		if n.Deny {
			w.put(`<span class="bad">denied:</span> `)
		}
		w.some(`<code>{}</code>`, n.Name)
		for i, a := range n.Addrs {
			w.either(i > 0, `, `, ` `)
			w.put(`<span class="addr">{}`, a.Addr)
			w.some(` <small>{}</small>`, a.Left)
			w.put(`</span>`)
		}
		w.some(` <span class="dim">{}</span>`, n.Note)
		w.put(`</li>`)
	}
	w.put(`
</ul></details>`)
}

func (w writer) spark(s *spark) {
	if s == nil {
		w.put(`<span class="dim">not available</span>`)
		return
	}
	w.put(`<svg viewBox="0 0 192 24" role="img"><title>{}</title><path class="base" d="M0 23.5h192"/>`, s.Text)
	w.some(`<path d="{}"/>`, s.Path)
	w.put(`</svg><small>{}</small>`, s.Short)
}
