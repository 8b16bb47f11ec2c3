package auth

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Config says which tokens are accepted, and how tokens are issued. The zero value is not usable; start from
// [DefaultConfig].
type Config struct {
	// Algorithms lists the signature algorithms tokens may have: HS256, RS256, ES256, EdDSA.
	Algorithms []string `yaml:"algorithms"`
	// Secret is a shared HS256 secret of at least 32 bytes, short for one entry in Keys. Without any key at all one is
	// generated in the data directory at the first start.
	Secret Secret `yaml:"secret"`
	// Keys are further keys. The first key that can sign is the one tokens are issued with.
	Keys []KeyConfig `yaml:"keys"`
	// JWKSFile is a file holding a JSON Web Key Set; read at start.
	JWKSFile string `yaml:"jwks_file"`
	// JWKSURL is where a JSON Web Key Set is fetched: https, or http to a loopback address.
	JWKSURL string `yaml:"jwks_url"`
	// JWKSRefresh is how often it is fetched again. When that fails the keys known so far stay.
	JWKSRefresh time.Duration `yaml:"jwks_refresh"`
	// JWKSRefreshMin is the least time between two fetches, however many tokens name an unknown key.
	JWKSRefreshMin time.Duration `yaml:"jwks_refresh_min"`
	// JWKSTimeout bounds one fetch.
	JWKSTimeout time.Duration `yaml:"jwks_timeout"`
	// JWKSKiBMax bounds the size of a key set.
	JWKSKiBMax int `yaml:"jwks_kib_max"`
	// Issuer must be the token's iss, where set. Issued tokens carry it.
	Issuer string `yaml:"issuer"`
	// Audience lists the accepted aud values, where set; a token needs one of them. Issued tokens carry the first.
	Audience []string `yaml:"audience"`
	// Leeway is how far exp and nbf may be off, for clocks that disagree.
	Leeway time.Duration `yaml:"leeway"`
	// TokenKiBMax bounds a token's size; a longer one is refused unread.
	TokenKiBMax int `yaml:"token_kib_max"`
	// ClaimsKiBMax bounds the claims, which stay in memory as long as their connection does.
	ClaimsKiBMax int `yaml:"claims_kib_max"`
	// AccessTTL is the life of an issued access token, RefreshTTL that of a refresh token.
	AccessTTL time.Duration `yaml:"access_ttl"`
	// RefreshTTL is the life of an issued refresh token; none is accepted longer than that after it was issued.
	RefreshTTL time.Duration `yaml:"refresh_ttl"`
	// FamiliesMax bounds how many logins whose refresh token was used are recorded until the last token has run out.
	FamiliesMax int `yaml:"families_max"`
	// LoginTimeout is how long a connection that may be open without a token has to log in.
	LoginTimeout time.Duration `yaml:"login_timeout"`
	// FailuresPerMinute is how many tokens from one address may be refused within a minute; more block it. 0: no limit.
	FailuresPerMinute int `yaml:"failures_per_minute"`
	// FailuresBlock is how long no token from a blocked address is looked at.
	FailuresBlock time.Duration `yaml:"failures_block"`
	// DevTokens makes a token with fewer than two dots, which no JWT is, the id of a test user.
	DevTokens bool `yaml:"dev_tokens"`
	// DevLevel is the permission_level of test users.
	DevLevel string `yaml:"dev_level"`
}

// KeyConfig is one key. Exactly one of Value, File and Env says where its material is: PEM, a JWK as JSON, or, for HS256,
// the secret's own text.
type KeyConfig struct {
	// KID is the key's id, which a token's header names; it may be empty.
	KID string `yaml:"kid"`
	// Alg is the one algorithm the key is for.
	Alg string `yaml:"alg"`
	// Value is the material itself.
	Value Secret `yaml:"value"`
	// File is a file with the material.
	File string `yaml:"file"`
	// Env is an environment variable with the material.
	Env string `yaml:"env"`
}

// Bounds that are not worth a field of the configuration: more of these is a mistake, not a need.
const (
	keysMax        = 64
	kidBytesMax    = 128
	secretBytesMin = 32
	rsaBitsMin     = 2048
	rsaBitsMax     = 8192
	leewayMax      = 30 * time.Second
	familiesLimit  = 10_000_000
	failuresLimit  = 1 << 20
)

