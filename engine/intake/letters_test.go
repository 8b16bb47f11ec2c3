package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// fail hands in an event that the plugin fails on, and returns the letter that it became.
func (n *node) fail(id string) string {
	n.t.Helper()
	results, err := n.ingest.PublishEvent(n.t.Context(), &message.Event{Type: "Fail", UserID: "u1", ID: id, Payload: []byte(`{"n":1}`)})
	require.NoError(n.t, err)
	require.Equal(n.t, ingest.DeadLettered, results[0].Status)
	return results[0].Letter
}

// broken opens a node whose plugin fails.
func broken(t *testing.T, cfg Config) (*node, *guest) {
	plugin := new(guest)
	plugin.broken.Store(true)
	return open(t, redistest.Single(t), "n1", cfg, plugin), plugin
}

func TestADeadLetterOfAnyNodeIsListedShownAndDropped(t *testing.T) {
	n, _ := broken(t, calm())
	first, second := n.fail("e1"), n.fail("e2")
	other := open(t, n.server, "n2", calm(), nil)
	list := other.list(ingest.LetterQuery{})
	require.Equal(t, []string{second, first}, []string{list[0].ID, list[1].ID}, "the newest first")
	require.True(t, strings.HasSuffix(first, "-0@events") || strings.HasSuffix(first, "-1@events"), first)
	d, err := other.intake.DeadLetter(t.Context(), first)
	require.NoError(t, err)
	document := `{"type":"Fail","payload":{"n":1},"user_id":"u1","id":"e1"}`
	require.WithinDuration(t, time.Now(), d.Time, time.Minute)
	require.Equal(t, ingest.DeadLetter{
		ID: first, Channel: "events", Time: d.Time, EventID: "e1", Event: "Fail", Plugin: "guest", Version: "abc",
		Reason: "plugin/guest@abc: trap: unreachable", Attempts: 1, Last: d.Time, Document: document, Bytes: len(document),
	}, d)
	require.Len(t, other.list(ingest.LetterQuery{Plugin: "guest"}), 2)
	for _, q := range []ingest.LetterQuery{{Plugin: "none"}, {Channel: "none"}, {Channel: "wild{card}"}, {Channel: "user:u1:events", Plugin: "guest"}} {
		require.Empty(t, other.list(q))
	}
	require.NoError(t, other.intake.DropDeadLetter(t.Context(), first))
	require.ErrorIs(t, other.intake.DropDeadLetter(t.Context(), first), ingest.ErrNoLetter)
	_, err = n.intake.DeadLetter(t.Context(), first)
	require.ErrorIs(t, err, ingest.ErrNoLetter)
	require.Len(t, n.list(ingest.LetterQuery{}), 1)
	require.NoError(t, n.letters.measure(t.Context()))
	s := n.ingest.LetterStats()
	require.Equal(t, []any{1, uint64(2)}, []any{s.Kept, s.ByPlugin["guest"]})
	require.Positive(t, s.BytesKept)
}

func TestAnIDThatIsNoneIsNotThere(t *testing.T) {
	n, _ := broken(t, calm())
	for _, id := range []string{"", "x", "1-0", "1-0@", "@events", "1@events", "1-x@events", "-0@events", "1-0@a b", "1-0@{a}", "1-0@events@", "dl_1"} {
		_, err := n.intake.DeadLetter(t.Context(), id)
		require.ErrorIs(t, err, ingest.ErrNoLetter, id)
		require.ErrorIs(t, n.intake.DropDeadLetter(t.Context(), id), ingest.ErrNoLetter, id)
		_, err = n.intake.ReplayDeadLetter(t.Context(), id)
		require.ErrorIs(t, err, ingest.ErrNoLetter, id)
	}
}

func TestTheSameEventIsOneLetterHoweverOftenItFails(t *testing.T) {
	n, _ := broken(t, calm())
	id := n.fail("e1")
	require.Equal(t, id, n.fail("e1"))
	d, err := n.intake.DeadLetter(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 2, d.Attempts)
	results, err := n.ingest.PublishEvent(t.Context(), &message.Event{Type: "Fail", UserID: "u2", ID: "e1", Payload: []byte(`{}`)})
	require.NoError(t, err)
	require.NotEqual(t, id, results[0].Letter, "another document is another letter")
	require.NotEqual(t, n.fail(""), n.fail(""), "without an id each is its own")
}

