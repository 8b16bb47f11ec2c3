package target

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/swarm"
)

// tokenLife is longer than any run.
const tokenLife = 12 * time.Hour

// Token returns an HS256 access token for user, of the permission level trader.
func Token(secret []byte, user string, now time.Time) string {
	return tokenOf(secret, user, "trader", now)
}

func tokenOf(secret []byte, user, level string, now time.Time) string {
	claims, err := json.Marshal(map[string]any{
		"sub": user, "iat": now.Unix(), "exp": now.Add(tokenLife).Unix(), "permission_level": level,
	})
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(claims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Request returns the upgrade request of a client called user for topics, a comma-separated list. Peers ignore the
// token.
func (s *Server) Request(user, topics string) []byte {
	query := url.Values{"topics": {topics}}
	if s.Name == "wse" {
		query.Set("token", Token(s.Secret, user, time.Now()))
		query.Set("compression", "false")
	}
	return swarm.UpgradeRequest("/wse?" + query.Encode())
}

// RequestForm returns the upgrade request of a client of wse called user for topics, with a query and extensions that say
// which form messages are to have.
func (s *Server) RequestForm(user, topics string, form url.Values, extensions string) []byte {
	query := maps.Clone(form)
	query.Set("topics", topics)
	query.Set("token", Token(s.Secret, user, time.Now()))
	request := swarm.UpgradeRequest("/wse?" + query.Encode())
	if extensions == "" {
		return request
	}
	return fmt.Appendf(request[:len(request)-len("\r\n")], "Sec-WebSocket-Extensions: %s\r\n\r\n", extensions)
}

// RequestV1 returns the upgrade request of a client called user that speaks protocol v1 and may see signals.
func (s *Server) RequestV1(user string) []byte { return swarm.UpgradeRequest(s.pathV1(user)) }

func (s *Server) pathV1(user string) string {
	return "/ws?" + url.Values{"token": {tokenOf(s.Secret, user, "premium", time.Now())}, "compression": {"false"}}.Encode()
}
