package row

import (
	"context"
	"fmt"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// The fan-out rows: 1,000 subscribers, 20 publications a second, so that nothing can be coalesced; then the same with 16
// publications at a time.
const (
	fanOutSubscribers  = 1000
	fanOutTopic        = "stream:system_health:bench"
	fanOutRounds       = 2 // per repetition: short, so that other load meets all alike
	fanOutPublications = 40
	fanOutEvery        = 50 * time.Millisecond
	burstPublications  = 16 * 8
	burst              = 16
	windowsMax         = 10   // tries to measure one
	writesMin          = 0.99 // writes per delivery of a window in which nothing was sent together
	burstEvery         = 200 * time.Millisecond
	settle             = 300 * time.Millisecond
)

// lane is one server of the fan-out row with what it measured.
type lane struct {
	server  *target.Server
	meter   *meter
	cpu     figure.Series // µs per delivery
	latency figure.Series // ms to the last subscriber
}

func (l *lane) message(c *swarm.Client, body []byte, now int64) { l.meter.message(c, body, now) }

// fanOut measures CPU per delivery and the time to the last subscriber, wse beside the bare loop and gorilla in two
// shapes. All servers hold their connections during the whole row; they take turns.
func fanOut(ctx context.Context, b *Bench) (figures []figure.Figure, err error) {
	servers, err := fanOutServers(ctx, b)
	defer stopAll(servers, &err)
	if err != nil {
		return nil, err
	}
	sw, err := swarm.New()
	if err != nil {
		return nil, err
	}
	defer sw.Close()
	lanes := make([]*lane, len(servers))
	for i, s := range servers {
		l := &lane{server: s, meter: newMeter(0, 0)}
		l.cpu.Name, l.latency.Name = s.Name, s.Name
		lanes[i] = l
		a := audience{user: userName, topics: fixed(fanOutTopic), message: l.message}
		if _, err := a.join(ctx, sw, s, fanOutSubscribers); err != nil {
			return nil, err
		}
	}
	bursts := figure.Series{Name: "wse, 16 in flight"}
	alone := figure.Series{Name: "wse, publish only"}
	rounds := fanOutRounds * b.Repetitions
	for rep := range rounds {
		for i := range lanes {
			l := lanes[(i+rep)%len(lanes)]
			v, err := l.runAlone(ctx, b, sw, load{fanOutTopic, fanOutPublications, 1, fanOutEvery, payloadBytes})
			if err != nil {
				return nil, err
			}
			l.cpu.Values = append(l.cpu.Values, v)
			b.logf("fan-out %d/%d %-15s %.2f µs CPU per delivery", rep+1, rounds, l.server.Name, v)
		}
		v, err := lanes[0].run(ctx, sw, load{fanOutTopic, burstPublications, burst, burstEvery, payloadBytes})
		if err != nil {
			return nil, err
		}
		bursts.Values = append(bursts.Values, v)
		b.logf("fan-out %d/%d wse, 16 at a time %.2f µs CPU per delivery", rep+1, rounds, v)
		if v, err = publishOnly(ctx, lanes[0].server); err != nil {
			return nil, err
		}
		alone.Values = append(alone.Values, v)
	}
	if err := intact(sw); err != nil {
		return nil, err
	}
	if err := b.profile(ctx, lanes[0].server, "fanout", 5, func() error {
		_, err := lanes[0].run(ctx, sw, load{fanOutTopic, 110, 1, fanOutEvery, payloadBytes})
		return err
	}); err != nil {
		return nil, err
	}
	return fanOutFigures(lanes, bursts, alone), nil
}

// fanOutServers starts wse and then the peers, which pad their messages to the size of wse's.
func fanOutServers(ctx context.Context, b *Bench) ([]*target.Server, error) {
	w, err := b.wse()
	if err != nil {
		return nil, err
	}
	servers := []*target.Server{w}
	pad, err := envelopeBytes(ctx, w, fanOutTopic)
	if err != nil {
		return servers, err
	}
	b.logf("fan-out: wse adds %d bytes to a payload; the peers pad theirs", pad)
	for _, kind := range []string{"bare", "gorilla", "gorilla-direct"} {
		s, err := target.StartPeer(kind, pad)
		if err != nil {
			return servers, err
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// envelopeBytes returns by how much a publication of wse is longer than a peer's without padding.
func envelopeBytes(ctx context.Context, w *target.Server, topic string) (int, error) {
	sw, err := swarm.New()
	if err != nil {
		return 0, err
	}
	defer sw.Close()
	m := newMeter(1, 1)
	a := audience{user: userName, topics: fixed(topic), message: m.message}
	if _, err := a.join(ctx, sw, w, 1); err != nil {
		return 0, err
	}
	if err := m.run(ctx, w, load{topic, 1, 1, 0, payloadBytes}); err != nil {
		return 0, fmt.Errorf("wse: %w", err)
	}
	plain := len(`{"t":"","p":,"x":""}`) + len(eventType) + payloadBytes
	return max(0, int(m.bodyBytes.Load())-plain), nil
}

// runAlone is run for a load in which every delivery has to be a write of its own. Where the machine was so busy that
// publications caught up with each other, wse has sent some of them together, which would flatter it: such a window does
// not count, and is repeated. The peers never send anything together.
func (l *lane) runAlone(ctx context.Context, b *Bench, sw *swarm.Swarm, ld load) (float64, error) {
	for range windowsMax {
		before, err := l.writes(ctx)
		if err != nil {
			return 0, err
		}
		v, err := l.run(ctx, sw, ld)
		if err != nil {
			return 0, err
		}
		l.latency.Values = append(l.latency.Values, l.meter.latencies()...) // these count in any case
		if l.server.Name != "wse" {
			return v, nil
		}
		after, err := l.writes(ctx)
		if err != nil {
			return 0, err
		}
		writes := (after - before) / float64(ld.count*fanOutSubscribers)
		if writes >= writesMin {
			return v, nil
		}
		b.logf("fan-out: a window with %.2f writes per delivery does not count", writes)
	}
	return 0, fmt.Errorf("wse: in %d windows publications caught up with each other: the machine is too busy", windowsMax)
}

// writes returns how often wse has written to a socket.
func (l *lane) writes(ctx context.Context) (float64, error) {
	if l.server.Name != "wse" {
		return 0, nil
	}
	return l.server.Metric(ctx, "wse_socket_writes_total")
}

// run measures one window and returns the CPU time per delivery in microseconds.
func (l *lane) run(ctx context.Context, sw *swarm.Swarm, ld load) (float64, error) {
	m := newMeter(ld.count, fanOutSubscribers)
	sw.Do(func() { l.meter = m })
	if err := sleep(ctx, settle); err != nil {
		return 0, err
	}
	before, err := l.server.CPU()
	if err != nil {
		return 0, err
	}
	if err := m.run(ctx, l.server, ld); err != nil {
		return 0, fmt.Errorf("%s: %w", l.server.Name, err)
	}
	after, err := l.server.CPU()
	if err != nil {
		return 0, err
	}
	return perDelivery(after-before, ld.count*fanOutSubscribers), nil
}

func perDelivery(cpu time.Duration, deliveries int) float64 {
	return float64(cpu) / float64(time.Microsecond) / float64(deliveries)
}

// publishOnly measures what publications cost that nobody receives, spread over as many deliveries as a run has: the
// share of the HTTP request in the figures.
func publishOnly(ctx context.Context, s *target.Server) (float64, error) {
	m := newMeter(fanOutPublications, 0)
	before, err := s.CPU()
	if err != nil {
		return 0, err
	}
	ld := load{fanOutTopic + ".nobody", fanOutPublications, 1, fanOutEvery / 5, payloadBytes}
	if err := m.publish(ctx, s, ld); err != nil {
		return 0, err
	}
	after, err := s.CPU()
	return perDelivery(after-before, fanOutPublications*fanOutSubscribers), err
}

func fanOutFigures(lanes []*lane, bursts, alone figure.Series) []figure.Figure {
	wse, bare, gorilla, direct := lanes[0], lanes[1], lanes[2], lanes[3]
	const cpu, unit = "server CPU per delivery, 1,000 subscribers × 128 B", "µs"
	net := fmt.Sprintf("taking in the publication over HTTP is %.2f µs of it", figure.Minimum().Of(alone))
	return []figure.Figure{
		{Name: cpu, Unit: unit, Ours: wse.cpu, Peer: named(bare.cpu, "bare write loop"), Statistic: figure.Minimum(), RatioMax: 1.2, Note: net},
		{Name: cpu, Unit: unit, Ours: wse.cpu, Peer: named(gorilla.cpu, "gorilla/websocket, its chat example"), Statistic: figure.Minimum(), RatioMax: 0.75},
		{Name: cpu, Unit: unit, Ours: wse.cpu, Peer: named(direct.cpu, "gorilla/websocket, WriteMessage in a loop"),
			Statistic: figure.Minimum(), Note: "no queue: one slow reader stops everybody"},
		{Name: cpu + ", 16 publications in flight", Unit: unit, Ours: bursts, Peer: named(wse.cpu, "wse, one at a time"), Statistic: figure.Minimum(), RatioMax: 0.5},
		{Name: "publish → last of 1,000 subscribers at 20/s, p50", Unit: "ms", Ours: wse.latency, Peer: named(bare.latency, "bare write loop"), Statistic: figure.Quantile("p50", 0.5)},
		{Name: "publish → last of 1,000 subscribers at 20/s, p99", Unit: "ms", Ours: wse.latency, Peer: named(bare.latency, "bare write loop"), Statistic: figure.Quantile("p99", 0.99)},
	}
}

func named(s figure.Series, name string) figure.Series {
	return figure.Series{Name: name, Values: s.Values}
}
