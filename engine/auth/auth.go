package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/wse-engine/wse/engine/message"
)

// Auth verifies tokens and issues them.
type Auth struct {
	generated bool // the key was; fixed
	cfg       Config
	dir       string // what relative paths in cfg are relative to
	now       func() time.Time
	onFetch   func(keys int, err error)
	fixed     keySet // what the configuration holds; never replaced
	keys      atomic.Pointer[keySet]
	remote    *remote // nil without a JWKS URL
	validator *jwt.Validator
	records   Records
	shared    Shared
	families  *families // nil without records
	onReuse   func(user string)
	onFailure func(error)
}

// Option changes what [New] makes.
type Option func(*Auth)

// WithFetchReport has f called after each fetch of the key set behind jwks_url, with the number of usable keys or the
// reason why there are none. The goroutine of [Auth.Run] calls it.
func WithFetchReport(f func(keys int, err error)) Option {
	return func(a *Auth) { a.onFetch = f }
}

// WithDir sets what relative paths in the configuration are relative to; without it that is the working directory.
func WithDir(dir string) Option {
	return func(a *Auth) { a.dir = dir }
}

// WithRecords has refresh tokens that were used recorded in r, which no other Auth uses meanwhile. Without it there is no
// [Auth.Refresh].
func WithRecords(r Records) Option {
	return func(a *Auth) { a.records = r }
}

// WithShared has refresh tokens that were used recorded in s, which other processes with the same keys use too: of two that get a
// token at once one renews it. Where s cannot be reached nothing is renewed. It takes precedence over [WithRecords].
func WithShared(s Shared) Option {
	return func(a *Auth) { a.shared = s }
}

// WithRefreshReports has reused called with the user of a family that is revoked because one of its tokens came again, which
// may mean that somebody stole it, and failed with the reason why records could not be forgotten, or shared ones not be reached. The goroutine that found
// out calls them.
func WithRefreshReports(reused func(user string), failed func(error)) Option {
	return func(a *Auth) { a.onReuse, a.onFailure = reused, failed }
}

