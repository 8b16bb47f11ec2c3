package row

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// FanoutConfig is a run of many connections on one topic.
type FanoutConfig struct {
	Connections, Publications int
	Poller                    string // epoll or goroutine
}

// inFlightMax bounds how far the publisher runs ahead of the slowest part of the audience, in publications, so that the
// run shows order and completeness and not what a full queue does.
const inFlightMax = 64

// latecomers is how long a fan-out waits for publications that come twice.
const latecomers = time.Second

// ErrDelivery marks a run in which a publication was lost, doubled or out of order.
var ErrDelivery = errors.New("the delivery was not exact")

// exact checks that every connection receives the publications 0, 1, 2, … with consecutive seq.
type exact struct {
	delivered atomic.Int64
	lost      atomic.Int64 // numbers that were skipped
	doubled   atomic.Int64 // numbers that came again, or late
	seqBroken atomic.Int64 // seq not one more than the one before
	seqs      []uint64     // the last seq by connection; belongs to the swarm's goroutine
}

// message is a swarm's Message function; Last is the number expected next.
func (e *exact) message(c *swarm.Client, body []byte, _ int64) {
	n, ok := number(body)
	if !ok {
		return
	}
	e.delivered.Add(1)
	switch got := uint64(n); {
	case got > c.Last:
		e.lost.Add(int64(got - c.Last))
		c.Last = got + 1
	case got < c.Last:
		e.doubled.Add(1)
	default:
		c.Last++
	}
	seq := seqOf(body)
	if last := e.seqs[c.Index]; seq == 0 || (last != 0 && seq != last+1) {
		e.seqBroken.Add(1)
	}
	e.seqs[c.Index] = seq
}

// seqOf returns the seq of a publication, 0 where there is none.
func seqOf(body []byte) uint64 {
	_, rest, ok := bytes.Cut(body[len(published):], []byte(`,"seq":`))
	if !ok {
		return 0
	}
	end := bytes.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	seq, err := strconv.ParseUint(string(rest[:max(0, end)]), 10, 64)
	if err != nil {
		return 0
	}
	return seq
}

// Fanout connects many clients to one topic, publishes, and checks at every one of them that nothing is missing, twice or
// out of order. It returns [ErrDelivery] where something is.
func Fanout(ctx context.Context, b *Bench, cfg FanoutConfig) (err error) {
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
	e := &exact{seqs: make([]uint64, cfg.Connections)}
	begun := time.Now()
	a := audience{user: userName, topics: fixed(fanOutTopic), message: e.message}
	clients, err := a.join(ctx, sw, s, cfg.Connections)
	if err != nil {
		return err
	}
	b.logf("fanout, %s poller: %d connections in %.1f s", cfg.Poller, cfg.Connections, time.Since(begun).Seconds())
	begun = time.Now()
	before, err := s.CPU()
	if err != nil {
		return err
	}
	if err := e.publish(ctx, sw, s, cfg); err != nil {
		return err
	}
	after, err := s.CPU()
	if err != nil {
		return err
	}
	took, all := time.Since(begun), cfg.Connections*cfg.Publications
	b.logf("%d publications, %d deliveries in %.1f s: %.0f deliveries/s, %.2f µs server CPU each", cfg.Publications,
		e.delivered.Load(), took.Seconds(), float64(all)/took.Seconds(), perDelivery(after-before, all))
	if err := sleep(ctx, latecomers); err != nil {
		return err
	}
	rss, err := s.Memory()
	if err != nil {
		return err
	}
	b.logf("the server's resident memory at the end: %.1f MiB", float64(rss)/(1<<20))
	return e.verdict(b, sw, clients, cfg)
}

func pollerSetting(poller string) []string {
	if poller == "goroutine" {
		return []string{"debug.poller=goroutine"}
	}
	return nil
}

// publish sends everything, never more than inFlightMax ahead, and waits until it has arrived.
func (e *exact) publish(ctx context.Context, sw *swarm.Swarm, s *target.Server, cfg FanoutConfig) error {
	for n := 0; ; {
		ahead := int64(n)*int64(cfg.Connections) - e.delivered.Load()
		switch lost, err := sw.Lost(); {
		case lost > 0:
			return fmt.Errorf("%d clients lost their connection, the first: %w", lost, err)
		case n == cfg.Publications && ahead <= 0:
			return nil
		case n < cfg.Publications && ahead < inFlightMax*int64(cfg.Connections):
			pub := target.Publication{Topic: fanOutTopic, Type: eventType, Payload: payload(n, payloadBytes)}
			if err := s.Publish(ctx, pub); err != nil {
				return err
			}
			n++
		default:
			if err := sleep(ctx, time.Millisecond); err != nil {
				return fmt.Errorf("%w: %d deliveries are missing: %w", ErrDelivery, ahead, err)
			}
		}
	}
}

// verdict says what every connection received.
func (e *exact) verdict(b *Bench, sw *swarm.Swarm, clients []*swarm.Client, cfg FanoutConfig) error {
	complete := 0
	sw.Do(func() {
		for _, c := range clients {
			if c.Last == uint64(cfg.Publications) {
				complete++
			}
		}
	})
	b.logf("connections with all %d publications: %d of %d; lost %d, doubled %d, seq broken %d", cfg.Publications, complete,
		len(clients), e.lost.Load(), e.doubled.Load(), e.seqBroken.Load())
	if complete < len(clients) || e.lost.Load()+e.doubled.Load()+e.seqBroken.Load() > 0 {
		return ErrDelivery
	}
	return intact(sw)
}
