package conn_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/frame"
	"github.com/wse-engine/wse/engine/message"
)

// crypto is a client's side of the encryption, written from the protocol's text.
type crypto struct {
	t   *testing.T
	own *ecdh.PrivateKey
	gcm cipher.AEAD
}

func newCrypto(t *testing.T) *crypto {
	t.Helper()
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	return &crypto{t: t, own: own}
}

func (k *crypto) public() string {
	return base64.StdEncoding.EncodeToString(k.own.PublicKey().Bytes())
}

func (k *crypto) agree(serverKey string) *crypto {
	k.t.Helper()
	raw, err := base64.StdEncoding.DecodeString(serverKey)
	require.NoError(k.t, err)
	theirs, err := ecdh.P256().NewPublicKey(raw)
	require.NoError(k.t, err)
	secret, err := k.own.ECDH(theirs)
	require.NoError(k.t, err)
	key, err := hkdf.Key(sha256.New, secret, nil, "wse-encryption/aes-gcm-key", 32)
	require.NoError(k.t, err)
	block, err := aes.NewCipher(key)
	require.NoError(k.t, err)
	k.gcm, err = cipher.NewGCM(block)
	require.NoError(k.t, err)
	return k
}

func (k *crypto) seal(text string) string {
	iv := make([]byte, 12)
	_, _ = rand.Read(iv)
	return "E:" + string(iv) + string(k.gcm.Seal(nil, iv, []byte(text), nil))
}

func (k *crypto) open(sealed string) string {
	k.t.Helper()
	require.True(k.t, strings.HasPrefix(sealed, "E:"), "%q", sealed)
	plain, err := k.gcm.Open(nil, []byte(sealed[2:14]), []byte(sealed[14:]), nil)
	require.NoError(k.t, err)
	return string(plain)
}

// encrypts makes the app answer "hello KEY" as the router does, and the dialect for tests, which has no client_hello, take it
// for one.
func (s *setup) encrypts() {
	s.opts.Encodings[0].Dialect, s.opts.Encodings[1].Dialect = greeter{}, greeter{}
	s.app.admit = func(_ context.Context, up *conn.Upgrade) conn.Admission {
		adm := s.app.yes()
		if up.RawQuery == "" {
			adm.EncodingDeflate = -1
		}
		return adm
	}
	s.app.request = func(c *conn.Conn, r *message.Request, err error) {
		if err == nil {
			hello, ok := r.Body.(*message.Hello)
			if !ok {
				c.Send(reply(r.Type))
				return
			}
			err = c.Encrypt(hello.PublicKey, func(key string) *message.Reply {
				return &message.Reply{Body: &message.HelloAnswer{PublicKey: key}}
			})
		}
		if err != nil {
			c.Send(&message.Reply{Body: &message.Failure{Err: message.AsError(err)}})
		}
	}
}

// greeter is the dialect for tests with a client_hello: "hello KEY".
type greeter struct{ plain }

func (g greeter) Decode(data []byte, binary bool) (*message.Request, error) {
	if key, ok := strings.CutPrefix(string(data), "hello "); ok {
		return &message.Request{Type: "hello", Body: &message.Hello{PublicKey: key}}, nil
	}
	return g.plain.Decode(data, binary)
}

// serverKey takes the server's key out of an answer.
func serverKey(t *testing.T, answer string) string {
	t.Helper()
	text, ok := strings.CutPrefix(answer, "*message.HelloAnswer ")
	require.True(t, ok, "%s", answer)
	var hello message.HelloAnswer
	require.NoError(t, json.Unmarshal([]byte(text), &hello))
	return hello.PublicKey
}

// encrypt agrees on a key.
func (c *client) encrypt(t *testing.T) *crypto {
	t.Helper()
	k := newCrypto(t)
	c.sendText("hello " + k.public())
	return k.agree(serverKey(t, c.readText()))
}

func (c *client) sendSealed(sealed string) {
	c.t.Helper()
	c.write(clientFrame(frame.OpBinary, sealed))
}

