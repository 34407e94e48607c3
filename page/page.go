package page

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"github.com/dockerwall/dockerwall/api"
)

// Page is what one page shows. A part that is nil is said to be not available.
type Page struct {
	Now         time.Time
	Live        bool // the page is loaded again by itself, which is up to who serves it
	Status      *api.Status
	Denials     []api.Denial // oldest first
	Suggestions []api.Suggestion
}

// Render writes the page as HTML in UTF-8. It writes nothing but errors of w's when w fails.
func Render(w io.Writer, p Page) error {
	to := newWriter(w)
	to.document(newView(p))
	if err := to.out.Flush(); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// Policy is the Content-Security-Policy that the page works under: nothing is loaded, run or framed, and of styles only
// its own counts.
func Policy() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
}
