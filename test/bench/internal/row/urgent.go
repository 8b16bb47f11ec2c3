package row

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// The urgent row: while a broadcast to 10,000 is being written, a critical publication for somebody else comes in.
const (
	urgentAudience  = 9_900 // with the watchers 10,000 descriptors, and some to spare below common limits
	urgentWatchers  = 100
	urgentTrials    = 40
	urgentTopic     = "stream:market_data:BENCH"
	urgentDelayMax  = 15 * time.Millisecond
	urgentPause     = 50 * time.Millisecond
	urgentSeed      = 1
	urgentFirstUser = 20_000
)

// urgentRun is what one server measured.
type urgentRun struct {
	critical  figure.Series // ms from publishing to the one subscriber
	broadcast figure.Series // ms to the last of the audience
	overtook  int           // critical publications that arrived before the broadcast's last
	trials    int
}

// urgent measures how long a critical publication waits for a broadcast, beside the bare loop, which finishes one
// publication before it begins the next.
func urgent(ctx context.Context, b *Bench) ([]figure.Figure, error) {
	wse, bare := &urgentRun{}, &urgentRun{}
	wse.critical.Name, wse.broadcast.Name = "wse", "wse"
	bare.critical.Name, bare.broadcast.Name = "bare loop, first come first served", "bare loop"
	start := func() (*target.Server, error) { return b.wse() }
	floor := func() (*target.Server, error) { return target.StartPeer("bare", 150) }
	for rep := range b.Repetitions {
		for _, r := range []struct {
			start func() (*target.Server, error)
			run   *urgentRun
		}{{start, wse}, {floor, bare}} {
			if err := r.run.measure(ctx, r.start); err != nil {
				return nil, fmt.Errorf("%s: %w", r.run.critical.Name, err)
			}
			b.logf("urgent %d/%d %s: p50 so far %.2f ms", rep+1, b.Repetitions, r.run.critical.Name, figure.Median().Of(r.run.critical))
		}
	}
	const name = "a critical publication during a broadcast to 10,000, to its subscriber"
	note := fmt.Sprintf("%d of %d overtook the broadcast", wse.overtook, wse.trials)
	return []figure.Figure{
		{Name: name + ", p50", Unit: "ms", Ours: wse.critical, Peer: bare.critical, Statistic: figure.Quantile("p50", 0.5), ValueMax: 2, Note: note},
		{Name: name + ", p99", Unit: "ms", Ours: wse.critical, Peer: bare.critical, Statistic: figure.Quantile("p99", 0.99)},
		{Name: "the broadcast itself, to its last subscriber, p50", Unit: "ms", Ours: wse.broadcast, Peer: bare.broadcast, Statistic: figure.Quantile("p50", 0.5)},
	}, nil
}

// measure starts a server, connects the audience and the watchers, and runs the trials.
func (u *urgentRun) measure(ctx context.Context, start func() (*target.Server, error)) (err error) {
	s, err := start()
	if err != nil {
		return err
	}
	defer stopAll([]*target.Server{s}, &err)
	// The watchers have a swarm of their own: what the audience has to read must not delay what we measure.
	crowd, err := swarm.New()
	if err != nil {
		return err
	}
	defer crowd.Close()
	few, err := swarm.New()
	if err != nil {
		return err
	}
	defer few.Close()
	broadcast, critical := newMeter(urgentTrials, urgentAudience), newMeter(urgentTrials, 1)
	a := audience{user: userName, topics: fixed(urgentTopic), message: broadcast.message}
	if _, err := a.join(ctx, crowd, s, urgentAudience); err != nil {
		return err
	}
	a = audience{user: watcher, topics: watched, message: critical.message}
	if _, err := a.join(ctx, few, s, urgentWatchers); err != nil {
		return err
	}
	if err := sleep(ctx, 2*settle); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(urgentSeed, urgentSeed))
	for n := range urgentTrials {
		delay := time.Millisecond + rand.N(urgentDelayMax)
		if err := trial(ctx, s, n, broadcast, critical, watched(rng.IntN(urgentWatchers)), delay); err != nil {
			return err
		}
		u.trials++
		if critical.last[n].Load() < broadcast.last[n].Load() {
			u.overtook++
		}
	}
	u.critical.Values = append(u.critical.Values, critical.latencies()...)
	u.broadcast.Values = append(u.broadcast.Values, broadcast.latencies()...)
	if err := intact(crowd); err != nil {
		return err
	}
	return intact(few)
}

func watcher(i int) string { return userName(urgentFirstUser + i) }
func watched(i int) string { return "user:" + watcher(i) + ":order_events" }

// trial publishes the broadcast n, and after delay the critical publication n.
func trial(ctx context.Context, s *target.Server, n int, broadcast, critical *meter, topic string, delay time.Duration) error {
	begun := make(chan error, 1)
	broadcast.sent[n].Store(time.Now().UnixNano())
	go func() {
		begun <- s.Publish(ctx, target.Publication{Topic: urgentTopic, Type: eventType, Payload: payload(n, payloadBytes)})
	}()
	if err := sleep(ctx, delay); err != nil {
		return err
	}
	critical.sent[n].Store(time.Now().UnixNano())
	err := s.Publish(ctx, target.Publication{Topic: topic, Type: eventType, Payload: payload(n, payloadBytes), Priority: 10})
	if e := <-begun; err == nil {
		err = e
	}
	if err == nil {
		err = broadcast.wait(ctx, n+1)
	}
	if err == nil {
		err = critical.wait(ctx, n+1)
	}
	if err != nil {
		return err
	}
	return sleep(ctx, urgentPause)
}
