package row

import (
	"bytes"
	"context"
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
	"net/url"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// sealedLane is subscribers that may be encrypted, and what they measure. Each opens what it gets, with its own key.
type sealedLane struct {
	lane
	name    string
	topic   string
	query   url.Values
	payload int
	// Of the swarm's goroutine.
	own   *ecdh.PrivateKey // one for all clients, nil where nothing is encrypted; the server makes one for each
	keys  []cipher.AEAD    // by client
	ready int              // how many there are
	plain []byte
	err   error
}

func (l *sealedLane) message(c *swarm.Client, body []byte, now int64) {
	switch {
	case l.own == nil:
		l.meter.message(c, body, now)
	case l.keys[c.Index] == nil:
		if bytes.HasPrefix(body, []byte(`{"t":"server_hello"`)) {
			l.agree(c.Index, body)
		}
	default:
		var err error
		if l.plain, err = opened(l.keys[c.Index], l.plain[:0], body); err != nil && l.err == nil {
			l.err = fmt.Errorf("%s: client %d: %w: %.40q", l.name, c.Index, err, body)
		}
		l.meter.message(c, l.plain, now)
	}
}

// opened appends what a sealed message holds to dst.
func opened(key cipher.AEAD, dst, body []byte) ([]byte, error) {
	if len(body) < 2+12+16 || string(body[:2]) != "E:" {
		return dst, errors.New("not sealed")
	}
	return key.Open(dst, body[2:14], body[14:], nil)
}

// agree derives the key of a client (PROTOCOL §2.6).
func (l *sealedLane) agree(client int, hello []byte) {
	key, err := derive(l.own, hello)
	if err != nil {
		l.err = errors.Join(l.err, fmt.Errorf("%s: client %d: %w", l.name, client, err))
		return
	}
	l.keys[client] = key
	l.ready++
}

func derive(own *ecdh.PrivateKey, hello []byte) (cipher.AEAD, error) {
	var answer struct {
		P struct {
			Key []byte `json:"encryption_public_key"`
		}
	}
	if err := json.Unmarshal(hello, &answer); err != nil {
		return nil, err
	}
	theirs, err := ecdh.P256().NewPublicKey(answer.P.Key)
	if err != nil {
		return nil, err
	}
	secret, err := own.ECDH(theirs)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "wse-encryption/aes-gcm-key", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// encrypt has all clients agree on keys and waits until they have.
func (l *sealedLane) encrypt(ctx context.Context, sw *swarm.Swarm, clients []*swarm.Client) error {
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	hello := fmt.Appendf(nil, `{"t":"client_hello","p":{"encryption_public_key":%q}}`,
		base64.StdEncoding.EncodeToString(own.PublicKey().Bytes()))
	sw.Do(func() {
		l.own, l.keys = own, make([]cipher.AEAD, len(clients))
		for _, c := range clients {
			c.Send(hello)
		}
	})
	for end := time.Now().Add(drainWait); ; {
		ready := 0
		sw.Do(func() { ready, err = l.ready, l.err })
		switch {
		case err != nil:
			return err
		case ready == len(clients):
			return nil
		case time.Now().After(end):
			return fmt.Errorf("%d of %d clients agreed on a key within %s", ready, len(clients), drainWait)
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// encrypted measures the server's CPU per delivery for encrypted subscribers beside others, with payloads of two sizes, in
// turn.
func encrypted(ctx context.Context, b *Bench) (figures []figure.Figure, err error) {
	s, err := b.wse()
	if err != nil {
		return nil, err
	}
	defer stopAll([]*target.Server{s}, &err)
	sw, err := swarm.New()
	if err != nil {
		return nil, err
	}
	defer sw.Close()
	var lanes []*sealedLane
	for _, size := range []int{payloadBytes, compressedPayloadBytes} {
		for _, encryption := range []string{"false", "true"} {
			l, err := joinSealed(ctx, sw, s, encryption, size)
			if err != nil {
				return nil, err
			}
			lanes = append(lanes, l)
		}
	}
	rounds := fanOutRounds * b.Repetitions
	for rep := range rounds {
		for i := range lanes {
			l := lanes[(i+rep)%len(lanes)]
			v, err := l.run(ctx, sw, load{l.topic, fanOutPublications, 1, fanOutEvery, l.payload})
			sw.Do(func() { err = errors.Join(err, l.err) })
			if err != nil {
				return nil, err
			}
			l.cpu.Values = append(l.cpu.Values, v)
			b.logf("encrypted %d/%d %-20s %.2f µs CPU per delivery", rep+1, rounds, l.name, v)
		}
	}
	for i := 0; i < len(lanes); i += 2 {
		figures = append(figures, figure.Figure{
			Name: fmt.Sprintf("server CPU per delivery, 1,000 encrypted subscribers × %d B", lanes[i].payload), Unit: "µs",
			Ours: lanes[i+1].cpu, Peer: lanes[i].cpu, Statistic: figure.Minimum(), RatioMax: 2,
		})
	}
	return figures, intact(sw)
}

// joinSealed connects the subscribers of one lane.
func joinSealed(ctx context.Context, sw *swarm.Swarm, s *target.Server, encryption string, size int) (*sealedLane, error) {
	name := "wse, plain"
	if encryption == "true" {
		name = "wse, encrypted"
	}
	l := &sealedLane{
		lane: lane{server: s, meter: newMeter(0, 0)}, name: fmt.Sprintf("%s, %d B", name, size), payload: size,
		topic: fmt.Sprintf("%s.%s.%d", fanOutTopic, encryption, size),
		query: url.Values{"compression": {"false"}, "encryption": {encryption}},
	}
	l.cpu.Name = name
	cfg := swarm.Config{Addr: s.Listen, Message: l.message, Ready: subscribed, Sources: 4,
		Request: func(i int) []byte { return s.RequestForm(userName(i), l.topic, l.query, "") }}
	clients, err := sw.Dial(ctx, cfg, fanOutSubscribers)
	if err == nil && encryption == "true" {
		err = l.encrypt(ctx, sw, clients)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.name, err)
	}
	return l, nil
}
