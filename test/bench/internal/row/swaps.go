package row

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// The swaps row: events come in, and the plugin that turns them into publications is swapped all the while.
const (
	swapsTotal     = 1000 // over all repetitions
	swapBlocks     = 10   // of each kind per repetition, in turn: short, so that other load meets both alike
	swapsEvery     = 30 * time.Millisecond
	swapTopics     = 200                   // each with a subscriber of its own
	swapPublishers = 4                     // a topic's events all come from one of them, so that they have an order
	swapBeat       = 10 * time.Millisecond // an event for each topic: 20,000 events a second
	swapWarmUp     = 25                    // swaps before anything is measured, so that what is made once is there
)

// swapConfig has the stock plugins; what the topics keep is little, so that the heap does not grow for another reason.
const swapConfig = `# Generated for a benchmark.
topics:
  - {pattern: "user:*:swaps", history_size: 16, idempotency_ttl: 0s}
plugins:
  - {name: mapping, kinds: [transform], path: "stock:mapping", config: ` + swapMapping + `"left"]}]}}
  - {name: topicauth, kinds: [authorize], path: "stock:topicauth"}
`

// swapMapping begins both mappings; they differ in the member that they drop.
const swapMapping = `{"mappings": [{"event": "Swaps", "type": "` + eventType + `", "topic": "user:{user_id}:swaps", "drop": [`

// swapEvent is an event for topic i, and mapped how its publication begins.
const (
	swapEvent = `{"type":"Swaps","user_id":"u%d","payload":{"n":%d,"at":%d,"left":1,"right":1}}`
	mapped    = `{"t":"` + eventType + `","p":{"original_event_type":"Swaps","n":`
)

// swapping is the state of the row.
type swapping struct {
	b        *Bench
	server   *target.Server
	sent     [swapTopics]uint64 // a publisher's own while it runs
	swapped  atomic.Int64
	took     figure.Series // ms a swap
	received atomic.Int64
	faults   atomic.Int64    // numbers that were skipped or came again, and bodies that are none
	by       [2]atomic.Int64 // publications of the one mapping and of the other
	latency  []float64       // ms; the swarm's own while events come
}

// swaps measures the delivery of events with and without swaps of their plugin.
func swaps(ctx context.Context, b *Bench) (figures []figure.Figure, err error) {
	server, err := target.StartWSE(b.Binary, b.Dir, swapConfig)
	if err != nil {
		return nil, err
	}
	defer stopAll([]*target.Server{server}, &err)
	sw, err := swarm.New()
	if err != nil {
		return nil, err
	}
	defer sw.Close()
	s := &swapping{b: b, server: server}
	a := audience{user: userName, message: s.message, topics: func(i int) string { return fmt.Sprintf("user:u%d:swaps", i) }}
	if _, err := a.join(ctx, sw, server, swapTopics); err != nil {
		return nil, err
	}
	if _, err := s.block(ctx, sw, swapWarmUp, 0); err != nil {
		return nil, err
	}
	before, err := held(ctx, server)
	if err != nil {
		return nil, err
	}
	with, without := newSwapSide("wse, swapped"), newSwapSide("wse, not swapped")
	for rep := range b.Repetitions {
		if err := s.repetition(ctx, sw, with, without); err != nil {
			return nil, err
		}
		b.logf("swaps %d/%d: %d swaps of %.1f ms; median of the blocks' p99 so far: %s %.2f ms, %s %.2f ms", rep+1, b.Repetitions, s.swapped.Load()-swapWarmUp,
			figure.Median().Of(s.took), with.p99.Name, figure.Median().Of(with.p99), without.p99.Name, figure.Median().Of(without.p99))
	}
	after, err := held(ctx, server)
	if err != nil {
		return nil, err
	}
	b.logf("swaps: before: %s", before)
	b.logf("swaps: after:  %s", after)
	return s.figures(with, without, before, after), intact(sw)
}

