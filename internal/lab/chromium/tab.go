package chromium

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

const patience = 30 * time.Second

// View is how a page is looked at.
type View struct {
	Width, Height int // CSS pixels
	Dark          bool
}

// Tab is one page.
type Tab struct {
	b       *Browser
	session string
}

// Open loads a page and waits until it has loaded.
func (b *Browser) Open(ctx context.Context, url string, view View) (*Tab, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var target struct{ TargetID string }
	if err := b.call(ctx, "", "Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		return nil, err
	}
	var attached struct{ SessionID string }
	if err := b.call(ctx, "", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached); err != nil {
		return nil, err
	}
	tab := &Tab{b, attached.SessionID}
	if err := tab.prepare(ctx, view); err != nil {
		return nil, err
	}
	var to struct{ ErrorText string }
	if err := tab.call(ctx, "Page.navigate", map[string]any{"url": url}, &to); err != nil {
		return nil, err
	}
	if to.ErrorText != "" {
		return nil, fmt.Errorf("open %s: %s", url, to.ErrorText)
	}
	return tab, tab.loaded(ctx)
}

func (t *Tab) call(ctx context.Context, method string, params, out any) error {
	return t.b.call(ctx, t.session, method, params, out)
}

func (t *Tab) prepare(ctx context.Context, view View) error {
	scheme := map[bool]string{false: "light", true: "dark"}[view.Dark]
	for _, c := range []struct {
		method string
		params map[string]any
	}{
		{"Page.enable", map[string]any{}}, {"Runtime.enable", map[string]any{}}, {"Log.enable", map[string]any{}}, {"Audits.enable", map[string]any{}},
		{"Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": scheme}}}},
		{"Emulation.setDeviceMetricsOverride", map[string]any{"width": view.Width, "height": view.Height, "deviceScaleFactor": 1, "mobile": view.Width < 600}},
	} {
		if err := t.call(ctx, c.method, c.params, nil); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tab) loaded(ctx context.Context) error {
	for ctx.Err() == nil {
		var ready bool
		if err := t.Eval(ctx, `document.readyState === "complete" && location.href !== "about:blank"`, &ready); err != nil {
			return err
		}
		if ready {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	return errNoLoad
}

// Eval reads the value of an expression in JavaScript, which the page's own policy does not bind, into out.
func (t *Tab) Eval(ctx context.Context, expression string, out any) error {
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Exception struct{ Description string }
		}
	}
	if err := t.call(ctx, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &answer); err != nil {
		return err
	}
	if e := answer.ExceptionDetails; e != nil {
		return fmt.Errorf("evaluate: %s", e.Exception.Description)
	}
	return json.Unmarshal(answer.Result.Value, out)
}

// Screenshot is what the view shows, as PNG.
func (t *Tab) Screenshot(ctx context.Context) ([]byte, error) {
	var answer struct{ Data []byte } // base64, as encoding/json has it
	err := t.call(ctx, "Page.captureScreenshot", map[string]any{"format": "png"}, &answer)
	return answer.Data, err
}

// Complaints are what the browser holds against the page so far: errors, warnings, violated policies, exceptions.
func (t *Tab) Complaints() (out []string) {
	for _, method := range []string{"Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Audits.issueAdded"} {
		for _, params := range t.b.events(t.session, method) {
			out = append(out, method+" "+string(params))
		}
	}
	return out
}
