package auth

import "strings"

// TokenFrom picks the token of a handshake in the order of PROTOCOL §2.2: the query parameter token, the Authorization
// header of scheme Bearer, the cookie access_token. query is the parameter's value, decoded; authorization and cookie are
// the whole headers. The literals that clients send for no token (see [Auth.Verify]) count as none, in each place. It
// returns "" where there is no token.
func TokenFrom(query, authorization, cookie string) string {
	if !absent(query) {
		return strings.TrimSpace(query)
	}
	if scheme, token, ok := strings.Cut(strings.TrimSpace(authorization), " "); ok && strings.EqualFold(scheme, "bearer") {
		if !absent(token) {
			return strings.TrimSpace(token)
		}
	}
	for cookie != "" {
		var pair string
		pair, cookie, _ = strings.Cut(cookie, ";")
		name, token, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if ok && name == "access_token" {
			if token = strings.Trim(token, `"`); !absent(token) {
				return token
			}
		}
	}
	return ""
}

// absent reports whether a token is none: empty, or one of the words that scripts send when they have no token to send.
func absent(token string) bool {
	token = strings.TrimSpace(token)
	switch len(token) {
	case 0:
		return true
	case len("undefined"):
		return strings.EqualFold(token, "undefined")
	case len("null"):
		return strings.EqualFold(token, "null")
	case len("bearer"):
		return strings.EqualFold(token, "bearer")
	}
	return false
}
