package row

import (
	"context"
	"fmt"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// The rows of subscribers that never read. Blocks are short and take turns, so that other load meets both sides alike.
const (
	stalledTopic     = "stream:system_health:stalled"
	stalledFill      = 48 // publications that fill the buffers of those that do not read
	stalledFillBytes = 4 << 10
	queueMiBTotal    = 256 // limits.queue_mib_total as delivered
)

// stalling is how such a row is made up.
type stalling struct {
	name                 string
	readers, stalled     int
	blocks, publications int // blocks of each kind per repetition, and publications in each
	every                time.Duration
}

// stalledReaders measures the time to the last of 1,000 subscribers with and without five others that never read.
func stalledReaders(ctx context.Context, b *Bench) ([]figure.Figure, error) {
	cfg := stalling{"five never read", fanOutSubscribers, 5, 6, 50, 20 * time.Millisecond}
	with, without, err := cfg.measure(ctx, b)
	if err != nil {
		return nil, err
	}
	const name = "five subscribers that never read: publish → last of the others"
	return []figure.Figure{
		cfg.p99(name, with, without),
		{Name: name + ", p50", Unit: "ms", Ours: with.all, Peer: without.all, Statistic: figure.Quantile("p50", 0.5)},
	}, nil
}

// stalledCrowd is stalledReaders with 1,000 of 10,000, and tells what those cost the server in memory.
func stalledCrowd(ctx context.Context, b *Bench) ([]figure.Figure, error) {
	cfg := stalling{"1,000 of 10,000 never read", 8_900, 1_000, 2, 30, 150 * time.Millisecond}
	with, without, err := cfg.measure(ctx, b)
	if err != nil {
		return nil, err
	}
	const name = "1,000 of 10,000 subscribers never read"
	return []figure.Figure{
		cfg.p99(name+": publish → last of the others", with, without),
		{Name: name + ": resident memory of the server", Unit: "MiB", Ours: with.mib, Peer: without.mib, Statistic: figure.Median(), ValueMax: queueMiBTotal,
			Note: "the target is limits.queue_mib_total"},
	}, nil
}

func (cfg *stalling) p99(name string, with, without *stalledSide) figure.Figure {
	return figure.Figure{Name: name + ", p99", Unit: "ms", Ours: with.p99, Peer: without.p99, Statistic: figure.Median(), RatioMax: 1.2,
		Note: fmt.Sprintf("median of %d runs of %d publications each way, in turn", len(with.p99.Values), cfg.publications)}
}

// measure runs blocks with and without the subscribers that never read, in turn.
func (cfg *stalling) measure(ctx context.Context, b *Bench) (with, without *stalledSide, err error) {
	s, err := b.wse()
	if err != nil {
		return nil, nil, err
	}
	defer stopAll([]*target.Server{s}, &err)
	sw, err := swarm.New()
	if err != nil {
		return nil, nil, err
	}
	defer sw.Close()
	l := &lane{server: s, meter: newMeter(0, 0)}
	a := audience{user: userName, topics: fixed(fanOutTopic), message: l.message}
	if _, err := a.join(ctx, sw, s, cfg.readers); err != nil {
		return nil, nil, err
	}
	with, without = newStalled("wse, "+cfg.name), newStalled("wse, all read")
	for rep := range b.Repetitions {
		for block := range 2 * cfg.blocks {
			side := without
			if block%2 == 1 {
				side = with
			}
			if err := cfg.block(ctx, l, sw, side, block%2*cfg.stalled); err != nil {
				return nil, nil, err
			}
		}
		b.logf("%s %d/%d, median of the blocks' p99 so far: %s %.2f ms, %s %.2f ms", cfg.name, rep+1, b.Repetitions, with.p99.Name,
			figure.Median().Of(with.p99), without.p99.Name, figure.Median().Of(without.p99))
	}
	return with, without, intact(sw)
}

// block runs the load with n more subscribers that do not read and whose buffers are full when it begins.
func (cfg *stalling) block(ctx context.Context, l *lane, sw *swarm.Swarm, side *stalledSide, n int) error {
	stalled, err := swarm.New()
	if err != nil {
		return err
	}
	defer stalled.Close()
	if n > 0 {
		if err := l.stall(ctx, stalled, n); err != nil {
			return err
		}
	}
	m := newMeter(cfg.publications, cfg.readers)
	sw.Do(func() { l.meter = m })
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	if err := m.run(ctx, l.server, load{fanOutTopic, cfg.publications, 1, cfg.every, payloadBytes}); err != nil {
		return err
	}
	resident, err := l.server.Memory()
	if err != nil {
		return err
	}
	side.add(m.latencies(), float64(resident)/(1<<20))
	return l.checkStalled(ctx, n)
}

// stalledSide is what was measured with, or without, those that never read.
type stalledSide struct {
	all figure.Series
	p99 figure.Series // a value per block: a burst of other load spoils few of them, where it would be the p99 of all
	mib figure.Series // resident memory of the server at the end of each block
}

func newStalled(name string) *stalledSide {
	return &stalledSide{all: figure.Series{Name: name}, p99: figure.Series{Name: name}, mib: figure.Series{Name: name}}
}

func (s *stalledSide) add(block []float64, mib float64) {
	s.mib.Values = append(s.mib.Values, mib)
	s.p99.Values = append(s.p99.Values, figure.Quantile("p99", 0.99).Of(figure.Series{Values: block}))
	s.all.Values = append(s.all.Values, block...)
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
