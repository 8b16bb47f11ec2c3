package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/stretchr/testify/require"
)

func TestAGeneratedKeyIsPrivateAndStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	a, err := New(DefaultConfig(), dir)
	require.NoError(t, err)
	token, err := a.Issue(Spec{UserID: "u1"})
	require.NoError(t, err)

	info, err := os.Stat(filepath.Join(dir, KeyFileName))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file is left")

	again, err := New(DefaultConfig(), dir)
	require.NoError(t, err)
	_, err = again.Verify(t.Context(), token)
	require.NoError(t, err)

	elsewhere, err := New(DefaultConfig(), t.TempDir())
	require.NoError(t, err)
	_, err = elsewhere.Verify(t.Context(), token)
	require.ErrorContains(t, err, "signature")
}

func TestManyStartsAtOnceAgreeOnOneKey(t *testing.T) {
	dir := t.TempDir()
	tokens := make([]string, 16)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			a, err := New(DefaultConfig(), dir)
			if err != nil {
				t.Error(err)
				return
			}
			tokens[i], _ = a.Issue(Spec{UserID: "u1"})
		})
	}
	wg.Wait()
	a, err := New(DefaultConfig(), dir)
	require.NoError(t, err)
	for _, token := range tokens {
		_, err := a.Verify(t.Context(), token)
		require.NoError(t, err)
	}
}

func TestAKeyFileThatIsNotSafeIsRefusedWithItsCure(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T, path string)
		says string
	}{
		{"readable by the group", func(t *testing.T, path string) { write(t, path, strings.Repeat("A", 43), 0o640) }, "chmod 600"},
		{"readable by all", func(t *testing.T, path string) { write(t, path, strings.Repeat("A", 43), 0o644) }, "chmod 600"},
		{"short", func(t *testing.T, path string) { write(t, path, "AAAA", 0o600) }, "does not hold a key"},
		{"empty", func(t *testing.T, path string) { write(t, path, "", 0o600) }, "does not hold a key"},
		{"no base64", func(t *testing.T, path string) { write(t, path, strings.Repeat("!", 43), 0o600) }, "does not hold a key"},
		{"a directory", func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o700)) }, "not a regular file"},
		{"a link", func(t *testing.T, path string) {
			write(t, path+".real", strings.Repeat("A", 43), 0o600)
			require.NoError(t, os.Symlink(path+".real", path))
		}, "not a regular file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.make(t, filepath.Join(dir, KeyFileName))
			_, err := New(DefaultConfig(), dir)
			require.ErrorContains(t, err, tt.says)
		})
	}
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(t, os.Chmod(path, mode))
}

func TestADataDirThatCannotBeMadeIsOneClearError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "", 0o600)
	_, err := New(DefaultConfig(), filepath.Join(file, "data"))
	require.ErrorContains(t, err, "auth: ")
	_, err = New(DefaultConfig(), "")
	require.ErrorContains(t, err, "data_dir")
}

func jwkOf(t *testing.T, k any, alg jwkset.ALG, kid string) jwkset.JWKMarshal {
	t.Helper()
	j, err := jwkset.NewJWKFromKey(k, jwkset.JWKOptions{Marshal: jwkset.JWKMarshalOptions{Private: true},
		Metadata: jwkset.JWKMetadataOptions{ALG: alg, KID: kid}})
	require.NoError(t, err)
	return j.Marshal()
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

func TestJWKsWorkForEveryAlgorithm(t *testing.T) {
	keys := map[string]any{"HS256": []byte(testSecret)}
	for alg, p := range makePairs() {
		keys[alg] = p.sign
	}
	for alg, k := range keys {
		t.Run(alg, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Algorithms = []string{alg}
			cfg.Keys = []KeyConfig{{Alg: alg, Value: Secret(jsonOf(t, jwkOf(t, k, "", "from-jwk")))}}
			a, err := New(cfg, "")
			require.NoError(t, err)
			token, err := a.Issue(Spec{UserID: "u1"})
			require.NoError(t, err)
			_, err = a.Verify(t.Context(), token)
			require.NoError(t, err)
		})
	}
}

