package row

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// eventType is the type of every publication of the benchmarks.
const eventType = "bench"

// payloadBytes is the size of a payload unless a row says otherwise.
const payloadBytes = 128

// drainWait is how long the last deliveries of a run may take.
const drainWait = 20 * time.Second

// published is how the body of a publication begins, for wse and for the peers.
const published = `{"t":"` + eventType + `","p":{"n":`

// payload returns the JSON payload of publication n, padded to size bytes.
func payload(n, size int) []byte {
	b := fmt.Appendf(nil, `{"n":%d,"pad":"`, n)
	for i := n; len(b) < size-2; i++ { // what a market says: it compresses to a quarter
		b = fmt.Appendf(b, "S%d %d.%02d %d open; ", i*7919%97, i*31%500, i*17%100, i*104729%99991)
	}
	b = b[:max(size-2, len(`{"n":,"pad":"`)+len(strconv.Itoa(n)))]
	return append(b, `"}`...)
}

// number returns the n of a publication's body, false for any other message.
func number(body []byte) (int, bool) {
	if len(body) < len(published) || string(body[:len(published)]) != published {
		return 0, false
	}
	n := 0
	for _, c := range body[len(published):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// meter counts deliveries and times each publication from its publishing to its last subscriber.
type meter struct {
	subscribers int32
	sent        []atomic.Int64 // Unix nanoseconds
	got         []atomic.Int32
	last        []atomic.Int64 // when the last subscriber had it
	complete    atomic.Int64   // publications that all subscribers have
	bodyBytes   atomic.Int64   // of the last one
	strange     atomic.Int64   // publications that nobody published
}

func newMeter(publications, subscribers int) *meter {
	return &meter{
		subscribers: int32(subscribers), sent: make([]atomic.Int64, publications),
		got: make([]atomic.Int32, publications), last: make([]atomic.Int64, publications),
	}
}

// message is a swarm's Message function.
func (m *meter) message(_ *swarm.Client, body []byte, now int64) {
	n, ok := number(body)
	if !ok {
		return
	}
	if n >= len(m.got) {
		m.strange.Add(1)
		return
	}
	if m.got[n].Add(1) == m.subscribers {
		m.bodyBytes.Store(int64(len(body)))
		m.last[n].Store(now)
		m.complete.Add(1)
	}
}

// load is how a run publishes.
type load struct {
	topic string
	count int // publications
	burst int // published together, in one request
	every time.Duration
	size  int // of a payload
}

// run publishes and waits until every subscriber has everything.
func (m *meter) run(ctx context.Context, s *target.Server, l load) error {
	if err := m.publish(ctx, s, l); err != nil {
		return err
	}
	return m.wait(ctx, l.count)
}

func (m *meter) publish(ctx context.Context, s *target.Server, l load) error {
	next := time.Now()
	for n := 0; n < l.count; n += l.burst {
		if err := sleep(ctx, time.Until(next)); err != nil {
			return err
		}
		next = next.Add(l.every)
		pubs := make([]target.Publication, min(l.burst, l.count-n))
		for i := range pubs {
			pubs[i] = target.Publication{Topic: l.topic, Type: eventType, Payload: payload(n+i, l.size)}
		}
		now := time.Now().UnixNano()
		for i := range pubs {
			m.sent[n+i].Store(now)
		}
		if err := s.Publish(ctx, pubs...); err != nil {
			return err
		}
	}
	return nil
}

// wait returns when count publications have reached everybody.
func (m *meter) wait(ctx context.Context, count int) error {
	for end := time.Now().Add(drainWait); m.complete.Load() < int64(count); {
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d publications reached all %d subscribers within %s of the last",
				m.complete.Load(), count, m.subscribers, drainWait)
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	if n := m.strange.Load(); n > 0 {
		return fmt.Errorf("%d deliveries of publications that nobody made", n)
	}
	return nil
}

// latencies returns, in milliseconds, how long each publication took to its last subscriber.
func (m *meter) latencies() []float64 {
	var out []float64
	for n := range m.last {
		if at := m.last[n].Load(); at > 0 {
			out = append(out, float64(at-m.sent[n].Load())/1e6)
		}
	}
	return out
}

// subscribed is the Ready function of wse's clients: the answer to the subscription, which must be a success.
func subscribed(body []byte) (bool, error) {
	switch {
	case bytes.HasPrefix(body, []byte(`{"t":"error"`)):
		return false, fmt.Errorf("refused: %.300s", body)
	case !bytes.HasPrefix(body, []byte(`{"t":"subscription_update"`)):
		return false, nil
	case !bytes.Contains(body, []byte(`"success":true`)):
		return false, fmt.Errorf("subscription refused: %.300s", body)
	default:
		return true, nil
	}
}

// audience connects n clients to topics(i) of s and gives their publications to message.
type audience struct {
	key     int
	user    func(i int) string
	topics  func(i int) string
	message func(c *swarm.Client, body []byte, now int64)
	receive int // SO_RCVBUF
}

func (a audience) join(ctx context.Context, sw *swarm.Swarm, s *target.Server, n int) ([]*swarm.Client, error) {
	cfg := swarm.Config{
		Addr: s.Listen, Key: a.key, Message: a.message, ReceiveBytes: a.receive, Sources: 4,
		Request: func(i int) []byte { return s.Request(a.user(i), a.topics(i)) },
	}
	if s.Name == "wse" {
		cfg.Ready = subscribed
	}
	clients, err := sw.Dial(ctx, cfg, n)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	return clients, nil
}

// intact returns an error when sw lost a client.
func intact(sw *swarm.Swarm) error {
	if n, err := sw.Lost(); n > 0 {
		return fmt.Errorf("%d clients lost their connection, the first: %w", n, err)
	}
	return nil
}

func userName(i int) string { return fmt.Sprintf("u%d", i) }

func fixed(topic string) func(int) string { return func(int) string { return topic } }
