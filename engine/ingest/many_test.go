package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

// echoing answers each event with an envelope that holds its payload, drops those of type Drop, fails on those of type Fail and
// leaves those of type Else alone. It may be called by many goroutines at a time.
type echoing struct {
	mu    sync.Mutex
	parts []int              // how many questions there were at a time
	hold  func(first string) // called before a part is answered; may be nil
}

var _ Transformer = (*echoing)(nil)

func (e *echoing) Transform(_ context.Context, kind string, doc []byte, answer *Answer) (Decision, error) {
	d := Decision{Plugin: "echo", Version: "abc"}
	switch kind {
	case "Drop":
		d.Verdict = Drop
	case "Fail":
		return d, errors.New("no such luck")
	case "Deny":
		d.OnError = OnErrorDeny
		return d, errors.New("no such luck")
	case "Closed":
		return Decision{}, errors.New("closed")
	case "Else":
	default:
		d.Verdict = Data
		_, rest, _ := bytes.Cut(doc, []byte(`"payload":`))
		payload, _, _ := bytes.Cut(rest, []byte(`,"user_id"`))
		return d, answer.Read(fmt.Appendf(nil, `{"t":"echo","topic":"user:u1:events","p":%s}`, payload))
	}
	return d, nil
}

func (e *echoing) TransformAll(ctx context.Context, questions []Question) {
	e.mu.Lock()
	e.parts = append(e.parts, len(questions))
	e.mu.Unlock()
	if e.hold != nil {
		e.hold(string(questions[0].Doc))
	}
	oneByOne(ctx, e, questions)
}

func raw(kind string, n int) []byte {
	return fmt.Appendf(nil, `{"type":%q,"user_id":"u1","id":"e%d","payload":{"n":%d}}`, kind, n, n)
}

func TestManyEventsBecomeWhatEachBecomesAlone(t *testing.T) {
	kinds := []string{"Echo", "Drop", "Else", "Echo", "Fail", "Deny", "Closed", "...", strings.Repeat("x", 200), "Echo"}
	for _, n := range []int{0, 1, 15, 16, 17, 300, 1000} {
		single, lone := open(t, new(echoing))
		many, together := open(t, new(echoing))
		var raws [][]byte
		for i := range n {
			raws = append(raws, raw(kinds[i%len(kinds)], i-i%7/6)) // some ids come twice
		}
		if n > 3 {
			raws[3] = []byte(`{"type":`)
		}
		outcomes := many.PublishEventsJSON(t.Context(), raws)
		require.Len(t, outcomes, n)
		for i, o := range outcomes {
			results, err := single.PublishEventJSON(t.Context(), raws[i])
			require.Equal(t, err == nil, o.Err == nil, "event %d", i)
			if err != nil {
				require.Equal(t, err.Error(), o.Err.Error())
			}
			require.Len(t, o.Results, len(results))
			for k := range results {
				o.Results[k].Epoch, o.Results[k].Letter = results[k].Epoch, results[k].Letter
			}
			require.Equal(t, results, o.Results, "event %d", i)
		}
		require.Equal(t, single.Stats(), many.Stats())
		require.Equal(t, bodies(lone), bodies(together))
	}
}

func bodies(c *collector) (out []string) {
	for _, env := range c.got {
		out = append(out, env.Type+string(env.Payload))
	}
	return out
}

func TestManyEventsArePublishedInTheirOrderThoughTransformedSideBySide(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	const n = 1000
	second := make(chan struct{})
	var once sync.Once
	transformer := new(echoing)
	transformer.hold = func(first string) {
		if strings.Contains(first, `{"n":0}`) {
			<-second // the first part is not done before a later one
		} else {
			once.Do(func() { close(second) })
		}
	}
	in, sink := open(t, transformer)
	var events []*message.Event
	for i := range n {
		events = append(events, &message.Event{Type: "Echo", UserID: "u1", Payload: fmt.Appendf(nil, `{"n":%d}`, i)})
	}
	for i, o := range in.PublishEvents(t.Context(), events) {
		require.NoError(t, o.Err)
		require.EqualValues(t, i+1, o.Results[0].Seq)
	}
	for i, env := range sink.got {
		require.Equal(t, fmt.Sprintf(`{"n":%d}`, i), string(env.Payload))
	}
	require.Equal(t, n, len(sink.got))
	require.LessOrEqual(t, slices.Max(transformer.parts), partEventsMax)
}

func TestWhatIsTransformedAndNotPublishedIsBounded(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	begun := make(chan struct{}, 100)
	proceed := make(chan struct{})
	transformer := &echoing{hold: func(first string) {
		begun <- struct{}{}
		if strings.Contains(first, `{"n":0}`) {
			<-proceed
		}
	}}
	in, _ := open(t, transformer)
	var raws [][]byte
	for i := range 20 * partEventsMax {
		raws = append(raws, raw("Echo", i))
	}
	done := make(chan []Outcome)
	go func() { done <- in.PublishEventsJSON(t.Context(), raws) }()
	for range 3 {
		<-begun
	}
	runtime.Gosched()
	require.Empty(t, begun, "a fourth part would have to wait for the first to be published")
	close(proceed)
	require.Len(t, <-done, len(raws))
	require.Len(t, begun, 17)
}

// BenchmarkPublishMany is one event of an array of 1,000, plugin and broker included but without the plugin's work.
func BenchmarkPublishMany(b *testing.B) {
	in, sink := open(b, new(echoing))
	var raws [][]byte
	for i := range 1000 {
		raws = append(raws, fmt.Appendf(nil, `{"type":"Echo","user_id":"u1","payload":{"n":%d}}`, i))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(raws) == 0 {
			in.PublishEventsJSON(b.Context(), raws)
			sink.got = sink.got[:0]
		}
	}
}
