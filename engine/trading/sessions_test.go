package trading

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

func TestAPaperSessionFollowsTheMarketAndFillsAtTheNextTick(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u1 := user("u1", "trader")
	a := must[*message.SessionStarted](t, w, u1, start("paper", `{"s":["A"]}`, ""))
	require.False(t, a.Reused)
	require.Regexp(t, `^exec_\d{8}_\d{6}_[0-9a-f]{8}$`, a.Session.ID)
	require.Equal(t, []message.Activation{{Strategy: "s", Symbol: "A", Plugin: "test@1"}}, a.Activations)
	id, symbols := w.Current(t.Context(), "u1")
	require.Equal(t, a.Session.ID, id)
	require.Equal(t, []string{"A"}, symbols)
	for i, price := range []float64{9, 10, 11, 13, 14, 15} {
		w.tick("A", int64(1000+i), price)
	}
	w.waitFor(t, message.TypeOrderPlaced)
	require.Contains(t, w.waitFor(t, message.TypeOrderFilled), `"fill_price":11`, "not at the tick that ordered")
	require.Contains(t, w.waitFor(t, message.TypeOrderFilled), `"fill_price":15`)
	w.waitFor(t, message.TypePortfolio)
	r := must[*message.ResultsAnswer](t, w, u1, &message.ResultsRequest{RequestType: "session_results"})
	require.Equal(t, id, r.SessionID)
	p := r.Results.Performance
	require.EqualValues(t, 6, p.TicksProcessed)
	require.EqualValues(t, 2, p.SignalsDetected)
	require.EqualValues(t, 2, p.OrdersFilled)
	require.EqualValues(t, "4", p.RealizedPnL)
	require.EqualValues(t, "10004", p.Equity)
	stopped := must[*message.SessionChanged](t, w, u1, &message.SessionChange{SessionID: id})
	require.Equal(t, "stopped", stopped.Session.State)
	require.Equal(t, "requested", stopped.Session.Reason)
	require.Equal(t, p.RealizedPnL, stopped.Session.Performance.RealizedPnL)
	require.Zero(t, w.markets.listeners(), "nothing is followed any more")
	after := must[*message.ResultsAnswer](t, w, u1, &message.ResultsRequest{RequestType: "symbol_results", SessionID: id, Symbol: "A"})
	require.EqualValues(t, "4", after.Results.Performance.RealizedPnL)
	require.Nil(t, must[*message.SessionStatus](t, w, u1, &message.SessionQuery{}).Session, "none runs")
}

func TestSessionsAreInTheOrderOfTheirStartsHoweverFastTheyFollow(t *testing.T) {
	dir := t.TempDir()
	w, stop := open(t, dir, nil)
	u1, clock := user("u1", "trader"), time.Now()
	w.now = func() time.Time { return clock } // stands still
	var ids []string
	for range 20 {
		s := must[*message.SessionStarted](t, w, u1, start("paper", `{"s":["A"]}`, "")).Session
		require.Equal(t, s.ID, must[*message.SessionStatus](t, w, u1, &message.SessionQuery{}).Session.ID)
		ended := must[*message.SessionChanged](t, w, u1, &message.SessionChange{SessionID: s.ID}).Session
		require.GreaterOrEqual(t, ended.EndedMS, ended.CreatedMS)
		ids = slices.Insert(ids, 0, s.ID)
	}
	require.Equal(t, ids, listed(t, w, "u1"))
	stop()
	w, _ = open(t, dir, nil)
	w.now = func() time.Time { return clock }
	again := must[*message.SessionStarted](t, w, u1, start("paper", `{"s":["A"]}`, "")).Session
	require.Equal(t, slices.Insert(ids, 0, again.ID), listed(t, w, "u1"), "also after a restart")
	clock = clock.Add(-time.Hour)
	require.Equal(t, clock.UnixMilli(), w.begins().UnixMilli(), "a clock that was turned back is followed")
}

func TestOnlyItsOwnerAndAnAdminSeeASession(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	id := must[*message.SessionStarted](t, w, user("u1", "trader"), start("paper", `{"s":["A"]}`, "")).Session.ID
	for range 2 {
		for _, body := range []message.Body{
			&message.SessionQuery{SessionID: id}, &message.SessionChange{SessionID: id}, &message.SessionChange{SessionID: id, Change: message.SessionPause},
			&message.ResultsRequest{RequestType: "session_results", SessionID: id},
		} {
			code, text := refused(t, w, user("u2", "premium"), body)
			require.Equal(t, message.CodeSessionNotFound, code)
			none, _ := w.Answer(t.Context(), user("u2", "premium"), body)
			require.Nil(t, none)
			require.Contains(t, text, "you have no session")
		}
		require.Equal(t, id, must[*message.SessionStatus](t, w, user("boss", "admin"), &message.SessionQuery{SessionID: id}).Session.ID)
		must[*message.SessionChanged](t, w, user("boss", "admin"), &message.SessionChange{SessionID: id})
	}
}

