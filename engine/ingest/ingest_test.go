package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/broker/memory"
	"github.com/wse-engine/wse/engine/message"
)

// collector is a Sink that keeps what it is given.
type collector struct{ got []*message.Envelope }

func (c *collector) Deliver(env *message.Envelope) { c.got = append(c.got, env) }

// fake answers what a test tells it to. As a host does, it fails where its answer is refused.
type fake struct {
	out      string
	decision Decision
	err      error
	asked    []string // documents
}

var _ Transformer = (*fake)(nil)

func (f *fake) Transform(_ context.Context, _ string, doc []byte, answer *Answer) (Decision, error) {
	f.asked = append(f.asked, string(doc))
	if f.decision.Verdict == Data {
		said := []byte(f.out)
		if err := answer.Read(said); err != nil {
			return f.decision, fmt.Errorf("%s: invalid answer: %w", f.decision.name(), err)
		}
		clear(said) // the guest's memory is the guest's again
	}
	return f.decision, f.err
}

func (f *fake) TransformAll(ctx context.Context, questions []Question) { oneByOne(ctx, f, questions) }

// oneByOne answers questions as t.Transform does.
func oneByOne(ctx context.Context, t Transformer, questions []Question) {
	for i := range questions {
		q := &questions[i]
		q.Decision, q.Err = t.Transform(ctx, q.Type, q.Doc, q.Answer)
	}
}

func answering(out string) *fake {
	return &fake{out: out, decision: Decision{Verdict: Data, Plugin: "mapping", Version: "abc"}}
}

func open(t testing.TB, transformer Transformer) (*Ingest, *collector) {
	classes, err := broker.CompileClasses(broker.DefaultClasses())
	require.NoError(t, err)
	sink := new(collector)
	b, err := memory.New(memory.DefaultConfig(), classes, sink)
	require.NoError(t, err)
	in, err := New(DefaultConfig(), transformer, b)
	require.NoError(t, err)
	return in, sink
}

// refused requires that err is a refusal with code whose message holds want.
func refused(t testing.TB, err error, code message.Code, want string) {
	t.Helper()
	var e *message.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, "%v", err)
	require.Contains(t, e.Message, want)
}

func TestAnEventBecomesWhatThePluginAnswers(t *testing.T) {
	plugin := answering(`{"t":"broker_account_update","topic":"user:u1:broker_account_events","p":{"original_event_type":"BrokerAccountLinked","n":1}}`)
	in, sink := open(t, plugin)
	results, err := in.PublishEventJSON(t.Context(), []byte(`{"type":"BrokerAccountLinked","user_id":"u1","payload":{"n":1}}`))
	require.NoError(t, err)
	require.Len(t, results, 1)
	got := sink.got[0]
	require.Equal(t, Result{Topic: "user:u1:broker_account_events", ID: got.ID, Seq: 1, Epoch: got.Epoch}, results[0])
	require.Equal(t, "broker_account_update", got.Type)
	require.JSONEq(t, `{"original_event_type":"BrokerAccountLinked","n":1}`, string(got.Payload))
	require.Equal(t, message.Priority(5), got.Priority)
	require.NotEmpty(t, got.ID)
	require.Negative(t, got.LatencyMS)
	require.InDelta(t, time.Now().UnixMilli(), got.TimeMS, 10_000)
	require.Equal(t, []string{`{"type":"BrokerAccountLinked","payload":{"n":1},"user_id":"u1"}`}, plugin.asked)
}

func TestThePluginReadsTheWholeEvent(t *testing.T) {
	plugin := answering(`{"t":"x","topic":"user:u1:events","p":{}}`)
	in, _ := open(t, plugin)
	raw := `{"type":"A\"B","payload":{"k":[1,{"a":null}]},"user_id":"u1","topic":"user:u1:events","id":"e1",` +
		`"ts":"2025-01-13T10:30:00.250Z","pri":8,"cid":"c1","trace_id":"t1","event_version":3}`
	_, err := in.PublishEventJSON(t.Context(), []byte(raw))
	require.NoError(t, err)
	require.Equal(t, []string{raw}, plugin.asked)
}

