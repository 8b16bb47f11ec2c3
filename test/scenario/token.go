package scenario

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"
)

// secret is what every engine of the scenarios signs tokens with.
const secret = "the scenarios' secret, 32 bytes or more"

// Token returns a token of a user, good for an hour at any engine that [Start] started.
func Token(user string) (string, error) {
	return mint(user, time.Hour, map[string]string{"claims": `{"permission_level":"basic"}`})
}

// mint makes a JWT. The options change one thing each, so that a scenario can hold a token that is wrong in that thing only.
func mint(user string, life time.Duration, o map[string]string) (string, error) {
	now := time.Now()
	claims := map[string]any{"sub": user, "iat": now.Unix(), "exp": now.Add(life).Unix()}
	if raw, ok := o["claims"]; ok {
		if err := json.Unmarshal([]byte(raw), &claims); err != nil {
			return "", err
		}
	}
	for key, value := range claims {
		if value == nil {
			delete(claims, key)
		}
	}
	alg, key := o["alg"], secret
	if alg == "" {
		alg = "HS256"
	}
	if o["key"] != "" {
		key = o["key"]
	}
	head, err := json.Marshal(map[string]string{"alg": alg, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	if alg == "none" {
		return text + ".", nil
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}
