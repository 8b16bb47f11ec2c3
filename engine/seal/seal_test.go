package seal_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/seal"
)

// peer is a client, written from the protocol's text alone.
type peer struct {
	key  *ecdh.PrivateKey
	aead cipher.AEAD
}

func newPeer(t testing.TB) *peer {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	return &peer{key: key}
}

func (p *peer) public() string { return base64.StdEncoding.EncodeToString(p.key.PublicKey().Bytes()) }

func (p *peer) agree(t testing.TB, serverKey string) {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(serverKey)
	require.NoError(t, err)
	require.Len(t, raw, 65)
	theirs, err := ecdh.P256().NewPublicKey(raw)
	require.NoError(t, err)
	secret, err := p.key.ECDH(theirs)
	require.NoError(t, err)
	key, err := hkdf.Key(sha256.New, secret, nil, "wse-encryption/aes-gcm-key", 32)
	require.NoError(t, err)
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	p.aead, err = cipher.NewGCM(block)
	require.NoError(t, err)
}

func (p *peer) seal(iv []byte, text string) []byte {
	return p.aead.Seal(append([]byte("E:"), iv...), iv, []byte(text), nil)
}

func (p *peer) open(t testing.TB, frame []byte) string {
	t.Helper()
	require.True(t, bytes.HasPrefix(frame, []byte("E:")))
	plain, err := p.aead.Open(nil, frame[2:14], frame[14:], nil)
	require.NoError(t, err)
	return string(plain)
}

func iv(n uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 4, 12), n) }

func pair(t testing.TB, opensMax int) (*seal.Channel, *peer) {
	t.Helper()
	p := newPeer(t)
	c, key, err := seal.Exchange(p.public(), seal.Limits{OpensMax: opensMax})
	require.NoError(t, err)
	p.agree(t, key)
	return c, p
}

func TestChannel_seals_what_its_peer_opens_and_opens_what_it_seals(t *testing.T) {
	c, p := pair(t, 0)
	for i, text := range []string{"", "{}", strings.Repeat("x", 100_000)} {
		frame := c.Seal([]byte("before"), []byte(text))[len("before"):]
		require.Len(t, frame, len(text)+seal.Overhead)
		require.Equal(t, text, p.open(t, frame))
		got, err := c.Open(p.seal(iv(uint64(i)), text))
		require.NoError(t, err)
		require.Equal(t, text, string(got))
	}
}

func TestChannel_never_uses_an_initialization_vector_twice(t *testing.T) {
	c, _ := pair(t, 0)
	seen := map[string]bool{}
	for range 10_000 {
		frame := c.Seal(nil, []byte("same"))
		require.False(t, seen[string(frame[2:14])])
		seen[string(frame[2:14])] = true
	}
}

func TestChannel_opens_a_frame_once_however_many_came_between(t *testing.T) {
	c, p := pair(t, 0)
	first := p.seal(iv(0), "first")
	for n := range uint64(5000) {
		_, err := c.Open(p.seal(iv(n), "first"))
		require.NoError(t, err)
	}
	for n := range uint64(5000) {
		_, err := c.Open(p.seal(iv(n), "another text"))
		require.ErrorIs(t, err, seal.ErrReplayed)
	}
	_, err := c.Open(first)
	require.ErrorIs(t, err, seal.ErrReplayed)
}

func TestChannel_does_not_open_its_own_frames(t *testing.T) {
	c, _ := pair(t, 0)
	_, err := c.Open(c.Seal(nil, []byte("reflected")))
	require.ErrorIs(t, err, seal.ErrReplayed)
}

func TestChannel_opens_nothing_that_was_changed(t *testing.T) {
	c, p := pair(t, 0)
	good := p.seal(iv(1), `{"t":"ping"}`)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		plain, err := c.Open(bad)
		require.ErrorIs(t, err, seal.ErrFrame, "byte %d", i)
		require.Nil(t, plain)
	}
	for n := range good {
		_, err := c.Open(bytes.Clone(good[:n]))
		require.ErrorIs(t, err, seal.ErrFrame, "cut to %d bytes", n)
	}
	_, stranger := pair(t, 0)
	_, err := c.Open(stranger.seal(iv(1), "x"))
	require.ErrorIs(t, err, seal.ErrFrame)
	plain, err := c.Open(good)
	require.NoError(t, err, "the forgeries did not use up its initialization vector")
	require.Equal(t, `{"t":"ping"}`, string(plain))
}

func TestChannel_that_is_worn_out_opens_a_few_last_words(t *testing.T) {
	c, p := pair(t, 3)
	for n := range uint64(3) {
		_, err := c.Open(p.seal(iv(n), "x"))
		require.NoError(t, err)
	}
	opened := 0
	for n := uint64(3); n < 100; n++ {
		plain, err := c.Open(p.seal(iv(n), "last words"))
		require.ErrorIs(t, err, seal.ErrWornOut)
		if plain != nil {
			require.Equal(t, "last words", string(plain))
			opened++
		}
	}
	require.Equal(t, 16, opened)
	for n := range uint64(3 + 16) {
		_, err := c.Open(p.seal(iv(n), "x"))
		require.ErrorIs(t, err, seal.ErrReplayed, "a vector is remembered to the end, the last words' too")
	}
	require.Equal(t, "y", p.open(t, c.Seal(nil, []byte("y"))), "what the engine sends is bounded by its counter alone")
}

