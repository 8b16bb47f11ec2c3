package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// slow is a Publisher that takes a while for each, keeps each topic's order, and fails on the ids that are down.
type slow struct {
	mu     sync.Mutex
	topics map[message.Topic][]string
	down   map[string]bool
	now    int
	most   int
	delay  func() time.Duration
}

var _ Publisher = (*slow)(nil)

func (p *slow) Publish(_ context.Context, env *message.Envelope) (broker.Published, error) {
	p.mu.Lock()
	p.now++
	p.most = max(p.most, p.now)
	p.mu.Unlock()
	<-time.After(p.delay())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now--
	if p.down[env.ID] {
		return broker.Published{}, broker.ErrUnavailable
	}
	p.topics[env.Topic] = append(p.topics[env.Topic], env.ID)
	return broker.Published{ID: env.ID}, nil
}

// ofUsers provides events of some users in turn; every fifth goes by way of the plugin to one topic of all.
func ofUsers(users int) func(i int) (*message.Event, error) {
	return func(i int) (*message.Event, error) {
		ev := &message.Event{Type: "Else", UserID: fmt.Sprint("v", i%users), ID: fmt.Sprint("e", i), Payload: []byte(`{}`)}
		if i%5 == 0 {
			ev.Type = "All"
		}
		return ev, nil
	}
}

func TestEventsAbreastKeepTheOrderOfEachTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		p := &slow{topics: make(map[message.Topic][]string)}
		p.delay = func() time.Duration {
			p.mu.Lock()
			defer p.mu.Unlock()
			return time.Duration(random.IntN(50)) * time.Millisecond
		}
		in, err := New(DefaultConfig(), &echoing{}, p)
		require.NoError(t, err)
		const n = 700
		began := time.Now()
		outcomes := in.Abreast(16).PublishRun(t.Context(), n, ofUsers(7))
		require.Less(t, time.Since(began), n*25*time.Millisecond/3, "side by side")
		require.LessOrEqual(t, p.most, 16)
		want := make(map[message.Topic][]string)
		for i := range n {
			require.NoError(t, outcomes[i].Err)
			topic := message.Topic(fmt.Sprintf("user:v%d:events", i%7))
			if i%5 == 0 {
				topic = "user:u1:events"
			}
			want[topic] = append(want[topic], fmt.Sprint("e", i))
		}
		require.Equal(t, want, p.topics)
	})
}

func TestAbreastOnlyWhatStandsBehindAFailureIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &slow{topics: make(map[message.Topic][]string), down: map[string]bool{"e3": true}, delay: func() time.Duration { return time.Millisecond }}
		in, err := New(DefaultConfig(), &echoing{}, p)
		require.NoError(t, err)
		outcomes := in.Abreast(8).PublishRun(t.Context(), partEventsMin, func(i int) (*message.Event, error) {
			return &message.Event{Type: "Else", UserID: fmt.Sprint("v", i%2), ID: fmt.Sprint("e", i), Payload: []byte(`{}`)}, nil
		})
		require.True(t, Passing(outcomes[3].Err))
		require.Equal(t, []string{"e1"}, p.topics["user:v1:events"])
		require.Len(t, p.topics["user:v0:events"], partEventsMin/2, "these have nothing to do with it")
		for i := 5; i < partEventsMin; i += 2 {
			require.ErrorIs(t, outcomes[i].Err, ErrHeld, "%d", i)
		}
	})
}

func TestAbreastNothingPassesAnEventOfUnknownTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &slow{topics: make(map[message.Topic][]string), delay: func() time.Duration { return time.Millisecond }}
		in, err := New(DefaultConfig(), &echoing{}, p)
		require.NoError(t, err)
		outcomes := in.Abreast(8).PublishRun(t.Context(), 10, func(i int) (*message.Event, error) {
			ev := &message.Event{Type: "Else", UserID: fmt.Sprint("v", i), ID: fmt.Sprint("e", i), Payload: []byte(`{}`)}
			switch i {
			case 2:
				ev.Type = "Drop"
			case 4:
				ev.Type = "Closed"
			}
			return ev, nil
		})
		require.Len(t, p.topics, 3)
		require.NoError(t, outcomes[3].Err)
		require.True(t, Passing(outcomes[4].Err))
		for i := 5; i < 10; i++ {
			require.ErrorIs(t, outcomes[i].Err, ErrHeld)
		}
	})
}

func TestAbreastNothingPassesAnEventThatCouldBeNeitherTransformedNorKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &slow{topics: make(map[message.Topic][]string), delay: func() time.Duration { return time.Millisecond }}
		in, err := New(DefaultConfig(), &echoing{}, p, WithKeeper(&keeping{err: errors.New("down")}))
		require.NoError(t, err)
		outcomes := in.Abreast(8).PublishRun(t.Context(), 10, func(i int) (*message.Event, error) {
			ev := &message.Event{Type: "Else", UserID: "v", ID: fmt.Sprint("e", i), Payload: []byte(`{}`)}
			if i == 4 {
				ev.Type = "Fail"
			}
			return ev, nil
		})
		require.Equal(t, []string{"e0", "e1", "e2", "e3"}, p.topics["user:v:events"], "when it comes again the plugin may answer")
		require.True(t, Passing(outcomes[4].Err))
		for i := 5; i < 10; i++ {
			require.ErrorIs(t, outcomes[i].Err, ErrHeld)
		}
	})
}
