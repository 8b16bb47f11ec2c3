package row

import (
	"context"
	"fmt"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// The stalled row: five subscribers that never read, among 1,000 that do.
const (
	stalledCount        = 5
	stalledBlocks       = 6 // of each kind per repetition, in turn: short, so that other load meets both alike
	stalledPublications = 50
	stalledEvery        = 20 * time.Millisecond
	stalledTopic        = "stream:system_health:stalled"
	stalledFill         = 48 // publications that fill the buffers of those that do not read
	stalledFillBytes    = 4 << 10
)

// stalledReaders measures the time to the last of 1,000 subscribers with and without five others that never read.
func stalledReaders(ctx context.Context, b *Bench) (figures []figure.Figure, err error) {
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
	l := &lane{server: s, meter: newMeter(0, 0)}
	a := audience{user: userName, topics: fixed(fanOutTopic), message: l.message}
	if _, err := a.join(ctx, sw, s, fanOutSubscribers); err != nil {
		return nil, err
	}
	with, without := newStalled("wse, five never read"), newStalled("wse, all read")
	ld := load{fanOutTopic, stalledPublications, 1, stalledEvery, payloadBytes}
	for rep := range b.Repetitions {
		for block := range 2 * stalledBlocks {
			side := without
			if block%2 == 1 {
				side = with
			}
			v, err := l.withStalled(ctx, sw, ld, block%2*stalledCount)
			if err != nil {
				return nil, err
			}
			side.add(v)
		}
		b.logf("stalled readers %d/%d, median of the blocks' p99 so far: %s %.2f ms, %s %.2f ms", rep+1, b.Repetitions, with.p99.Name,
			figure.Median().Of(with.p99), without.p99.Name, figure.Median().Of(without.p99))
	}
	const name = "five subscribers that never read: publish → last of the others"
	return []figure.Figure{
		{Name: name + ", p99", Unit: "ms", Ours: with.p99, Peer: without.p99, Statistic: figure.Median(), RatioMax: 1.2,
			Note: fmt.Sprintf("median of %d runs of %d publications each way, in turn", len(with.p99.Values), stalledPublications)},
		{Name: name + ", p50", Unit: "ms", Ours: with.all, Peer: without.all, Statistic: figure.Quantile("p50", 0.5)},
	}, intact(sw)
}

// stalledSide is what was measured with, or without, those that never read.
type stalledSide struct {
	all figure.Series
	p99 figure.Series // a value per block: a burst of other load spoils few of them, where it would be the p99 of all
}

func newStalled(name string) *stalledSide {
	return &stalledSide{all: figure.Series{Name: name}, p99: figure.Series{Name: name}}
}

func (s *stalledSide) add(block []float64) {
	s.p99.Values = append(s.p99.Values, figure.Quantile("p99", 0.99).Of(figure.Series{Values: block}))
	s.all.Values = append(s.all.Values, block...)
}

// withStalled runs the load with n more subscribers that do not read and whose buffers are full when it begins.
func (l *lane) withStalled(ctx context.Context, sw *swarm.Swarm, ld load, n int) ([]float64, error) {
	stalled, err := swarm.New()
	if err != nil {
		return nil, err
	}
	defer stalled.Close()
	if n > 0 {
		if err := l.stall(ctx, stalled, n); err != nil {
			return nil, err
		}
	}
	if _, err := l.run(ctx, sw, ld); err != nil {
		return nil, err
	}
	return l.meter.latencies(), l.checkStalled(ctx, n)
}

// stall connects n clients that do not read, and fills their buffers.
func (l *lane) stall(ctx context.Context, stalled *swarm.Swarm, n int) error {
	a := audience{user: slowUser, topics: fixed(fanOutTopic + "," + stalledTopic), message: ignore}
	clients, err := a.join(ctx, stalled, l.server, n)
	if err != nil {
		return err
	}
	stalled.Pace(clients, 0)
	fill := load{stalledTopic, stalledFill, 1, 0, stalledFillBytes}
	if err := newMeter(stalledFill, n).publish(ctx, l.server, fill); err != nil {
		return fmt.Errorf("filling the buffers: %w", err)
	}
	return nil
}

// checkStalled asks the server whether it holds n connections that it cannot write to: else the run showed nothing.
func (l *lane) checkStalled(ctx context.Context, n int) error {
	held, err := l.server.Metric(ctx, "wse_connections_stalled")
	if err == nil && int(held) < n {
		err = fmt.Errorf("the server has %.0f stalled connections at the end of a run with %d", held, n)
	}
	return err
}