// repetition runs blocks with and without swaps in turn.
func (s *swapping) repetition(ctx context.Context, sw *swarm.Swarm, with, without *swapSide) error {
	blocks := s.b.Repetitions * swapBlocks
	count := (swapsTotal + blocks - 1) / blocks
	for range swapBlocks {
		took, err := s.side(ctx, sw, with, count, 0)
		if err != nil {
			return err
		}
		if _, err := s.side(ctx, sw, without, 0, took); err != nil {
			return err
		}
	}
	return nil
}

// swapSide is what was measured with, or without, swaps.
type swapSide struct{ p99, p50, faults, rate figure.Series }

func newSwapSide(name string) *swapSide {
	one := func() figure.Series { return figure.Series{Name: name} }
	return &swapSide{one(), one(), one(), one()}
}

// side runs a block and adds it to a side. It returns how long events came.
func (s *swapping) side(ctx context.Context, sw *swarm.Swarm, side *swapSide, count int, length time.Duration) (time.Duration, error) {
	faults, received := s.faults.Load(), s.received.Load()
	took, err := s.block(ctx, sw, count, length)
	if err != nil {
		return 0, err
	}
	all := figure.Series{Values: s.latency}
	side.p99.Values = append(side.p99.Values, figure.Quantile("p99", 0.99).Of(all))
	side.p50.Values = append(side.p50.Values, figure.Median().Of(all))
	side.faults.Values = append(side.faults.Values, float64(s.faults.Load()-faults))
	side.rate.Values = append(side.rate.Values, float64(s.received.Load()-received)/took.Seconds())
	return took, nil
}

// block has events come until count swaps are done and length is over, and waits until all have arrived.
func (s *swapping) block(ctx context.Context, sw *swarm.Swarm, count int, length time.Duration) (time.Duration, error) {
	sw.Do(func() { s.latency = s.latency[:0] })
	served := [2]int64{s.by[0].Load(), s.by[1].Load()}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var publishers sync.WaitGroup
	stop, begun := make(chan struct{}), time.Now()
	for p := range swapPublishers {
		publishers.Go(func() {
			if err := s.publish(ctx, p, begun, stop); err != nil {
				cancel(err)
			}
		})
	}
	err := s.swap(ctx, count, begun.Add(length))
	close(stop)
	publishers.Wait()
	took := time.Since(begun)
	if cause := context.Cause(ctx); cause != nil {
		return 0, cause
	}
	if err == nil {
		err = s.drain(ctx, sw)
	}
	if err == nil && count > 1 && (s.by[0].Load() == served[0] || s.by[1].Load() == served[1]) {
		err = errors.New("only one of the two mappings made publications: nothing was swapped")
	}
	return took, err
}

// publish hands in one event for each of a publisher's topics every beat, until it is told to stop. What is late is timed
// from when it should have left.
func (s *swapping) publish(ctx context.Context, publisher int, begun time.Time, stop <-chan struct{}) error {
	const own = swapTopics / swapPublishers
	next := begun.Add(swapBeat * time.Duration(publisher) / swapPublishers)
	var body []byte
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := sleep(ctx, time.Until(next)); err != nil {
			return err
		}
		body = append(body[:0], '[')
		for topic := publisher * own; topic < (publisher+1)*own; topic++ {
			body = fmt.Appendf(body, swapEvent+",", topic, s.sent[topic], next.UnixNano())
			s.sent[topic]++
		}
		body[len(body)-1] = ']'
		answer, err := s.server.Post(ctx, "/api/v1/events", "application/json", body)
		if err != nil {
			return err
		}
		if n := bytes.Count(answer, []byte(`"seq":`)); n != own {
			return fmt.Errorf("wse took %d of %d events: %.300s", n, own, answer)
		}
		next = next.Add(swapBeat)
	}
}

