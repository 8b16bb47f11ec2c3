package conn

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	mathrand "math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/frame"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/seal"
)

// newKey returns an engine's key and the cipher that its client has.
func newKey(t testing.TB) (*seal.Channel, cipher.AEAD) {
	t.Helper()
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	key, serverKey, err := seal.Exchange(base64.StdEncoding.EncodeToString(own.PublicKey().Bytes()), seal.Limits{})
	require.NoError(t, err)
	raw, err := base64.StdEncoding.DecodeString(serverKey)
	require.NoError(t, err)
	theirs, err := ecdh.P256().NewPublicKey(raw)
	require.NoError(t, err)
	secret, err := own.ECDH(theirs)
	require.NoError(t, err)
	derived, err := hkdf.Key(sha256.New, secret, nil, "wse-encryption/aes-gcm-key", 32)
	require.NoError(t, err)
	block, err := aes.NewCipher(derived)
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	return key, aead
}

// openAll opens the frames of a stream and returns what they hold, control frames in brackets. No vector comes twice.
func openAll(t testing.TB, aead cipher.AEAD, stream []byte) (texts []string) {
	t.Helper()
	seen := map[string]bool{}
	for len(stream) > 0 {
		op, payload, size := frame.Split(stream)
		require.NotZero(t, size, "the stream is cut in the middle of a frame")
		stream = stream[size:]
		if op.IsControl() {
			texts = append(texts, "["+string(payload)+"]")
			continue
		}
		require.Equal(t, frame.OpBinary, op)
		require.Equal(t, "E:", string(payload[:2]))
		require.False(t, seen[string(payload[2:14])])
		seen[string(payload[2:14])] = true
		plain, err := aead.Open(nil, payload[2:14], payload[14:], nil)
		require.NoError(t, err)
		texts = append(texts, string(plain))
	}
	return texts
}

// randomOut makes what may be queued: a publication, a burst of them, a replay, a ping with a notice behind it.
func randomOut(rng *mathrand.Rand, n *int, level message.Level) (out *message.Outgoing, texts []string) {
	one := func() *message.Outgoing {
		text := fmt.Sprintf("%d %s", *n, bytes.Repeat([]byte("x"), rng.IntN(300)))
		*n++
		texts = append(texts, text)
		return &message.Outgoing{Frames: frame.AppendFrame(nil, frame.OpText, false, []byte(text)), Count: 1, Level: level}
	}
	kind := rng.IntN(4)
	if kind == 0 {
		return one(), texts
	}
	out = &message.Outgoing{Level: level}
	if kind == 3 {
		out.Frames = frame.AppendFrame(nil, frame.OpPing, false, []byte("ping"))
		texts = append(texts, "[ping]")
	}
	for range rng.IntN(5) + 1 {
		part := one()
		out.Frames = append(out.Frames, part.Frames...)
		out.Count++
		if kind == 1 {
			out.Parts = append(out.Parts, part)
		}
	}
	out.Replay = kind == 2
	return out, texts
}

// A socket takes what it likes: what comes out is everything, once, in its order, whatever that was.
func TestWhatLeavesAnEncryptedBacklogIsEverythingOnceAndInOrder(t *testing.T) {
	for seed := range uint64(300) {
		rng := mathrand.New(mathrand.NewPCG(seed, 1))
		key, aead := newKey(t)
		cr, b := &crypt{key: key}, &backlog{}
		n, messages, counted := 0, 0, 0
		var stream []byte
		var texts []string
		level := message.Level(rng.IntN(message.Levels))
		for range rng.IntN(20) + 1 {
			out, t := randomOut(rng, &n, level)
			messages += out.Count
			texts = append(texts, t...)
			b.push(out)
		}
		if rng.IntN(2) == 0 {
			b.split()
		}
		for !b.empty() {
			buf := b.tail
			if len(b.tail) != b.bytes {
				buf = b.gatherSealed(nil, 1+rng.IntN(2000), cr)
			}
			taken := rng.IntN(len(buf) + 1)
			if rng.IntN(3) == 0 {
				taken = len(buf)
			}
			stream = append(stream, buf[:taken]...)
			counted += b.sentSealed(buf, taken)
		}
		require.Equal(t, texts, openAll(t, aead, stream), "seed %d", seed)
		require.Equal(t, messages, counted, "seed %d", seed)
		require.Zero(t, b.asked, "seed %d", seed)
		for l := range b.rings {
			require.Nil(t, b.rings[l].pop())
		}
	}
}