func TestTheNewestLettersOfEachChannelAreKept(t *testing.T) {
	cfg := calm()
	cfg.DeadLettersMax = 5
	n, _ := broken(t, cfg)
	for i := range 12 {
		n.fail(fmt.Sprint("e", i))
	}
	_, err := n.letters.keep(t.Context(), letter{channel: "user:u1:events", kind: kindPublication})
	require.NoError(t, err)
	list := n.list(ingest.LetterQuery{Channel: "events"})
	require.Equal(t, []string{"e11", "e10", "e9", "e8", "e7"}, []string{list[0].EventID, list[1].EventID, list[2].EventID, list[3].EventID, list[4].EventID})
	require.Len(t, list, 5)
	require.Len(t, n.list(ingest.LetterQuery{}), 6)
	require.Equal(t, uint64(7), n.ingest.LetterStats().Evicted)
	require.Equal(t, int64(6), n.client.HLen(t.Context(), "{wse:dlq:events}:m").Val(), "bytes, and a source of each; nothing stays of those that are gone")
	require.Equal(t, int64(1000), int64(DefaultConfig().DeadLettersMax))
}

func TestLettersTakeOnlySoManyBytes(t *testing.T) {
	cfg := calm()
	cfg.DeadLettersKiBMax, cfg.DeadLetterKiBMax = 32, 8
	n, _ := broken(t, cfg)
	for i := range 10 {
		_, err := n.letters.keep(t.Context(), letter{channel: "c", kind: kindPublication, event: ingest.Letter{
			Document: []byte(strings.Repeat(fmt.Sprint(i), 7<<10)), Reason: "r",
		}})
		require.NoError(t, err)
	}
	require.Len(t, n.list(ingest.LetterQuery{}), 4)
	_, _, bytes, err := n.letters.list(t.Context(), "c", "", 0)
	require.NoError(t, err)
	require.LessOrEqual(t, bytes, int64(32<<10))
}

func TestLettersAreKeptForATime(t *testing.T) {
	t.Parallel() // most of it is waiting
	cfg := calm()
	cfg.DeadLetterTTL = time.Second
	n, _ := broken(t, cfg)
	id := n.fail("e1")
	until(t, "gone", func() bool { return len(n.list(ingest.LetterQuery{})) == 0 })
	_, err := n.intake.DeadLetter(t.Context(), id)
	require.ErrorIs(t, err, ingest.ErrNoLetter)
	until(t, "nothing stays", func() bool { return n.client.Exists(t.Context(), "wse:dlq:events", "{wse:dlq:events}:m").Val() == 0 })
	require.Equal(t, 7*24*time.Hour, DefaultConfig().DeadLetterTTL)
	n.fail("e2") // the index is written before the letter, and must not be gone before it: nobody would find the letter
	require.Greater(t, n.client.PTTL(t.Context(), channelIndex).Val(), n.client.PTTL(t.Context(), "wse:dlq:events").Val())
	for i := range 3 { // a channel that gets a letter now and then loses those that are too old
		require.NoError(t, n.client.XAdd(t.Context(), &goredis.XAddArgs{Stream: "wse:dlq:c", ID: fmt.Sprint(1000+i, "-0"), Values: []string{"kind", "event"}}).Err())
	}
	patient := open(t, n.server, "n2", calm(), nil) // whose letters are kept long enough to be listed
	_, err = patient.letters.keep(t.Context(), letter{channel: "c", kind: kindPublication})
	require.NoError(t, err)
	require.Len(t, patient.list(ingest.LetterQuery{Channel: "c"}), 1)
}

