package row

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// many is two nodes on one Redis, one that is published at and one with the subscribers, and a node of its own beside them.
type many struct {
	redis     *target.Redis
	publisher *target.Server
	follower  *target.Server
	alone     *target.Server
}

// startMany starts them. What was started is stopped by stop, also after an error.
func startMany(b *Bench) (m *many, err error) {
	m = &many{}
	if m.redis, err = target.StartRedis(b.Dir); err != nil {
		return m, err
	}
	on := "broker.redis.addrs=[" + m.redis.Addr + "]"
	if m.publisher, err = b.wse(on); err != nil {
		return m, err
	}
	if m.follower, err = b.wse(on); err != nil {
		return m, err
	}
	m.alone, err = b.wse()
	return m, err
}

func (m *many) stop(err *error) {
	for _, s := range []*target.Server{m.publisher, m.follower, m.alone} {
		if s != nil {
			*err = errors.Join(*err, s.Stop())
		}
	}
	if m.redis != nil {
		*err = errors.Join(*err, m.redis.Stop())
	}
}

// manySides are the two that the Redis row compares.
type manySides struct {
	cpu, aloneCPU         figure.Series // µs a delivery, of all nodes
	latency, aloneLatency figure.Series // ms to the last subscriber
	p50, p99              figure.Series // ms of a raw PUBLISH
	scripts               figure.Series // calls a publication, less those that nodes make anyway
	idle                  figure.Series // those, a second
}

// redisRow measures publications that come in at one node and go to 1,000 subscribers on another, beside the same on one
// node that keeps its topics itself, and beside what a PUBLISH takes.
func redisRow(ctx context.Context, b *Bench) (figures []figure.Figure, err error) {
	m, err := startMany(b)
	defer m.stop(&err)
	if err != nil {
		return nil, err
	}
	sw, err := swarm.New()
	if err != nil {
		return nil, err
	}
	defer sw.Close()
	onRedis := &lane{server: m.follower, meter: newMeter(0, 0)}
	memory := &lane{server: m.alone, meter: newMeter(0, 0)}
	for _, l := range []*lane{onRedis, memory} {
		a := audience{user: userName, topics: fixed(fanOutTopic), message: l.message}
		if _, err := a.join(ctx, sw, l.server, fanOutSubscribers); err != nil {
			return nil, err
		}
	}
	var s manySides
	rounds := fanOutRounds * b.Repetitions
	for rep := range rounds {
		if err := s.round(ctx, m, sw, onRedis, memory); err != nil {
			return nil, err
		}
		b.logf("redis %d/%d %.2f µs CPU per delivery on two nodes, %.2f on one; PUBLISH p50 %.3f ms; %.2f scripts a publication", rep+1, rounds,
			s.cpu.Values[rep], s.aloneCPU.Values[rep], s.p50.Values[rep], s.scripts.Values[rep])
	}
	if err := intact(sw); err != nil {
		return nil, err
	}
	return s.figures(), nil
}

// round measures each side once, in turn.
func (s *manySides) round(ctx context.Context, m *many, sw *swarm.Swarm, onRedis, memory *lane) error {
	cpu, latency := 0.0, []float64(nil)
	scripts, took, err := m.scripts(ctx, func() (err error) {
		cpu, latency, err = twoNodes(ctx, m, sw, onRedis)
		return err
	})
	if err != nil {
		return err
	}
	s.cpu.Values = append(s.cpu.Values, cpu)
	s.latency.Values = append(s.latency.Values, latency...)
	alone := 0.0
	idle, idleFor, err := m.scripts(ctx, func() (err error) { // nobody publishes at the two nodes meanwhile
		alone, err = memory.run(ctx, sw, load{fanOutTopic, fanOutPublications, 1, fanOutEvery, payloadBytes})
		return err
	})
	if err != nil {
		return err
	}
	perSecond := idle / idleFor.Seconds()
	s.idle.Values = append(s.idle.Values, perSecond)
	s.scripts.Values = append(s.scripts.Values, (scripts-perSecond*took.Seconds())/fanOutPublications)
	s.aloneCPU.Values = append(s.aloneCPU.Values, alone)
	s.aloneLatency.Values = append(s.aloneLatency.Values, memory.meter.latencies()...)
	p50, p99, err := m.redis.PublishTimes(ctx, "bench", strings.Repeat("x", payloadBytes))
	s.p50.Values, s.p99.Values = append(s.p50.Values, p50), append(s.p99.Values, p99)
	return err
}

// scripts returns how often scripts were called at Redis while do went on, and how long it did.
func (m *many) scripts(ctx context.Context, do func() error) (calls float64, took time.Duration, err error) {
	before, err := m.redis.Calls(ctx)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	after, err := m.redis.Calls(ctx)
	return after["evalsha"] - before["evalsha"] + after["eval"] - before["eval"], took, err
}

// twoNodes publishes a window at one node and returns the CPU of both for a delivery on the other, and the latencies.
func twoNodes(ctx context.Context, m *many, sw *swarm.Swarm, l *lane) (float64, []float64, error) {
	meter := newMeter(fanOutPublications, fanOutSubscribers)
	sw.Do(func() { l.meter = meter })
	if err := sleep(ctx, settle); err != nil {
		return 0, nil, err
	}
	spent := func() (total float64, err error) {
		for _, s := range []*target.Server{m.publisher, m.follower} {
			cpu, e := s.CPU()
			total, err = total+float64(cpu), errors.Join(err, e)
		}
		return total, err
	}
	before, err := spent()
	if err != nil {
		return 0, nil, err
	}
	if err := meter.run(ctx, m.publisher, load{fanOutTopic, fanOutPublications, 1, fanOutEvery, payloadBytes}); err != nil {
		return 0, nil, fmt.Errorf("two nodes: %w", err)
	}
	after, err := spent()
	return (after - before) / 1e3 / (fanOutPublications * fanOutSubscribers), meter.latencies(), err
}

func (s *manySides) figures() []figure.Figure {
	const name = "publish at one node → 1,000 subscribers on another"
	s.cpu.Name, s.latency.Name = "wse, two nodes", "wse, two nodes"
	one := "wse, one node in memory"
	return []figure.Figure{
		{Name: name + ": CPU of all nodes per delivery", Unit: "µs", Ours: s.cpu, Peer: named(s.aloneCPU, one), Statistic: figure.Minimum(), RatioMax: 1.1},
		{Name: name + ": to the last, p50", Unit: "ms", Ours: s.latency, Peer: named(s.aloneLatency, one), Statistic: figure.Quantile("p50", 0.5),
			Note: fmt.Sprintf("a PUBLISH of redis-benchmark takes %.3f ms", figure.Median().Of(s.p50))},
		{Name: name + ": to the last, p99", Unit: "ms", Ours: s.latency, Peer: named(s.aloneLatency, one), Statistic: figure.Quantile("p99", 0.99),
			Note: fmt.Sprintf("a PUBLISH of redis-benchmark takes %.3f ms", figure.Median().Of(s.p99))},
		{Name: "script calls at Redis per publication, beyond those that idle nodes make", Unit: "calls", Ours: s.scripts, Peer: named(s.scripts, "the same"), Statistic: figure.Median(), ValueMax: 1.05,
			Note: fmt.Sprintf("two nodes make %.1f a second on their own", figure.Median().Of(s.idle))},
	}
}
