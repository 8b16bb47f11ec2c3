package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// key is one key, for one algorithm.
type key struct {
	kid    string
	method jwt.SigningMethod
	verify any // what method.Verify takes: []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	sign   any // what method.Sign takes, or nil where only the public half is known
}

// keySet is an immutable set of keys.
type keySet []key

// errKeyUnknown and errKeyAmbiguous are why select finds no key; their texts are shown to clients.
var (
	errKeyUnknown   = errors.New("the token names no key that is configured for its algorithm")
	errKeyAmbiguous = errors.New("several keys are configured for the token's algorithm; its header must name one by kid")
)

// find returns the key a token's header asks for: the one with its kid, or without a kid the only one of its algorithm.
func (s keySet) find(alg, kid string) (*key, error) {
	var found *key
	for i := range s {
		k := &s[i]
		if k.method.Alg() != alg || kid != "" && k.kid != kid {
			continue
		}
		if found != nil {
			return nil, errKeyAmbiguous
		}
		found = k
	}
	if found == nil {
		return nil, errKeyUnknown
	}
	return found, nil
}

// signer returns the first key that can sign.
func (s keySet) signer() *key {
	for i := range s {
		if s[i].sign != nil {
			return &s[i]
		}
	}
	return nil
}

// mark returns a short digest of the key, of the public half where it has one; "" of none.
func (k *key) mark() string {
	if k == nil {
		return ""
	}
	material, symmetric := k.verify.([]byte)
	if !symmetric {
		var err error
		if material, err = x509.MarshalPKIXPublicKey(k.verify); err != nil { // a kind that nothing signs with
			return k.method.Alg()
		}
	}
	sum := hmac.New(sha256.New, material)
	_, _ = sum.Write([]byte("wse: the key that tokens are issued with"))
	return hex.EncodeToString(sum.Sum(nil)[:4])
}

// loadKeys reads the keys of the configuration, all but those of a JWKS URL. Relative paths are relative to dir.
func loadKeys(cfg Config, dir string) (keySet, error) {
	var set keySet
	var errs []error
	if cfg.Secret != "" {
		secret := []byte(cfg.Secret.Reveal())
		set = append(set, key{method: jwt.SigningMethodHS256, verify: secret, sign: secret})
	}
	for i, kc := range cfg.Keys {
		kc.File = within(dir, kc.File)
		k, err := loadKey(kc)
		if err != nil {
			errs = append(errs, fmt.Errorf("auth: keys[%d]: %w", i, err))
			continue
		}
		set = append(set, k)
	}
	if cfg.JWKSFile != "" {
		cfg.JWKSFile = within(dir, cfg.JWKSFile)
		keys, err := loadJWKSFile(cfg)
		if err != nil {
			errs = append(errs, fmt.Errorf("auth: jwks_file: %w", err))
		}
		set = set.merge(keys)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return set, nil
}

// within returns path, relative to dir where it is relative; "" stays "".
func within(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// merge returns s with those of more whose kid and algorithm s does not have: what stands in the configuration itself
// can't be replaced from outside.
func (s keySet) merge(more keySet) keySet {
	merged := append(keySet(nil), s...)
	for _, k := range more {
		known := false
		for i := range s {
			known = known || k.kid == s[i].kid && k.method == s[i].method
		}
		if !known {
			merged = append(merged, k)
		}
	}
	return merged
}

// loadKey reads one configured key.
func loadKey(kc KeyConfig) (key, error) {
	material := kc.Value.Reveal()
	switch {
	case kc.File != "":
		b, err := readLimited(kc.File, 64<<10)
		if err != nil {
			return key{}, fmt.Errorf("file: %w", err)
		}
		material = string(b)
	case kc.Env != "":
		v, ok := os.LookupEnv(kc.Env)
		if !ok || v == "" {
			return key{}, fmt.Errorf("env: the environment has no %s", kc.Env)
		}
		material = v
	}
	k, err := parseMaterial(kc.Alg, strings.TrimSpace(material))
	if err != nil {
		return key{}, err
	}
	if kc.KID != "" {
		k.kid = kc.KID
	}
	return k, nil
}

// parseMaterial reads PEM, a JWK or, for HS256, a secret's own text.
func parseMaterial(alg, material string) (key, error) {
	method := methodOf(alg)
	switch {
	case strings.HasPrefix(material, "{"):
		return parseJWK(alg, []byte(material))
	case method == jwt.SigningMethodHS256:
		if err := checkSecret([]byte(material)); err != nil {
			return key{}, fmt.Errorf("the secret %w", err)
		}
		return newKey("", method, []byte(material))
	case strings.Contains(material, "-----BEGIN "):
		parsed, err := parsePEM([]byte(material))
		if err != nil {
			return key{}, err
		}
		return newKey("", method, parsed)
	}
	return key{}, errors.New("is neither PEM nor a JWK")
}

// parsePEM reads the first key or certificate of a PEM text.
func parsePEM(text []byte) (any, error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, errors.New("the PEM holds no key that can be read")
		}
		parse := map[string]func([]byte) (any, error){
			"PUBLIC KEY":      x509.ParsePKIXPublicKey,
			"PRIVATE KEY":     x509.ParsePKCS8PrivateKey,
			"RSA PUBLIC KEY":  func(b []byte) (any, error) { return x509.ParsePKCS1PublicKey(b) },
			"RSA PRIVATE KEY": func(b []byte) (any, error) { return x509.ParsePKCS1PrivateKey(b) },
			"EC PRIVATE KEY":  func(b []byte) (any, error) { return x509.ParseECPrivateKey(b) },
			"CERTIFICATE": func(b []byte) (any, error) {
				cert, err := x509.ParseCertificate(b)
				if err != nil {
					return nil, err
				}
				return cert.PublicKey, nil
			},
		}[block.Type]
		if parse == nil {
			continue // "EC PARAMETERS" and the like stand before the key
		}
		parsed, err := parse(block.Bytes)
		if err != nil {
			// The parser's error may quote the material, so it is not repeated.
			return nil, fmt.Errorf("the PEM block %q is damaged or of an unsupported kind", block.Type)
		}
		return parsed, nil
	}
}

