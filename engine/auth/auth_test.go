package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

const testSecret = "0123456789abcdef0123456789abcdef"

var testNow = time.Unix(1_700_000_000, 0)

// newAuth returns an Auth with the test secret and a clock that stands still, changed by change.
func newAuth(t testing.TB, change func(*Config)) *Auth {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Secret = testSecret
	if change != nil {
		change(&cfg)
	}
	a, err := New(cfg, t.TempDir())
	require.NoError(t, err)
	a.now = func() time.Time { return testNow }
	return a
}

// hs256 signs any two texts, well-formed or not.
func hs256(header, claims string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte(testSecret))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

const plainHeader = `{"alg":"HS256","typ":"JWT"}`

func claimsWith(more string) string {
	return fmt.Sprintf(`{"sub":"u1","exp":%d%s}`, testNow.Unix()+60, more)
}

func codeOf(t testing.TB, err error) message.Code {
	t.Helper()
	var e *message.Error
	require.ErrorAs(t, err, &e)
	require.NotContains(t, e.Message, testSecret)
	return e.Code
}

func TestAGoodTokenGivesItsIdentity(t *testing.T) {
	a := newAuth(t, nil)
	for _, tt := range []struct {
		name, claims string
		user, level  string
		permissions  Permissions
	}{
		{"sub alone is basic", claimsWith(""), "u1", "basic", basic},
		{"user_id alone", fmt.Sprintf(`{"user_id":"a.b@c-d_9","exp":%d}`, testNow.Unix()+1), "a.b@c-d_9", "basic", basic},
		{"both alike", claimsWith(`,"user_id":"u1"`), "u1", "basic", basic},
		{"trader", claimsWith(`,"permission_level":"trader"`), "u1", "trader", trader},
		{"premium", claimsWith(`,"permission_level":"premium"`), "u1", "premium", premium},
		{"admin", claimsWith(`,"permission_level":"admin"`), "u1", "admin", admin},
		{"permissions alone", claimsWith(`,"permissions":["read_signals","something:else"]`), "u1", "", ReadSignals},
		{"no permissions at all", claimsWith(`,"permissions":[]`), "u1", "", 0},
		{"level and permissions add up", claimsWith(`,"permission_level":"basic","permissions":["read_signals"]`), "u1",
			"basic", ReadMarketData | ReadSignals},
		{"permission admin", claimsWith(`,"permissions":["admin"]`), "u1", "", admin},
		{"space and escapes", " {\n\"s\\u0075b\" : \"u\\u0031\" , \"exp\" : 1.8e9 }\t", "u1", "basic", basic},
		{"keycloak's type", claimsWith(`,"typ":"Bearer"`), "u1", "basic", basic},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := a.Verify(t.Context(), hs256(plainHeader, tt.claims))
			require.NoError(t, err)
			require.Equal(t, tt.user, id.UserID)
			require.Equal(t, tt.level, id.Level)
			require.Equal(t, tt.permissions, id.Permissions)
			require.Equal(t, tt.claims, string(id.Claims), "claims are kept as they were signed")
		})
	}
}

// attack is a token that must be refused, with a word of the reason.
type attack struct{ name, token, says string }

// refuseAll checks that a refuses every token as one that failed.
func refuseAll(t *testing.T, a *Auth, attacks []attack) {
	for _, tt := range attacks {
		t.Run(tt.name, func(t *testing.T) {
			id, err := a.Verify(t.Context(), tt.token)
			require.Nil(t, id)
			require.Equal(t, message.CodeAuthFailed, codeOf(t, err), "%v", err)
			require.Contains(t, err.Error(), tt.says)
		})
	}
}

func newStrictAuth(t testing.TB) *Auth {
	return newAuth(t, func(c *Config) { c.Issuer, c.Audience = "me", []string{"wse", "other"} })
}