func TestMaterialThatIsNoGoodKeyIsRefused(t *testing.T) {
	pairs := makePairs()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	other, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	mixed := jwkOf(t, pairs["EdDSA"].sign, "", "")
	mixed.X = jwkOf(t, other, "", "").X
	for _, tt := range []struct {
		name, alg, material, says string
	}{
		{"short secret", "HS256", "too short", "at least 32"},
		{"public key as a secret", "HS256", publicPEM(t, pairs["RS256"].public), "PEM"},
		{"RSA key for ES256", "ES256", publicPEM(t, pairs["RS256"].public), "RS256, not ES256"},
		{"EC key for RS256", "RS256", publicPEM(t, pairs["ES256"].public), "ES256, not RS256"},
		{"Ed25519 key for ES256", "ES256", privatePEM(t, pairs["EdDSA"].sign), "EdDSA, not ES256"},
		{"RSA of 1024 bits", "RS256", publicPEM(t, weak.Public()), "1024 bits"},
		{"EC on P-384", "ES256", publicPEM(t, p384.Public()), "P-384"},
		{"no PEM", "RS256", "hello", "neither PEM nor a JWK"},
		{"PEM of something else", "RS256", string(pem.EncodeToMemory(&pem.Block{Type: "X", Bytes: []byte("x")})), "no key"},
		{"damaged PEM", "RS256", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})), "damaged"},
		{"JWK of another algorithm", "ES256", jsonOf(t, jwkOf(t, pairs["ES256"].public, "ES384", "")), "ES384"},
		{"JWK of another type", "RS256", jsonOf(t, jwkOf(t, []byte(testSecret), "", "")), "HS256, not RS256"},
		{"JWK without parameters", "RS256", `{"kty":"RSA"}`, "missing"},
		{"JWK no JSON", "RS256", `{"kty":`, "not valid JSON"},
		{"JWK with a short secret", "HS256", jsonOf(t, jwkOf(t, []byte("short"), "", "")), "at least 32"},
		{"JWK of two halves", "EdDSA", jsonOf(t, mixed), "do not"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Algorithms = []string{tt.alg}
			cfg.Keys = []KeyConfig{{Alg: tt.alg, Value: Secret(tt.material)}}
			_, err := New(cfg, "")
			require.ErrorContains(t, err, "keys[0].value: ")
			require.ErrorContains(t, err, tt.says)
		})
	}
}

func TestEveryPEMFormOfAKeyIsRead(t *testing.T) {
	rsaKey := makePairs()["RS256"].sign.(*rsa.PrivateKey)
	ecKey := makePairs()["ES256"].sign.(*ecdsa.PrivateKey)
	ecDER, err := x509.MarshalECPrivateKey(ecKey)
	require.NoError(t, err)
	cert := &x509.Certificate{SerialNumber: rsaKey.D, NotAfter: time.Now().Add(time.Hour)}
	certDER, err := x509.CreateCertificate(rand.Reader, cert, cert, rsaKey.Public(), rsaKey)
	require.NoError(t, err)
	for _, tt := range []struct {
		name, alg string
		block     pem.Block
	}{
		{"PKCS 1 private", "RS256", pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}},
		{"PKCS 1 public", "RS256", pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)}},
		{"SEC 1", "ES256", pem.Block{Type: "EC PRIVATE KEY", Bytes: ecDER}},
		{"certificate", "RS256", pem.Block{Type: "CERTIFICATE", Bytes: certDER}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + string(pem.EncodeToMemory(&tt.block))
			_, err := parseMaterial(tt.alg, text)
			require.NoError(t, err)
		})
	}
}