// swap swaps the mapping that often, back and forth, and returns when that is done and until has passed.
func (s *swapping) swap(ctx context.Context, count int, until time.Time) error {
	next := time.Now()
	for range count {
		if err := sleep(ctx, time.Until(next)); err != nil {
			return err
		}
		next = next.Add(swapsEvery)
		dropped := [2]string{`"right"]}]}`, `"left"]}]}`}[s.swapped.Load()%2]
		begun := time.Now()
		answer, err := s.server.Post(ctx, "/api/v1/plugins/mapping/swap", "application/json", []byte(swapMapping+dropped))
		if err != nil {
			return err
		}
		s.took.Values = append(s.took.Values, float64(time.Since(begun))/1e6)
		if s.swapped.Add(1); !bytes.Contains(answer, []byte(`"to":`)) {
			return fmt.Errorf("the swap had no effect: %.300s", answer)
		}
	}
	return sleep(ctx, time.Until(until))
}

// drain waits until every event has arrived, or something that should not have.
func (s *swapping) drain(ctx context.Context, sw *swarm.Swarm) error {
	var sent uint64
	for _, n := range s.sent {
		sent += n
	}
	for end := time.Now().Add(drainWait); s.received.Load() < int64(sent); {
		if err := intact(sw); err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w: %d of %d events arrived within %s of the last", ErrDelivery, s.received.Load(), sent, drainWait)
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// message is a swarm's Message function; Last is the number expected next.
func (s *swapping) message(c *swarm.Client, body []byte, now int64) {
	n, rest, ok := cutNumber(body, mapped)
	if !ok {
		return // nothing that was published
	}
	at, rest, ok := cutNumber(rest, `,"at":`)
	if !ok || n != c.Last {
		s.faults.Add(1)
	}
	c.Last = n + 1
	if bytes.HasPrefix(rest, []byte(`,"left"`)) {
		s.by[0].Add(1)
	} else {
		s.by[1].Add(1)
	}
	s.latency = append(s.latency, float64(now-int64(at))/1e6)
	s.received.Add(1)
}

// cutNumber takes prefix and the number behind it off body.
func cutNumber(body []byte, prefix string) (n uint64, rest []byte, ok bool) {
	rest, ok = bytes.CutPrefix(body, []byte(prefix))
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(string(rest[:end]), 10, 64)
	return n, rest[end:], ok && err == nil
}

func (s *swapping) figures(with, without *swapSide, before, after holdings) []figure.Figure {
	const name = "1,000 swaps under 20,000 events/s"
	note := fmt.Sprintf("median of %d blocks each way, in turn", len(with.p99.Values))
	flat := func(what, unit string, now, then, ratioMax float64) figure.Figure {
		return figure.Figure{Name: name + ": " + what + " at the end", Unit: unit, Ours: figure.Series{Name: "wse", Values: []float64{now}},
			Peer: figure.Series{Name: "before them", Values: []float64{then}}, Statistic: figure.Median(), RatioMax: ratioMax}
	}
	return []figure.Figure{
		{Name: name + ": event handed in → delivered, p99", Unit: "ms", Ours: with.p99, Peer: without.p99, Statistic: figure.Median(), RatioMax: 1.5, Note: note},
		{Name: name + ": event handed in → delivered, p50", Unit: "ms", Ours: with.p50, Peer: without.p50, Statistic: figure.Median(), Note: note},
		{Name: name + ": events lost, doubled or out of order", Unit: "events", Ours: with.faults, Peer: without.faults,
			Statistic: figure.Quantile("max", 1), ZeroMax: true},
		{Name: name + ": delivered", Unit: "events/s", Ours: with.rate, Peer: without.rate, Statistic: figure.Median()},
		flat("heap", "MiB", float64(after.heap)/(1<<20), float64(before.heap)/(1<<20), 1.25),
		flat("resident memory", "MiB", float64(after.rss)/(1<<20), float64(before.rss)/(1<<20), 1.25),
		flat("descriptors", "", float64(after.descriptors), float64(before.descriptors), 1),
	}
}
