package admin

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

//go:embed page/page.html
var pageHTML string

//go:embed page/page.js
var pageScript string

//go:embed page/page.css
var pageStyle string

// page is the operators' page: one document, so that it comes whole with the refusal that asks for a token, and with a
// policy that lets nothing else run or load.
type page struct {
	body   []byte
	policy string
}

func newPage() *page {
	body := strings.NewReplacer("/*style*/", pageStyle, "/*script*/", pageScript).Replace(pageHTML)
	return &page{
		body: []byte(body),
		policy: fmt.Sprintf("default-src 'none'; script-src '%s'; style-src '%s'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			digest(pageScript), digest(pageStyle)),
	}
}

// digest returns text as a source in a content security policy.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (p *page) serve(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, _ = w.Write(p.body) // a client that has gone is nobody's error
}