func TestWhatThePluginLeavesOutComesFromTheEvent(t *testing.T) {
	ev := &message.Event{
		Type: "A", Payload: []byte(`{}`), ID: "e1", TimeMS: time.Now().UnixMilli() - 1500, Priority: 8, CID: "c1", TraceID: "t1",
		EventVersion: 3,
	}
	for _, c := range []struct {
		name, extra, id, cid string
		pri                  message.Priority
		version              int
	}{
		{"nothing is given", ``, "e1", "c1", 8, 3},
		{"everything is given", `,"id":"own","cid":"c2","pri":3,"event_version":4`, "own", "c2", 3, 4},
		{"null is nothing", `,"id":null,"cid":null,"pri":null,"event_version":null`, "e1", "c1", 8, 3},
		{"escapes are read", `,"id":"\u0041\/","cid":"\"q\""`, "A/", `"q"`, 8, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, sink := open(t, answering(`{"t":"x","topic":"user:u1:events","p":{}`+c.extra+`}`))
			_, err := in.PublishEvent(t.Context(), ev)
			require.NoError(t, err)
			got := sink.got[0]
			require.Equal(t, []any{c.id, c.cid, c.pri, c.version}, []any{got.ID, got.CID, got.Priority, got.EventVersion})
			require.Equal(t, "t1", got.TraceID)
			require.Equal(t, ev.TimeMS, got.TimeMS)
			require.InDelta(t, 1500, got.LatencyMS, 1000)
		})
	}
}

func TestALatencyIsNeverNegativeBecauseOfAClockAhead(t *testing.T) {
	in, sink := open(t, nil)
	ev := &message.Event{Type: "A", UserID: "u1", Payload: []byte(`{}`), TimeMS: time.Now().UnixMilli() + 60_000}
	_, err := in.PublishEvent(t.Context(), ev)
	require.NoError(t, err)
	require.Zero(t, sink.got[0].LatencyMS)
}

func TestSeveralEnvelopesOfOneEventHaveIdsOfTheirOwn(t *testing.T) {
	one := func(extra string) string { return `{"t":"x","topic":"user:u1:events","p":{}` + extra + `}` }
	for _, c := range []struct {
		name, event string
		answers     []string
		want        []string
	}{
		{"the event's id", "e1", []string{one(""), one(""), one("")}, []string{"e1", "e1.1", "e1.2"}},
		{"the plugin repeats the event's id", "e1", []string{one(`,"id":"e1"`), one(`,"id":"e1"`)}, []string{"e1", "e1.1"}},
		{"the plugin gives one of two", "e1", []string{one(""), one(`,"id":"own"`), one("")}, []string{"e1", "own", "e1.2"}},
		{"the second is the event's", "e1", []string{one(""), one(`,"id":"e1"`)}, []string{"e1", "e1.1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, _ := open(t, answering("["+strings.Join(c.answers, ",")+"]"))
			results, err := in.PublishEvent(t.Context(), &message.Event{Type: "A", Payload: []byte(`{}`), ID: c.event})
			require.NoError(t, err)
			var ids []string
			for i, r := range results {
				require.Equal(t, Published, r.Status)
				require.EqualValues(t, i+1, r.Seq)
				ids = append(ids, r.ID)
			}
			require.Equal(t, c.want, ids)
		})
	}
}

func TestAnEventWithoutAnIdGetsOneForAllItsEnvelopes(t *testing.T) {
	in, _ := open(t, answering(`[{"t":"x","topic":"user:u1:events","p":{}},{"t":"y","topic":"user:u2:events","p":{}}]`))
	results, err := in.PublishEvent(t.Context(), &message.Event{Type: "A", Payload: []byte(`{}`)})
	require.NoError(t, err)
	require.Regexp(t, "^evt_", results[0].ID)
	require.Equal(t, results[0].ID+".1", results[1].ID)
}