// parseJWK reads one JSON Web Key (RFC 7517). alg is the algorithm it must be for.
func parseJWK(alg string, text []byte) (key, error) {
	var m jwkset.JWKMarshal
	if err := json.Unmarshal(text, &m); err != nil {
		return key{}, errors.New("the JWK is not valid JSON of the form RFC 7517 §4 gives")
	}
	if a := m.ALG.String(); a != "" && a != alg {
		return key{}, fmt.Errorf("the JWK is for %s, not %s", a, alg)
	}
	return keyOfJWK(alg, m)
}

// keyOfJWK turns a decoded JWK into a key for alg.
func keyOfJWK(alg string, m jwkset.JWKMarshal) (key, error) {
	if len(m.KID) > kidBytesMax {
		return key{}, fmt.Errorf("the JWK's kid is longer than %d bytes", kidBytesMax)
	}
	m.X5U, m.X5C, m.X5T, m.X5TS256 = "", nil, "", "" // certificates are not consulted, and nothing is fetched
	jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
	if err != nil {
		return key{}, errors.New("the JWK's parameters are missing, damaged or do not fit together")
	}
	return newKey(m.KID, methodOf(alg), jwk.Key())
}

// newKey checks that parsed is a key of the method's kind and strength.
func newKey(kid string, method jwt.SigningMethod, parsed any) (key, error) {
	k := key{kid: kid, method: method}
	if signer, ok := parsed.(crypto.Signer); ok {
		k.sign, k.verify = parsed, signer.Public()
	} else {
		k.verify = parsed
	}
	switch pub := k.verify.(type) {
	case []byte:
		if err := checkSecret(pub); err != nil {
			return key{}, fmt.Errorf("the secret %w", err)
		}
		k.sign = parsed
		return k, k.mustBe(jwt.SigningMethodHS256, "a shared secret")
	case *rsa.PublicKey:
		if bits := pub.N.BitLen(); bits < rsaBitsMin || bits > rsaBitsMax {
			return key{}, fmt.Errorf("the RSA key has %d bits; it needs %d to %d", bits, rsaBitsMin, rsaBitsMax)
		}
		if pub.E < 3 || pub.E&1 == 0 {
			return key{}, errors.New("the RSA key's exponent is not an odd number of at least 3")
		}
		return k, k.mustBe(jwt.SigningMethodRS256, "an RSA key")
	case *ecdsa.PublicKey:
		if pub.Curve != elliptic.P256() {
			return key{}, fmt.Errorf("the EC key is on %s; ES256 needs P-256", pub.Curve.Params().Name)
		}
		return k, k.mustBe(jwt.SigningMethodES256, "a P-256 key")
	case ed25519.PublicKey:
		if priv, ok := k.sign.(ed25519.PrivateKey); ok && !priv.Equal(ed25519.NewKeyFromSeed(priv.Seed())) {
			return key{}, errors.New("the Ed25519 key's halves do not belong together")
		}
		return k, k.mustBe(jwt.SigningMethodEdDSA, "an Ed25519 key")
	}
	return key{}, fmt.Errorf("a key of type %T is not supported", parsed)
}

// mustBe ties a kind of key to its one algorithm, which rules out every confusion between them.
func (k key) mustBe(method jwt.SigningMethod, what string) error {
	if k.method != method {
		return fmt.Errorf("is %s, which is for %s, not %s", what, method.Alg(), k.method.Alg())
	}
	return nil
}
