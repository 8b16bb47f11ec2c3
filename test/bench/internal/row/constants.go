package row

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
	"github.com/wse-engine/wse/test/scaling"
)

// What the constants are measured with.
const (
	constantsClients    = 5000 // each with a topic of its own
	constantsRequests   = 2000
	constantsItems      = 25 // publications in a request
	constantsPublishers = 128
	constantsPayload    = 300
	relayed             = 20_000
)

// spent is what processes have used so far.
type spent struct{ publisher, follower, redis, memory, used float64 } // µs of CPU, bytes resident, bytes of Redis

func (m *many) spent(ctx context.Context) (s spent, err error) {
	for _, p := range []struct {
		of *target.Server
		to *float64
	}{{m.publisher, &s.publisher}, {m.follower, &s.follower}, {&m.redis.Server, &s.redis}} {
		cpu, e := p.of.CPU()
		*p.to, err = float64(cpu)/1e3, errors.Join(err, e)
	}
	rss, _, e := settled(ctx, m.follower)
	s.memory, err = float64(rss), errors.Join(err, e)
	s.used, e = m.redis.Used(ctx)
	return s, errors.Join(err, e)
}

// less returns what was used since before, divided by how often something was done.
func (s spent) less(before spent, times float64) spent {
	return spent{
		(s.publisher - before.publisher) / times, (s.follower - before.follower) / times, (s.redis - before.redis) / times,
		(s.memory - before.memory) / times, (s.used - before.used) / times,
	}
}

// Constants measures what single operations of a deployment on Redis cost and puts it into c.
func Constants(ctx context.Context, b *Bench, c *scaling.Constants) (err error) {
	m, err := startMany(b)
	defer m.stop(&err)
	if err != nil {
		return err
	}
	sw, err := swarm.New()
	if err != nil {
		return err
	}
	defer sw.Close()
	if err := m.comeAndPublish(ctx, b, sw, c); err != nil {
		return err
	}
	if err := m.deliver(ctx, b, sw, c); err != nil {
		return err
	}
	p50, _, err := m.redis.PublishTimes(ctx, "bench", strings.Repeat("x", payloadBytes))
	if err != nil {
		return err
	}
	c.RoundTripMicros = 1e3 * p50
	pad, err := envelopeBytes(ctx, m.alone, fanOutTopic)
	c.EnvelopeBytes = float64(pad)
	if err != nil {
		return err
	}
	c.RelayMicros, err = relay(ctx, b)
	return err
}

// comeAndPublish measures connections with a topic each, and publications to those and to topics that nobody follows.
func (m *many) comeAndPublish(ctx context.Context, b *Bench, sw *swarm.Swarm, c *scaling.Constants) error {
	own := func(i int) string { return "user:" + userName(i) + ":order_events" }
	meter := newMeter(0, 0)
	before, err := m.spent(ctx)
	if err != nil {
		return err
	}
	a := audience{user: userName, topics: own, message: func(cl *swarm.Client, body []byte, now int64) { meter.message(cl, body, now) }}
	if _, err := a.join(ctx, sw, m.follower, constantsClients); err != nil {
		return err
	}
	after, err := m.spent(ctx)
	if err != nil {
		return err
	}
	came := after.less(before, constantsClients)
	c.ConnectionBytes, c.HandshakeMicros, c.SubscribeMicros, c.TopicBytes = came.memory, came.follower, came.redis, came.used
	b.logf("constants: a connection %.0f B and %.1f µs; its topic %.1f µs and %.0f B of Redis", came.memory, came.follower, came.redis, came.used)
	const total = constantsRequests * constantsItems
	for _, to := range []struct {
		name  string
		topic func(i int) string
	}{{"nobody", func(i int) string { return own(i + constantsClients) }}, {"one subscriber", own}} {
		meter = newMeter(total, 1)
		if before, err = m.spent(ctx); err != nil {
			return err
		}
		if err := m.publishEach(ctx, to.topic); err != nil {
			return err
		}
		if to.name != "nobody" {
			if err := meter.wait(ctx, total); err != nil {
				return err
			}
		}
		if after, err = m.spent(ctx); err != nil {
			return err
		}
		each := after.less(before, total)
		b.logf("constants: a publication to %s: %.1f µs at its node, %.1f at the other, %.1f of Redis, which keeps %.0f B", to.name, each.publisher, each.follower, each.redis, each.used)
		if to.name == "nobody" {
			c.ScriptMicros = each.redis
			continue
		}
		c.PublishMicros, c.ReceiveMicros, c.ForwardMicros = each.publisher, each.follower, max(0, each.redis-c.ScriptMicros)
		c.HistoryBytes = max(0, each.used-constantsPayload)
	}
	return nil
}