func TestAnEventHandedInAgainIsADuplicate(t *testing.T) {
	in, sink := open(t, answering(`[{"t":"x","topic":"user:u1:events","p":{}},{"t":"y","topic":"user:u1:events","p":{}}]`))
	ev := &message.Event{Type: "A", Payload: []byte(`{}`), ID: "e1"}
	first, err := in.PublishEvent(t.Context(), ev)
	require.NoError(t, err)
	again, err := in.PublishEvent(t.Context(), ev)
	require.NoError(t, err)
	for i := range again {
		require.Equal(t, Duplicate, again[i].Status)
		require.Equal(t, first[i].Seq, again[i].Seq)
	}
	require.Len(t, sink.got, 2)
	require.Equal(t, Stats{Published: 2, Duplicates: 2}, in.Stats())
}

func TestAnEnvelopeSharesNothingWithThePluginsBuffer(t *testing.T) {
	plugin := answering(`{"t":"first","topic":"user:u1:events","p":{"a":"first"},"id":"first"}`)
	in, sink := open(t, plugin)
	for _, word := range []string{"first", "other"} {
		plugin.out = strings.ReplaceAll(plugin.out, "first", word)
		_, err := in.PublishEvent(t.Context(), &message.Event{Type: "A", Payload: []byte(`{}`)})
		require.NoError(t, err)
	}
	require.Equal(t, "first", sink.got[0].Type)
	require.Equal(t, `{"a":"first"}`, string(sink.got[0].Payload))
	require.Equal(t, "first", sink.got[0].ID)
}

func TestAnEventThatAPluginDropsIsReportedAsDropped(t *testing.T) {
	in, sink := open(t, &fake{decision: Decision{Verdict: Drop, Plugin: "filter", Version: "abc"}})
	results, err := in.PublishEvent(t.Context(), &message.Event{Type: "A", Payload: []byte(`{}`), ID: "e1"})
	require.NoError(t, err)
	require.Equal(t, []Result{{Status: Dropped, ID: "e1", Reason: "plugin/filter@abc dropped it"}}, results)
	require.Empty(t, sink.got)
	require.Equal(t, Stats{Dropped: 1}, in.Stats())
}