func TestTooManyChannelsShareOne(t *testing.T) {
	cfg := calm()
	cfg.DeadLetterChannelsMax = 3
	n, _ := broken(t, cfg)
	for i := range 6 {
		_, err := n.letters.keep(t.Context(), letter{channel: fmt.Sprint("c", i), from: fmt.Sprint("wse:c", i), kind: kindPublication})
		require.NoError(t, err)
	}
	require.Len(t, n.list(ingest.LetterQuery{Channel: "_other"}), 3)
	require.Equal(t, "wse:c5", n.list(ingest.LetterQuery{Channel: "_other"})[0].From)
	list, total, err := n.intake.DeadLetters(t.Context(), ingest.LetterQuery{}, 2)
	require.NoError(t, err)
	require.Equal(t, 6, total)
	all := n.list(ingest.LetterQuery{})
	require.Len(t, all, 6)
	for i := 1; i < len(all); i++ {
		require.False(t, all[i].Time.After(all[i-1].Time), "the newest of all channels first")
	}
	require.Equal(t, all[:2], list)
	list, total, err = n.intake.DeadLetters(t.Context(), ingest.LetterQuery{}, 0)
	require.NoError(t, err)
	require.Equal(t, 6, total)
	require.Empty(t, list)
}

func TestAReplayGoesThroughThePluginThatServesNow(t *testing.T) {
	t.Parallel() // most of it is waiting
	n, plugin := broken(t, calm())
	id := n.fail("e1")
	_, err := n.intake.ReplayDeadLetter(t.Context(), id)
	require.ErrorContains(t, err, "trap: unreachable")
	d, err := n.intake.DeadLetter(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 2, d.Attempts, "it stays")
	require.False(t, d.Last.Before(d.Time))
	require.Len(t, n.list(ingest.LetterQuery{}), 1, "and is not there twice")

	plugin.broken.Store(false)
	results, err := n.intake.ReplayDeadLetter(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []any{ingest.Published, "e1"}, []any{results[0].Status, results[0].ID})
	require.Equal(t, []string{"e1"}, ledgerOf(t, n.client, "user:u1:events"))
	_, err = n.intake.ReplayDeadLetter(t.Context(), id)
	require.ErrorIs(t, err, ingest.ErrNoLetter)
	s := n.ingest.LetterStats()
	require.Equal(t, []uint64{1, 1}, []uint64{s.Replayed, s.ReplayFail})
}

func TestAnEventWithoutAnIDIsReplayedWithTheOneItsPublisherWasTold(t *testing.T) {
	n, plugin := broken(t, calm())
	results, err := n.ingest.PublishEvent(t.Context(), &message.Event{Type: "Fail", UserID: "u1", Payload: []byte(`{}`)})
	require.NoError(t, err)
	plugin.broken.Store(false)
	var at int64
	n.ledger.before = func(env *message.Envelope) error { at = env.TimeMS; return nil }
	_, err = n.intake.ReplayDeadLetter(t.Context(), results[0].Letter)
	require.NoError(t, err)
	require.Equal(t, []string{results[0].ID}, ledgerOf(t, n.client, "user:u1:events"))
	require.Equal(t, letterTime(t, results[0].Letter), at, "nothing looks newer than it is")
}

func letterTime(t *testing.T, id string) (ms int64) {
	_, err := fmt.Sscanf(id, "%d-", &ms)
	require.NoError(t, err)
	return ms
}

func TestAReplayPublishesNoEnvelopeAgainThatAnEarlierOnePublished(t *testing.T) {
	n, _ := broken(t, calm())
	id, err := n.letters.Keep(t.Context(), ingest.Letter{EventID: "e1", Event: "Two", Document: []byte(`{"type":"Two","payload":{}}`)})
	require.NoError(t, err)
	n.ledger.before = func(env *message.Envelope) error {
		if env.ID == "e1.1" {
			return broker.ErrUnavailable
		}
		return nil
	}
	results, err := n.intake.ReplayDeadLetter(t.Context(), id)
	require.ErrorIs(t, err, broker.ErrUnavailable)
	require.Equal(t, "e1", results[0].ID)
	require.NoError(t, n.client.Del(t.Context(), "ledger:ids:user:two:events").Err(), "the broker has forgotten ids meanwhile")
	n.ledger.before = nil
	results, err = n.intake.ReplayDeadLetter(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []ingest.Status{ingest.Duplicate, ingest.Published}, []ingest.Status{results[0].Status, results[1].Status})
	require.Equal(t, []string{"e1", "e1.1"}, ledgerOf(t, n.client, "user:two:events"))
}