func TestEveryAttackOnHeaderAndSignatureIsRefused(t *testing.T) {
	a := newStrictAuth(t)
	ok := claimsWith(`,"iss":"me","aud":"wse"`)
	good := hs256(plainHeader, ok)
	_, err := a.Verify(t.Context(), good)
	require.NoError(t, err)
	head, _, _ := strings.Cut(good, ".")
	tail := good[strings.LastIndexByte(good, '.'):]
	unsigned := func(header string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(ok)) + "."
	}
	other := base64.RawURLEncoding.EncodeToString([]byte(claimsWith(`,"x":1`)))
	with := func(header string) string { return hs256(header, ok) }
	refuseAll(t, a, []attack{
		{"alg none", unsigned(`{"alg":"none"}`), "algorithm"},
		{"alg None", unsigned(`{"alg":"None"}`), "algorithm"},
		{"alg empty", unsigned(`{"alg":""}`), "no algorithm"},
		{"alg missing", unsigned(`{"typ":"JWT"}`), "no algorithm"},
		{"alg no string", unsigned(`{"alg":["HS256"]}`), "not a string"},
		{"alg twice", with(`{"alg":"none","alg":"HS256"}`), "twice"},
		{"alg not configured, rightly signed", with(`{"alg":"HS512"}`), "algorithm"},
		{"alg in another case", with(`{"alg":"hs256"}`), "algorithm"},
		{"name of alg in another case", with(`{"ALG":"HS256"}`), "no algorithm"},
		{"unknown crit", with(`{"alg":"HS256","crit":["x"],"x":1}`), "extensions"},
		{"empty crit", with(`{"alg":"HS256","crit":[]}`), "extensions"},
		{"b64 crit", with(`{"alg":"HS256","crit":["b64"],"b64":false}`), "extensions"},
		{"type of a refresh token", with(`{"alg":"HS256","typ":"rt+jwt"}`), "access token"},
		{"type of a logout token", with(`{"alg":"HS256","typ":"logout+jwt"}`), "access token"},
		{"type no string", with(`{"alg":"HS256","typ":1}`), "not a string"},
		{"kid unknown", with(`{"alg":"HS256","kid":"k2"}`), "no key"},
		{"kid is a path", with(`{"alg":"HS256","kid":"../../../../dev/null"}`), "no key"},
		{"kid is SQL", with(`{"alg":"HS256","kid":"x' UNION SELECT 'k"}`), "no key"},
		{"kid empty", with(`{"alg":"HS256","kid":""}`), "kid"},
		{"kid huge", with(`{"alg":"HS256","kid":"` + strings.Repeat("k", 129) + `"}`), "kid"},
		{"kid no string", with(`{"alg":"HS256","kid":{}}`), "not a string"},
		{"header no object", with(`["HS256"]`), "object"},
		{"header with a tail", with(plainHeader + `{}`), "JSON"},
		{"jwk in the header is not used", with(`{"alg":"HS256","kid":"x","jwk":{"kty":"oct","k":"AAAA"}}`), "no key"},
		{"two parts", head + ".e30", "three parts"},
		{"four parts", good + ".x", "three parts"},
		{"five parts", "a.b.c.d.e", "three parts"},
		{"no part", "hello", "three parts"},
		{"signature cut", good[:len(good)-4], "signature"},
		{"signature empty", good[:strings.LastIndexByte(good, '.')+1], "signature"},
		{"signature changed", good[:len(good)-2] + "AA", "signature"},
		{"signature of other claims", head + "." + other + tail, "signature"},
		{"padded", good + "=", "signature"},
		{"standard alphabet", good[:len(good)-2] + "+/", "signature"},
		{"a line break inside", good[:len(good)-3] + "\n" + good[len(good)-3:], "signature"},
	})
}