func TestAThousandStartsWithOneKeyMakeOneSession(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	var group sync.WaitGroup
	var mu sync.Mutex
	ids, fresh := map[string]bool{}, 0
	for range 1000 {
		group.Go(func() {
			answer, err := w.Answer(t.Context(), user("u1", "trader"), start("paper", `{"s":["A","B"]}`, ""))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			a := answer.(*message.SessionStarted)
			ids[a.Session.ID] = true
			if !a.Reused {
				fresh++
			}
		})
	}
	group.Wait()
	require.Len(t, ids, 1)
	require.Equal(t, 1, fresh)
	require.Equal(t, 2, w.markets.listeners())
	require.Equal(t, 1, w.Stats().Sessions[paper])
}

func TestConflictsAreResolvedAsDecided(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u1, u2 := user("u1", "premium"), user("u2", "premium")
	begin := func(kind, strategies string) string {
		return must[*message.SessionStarted](t, w, u1, start(kind, strategies, "")).Session.ID
	}
	first := begin("paper", `{"s":["A","B"]}`)
	require.True(t, must[*message.SessionStarted](t, w, u1, start("paper", `{"s":["A"]}`, "")).Reused, "fewer symbols, the same strategy")
	second := begin("paper", `{"t":["B"]}`)
	require.NotEqual(t, first, second)
	old := must[*message.SessionStatus](t, w, u1, &message.SessionQuery{SessionID: first}).Session
	require.Equal(t, "stopped", old.State)
	require.Equal(t, "replaced", old.Reason)
	must[*message.SessionStarted](t, w, u2, start("paper", `{"t":["B"]}`, ""))
	real := begin("live", `{"s":["a"]}`)
	code, text := refused(t, w, u1, start("live", `{"t":["A"]}`, ""))
	require.Equal(t, message.CodeSessionConflict, code)
	require.Contains(t, text, real)
	code, text = refused(t, w, u2, start("live", `{"t":["A"]}`, ""))
	require.Equal(t, message.CodeSessionConflict, code)
	require.NotContains(t, text, real, "whose it is, is nobody else's business")
	code, _ = refused(t, w, user("u3", "trader"), start("live", `{"t":["A"]}`, ""))
	require.Equal(t, message.CodeForbidden, code)
}