func TestWhatWasPublishedOnAChannelIsReplayedThere(t *testing.T) {
	n, plugin := broken(t, calm())
	plugin.broken.Store(false)
	keep := func(from, document string, size int) string {
		id, err := n.letters.keep(t.Context(), letter{channel: channelName(from), from: from, kind: kindPublication, bytes: size,
			event: ingest.Letter{Document: []byte(document), Reason: "r"}})
		require.NoError(t, err)
		return id
	}
	good := keep("wse:user:u1:events", `{"t":"x","p":{},"id":"a"}`, 0)
	event := keep("wse:user:u1:events", `{"type":"X","payload":{},"id":"b"}`, 0)
	wild := keep("wse:user:u1:*", `{"t":"x","p":{}}`, 0)
	cut := keep("wse:user:u1:events", `{"t":"x","p":{}}`, 999)
	for _, id := range []string{good, event} {
		_, err := n.intake.ReplayDeadLetter(t.Context(), id)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"a", "b"}, ledgerOf(t, n.client, "user:u1:events"))
	for id, want := range map[string]string{wild: "stands for many topics", cut: "of its 999 bytes the first 16 are kept"} {
		_, err := n.intake.ReplayDeadLetter(t.Context(), id)
		require.ErrorContains(t, err, want)
		d, err := n.intake.DeadLetter(t.Context(), id)
		require.NoError(t, err)
		require.Contains(t, d.Reason, want, "it stays, with the new reason")
	}
	require.NoError(t, n.client.XAdd(t.Context(), &goredis.XAddArgs{Stream: "wse:dlq:c", ID: "99-0", Values: []string{"a", "b"}}).Err())
	_, err := n.intake.ReplayDeadLetter(t.Context(), "99-0@c")
	require.ErrorIs(t, err, ingest.ErrNoLetter, "it is older than any letter")
	stranger := n.client.XAdd(t.Context(), &goredis.XAddArgs{Stream: "wse:dlq:c", Values: []string{"a", "b"}}).Val()
	_, err = n.intake.ReplayDeadLetter(t.Context(), stranger+"@c")
	require.ErrorContains(t, err, "written by another program")
}

func TestALetterIsReplayedByOneAtATime(t *testing.T) {
	n, plugin := broken(t, calm())
	id := n.fail("e1")
	plugin.broken.Store(false)
	other := open(t, n.server, "n2", calm(), nil)
	entered, goOn := make(chan struct{}), make(chan struct{})
	n.ledger.before = func(*message.Envelope) error {
		close(entered)
		<-goOn
		return nil
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := n.intake.ReplayDeadLetter(context.Background(), id)
		require.NoError(t, err)
	})
	<-entered
	_, err := other.intake.ReplayDeadLetter(t.Context(), id)
	require.ErrorIs(t, err, ingest.ErrReplaying)
	require.ErrorIs(t, other.intake.DropDeadLetter(t.Context(), id), ingest.ErrReplaying)
	close(goOn)
	wg.Wait()
	_, err = other.intake.ReplayDeadLetter(t.Context(), id)
	require.ErrorIs(t, err, ingest.ErrNoLetter)
}

func TestLettersAreReplayedThoseFirstThatFailedLeastOften(t *testing.T) {
	n, _ := broken(t, calm())
	a, b, c := n.fail("a"), n.fail("b"), n.fail("c")
	_, err := n.intake.ReplayDeadLetter(t.Context(), a)
	require.Error(t, err)
	foreign, err := n.letters.keep(t.Context(), letter{channel: "user:u1:events", kind: kindPublication})
	require.NoError(t, err)
	ids, err := n.intake.DeadLetterIDs(t.Context(), ingest.LetterQuery{})
	require.NoError(t, err)
	require.Equal(t, a, ids[3])
	require.ElementsMatch(t, []string{b, c, foreign}, ids[:3])
	require.Less(t, slices.Index(ids, b), slices.Index(ids, c))
	ids, err = n.intake.DeadLetterIDs(t.Context(), ingest.LetterQuery{Plugin: "guest"})
	require.NoError(t, err)
	require.Equal(t, []string{b, c, a}, ids)
}