func TestEveryAttackByClaimsIsRefused(t *testing.T) {
	a := newStrictAuth(t)
	claims := func(format string, args ...any) string { return hs256(plainHeader, fmt.Sprintf(format, args...)) }
	soon := testNow.Unix() + 60
	refuseAll(t, a, []attack{
		{"huge", hs256(plainHeader, claimsWith(`,"x":"`+strings.Repeat("x", 9000)+`"`)), "8 KiB"},
		{"large claims", hs256(plainHeader, claimsWith(`,"x":"`+strings.Repeat("x", 4200)+`"`)), "4 KiB"},
		{"claims no object", claims(`[1]`), "object"},
		{"claims no JSON", claims(`{"sub":"u1",}`), "JSON"},
		{"claims not UTF-8", claims("{\"sub\":\"u1\",\"x\":\"\xff\"}"), "JSON"},
		{"exp missing", claims(`{"sub":"u1","iss":"me","aud":"wse"}`), "exp"},
		{"exp text", claims(`{"sub":"u1","exp":"%d"}`, soon), "exp"},
		{"exp null", claims(`{"sub":"u1","exp":null}`), "exp"},
		{"exp negative", claims(`{"sub":"u1","exp":-1}`), "exp"},
		{"exp beyond every calendar", claims(`{"sub":"u1","exp":1e300}`), "exp"},
		{"exp in another case", claims(`{"sub":"u1","iss":"me","aud":"wse","EXP":%d}`, soon), "exp"},
		{"exp twice", claims(`{"sub":"u1","iss":"me","aud":"wse","exp":1,"exp":%d}`, soon), "twice"},
		{"exp twice, once escaped", claims(`{"sub":"u1","exp":1,"\u0065xp":%d}`, soon), "twice"},
		{"not valid yet", claims(`{"sub":"u1","iss":"me","aud":"wse","exp":%d,"nbf":%d}`, soon, testNow.Unix()+1), "nbf"},
		{"nbf no number", claims(`{"sub":"u1","exp":%d,"nbf":true}`, soon), "nbf"},
		{"issuer wrong", claims(`{"sub":"u1","iss":"you","aud":"wse","exp":%d}`, soon), "iss"},
		{"issuer missing", claims(`{"sub":"u1","aud":"wse","exp":%d}`, soon), "iss"},
		{"issuer a list", claims(`{"sub":"u1","iss":["me"],"aud":"wse","exp":%d}`, soon), "iss"},
		{"audience wrong", claims(`{"sub":"u1","iss":"me","aud":"web","exp":%d}`, soon), "aud"},
		{"audience missing", claims(`{"sub":"u1","iss":"me","exp":%d}`, soon), "aud"},
		{"audience of numbers", claims(`{"sub":"u1","iss":"me","aud":[1],"exp":%d}`, soon), "aud"},
		{"expired and of another issuer is not called expired", claims(`{"sub":"u1","iss":"you","aud":"wse","exp":1}`), "iss"},
		{"user missing", claims(`{"iss":"me","aud":"wse","exp":%d}`, soon), "user id"},
		{"user empty", claims(`{"sub":"","iss":"me","aud":"wse","exp":%d}`, soon), "user id"},
		{"user with a colon", claims(`{"sub":"u1:x","iss":"me","aud":"wse","exp":%d}`, soon), "position 3"},
		{"user a wildcard", claims(`{"sub":"*","iss":"me","aud":"wse","exp":%d}`, soon), "position 1"},
		{"user too long", claims(`{"sub":"`+strings.Repeat("u", 129)+`","iss":"me","aud":"wse","exp":%d}`, soon), "129"},
		{"user a number", claims(`{"sub":7,"exp":%d}`, soon), "sub"},
		{"two users", claims(`{"sub":"u1","user_id":"u2","iss":"me","aud":"wse","exp":%d}`, soon), "different users"},
		{"level unknown", claims(`{"sub":"u1","permission_level":"root","exp":%d}`, soon), "permission_level"},
		{"level a list", claims(`{"sub":"u1","permission_level":["admin"],"exp":%d}`, soon), "permission_level"},
		{"permissions a text", claims(`{"sub":"u1","permissions":"admin","exp":%d}`, soon), "permissions"},
		{"permissions of objects", claims(`{"sub":"u1","permissions":[{}],"exp":%d}`, soon), "permissions"},
		{"typ refresh", claims(`{"sub":"u1","iss":"me","aud":"wse","typ":"refresh","exp":%d}`, soon), "refresh"},
		{"typ Refresh", claims(`{"sub":"u1","iss":"me","aud":"wse","typ":"Refresh","exp":%d}`, soon), "refresh"},
		{"token_type refresh", claims(`{"sub":"u1","iss":"me","aud":"wse","token_type":"refresh","exp":%d}`, soon), "refresh"},
		{"typ of an ID token", claims(`{"sub":"u1","typ":"ID","exp":%d}`, soon), "access token"},
		{"subs a text", claims(`{"sub":"u1","subs":"a","exp":%d}`, soon), "claim subs"},
		{"subs of numbers", claims(`{"sub":"u1","subs":["a",1],"exp":%d}`, soon), "claim subs"},
		{"wse_topics a list", claims(`{"sub":"u1","wse_topics":["a"],"exp":%d}`, soon), "wse_topics"},
		{"wse_topics with a misspelt deny", claims(`{"sub":"u1","wse_topics":{"denied":["a"]},"exp":%d}`, soon), "denied"},
		{"wse_topics with two denies", claims(`{"sub":"u1","wse_topics":{"deny":["a"],"deny":[]},"exp":%d}`, soon), "twice"},
		{"wse_topics deny a text", claims(`{"sub":"u1","wse_topics":{"deny":"a"},"exp":%d}`, soon), "deny"},
		{"a name twice deep inside", claims(`{"sub":"u1","x":[{"y":{"a":1,"a":2}}],"exp":%d}`, soon), "twice"},
		{"nested too deep", claims(`{"sub":"u1","x":`+strings.Repeat("[", 500)+strings.Repeat("]", 500)+`,"exp":%d}`, soon), "nested"},
		{"very many claims", hs256(plainHeader, manyClaims(jsonMembersMax)), "members"},
	})
}

