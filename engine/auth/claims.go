package auth

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/wse-engine/wse/engine/jsonscan"
)

// claims is what the engine itself reads of a token. It implements jwt.Claims, so that golang-jwt's validator judges the
// registered ones.
type claims struct {
	sub, userID      string
	iss              string
	aud              jwt.ClaimStrings
	exp, nbf, iat    *jwt.NumericDate
	dates            [3]jwt.NumericDate // what exp, nbf and iat point at
	level            string
	permissions      Permissions
	permissionsGiven bool
	refresh          bool // the token says of itself that it is no access token
}

var _ jwt.Claims = (*claims)(nil)

// GetExpirationTime implements jwt.Claims.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.exp, nil }

// GetNotBefore implements jwt.Claims.
func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return c.nbf, nil }

// GetIssuedAt implements jwt.Claims.
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error) { return c.iat, nil }

// GetIssuer implements jwt.Claims.
func (c *claims) GetIssuer() (string, error) { return c.iss, nil }

// GetSubject implements jwt.Claims.
func (c *claims) GetSubject() (string, error) { return c.sub, nil }

// GetAudience implements jwt.Claims.
func (c *claims) GetAudience() (jwt.ClaimStrings, error) { return c.aud, nil }

// parse reads the claims object. Its errors name the claim and are fit for a client.
func (c *claims) parse(raw []byte) error {
	return members(raw, func(name, value []byte) error {
		if err := c.member(name, value); err != nil {
			return fmt.Errorf("claim %s: %w", name, err)
		}
		return nil
	})
}

func (c *claims) member(name, value []byte) (err error) {
	switch string(name) {
	case "sub":
		c.sub, err = stringOf(value)
	case "user_id":
		c.userID, err = stringOf(value)
	case "iss":
		c.iss, err = stringOf(value)
	case "aud":
		c.aud, err = audienceOf(value)
	case "exp":
		c.exp, err = dateOf(value, &c.dates[0])
	case "nbf":
		c.nbf, err = dateOf(value, &c.dates[1])
	case "iat":
		c.iat, err = dateOf(value, &c.dates[2])
	case "permission_level":
		err = c.readLevel(value)
	case "permissions":
		err = c.readPermissions(value)
	case "typ":
		err = c.readType(value)
	case "type", "token_type":
		// Other issuers' names for the same thing: only the one value matters, the rest is their business.
		text, textErr := textOf(value)
		c.refresh = c.refresh || textErr == nil && strings.EqualFold(string(text), "refresh")
	case "wse_topics":
		err = checkTopics(value)
	case "subs":
		err = eachTopic(value, func([]byte) {})
	}
	return err
}

func (c *claims) readLevel(value []byte) error {
	text, err := textOf(value)
	if err != nil {
		return err
	}
	level, ok := levelName(text)
	if !ok {
		return errors.New("is not one of basic, trader, premium, admin")
	}
	c.level = level
	return nil
}

func (c *claims) readPermissions(value []byte) error {
	c.permissionsGiven = true
	return eachString(value, func(text []byte) { c.permissions |= permissionOf(text) })
}

// readType tells access tokens from all others: a token that says it is something else is not one. "Bearer" is what
// Keycloak calls its access tokens.
func (c *claims) readType(value []byte) error {
	text, err := textOf(value)
	if err != nil {
		return err
	}
	switch strings.ToLower(string(text)) {
	case "access", "bearer", "jwt", "at+jwt":
	case "refresh":
		c.refresh = true
	default:
		return errors.New("is not that of an access token")
	}
	return nil
}

// checkTopics checks the form of wse_topics, {"allow":[…],"deny":[…]}. The engine does not act on it, a plugin does; but a
// deny list that its reader could not read would allow what it meant to forbid.
func checkTopics(value []byte) error {
	return members(value, func(name, list []byte) error {
		if n := string(name); n != "allow" && n != "deny" {
			return fmt.Errorf("has a member %q; it may have allow and deny", name)
		}
		if err := eachString(list, func([]byte) {}); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// eachTopic calls f for each topic of the claim subs: an array of topics, or an object whose members are named after them.
func eachTopic(value []byte, f func(topic []byte)) error {
	switch jsonscan.KindOf(value) {
	case jsonscan.KindArray:
		return eachString(value, f)
	case jsonscan.KindObject:
		return members(value, func(name, _ []byte) error { f(name); return nil })
	case jsonscan.KindNull:
		return nil
	}
	return errors.New("is neither an array of topics nor an object with topics as its names")
}

// identity makes the identity of claims that have been validated. raw is kept, not copied.
func (c *claims) identity(raw []byte, leeway time.Duration) (*Identity, error) {
	id := &Identity{
		UserID: c.sub, Level: c.level, Permissions: c.permissions, Claims: raw,
		ExpiresMS: c.exp.Add(leeway).UnixMilli(),
	}
	switch {
	case c.sub == "":
		id.UserID = c.userID
	case c.userID != "" && c.userID != c.sub:
		return nil, errors.New("its sub and user_id name different users")
	}
	if err := checkUserID(id.UserID); err != nil {
		return nil, err
	}
	if id.Level == "" && !c.permissionsGiven {
		id.Level = "basic"
	}
	if p, ok := LevelPermissions(id.Level); ok {
		id.Permissions |= p
	}
	return id, nil
}

// audienceOf reads aud: a string or an array of strings (RFC 7519 §4.1.3).
func audienceOf(value []byte) (jwt.ClaimStrings, error) {
	if jsonscan.KindOf(value) == jsonscan.KindArray {
		var all jwt.ClaimStrings
		err := eachString(value, func(text []byte) { all = append(all, string(text)) })
		return all, err
	}
	one, err := stringOf(value)
	return jwt.ClaimStrings{one}, err
}

// dateOf reads a NumericDate (RFC 7519 §2) into d: seconds, whole or not, up to the end of the year 9999, beyond which
// times stop being representable as text.
func dateOf(value []byte, d *jwt.NumericDate) (*jwt.NumericDate, error) {
	const secondsMax = 253402300799
	f, err := jsonscan.Float(value)
	if err != nil || f < 0 || f > secondsMax {
		return nil, errors.New("is not a time in seconds since 1970")
	}
	d.Time = time.UnixMilli(int64(f * 1000))
	return d, nil
}
