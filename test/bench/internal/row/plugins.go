package row

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/goccy/go-yaml"
	"golang.org/x/sys/unix"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/plugins"
	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/native"
)

// The plugin rows: calls through the engine's host, metered, with the answer read and checked as the engine does.
const (
	callWindows  = 15 // of each kind per repetition: many and short, so that one of them meets a quiet machine
	callWindow   = 20 * time.Millisecond
	callsBetween = 500 // calls between two looks at the clock
	eventName    = "BrokerAccountLinked"
	event300     = `{"type":"BrokerAccountLinked","payload":{"broker_account_id":"acc_1234567","broker_id":"alpaca",` +
		`"account_number":"PA1234567","status":"linked","currency":"USD","buying_power":50000.00,"cash":25000.00` +
		`},"user_id":"u1","id":"evt_acc_001","ts":"2025-11-25T10:00:00.000Z","cid":"req-77","event_version":2}`
	marketTopic = "stream:market_data:BTC_USDT"
	ownTopic    = "user:u1:order_events"
	claims      = `{"sub":"u1","iss":"https://id.example.com","exp":1764064800}`
)

// pluginRow runs the stock plugins and the same work in Go.
func pluginRow(ctx context.Context, b *Bench) ([]figure.Figure, error) {
	host, err := plugin.New(plugin.Configs{
		{Name: "mapping", Path: "stock:mapping", ConfigFile: filepath.Join(b.Configs, "mappings.yaml")},
		{Name: "topicauth", Path: "stock:topicauth"},
	}, plugin.Deps{ConfigDir: b.Dir, DataDir: b.Dir, Stock: plugins.Stock, DecodeYAML: yaml.YAMLToJSON})
	if err != nil {
		return nil, err
	}
	defer func() { _ = host.Close() }()
	calls, err := pluginCalls(ctx, host, b.Configs)
	if err != nil {
		return nil, err
	}
	for rep := range b.Repetitions {
		for i := range callWindows * len(calls) {
			c := calls[i%len(calls)]
			if err := c.measure(ctx); err != nil {
				return nil, fmt.Errorf("%s: %w", c.us.Name, err)
			}
		}
		b.logf("plugins %d/%d so far: transform %.2f µs, with its answer read %.2f, authorize %.2f and %.2f", rep+1, b.Repetitions,
			calls[copied].least(), calls[read].least(), calls[authorizing].least(), calls[authorizing+2].least())
	}
	const transform = "transform of a 300-byte event through the stock mapping, metered"
	native := calls[nativeTransform]
	figures := []figure.Figure{
		{Name: transform, Unit: "µs", Ours: calls[copied].us, Peer: native.us, Statistic: figure.Minimum(), ValueMax: 1.5},
		{Name: transform + ": allocations of the host", Unit: "allocs", Ours: calls[read].allocs, Peer: native.allocs,
			Statistic: figure.Quantile("max", 1), ZeroMax: true},
		{Name: "the same, and its answer read into envelopes", Unit: "µs", Ours: calls[read].us, Peer: native.us, Statistic: figure.Minimum()},
	}
	for i, name := range []string{"authorize, an own topic", "authorize, by a permission"} {
		ours, floor := calls[authorizing+2*i], calls[authorizing+2*i+1]
		figures = append(figures, figure.Figure{Name: name, Unit: "µs", Ours: ours.us, Peer: floor.us, Statistic: figure.Minimum(), ValueMax: 1})
	}
	return figures, nil
}

// The places of the calls in the list of pluginCalls. From authorizing on come pairs: the plugin, and the floor.
const (
	copied = iota // a transform whose answer is copied out, and nothing else
	read          // one whose answer is read into envelopes, as the engine does
	nativeTransform
	authorizing
)

// call is one thing that is timed.
type call struct {
	f      func() error
	us     figure.Series // µs a call
	allocs figure.Series // a call
}

func (c *call) least() float64 { return figure.Minimum().Of(c.us) }

// measure times calls for a window and counts what they allocate. The time is the thread's own CPU time, so that what
// else runs on the machine is not in it. A count below a hundredth of an allocation a call is the runtime's own: it is
// what an empty loop shows too.
func (c *call) measure(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, begun, cpu := 0, time.Now(), threadCPU()
	for time.Since(begun) < callWindow {
		for range callsBetween {
			if err := c.f(); err != nil {
				return err
			}
		}
		n += callsBetween
	}
	took := threadCPU() - cpu
	runtime.ReadMemStats(&after)
	allocs := float64(after.Mallocs-before.Mallocs) / float64(n)
	if allocs < 0.01 {
		allocs = 0
	}
	c.us.Values = append(c.us.Values, float64(took.Nanoseconds())/float64(n)/1000)
	c.allocs.Values = append(c.allocs.Values, allocs)
	return ctx.Err()
}