// New checks cfg and loads its keys. Where cfg names none, a random HS256 key is kept in the file [KeyFileName] of
// dataDir, made there first if need be. Nothing is fetched; that begins with [Auth.Run].
func New(cfg Config, dataDir string, options ...Option) (*Auth, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	a := &Auth{cfg: cfg, now: time.Now, onFetch: func(int, error) {}, onReuse: func(string) {}, onFailure: func(error) {}}
	for _, o := range options {
		o(a)
	}
	fixed, err := loadKeys(cfg, a.dir)
	if err != nil {
		return nil, err
	}
	if len(fixed) == 0 && cfg.JWKSURL == "" {
		if fixed, err = generated(cfg, dataDir); err != nil {
			return nil, err
		}
		a.generated = true
	}
	a.fixed = fixed
	a.keys.Store(&fixed)
	if cfg.JWKSURL != "" {
		a.remote = newRemote(cfg)
	}
	validations := []jwt.ParserOption{
		jwt.WithExpirationRequired(), jwt.WithLeeway(cfg.Leeway), jwt.WithTimeFunc(func() time.Time { return a.now() }),
	}
	if cfg.Issuer != "" {
		validations = append(validations, jwt.WithIssuer(cfg.Issuer))
	}
	if len(cfg.Audience) > 0 {
		validations = append(validations, jwt.WithAudience(cfg.Audience...))
	}
	a.validator = jwt.NewValidator(validations...)
	switch {
	case a.shared != nil:
		a.families = &families{shared: a.shared, now: func() time.Time { return a.now() }}
	case a.records != nil:
		if a.families, err = openFamilies(a.records, cfg.FamiliesMax, func() time.Time { return a.now() }); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Generated reports whether the only key is one that was generated in the data directory, which no other process has.
func (a *Auth) Generated() bool { return a.generated }

// SignerMark returns a short mark of the key that tokens are issued with, "" where there is none: that of two processes is the same
// if their keys are. Whoever has a token can tell as much of the key.
func (a *Auth) SignerMark() string { return a.keys.Load().signer().mark() }

// generated returns the set of the one generated key.
func generated(cfg Config, dataDir string) (keySet, error) {
	if !slices.Contains(cfg.Algorithms, "HS256") {
		return nil, fmt.Errorf("auth: algorithms are %v, but there is no key: set auth.keys, auth.jwks_file or auth.jwks_url",
			cfg.Algorithms)
	}
	secret, err := generatedKey(dataDir)
	if err != nil {
		return nil, err
	}
	return keySet{{method: jwt.SigningMethodHS256, verify: secret, sign: secret}}, nil
}

// Run keeps the keys behind jwks_url up to date, and forgets records of refresh tokens that have run out, until ctx ends;
// with neither it only waits for that. A failed fetch leaves the known keys in use.
func (a *Auth) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	if a.families != nil {
		parts.Go(func() { a.families.run(ctx, a.onFailure) })
	}
	if a.remote != nil {
		a.remote.run(ctx, func(keys keySet) {
			merged := a.fixed.merge(keys)
			a.keys.Store(&merged)
		}, a.onFetch)
	}
	<-ctx.Done()
	parts.Wait()
	return nil
}

// Verify returns the identity an access token proves. Its error is always a *message.Error: CodeAuthRequired where there
// is no token, CodeAuthExpired where a good one has run out, CodeUnavailable where trying again may help because the token's
// key is only just being fetched or no fetch has succeeded yet, else CodeAuthFailed. What it says is fit for the client.
//
// Verify does no I/O. It blocks in one case: a token names a key that is unknown, jwks_url is set, and ctx has a deadline;
// then it waits for one fetch, at most until the deadline or jwks_timeout. An event loop calls it with a context without
// deadline and is never held up.
func (a *Auth) Verify(ctx context.Context, token string) (*Identity, error) {
	if absent(token) {
		return nil, message.Errorf(message.CodeAuthRequired,
			"a token is needed: as query parameter token, as Authorization: Bearer, or as cookie access_token")
	}
	if len(token) > a.cfg.TokenKiBMax<<10 {
		return nil, refuse("it is larger than %d KiB", a.cfg.TokenKiBMax)
	}
	if a.cfg.DevTokens && strings.Count(token, ".") < 2 {
		return a.devIdentity(token)
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
	if c.refresh {
		return nil, refuse("it is a refresh token, which only buys a new access token")
	}
	if err := a.validator.Validate(&c); err != nil {
		return nil, refuseClaims(err)
	}
	id, err := c.identity(raw, a.cfg.Leeway)
	if err != nil {
		return nil, refuse("%v", err)
	}
	return id, nil
}

// open checks a token's header and signature and returns its claims, undecoded.
func (a *Auth) open(ctx context.Context, token string) ([]byte, error) {
	head, rest, ok := strings.Cut(token, ".")
	body, sig, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.IndexByte(sig, '.') >= 0 {
		return nil, refuse("it is not a JWT, three parts with dots between them")
	}
	var h header
	if err := h.parse(head); err != nil {
		return nil, refuse("its header %v", err)
	}
	if !slices.Contains(a.cfg.Algorithms, h.alg) {
		return nil, refuse("its algorithm is not one that is accepted here (%s)", strings.Join(a.cfg.Algorithms, ", "))
	}
	k, err := a.key(ctx, &h)
	if err != nil {
		return nil, err
	}
	signature, err := decode(sig)
	if err != nil {
		return nil, refuse("its signature is not base64url")
	}
	if err := k.method.Verify(token[:len(head)+1+len(body)], signature, k.verify); err != nil {
		return nil, refuse("its signature does not match the key")
	}
	raw, err := decode(body)
	if err != nil {
		return nil, refuse("its claims are not base64url")
	}
	return raw, nil
}

// decode decodes base64url without padding (RFC 7515 §2). Package base64 passes over line breaks, so they are looked for:
// one signature has one spelling.
func decode(segment string) ([]byte, error) {
	if strings.ContainsAny(segment, "\r\n") {
		return nil, base64.CorruptInputError(strings.IndexAny(segment, "\r\n"))
	}
	return base64.RawURLEncoding.Strict().DecodeString(segment)
}

// key finds the key for a header, waiting for a fetch where Verify's comment says so.
func (a *Auth) key(ctx context.Context, h *header) (*key, error) {
	k, err := a.keys.Load().find(h.alg, h.kid)
	if err == nil {
		return k, nil
	}
	if a.remote == nil || !errors.Is(err, errKeyUnknown) {
		return nil, refuse("%v", err)
	}
	done := a.remote.ask(time.Now())
	if done == nil && a.remote.fetched.Load() {
		return nil, refuse("%v", err)
	}
	if _, bounded := ctx.Deadline(); bounded && done != nil {
		timeout := time.NewTimer(a.cfg.JWKSTimeout)
		defer timeout.Stop()
		select {
		case <-done:
		case <-ctx.Done():
		case <-timeout.C:
		}
		if k, err := a.keys.Load().find(h.alg, h.kid); err == nil {
			return k, nil
		}
	}
	return nil, message.Errorf(message.CodeUnavailable, "the token's key is not known yet; try again in a few seconds")
}

// header is a token's header, as far as it matters (RFC 7515 §4).
type header struct {
	alg, kid string
}

// parse decodes and checks a header. Its errors continue the words "its header".
func (h *header) parse(segment string) error {
	text, err := decode(segment)
	if err != nil {
		return errors.New("is not base64url")
	}
	err = members(text, func(name, value []byte) (err error) {
		switch string(name) {
		case "alg":
			h.alg, err = stringOf(value)
		case "kid":
			h.kid, err = stringOf(value)
			if err == nil && (h.kid == "" || len(h.kid) > kidBytesMax) {
				err = fmt.Errorf("does not have 1 to %d bytes", kidBytesMax)
			}
		case "typ":
			err = checkHeaderType(value)
		case "crit":
			err = errors.New("lists extensions, and none is understood here")
		}
		if err != nil {
			return fmt.Errorf("field %s %w", name, err)
		}
		return nil
	})
	if err == nil && h.alg == "" {
		err = errors.New("names no algorithm")
	}
	return err
}

// checkHeaderType lets through what a JWT access token may call itself (RFC 7519 §5.1, RFC 9068 §2.1), and nothing else:
// a token made for another purpose with the same key is not a login.
func checkHeaderType(value []byte) error {
	text, err := textOf(value)
	if err != nil {
		return err
	}
	switch strings.TrimPrefix(strings.ToLower(string(text)), "application/") {
	case "jwt", "at+jwt":
		return nil
	}
	return errors.New("is not that of an access token")
}

// refuse makes the error of a token that does not verify.
func refuse(format string, args ...any) *message.Error {
	return message.Errorf(message.CodeAuthFailed, "the token is refused: "+format, args...)
}

// refuseClaims tells the client which of golang-jwt's checks failed. A token is only called expired where nothing else is
// wrong with it, since that answer invites the client to renew it.
func refuseClaims(err error) *message.Error {
	switch {
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return refuse("its issuer (iss) is not the one that is accepted here")
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return refuse("its audience (aud) is not this service")
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return refuse("it is not valid yet (nbf)")
	case errors.Is(err, jwt.ErrTokenExpired):
		return message.Errorf(message.CodeAuthExpired, "the token has expired; get a new one")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refuse("a claim that must be there is missing: exp, or iss and aud where they are checked")
	}
	return &message.Error{Code: message.CodeAuthFailed, Message: "the token is refused: its claims are not valid", Err: err}
}