func TestEveryConfigFaultIsNamed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		says   string
	}{
		{"no algorithm", func(c *Config) { c.Algorithms = nil }, "algorithms: is empty"},
		{"alg none", func(c *Config) { c.Algorithms = []string{"none"} }, `algorithms[0]: "none"`},
		{"algorithm twice", func(c *Config) { c.Algorithms = []string{"HS256", "HS256"} }, "algorithms[1]: HS256 is listed twice"},
		{"short secret", func(c *Config) { c.Secret = "abc" }, "secret: has 3 bytes"},
		{"secret without HS256", func(c *Config) { c.Algorithms, c.Secret = []string{"RS256"}, testSecret }, "secret: is an HS256 key"},
		{"key of another algorithm", func(c *Config) { c.Keys = []KeyConfig{{Alg: "RS256", Value: "x"}} }, "keys[0].alg: RS256 is not in"},
		{"key of no algorithm", func(c *Config) { c.Keys = []KeyConfig{{Alg: "HS1", Value: "x"}} }, `keys[0].alg: "HS1"`},
		{"key without material", func(c *Config) { c.Keys = []KeyConfig{{Alg: "HS256"}} }, "keys[0]: needs exactly one"},
		{"key with two", func(c *Config) { c.Keys = []KeyConfig{{Alg: "HS256", Value: "x", Env: "X"}} }, "it has 2"},
		{"key whose material is none", func(c *Config) { c.Keys = []KeyConfig{{Alg: "HS256", Value: "hidden"}} }, "keys[0].value: the secret has 6 bytes"},
		{"kid twice", func(c *Config) {
			c.Keys = []KeyConfig{{KID: "a", Alg: "HS256", Env: "X"}, {KID: "a", Alg: "HS256", Env: "Y"}}
		}, `keys[1].kid: "a" is also that of keys[0]`},
		{"long kid", func(c *Config) { c.Keys = []KeyConfig{{KID: strings.Repeat("k", 129), Alg: "HS256", Env: "X"}} }, "keys[0].kid"},
		{"too many keys", func(c *Config) { c.Keys = make([]KeyConfig, 65) }, "keys: has 65"},
		{"jwks over http", func(c *Config) { c.JWKSURL = "http://example.com/jwks" }, "jwks_url: must be https"},
		{"jwks from a file URL", func(c *Config) { c.JWKSURL = "file:///etc/passwd" }, "jwks_url: "},
		{"jwks relative", func(c *Config) { c.JWKSURL = "/jwks" }, "jwks_url: "},
		{"refresh too often", func(c *Config) { c.JWKSRefresh = time.Second }, "jwks_refresh: "},
		{"least refresh of zero", func(c *Config) { c.JWKSRefreshMin = 0 }, "jwks_refresh_min: "},
		{"timeout", func(c *Config) { c.JWKSTimeout = 0 }, "jwks_timeout: "},
		{"jwks size", func(c *Config) { c.JWKSKiBMax = 0 }, "jwks_kib_max: "},
		{"leeway", func(c *Config) { c.Leeway = time.Minute }, "leeway: 1m0s is not between"},
		{"token size", func(c *Config) { c.TokenKiBMax = 0 }, "token_kib_max: "},
		{"claims size", func(c *Config) { c.ClaimsKiBMax = 65 }, "claims_kib_max: "},
		{"access life", func(c *Config) { c.AccessTTL = 0 }, "access_ttl: "},
		{"refresh life", func(c *Config) { c.RefreshTTL = 0 }, "refresh_ttl: "},
		{"empty audience", func(c *Config) { c.Audience = []string{""} }, "audience[0]: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := DefaultConfig()
			require.NoError(t, c.Validate())
			tt.change(&c)
			require.ErrorContains(t, c.Validate(), tt.says)
		})
	}
}

func TestAlgorithmsWithoutKeysAreRefused(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Algorithms = []string{"RS256"}
	_, err := New(cfg, t.TempDir())
	require.ErrorContains(t, err, "there is no key")
}

func TestAKeyWhoseSourceIsMissingIsNamed(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Keys = []KeyConfig{{Alg: "HS256", Env: "WSE_TEST_NO_SUCH_VARIABLE"}, {KID: "b", Alg: "HS256", File: filepath.Join(t.TempDir(), "none")}}
	_, err := New(cfg, "")
	require.ErrorContains(t, err, "keys[0]: env: the environment has no WSE_TEST_NO_SUCH_VARIABLE")
	require.ErrorContains(t, err, "keys[1]: file: ")
}

func TestRelativePathsAreRelativeToTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), testSecret, 0o600)
	cfg := DefaultConfig()
	cfg.Keys = []KeyConfig{{Alg: "HS256", File: "secret"}}
	_, err := New(cfg, "", WithDir(dir))
	require.NoError(t, err)
	_, err = New(cfg, "", WithDir(t.TempDir()))
	require.ErrorIs(t, err, fs.ErrNotExist)
}