func TestAnEventThatNoPluginTakesGoesOutInSnakeCase(t *testing.T) {
	for _, c := range []struct {
		name  string
		event string
		topic message.Topic
		kind  string
		p     string
	}{
		{"to the user's events", `{"type":"AccountClosed","user_id":"u1","payload":{"a":1}}`, "user:u1:events", "account_closed",
			`{"original_event_type":"AccountClosed","a":1}`},
		{"to its own topic", `{"type":"X","user_id":"u1","topic":"public:news","payload":{}}`, "public:news", "x",
			`{"original_event_type":"X"}`},
		{"its own name wins over the payload's", `{"type":"X","user_id":"u1","payload":{"a":1,"original_event_type":"lie","b":"\u00e9"}}`,
			"user:u1:events", "x", `{"original_event_type":"X","a":1,"b":"é"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, transformer := range []Transformer{nil, &fake{}} {
				in, sink := open(t, transformer)
				_, err := in.PublishEventJSON(t.Context(), []byte(c.event))
				require.NoError(t, err)
				got := sink.got[0]
				require.Equal(t, c.topic, got.Topic)
				require.Equal(t, c.kind, got.Type)
				require.JSONEq(t, c.p, string(got.Payload))
				require.Equal(t, 1, strings.Count(string(got.Payload), originalType))
				require.Equal(t, Stats{Published: 1, Defaulted: 1}, in.Stats())
			}
		})
	}
}

func TestSnakeCase(t *testing.T) {
	for name, want := range map[string]string{
		"BrokerAccountLinked": "broker_account_linked", "OrderFilledEvent": "order_filled_event", "HTTPServerDown": "http_server_down",
		"order.filled": "order_filled", "order_update": "order_update", "A": "a", "ABC": "abc", "a1B2c": "a1_b2c", "X--y": "x_y",
		"__x__": "x", "...": "", "V2API": "v2_api",
	} {
		require.Equal(t, want, snakeCase(name), name)
	}
}

func TestAnEventThatCannotGoAnywhereIsRefused(t *testing.T) {
	in, _ := open(t, nil)
	_, err := in.PublishEvent(t.Context(), &message.Event{Type: "A", Payload: []byte(`{}`)})
	refused(t, err, message.CodeInvalidArgument, "user_id: is missing")
	_, err = in.PublishEvent(t.Context(), &message.Event{Type: "...", UserID: "u", Payload: []byte(`{}`)})
	refused(t, err, message.CodeInvalidArgument, "type: ")
	_, err = in.PublishEvent(t.Context(), &message.Event{Type: "A", UserID: "u", Payload: []byte(`{"a":`)})
	refused(t, err, message.CodeInvalidArgument, "payload: ")
	_, err = in.PublishEvent(t.Context(), &message.Event{Type: "A", UserID: "a b", Payload: []byte(`{}`)})
	refused(t, err, message.CodeInvalidArgument, "user_id: ")
	require.Equal(t, Stats{Refused: 4}, in.Stats())
}

func TestAnAnswerThatIsNoneIsThePluginsFaultAndNamesWhy(t *testing.T) {
	valid := `{"t":"x","topic":"user:u1:events","p":{}}`
	for _, c := range []struct{ out, want string }{
		{``, "neither an object nor an array"},
		{`"x"`, "neither an object nor an array"},
		{`1`, "neither an object nor an array"},
		{`hello`, "neither an object nor an array"},
		{`[]`, "an array without an envelope"},
		{`{`, "jsonscan: "},
		{valid[:len(valid)-1], "jsonscan: "},
		{valid + `x`, "jsonscan: "},
		{valid + valid, "jsonscan: "},
		{`[` + valid + `,]`, "jsonscan: "},
		{"{\"t\":\"x\",\"topic\":\"user:u1:events\",\"p\":{\"x\":\"\xff\"}}", "invalid UTF-8"},
		{`{"t":"x","topic":"user:u1:events","p":` + strings.Repeat(`{"a":`, 70) + `1` + strings.Repeat(`}`, 70) + `}`, "nested too deep"},
		{`[` + valid, "jsonscan: "},
		{`[` + valid + `,3]`, "[1]: jsonscan: an object is missing"},
		{`{"topic":"user:u1:events","p":{}}`, "t: is missing"},
		{`{"t":"x","p":{}}`, "topic: is missing"},
		{`{"t":"x","topic":"user:u1:events"}`, "p: is missing"},
		{`{"t":"","topic":"user:u1:events","p":{}}`, "t: must be a text of 1 to 128 bytes"},
		{`{"t":7,"topic":"user:u1:events","p":{}}`, "t: must be a text"},
		{`{"t":"a\nb","topic":"user:u1:events","p":{}}`, "t: holds a control character"},
		{`{"t":"a\u007fb","topic":"user:u1:events","p":{}}`, "t: holds a control character"},
		{"{\"t\":\"a\x7fb\",\"topic\":\"user:u1:events\",\"p\":{}}", "t: holds a control character"},
		{`{"t":"` + strings.Repeat("x", 129) + `","topic":"user:u1:events","p":{}}`, "t: must be a text of 1 to 128 bytes, has 129"},
		{`{"t":"x","topic":"user:u1:events","p":{},"id":"` + strings.Repeat("x", 129) + `"}`, "id: must be a text of 1 to 128 bytes, has 129"},
		{`{"t":"x","topic":"user:u1","p":{}}`, "topic: invalid topic"},
		{`{"t":"x","topic":"user:u1:*","p":{}}`, "topic: invalid topic"},
		{`{"t":"x","topic":"user:u1:events","p":[]}`, "p: must be a JSON object"},
		{`{"t":"x","topic":"user:u1:events","p":{},"pri":11}`, "pri: must be a whole number from 1 to 10"},
		{`{"t":"x","topic":"user:u1:events","p":{},"pri":0}`, "pri: "},
		{`{"t":"x","topic":"user:u1:events","p":{},"pri":5.5}`, "pri: "},
		{`{"t":"x","topic":"user:u1:events","p":{},"pri":"8"}`, "pri: "},
		{`{"t":"x","topic":"user:u1:events","p":{},"event_version":0}`, "event_version: "},
		{`{"t":"x","topic":"user:u1:events","p":{},"id":5}`, "id: must be a text"},
		{`{"t":"x","topic":"user:u1:events","p":{},"seq":5}`, "seq: is no field here"},
		{`{"t":"x","t":"y","topic":"user:u1:events","p":{}}`, "t: is given twice"},
		{`{"t":"x","topic":"user:u1:events","p":{},"p":{}}`, "p: is given twice"},
		{`[` + valid + `,{"t":"x"}]`, "[1]: topic: is missing"},
		{`[` + strings.Repeat(valid+`,`, 64) + valid + `]`, "more than 64 envelopes"},
	} {
		in, sink := open(t, answering(c.out))
		results, err := in.PublishEvent(t.Context(), &message.Event{Type: "A", UserID: "u1", Payload: []byte(`{}`)})
		require.NoError(t, err, c.out)
		require.Len(t, results, 1)
		require.Equal(t, DeadLettered, results[0].Status)
		require.Contains(t, results[0].Reason, "plugin/mapping@abc: invalid answer: ", c.out)
		require.Contains(t, results[0].Reason, c.want, c.out)
		require.Empty(t, sink.got, "of an answer that is partly invalid nothing is published: %s", c.out)
	}
}

func TestThePolicyOfThePluginSaysWhatBecomesOfAnEventItFailsOn(t *testing.T) {
	trap := errors.New("plugin/mapping@abc: trap: unreachable")
	ev := &message.Event{Type: "A", UserID: "u1", ID: "e1", Payload: []byte(`{"x":"` + strings.Repeat("x", 1000) + `"}`)}
	failing := func(policy Policy) *fake {
		return &fake{decision: Decision{Plugin: "mapping", Version: "abc", OnError: policy}, err: trap}
	}
	t.Run("dead_letter keeps it", func(t *testing.T) {
		in, _ := open(t, failing(OnErrorDeadLetter))
		results, err := in.PublishEvent(t.Context(), ev)
		require.NoError(t, err)
		letters, total, err := in.DeadLetters(t.Context(), LetterQuery{}, 10)
		require.NoError(t, err)
		require.Equal(t, 1, total)
		require.Len(t, letters, 1)
		d := letters[0]
		require.Equal(t, []Result{{Status: DeadLettered, ID: "e1", Reason: trap.Error(), Letter: d.ID}}, results)
		require.Equal(t, []string{"e1", "A", "mapping", "abc", trap.Error()}, []string{d.EventID, d.Event, d.Plugin, d.Version, d.Reason})
		require.Len(t, d.Document, 512)
		require.Contains(t, d.Document, `{"type":"A","payload":{"x":"xxx`)
		require.Greater(t, d.Bytes, 1000)
		require.WithinDuration(t, time.Now(), d.Time, time.Minute)
		require.Equal(t, Stats{DeadLettered: 1}, in.Stats())
	})
	t.Run("drop forgets it", func(t *testing.T) {
		in, _ := open(t, failing(OnErrorDrop))
		results, err := in.PublishEvent(t.Context(), ev)
		require.NoError(t, err)
		require.Equal(t, []Result{{Status: Dropped, ID: "e1", Reason: trap.Error()}}, results)
		require.Zero(t, in.LetterStats().Kept)
	})
	t.Run("deny refuses it", func(t *testing.T) {
		in, _ := open(t, failing(OnErrorDeny))
		results, err := in.PublishEvent(t.Context(), ev)
		refused(t, err, message.CodePluginUnavailable, trap.Error())
		require.Empty(t, results)
		require.Zero(t, in.LetterStats().Kept)
		require.Equal(t, Stats{Refused: 1}, in.Stats())
	})
}

func TestAnEventThatNoPluginCouldBeAskedAboutIsRefused(t *testing.T) {
	closed := errors.New("the host is closed")
	in, _ := open(t, &fake{err: closed})
	results, err := in.PublishEvent(t.Context(), &message.Event{Type: "A", UserID: "u1", Payload: []byte(`{}`)})
	refused(t, err, message.CodePluginUnavailable, "publish it again")
	require.ErrorIs(t, err, closed)
	require.Empty(t, results)
	require.Zero(t, in.LetterStats().Kept)
}

// refusing is a broker that takes nothing after the first few.
type refusing struct {
	after int
	err   error
}

func (r *refusing) Publish(_ context.Context, env *message.Envelope) (broker.Published, error) {
	if r.after--; r.after < 0 {
		return broker.Published{}, r.err
	}
	return broker.Published{ID: env.ID}, nil
}

func TestWhatTheBrokerRefusesIsSaidToThePublisher(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		code message.Code
		want string
	}{
		{"full", fmt.Errorf("x: %w", broker.ErrFull), message.CodeUnavailable, "topics_max"},
		{"out of reach", fmt.Errorf("x: %w", broker.ErrUnavailable), message.CodeUnavailable, "was not accepted"},
		{"out of reach, and what to do", fmt.Errorf("x: %w", broker.ErrUnavailable), message.CodeUnavailable, "publish again with an id that stays the same"},
		{"closed", broker.ErrClosed, message.CodeUnavailable, "shutting down"},
		{"spoilt", fmt.Errorf("%w: delete the key", broker.ErrSpoilt), message.CodeInternal, "delete the key"},
		{"cancelled", context.Canceled, message.CodeUnavailable, "time"},
		{"topic", message.ErrTopic, message.CodeInvalidArgument, "no topic to publish to"},
		{"foreign", errors.New("secret"), message.CodeInternal, "internal error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, err := New(DefaultConfig(), nil, &refusing{err: c.err})
			require.NoError(t, err)
			_, err = in.Publish(t.Context(), &message.Envelope{Type: "x", Topic: "user:u1:events", Payload: []byte(`{}`)})
			refused(t, err, c.code, c.want)
			require.ErrorIs(t, err, c.err)
			require.EqualValues(t, 1, in.Stats().Refused)
		})
	}
	in, err := New(DefaultConfig(), nil, &refusing{err: fmt.Errorf("too few: %w", broker.ErrUnavailable)})
	require.NoError(t, err)
	_, err = in.Publish(t.Context(), &message.Envelope{ID: "e1", Type: "x", Topic: "user:u1:events", Payload: []byte(`{}`)})
	refused(t, err, message.CodeUnavailable, "publish it again with the same id: too few: ")
}

func TestWhatWasPublishedBeforeARefusalIsReported(t *testing.T) {
	plugin := answering(`[{"t":"x","topic":"user:u1:events","p":{}},{"t":"y","topic":"user:u1:events","p":{}}]`)
	in, err := New(DefaultConfig(), plugin, &refusing{after: 1, err: broker.ErrFull})
	require.NoError(t, err)
	results, err := in.PublishEvent(t.Context(), &message.Event{Type: "A", ID: "e1", Payload: []byte(`{}`)})
	refused(t, err, message.CodeUnavailable, "no room")
	require.Len(t, results, 1)
	require.Equal(t, "e1", results[0].ID)
}

func TestAnEnvelopeIsPublishedAsItIs(t *testing.T) {
	in, sink := open(t, answering(`nothing asks me`))
	raw := `{"topic":"user:u1:order_events","t":"order_update","p":{"order_id":"ord_1"},"pri":7,"id":"e1","cid":"c1",` +
		`"ts":"2025-01-13T11:30:00+01:00","trace_id":"t1","event_version":2}`
	results, err := in.PublishJSON(t.Context(), []byte(raw))
	require.NoError(t, err)
	got := sink.got[0]
	require.Equal(t, []Result{{ID: "e1", Topic: "user:u1:order_events", Seq: 1, Epoch: got.Epoch}}, results)
	got.Epoch = 0
	require.Equal(t, &message.Envelope{
		Type: "order_update", Topic: "user:u1:order_events", Payload: []byte(`{"order_id":"ord_1"}`), ID: "e1", CID: "c1",
		Priority: 7, TimeMS: 1736764200000, TraceID: "t1", EventVersion: 2, LatencyMS: -1, Seq: 1, Level: message.Critical,
	}, got)
	_, err = in.PublishJSON(t.Context(), []byte(`{"topic":"user:u1:order_events","type":"x","payload":{}}`))
	require.NoError(t, err)
	require.InDelta(t, time.Now().UnixMilli(), sink.got[1].TimeMS, 10_000)
}

func TestConfigFaultsNameTheirFields(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	cfg := Config{DeadLettersMax: -1}
	for _, field := range []string{"event_kib_max", "type_bytes_max", "id_bytes_max", "envelopes_per_event_max", "dead_letters_max", "dead_letters_kib_max"} {
		require.ErrorContains(t, cfg.Validate(), field+": ")
	}
	_, err := New(cfg, nil, new(refusing))
	require.Error(t, err)
	_, err = New(DefaultConfig(), nil, nil)
	require.Error(t, err)
}

func TestWritingAnEventsDocumentAllocatesNothing(t *testing.T) {
	ev := &message.Event{Type: "A", UserID: "u1", Payload: []byte(`{"a":1}`), TimeMS: 1736764200000, Priority: 8, ID: "e"}
	buf := make([]byte, 0, 512)
	require.Zero(t, testing.AllocsPerRun(100, func() { buf = appendEvent(buf[:0], ev) }))
	require.True(t, json.Valid(buf))
}

// said is about what the stock mapping plugin says of the 300-byte event of the figures.
const said = `{"t":"broker_account_update","topic":"user:u1:broker_account_events","p":{"original_event_type":"BrokerAccountLinked",` +
	`"broker_account_id":"acc_1234567","broker_id":"alpaca","account_number":"PA1234567","status":"linked","currency":"USD",` +
	`"buying_power":50000.00,"cash":25000.00},"pri":8,"id":"evt_acc_001","cid":"req-77","event_version":2}`

func TestReadingAnAnswerAllocatesNothing(t *testing.T) {
	doc, answer := []byte(said), NewAnswer(DefaultConfig())
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if err := answer.Read(doc); err != nil {
			t.Fatal(err)
		}
	}))
}