func TestWhereRedisIsAwayLettersAreRefused(t *testing.T) {
	t.Parallel() // most of it is waiting
	n, _ := broken(t, calm())
	id := n.fail("e1")
	n.server.Kill()
	for _, ask := range []func() error{
		func() error { _, _, err := n.intake.DeadLetters(t.Context(), ingest.LetterQuery{}, 1); return err },
		func() error { _, err := n.intake.DeadLetter(t.Context(), id); return err },
		func() error { _, err := n.intake.DeadLetterIDs(t.Context(), ingest.LetterQuery{}); return err },
		func() error { return n.intake.DropDeadLetter(t.Context(), id) },
		func() error { _, err := n.intake.ReplayDeadLetter(t.Context(), id); return err },
		func() error {
			_, err := n.ingest.PublishEvent(t.Context(), &message.Event{Type: "Fail", UserID: "u1", Payload: []byte(`{}`)})
			return err
		},
	} {
		var e *message.Error
		require.True(t, errors.As(ask(), &e))
		require.Equal(t, message.CodeUnavailable, e.Code)
	}
}

func TestNamesOfChannelsAreSafe(t *testing.T) {
	for of, want := range map[string]string{
		"wse:events": "events", "wse:user:u1:*": "user:u1:*", "orders": "orders", "wse:": "_empty", "wse:a{b}c": "a%7Bb%7Dc", "wse:ü 1%": "%C3%BC%201%25",
	} {
		require.Equal(t, want, channelName(of))
		require.True(t, isChannelName(want))
	}
	long := channelName("wse:" + strings.Repeat("x", 1000))
	require.NotEqual(t, long, channelName("wse:"+strings.Repeat("x", 1001)))
	require.True(t, isChannelName(long))
}

func FuzzChannelName(f *testing.F) {
	for _, s := range []string{"wse:user:u1:*", "wse:", "{", "%7B", strings.Repeat("é", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, of string) {
		name := channelName(of)
		require.True(t, isChannelName(name), "%q", name)
		_, channel, err := place("1-0@" + name)
		require.NoError(t, err)
		require.Equal(t, name, channel)
	})
}

func FuzzEntry(f *testing.F) {
	f.Add("event", `{"type":"X","payload":{},"user_id":"u1"}`, "", "")
	f.Add("type", "X", "payload", `{"a":[1]}`)
	f.Add("payload", `{}`, "type", "\xff")
	f.Add("payload", `{},"x":1`, "ts", "12")
	in, err := ingest.New(ingest.DefaultConfig(), nil, new(ledger))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		e := entry{id: "1-0", values: []string{a, b, c, d}}
		if c == "" {
			e.values = e.values[:2]
		}
		doc, fault := e.document()
		if ev, err := in.ParseEvent(doc); fault == nil && err == nil && a == "type" && c == "payload" {
			require.Equal(t, b, ev.Type)
			require.Equal(t, strings.TrimSpace(d), string(ev.Payload), "a field says nothing of another")
		}
	})
}

