package trading

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/ledger"
)

// paperOn asks for a paper session.
func paperOn(strategy, symbol string) *message.SessionStart {
	return start(paper, `{"`+strategy+`":["`+symbol+`"]}`, "")
}

func TestWhatWasPublishedBeforeAQuestionIsInItsAnswer(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u := user("u", "trader")
	id := must[*message.SessionStarted](t, w, u, paperOn("s", "BTC")).Session.ID
	for i := range 200 {
		w.tick("BTC", int64(1000+i), 101)
		got := must[*message.SessionStatus](t, w, u, &message.SessionQuery{SessionID: id})
		require.EqualValues(t, i+1, got.Session.Performance.TicksProcessed)
	}
	for range 200 {
		id := must[*message.SessionStarted](t, w, u, paperOn("s", "ETH")).Session.ID
		w.tick("ETH", 1000, 101)
		got := must[*message.SessionChanged](t, w, u, &message.SessionChange{SessionID: id})
		require.EqualValues(t, 1, got.Session.Performance.TicksProcessed, "a stop is behind what came before it")
	}
}

func TestWhatIsToldHasTheTimeOfTheTellingAndInItThatOfTheTick(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	began := time.Now().UnixMilli()
	must[*message.SessionStarted](t, w, user("u", "trader"), paperOn("s", "BTC"))
	w.tick("BTC", 1000, 10)
	w.tick("BTC", 2000, 10)
	for told := 0; told < 2; {
		env := <-w.events
		require.GreaterOrEqual(t, env.TimeMS, began, "%s", env.Type)
		require.NotContains(t, string(env.Payload), `"timestamp":0`, "%s", env.Type)
		if env.Type == message.TypeOrderPlaced || env.Type == message.TypeOrderFilled {
			told++
			require.Contains(t, string(env.Payload), fmt.Sprintf(`"timestamp":%d000`, told))
		}
	}
}

func TestWhatIsNotOnDiskYetIsCounted(t *testing.T) {
	dir := t.TempDir()
	w, stop := open(t, dir, func(c *Config) { c.Checkpoint = 50 * time.Millisecond })
	u := user("u", "trader")
	id := must[*message.SessionStarted](t, w, u, paperOn("s", "BTC")).Session.ID
	require.Zero(t, w.Stats().Unsynced)
	w.tick("BTC", 1000, 101)
	must[*message.SessionStatus](t, w, u, &message.SessionQuery{SessionID: id})
	require.Eventually(t, func() bool { return w.Stats().Unsynced == 0 }, waitMost, waitStep)
	raw, err := w.store.Bucket("sessions").Get(id)
	require.NoError(t, err)
	stop()
	require.Contains(t, string(raw), `"BTC"`)
	var d document
	require.NoError(t, json.Unmarshal(raw, &d))
	l, err := ledger.Restore(d.Ledger, w.ledgerConfig())
	require.NoError(t, err)
	require.EqualValues(t, 1, l.Performance().TicksProcessed, "as soon as nothing waits everything is there")
}

func TestATickThatASessionHasNotSeenYetIsNotOnDiskEither(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u := user("u", "trader")
	id := must[*message.SessionStarted](t, w, u, paperOn("s", "BTC")).Session.ID
	held, release := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		_, err := w.find(u, id).call(t.Context(), func() { close(held); <-release })
		ended <- err
	}()
	<-held
	before := w.Stats().Unsynced
	w.tick("BTC", 1000, 101)
	after := w.Stats().Unsynced
	close(release)
	require.NoError(t, <-ended)
	require.Zero(t, before)
	require.Equal(t, 1, after)
}

func TestAWatchIsNeverKeptAsASession(t *testing.T) {
	dir := t.TempDir()
	w, stop := open(t, dir, nil)
	u := user("u", "trader")
	must[*message.StrategyActivated](t, w, u, &message.StrategyActivation{Strategy: "s", Symbol: "BTC"})
	w.tick("BTC", 1000, 10)
	w.waitFor(t, message.TypeSignal)
	id := must[*message.SessionStarted](t, w, u, paperOn("s", "ETH")).Session.ID
	w.tick("ETH", 1000, 10)
	must[*message.SessionStatus](t, w, u, &message.SessionQuery{SessionID: id})
	require.Eventually(t, func() bool { return w.Stats().Unsynced == 0 }, waitMost, waitStep)
	stop()
	w, _ = open(t, dir, nil)
	require.Equal(t, []string{id}, listed(t, w, "u"))
}

func TestAStartThatCannotRunDoesNotEndTheSessionThatItWouldReplace(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u := user("u", "trader")
	id := must[*message.SessionStarted](t, w, u, paperOn("s", "BTC")).Session.ID
	code, _ := refused(t, w, u, paperOn("unknown", "BTC"))
	require.Equal(t, message.CodeStrategyActivationFailed, code)
	require.Equal(t, running, must[*message.SessionStatus](t, w, u, &message.SessionQuery{SessionID: id}).Session.State)
	bought := w.record(t, "u", "BTC", 1, 2)
	slow := must[*message.SessionStarted](t, w, u, start(backtest, `{"s":["BTC"]}`, fmt.Sprintf(`{"collection_id":%q,"acceleration_factor":0.001}`, bought)))
	code, _ = refused(t, w, u, start(backtest, `{"s":["BTC"],"t":["BTC"]}`, `{"collection_id":"none"}`))
	require.Equal(t, message.CodeSessionNotFound, code)
	require.Equal(t, running, must[*message.SessionStatus](t, w, u, &message.SessionQuery{SessionID: slow.Session.ID}).Session.State)
}

func TestAStartBesideTheEndOfItsSessionMakesAnother(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u := user("u", "trader")
	id := must[*message.SessionStarted](t, w, u, paperOn("s", "BTC")).Session.ID
	for _, ended := range []string{stopped, failed} { // as it is before it is off the list
		w.find(u, id).setState(ended, "")
		again := must[*message.SessionStarted](t, w, u, paperOn("s", "BTC"))
		require.False(t, again.Reused)
		require.NotEqual(t, id, again.Session.ID)
		require.Equal(t, running, again.Session.State)
		id = again.Session.ID
	}
}

func TestAnActivationOutlivesASessionThatTookItsPlace(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u := user("u", "trader")
	on := &message.StrategyActivation{Strategy: "s", Symbol: "BTC"}
	require.Empty(t, must[*message.StrategyActivated](t, w, u, on).State.SessionID)
	watches := func() int { return w.Stats().Watches }
	_, _ = refused(t, w, u, start(paper, `{"s":["BTC"],"picky":["BTC"]}`, ""))
	require.Equal(t, 1, watches(), "a start that fails changes nothing")
	id := must[*message.SessionStarted](t, w, u, paperOn("s", "BTC")).Session.ID
	require.Zero(t, watches())
	require.Equal(t, id, must[*message.StrategyActivated](t, w, u, on).State.SessionID)
	must[*message.SessionChanged](t, w, u, &message.SessionChange{SessionID: id})
	require.Equal(t, 1, watches())
	states := must[*message.StrategyStates](t, w, u, &message.StrategyQuery{Strategy: "s", Symbol: "BTC"}).States
	require.Len(t, states, 1)
	require.NotEqual(t, stateInactive, states[0].State)
}
