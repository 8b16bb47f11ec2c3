package auth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Spec says what a token to be issued holds.
type Spec struct {
	// UserID becomes sub.
	UserID string
	// TTL is the token's life; 0 means access_ttl or refresh_ttl. That of a refresh token is at most refresh_ttl.
	TTL time.Duration
	// Level becomes permission_level; "" leaves it out.
	Level string
	// Claims is a JSON object with further claims, or nil. Those of a refresh token are those of the access tokens that it
	// buys too, and so is its Level.
	Claims json.RawMessage
	// Refresh makes a refresh token, the first of a new family, instead of an access token.
	Refresh bool
}

// ErrNoSigningKey says that all configured keys are public ones.
var ErrNoSigningKey = errors.New("auth: no configured key can sign; set auth.secret or a private key in auth.keys")

// reserved are the claims that Issue sets itself.
func reserved(claim string) bool {
	switch claim {
	case "sub", "user_id", "iss", "aud", "exp", "nbf", "iat", "jti", "typ", "family":
		return true
	}
	return false
}

// Issue returns a signed token, one that [Auth.Verify] accepts, or [Auth.Refresh] if it is a refresh token. The first
// configured key that can sign signs it. Nothing is recorded, so that another process than the engine can issue tokens.
func (a *Auth) Issue(spec Spec) (string, error) {
	k := a.fixed.signer()
	if k == nil {
		return "", ErrNoSigningKey
	}
	set, err := a.claimsOf(spec)
	if err != nil {
		return "", err
	}
	signed, err := k.issue(set)
	if err != nil {
		return "", err
	}
	if spec.Refresh {
		_, err = a.readRefresh(context.Background(), signed)
	} else {
		_, err = a.Verify(context.Background(), signed)
	}
	if err != nil {
		return "", fmt.Errorf("auth: these claims make no token that would be accepted: %w", err)
	}
	return signed, nil
}

// issue signs claims with a key that can.
func (k *key) issue(set jwt.MapClaims) (string, error) {
	token := jwt.NewWithClaims(k.method, set)
	if k.kid != "" {
		token.Header["kid"] = k.kid
	}
	signed, err := token.SignedString(k.sign)
	if err != nil {
		return "", fmt.Errorf("auth: cannot sign: %w", err)
	}
	return signed, nil
}

// claimsOf puts a token's claims together.
func (a *Auth) claimsOf(spec Spec) (jwt.MapClaims, error) {
	if err := checkUserID(spec.UserID); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	set := jwt.MapClaims{}
	if len(spec.Claims) > 0 {
		err := members(spec.Claims, func(name, value []byte) error {
			if reserved(string(name)) || string(name) == "permission_level" && spec.Level != "" {
				return fmt.Errorf("%s is set by the engine", name)
			}
			set[string(name)] = json.RawMessage(append([]byte(nil), value...))
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("auth: claims: %w", err)
		}
	}
	ttl := spec.TTL
	switch {
	case ttl < 0:
		return nil, fmt.Errorf("auth: ttl: %v is negative", ttl)
	case ttl == 0 && spec.Refresh:
		ttl = a.cfg.RefreshTTL
	case ttl == 0:
		ttl = a.cfg.AccessTTL
	case spec.Refresh && ttl > a.cfg.RefreshTTL:
		return nil, fmt.Errorf("auth: ttl: %v is longer than auth.refresh_ttl, %v, after which no refresh token is accepted",
			ttl, a.cfg.RefreshTTL)
	}
	now := a.now()
	set["sub"] = spec.UserID
	set["iat"] = now.Unix()
	// Rounded up to whole seconds, so that a token never lives shorter than asked for.
	set["exp"] = now.Add(ttl + time.Second - time.Nanosecond).Unix()
	if spec.Level != "" {
		if _, ok := LevelPermissions(spec.Level); !ok {
			return nil, fmt.Errorf("auth: %q is not one of basic, trader, premium, admin", spec.Level)
		}
		set["permission_level"] = spec.Level
	}
	if a.cfg.Issuer != "" {
		set["iss"] = a.cfg.Issuer
	}
	if len(a.cfg.Audience) > 0 {
		set["aud"] = a.cfg.Audience[0]
	}
	if spec.Refresh {
		set["typ"], set["family"], set["jti"] = "refresh", rand.Text(), rand.Text()
	}
	return set, nil
}
