package feed

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

func TestATopicThatIsSubscribedToAlreadyIsRecovered(t *testing.T) {
	const history, none = message.Topic("user:u1:position_events"), message.Topic("public:x")
	for _, tt := range []struct {
		name      string
		topic     message.Topic
		after     uint64
		recovered bool
		want      []string
	}{
		{"what was missed is replayed", history, 1, true, []string{"Subscribed", "b/2", "c/3", "SnapshotComplete"}},
		{"nothing was missed", history, 3, true, []string{"Subscribed", "SnapshotComplete"}},
		{"what cannot be known is told, and all there is comes", history, 9, false, []string{"Subscribed", "a/1", "b/2", "c/3", "SnapshotComplete"}},
		{"without a history nothing is", none, 1, false, []string{"Subscribed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, DefaultConfig())
			first := w.publish(t, tt.topic, "a")
			w.publish(t, tt.topic, "b")
			w.publish(t, tt.topic, "c")
			s, c := w.open("u1")
			require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{string(tt.topic)}}))
			c.take()
			require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{string(tt.topic), string(tt.topic)}, Recover: true,
				Recovery: map[string]message.RecoverPosition{string(tt.topic): {Epoch: first.Epoch, Offset: tt.after}}}))
			require.Equal(t, tt.want, c.take())
			answer := c.lastAnswer()
			require.Empty(t, answer.SuccessTopics)
			require.Contains(t, answer.AlreadySubscribed, tt.topic)
			require.Len(t, answer.Recovery, 1)
			require.Equal(t, tt.recovered, answer.Recovery[0].Recovered)
			w.publish(t, tt.topic, "d")
			require.Equal(t, []string{"d/4"}, c.take(), "and it goes on")
		})
	}
}

func TestATopicThatOnlyAPatternCoversIsNotRecoveredAndSaidSo(t *testing.T) {
	cfg := DefaultConfig()
	cfg.TopicsPerRequest = 2
	w := newWorld(t, cfg)
	first := w.publish(t, orders, "a")
	w.publish(t, orders, "b")
	at := message.RecoverPosition{Epoch: first.Epoch, Offset: 1}
	s, c := w.open("u1")
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{"user:u1:*"}, Recover: true,
		Recovery: map[string]message.RecoverPosition{"order_events": at, string(orders): at, "user:u2:events": at, "no topic": at}}))
	require.Equal(t, []message.Recovered{{Topic: orders, Epoch: first.Epoch, Offset: 2}}, c.lastAnswer().Recovery)

	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{string(orders)}, Recover: true,
		Recovery: map[string]message.RecoverPosition{"order_events": at}}))
	require.Equal(t, []message.Recovered{{Topic: orders, Epoch: first.Epoch, Offset: 2, Recovered: true, Count: 1}}, c.lastAnswer().Recovery,
		"named beside the pattern it is, by either of its names")

	s, _ = w.open("u1")
	require.ErrorContains(t, w.subscribe(t, s, message.Subscribe{Topics: []string{"user:u1:*"}, Recover: true,
		Recovery: map[string]message.RecoverPosition{"user:u1:a": at, "user:u1:b": at, "user:u1:c": at}}), "more than 2 topics that only a pattern covers")
	require.Empty(t, s.Member.Topics(), "and then nothing is subscribed to")
}

func TestRecoveringAgainAndAgainUnderFireLosesNothing(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	const topic = message.Topic("user:u1:position_events")
	const last = 601
	start := w.publish(t, topic, "p")
	s, c := w.open("u1")
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{string(topic)}}))
	c.take()
	var publishers sync.WaitGroup
	for range 4 {
		publishers.Go(func() {
			for range (last - 1) / 4 {
				if _, err := w.broker.Publish(context.Background(), &message.Envelope{Topic: topic, Type: "p", Payload: []byte("{}"), TimeMS: 1}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := start.Offset
	for seen < last {
		require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{string(topic)}, Recover: true,
			Recovery: map[string]message.RecoverPosition{string(topic): {Epoch: start.Epoch, Offset: seen}}}))
		got := c.take()
		require.Contains(t, got, "Subscribed")
		at := slices.Index(got, "Subscribed")
		live, replay := got[:at], got[at:] // what came before the answer comes again, since the client did not say that it has it
		for i, part := range [][]string{live, replay} {
			next := seen
			for _, frame := range part {
				var seq uint64
				if n, _ := fmt.Sscanf(frame, "p/%d", &seq); n == 1 {
					next++
					require.Equal(t, next, seq)
				}
			}
			if i == 1 {
				seen = next
			}
		}
	}
	publishers.Wait()
}
