package row

import (
	"context"
	"fmt"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// The crowd row: of 10,000 subscribers 1,000 never read.
const (
	crowdReaders      = 8_900
	crowdStalled      = 1_000
	crowdBlocks       = 2 // of each kind per repetition, in turn
	crowdPublications = 30
	crowdEvery        = 150 * time.Millisecond
	queueMiBTotal     = 256 // limits.queue_mib_total as delivered
)

// stalledCrowd measures the time to the last reader with and without 1,000 others that never read, and what those cost the
// server in memory.
func stalledCrowd(ctx context.Context, b *Bench) (figures []figure.Figure, err error) {
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
	if _, err := a.join(ctx, sw, s, crowdReaders); err != nil {
		return nil, err
	}
	with, without := newStalled("wse, 1,000 of 10,000 never read"), newStalled("wse, all read")
	grown, alone := figure.Series{Name: with.p99.Name}, figure.Series{Name: without.p99.Name}
	for rep := range b.Repetitions {
		for block := range 2 * crowdBlocks {
			side, memory, stalled := without, &alone, 0
			if block%2 == 1 {
				side, memory, stalled = with, &grown, crowdStalled
			}
			v, mib, err := l.crowd(ctx, sw, stalled)
			if err != nil {
				return nil, err
			}
			side.add(v)
			memory.Values = append(memory.Values, mib)
		}
		b.logf("stalled crowd %d/%d, median of the blocks' p99 so far: %s %.0f ms, %s %.0f ms", rep+1, b.Repetitions, with.p99.Name,
			figure.Median().Of(with.p99), without.p99.Name, figure.Median().Of(without.p99))
	}
	const name = "1,000 of 10,000 subscribers never read"
	return []figure.Figure{
		{Name: name + ": publish → last of the others, p99", Unit: "ms", Ours: with.p99, Peer: without.p99, Statistic: figure.Median(), RatioMax: 1.2,
			Note: fmt.Sprintf("median of %d runs of %d publications each way, in turn", len(with.p99.Values), crowdPublications)},
		{Name: name + ": resident memory of the server", Unit: "MiB", Ours: grown, Peer: alone, Statistic: figure.Median(), ValueMax: queueMiBTotal,
			Note: "the target is limits.queue_mib_total"},
	}, intact(sw)
}

// crowd runs a block with n clients more that do not read, and returns the latencies and what the server holds then.
func (l *lane) crowd(ctx context.Context, sw *swarm.Swarm, n int) (latencies []float64, mib float64, err error) {
	stalled, err := swarm.New()
	if err != nil {
		return nil, 0, err
	}
	defer stalled.Close()
	if n > 0 {
		if err := l.stall(ctx, stalled, n); err != nil {
			return nil, 0, err
		}
	}
	m := newMeter(crowdPublications, crowdReaders)
	sw.Do(func() { l.meter = m })
	if err := sleep(ctx, settle); err != nil {
		return nil, 0, err
	}
	if err := m.run(ctx, l.server, load{fanOutTopic, crowdPublications, 1, crowdEvery, payloadBytes}); err != nil {
		return nil, 0, err
	}
	resident, err := l.server.Memory()
	if err != nil {
		return nil, 0, err
	}
	return m.latencies(), float64(resident) / (1 << 20), l.checkStalled(ctx, n)
}