// threadCPU returns the CPU time that this thread has used.
func threadCPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err) // the clock is always there
	}
	return time.Duration(ts.Nano())
}

// text is a plugin's answer as it is.
type text []byte

var _ plugin.Answer = (*text)(nil)

// Read implements [plugin.Answer].
func (t *text) Read(doc []byte) error {
	*t = append((*t)[:0], doc...)
	return nil
}

var errAnswer = errors.New("not the expected answer")

// pluginCalls lists each plugin's call and, behind it, the floor. It fails where the two do not answer alike.
func pluginCalls(ctx context.Context, host *plugin.Host, configs string) ([]*call, error) {
	rules, err := nativeMapping(filepath.Join(configs, "mappings.yaml"))
	if err != nil {
		return nil, err
	}
	doc, floor := []byte(event300), make([]byte, 0, 1024)
	said, answer := text{}, ingest.NewAnswer(ingest.DefaultConfig())
	calls := []*call{
		copied: transformCall(ctx, host, doc, &said),
		read:   transformCall(ctx, host, doc, answer),
		nativeTransform: newCall("native Go scanner", func() error {
			var err error
			floor, err = rules.Append(floor[:0], doc)
			return err
		}),
	}
	for _, c := range calls {
		if err := c.f(); err != nil {
			return nil, fmt.Errorf("%s: %w", c.us.Name, err)
		}
	}
	if !bytes.Equal(said, floor) {
		return nil, fmt.Errorf("%w: the plugin says %s, native code %s", errAnswer, said, floor)
	}
	for _, topic := range []string{ownTopic, marketTopic} {
		calls = append(calls, authorizeCall(ctx, host, topic), nativeAuthorize(topic))
	}
	return calls, nil
}

func newCall(name string, f func() error) *call {
	return &call{f: f, us: figure.Series{Name: name}, allocs: figure.Series{Name: name}}
}

func transformCall(ctx context.Context, host *plugin.Host, doc []byte, answer plugin.Answer) *call {
	return newCall("stock mapping", func() error {
		decision, err := host.Transform(ctx, eventName, doc, answer)
		if err == nil && decision.Fate != plugin.Answered {
			err = errAnswer
		}
		return err
	})
}

func authorizeCall(ctx context.Context, host *plugin.Host, topic string) *call {
	ask := plugin.AuthorizeRequest{
		Action: "subscribe", Topic: topic,
		Identity:   plugin.Identity{UserID: "u1", Permissions: []string{"read_market_data", "trader"}, Claims: []byte(claims)},
		Connection: plugin.Connection{ID: "c-0001", Dialect: "wse", RemoteIP: "192.0.2.7"},
	}
	return newCall("stock topicauth", func() error {
		v, err := host.Authorize(ctx, ask)
		if err == nil && !v.Allow {
			err = errAnswer
		}
		return err
	})
}

func nativeAuthorize(topic string) *call {
	doc := []byte(`{"action":"subscribe","topic":"` + topic + `","identity":{"user_id":"u1","permissions":["read_market_data",` +
		`"trader"],"claims":` + claims + `},"connection":{"id":"c-0001","dialect":"wse","remote_ip":"192.0.2.7"}}`)
	return newCall("native Go scanner", func() error {
		allow, err := native.Authorize(doc, "read_market_data", "stream:market_data:")
		if err == nil && !allow {
			err = errAnswer
		}
		return err
	})
}

// nativeMapping reads the rows of the shipped table that the floor can do.
func nativeMapping(path string) (native.Mapping, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var table struct {
		Mappings []struct {
			Event, Type, Topic string
			Priority           int
		}
	}
	if err := yaml.Unmarshal(text, &table); err != nil {
		return nil, err
	}
	m := make(native.Mapping)
	for _, row := range table.Mappings {
		if topic, ok := bytes.CutPrefix([]byte(row.Topic), []byte("user:{user_id}:")); ok {
			m[row.Event] = native.Rule{Type: row.Type, TopicType: string(topic), Priority: fmt.Sprint(row.Priority)}
		}
	}
	return m, nil
}