// purse is a budget that counts.
type purse struct{ left, used int64 }

func (p *purse) Reserve(n int64) bool {
	if n > p.left {
		return false
	}
	p.left, p.used = p.left-n, p.used+n
	return true
}

func (p *purse) Release(n int64) { p.left, p.used = p.left+n, p.used-n }

func TestChannel_wears_out_when_there_is_no_memory_to_remember_more(t *testing.T) {
	p, memory := newPeer(t), &purse{left: 10_000}
	c, key, err := seal.Exchange(p.public(), seal.Limits{Memory: memory})
	require.NoError(t, err)
	p.agree(t, key)
	n := uint64(0)
	for ; err == nil; n++ {
		_, err = c.Open(p.seal(iv(n), "x"))
	}
	require.ErrorIs(t, err, seal.ErrWornOut)
	require.EqualValues(t, 513, n, "1,024 slots of 8 bytes are half full, and twice as many cost more than there is")
	require.EqualValues(t, 8*(1024-64), memory.used, "the first 64 slots are free")
	for m := range uint64(600) {
		_, err := c.Open(p.seal(iv(m), "x"))
		require.Error(t, err)
	}
	c.Close()
	require.Zero(t, memory.used)
	_, err = c.Open(p.seal(iv(n+1000), "x"))
	require.Error(t, err)
	c.Close()
	require.Zero(t, memory.used, "closing twice gives nothing back twice")
}

func TestChannel_counts_its_vectors_where_no_client_that_counts_from_the_bottom_gets(t *testing.T) {
	c, p := pair(t, 0)
	frame := c.Seal(nil, []byte("x"))
	require.NotZero(t, frame[6]&0x80, "the highest bit of the counter")
	client := append(bytes.Clone(frame[2:6]), iv(1)[4:]...) // the same salt, counted from one
	_, err := c.Open(p.seal(client, "y"))
	require.NoError(t, err)
}

func TestExchange_refuses_what_is_no_key(t *testing.T) {
	good, err := base64.StdEncoding.DecodeString(newPeer(t).public())
	require.NoError(t, err)
	off := bytes.Clone(good)
	off[64] ^= 1
	compressed := append([]byte{2}, good[1:33]...)
	for name, key := range map[string]string{
		"nothing":               "",
		"a megabyte":            strings.Repeat("A", 1<<20),
		"no base64":             "%%%",
		"too short":             base64.StdEncoding.EncodeToString(good[:64]),
		"too long":              base64.StdEncoding.EncodeToString(append(bytes.Clone(good), 0)),
		"compressed":            base64.StdEncoding.EncodeToString(compressed),
		"not on the curve":      base64.StdEncoding.EncodeToString(off),
		"the point at infinity": base64.StdEncoding.EncodeToString(make([]byte, 65)),
		"a hybrid point":        base64.StdEncoding.EncodeToString(append([]byte{6}, good[1:]...)),
	} {
		_, _, err := seal.Exchange(key, seal.Limits{})
		require.ErrorIs(t, err, seal.ErrKey, name)
	}
}

func TestChannel_allocates_nothing_per_frame(t *testing.T) {
	c, p := pair(t, 0)
	plain, dst := make([]byte, 300), make([]byte, 0, 1024)
	frames := make([][]byte, 200)
	for i := range frames {
		frames[i] = p.seal(iv(uint64(i)), "0123456789")
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { dst = c.Seal(dst[:0], plain) }))
	for _, f := range frames[:100] { // the set of vectors has grown
		_, err := c.Open(f)
		require.NoError(t, err)
	}
	next := 100
	require.LessOrEqual(t, testing.AllocsPerRun(20, func() {
		_, _ = c.Open(frames[next])
		next++
	}), 0.1)
}

func FuzzOpen(f *testing.F) {
	c, p := pair(f, 0)
	f.Add(p.seal(iv(1), "x"))
	f.Add([]byte("E:"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if plain, err := c.Open(bytes.Clone(frame)); err == nil && string(plain) != "x" {
			t.Fatalf("opened %q from %x", plain, frame)
		}
	})
}

func FuzzExchange(f *testing.F) {
	f.Add(newPeer(f).public())
	f.Add("BA==")
	f.Fuzz(func(t *testing.T, key string) {
		if c, _, err := seal.Exchange(key, seal.Limits{}); (err == nil) != (c != nil) {
			t.Fatal("a channel or an error")
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	c, _ := pair(b, 0)
	plain, dst := make([]byte, 300), make([]byte, 0, 1024)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		dst = c.Seal(dst[:0], plain)
	}
}

func BenchmarkOpen(b *testing.B) {
	c, p := pair(b, 0)
	sealed := p.seal(iv(0), strings.Repeat("x", 300))
	frame := make([]byte, len(sealed))
	b.SetBytes(300)
	b.ReportAllocs()
	for b.Loop() {
		copy(frame, sealed)
		frame[2] ^= 1 // another vector: the frame does not open, which costs the same and keeps the set small
		_, _ = c.Open(frame)
	}
}

func BenchmarkExchange(b *testing.B) {
	key := newPeer(b).public()
	for b.Loop() {
		if _, _, err := seal.Exchange(key, seal.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
