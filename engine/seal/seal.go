// Package seal encrypts what travels between the engine and one client, end to end over whatever carries it (PROTOCOL
// §2.6): ECDH on P-256, HKDF-SHA256 (RFC 5869) and AES-256-GCM (NIST SP 800-38D), all from the standard library.
//
// Neither side proves who it is: the key keeps out whoever only listens, for example behind a proxy that ends TLS. Whoever
// can change the key exchange itself is kept out by TLS alone.
//
// Ownership: a Channel has two halves that share nothing but the key. Seal belongs to whoever writes to the connection, one
// call at a time; Open and Close to the goroutine that reads from it.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"sync/atomic"
)

// Faults of a key or of a frame. None of them says anything that depends on a secret.
var (
	// ErrKey is a public key that is none; [KeyError] says why.
	ErrKey = errors.New("seal: not a public key")
	// ErrFrame is a frame that is not of this form, or was not sealed with this key, or was changed.
	ErrFrame = errors.New("seal: the frame does not open")
	// ErrReplayed is a frame whose initialization vector was used before.
	ErrReplayed = errors.New("seal: the frame was seen before")
	// ErrWornOut is a key that has opened as many frames as can be remembered: a new one must be agreed on.
	ErrWornOut = errors.New("seal: the key is worn out")
)

// KeyError is [ErrKey] with the reason.
type KeyError struct{ Reason string }

// Error implements error.
func (e *KeyError) Error() string { return ErrKey.Error() + ": " + e.Reason }

// Unwrap returns [ErrKey].
func (e *KeyError) Unwrap() error { return ErrKey }

func badKey(format string, args ...any) error { return &KeyError{fmt.Sprintf(format, args...)} }

const (
	// Prefix is what a sealed frame begins with.
	Prefix = "E:"
	// Overhead is how many bytes a sealed frame is longer than what is inside.
	Overhead = len(Prefix) + ivBytes + tagBytes

	// Info binds the derived key to its purpose (RFC 5869 §3.2); clients use the same bytes.
	info = "wse-encryption/aes-gcm-key"

	pointBytes = 65 // of an uncompressed point on P-256 (SEC 1 §2.3.3)
	keyBytes   = 32
	ivBytes    = 12
	tagBytes   = 16
	saltBytes  = 4 // of an initialization vector that the engine makes: random, then a counter of eight bytes
	keyText    = (pointBytes + 2) / 3 * 4

	// sentFrom is where the counter begins. A client that makes its vectors in the same way counts from the bottom, so that
	// the two cannot meet, not even where both draw the same salt.
	sentFrom = 1 << 63
	// lastWords is how many frames a worn out key still opens, with [ErrWornOut]: the client has to ask for a new one.
	lastWords = 16
)

// Budget is memory that many channels share. Its methods may be called by any number of goroutines.
type Budget interface {
	Reserve(bytes int64) bool
	Release(bytes int64)
}

// Limits bound what a channel remembers. A frame takes 16 to 32 bytes.
type Limits struct {
	OpensMax int    // frames that a key opens; 0: no limit
	Memory   Budget // what is remembered beyond the first 512 bytes comes out of it; nil: no limit
}

// Channel seals what goes to a client and opens what comes from it.
type Channel struct {
	aead cipher.AEAD
	salt [saltBytes]byte

	sent atomic.Uint64 // counts the frames sealed; Open reads it

	seen  ivSet // those of frames opened; the reader's
	limit int
	last  int // frames opened since the key is worn out; the reader's
}

// Exchange makes a key pair for one client, agrees with its public key, base64 of 65 bytes, on a key, and returns the
// engine's public key in the same form. The error is [ErrKey] with what is wrong. It takes a few tenths of a
// millisecond (BenchmarkExchange).
func Exchange(clientKey string, lim Limits) (c *Channel, serverKey string, err error) {
	if len(clientKey) > 2*keyText { // there is no need to decode it, then
		return nil, "", badKey("it has %d characters, base64 of an uncompressed point on P-256 has %d", len(clientKey), keyText)
	}
	raw, err := base64.StdEncoding.DecodeString(clientKey)
	switch {
	case err != nil:
		return nil, "", badKey("it is not base64")
	case len(raw) != pointBytes:
		return nil, "", badKey("it has %d bytes, an uncompressed point on P-256 has %d", len(raw), pointBytes)
	}
	theirs, err := ecdh.P256().NewPublicKey(raw)
	if err != nil {
		return nil, "", badKey("it is no point on P-256")
	}
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("seal: making a key: %w", err)
	}
	secret, err := own.ECDH(theirs)
	if err != nil {
		return nil, "", badKey("nothing can be agreed with it")
	}
	if c, err = newChannel(secret, lim); err != nil {
		return nil, "", err
	}
	return c, base64.StdEncoding.EncodeToString(own.PublicKey().Bytes()), nil
}

