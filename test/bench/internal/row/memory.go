package row

import (
	"context"
	"fmt"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// The memory rows. The first connections pay for what a server makes once, so they do not count.
const (
	idleConnections = 10_000
	idleWarm        = 500
	idleSettle      = 1500 * time.Millisecond
)

// idle is one server and topic choice of the memory row.
type idle struct {
	name   string
	start  func() (*target.Server, error)
	topics func(i int) string
	rss    figure.Series // bytes per connection, settled, after a garbage collection
	heap   figure.Series // of them on the Go heap
}

// idleMemory measures the resident memory of 10,000 idle connections, each authenticated and with one topic.
func idleMemory(ctx context.Context, b *Bench) ([]figure.Figure, error) {
	wse := func() (*target.Server, error) { return b.wse() }
	peer := func(kind string) func() (*target.Server, error) {
		return func() (*target.Server, error) { return target.StartPeer(kind, 0) }
	}
	shared := fixed(fanOutTopic)
	own := func(i int) string { return "user:" + userName(i) + ":order_events" }
	variants := []*idle{
		{name: "wse, shared topic", start: wse, topics: shared},
		{name: "wse, a topic of its own", start: wse, topics: own},
		{name: "bare loop", start: peer("bare"), topics: shared},
		{name: "gorilla/websocket", start: peer("gorilla"), topics: shared},
	}
	for rep := range b.Repetitions {
		for _, v := range variants {
			if err := v.measure(ctx); err != nil {
				return nil, err
			}
			b.logf("idle memory %d/%d %-24s %.0f B a connection, %.0f of them on the heap", rep+1, b.Repetitions, v.name,
				v.rss.Values[rep], v.heap.Values[rep])
		}
	}
	sharedTopic, ownTopic, bare, gorilla := variants[0], variants[1], variants[2], variants[3]
	const name, limit = "resident memory per idle connection at 10,000", 1.5
	return []figure.Figure{
		{Name: name + ", one shared topic", Unit: "KiB", Ours: sharedTopic.kib(), Peer: bare.kib(), Statistic: figure.Median(), ValueMax: limit, Note: sharedTopic.note()},
		{Name: name + ", each a topic of its own", Unit: "KiB", Ours: ownTopic.kib(), Peer: gorilla.kib(), Statistic: figure.Median(), ValueMax: limit, Note: ownTopic.note()},
	}, nil
}

// measure runs one server once.
func (v *idle) measure(ctx context.Context) (err error) {
	s, err := v.start()
	if err != nil {
		return err
	}
	defer stopAll([]*target.Server{s}, &err)
	sw, err := swarm.New()
	if err != nil {
		return err
	}
	defer sw.Close()
	a := audience{topics: func(i int) string { return v.topics(i + 1_000_000) }, message: func(*swarm.Client, []byte, int64) {}}
	a.user = func(i int) string { return userName(i + 1_000_000) }
	if _, err := a.join(ctx, sw, s, idleWarm); err != nil {
		return err
	}
	rss0, heap0, err := settled(ctx, s)
	if err != nil {
		return err
	}
	a.user, a.topics = userName, v.topics
	if _, err := a.join(ctx, sw, s, idleConnections); err != nil {
		return err
	}
	rss1, heap1, err := settled(ctx, s)
	if err != nil {
		return err
	}
	v.rss.Values = append(v.rss.Values, float64(rss1-rss0)/idleConnections)
	v.heap.Values = append(v.heap.Values, float64(heap1-heap0)/idleConnections)
	return intact(sw)
}

// settled returns a server's resident memory and live heap after a garbage collection and a while for the runtime to
// give back what that freed.
func settled(ctx context.Context, s *target.Server) (rss, heap int64, err error) {
	if err := sleep(ctx, settle); err != nil {
		return 0, 0, err
	}
	if heap, err = s.Collect(ctx); err != nil {
		return 0, 0, err
	}
	if err := sleep(ctx, idleSettle); err != nil {
		return 0, 0, err
	}
	rss, err = s.Memory()
	return rss, heap, err
}

func (v *idle) kib() figure.Series {
	out := figure.Series{Name: v.name}
	for _, bytes := range v.rss.Values {
		out.Values = append(out.Values, bytes/1024)
	}
	return out
}

func (v *idle) note() string {
	return fmt.Sprintf("%.2f KiB of it live Go heap", figure.Median().Of(v.heap)/1024)
}