func TestASessionThatCannotStartLeavesNothingBehind(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u1 := user("u1", "trader")
	for strategies, want := range map[string]string{
		`{"missing":["A"]}`:         "there is no strategy",
		`{"s":["A"],"picky":["A"]}`: "it does not like this symbol",
	} {
		code, text := refused(t, w, u1, start("paper", strategies, ""))
		require.Equal(t, message.CodeStrategyActivationFailed, code)
		require.Contains(t, text, want)
	}
	code, _ := refused(t, w, u1, start("paper", `{"nobody":["A"]}`, ""))
	require.Equal(t, message.CodePluginUnavailable, code)
	w.markets.fail = true
	_, err := w.Answer(t.Context(), u1, start("paper", `{"s":["A"]}`, ""))
	require.Error(t, err)
	code, _ = refused(t, w, u1, start("backtest", `{"s":["A"]}`, `{"collection_id":"none"}`))
	require.Equal(t, message.CodeSessionNotFound, code)
	require.Zero(t, w.markets.listeners())
	require.Zero(t, w.Stats().Sessions[paper])
	id, _ := w.Current(t.Context(), "u1")
	require.Empty(t, id)
	list, err := w.List(t.Context(), "", 10)
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestAStrategyThatTrapsEndsItsSessionAloneAndItsBooksStay(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u1 := user("u1", "trader")
	id := must[*message.SessionStarted](t, w, u1, start("paper", `{"trap":["A"]}`, "")).Session.ID
	other := must[*message.SessionStarted](t, w, user("u2", "trader"), start("paper", `{"s":["A"]}`, "")).Session.ID
	for i, price := range []float64{10, 11, 12, 13, 14} {
		w.tick("A", int64(1000+i), price)
	}
	require.Contains(t, w.waitFor(t, message.TypeAlert), "unreachable executed")
	require.Eventually(t, func() bool { return w.find(u1, id) == nil }, waitMost, waitStep)
	s := must[*message.SessionStatus](t, w, u1, &message.SessionQuery{SessionID: id}).Session
	require.Equal(t, "error", s.State)
	require.Contains(t, s.Reason, "trap on A, run by test@1: unreachable executed")
	require.EqualValues(t, 1, s.Performance.OrdersFilled)
	require.Equal(t, "running", must[*message.SessionStatus](t, w, user("u2", "trader"), &message.SessionQuery{SessionID: other}).Session.State)
	require.EqualValues(t, 1, w.Stats().Failed)
}

func TestAPausedSessionLeavesTicksOut(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u1 := user("u1", "trader")
	id := must[*message.SessionStarted](t, w, u1, start("paper", `{"s":["A"]}`, "")).Session.ID
	require.Equal(t, "paused", must[*message.SessionChanged](t, w, u1, &message.SessionChange{SessionID: id, Change: message.SessionPause}).Session.State)
	for i := range 5 {
		w.tick("A", int64(1000+i), 10)
	}
	require.Eventually(t, func() bool { return w.Stats().TicksSkipped == 5 }, waitMost, waitStep)
	require.Equal(t, "running", must[*message.SessionChanged](t, w, u1, &message.SessionChange{SessionID: id, Change: message.SessionResume}).Session.State)
	w.tick("A", 2000, 20)
	w.waitFor(t, message.TypeOrderPlaced)
	must[*message.SessionChanged](t, w, u1, &message.SessionChange{SessionID: id})
	code, _ := refused(t, w, u1, &message.SessionChange{SessionID: id, Change: message.SessionResume})
	require.Equal(t, message.CodeCommandFailed, code)
	must[*message.SessionChanged](t, w, u1, &message.SessionChange{SessionID: id}) // stopping twice is nothing
}

func TestSessionsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	w, stop := open(t, dir, nil)
	u1 := user("u1", "trader")
	id := must[*message.SessionStarted](t, w, u1, start("paper", `{"s":["A"]}`, `{"mine":1}`)).Session.ID
	for i, price := range []float64{10, 11, 14, 15} {
		w.tick("A", int64(1000+i), price)
	}
	w.waitFor(t, message.TypeOrderFilled)
	w.waitFor(t, message.TypeOrderFilled)
	must[*message.ResultsAnswer](t, w, u1, &message.ResultsRequest{RequestType: "session_results"})
	stop()
	w, _ = open(t, dir, nil)
	s := must[*message.SessionStatus](t, w, u1, &message.SessionQuery{SessionID: id}).Session
	require.Equal(t, "stopped", s.State)
	require.Equal(t, "engine_restarted", s.Reason)
	require.EqualValues(t, "4", s.Performance.RealizedPnL)
	require.Equal(t, `{"mine":1}`, string(s.Config))
	require.Equal(t, id, must[*message.ResultsAnswer](t, w, u1, &message.ResultsRequest{RequestType: "strategy_results", Strategy: "s"}).SessionID, "the last one is meant")
}

func TestWhatIsMissingInAQuestionAboutResultsIsTold(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u1 := user("u1", "trader")
	code, _ := refused(t, w, u1, &message.ResultsRequest{RequestType: "session_results"})
	require.Equal(t, message.CodeSessionNotFound, code)
	id := must[*message.SessionStarted](t, w, u1, start("paper", `{"s":["A"]}`, "")).Session.ID
	for _, c := range []struct {
		r    message.ResultsRequest
		code message.Code
		want string
	}{
		{message.ResultsRequest{}, message.CodeInvalidRequestType, "must be session_results"},
		{message.ResultsRequest{RequestType: strings.Repeat("x", 1000)}, message.CodeInvalidRequestType, "…"},
		{message.ResultsRequest{RequestType: "symbol_results"}, message.CodeInvalidArgument, "symbol is required"},
		{message.ResultsRequest{RequestType: "strategy_results"}, message.CodeInvalidArgument, "strategy is required"},
		{message.ResultsRequest{RequestType: "symbol_results", Symbol: "B"}, message.CodeInvalidArgument, "has no B"},
		{message.ResultsRequest{RequestType: "session_results", SessionID: "exec_other"}, message.CodeSessionNotFound, "exec_other"},
	} {
		code, text := refused(t, w, u1, &c.r)
		require.Equal(t, c.code, code, text)
		require.Contains(t, text, c.want)
	}
	require.NotEmpty(t, id)
}
