package row

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// The recovery row: 10,000 clients that have missed something come back at once.
const (
	recoverClients = 10_000
	recoverMissed  = 10
	recoverTopic   = "stream:system_health:recovered"
	recoverWait    = time.Minute
)

// comeback is one way of coming back, and what it cost the server.
type comeback struct {
	cpu     figure.Series // ms a client, from its request on
	connect figure.Series // ms a client, for the handshake before
	all     figure.Series // ms until the last client had everything

	answered  atomic.Int64           // subscriptions answered as they should be
	delivered atomic.Int64           // publications, in order
	broken    atomic.Int64           // answers and publications that are not what they should be
	sample    atomic.Pointer[string] // the first of them
	first     uint64                 // seq of the first publication to be recovered
	recovers  bool
}

// recovery measures what it costs to subscribe with a position ten publications back, beside subscribing without one. The
// clients are connected before, so that the handshakes, which cost more, are a figure of their own.
func recovery(ctx context.Context, b *Bench) (figures []figure.Figure, err error) {
	s, err := b.wse()
	if err != nil {
		return nil, err
	}
	defer stopAll([]*target.Server{s}, &err)
	with, without := &comeback{recovers: true}, &comeback{}
	with.cpu.Name, without.cpu.Name = "wse, ten missed", "wse, nothing missed"
	with.all.Name, without.all.Name = with.cpu.Name, without.cpu.Name
	last := uint64(0)
	for rep := range b.Repetitions {
		epoch, err := publishMissed(ctx, s, &last)
		if err != nil {
			return nil, err
		}
		for _, side := range []*comeback{without, with} {
			if err := side.measure(ctx, s, epoch, last); err != nil {
				return nil, err
			}
			b.logf("recovery %d/%d %s: %.3f ms CPU a client, the last after %.0f ms", rep+1, b.Repetitions, side.cpu.Name,
				side.cpu.Values[rep], side.all.Values[rep])
		}
	}
	handshakes := figure.Series{Name: "wse, its handshake", Values: append(with.connect.Values, without.connect.Values...)}
	const name = "10,000 clients come back at once"
	return []figure.Figure{
		{Name: name + " and recover 10 publications each: server CPU a client", Unit: "ms", Ours: with.cpu, Peer: without.cpu,
			Statistic: figure.Median(), ValueMax: 0.3, Note: fmt.Sprintf("connecting and checking its token takes %.3f ms before that", figure.Median().Of(handshakes))},
		{Name: name + ", until the last one has everything", Unit: "ms", Ours: with.all, Peer: without.all, Statistic: figure.Median()},
	}, nil
}

// publishMissed publishes what is going to be recovered and returns the topic's epoch; last becomes its last number.
func publishMissed(ctx context.Context, s *target.Server, last *uint64) (epoch string, err error) {
	var body []byte
	for n := range recoverMissed {
		body = fmt.Appendf(body, `,{"topic":%q,"t":%q,"p":%s}`, recoverTopic, eventType, payload(n, payloadBytes))
	}
	body[0] = '['
	answer, err := s.Post(ctx, "/api/v1/publish", "application/json", append(body, ']'))
	if err != nil {
		return "", err
	}
	_, rest, ok := bytes.Cut(answer, []byte(`"epoch":"`))
	if !ok || len(rest) < 8 {
		return "", fmt.Errorf("wse: the answer to a publication has no epoch: %.300s", answer)
	}
	*last += recoverMissed
	return string(rest[:8]), nil
}

// measure connects the clients and has all of them subscribe.
func (k *comeback) measure(ctx context.Context, s *target.Server, epoch string, last uint64) error {
	sw, err := swarm.New()
	if err != nil {
		return err
	}
	defer sw.Close()
	k.answered.Store(0)
	k.delivered.Store(0)
	k.first = last - recoverMissed + 1
	start, err := s.CPU()
	if err != nil {
		return err
	}
	clients, err := sw.Dial(ctx, swarm.Config{
		Addr: s.Listen, Message: k.message, Sources: 4,
		Request: func(i int) []byte { return s.Request(userName(i), "") },
		Ready:   func(body []byte) (bool, error) { return bytes.HasPrefix(body, []byte(`{"t":"server_ready"`)), nil },
	}, recoverClients)
	if err != nil {
		return err
	}
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	before, err := s.CPU()
	if err != nil {
		return err
	}
	request := fmt.Appendf(nil, `{"t":"subscription_update","p":{"action":"subscribe","topics":[%q]}}`, recoverTopic)
	if k.recovers {
		request = fmt.Appendf(nil, `{"t":"subscription_update","p":{"action":"subscribe","topics":[%q],"recover":true,"recovery":{%q:{"epoch":%q,"offset":%d}}}}`,
			recoverTopic, recoverTopic, epoch, k.first-1)
	}
	begun := time.Now()
	sw.Do(func() {
		for _, c := range clients {
			c.Send(request)
		}
	})
	if err := k.await(ctx); err != nil {
		return err
	}
	k.all.Values = append(k.all.Values, float64(time.Since(begun))/1e6)
	after, err := s.CPU()
	if err != nil {
		return err
	}
	k.cpu.Values = append(k.cpu.Values, float64(after-before)/1e6/recoverClients)
	k.connect.Values = append(k.connect.Values, float64(before-start)/1e6/recoverClients)
	if n := k.broken.Load(); n > 0 {
		return fmt.Errorf("%w: %d answers or publications were not what they should be, the first: %.300s", ErrDelivery, n, *k.sample.Load())
	}
	return intact(sw)
}

// await waits until every client has its answer and all that it missed.
func (k *comeback) await(ctx context.Context) error {
	want := int64(0)
	if k.recovers {
		want = recoverClients * recoverMissed
	}
	for end := time.Now().Add(recoverWait); time.Now().Before(end); {
		if k.answered.Load() == recoverClients && k.delivered.Load() == want || k.broken.Load() > 0 {
			return nil
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %d of %d clients were answered, %d publications of %d came", ErrDelivery, k.answered.Load(), recoverClients, k.delivered.Load(), want)
}

// message checks an answer, or that a publication is the next one.
func (k *comeback) message(c *swarm.Client, body []byte, _ int64) {
	sound := true
	switch {
	case bytes.HasPrefix(body, []byte(published)):
		sound = seqOf(body) == k.first+c.Last
		c.Last++
		k.delivered.Add(1)
	case bytes.HasPrefix(body, []byte(`{"t":"subscription_update"`)):
		sound = bytes.Contains(body, []byte(`"success":true`)) && (!k.recovers || bytes.Contains(body, []byte(`"recovered":true`)))
		k.answered.Add(1)
	case bytes.HasPrefix(body, []byte(`{"t":"error"`)):
		sound = false
	}
	if !sound {
		text := string(body)
		k.sample.CompareAndSwap(nil, &text)
		k.broken.Add(1)
	}
}
