package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// guard decides who may ask. It passes on to next what may pass.
func (s *Server) guard(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(s.cfg.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		switch {
		case s.cfg.Token == "" && foreign(r):
			refuse(w, http.StatusForbidden, codeForeign,
				"the admin API without a token answers only requests to a loopback host that come from no other web page; set admin.token for more")
		case s.cfg.Token != "" && r.URL.Path != "/metrics" && !authorized(r, want):
			s.unauthorized(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// unauthorized asks for the token. The page comes along with the refusal, because a browser cannot send a token with the
// address it is given; it holds nothing but the form that asks for one.
func (s *Server) unauthorized(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="wse admin"`)
	if r.URL.Path == "/" && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
		s.page.serve(w, http.StatusUnauthorized)
		return
	}
	refuse(w, http.StatusUnauthorized, codeUnauthorized, "send the header Authorization: Bearer with the value of admin.token")
}

// authorized compares digests, so that neither time nor length tells anything about the token.
func authorized(r *http.Request, want [sha256.Size]byte) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// foreign reports whether r was sent by a web page that is not ours, or to a name that is not this machine's own: a page
// whose name was made to point here would send that name.
func foreign(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	if !isLoopback(strings.ToLower(host)) {
		return true
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || u.Scheme != "http" || !strings.EqualFold(u.Host, r.Host)
}
