package row

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// ChurnConfig is a run of connections that come and go under traffic.
type ChurnConfig struct {
	Connections int // that stand at a time
	Poller      string
	Length      time.Duration
}

// The churn run: every beat some clients leave, half of them politely, as many come, and some change their topics, while
// a publication goes to all.
const (
	churnBeat      = 50 * time.Millisecond
	churnLeave     = 20
	churnSwitch    = 20
	churnTopic     = "stream:system_health:side"
	churnHistory   = 1100      // publications that fill the topics' histories before the comparison
	churnHeapSlack = 512 << 10 // bytes, beside a quarter of the heap
	settleWait     = 3 * time.Second
)

// ErrLeak marks a run after which the server holds more than before.
var ErrLeak = errors.New("the server holds more than before")

// churner is the state of a churn run.
type churner struct {
	s         *target.Server
	sw        *swarm.Swarm
	rng       *rand.Rand
	standing  []*swarm.Client
	published int
	joined    int
	gaps      atomic.Int64
	delivered atomic.Int64
}

// Churn replaces connections and changes subscriptions under traffic and then compares the server's heap and descriptors
// with those before, both with no connection left. Meanwhile every client checks that seq grows by one.
func Churn(ctx context.Context, b *Bench, cfg ChurnConfig) (err error) {
	s, err := b.wse(pollerSetting(cfg.Poller)...)
	if err != nil {
		return err
	}
	defer stopAll([]*target.Server{s}, &err)
	sw, err := swarm.New()
	if err != nil {
		return err
	}
	defer sw.Close()
	c := &churner{s: s, sw: sw, rng: rand.New(rand.NewPCG(1, 2))}
	// Full histories and one short round first, so that what a server makes once is there before the comparison.
	if err := c.fillHistory(ctx); err != nil {
		return err
	}
	if err := c.round(ctx, cfg.Connections, 40); err != nil {
		return err
	}
	before, err := held(ctx, s)
	if err != nil {
		return err
	}
	b.logf("churn, %s poller: before: %s", cfg.Poller, before)
	if err := c.round(ctx, cfg.Connections, int(cfg.Length/churnBeat)); err != nil {
		return err
	}
	after, err := held(ctx, s)
	if err != nil {
		return err
	}
	b.logf("churn: %d connections came and went, %d publications, %d deliveries, %d gaps", c.joined, c.published, c.delivered.Load(), c.gaps.Load())
	b.logf("churn: after: %s", after)
	switch {
	case c.gaps.Load() > 0:
		return fmt.Errorf("%w: %d gaps in seq", ErrDelivery, c.gaps.Load())
	case after.descriptors > before.descriptors:
		return fmt.Errorf("%w: %d descriptors, before %d", ErrLeak, after.descriptors, before.descriptors)
	case after.heap > before.heap+before.heap/4+churnHeapSlack:
		return fmt.Errorf("%w: %d bytes of heap, before %d", ErrLeak, after.heap, before.heap)
	}
	return nil
}

// holdings is what a server holds.
type holdings struct {
	heap, rss   int64
	descriptors int
}

func (h holdings) String() string {
	return fmt.Sprintf("heap %.2f MiB, resident %.1f MiB, %d descriptors", float64(h.heap)/(1<<20), float64(h.rss)/(1<<20), h.descriptors)
}

// held waits until the server has settled and returns what it holds.
func held(ctx context.Context, s *target.Server) (h holdings, err error) {
	if err = sleep(ctx, settleWait); err != nil {
		return h, err
	}
	if h.heap, err = s.Collect(ctx); err != nil {
		return h, err
	}
	if h.rss, err = s.Memory(); err != nil {
		return h, err
	}
	h.descriptors, err = s.Descriptors()
	return h, err
}

// fillHistory publishes to both topics until they forget as much as they take in.
func (c *churner) fillHistory(ctx context.Context) error {
	for range churnHistory {
		if err := c.publish(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *churner) publish(ctx context.Context) error {
	c.published++
	return c.s.Publish(ctx,
		target.Publication{Topic: fanOutTopic, Type: eventType, Payload: payload(c.published, payloadBytes)},
		target.Publication{Topic: churnTopic, Type: eventType, Payload: payload(0, payloadBytes)})
}

// round connects clients, lets them churn for some beats, and lets all leave.
func (c *churner) round(ctx context.Context, connections, beats int) error {
	if err := c.join(ctx, connections); err != nil {
		return err
	}
	next := time.Now()
	for range beats {
		if err := sleep(ctx, time.Until(next)); err != nil {
			return err
		}
		next = next.Add(churnBeat)
		if err := c.beat(ctx); err != nil {
			return err
		}
	}
	if err := intact(c.sw); err != nil {
		return err
	}
	c.sw.Do(func() {
		for _, client := range c.standing {
			client.Bye()
		}
	})
	c.standing = nil
	return nil
}

// join connects n clients more.
func (c *churner) join(ctx context.Context, n int) error {
	base := c.joined
	a := audience{topics: fixed(fanOutTopic), message: c.message}
	a.user = func(i int) string { return userName((base + i) % 10_000) }
	clients, err := a.join(ctx, c.sw, c.s, n)
	c.standing = append(c.standing, clients...)
	c.joined += len(clients)
	return err
}

// message checks that seq grows by one. Publications to the side topic are not counted, for there clients come and go.
func (c *churner) message(client *swarm.Client, body []byte, _ int64) {
	if n, ok := number(body); !ok || n == 0 {
		return
	}
	c.delivered.Add(1)
	seq := seqOf(body)
	if client.Last != 0 && seq != client.Last+1 {
		c.gaps.Add(1)
	}
	client.Last = seq
}

// beat lets some leave, some come and some change their topics, and publishes.
func (c *churner) beat(ctx context.Context) error {
	c.rng.Shuffle(len(c.standing), func(i, j int) { c.standing[i], c.standing[j] = c.standing[j], c.standing[i] })
	leaving := c.standing[len(c.standing)-churnLeave:]
	c.standing = c.standing[:len(c.standing)-churnLeave]
	rude := leaving[:churnLeave/2]
	c.sw.Do(func() {
		for _, client := range leaving[churnLeave/2:] {
			client.Bye()
		}
		for i, client := range c.standing[:churnSwitch] {
			action := [...]string{"subscribe", "unsubscribe"}[i%2]
			client.Send(fmt.Appendf(nil, `{"t":"subscription_update","p":{"action":%q,"topics":[%q]}}`, action, churnTopic))
		}
	})
	c.sw.Hangup(rude)
	if err := c.publish(ctx); err != nil {
		return err
	}
	return c.join(ctx, churnLeave)
}
