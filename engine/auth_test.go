package engine_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine"
	"github.com/wse-engine/wse/engine/auth"
	client "github.com/wse-engine/wse/sdk/client/go"
)

func TestATokenWhoseKeyCannotBeFetchedYetMayComeAgain(t *testing.T) {
	provider := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(provider.Close)
	r := start(t, func(c *engine.Config) {
		c.Auth.Algorithms, c.Auth.JWKSURL, c.Auth.JWKSTimeout = []string{"ES256"}, provider.URL, 200*time.Millisecond
	})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	cfg := auth.DefaultConfig()
	cfg.Algorithms = []string{"ES256"}
	cfg.Keys = []auth.KeyConfig{{KID: "k1", Alg: "ES256", Value: auth.Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))}}
	issuer, err := auth.New(cfg, "")
	require.NoError(t, err)
	token, err := issuer.Issue(auth.Spec{UserID: "u1"})
	require.NoError(t, err)

	c, err := client.New(client.Config{URL: "http://" + r.Addr().String(), Token: client.StaticToken(token), Topics: []string{"user:u1:events"}})
	require.NoError(t, err)
	require.ErrorContains(t, c.Run(t.Context(), nil), "4503", "not 4401, after which clients do not come back")
}
