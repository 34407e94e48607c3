package page

import (
	_ "embed"
	"strconv"
)

//go:embed page.css
var style markup

func (w writer) document(v view) {
	w.put(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{}</title>
<style>`, v.Title)
	w.put(style)
	w.put(`</style>
</head>
<body>
<header>
<h1>dockerwall</h1>
<p class="badge {}">{}</p>
<nav>
<a href="/metrics">Metrics</a>
<span>JSON: <a href="/api/v1/status">status</a>, <a href="/api/v1/denials?last=100">denials</a>, <a href="/api/v1/suggestions">suggestions</a></span>
`, v.State.Class, v.State.Word)
	w.either(v.Live, `<a href="/">Stop reloading</a>`, `<a href="/?live=1">Reload by itself</a>`)
	w.put(`
</nav>
</header>
<main>`)
	if v.Status {
		w.strip(v)
		w.containers(v)
	} else {
		w.put(`
<p class="dim">The status is not available.</p>`)
	}
	w.denials(v)
	if v.Audit {
		w.suggestions(v)
	}
	w.put(`
</main>
<footer class="dim">{}</footer>
</body>
</html>
`, v.At)
}

// strip is the facts at the top, and what is to be put right beyond containers.
func (w writer) strip(v view) {
	w.put(`
<dl class="strip">`)
	for _, f := range v.Facts {
		w.put(`
<div><dt>{}</dt><dd>{}`, f.Name, f.Value)
		w.some(` <small>{}</small>`, f.Note)
		w.put(`</dd></div>`)
	}
	w.put(`
</dl>`)
	w.changes(v.Changes)
	if len(v.Degraded)+len(v.Host) == 0 {
		return
	}
	w.put(`
<section class="notes">
<h2>To put right</h2>
<ul>`)
	for _, d := range v.Degraded {
		w.put(`
<li class="bad">{}</li>`, d)
	}
	w.findings(v.Host)
	w.put(`
</ul>
</section>`)
}

// changes are what was changed at run time of the host, and of modes for a while.
func (w writer) changes(list []string) {
	if len(list) == 0 {
		return
	}
	w.put(`
<section class="notes changes">
<h2>Changed at run time</h2>
<ul>`)
	for _, c := range list {
		w.put(`
<li>{}</li>`, c)
	}
	w.put(`
</ul>
</section>`)
}

func (w writer) findings(list []finding) {
	for _, f := range list {
		w.put(`
<li class="{}">{}`, f.Class, f.Text)
		w.some(`; <span class="dim">{}</span>`, f.Remedy)
		w.put(`</li>`)
	}
}

func (w writer) denials(v view) {
	w.put(`
<section>
<h2>Last denied</h2>`)
	if len(v.Denials) == 0 {
		w.put(`
<p class="dim">`)
		w.either(v.DenialsKnown, `Nothing was denied since the daemon started.`, `Denials are not available.`)
		w.put(`</p>
</section>`)
		return
	}
	w.put(`
<table class="denials">
<thead><tr><th>Time, UTC</th><th>Container</th><th>Destination</th><th>Port</th><th class="n">Packets</th><th>Reason</th><th>Token that would allow it</th></tr></thead>
<tbody>`)
	for _, d := range v.Denials {
		w.denial(d)
	}
	w.put(`
</tbody>
</table>`)
	if v.DenialsMore > 0 {
		w.put(`
<p class="dim">and {} more destinations: <a href="/api/v1/denials?last=1000">all that are remembered</a></p>`, strconv.Itoa(v.DenialsMore))
	}
	w.put(`
</section>`)
}

func (w writer) denial(d denial) {
	w.put(`
<tr>
<td class="time" data-label="Time, UTC">{}</td>
<td data-label="Container"><b>{}</b></td>
<td class="dest" data-label="Destination">`, d.Time, d.Container)
	w.some(`{} `, d.Name)
	w.some(`<span class="addr dim">{}</span>`, d.Addr)
	if d.Name+d.Addr == "" {
		w.put(`<span class="dim">unrecorded</span>`)
	}
	w.put(`</td>
<td class="port" data-label="Port">{}</td>
<td class="n" data-label="Packets">{}</td>
<td data-label="Reason">{}`, d.Port, d.Count, d.Reason)
	if d.Audit {
		w.put(` <span class="tag warn">passed, audit</span>`)
	}
	if d.First {
		w.put(` <span class="tag warn">first seen</span>`)
	}
	w.put(`</td>
<td class="token" data-label="Token">`)
	if d.Token == "" {
		w.put(`<span class="dim">none</span>`)
	}
	w.some(`<code class="copy">{}</code>`, d.Token)
	w.put(`</td>
</tr>`)
}

func (w writer) suggestions(v view) {
	w.put(`
<section>
<h2>Suggestions</h2>
<p class="dim">What containers in audit were seen to send. Look at it before you allow it.</p>`)
	for _, s := range v.Suggestions {
		w.suggestion(s)
	}
	if len(v.Suggestions) == 0 {
		w.put(`
<p class="dim">`)
		w.either(v.SuggestionsKnown, `Nothing to add was seen.`, `Suggestions are not available.`)
		w.put(`</p>`)
	}
	if v.SuggestionsMore > 0 {
		w.put(`
<p class="dim">and {} more containers: <a href="/api/v1/suggestions">all of them</a></p>`, strconv.Itoa(v.SuggestionsMore))
	}
	w.put(`
</section>`)
}

func (w writer) suggestion(s suggestion) {
	w.put(`
<article>
<h3>{} <small>{}</small></h3>`, s.Container, s.Window)
	w.some(`
<p>dockerwall.outbound: <code class="copy">{}</code></p>`, s.Outbound)
	if s.Outbound == "" {
		w.put(`
<p class="dim">The label is too long to be shown: <code>dockerwall suggest</code> prints it.</p>`)
	}
	if len(s.Tokens) > 0 {
		w.put(`
<details><summary>{} new</summary>
<ul>`, strconv.Itoa(len(s.Tokens)))
		for _, t := range s.Tokens {
			w.put(`
<li><code>{}</code> {}, {} packets</li>`, t.Token, t.Why, t.Packets)
		}
		w.put(`
</ul></details>`)
	}
	if len(s.Notes) > 0 {
		w.put(`
<ul>`)
		for _, n := range s.Notes {
			w.put(`
<li class="warn">{}</li>`, n)
		}
		w.put(`
</ul>`)
	}
	w.put(`
</article>`)
}
