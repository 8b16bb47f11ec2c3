package conn

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// ErrOriginPattern is wrapped by the errors about Options.Origins.
var ErrOriginPattern = errors.New("not an origin pattern")

// origins is the list of allowed origins (RFC 6454, RFC 6455 §10.2).
type origins struct {
	any      bool
	patterns []originPattern
}

// originPattern is scheme://host[:port], with a host that may begin with "*.", for one or more labels.
type originPattern struct {
	scheme, host string
	subdomains   bool
}

// parseOrigins reads the patterns of Options.Origins.
func parseOrigins(list []string) (origins, error) {
	var o origins
	var errs []error
	for i, text := range list {
		if text == "*" {
			o.any = true
			continue
		}
		scheme, host, ok := strings.Cut(strings.ToLower(text), "://")
		host, subdomains := strings.CutPrefix(host, "*")
		if !ok || scheme == "" || host == "" || strings.ContainsAny(host, "/*?#@ ") || subdomains && !strings.HasPrefix(host, ".") {
			errs = append(errs, fmt.Errorf("origins[%d]: %w: %q: write https://host[:port], https://*.domain or *", i, ErrOriginPattern, text))
			continue
		}
		o.patterns = append(o.patterns, originPattern{scheme, host, subdomains})
	}
	return o, errors.Join(errs...)
}

// CheckOrigins reports every element of a list of origins that is no pattern. It is the configuration's section origins,
// whose name each fault begins with.
func CheckOrigins(list []string) error {
	_, err := parseOrigins(list)
	return err
}

// allowed reports whether a page of the given origin may connect to host. No origin means that it is no browser.
func (o *origins) allowed(origin, host string) bool {
	if origin == "" || o.any {
		return true
	}
	u, err := url.Parse(strings.ToLower(origin))
	if err != nil || u.Host == "" { // "null" among them
		return false
	}
	if len(o.patterns) == 0 {
		return u.Host == strings.ToLower(host)
	}
	for _, p := range o.patterns {
		if p.scheme == u.Scheme && (p.host == u.Host || p.subdomains && strings.HasSuffix(u.Host, p.host)) {
			return p.subdomains == (p.host != u.Host)
		}
	}
	return false
}