func TestAFaultyConfigurationIsRefusedByField(t *testing.T) {
	good := DefaultConfig()
	require.NoError(t, good.Validate())
	for want, change := range map[string]func(*Config){
		"streams[0]: \"events\" must begin":      func(c *Config) { c.Streams = []string{"events"} },
		"streams[1]: \"wse:a{b}\"":               func(c *Config) { c.Streams = []string{"wse:a", "wse:a{b}"} },
		"streams[0]: \"wse:_x\"":                 func(c *Config) { c.Streams = []string{"wse:_x"} },
		"streams[0]: \"wse:dlq:x\"":              func(c *Config) { c.Streams = []string{"wse:dlq:x"} },
		"streams[1]: \"wse:a\" is there twice":   func(c *Config) { c.Streams = []string{"wse:a", "wse:a"} },
		"streams: 65":                            func(c *Config) { c.Streams = make([]string, 65) },
		"batch_max: 0":                           func(c *Config) { c.BatchMax = 0 },
		"publish_abreast: 0":                     func(c *Config) { c.PublishAbreast = 0 },
		"deliveries_max: 1":                      func(c *Config) { c.DeliveriesMax = 1 },
		"stream_keep: -1s":                       func(c *Config) { c.StreamKeep = -time.Second },
		"ingress_workers: 0":                     func(c *Config) { c.IngressWorkers = 0 },
		"ingress_queue_max: 0":                   func(c *Config) { c.IngressQueueMax = 0 },
		"lease_ttl: 1ms":                         func(c *Config) { c.LeaseTTL = time.Millisecond },
		"dead_letters_max: 0":                    func(c *Config) { c.DeadLettersMax = 0 },
		"dead_letters_kib_max: 0":                func(c *Config) { c.DeadLettersKiBMax = 0 },
		"dead_letter_kib_max: 0":                 func(c *Config) { c.DeadLetterKiBMax = 0 },
		"dead_letter_kib_max: 9 is more than":    func(c *Config) { c.DeadLetterKiBMax, c.DeadLettersKiBMax = 9, 8 },
		"dead_letter_ttl: 0s":                    func(c *Config) { c.DeadLetterTTL = 0 },
		"dead_letter_channels_max: 0":            func(c *Config) { c.DeadLetterChannelsMax = 0 },
		"replay_timeout: 0s is not within 1s to": func(c *Config) { c.ReplayTimeout = 0 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		require.ErrorContains(t, cfg.Validate(), want)
	}
}

func TestWhatIsNotTheEnginesAtALettersKeyHoldsUpNobody(t *testing.T) {
	n, _ := broken(t, calm())
	require.NoError(t, n.client.Set(t.Context(), "wse:dlq:events", "mine", 0).Err())
	id := n.fail("e1")
	require.True(t, strings.HasSuffix(id, "@_other"), id)
	d, err := n.intake.DeadLetter(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "e1", d.EventID)
	require.Equal(t, "mine", n.client.Get(t.Context(), "wse:dlq:events").Val())
	require.Len(t, n.list(ingest.LetterQuery{}), 1, "what is there hides no other letters")
	ids, err := n.intake.DeadLetterIDs(t.Context(), ingest.LetterQuery{})
	require.NoError(t, err)
	require.Equal(t, []string{id}, ids)
	require.NoError(t, n.letters.measure(t.Context()))
	_, _, err = n.intake.DeadLetters(t.Context(), ingest.LetterQuery{Channel: "events"}, 1)
	require.ErrorContains(t, err, "holds something else; delete or rename it")
}

func TestWhatIsNotTheEnginesBesideALettersKeyHoldsUpNobody(t *testing.T) {
	t.Parallel() // most of it is waiting
	const meta = "{wse:dlq:events}:m"
	for name, c := range map[string]struct {
		spoil   []any
		channel string // that the letter is kept in
	}{
		"the index is something else":  {[]any{"set", channelIndex, "mine"}, otherChannels},
		"the bytes are none":           {[]any{"hset", meta, "bytes", "mine"}, "events"},
		"the bytes are more than any":  {[]any{"hset", meta, "bytes", "inf"}, "events"},
		"its attempts are no number":   {[]any{"hset", meta, "a:@", "mine"}, "events"},
		"who replays it is no token":   {[]any{"hset", meta, "b:@", "mine"}, "events"},
		"its last failure has no time": {[]any{"hset", meta, "l:@", "mine"}, "events"},
	} {
		t.Run(name, func(t *testing.T) {
			n, plugin := broken(t, calm())
			entry, _, _ := strings.Cut(n.fail("e1"), "@")
			for i, word := range c.spoil {
				c.spoil[i] = strings.ReplaceAll(word.(string), ":@", ":"+entry)
			}
			if c.spoil[0] == "set" {
				require.NoError(t, n.client.Del(t.Context(), channelIndex).Err())
			}
			require.NoError(t, n.client.Do(t.Context(), c.spoil...).Err())
			n.fail("e1")
			id := n.fail("e2")
			require.True(t, strings.HasSuffix(id, "@"+c.channel), id)
			list := n.list(ingest.LetterQuery{Channel: c.channel})
			require.Equal(t, "e2", list[0].EventID)
			plugin.broken.Store(false)
			for _, d := range list {
				_, err := n.intake.ReplayDeadLetter(t.Context(), d.ID)
				require.NoError(t, err)
			}
			require.Empty(t, n.list(ingest.LetterQuery{Channel: c.channel}))
		})
	}
}
