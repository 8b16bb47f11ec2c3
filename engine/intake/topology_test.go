package intake

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	brokerredis "github.com/wse-engine/wse/engine/broker/redis"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// whole is an Intake on the broker on Redis.
type whole struct {
	intake *Intake
	broker *brokerredis.Broker
	ingest *ingest.Ingest
	do     goredis.UniversalClient
}

// openWhole runs a node until the test ends.
func openWhole(t testing.TB, access redis.Config, name string, transformer ingest.Transformer) *whole {
	cfg := brokerredis.DefaultConfig()
	cfg.Config = access
	client, err := redis.Open(access, "")
	require.NoError(t, err)
	class := broker.DefaultClasses()[0]
	class.Pattern, class.HistorySize, class.HistoryKiBMax, class.IdempotencyMax = "user:*", 10_000, 10_000, 10_000
	classes, err := broker.CompileClasses([]broker.Class{class})
	require.NoError(t, err)
	w := &whole{do: client.Do()}
	w.broker, err = brokerredis.New(cfg, client, classes, nowhere{}, brokerredis.WithNode(name))
	require.NoError(t, err)
	own := DefaultConfig()
	letters, err := NewLetters(own, client)
	require.NoError(t, err)
	w.ingest, err = ingest.New(ingest.DefaultConfig(), transformer, w.broker, ingest.WithKeeper(letters))
	require.NoError(t, err)
	w.intake, err = New(own, client, w.ingest, letters, w.broker, Options{Node: name, Log: func(msg string, args ...any) { t.Log(append([]any{name, msg}, args...)...) }})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.broker.Run(ctx) })
	wg.Go(func() { _ = w.intake.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		_ = client.Close()
	})
	return w
}

// history returns the ids of what a topic has published, in order.
func (w *whole) history(t testing.TB, topic message.Topic) (ids []string) {
	var h broker.History
	until(t, "a history", func() (ok bool) {
		var err error
		h, err = w.broker.History(t.Context(), topic, broker.Query{Limit: -1})
		return err == nil
	})
	for i, env := range h.Publications {
		require.Equal(t, uint64(i+1), env.Seq)
		ids = append(ids, env.ID)
	}
	return ids
}

// addSurely adds an event, again until Redis has it and all replicas do where there are some: what only a primary has that is about
// to be none is lost, and so is what it shares with a replica that has still to be told of the new one.
func (w *whole) addSurely(t testing.TB, user, id string, replicas int) {
	t.Helper()
	until(t, "the stream has it", func() bool {
		client, ok := w.do.(*goredis.Client)
		if cluster, is := w.do.(*goredis.ClusterClient); is {
			var err error
			client, err = cluster.MasterForKey(t.Context(), StreamEvents)
			ok = err == nil
		}
		if !ok {
			return false
		}
		conn := client.Conn()
		defer conn.Close()
		err := conn.XAdd(t.Context(), &goredis.XAddArgs{Stream: StreamEvents, Values: []string{
			"event", fmt.Sprintf(`{"type":"Thing","user_id":%q,"id":%q,"payload":{}}`, user, id),
		}}).Err()
		if cluster, is := w.do.(*goredis.ClusterClient); is && err != nil {
			cluster.ReloadState(t.Context())
		}
		if err != nil || replicas == 0 {
			return err == nil
		}
		have, err := conn.Wait(t.Context(), replicas, time.Second).Result()
		return err == nil && int(have) >= replicas
	})
}

func TestTheIntakeWorksOnEveryTopology(t *testing.T) {
	t.Parallel() // most of it is waiting
	for name, open := range map[string]func(t *testing.T) (cfg redis.Config, replicas int, failover func()){
		"a server with TLS and an ACL user": func(t *testing.T) (redis.Config, int, func()) {
			s := redistest.SingleWith(t, redistest.Options{TLS: true, Username: "engine"})
			return s.Config(), 0, func() {}
		},
		"Sentinel": func(t *testing.T) (redis.Config, int, func()) {
			s := redistest.Sentinel(t, redistest.Options{Username: "engine"})
			return s.Config(), 2, func() { s.Failover() }
		},
		"Cluster": func(t *testing.T) (redis.Config, int, func()) {
			c := redistest.Cluster(t, redistest.Options{Replicas: true, Username: "engine"})
			return c.Config(), 1, func() { c.Failover(c.Slot(StreamEvents)) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, replicas, failover := open(t)
			plugin := new(guest)
			plugin.broken.Store(true)
			w := openWhole(t, cfg, "n1", plugin)
			openWhole(t, cfg, "n2", plugin)
			want := make(map[message.Topic][]string)
			add := func(from, n int) {
				for i := from; i < from+n; i++ {
					user, id := fmt.Sprint("u", i%7), fmt.Sprint("e", i)
					topic := message.Topic("user:" + user + ":events")
					want[topic] = append(want[topic], id)
					w.addSurely(t, user, id, replicas)
				}
			}
			add(0, 300)
			failover()
			add(300, 300)
			for topic := range want { // who asks the old primary by a connection of before is told that all is done
				until(t, "all of a topic", func() bool { return len(w.history(t, topic)) >= len(want[topic]) })
				require.Equal(t, want[topic], w.history(t, topic), topic)
			}
			until(t, "nothing is left", func() bool {
				g, err := w.do.XInfoGroups(t.Context(), StreamEvents).Result()
				return err == nil && len(g) == 1 && g[0].Pending == 0 && g[0].Lag == 0
			})
			testIngressAndLetters(t, w, plugin)
		})
	}
}

// testIngressAndLetters hands in by channel, and in vain.
func testIngressAndLetters(t *testing.T, w *whole, plugin *guest) {
	until(t, "it is heard", func() bool { // as a program does that looks whether somebody takes what it publishes
		require.NoError(t, w.do.Publish(t.Context(), "wse:user:news:events", `{"t":"x","p":{},"id":"first"}`).Err())
		return len(w.history(t, "user:news:events")) > 0
	})
	require.NoError(t, w.do.Publish(t.Context(), "wse:user:news:events", `{"t":"x","p":{},"id":"second"}`).Err())
	until(t, "the second", func() bool { return len(w.history(t, "user:news:events")) == 2 })
	require.NoError(t, w.do.Publish(t.Context(), "wse:user:*", `{"t":"x","p":{}}`).Err())
	results, err := w.ingest.PublishEvent(t.Context(), &message.Event{Type: "Fail", UserID: "u9", ID: "f", Payload: []byte(`{}`)})
	require.NoError(t, err)
	until(t, "both letters", func() bool {
		_, total, err := w.intake.DeadLetters(t.Context(), ingest.LetterQuery{}, 10)
		return err == nil && total == 2
	})
	list, _, err := w.intake.DeadLetters(t.Context(), ingest.LetterQuery{Channel: "user:*"}, 10)
	require.NoError(t, err)
	require.NoError(t, w.intake.DropDeadLetter(t.Context(), list[0].ID))
	plugin.broken.Store(false)
	_, err = w.intake.ReplayDeadLetter(t.Context(), results[0].Letter)
	require.NoError(t, err)
	require.Equal(t, []string{"f"}, w.history(t, "user:u9:events"))
	ids, err := w.intake.DeadLetterIDs(t.Context(), ingest.LetterQuery{})
	require.NoError(t, err)
	require.Empty(t, ids)
}
