package presence_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/presence"
	"github.com/wse-engine/wse/engine/presence/presencetest"
)

// run runs a Presence until the end of the test.
func run(t testing.TB, cfg presence.Config, classes *broker.Classes, out presence.Deliverer) *presence.Presence {
	p, err := presence.New(cfg, classes, out)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { require.NoError(t, p.Run(ctx)) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return p
}

func TestANodesPresenceKeepsEveryPromise(t *testing.T) {
	presencetest.RunInBubble(t, func(t *testing.T, cfg presence.Config, classes *broker.Classes, out presence.Deliverer) presencetest.Store {
		return run(t, cfg, classes, out)
	})
}

// world is a Presence that runs.
type world struct{ *presencetest.Stage }

func start(t testing.TB, change func(*presence.Config)) world {
	return startWith(t, change, presencetest.NewBoard())
}

func startWith(t testing.TB, change func(*presence.Config), out presence.Deliverer) world {
	cfg := presence.DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	board, _ := out.(*presencetest.Board)
	return world{presencetest.NewStage(t, "", run(t, cfg, presencetest.Classes(t), out), board)}
}

// after waits for d and returns the notices.
func (w world) after(d time.Duration) []string {
	time.Sleep(d)
	synctest.Wait()
	return presencetest.Texts(w.Board.Rest())
}

// The delay within which changes are told, and a moment more than the grace period.
const (
	delay = 100 * time.Millisecond
	grace = 10*time.Second + delay
)

func TestChangesAreToldAndMembersDepartToTheMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.Come("alice", "a1")
		require.Empty(t, w.after(delay-time.Millisecond))
		require.Equal(t, []string{"join alice"}, w.after(time.Millisecond))
		w.Come("alice", "a2")
		w.Lose("a1")
		w.after(6 * time.Second)
		w.Go("a2")
		require.Empty(t, w.after(4*time.Second+delay-time.Millisecond))
		require.Equal(t, []string{"leave alice"}, w.after(time.Millisecond), "ten seconds after the loss")
	})
}

// A timer for each of many departures would be a goroutine for each when they come at once.
func TestThousandsThatAreLostAtOnceLeaveTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(cfg *presence.Config) { cfg.MembersMax = 5000 })
		for i := range 5000 {
			w.Come(fmt.Sprintf("u%d", i), fmt.Sprintf("c%d", i))
		}
		require.Len(t, w.after(delay), 5000)
		for i := range 5000 {
			w.Lose(fmt.Sprintf("c%d", i))
		}
		for i := range 1000 {
			w.Come(fmt.Sprintf("u%d", 5*i), fmt.Sprintf("d%d", i))
		}
		require.Len(t, w.after(grace), 4000)
		require.Equal(t, 1000, w.Stats().Members)
	})
}

func TestFieldsOutOfRangeAreToldAllAtOnce(t *testing.T) {
	_, err := presence.New(presence.Config{Grace: -1, NoticeDelay: -1, DataKiBMax: 2, TopicKiBMax: 1}, nil, nil)
	for _, text := range []string{
		"presence_members_max: must be at least 1, is 0", "presence_mib_total: must be at least 1, is 0",
		"presence_topic_kib_max: must be at least presence_data_kib_max (2), is 1",
		"presence_grace: must not be negative, is -1ns", "presence_notice_delay: must not be negative, is -1ns",
	} {
		require.ErrorContains(t, err, text)
	}
	require.NoError(t, presence.DefaultConfig().Validate())
}