func TestAfterTheHelloEverythingIsEncryptedBothWays(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.encrypts()
		srv := s.start(t)
		c := srv.open(t)
		sc := <-srv.app.opened
		srv.enqueue(sc, publication(message.Normal, "in the clear"))
		c.expect("in the clear")
		k := c.encrypt(t)
		srv.enqueue(sc, publication(message.Normal, "one"))
		require.Equal(t, "one", k.open(c.readText()))
		srv.enqueue(sc, publication(message.Low, "two"), publication(message.Low, "three"))
		require.Equal(t, "two", k.open(c.readText()))
		require.Equal(t, "three", k.open(c.readText()))
		c.sendSealed(k.seal("request"))
		require.Equal(t, healthText("request"), k.open(c.readText()))
		c.write(clientFrame(frame.OpPing, "still plain"))
		op, _, payload, err := c.readFrame()
		require.NoError(t, err)
		require.Equal(t, frame.OpPong, op)
		require.Equal(t, "still plain", string(payload))
		_, gauges := srv.Stats()
		require.Equal(t, 1, gauges.Encrypted)
		sc.CloseWith(reply("last"), 4401, "bye")
		require.Equal(t, healthText("last"), k.open(c.readText()))
		reason, _ := c.expectClose(4401)
		require.Equal(t, "bye", reason)
		c.Close()
		<-srv.app.closed
		totals, gauges := srv.Stats()
		require.Zero(t, gauges.Encrypted)
		require.EqualValues(t, 1, totals.KeysAgreed)
		require.EqualValues(t, 5, totals.Sealed)
		require.EqualValues(t, 1, totals.Opened)
	})
}

func TestWhatDoesNotOpenIsAnInvalidMessageAndTheConnectionStays(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.encrypts()
		srv := s.start(t)
		c := srv.open(t)
		k := c.encrypt(t)
		good := k.seal("good")
		c.sendSealed(good)
		require.Equal(t, healthText("good"), k.open(c.readText()))
		foreign := newCrypto(t).agree(newCrypto(t).public())
		fresh := k.seal("fresh")
		for _, bad := range []struct{ name, frame, reason string }{
			{"replayed", good, "IV was used before"},
			{"cut", fresh[:20], "does not open"},
			{"only the prefix", "E:", "does not open"},
			{"without its last byte", fresh[:len(fresh)-1], "does not open"},
			{"changed", fresh[:len(fresh)-1] + string(fresh[len(fresh)-1]^1), "does not open"},
			{"of another key", foreign.seal("x"), "does not open"},
			{"not encrypted", "plain", "the connection is encrypted"},
			{"nothing", "", "the connection is encrypted"},
		} {
			c.sendSealed(bad.frame)
			answer := k.open(c.readText())
			require.Contains(t, answer, bad.reason, bad.name)
			require.Contains(t, answer, fmt.Sprintf(`"Code":%d`, message.CodeInvalidMessage), bad.name)
		}
		c.sendText("plain text")
		require.Contains(t, k.open(c.readText()), "the connection is encrypted")
		c.sendSealed(fresh)
		require.Equal(t, healthText("fresh"), k.open(c.readText()), "forgeries do not use a vector up")
		totals, _ := srv.Stats()
		require.EqualValues(t, []uint64{2, 1, 5, 3, 0},
			[]uint64{totals.Opened, totals.Replayed, totals.Unreadable, totals.NotSealed, totals.WornOut})
	})
}

func TestAKeyThatIsNoneIsRefusedAndTheConnectionStaysPlain(t *testing.T) {
	s := newSetup()
	s.encrypts()
	srv := s.start(t)
	c := srv.open(t)
	c.sendText("hello nonsense")
	answer := c.readText()
	require.Contains(t, answer, fmt.Sprintf(`"Code":%d`, message.CodeKeyExchangeFailed))
	require.Contains(t, answer, "p.encryption_public_key is no P-256 public key in base64: it has 6 bytes")
	c.sendText("plain")
	c.expect(healthText("plain"))
	totals, _ := srv.Stats()
	require.EqualValues(t, 1, totals.KeysRefused)
}