// DefaultConfig returns the defaults: HS256 with a key generated in the data directory.
func DefaultConfig() Config {
	return Config{
		Algorithms:     []string{"HS256"},
		JWKSRefresh:    15 * time.Minute,
		JWKSRefreshMin: 30 * time.Second,
		JWKSTimeout:    5 * time.Second,
		JWKSKiBMax:     256,
		TokenKiBMax:    8,
		ClaimsKiBMax:   4,
		AccessTTL:      24 * time.Hour,
		RefreshTTL:     30 * 24 * time.Hour,
		FamiliesMax:    100_000,

		LoginTimeout: time.Minute, FailuresPerMinute: 20, FailuresBlock: time.Minute, DevLevel: "trader",
	}
}

// methodOf returns the signing method of an algorithm this package accepts, or nil. It is the only place an algorithm's
// name is turned into code.
func methodOf(alg string) jwt.SigningMethod {
	switch alg {
	case "HS256":
		return jwt.SigningMethodHS256
	case "RS256":
		return jwt.SigningMethodRS256
	case "ES256":
		return jwt.SigningMethodES256
	case "EdDSA":
		return jwt.SigningMethodEdDSA
	}
	return nil
}

// Validate returns every fault of c, each beginning with the path of its field, or nil.
func (c Config) Validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Algorithms) == 0 {
		fault("algorithms: is empty; name at least one of HS256, RS256, ES256, EdDSA")
	}
	for i, alg := range c.Algorithms {
		if methodOf(alg) == nil {
			fault("algorithms[%d]: %q is not one of HS256, RS256, ES256, EdDSA", i, alg)
		} else if slices.Index(c.Algorithms, alg) < i {
			fault("algorithms[%d]: %s is listed twice", i, alg)
		}
	}
	if c.Secret != "" {
		if err := checkSecret([]byte(c.Secret.Reveal())); err != nil {
			fault("secret: %w", err)
		}
		if !slices.Contains(c.Algorithms, "HS256") {
			fault("secret: is an HS256 key, but algorithms does not list HS256")
		}
	}
	errs = append(errs, c.validateKeys()...)
	errs = append(errs, c.validateJWKS()...)
	errs = append(errs, c.validateLimits()...)
	errs = append(errs, c.validateLogin()...)
	return errors.Join(errs...)
}

func (c Config) validateKeys() (errs []error) {
	if len(c.Keys) > keysMax {
		errs = append(errs, fmt.Errorf("keys: has %d entries; the most is %d", len(c.Keys), keysMax))
	}
	kids := make(map[string]int)
	for i, k := range c.Keys {
		at := fmt.Sprintf("keys[%d]", i)
		if methodOf(k.Alg) == nil {
			errs = append(errs, fmt.Errorf("%s.alg: %q is not one of HS256, RS256, ES256, EdDSA", at, k.Alg))
		} else if !slices.Contains(c.Algorithms, k.Alg) {
			errs = append(errs, fmt.Errorf("%s.alg: %s is not in auth.algorithms, so no token could use the key", at, k.Alg))
		}
		if len(k.KID) > kidBytesMax {
			errs = append(errs, fmt.Errorf("%s.kid: is longer than %d bytes", at, kidBytesMax))
		}
		if first, seen := kids[k.KID]; seen && k.KID != "" {
			errs = append(errs, fmt.Errorf("%s.kid: %q is also that of keys[%d]", at, k.KID, first))
		} else {
			kids[k.KID] = i
		}
		sources := 0
		for _, s := range []string{k.Value.Reveal(), k.File, k.Env} {
			if s != "" {
				sources++
			}
		}
		if sources != 1 {
			errs = append(errs, fmt.Errorf("%s: needs exactly one of value, file and env; it has %d", at, sources))
		} else if k.Value != "" && methodOf(k.Alg) != nil {
			if _, err := loadKey(k); err != nil {
				errs = append(errs, fmt.Errorf("%s.value: %w", at, err))
			}
		}
	}
	return errs
}