func TestTheHelloLeavesBehindWhatIsCriticalAndBeforeTheRest(t *testing.T) {
	one := func(level message.Level, text string, replay bool) *message.Outgoing {
		return &message.Outgoing{Frames: frame.AppendFrame(nil, frame.OpText, false, []byte(text)), Count: 1, Level: level, Replay: replay}
	}
	b := &backlog{}
	begun := one(message.Low, "begun", true)
	b.push(begun)
	b.sent(2)
	b.push(one(message.Low, "low", false))
	b.push(one(message.Critical, "critical", false))
	b.push(one(message.High, "high", true))
	require.Equal(t, 1, b.commit(nil, frame.AppendFrame(nil, frame.OpText, false, []byte("hello"))))
	require.Equal(t, len("low")+len("critical")+len("hello")+6, b.unasked(), "what the client asked for is not counted against it")

	key, aead := newKey(t)
	cr := &crypt{key: key}
	stream := append(bytes.Clone(begun.Frames[:2]), b.gatherSealed(nil, 1<<20, cr)...)
	for _, text := range []string{"begun", "critical", "hello"} {
		op, payload, size := frame.Split(stream)
		require.Equal(t, frame.OpText, op)
		require.Equal(t, text, string(payload))
		stream = stream[size:]
	}
	require.Equal(t, []string{"high", "low"}, openAll(t, aead, stream))

	// The next hello leaves with the key before it.
	b = &backlog{}
	b.push(one(message.Critical, "critical", false))
	b.commit(cr, frame.AppendFrame(nil, frame.OpText, false, []byte("hello")))
	require.Equal(t, []string{"critical", "hello"}, openAll(t, aead, b.tail))
	require.Equal(t, len(b.tail), b.bytes)
}

func TestTheAnswerToTheUpgradeIsNeverEncrypted(t *testing.T) {
	key, _ := newKey(t)
	const http = "HTTP/1.1 101 Switching Protocols\r\n\r\n"
	cr, b := &crypt{key: key}, &backlog{}
	b.push(&message.Outgoing{Frames: []byte(http)})
	require.Equal(t, http, string(cr.appendTo(nil, []byte(http))))
	buf := b.gatherSealed(nil, 1<<20, cr)
	require.Equal(t, http, string(buf))
	b.sentSealed(buf, 3)
	require.Equal(t, http[3:], string(b.tail))
}

// encrypted turns connections of a spongeLane to keys.
func encrypted(t testing.TB, l *Lane, conns []*Conn) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		key, _ := newKey(t)
		l.turn(c, &crypt{key: key})
	}
}

func TestDeliveryToEncryptedConnectionsAllocatesNothing(t *testing.T) {
	l, conns, sponges := spongeLane(t, 20)
	encrypted(t, l, conns)
	out := &message.Outgoing{Frames: frame.AppendFrame(nil, frame.OpText, false, make([]byte, 300)), Count: 1, Level: message.Normal}
	for _, outs := range [][]*message.Outgoing{{out}, {out, out, out}} {
		work := &publish{conns, outs}
		run := func() {
			for !l.TryRun(work) {
			}
		}
		run() // the backlogs and the lane's space for sealing are made now
		before := sponges[0].bytes
		require.Zero(t, testing.AllocsPerRun(100, run))
		require.Equal(t, 101*len(outs)*(4+300+seal.Overhead), sponges[0].bytes-before)
	}
}

func BenchmarkSealed(b *testing.B) {
	for _, mode := range []string{"plain", "encrypted"} {
		b.Run(mode, func(b *testing.B) {
			l, conns, _ := spongeLane(b, 64)
			if mode == "encrypted" {
				encrypted(b, l, conns)
			}
			out := &message.Outgoing{Frames: frame.AppendFrame(nil, frame.OpText, false, make([]byte, 300)), Count: 1, Level: message.Normal}
			work := &publish{conns, []*message.Outgoing{out}}
			b.ReportAllocs()
			for b.Loop() {
				l.TryRun(work)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(conns)), "ns/delivery")
		})
	}
}