// publishEach publishes to one topic after the other, by many publishers at once, as fast as they are answered: what an operation
// costs where there is much to do.
func (m *many) publishEach(ctx context.Context, topic func(i int) string) error {
	errs, requests := make(chan error, constantsPublishers), make(chan int)
	for range constantsPublishers {
		go func() {
			var err error
			for r := range requests {
				pubs := make([]target.Publication, constantsItems)
				for i := range pubs {
					n := r*constantsItems + i
					pubs[i] = target.Publication{Topic: topic(n % constantsClients), Type: eventType, Payload: payload(n, constantsPayload)}
				}
				if err == nil {
					err = m.publisher.Publish(ctx, pubs...)
				}
			}
			errs <- err
		}()
	}
	for r := range constantsRequests {
		requests <- r
	}
	close(requests)
	var all error
	for range constantsPublishers {
		all = errors.Join(all, <-errs)
	}
	return all
}

// deliver measures what a subscriber more costs, on a topic of many.
func (m *many) deliver(ctx context.Context, b *Bench, sw *swarm.Swarm, c *scaling.Constants) error {
	l := &lane{server: m.follower, meter: newMeter(0, 0)}
	a := audience{user: userName, topics: fixed(fanOutTopic), message: l.message}
	if _, err := a.join(ctx, sw, m.follower, fanOutSubscribers); err != nil {
		return err
	}
	var cost figure.Series
	for range b.Repetitions {
		before, err := m.follower.CPU()
		if err != nil {
			return err
		}
		if _, _, err := twoNodes(ctx, m, sw, l); err != nil {
			return err
		}
		after, err := m.follower.CPU()
		if err != nil {
			return err
		}
		cost.Values = append(cost.Values, perDelivery(after-before, fanOutPublications*fanOutSubscribers))
	}
	c.DeliveryMicros = figure.Minimum().Of(cost)
	c.ReceiveMicros = max(0, c.ReceiveMicros-c.DeliveryMicros) // it was measured with one delivery in it
	b.logf("constants: a delivery %.2f µs, a publication that comes from Redis %.2f µs", c.DeliveryMicros, c.ReceiveMicros)
	return nil
}

// relay measures what a publication costs a primary of a Cluster that it was not published at.
func relay(ctx context.Context, b *Bench) (micros float64, err error) {
	servers, err := target.StartCluster(ctx, b.Dir, 3)
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.Stop())
		}
	}()
	if err != nil {
		return 0, err
	}
	busy := func() (total float64, err error) {
		for _, s := range servers[1:] {
			cpu, e := s.CPU()
			total, err = total+float64(cpu)/1e3, errors.Join(err, e)
		}
		return total, err
	}
	before, err := busy()
	if err != nil {
		return 0, err
	}
	pipe, text := servers[0].Client.Pipeline(), payload(1, constantsPayload)
	for n := range relayed {
		pipe.Publish(ctx, "wse:user:"+strconv.Itoa(n)+":events", text)
		if pipe.Len() == 100 {
			if _, err := pipe.Exec(ctx); err != nil {
				return 0, fmt.Errorf("relay: %w", err)
			}
		}
	}
	if err := sleep(ctx, settle); err != nil {
		return 0, err
	}
	after, err := busy()
	micros = (after - before) / relayed / float64(len(servers)-1)
	b.logf("constants: a publication that another primary of the Cluster tells of %.2f µs", micros)
	return micros, err
}