func TestAConnectionWithPermessageDeflateIsNotEncrypted(t *testing.T) {
	s := newSetup()
	s.encrypts()
	srv := s.start(t)
	c := srv.dial(t)
	c.request(upgradeRequest("/?deflate", "Sec-WebSocket-Extensions: permessage-deflate"))
	c.sendText("hello " + newCrypto(t).public())
	require.Contains(t, c.readText(), "permessage-deflate")
}

func TestAKeyIsRenewedWithoutLosingWhatIsOnItsWay(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.encrypts()
		srv := s.start(t)
		c := srv.open(t)
		<-srv.app.opened
		first := c.encrypt(t)
		second := newCrypto(t)
		c.sendSealed(first.seal("hello " + second.public()))
		c.sendSealed(first.seal("before the client has the new key"))
		answer := first.open(c.readText())
		second.agree(serverKey(t, answer))
		require.Equal(t, healthText("before the client has the new key"), second.open(c.readText()))
		c.sendSealed(second.seal("with it"))
		require.Equal(t, healthText("with it"), second.open(c.readText()))
		c.sendSealed(first.seal("too late"))
		require.Contains(t, second.open(c.readText()), "does not open")
		for range 5 { // none of these keys is ever used
			c.sendSealed(second.seal("hello " + newCrypto(t).public()))
			c.readText()
		}
		c.Close()
		<-srv.app.closed
		_, gauges := srv.Stats()
		require.Zero(t, gauges.Encrypted)
		require.Zero(t, gauges.EncryptedBytes)
	})
}

func TestAWornOutKeyOpensOnlyAHelloWithANewOne(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.EncryptedMessagesMax = 2
		s.encrypts()
		srv := s.start(t)
		c := srv.open(t)
		k := c.encrypt(t)
		for range 2 {
			c.sendSealed(k.seal("good"))
			require.Equal(t, healthText("good"), k.open(c.readText()))
		}
		c.sendSealed(k.seal("one too many"))
		answer := k.open(c.readText())
		require.Contains(t, answer, "send client_hello with a new encryption_public_key")
		require.Contains(t, answer, fmt.Sprintf(`"Code":%d`, message.CodeInvalidMessage))
		next := newCrypto(t)
		c.sendSealed(k.seal("hello " + next.public()))
		next.agree(serverKey(t, k.open(c.readText())))
		c.sendSealed(next.seal("good again"))
		require.Equal(t, healthText("good again"), next.open(c.readText()))
		totals, _ := srv.Stats()
		require.EqualValues(t, 1, totals.WornOut)
	})
}

func TestWhatIsRememberedIsBoundedForAllConnectionsTogetherAndGivenBack(t *testing.T) {
	s := newSetup()
	s.cfg.EncryptedMiBTotal = 1
	s.cfg.EncryptedMessagesMax = 1 << 24
	s.cfg.QueueKiBSoft, s.cfg.QueueKiBMax = 64<<10, 64<<10
	s.encrypts()
	srv := s.start(t)
	c := srv.open(t)
	<-srv.app.opened
	k := c.encrypt(t)
	go func() { // 2^16 frames fill 2^17 slots of eight bytes, which is the budget but for what is free
		for range 70_000 {
			if _, err := c.Write(clientFrame(frame.OpBinary, k.seal("x"))); err != nil {
				return
			}
		}
	}()
	for answer := ""; !strings.Contains(answer, "new encryption_public_key"); {
		answer = k.open(c.readText())
	}
	totals, gauges := srv.Stats()
	require.LessOrEqual(t, gauges.EncryptedBytes, int64(1<<20))
	require.EqualValues(t, 1<<16, totals.Opened)
	c.Close()
	<-srv.app.closed
	_, gauges = srv.Stats()
	require.Zero(t, gauges.EncryptedBytes)
}