func newChannel(secret []byte, lim Limits) (*Channel, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, info, keyBytes)
	if err != nil {
		return nil, fmt.Errorf("seal: deriving a key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	c := &Channel{limit: lim.OpensMax, seen: ivSet{memory: lim.Memory}}
	c.sent.Store(sentFrom)
	if c.aead, err = cipher.NewGCM(block); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if _, err := rand.Read(c.salt[:]); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return c, nil
}

// Seal appends plain to dst as a sealed frame: prefix, initialization vector, ciphertext, tag. dst and plain must not
// overlap. It allocates only when dst has not [Overhead] more bytes than plain left (BenchmarkSeal).
func (c *Channel) Seal(dst, plain []byte) []byte {
	dst = append(dst, Prefix...)
	at := len(dst)
	dst = append(dst, c.salt[:]...)
	// A counter never repeats; the salt keeps it apart from what the client draws (SP 800-38D §8.2.1).
	dst = binary.BigEndian.AppendUint64(dst, c.sent.Add(1))
	return c.aead.Seal(dst, dst[at:at+ivBytes], plain, nil)
}

// IsSealed reports whether a message has the prefix of a sealed frame.
func IsSealed(message []byte) bool {
	return len(message) >= len(Prefix) && string(message[:len(Prefix)]) == Prefix
}

// Open decrypts a sealed frame in place and returns what it holds, a part of frame. A frame opens once: its initialization
// vector is remembered for as long as the key lives, and the engine's own frames, sent back, do not open. A frame that does
// not open is left with nothing of use in it. It allocates only to remember more (BenchmarkOpen).
//
// With [ErrWornOut] the frame was opened all the same, where plain is not nil: it may ask for a new key, and for nothing else.
func (c *Channel) Open(frame []byte) (plain []byte, err error) {
	if !IsSealed(frame) || len(frame) < Overhead {
		return nil, ErrFrame
	}
	iv, sealed := frame[len(Prefix):len(Prefix)+ivBytes], frame[len(Prefix)+ivBytes:]
	if c.seen.has(iv) || c.isOwn(iv) {
		return nil, ErrReplayed
	}
	worn := c.limit > 0 && c.seen.n >= c.limit || !c.seen.room()
	if worn && c.last == lastWords {
		return nil, ErrWornOut
	}
	plain, err = c.aead.Open(sealed[:0], iv, sealed, nil)
	if err != nil {
		return nil, ErrFrame
	}
	c.seen.add(iv) // only now: else a forged frame could use up the vector of a real one
	if worn {
		c.last++
		return plain, ErrWornOut
	}
	return plain, nil
}

// Close forgets the frames that were opened and gives their memory back. Nothing is opened after it.
func (c *Channel) Close() {
	c.seen.release()
	c.limit, c.last = 1, lastWords
	c.seen = ivSet{n: 1}
}

// isOwn reports whether the engine has sealed a frame with this initialization vector.
func (c *Channel) isOwn(iv []byte) bool {
	n := binary.BigEndian.Uint64(iv[saltBytes:])
	return [saltBytes]byte(iv) == c.salt && n > sentFrom && n <= c.sent.Load()
}

// ivSet remembers initialization vectors as keyed 64-bit hashes: eight bytes each, and a client that could make two of them
// collide would only refuse itself a frame. It is a table with linear probing, half full at most but for the last words.
type ivSet struct {
	seed   maphash.Seed
	slots  []uint64 // length zero or a power of two; 0 is free
	n      int
	memory Budget // may be nil
}

// slotsFree is how many slots are not charged: four times the last words, so that those find room in any table.
const slotsFree = 4 * lastWords

func (s *ivSet) has(iv []byte) bool {
	if len(s.slots) == 0 {
		return false
	}
	_, found := s.find(s.hash(iv))
	return found
}

func (s *ivSet) hash(iv []byte) uint64 { return maphash.Bytes(s.seed, iv) | 1 }

// find returns the slot of h, or the free one where it would be.
func (s *ivSet) find(h uint64) (slot int, found bool) {
	mask := len(s.slots) - 1
	for i := int(h>>1) & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case h:
			return i, true
		case 0:
			return i, false
		}
	}
}

// room makes room for one more and reports whether there is.
func (s *ivSet) room() bool {
	if s.slots == nil {
		s.seed, s.slots = maphash.MakeSeed(), make([]uint64, slotsFree)
		return true
	}
	if 2*(s.n+1) <= len(s.slots) {
		return true
	}
	if s.memory != nil && !s.memory.Reserve(int64(8*len(s.slots))) { // as much again as there is
		return false
	}
	old := s.slots
	s.slots = make([]uint64, 2*len(old))
	for _, h := range old {
		if h != 0 {
			i, _ := s.find(h)
			s.slots[i] = h
		}
	}
	return true
}

func (s *ivSet) add(iv []byte) {
	h := s.hash(iv)
	i, _ := s.find(h)
	s.slots[i] = h
	s.n++
}

// release gives the memory back that was charged.
func (s *ivSet) release() {
	if s.memory != nil && len(s.slots) > slotsFree {
		s.memory.Release(int64(8 * (len(s.slots) - slotsFree)))
	}
}