func manyClaims(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"c%d":1,`, i)
	}
	return `{` + b.String() + `"sub":"u1","exp":1800000000}`
}

func TestWhatCountsAsNoToken(t *testing.T) {
	a := newAuth(t, nil)
	for _, token := range []string{"", " ", "undefined", "null", "bearer", "Bearer", "NULL", "Undefined", " null "} {
		_, err := a.Verify(t.Context(), token)
		require.Equal(t, message.CodeAuthRequired, codeOf(t, err), "token %q", token)
	}
}

func TestExpiryIsToTheSecondAndLeewayMovesIt(t *testing.T) {
	token := func(exp int64) string { return hs256(plainHeader, fmt.Sprintf(`{"sub":"u1","exp":%d}`, exp)) }
	for _, tt := range []struct {
		name   string
		leeway time.Duration
		exp    int64
		ok     bool
	}{
		{"a second left", 0, 1, true},
		{"this second", 0, 0, false},
		{"a second ago", 0, -1, false},
		{"within the leeway", 10 * time.Second, -9, true},
		{"at the end of the leeway", 10 * time.Second, -10, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuth(t, func(c *Config) { c.Leeway = tt.leeway })
			id, err := a.Verify(t.Context(), token(testNow.Unix()+tt.exp))
			if !tt.ok {
				require.Equal(t, message.CodeAuthExpired, codeOf(t, err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, testNow.UnixMilli()+tt.exp*1000+tt.leeway.Milliseconds(), id.ExpiresMS)
		})
	}
}

func TestNotBeforeHonoursTheLeeway(t *testing.T) {
	token := hs256(plainHeader, claimsWith(fmt.Sprintf(`,"nbf":%d`, testNow.Unix()+5)))
	_, err := newAuth(t, nil).Verify(t.Context(), token)
	require.Equal(t, message.CodeAuthFailed, codeOf(t, err))
	_, err = newAuth(t, func(c *Config) { c.Leeway = 6 * time.Second }).Verify(t.Context(), token)
	require.NoError(t, err)
}

// pair is one freshly made key of an algorithm in both halves.
type pair struct {
	method jwt.SigningMethod
	sign   any
	public any
}

var makePairs = sync.OnceValue(func() map[string]pair {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	ecKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	return map[string]pair{
		"RS256": {jwt.SigningMethodRS256, rsaKey, rsaKey.Public()},
		"ES256": {jwt.SigningMethodES256, ecKey, ecKey.Public()},
		"EdDSA": {jwt.SigningMethodEdDSA, edKey, edKey.Public()},
	}
})

func publicPEM(t testing.TB, public crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func privatePEM(t testing.TB, private any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestPublicKeysVerifyWhatTheirPrivateHalvesIssue(t *testing.T) {
	for alg, p := range makePairs() {
		t.Run(alg, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "key.pem")
			require.NoError(t, os.WriteFile(file, []byte(privatePEM(t, p.sign)), 0o600))
			t.Setenv("AUTH_TEST_KEY", publicPEM(t, p.public))
			cfg := DefaultConfig()
			cfg.Algorithms = []string{alg}
			cfg.Keys = []KeyConfig{{KID: "k1", Alg: alg, File: file}}
			issuer, err := New(cfg, "")
			require.NoError(t, err)
			cfg.Keys = []KeyConfig{{KID: "k1", Alg: alg, Env: "AUTH_TEST_KEY"}}
			verifier, err := New(cfg, "")
			require.NoError(t, err)

			token, err := issuer.Issue(Spec{UserID: "u1", Level: "trader"})
			require.NoError(t, err)
			id, err := verifier.Verify(t.Context(), token)
			require.NoError(t, err)
			require.Equal(t, "trader", id.Level)

			_, err = verifier.Issue(Spec{UserID: "u1"})
			require.ErrorIs(t, err, ErrNoSigningKey)
		})
	}
}

// A public key is known to everybody: used as an HMAC secret it must sign nothing.
func TestAPublicKeyIsNeverASharedSecret(t *testing.T) {
	for alg, p := range makePairs() {
		t.Run(alg, func(t *testing.T) {
			text := publicPEM(t, p.public)
			cfg := DefaultConfig()
			cfg.Algorithms = []string{"HS256", alg}
			cfg.Keys = []KeyConfig{{KID: "k1", Alg: alg, Value: Secret(text)}}
			a, err := New(cfg, "")
			require.NoError(t, err)
			block, _ := pem.Decode([]byte(text))
			for _, secret := range [][]byte{[]byte(text), []byte(strings.TrimSpace(text)), block.Bytes} {
				forged := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "u1", "exp": time.Now().Unix() + 60})
				forged.Header["kid"] = "k1"
				token, err := forged.SignedString(secret)
				require.NoError(t, err)
				_, err = a.Verify(t.Context(), token)
				require.Equal(t, message.CodeAuthFailed, codeOf(t, err))
			}
			cfg.Secret = Secret(text)
			_, err = New(cfg, "")
			require.ErrorContains(t, err, "is PEM, not a shared secret")
		})
	}
}

func TestKidSelectsAmongConfiguredKeys(t *testing.T) {
	other := strings.Repeat("x", 32)
	cfg := DefaultConfig()
	cfg.Keys = []KeyConfig{{KID: "old", Alg: "HS256", Value: testSecret}, {KID: "new", Alg: "HS256", Value: Secret(other)}}
	a, err := New(cfg, "")
	require.NoError(t, err)
	a.now = func() time.Time { return testNow }

	id, err := a.Verify(t.Context(), hs256(`{"alg":"HS256","kid":"old"}`, claimsWith("")))
	require.NoError(t, err)
	require.Equal(t, "u1", id.UserID)

	_, err = a.Verify(t.Context(), hs256(`{"alg":"HS256","kid":"new"}`, claimsWith("")))
	require.ErrorContains(t, err, "signature")
	_, err = a.Verify(t.Context(), hs256(plainHeader, claimsWith("")))
	require.ErrorContains(t, err, "several keys")
}

func TestIssuedTokensAreAcceptedAndCarryWhatWasAsked(t *testing.T) {
	a := newAuth(t, func(c *Config) { c.Issuer, c.Audience = "me", []string{"wse"} })
	token, err := a.Issue(Spec{UserID: "u1", TTL: time.Hour, Level: "premium", Claims: json.RawMessage(`{"wse_topics":{"deny":["a:*"]},"tier":3}`)})
	require.NoError(t, err)
	id, err := a.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, testNow.Add(time.Hour).UnixMilli(), id.ExpiresMS)
	require.JSONEq(t, fmt.Sprintf(`{"sub":"u1","permission_level":"premium","iss":"me","aud":"wse","iat":%d,"exp":%d,
		"wse_topics":{"deny":["a:*"]},"tier":3}`, testNow.Unix(), testNow.Unix()+3600), string(id.Claims))
}

func TestARefreshTokenIsNoAccessToken(t *testing.T) {
	a := newAuth(t, nil)
	token, err := a.Issue(Spec{UserID: "u1", Refresh: true})
	require.NoError(t, err)
	_, err = a.Verify(t.Context(), token)
	require.Equal(t, message.CodeAuthFailed, codeOf(t, err))
	require.ErrorContains(t, err, "refresh token")

	_, body, _ := strings.Cut(token, ".")
	body, _, _ = strings.Cut(body, ".")
	raw, err := base64.RawURLEncoding.DecodeString(body)
	require.NoError(t, err)
	var c struct{ Typ, Family, JTI string }
	require.NoError(t, json.Unmarshal(raw, &c))
	require.Equal(t, "refresh", c.Typ)
	require.NotEmpty(t, c.Family)
	require.NotEmpty(t, c.JTI)
}

func TestIssueRefusesWhatWouldNotVerify(t *testing.T) {
	a := newAuth(t, nil)
	for _, tt := range []struct {
		name string
		spec Spec
		says string
	}{
		{"no user", Spec{}, "user id"},
		{"user with a slash", Spec{UserID: "a/b"}, "position 2"},
		{"unknown level", Spec{UserID: "u1", Level: "root"}, "root"},
		{"negative life", Spec{UserID: "u1", TTL: -time.Second}, "negative"},
		{"claims no object", Spec{UserID: "u1", Claims: json.RawMessage(`[]`)}, "object"},
		{"claims no JSON", Spec{UserID: "u1", Claims: json.RawMessage(`{`)}, "JSON"},
		{"claims that set exp", Spec{UserID: "u1", Claims: json.RawMessage(`{"exp":1}`)}, "exp is set"},
		{"claims against the level", Spec{UserID: "u1", Level: "basic", Claims: json.RawMessage(`{"permission_level":"admin"}`)}, "permission_level is set"},
		{"claims too large", Spec{UserID: "u1", Claims: json.RawMessage(`{"x":"` + strings.Repeat("x", 5000) + `"}`)}, "KiB"},
		{"bad topics", Spec{UserID: "u1", Claims: json.RawMessage(`{"wse_topics":1}`)}, "wse_topics"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := a.Issue(tt.spec)
			require.ErrorContains(t, err, tt.says)
		})
	}
}

func TestTokenFromTakesTheFirstThatIsThere(t *testing.T) {
	for _, tt := range []struct {
		name, query, authorization, cookie, want string
	}{
		{"nothing", "", "", "", ""},
		{"query first", "q", "Bearer h", "access_token=c", "q"},
		{"header next", "", "Bearer h", "access_token=c", "h"},
		{"scheme in any case", "", "bEARER  h", "", "h"},
		{"another scheme", "", "Basic h", "access_token=c", "c"},
		{"cookie among others", "", "", "a=b; access_token=c.d.e; x=y", "c.d.e"},
		{"cookie quoted", "", "", `access_token="c"`, "c"},
		{"cookie of another name", "", "", "xaccess_token=c", ""},
		{"undefined in the query falls through", "undefined", "Bearer h", "", "h"},
		{"null in the header falls through", "null", "Bearer null", "access_token=c", "c"},
		{"bearer alone", "bearer", "Bearer", "access_token=", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, TokenFrom(tt.query, tt.authorization, tt.cookie))
		})
	}
}

func TestASecretNeverPrints(t *testing.T) {
	c := DefaultConfig()
	c.Secret = testSecret
	c.Keys = []KeyConfig{{Value: testSecret}}
	asJSON, err := json.Marshal(c)
	require.NoError(t, err)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c.Secret, c.Secret), string(asJSON)} {
		require.NotContains(t, text, testSecret)
		require.Contains(t, text, redacted)
	}
	yaml, err := c.Secret.MarshalYAML()
	require.NoError(t, err)
	require.Equal(t, redacted, yaml)
	require.Equal(t, testSecret, c.Secret.Reveal())
}

func TestPermissionsHaveNames(t *testing.T) {
	require.Equal(t, []string{"read_market_data", "read_indicators", "execute_backtest", "execute_paper_trading"},
		trader.AppendNames(nil))
	require.Len(t, admin.AppendNames(nil), 7)
	require.True(t, premium.Has(ExecuteLiveTrading|ReadSignals))
	require.False(t, trader.Has(ExecuteLiveTrading))
}

func TestSubsAreTheTopicsThatAClaimNamesInEitherForm(t *testing.T) {
	for claims, want := range map[string][]string{
		`{"sub":"u1"}`:                           nil,
		`{"subs":null}`:                          nil,
		`{"subs":[]}`:                            nil,
		`{"subs":["b","a"],"x":{"subs":["c"]}}`:  {"b", "a"},
		`{"subs":{"b":{"position":1},"a":null}}`: {"b", "a"},
		`{"subs":["\u0061:b"]}`:                  {"a:b"},
	} {
		require.Equal(t, want, (&Identity{Claims: []byte(claims)}).Subs(), claims)
	}
}

func TestAnIdentityIsSmall(t *testing.T) {
	a := newAuth(t, nil)
	id, err := a.Verify(t.Context(), hs256(plainHeader, claimsWith(`,"iat":1700000000,"permission_level":"trader","tier":"gold"`)))
	require.NoError(t, err)
	require.LessOrEqual(t, int(unsafe.Sizeof(*id))+len(id.UserID)+cap(id.Claims), 300)
}

func benchmarkVerify(b *testing.B, a *Auth, token string) {
	ctx := context.Background()
	if _, err := a.Verify(ctx, token); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Verify(ctx, token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyHS256(b *testing.B) {
	benchmarkVerify(b, newAuth(b, nil), hs256(plainHeader, claimsWith(`,"iat":1700000000,"permission_level":"trader","tier":"gold"`)))
}

func BenchmarkVerifyPublicKey(b *testing.B) {
	for alg, p := range makePairs() {
		b.Run(alg, func(b *testing.B) {
			cfg := DefaultConfig()
			cfg.Algorithms = []string{alg}
			cfg.Keys = []KeyConfig{{Alg: alg, Value: Secret(privatePEM(b, p.sign))}}
			a, err := New(cfg, "")
			require.NoError(b, err)
			token, err := a.Issue(Spec{UserID: "u1"})
			require.NoError(b, err)
			benchmarkVerify(b, a, token)
		})
	}
}

func TestVerifyHS256AllocatesLittle(t *testing.T) {
	a := newAuth(t, nil)
	token := hs256(plainHeader, claimsWith(`,"permission_level":"trader"`))
	ctx := t.Context()
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := a.Verify(ctx, token); err != nil {
			t.Error(err)
		}
	})
	require.LessOrEqual(t, allocs, 22.0)
}

// Whatever comes, Verify either refuses with a code or gives an identity whose user id can be part of a topic.
func FuzzVerify(f *testing.F) {
	a := newAuth(f, nil)
	f.Add(hs256(plainHeader, claimsWith("")))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		id, err := a.Verify(t.Context(), token)
		checkOutcome(t, id, err)
	})
}

// The same behind a good signature, where the parsers of header and claims are reached.
func FuzzSignedClaims(f *testing.F) {
	a := newAuth(f, nil)
	for _, claims := range []string{claimsWith(""), claimsWith(`,"permissions":["admin"],"aud":["a"],"wse_topics":{"allow":["x"]}`),
		`{"\u0073ub":"u1","exp":1e10}`, `{"sub":"u1","exp":1800000000,"a":[[{"b":null}],-0.5e-3,"\ud83d\ude00"]}`, `{`, `[]`} {
		f.Add(plainHeader, claims)
	}
	f.Add(`{"alg":"HS256","kid":"\ud800","crit":[]}`, `{}`)
	f.Fuzz(func(t *testing.T, header, claims string) {
		id, err := a.Verify(t.Context(), hs256(header, claims))
		checkOutcome(t, id, err)
	})
}

func checkOutcome(t *testing.T, id *Identity, err error) {
	if err != nil {
		var e *message.Error
		if id != nil || !errors.As(err, &e) || e.Code == message.CodeInternal {
			t.Fatalf("refusal without a code: %v, %v", id, err)
		}
		return
	}
	if _, err := message.UserTopic(id.UserID, "events"); err != nil {
		t.Fatalf("user id %q: %v", id.UserID, err)
	}
	if !json.Valid(id.Claims) {
		t.Fatalf("claims are not JSON: %q", id.Claims)
	}
}