func TestASlowEncryptedClientGetsEverythingInOrderAndWhatIsCriticalFirst(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.encrypts()
		srv := s.start(t)
		c := srv.open(t).narrow()
		sc := <-srv.app.opened
		k := c.encrypt(t)
		pad := strings.Repeat("d", 1000)
		n := 0
		sent := 0
		for counters := sc.Counters(); counters.QueuedBytes < 100<<10; counters = sc.Counters() {
			var outs []*message.Outgoing
			for range 20 {
				outs = append(outs, publication(message.Low, fmt.Sprint(n, " ", pad)))
				n++
			}
			srv.enqueue(sc, outs...)
			sent = n
		}
		srv.enqueue(sc, publication(message.Critical, "critical"))
		next, overtaken := 0, -1
		for next < sent {
			text := k.open(c.readText())
			if text == "critical" {
				overtaken = next
				continue
			}
			if strings.HasPrefix(text, "*message.StateChange") {
				continue
			}
			require.Equal(t, fmt.Sprint(next, " ", pad), text)
			next++
		}
		require.GreaterOrEqual(t, overtaken, 0)
		require.Less(t, overtaken, sent-50, "what waited was overtaken")
		require.Zero(t, sc.Counters().QueuedBytes)
	})
}

func TestAKeyForAClientThatDoesNotReadYetIsAgreedOnInItsPlace(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.encrypts()
		srv := s.start(t)
		c := srv.open(t).narrow()
		sc := <-srv.app.opened
		sent := srv.fill(t, sc, publication(message.Low, strings.Repeat("d", 1000)))
		srv.enqueue(sc, publication(message.Critical, "critical, before"))
		k := newCrypto(t)
		require.NoError(t, sc.Encrypt(k.public(), func(key string) *message.Reply {
			return &message.Reply{Body: &message.HelloAnswer{PublicKey: key}}
		}))
		srv.enqueue(sc, publication(message.Critical, "critical, after"))
		before := len(c.readUntil("critical, before"))
		require.Less(t, before, sent)
		k.agree(serverKey(t, c.readText()))
		require.Equal(t, "critical, after", k.open(c.readText()))
		for range sent - before {
			require.Equal(t, strings.Repeat("d", 1000), k.open(c.readText()))
		}
	})
}

// A hello is made room for, whatever waits; what waits must not become free of the limits by it.
func TestAClientThatRenewsItsKeyAndReadsNothingIsBoundedAsAnyOther(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.cfg.QueueKiBSoft, s.cfg.QueueKiBMax = 64, 128
		s.encrypts()
		srv := s.start(t)
		srv.open(t).narrow()
		sc := <-srv.app.opened
		srv.fill(t, sc, publication(message.Critical, strings.Repeat("d", 1000)))
		for range 200 {
			key := newCrypto(t).public()
			_ = sc.Encrypt(key, func(key string) *message.Reply { return &message.Reply{Body: &message.HelloAnswer{PublicKey: key}} })
			srv.enqueue(sc, publication(message.Critical, strings.Repeat("d", 10_000)))
			require.Less(t, sc.Counters().QueuedBytes, uint64(192<<10))
		}
		require.Equal(t, "closing", sc.State())
		require.EqualValues(t, 4503, sc.CloseCode())
	})
}

// Keys that nobody uses take memory that no budget knows.
func TestAClientThatUsesNoneOfItsKeysGetsOnlySoMany(t *testing.T) {
	s := newSetup()
	s.encrypts()
	s.cfg.EncryptedKeysUnusedMax = 3
	srv := s.start(t)
	c := srv.open(t)
	sc := <-srv.app.opened
	c.encrypt(t)
	hello := func(key string) *message.Reply { return &message.Reply{Body: &message.HelloAnswer{PublicKey: key}} }
	answers := 0
	for sc.Encrypt(newCrypto(t).public(), hello) == nil {
		answers++
		require.Less(t, answers, 100)
		c.readText()
	}
	require.Equal(t, 2, answers, "and the first")
	err := sc.Encrypt(newCrypto(t).public(), hello)
	require.ErrorContains(t, err, "use the key")
	require.Equal(t, message.CodeKeyExchangeFailed, message.AsError(err).Code)

	// A client that uses its keys may have as many as it likes.
	c = srv.open(t)
	<-srv.app.opened
	k := c.encrypt(t)
	for range 3 * answers {
		next := newCrypto(t)
		c.sendSealed(k.seal("hello " + next.public()))
		k = next.agree(serverKey(t, k.open(c.readText())))
	}
}
