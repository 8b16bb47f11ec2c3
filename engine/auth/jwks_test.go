package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/wse-engine/wse/engine/message"
)

// idp is an identity provider whose keys can be changed, or that can fail.
type idp struct {
	server  *httptest.Server
	fetches atomic.Int64

	mu      sync.Mutex
	handler http.HandlerFunc // guarded by mu
}

func newIDP(t *testing.T) *idp {
	p := &idp{}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		p.mu.Lock()
		h := p.handler
		p.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(p.server.Close)
	return p
}

func (p *idp) serve(h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = h
}

func (p *idp) serveKeys(t *testing.T, keys ...jwkset.JWKMarshal) {
	text := jsonOf(t, jwkset.JWKSMarshal{Keys: keys})
	p.serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
}

type fetched struct {
	keys int
	err  error
}

// run starts an Auth on p's keys and returns it with what it reports.
func (p *idp) run(t *testing.T, change func(*Config)) (*Auth, <-chan fetched) {
	cfg := DefaultConfig()
	cfg.Algorithms = []string{"ES256"}
	cfg.JWKSURL = p.server.URL
	cfg.JWKSRefreshMin, cfg.JWKSRefresh = time.Second, time.Hour
	if change != nil {
		change(&cfg)
	}
	reports := make(chan fetched, 16)
	a, err := New(cfg, "", WithFetchReport(func(keys int, err error) { reports <- fetched{keys, err} }))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return a, reports
}

type signingKey struct {
	private *ecdsa.PrivateKey
	kid     string
}

func newSigningKey(t *testing.T, kid string) signingKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return signingKey{k, kid}
}

func (k signingKey) jwk(t *testing.T) jwkset.JWKMarshal {
	return jwkOf(t, k.private.Public(), "", k.kid)
}

func (k signingKey) token(t *testing.T) string {
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"sub": "u1", "exp": time.Now().Unix() + 60})
	token.Header["kid"] = k.kid
	signed, err := token.SignedString(k.private)
	require.NoError(t, err)
	return signed
}

func TestKeysOfAURLAreFetchedWhenRunBeginsAndNothingIsLeftBehind(t *testing.T) {
	running := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, running) }) // the last of the clean-ups to run
	p, k := newIDP(t), newSigningKey(t, "k1")
	p.serveKeys(t, k.jwk(t))
	a, reports := p.run(t, nil)
	require.Equal(t, fetched{1, nil}, <-reports)
	_, err := a.Verify(t.Context(), k.token(t))
	require.NoError(t, err)
}

func TestATokenWithARotatedKeyIsWorthOneFetch(t *testing.T) {
	p, first, second := newIDP(t), newSigningKey(t, "k1"), newSigningKey(t, "k2")
	p.serveKeys(t, first.jwk(t))
	a, reports := p.run(t, nil)
	require.Equal(t, fetched{1, nil}, <-reports)
	a.remote.mu.Lock()
	a.remote.last = time.Now().Add(-time.Hour) // long ago
	a.remote.mu.Unlock()
	p.serveKeys(t, first.jwk(t), second.jwk(t))

	_, err := a.Verify(context.Background(), second.token(t))
	require.Equal(t, message.CodeUnavailable, codeOf(t, err), "without a deadline it does not wait")
	require.Equal(t, fetched{2, nil}, <-reports)
	_, err = a.Verify(context.Background(), second.token(t))
	require.NoError(t, err)
}

func TestVerifyWaitsForAFetchWhereItMay(t *testing.T) {
	p, first, second := newIDP(t), newSigningKey(t, "k1"), newSigningKey(t, "k2")
	p.serveKeys(t, first.jwk(t))
	a, reports := p.run(t, nil)
	<-reports
	a.remote.mu.Lock()
	a.remote.last = time.Now().Add(-time.Hour)
	a.remote.mu.Unlock()
	p.serveKeys(t, second.jwk(t))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := a.Verify(ctx, second.token(t))
	require.NoError(t, err)
	_, err = a.Verify(ctx, first.token(t))
	require.Equal(t, message.CodeAuthFailed, codeOf(t, err), "a key that was withdrawn is gone")
}

func TestBeforeTheFirstFetchNoTokenIsRefusedForGood(t *testing.T) {
	p, k := newIDP(t), newSigningKey(t, "k1")
	p.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	a, reports := p.run(t, func(c *Config) { c.JWKSRefreshMin = time.Minute })
	require.Error(t, (<-reports).err)
	_, err := a.Verify(context.Background(), k.token(t))
	require.Equal(t, message.CodeUnavailable, codeOf(t, err))
	require.EqualValues(t, 1, p.fetches.Load(), "and the provider is left alone")
}

