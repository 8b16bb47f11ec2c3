package scenario

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// crypto is a client's side of the encryption, written from the protocol's text (PROTOCOL §2.6).
type crypto struct {
	later   bool // the first hello is the scenario's to send
	started bool // a hello was sent: what follows is sealed

	mu     sync.Mutex
	own    *ecdh.PrivateKey // offered in the hello that is under way; guarded by mu
	cid    string           // of that hello, empty when none is; guarded by mu
	hidden bool             // its answer is not handed over; guarded by mu
	gcm    cipher.AEAD      // nil until a key is agreed on; guarded by mu
	hellos int              // guarded by mu
	last   []byte           // the frame sealed last; guarded by mu
	agreed chan struct{}    // closed with the first key
}

func newCrypto(later bool) *crypto { return &crypto{later: later, agreed: make(chan struct{})} }

// encryption reads the option of that name: yes, later, or no where the encoding would be encrypted.
func (c *client) encryption(o map[string]string) error {
	switch want := o["encryption"]; want {
	case "":
		if c.encoding == nil || !c.encoding.encrypted || strings.Contains(o["query"], "encryption=") {
			return nil
		}
	case "yes", "later":
	case "no":
		return nil
	default:
		return fmt.Errorf("encryption is yes, later or no, not %q", want)
	}
	c.crypto = newCrypto(o["encryption"] == "later")
	o["query"] = strings.Trim(o["query"]+"&encryption=true", "&")
	return nil
}

// hello makes a client_hello with a new key. hidden says that nobody waits for the answer.
func (k *crypto) hello(hidden bool) ([]byte, error) {
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hellos++
	k.own, k.cid, k.hidden = own, "hello-"+strconv.Itoa(k.hellos), hidden
	return fmt.Appendf(nil, `{"t":"client_hello","p":{"encryption_public_key":%q},"id":%q}`,
		base64.StdEncoding.EncodeToString(own.PublicKey().Bytes()), k.cid), nil
}

// take opens a message as it came. Once a key is agreed on every message has to be sealed.
func (k *crypto) take(message []byte) (text []byte, hidden bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if text = message; k.gcm != nil {
		if !bytes.HasPrefix(message, []byte("E:")) || len(message) < 2+12+16 {
			return nil, false, fmt.Errorf("a message came in the clear: %q", message)
		}
		if text, err = k.gcm.Open(nil, message[2:14], message[14:], nil); err != nil {
			return nil, false, fmt.Errorf("a sealed message does not open: %w", err)
		}
	}
	if k.cid == "" {
		return text, false, nil
	}
	object, _, err := unpackForm(text, len(text) > 0 && text[0] != '{', false)
	if err != nil {
		return nil, false, err
	}
	var answer struct {
		T   string
		CID string
		P   struct {
			Key string `json:"encryption_public_key"`
		}
	}
	if json.Unmarshal(object, &answer) != nil || answer.CID != k.cid {
		return text, false, nil
	}
	k.cid = ""
	if answer.T != "server_hello" || answer.P.Key == "" {
		return text, false, nil
	}
	return text, k.hidden, k.agree(answer.P.Key)
}

// agree derives the key. mu is held.
func (k *crypto) agree(serverKey string) error {
	raw, err := base64.StdEncoding.DecodeString(serverKey)
	if err != nil {
		return err
	}
	theirs, err := ecdh.P256().NewPublicKey(raw)
	if err != nil {
		return err
	}
	secret, err := k.own.ECDH(theirs)
	if err != nil {
		return err
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "wse-encryption/aes-gcm-key", 32)
	if err != nil {
		return err
	}
	first := k.gcm == nil
	if k.gcm, err = gcmOf(key); err == nil && first {
		close(k.agreed)
	}
	return err
}

func gcmOf(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal encrypts a message.
func (k *crypto) seal(message []byte) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = sealWith(k.gcm, message)
	return k.last
}

func sealWith(gcm cipher.AEAD, message []byte) []byte {
	iv := make([]byte, 12)
	_, _ = rand.Read(iv) // crypto/rand never fails
	return gcm.Seal(append([]byte("E:"), iv...), iv, message, nil)
}

// encrypt makes c agree on a key before it sends anything else. Nobody sees the answer.
func (c *client) encrypt() error {
	text, err := c.crypto.hello(true)
	if err != nil {
		return err
	}
	c.crypto.started = true
	_ = c.send(ws.OpText, text) // a connection that is refused may be gone by now
	return nil
}

// sendSealed sends a message encrypted, once a key is agreed on.
func (c *client) sendSealed(message []byte) error {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-c.crypto.agreed:
		return c.send(ws.OpBinary, c.crypto.seal(message))
	case <-c.done:
		return errors.New("the connection ended before a key was agreed on")
	case <-timeout.C:
		return errors.New("no key was agreed on")
	}
}

// hello sends a client_hello with a new key. Its answer comes like any other; what comes after it is opened with that key.
func (r *Runner) hello(s Step) error {
	c, _, err := r.client(s.Rest)
	if err != nil {
		return err
	}
	if c.crypto == nil {
		return errors.New("the client was not connected with encryption=yes or encryption=later")
	}
	text, err := c.crypto.hello(false)
	if err != nil {
		return err
	}
	err = c.request(text)
	c.crypto.started = true
	return err
}

// forge sends a frame that must not be taken: the last one again, or a message that was sealed and then cut to N bytes,
// changed at byte N, or sealed with a key that nobody agreed on.
func (r *Runner) forge(s Step) error {
	c, rest, err := r.client(s.Rest)
	if err != nil {
		return err
	}
	if c.crypto == nil || c.crypto.last == nil {
		return errors.New("the client has sealed nothing yet")
	}
	how, text, _ := strings.Cut(rest, " ")
	how, number, _ := strings.Cut(how, "=")
	n := 0
	if number != "" {
		if n, err = strconv.Atoi(number); err != nil {
			return err
		}
	}
	frame := c.crypto.last
	switch how {
	case "again":
	case "cut":
		frame = c.crypto.seal([]byte(text))
		frame = frame[:min(n, len(frame)-1)]
	case "change":
		frame = c.crypto.seal([]byte(text))
		frame[min(n, len(frame)-1)] ^= 1
	case "foreign":
		gcm, err := gcmOf(make([]byte, 32))
		if err != nil {
			return err
		}
		frame = sealWith(gcm, []byte(text))
	default:
		return fmt.Errorf("%q is not one of again, cut=N, change=N, foreign", how)
	}
	return c.send(ws.OpBinary, frame)
}
