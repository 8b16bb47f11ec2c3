package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// refreshClaims is what a refresh token says.
type refreshClaims struct {
	user        string
	family, jti string
	iat, exp    time.Time
	carried     json.RawMessage // the claims of the access tokens that it buys
}

// Refresh takes a refresh token, spends it, and returns an access token and the next refresh token, of the same family. Both
// have its user, level and other claims; the access token lives for expiresIn, the refresh token as long as the first one of
// its family was meant to. Of those who come with the same token at the same time one gets something, and since the others
// come with a token that is spent, what he gets is worthless too.
//
// What is spent and what is revoked is safe before Refresh returns, and ctx bounds the wait for others to be. The
// error is a *message.Error: CodeAuthRequired where there is no token, CodeAuthExpired where it has run out, CodeUnavailable
// where it is as good as before and may be tried again, or where this engine issues no tokens, else CodeAuthFailed.
func (a *Auth) Refresh(ctx context.Context, token string) (access, refresh string, expiresIn time.Duration, err error) {
	k := a.fixed.signer()
	if a.families == nil || k == nil {
		return "", "", 0, message.Errorf(message.CodeUnavailable, "no tokens are issued here; renew yours where you got it")
	}
	c, err := a.readRefresh(ctx, token)
	if err != nil {
		return "", "", 0, err
	}
	// A spent token must not cost two signatures each time it comes.
	if _, err := a.families.judge(ctx, c); err != nil && !errors.Is(err, errReused) {
		return "", "", 0, err
	}
	// Both are made before the old one is spent, so that no client loses its login to what cannot be signed.
	if access, err = a.Issue(Spec{UserID: c.user, Claims: c.carried}); err != nil {
		return "", "", 0, message.AsError(err)
	}
	refresh, jti, expires, err := a.successor(k, c)
	if err != nil {
		return "", "", 0, message.AsError(err)
	}
	if err := a.families.spend(ctx, c, jti, expires); err != nil {
		if errors.Is(err, errReused) {
			a.onReuse(c.user)
		}
		return "", "", 0, err
	}
	return access, refresh, a.cfg.AccessTTL, nil
}

// successor makes the refresh token that takes the place of one that is spent.
func (a *Auth) successor(k *key, c *refreshClaims) (token, jti string, expires time.Time, err error) {
	set, err := a.claimsOf(Spec{UserID: c.user, Claims: c.carried, Refresh: true})
	if err != nil {
		return "", "", expires, err
	}
	jti = rand.Text()
	expires = a.now().Truncate(time.Second).Add(min(c.exp.Sub(c.iat), a.refreshLife()))
	set["family"], set["jti"], set["exp"] = c.family, jti, expires.Unix()
	token, err = k.issue(set)
	return token, jti, expires, err
}

// refreshLife is how long after its iat no refresh token is good: iat is rounded down, and exp up.
func (a *Auth) refreshLife() time.Duration { return a.cfg.RefreshTTL + time.Second }

// readRefresh checks a refresh token as far as that needs no records.
func (a *Auth) readRefresh(ctx context.Context, token string) (*refreshClaims, error) {
	if absent(token) {
		return nil, message.Errorf(message.CodeAuthRequired, "a refresh token is needed")
	}
	if len(token) > a.cfg.TokenKiBMax<<10 {
		return nil, refuse("it is larger than %d KiB", a.cfg.TokenKiBMax)
	}
	raw, err := a.open(ctx, token)
	if err != nil {
		return nil, err
	}
	if len(raw) > a.cfg.ClaimsKiBMax<<10 {
		return nil, refuse("its claims are larger than %d KiB", a.cfg.ClaimsKiBMax)
	}
	var c claims
	if err := c.parse(raw); err != nil {
		return nil, refuse("%v", err)
	}
	r, err := readFamily(raw)
	if err != nil {
		return nil, refuse("%v", err)
	}
	if err := a.validator.Validate(&c); err != nil {
		return nil, refuseClaims(err)
	}
	id, err := c.identity(raw, a.cfg.Leeway)
	if err != nil {
		return nil, refuse("%v", err)
	}
	if c.iat == nil || !c.iat.Before(c.exp.Time) {
		return nil, refuse("its iat is missing, or not before its exp")
	}
	r.user, r.iat, r.exp = id.UserID, c.iat.Time, c.exp.Time
	if a.now().After(r.iat.Add(a.refreshLife() + a.cfg.Leeway)) {
		return nil, message.Errorf(message.CodeAuthExpired, "the token has expired; get a new one")
	}
	return r, nil
}

// readFamily reads what only refresh tokens have. They are those that say so the way this package does, which another
// issuer's do not.
func readFamily(raw []byte) (*refreshClaims, error) {
	var r refreshClaims
	typ := ""
	carried := bytes.NewBufferString("{")
	err := members(raw, func(name, value []byte) (err error) {
		switch string(name) {
		case "typ":
			typ, err = stringOf(value)
		case "family":
			r.family, err = stringOf(value)
		case "jti":
			r.jti, err = stringOf(value)
		}
		if err != nil || reserved(string(name)) || saysRefresh(name, value) {
			return err
		}
		if carried.Len() > 1 {
			carried.WriteByte(',')
		}
		quoted, err := json.Marshal(string(name))
		carried.Write(quoted)
		carried.WriteByte(':')
		carried.Write(value)
		return err
	})
	carried.WriteByte('}')
	r.carried = carried.Bytes()
	switch {
	case err != nil:
		return nil, err
	case typ != "refresh":
		return nil, errors.New("it is no refresh token")
	case !validFamily(r.family) || !validFamily(r.jti):
		return nil, errors.New("it has no family and jti as refresh tokens that are issued here have")
	}
	return &r, nil
}

// saysRefresh reports whether a claim is another way to say that a token is a refresh token.
func saysRefresh(name, value []byte) bool {
	if n := string(name); n != "type" && n != "token_type" {
		return false
	}
	text, err := textOf(value)
	return err == nil && strings.EqualFold(string(text), "refresh")
}

// validFamily reports whether s has the form of what rand.Text makes, generously: it becomes a part of a key.
func validFamily(s string) bool {
	const bytesMin, bytesMax = 16, 64
	if len(s) < bytesMin || len(s) > bytesMax {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// RevokeUser makes every refresh token of a user that was issued up to now worthless, also those that were never used, and
// also one that is issued within the same second. His access tokens live on until they run out. The error is a
// *message.Error; then nothing is revoked.
func (a *Auth) RevokeUser(ctx context.Context, user string) error {
	if err := checkUserID(user); err != nil {
		return err
	}
	if a.families == nil {
		return message.Errorf(message.CodeUnavailable, "no refresh tokens are recorded here")
	}
	return a.families.revoke(ctx, user, a.refreshLife())
}

// RefreshStats is what became of refresh tokens since the start.
type RefreshStats struct {
	Families  int    // recorded; 0 where records are shared
	Renewed   uint64 // tokens that bought others
	Reused    uint64 // families revoked because a token came again
	Forgotten uint64 // records of tokens that have run out
}

// RefreshStats returns the figures of refresh tokens.
func (a *Auth) RefreshStats() RefreshStats {
	f := a.families
	if f == nil {
		return RefreshStats{}
	}
	return RefreshStats{
		Families: int(f.recorded.Load()), Renewed: f.renewed.Load(), Reused: f.reused.Load(), Forgotten: f.forgotten.Load(),
	}
}
