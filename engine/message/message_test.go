package message_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

func TestTheCategoryFollowsTheFunctionOfTheProtocol(t *testing.T) {
	for eventType, want := range map[string]string{
		"order_update": "U", "": "U", "market_data_update": "U", "snap_shot": "U", "server_ready_": "U", "auth_response": "U",
		"order_snapshot": "S", "snapshot_complete": "S", "SNAPSHOT": "S", "preSnapShotted": "S",
		"server_ready": "WSE", "client_hello_ack": "WSE", "connection_state_change": "WSE", "error": "WSE", "ERROR": "WSE",
		"pong": "WSE", "PONG": "WSE", "ping": "WSE", "Ping": "WSE", "heartbeat": "WSE", "subscription_update": "WSE",
		"server_hello": "WSE", "client_hello": "WSE",
		"\u212aeartbeat": "U", "ÉSNAPSHOT": "S", // letters beyond ASCII
		strings.Repeat("x", 100) + "Snapshot": "S", // longer than the buffer
	} {
		require.Equal(t, want, message.CategoryOf(eventType).String(), eventType)
	}
}

func TestTheCategoryOfAnyCaseAllocatesNothing(t *testing.T) {
	for _, eventType := range []string{"order_update", "PONG"} {
		require.Zero(t, testing.AllocsPerRun(100, func() { message.CategoryOf(eventType) }), eventType)
	}
}

func TestAPrioritySnapsToTheNearestLevelUpwardOnATie(t *testing.T) {
	want := map[message.Priority]message.Level{
		0: message.Normal, 1: message.Background, 2: message.Low, 3: message.Low, 4: message.Normal, 5: message.Normal,
		6: message.Normal, 7: message.High, 8: message.High, 9: message.Critical, 10: message.Critical,
	}
	for p, level := range want {
		require.Equal(t, level, p.Level(), "priority %d", p)
		require.Equal(t, p >= 8, p.ExemptFromShedding(), "priority %d", p)
	}
	for p := range 256 {
		require.Equal(t, p >= 1 && p <= 10, message.Priority(p).Valid(), "priority %d", p)
	}
}

func TestALevelStandsForItsOwnPriority(t *testing.T) {
	names := []string{"critical", "high", "normal", "low", "background"}
	for level := range message.Level(message.Levels) {
		require.Equal(t, level, level.Priority().Level())
		require.Equal(t, names[level], level.String())
	}
}

func TestTheOverflowPoliciesAreSpelledAsInTheConfiguration(t *testing.T) {
	require.Equal(t, "keep", message.Keep.String())
	require.Equal(t, "drop_oldest", message.DropOldest.String())
	require.Equal(t, "conflate", message.Conflate.String())
}

func TestAnEnvelopeHasHistoryWhereItHasAnEpoch(t *testing.T) {
	require.False(t, (&message.Envelope{Seq: 5}).HasHistory())
	require.True(t, (&message.Envelope{Seq: 5, Epoch: 1}).HasHistory())
}

func TestAnAnswerEchoesTheIDOrElseTheCorrelationID(t *testing.T) {
	require.Equal(t, "i", (&message.Request{ID: "i", CID: "k"}).ReplyCID())
	require.Equal(t, "k", (&message.Request{CID: "k"}).ReplyCID())
	require.Empty(t, (&message.Request{}).ReplyCID())
}

func TestAForeignErrorIsShownAsInternal(t *testing.T) {
	foreign := errors.New("dial tcp 10.0.0.1: password wrong")
	e := message.AsError(foreign)
	require.Equal(t, message.CodeInternal, e.Code)
	require.NotContains(t, e.Message, "password")
	require.ErrorIs(t, e, foreign)
	require.Contains(t, e.Error(), "password", "the log has the whole of it")
}

func TestAnErrorIsFoundInsideOthers(t *testing.T) {
	own := message.Errorf(message.CodeForbidden, "not %s topic", "your")
	require.Same(t, own, message.AsError(fmt.Errorf("feed: %w", own)))
	require.Equal(t, "not your topic", own.Error())
}

func TestDetailsAreAddedToACopy(t *testing.T) {
	own := message.Errorf(message.CodeForbidden, "no")
	with := own.WithDetails(map[string]string{"topic": "a"})
	require.Nil(t, own.Details)
	require.Equal(t, json.RawMessage(`{"topic":"a"}`), with.Details)
	require.Panics(t, func() { own.WithDetails(func() {}) })
}

func TestIDsAreUniqueAcrossSourcesAndGoroutines(t *testing.T) {
	sources := []*message.IDSource{message.NewIDSource("evt"), message.NewIDSource("evt")}
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 500 {
				id := sources[i%2].Next()
				mu.Lock()
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Len(t, seen, 2000)
	require.Regexp(t, `^evt_[0-9a-f]{16}_[0-9a-z]+$`, sources[0].Next())
}

func TestTheEnginesOwnTypesAreKnownInAnySpelling(t *testing.T) {
	own := []string{"error", "PONG", "Snapshot_Complete", "presence_response", "presence_update_response", "batch_message_result"}
	for kind := range message.PresenceKinds {
		own = append(own, kind.String())
	}
	for _, name := range own {
		require.True(t, message.IsEngineType(name), name)
	}
	for _, name := range []string{"chat", "order_snapshot", "presence", "presences_join", ""} {
		require.False(t, message.IsEngineType(name), name)
	}
}
