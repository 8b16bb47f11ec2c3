package row

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// The slow-reader row: among 200 subscribers of market data 100 read a quarter of it, and each of those also has a
// critical topic of its own.
const (
	slowReaderCount  = 100
	slowFastCount    = 100
	slowReadBytes    = 16 << 10 // a second
	slowReceiveBytes = 4 << 10  // a slow link holds little; the default receive buffer would hide the backlog
	slowTopic        = "stream:market_data:SLOW"
	slowSymbols      = 20
	slowTicks        = 800
	slowEvery        = 5 * time.Millisecond
	slowRounds       = 16 // of one critical publication to each slow reader
	slowDrain        = 8 * time.Second
)

// slowRun is what one server measured.
type slowRun struct {
	name      string
	waits     figure.Series // s from publishing to the slow reader, slowDrain more than the run for what never came
	delivered int
	published int
}

// slowReaders measures how long critical publications take to slow readers whose market data piles up, beside a server
// with one queue in order and default socket buffers.
func slowReaders(ctx context.Context, b *Bench) ([]figure.Figure, error) {
	wse, fifo := &slowRun{name: "wse"}, &slowRun{name: "one FIFO, default buffers"}
	for rep := range b.Repetitions {
		if err := wse.measure(ctx, func() (*target.Server, error) { return b.wse() }); err != nil {
			return nil, fmt.Errorf("wse: %w", err)
		}
		if err := fifo.measure(ctx, func() (*target.Server, error) { return target.StartPeer("fifo", 150) }); err != nil {
			return nil, fmt.Errorf("fifo: %w", err)
		}
		for _, r := range []*slowRun{wse, fifo} {
			b.logf("slow readers %d/%d %s: %d of %d delivered, p50 %.2f s", rep+1, b.Repetitions, r.name, r.delivered, r.published,
				figure.Median().Of(r.waits))
		}
	}
	if wse.delivered < wse.published {
		return nil, fmt.Errorf("wse delivered %d of %d critical publications to slow readers", wse.delivered, wse.published)
	}
	note := fmt.Sprintf("delivered in time: wse %d of %d, FIFO %d of %d", wse.delivered, wse.published, fifo.delivered, fifo.published)
	return []figure.Figure{{
		Name: "a slow reader's critical messages behind its market data, p50", Unit: "s", Ours: wse.waits, Peer: fifo.waits,
		Statistic: figure.Quantile("p50", 0.5), RatioMax: 1.0 / 3, Note: note,
	}}, nil
}

// slowMarks times critical publications: one number per reader and round.
type slowMarks struct {
	mu   sync.Mutex
	sent [slowRounds]time.Time
	wait map[[2]int]float64 // guarded by mu; seconds by reader and round
}

func (m *slowMarks) message(c *swarm.Client, body []byte, now int64) {
	n, ok := number(body)
	if !ok || n >= slowRounds {
		return // market data has higher numbers
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wait[[2]int{c.Index, n}] = float64(now-m.sent[n].UnixNano()) / 1e9
}

func slowUser(i int) string               { return fmt.Sprintf("slow%d", i) }
func slowOwn(i int) string                { return "user:" + slowUser(i) + ":order_events" }
func slowBoth(i int) string               { return slowTopic + "," + slowOwn(i) }
func fastUser(i int) string               { return fmt.Sprintf("fast%d", i) }
func symbolOf(n int) string               { return fmt.Sprintf("S%d", n%slowSymbols) }
func tickNumber(n int) int                { return slowRounds + n }
func isRound(n int) bool                  { return n%(slowTicks/slowRounds) == 0 }
func roundOfTick(n int) int               { return n / (slowTicks / slowRounds) }
func ignore(*swarm.Client, []byte, int64) {}

func (r *slowRun) measure(ctx context.Context, start func() (*target.Server, error)) (err error) {
	s, err := start()
	if err != nil {
		return err
	}
	defer stopAll([]*target.Server{s}, &err)
	sw, err := swarm.New()
	if err != nil {
		return err
	}
	defer sw.Close()
	marks := &slowMarks{wait: make(map[[2]int]float64)}
	if _, err := (audience{user: fastUser, topics: fixed(slowTopic), message: ignore}).join(ctx, sw, s, slowFastCount); err != nil {
		return err
	}
	readers, err := audience{user: slowUser, topics: slowBoth, message: marks.message, receive: slowReceiveBytes}.join(ctx, sw, s, slowReaderCount)
	if err != nil {
		return err
	}
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	sw.Pace(readers, slowReadBytes)
	begun := time.Now()
	if err := marks.publish(ctx, s); err != nil {
		return err
	}
	if err := marks.await(ctx); err != nil {
		return err
	}
	r.collect(marks, time.Since(begun))
	return intact(sw)
}

// publish sends the market data and, at even distances, a round of critical publications.
func (m *slowMarks) publish(ctx context.Context, s *target.Server) error {
	next := time.Now()
	for n := range slowTicks {
		if err := sleep(ctx, time.Until(next)); err != nil {
			return err
		}
		next = next.Add(slowEvery)
		tick := fmt.Appendf(nil, `{"n":%d,"symbol":"%s","price":101.25,"volume":3,"pad":"%0100d"}`, tickNumber(n), symbolOf(n), n)
		if err := s.Publish(ctx, target.Publication{Topic: slowTopic, Type: eventType, Payload: tick}); err != nil {
			return err
		}
		if !isRound(n) {
			continue
		}
		round := roundOfTick(n)
		pubs := make([]target.Publication, slowReaderCount)
		for i := range pubs {
			pubs[i] = target.Publication{Topic: slowOwn(i), Type: eventType, Payload: payload(round, payloadBytes), Priority: 10}
		}
		m.mu.Lock()
		m.sent[round] = time.Now()
		m.mu.Unlock()
		if err := s.Publish(ctx, pubs...); err != nil {
			return err
		}
	}
	return nil
}

// await waits for the last critical publication, at most slowDrain.
func (m *slowMarks) await(ctx context.Context) error {
	for end := time.Now().Add(slowDrain); time.Now().Before(end); {
		m.mu.Lock()
		n := len(m.wait)
		m.mu.Unlock()
		if n == slowRounds*slowReaderCount {
			return nil
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// collect takes the waits over. What has not come has waited at least until now, which is in the peer's favour.
func (r *slowRun) collect(m *slowMarks, run time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.waits.Name = r.name
	now := time.Now()
	for i := range slowReaderCount {
		for round := range slowRounds {
			wait, ok := m.wait[[2]int{i, round}]
			if ok {
				r.delivered++
			} else {
				wait = min(run, now.Sub(m.sent[round])).Seconds()
			}
			r.published++
			r.waits.Values = append(r.waits.Values, wait)
		}
	}
}