func TestAnAnswerKeepsNothingOfADocumentThatItRefuses(t *testing.T) {
	answer := NewAnswer(DefaultConfig())
	require.NoError(t, answer.Read([]byte(said)))
	require.Len(t, answer.drafts, 1)
	require.Error(t, answer.Read([]byte(`[`+said+`,{}]`)))
	require.Empty(t, answer.drafts)
}

// BenchmarkAnswer is the part that reading the answer has in the transform of an event.
func BenchmarkAnswer(b *testing.B) {
	doc, answer := []byte(said), NewAnswer(DefaultConfig())
	b.ReportAllocs()
	for b.Loop() {
		if err := answer.Read(doc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPublishEvent(b *testing.B) {
	in, err := New(DefaultConfig(), answeringOnce{}, &refusing{after: 1 << 60})
	require.NoError(b, err)
	raw := []byte(`{"type":"BrokerAccountLinked","user_id":"u1","payload":{"broker_account_id":"acc_123","status":"linked"},"id":"e1"}`)
	b.ReportAllocs()
	for b.Loop() {
		in.PublishEventJSON(context.Background(), raw)
	}
}

type answeringOnce struct{}

func (a answeringOnce) TransformAll(ctx context.Context, questions []Question) {
	oneByOne(ctx, a, questions)
}

func (answeringOnce) Transform(_ context.Context, _ string, _ []byte, answer *Answer) (Decision, error) {
	return Decision{Verdict: Data}, answer.Read([]byte(`{"t":"broker_account_update","topic":"user:u1:broker_account_events","p":{"original_event_type":"BrokerAccountLinked","broker_account_id":"acc_123","status":"linked"}}`))
}