func (c Config) validateJWKS() (errs []error) {
	if c.JWKSURL != "" {
		if err := checkJWKSURL(c.JWKSURL); err != nil {
			errs = append(errs, fmt.Errorf("jwks_url: %w", err))
		}
	}
	if c.JWKSRefreshMin < time.Second {
		errs = append(errs, fmt.Errorf("jwks_refresh_min: %v is less than 1s", c.JWKSRefreshMin))
	}
	if c.JWKSRefresh < c.JWKSRefreshMin {
		errs = append(errs, fmt.Errorf("jwks_refresh: %v is less than jwks_refresh_min (%v)", c.JWKSRefresh, c.JWKSRefreshMin))
	}
	if c.JWKSTimeout < 100*time.Millisecond || c.JWKSTimeout > time.Minute {
		errs = append(errs, fmt.Errorf("jwks_timeout: %v is not between 100ms and 1m", c.JWKSTimeout))
	}
	if c.JWKSKiBMax < 1 || c.JWKSKiBMax > 4096 {
		errs = append(errs, fmt.Errorf("jwks_kib_max: %d is not between 1 and 4096", c.JWKSKiBMax))
	}
	return errs
}

func (c Config) validateLimits() (errs []error) {
	if c.Leeway < 0 || c.Leeway > leewayMax {
		errs = append(errs, fmt.Errorf("leeway: %v is not between 0s and %v", c.Leeway, leewayMax))
	}
	if c.TokenKiBMax < 1 || c.TokenKiBMax > 64 {
		errs = append(errs, fmt.Errorf("token_kib_max: %d is not between 1 and 64", c.TokenKiBMax))
	}
	if c.ClaimsKiBMax < 1 || c.ClaimsKiBMax > 64 {
		errs = append(errs, fmt.Errorf("claims_kib_max: %d is not between 1 and 64", c.ClaimsKiBMax))
	}
	if c.AccessTTL < time.Second {
		errs = append(errs, fmt.Errorf("access_ttl: %v is less than 1s", c.AccessTTL))
	}
	if c.RefreshTTL < time.Second {
		errs = append(errs, fmt.Errorf("refresh_ttl: %v is less than 1s", c.RefreshTTL))
	}
	if c.FamiliesMax < 1 || c.FamiliesMax > familiesLimit {
		errs = append(errs, fmt.Errorf("families_max: %d is not between 1 and %d", c.FamiliesMax, familiesLimit))
	}
	for i, a := range c.Audience {
		if a == "" {
			errs = append(errs, fmt.Errorf("audience[%d]: is empty", i))
		}
	}
	return errs
}

func (c Config) validateLogin() (errs []error) {
	if c.LoginTimeout < time.Second || c.LoginTimeout > time.Hour {
		errs = append(errs, fmt.Errorf("login_timeout: %v is not between 1s and 1h", c.LoginTimeout))
	}
	if c.FailuresPerMinute < 0 || c.FailuresPerMinute > failuresLimit {
		errs = append(errs, fmt.Errorf("failures_per_minute: %d is not between 0 and %d", c.FailuresPerMinute, failuresLimit))
	}
	if c.FailuresBlock < time.Second || c.FailuresBlock > 24*time.Hour {
		errs = append(errs, fmt.Errorf("failures_block: %v is not between 1s and 24h", c.FailuresBlock))
	}
	if _, ok := LevelPermissions(c.DevLevel); !ok {
		errs = append(errs, fmt.Errorf("dev_level: %q is not one of basic, trader, premium, admin", c.DevLevel))
	}
	return errs
}

// checkSecret refuses a shared secret that is short, and one that is really a public key: accepting that is the classical
// way to let anybody who knows the public key sign tokens.
func checkSecret(b []byte) error {
	if strings.Contains(string(b), "-----BEGIN ") {
		return errors.New("is PEM, not a shared secret; give its algorithm (RS256, ES256, EdDSA) in auth.keys")
	}
	if len(b) < secretBytesMin {
		return fmt.Errorf("has %d bytes; HS256 needs at least %d (make one with: openssl rand -hex 32)", len(b), secretBytesMin)
	}
	return nil
}

// checkJWKSURL refuses addresses over which somebody in between could hand us his own keys.
func checkJWKSURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return errors.New("is not an absolute URL")
	}
	if u.Scheme == "https" {
		return nil
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return errors.New("must be https; http is allowed to a loopback address only")
}
