package page

import (
	"bytes"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/chromium"
)

var screenshots = flag.String("screenshots", "", "write what the browser shows into this directory")

// contrast is the lowest contrast ratio (WCAG 2.2) of any text against what is behind it, and that text.
const contrast = `(() => {
	const channel = v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 };
	const rgba = s => { const m = s.match(/[\d.]+/g).map(Number); return m.length > 3 ? m : [...m, 1] };
	const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
	const behind = e => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c } return [255, 255, 255, 1] };
	let low = {Ratio: 99, Text: "", Seen: 0};
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement, text = walk.currentNode.data.trim();
		if (!text || e.closest("svg, style")) continue;
		const [a, b] = [light(rgba(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);
		low.Seen++;
		if (ratio < low.Ratio) { low.Ratio = ratio; low.Text = text }
	}
	return low;
})()`

// TestAPersonCanReadThePage looks at it in a real browser.
func TestAPersonCanReadThePage(t *testing.T) {
	longest := shop()
	fill(reflect.ValueOf(&longest), strings.Repeat("W<b>", 200))
	pages := map[string]Page{"/": shop(), "/longest": longest}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", Policy())
		_ = Render(w, pages[r.URL.Path])
	}))
	defer server.Close()
	browser := chromium.ForTest(t)
	for name, look := range map[string]struct {
		path string
		view chromium.View
	}{
		"light":                     {"/", chromium.View{Width: 1280, Height: 1250}},
		"dark":                      {"/", chromium.View{Width: 1280, Height: 1250, Dark: true}},
		"narrow":                    {"/", chromium.View{Width: 390, Height: 844}},
		"with endless texts":        {"/longest", chromium.View{Width: 1280, Height: 1250, Dark: true}},
		"narrow, with endless ones": {"/longest", chromium.View{Width: 390, Height: 844}},
	} {
		t.Run(name, func(t *testing.T) {
			tab, err := browser.Open(t.Context(), server.URL+look.path, look.view)
			if err != nil {
				t.Fatal(err)
			}
			if *screenshots != "" && look.path == "/" {
				keep(t, tab, name)
			}
			readable(t, tab, look.view)
			if complaints := tab.Complaints(); len(complaints) > 0 {
				t.Errorf("the browser complains: %q", complaints)
			}
		})
	}
}

// readable fails unless all of the page, with everything unfolded, fits its width and stands out from what is behind it.
func readable(t *testing.T, tab *chromium.Tab, view chromium.View) {
	t.Helper()
	var seen struct {
		Unfolded, Wide int
		Margin, Back   string
		Low            struct {
			Ratio float64
			Text  string
			Seen  int
		}
	}
	err := tab.Eval(t.Context(), `({
		Unfolded: [...document.querySelectorAll("details")].map(d => d.open = true).length,
		Wide: document.documentElement.scrollWidth,
		Margin: getComputedStyle(document.body).marginTop,
		Back: getComputedStyle(document.body).backgroundColor,
		Low: `+contrast+`
	})`, &seen)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d px wide, lowest contrast %.2f (%.20q), %d texts", seen.Wide, seen.Low.Ratio, seen.Low.Text, seen.Low.Seen)
	if seen.Wide > view.Width {
		t.Errorf("%d px wide, of %d", seen.Wide, view.Width)
	}
	if seen.Margin != "0px" || seen.Unfolded < 2 {
		t.Errorf("the style sheet does not count (margin %s), or nothing is folded (%d)", seen.Margin, seen.Unfolded)
	}
	if seen.Low.Ratio < 4.5 || seen.Low.Seen < 100 {
		t.Errorf("contrast %.2f of %q, of %d texts", seen.Low.Ratio, seen.Low.Text, seen.Low.Seen)
	}
	if (seen.Back == "rgb(251, 251, 250)") == view.Dark {
		t.Errorf("dark is %v, and the page %s", view.Dark, seen.Back)
	}
}

// keep writes the screenshot, named after what it shows.
func keep(t *testing.T, tab *chromium.Tab, name string) {
	t.Helper()
	png, err := tab.Screenshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(png) > 200_000 {
		t.Errorf("a screenshot of %d bytes", len(png))
	}
	if err := os.WriteFile(filepath.Join(*screenshots, "status-page-"+name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestATextBrowserCanReadThePage looks for what would run together where nothing is drawn.
func TestATextBrowserCanReadThePage(t *testing.T) {
	program, err := exec.LookPath("w3m")
	if err != nil {
		lab.Cannot(t, "needs w3m")
	}
	w3m := exec.CommandContext(t.Context(), program, "-dump", "-cols", "300", "-T", "text/html")
	w3m.Env = []string{"HOME=" + t.TempDir(), "LC_ALL=C.UTF-8"}
	w3m.Stdin = bytes.NewReader(rendered(t, shop()))
	out, err := w3m.Output()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(out)), " ")
	for _, want := range []string{
		"dockerwall DEGRADED", "Table committed 12 s ago", "Denied, last hour 162 packets", "shop-web-1 enforced", "482,113 391 MB", "214 13 kB", "214, at most 61",
		"api.stripe.com 203.0.113.10 51 s, 203.0.113.11 51 s,", "write hooks.example.org:443", "11:59:49 shop-worker-1 hooks.example.org 203.0.113.52 443/tcp 18 no rule hooks.example.org:443",
		"dockerwall.outbound: proxy.example.org:443, *.pkg.example.net:443, 203.0.113.9:22/tcp",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