func TestAFloodOfUnknownKeysCostsNoFetches(t *testing.T) {
	p, k := newIDP(t), newSigningKey(t, "k1")
	p.serveKeys(t, k.jwk(t))
	a, reports := p.run(t, func(c *Config) { c.JWKSRefreshMin = time.Minute })
	<-reports
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 100 {
		_, err := a.Verify(ctx, newTokenOf(t, k, fmt.Sprintf("made-up-%d", i)))
		require.Equal(t, message.CodeAuthFailed, codeOf(t, err))
	}
	require.EqualValues(t, 1, p.fetches.Load())
}

func newTokenOf(t *testing.T, k signingKey, kid string) string {
	k.kid = kid
	return k.token(t)
}

func TestAFailedFetchLeavesTheKnownKeys(t *testing.T) {
	for _, tt := range []struct {
		name  string
		serve http.HandlerFunc
		says  string
	}{
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "500"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, "302"},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "not a JSON Web Key Set"},
		{"no keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) }, "no usable"},
		{"too large", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[],"x":"` + strings.Repeat("x", 2048) + `"}`))
		}, "larger than jwks_kib_max"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, k := newIDP(t), newSigningKey(t, "k1")
			p.serveKeys(t, k.jwk(t))
			a, reports := p.run(t, func(c *Config) { c.JWKSKiBMax = 1 })
			require.Equal(t, fetched{1, nil}, <-reports)
			p.serve(tt.serve)
			a.remote.mu.Lock()
			a.remote.last = time.Now().Add(-time.Hour)
			a.remote.mu.Unlock()
			_, err := a.Verify(context.Background(), newTokenOf(t, k, "unknown"))
			require.Error(t, err)
			require.ErrorContains(t, (<-reports).err, tt.says)
			_, err = a.Verify(context.Background(), k.token(t))
			require.NoError(t, err)
		})
	}
}

func TestAKeySetTakesOnlyWhatIsForItsAlgorithms(t *testing.T) {
	pairs := makePairs()
	sig := newSigningKey(t, "good")
	enc := newSigningKey(t, "enc").jwk(t)
	enc.USE = jwkset.UseEnc
	text := jsonOf(t, jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{
		sig.jwk(t), enc,
		jwkOf(t, pairs["RS256"].public, "", "rsa"),
		jwkOf(t, []byte(testSecret), jwkset.AlgHS256, "secret"),
		{KTY: "EC", CRV: "P-256", KID: "broken"},
		{KTY: "future", KID: "unknown"},
	}})
	set, err := parseJWKS([]string{"ES256", "HS256"}, []byte(text), false)
	require.NoError(t, err)
	require.Len(t, set, 1)
	require.Equal(t, "good", set[0].kid)

	set, err = parseJWKS([]string{"HS256"}, []byte(text), true)
	require.NoError(t, err)
	require.Len(t, set, 1, "from a file a shared secret is taken")
}

func TestAKeySetFromAFileWorksAndConfiguredKeysComeFirst(t *testing.T) {
	k, impostor := newSigningKey(t, "k1"), newSigningKey(t, "k2")
	file := filepath.Join(t.TempDir(), "jwks.json")
	write(t, file, jsonOf(t, jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{k.jwk(t), impostor.jwk(t)}}), 0o600)
	own := newSigningKey(t, "k2")
	cfg := DefaultConfig()
	cfg.Algorithms = []string{"ES256"}
	cfg.JWKSFile = file
	cfg.Keys = []KeyConfig{{KID: "k2", Alg: "ES256", Value: Secret(publicPEM(t, own.private.Public()))}}
	a, err := New(cfg, "")
	require.NoError(t, err)
	_, err = a.Verify(t.Context(), k.token(t))
	require.NoError(t, err)
	_, err = a.Verify(t.Context(), own.token(t))
	require.NoError(t, err)
	_, err = a.Verify(t.Context(), impostor.token(t))
	require.ErrorContains(t, err, "signature")

	cfg.JWKSFile = filepath.Join(t.TempDir(), "none")
	_, err = New(cfg, "")
	require.ErrorContains(t, err, "jwks_file: ")
}

func FuzzParseJWKS(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"OKP","crv":"Ed25519","x":""},{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","alg":"HS256","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := parseJWKS([]string{"HS256", "RS256", "ES256", "EdDSA"}, text, true)
		if (err == nil) == (len(set) == 0) {
			t.Fatalf("%d keys and error %v", len(set), err)
		}
	})
}
