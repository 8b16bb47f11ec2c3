package trading

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

func TestAnActivatedStrategyWatchesWithoutASession(t *testing.T) {
	dir := t.TempDir()
	w, stop := open(t, dir, nil)
	u1 := user("u1", "trader")
	a := must[*message.StrategyActivated](t, w, u1, &message.StrategyActivation{Strategy: "s", Symbol: "A"})
	require.Equal(t, message.StrategyState{Strategy: "s", Symbol: "A", State: "monitoring", Plugin: "test@1"}, a.State)
	must[*message.StrategyActivated](t, w, u1, &message.StrategyActivation{Strategy: "s", Symbol: "A"}) // twice is once
	require.Equal(t, 1, w.Stats().Watches)
	w.tick("A", 1000, 10)
	require.Contains(t, w.waitFor(t, message.TypeSignal), `"session_id":null`)
	require.Contains(t, w.waitFor(t, message.TypeOrderRejected), `"reason":"no session"`)
	id, _ := w.Current(t.Context(), "u1")
	require.Empty(t, id)
	require.Equal(t, []string{"A"}, strategyNamed(t, w, "s").Active)
	list, err := w.List(t.Context(), "", 10)
	require.NoError(t, err)
	require.Empty(t, list)

	stop()
	w, _ = open(t, dir, nil)
	require.Eventually(t, func() bool { return w.Stats().Watches == 1 }, waitMost, waitStep, "activations outlive a restart")

	session := must[*message.SessionStarted](t, w, u1, start("paper", `{"s":["A"]}`, "")).Session.ID
	require.Zero(t, w.Stats().Watches, "the session tells of the same signals")
	state := must[*message.StrategyActivated](t, w, u1, &message.StrategyActivation{Strategy: "s", Symbol: "A"}).State
	require.Equal(t, session, state.SessionID)
	code, text := refused(t, w, u1, &message.StrategyActivation{Strategy: "s", Symbol: "A", Deactivate: true})
	require.Equal(t, message.CodeDeactivationFailed, code)
	require.Contains(t, text, session)
	must[*message.SessionChanged](t, w, u1, &message.SessionChange{SessionID: session})
	d := must[*message.StrategyActivated](t, w, u1, &message.StrategyActivation{Strategy: "s", Symbol: "A", Deactivate: true})
	require.True(t, d.Deactivated)
	require.Equal(t, "inactive", d.State.State)
	code, _ = refused(t, w, u1, &message.StrategyActivation{Strategy: "s", Symbol: "A", Deactivate: true})
	require.Equal(t, message.CodeDeactivationFailed, code)
	require.Zero(t, w.markets.listeners())
}

func strategyNamed(t *testing.T, w *world, name string) message.Strategy {
	t.Helper()
	for _, s := range must[*message.StrategiesList](t, w, user("u1", "basic"), &message.StrategiesRequest{}).Strategies {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no strategy %s", name)
	return message.Strategy{}
}

func TestActivationsHaveLimitsAndReasons(t *testing.T) {
	w, _ := open(t, t.TempDir(), func(c *Config) { c.WatchesPerUserMax = 1 })
	u1 := user("u1", "trader")
	for _, deactivate := range []bool{false, true} {
		code, _ := refused(t, w, u1, &message.StrategyActivation{Strategy: "missing", Symbol: "A", Deactivate: deactivate})
		require.Equal(t, message.CodeStrategyNotFound, code)
	}
	code, text := refused(t, w, u1, &message.StrategyActivation{Strategy: "picky", Symbol: "A"})
	require.Equal(t, message.CodeStrategyActivationFailed, code)
	require.Contains(t, text, "does not like")
	code, _ = refused(t, w, u1, &message.StrategyActivation{Strategy: "nobody", Symbol: "A"})
	require.Equal(t, message.CodePluginUnavailable, code)
	must[*message.StrategyActivated](t, w, u1, &message.StrategyActivation{Strategy: "s", Symbol: "A"})
	code, _ = refused(t, w, u1, &message.StrategyActivation{Strategy: "s", Symbol: "B"})
	require.Equal(t, message.CodeStrategyActivationFailed, code)
	must[*message.StrategyActivated](t, w, user("u2", "trader"), &message.StrategyActivation{Strategy: "s", Symbol: "B"})
}

func TestAStrategyIsNotActivatedForWhatIsNoSymbol(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	for _, symbol := range []string{"..", ".hidden", "a/b", ""} {
		code, text := refused(t, w, user("u1", "trader"), &message.StrategyActivation{Strategy: "s", Symbol: symbol})
		require.Equal(t, message.CodeInvalidArgument, code, symbol)
		require.Contains(t, text, "symbol")
	}
}

func TestAWatchThatTrapsIsToldAndCanBeActivatedAgain(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u1 := user("u1", "trader")
	must[*message.StrategyActivated](t, w, u1, &message.StrategyActivation{Strategy: "trap", Symbol: "A"})
	w.tick("A", 1000, 13)
	require.Contains(t, w.waitFor(t, message.TypeAlert), "unreachable executed")
	require.Eventually(t, func() bool { return w.Stats().Watches == 0 }, waitMost, waitStep)
	must[*message.StrategyActivated](t, w, u1, &message.StrategyActivation{Strategy: "trap", Symbol: "A"})
}

func TestStatesOfStrategiesAreTheCallers(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u1 := user("u1", "trader")
	must[*message.StrategyActivated](t, w, u1, &message.StrategyActivation{Strategy: "t", Symbol: "B"})
	must[*message.SessionStarted](t, w, u1, start("paper", `{"s":["A","B"]}`, ""))
	names := func(who string, q message.StrategyQuery) (list []string) {
		for _, s := range must[*message.StrategyStates](t, w, user(who, "trader"), &q).States {
			list = append(list, s.Strategy+"/"+s.Symbol+"/"+s.State)
		}
		return list
	}
	require.Equal(t, []string{"s/A/monitoring", "s/B/monitoring", "t/B/monitoring"}, names("u1", message.StrategyQuery{}))
	require.Equal(t, []string{"s/B/monitoring", "t/B/monitoring"}, names("u1", message.StrategyQuery{Symbol: "B"}))
	require.Equal(t, []string{"t/B/monitoring"}, names("u1", message.StrategyQuery{Strategy: "t"}))
	require.Empty(t, names("u2", message.StrategyQuery{}))
	require.Equal(t, []string{"s//inactive"}, names("u2", message.StrategyQuery{Strategy: "s"}))
	code, _ := refused(t, w, u1, &message.StrategyQuery{Strategy: "missing"})
	require.Equal(t, message.CodeStrategyNotFound, code)
}

func TestAStrategyIsValidatedAndKept(t *testing.T) {
	w, _ := open(t, t.TempDir(), nil)
	u1 := user("u1", "trader")
	v := must[*message.StrategyValidation](t, w, u1, &message.StrategyConfig{Config: []byte(`{"strategy_name":"new","bad":true}`)})
	require.False(t, v.Valid)
	require.Equal(t, "bad must not be", v.Errors[0].Message)
	code, text := refused(t, w, u1, &message.StrategyConfig{Config: []byte(`{"strategy_name":"new","bad":true}`), Save: true})
	require.Equal(t, message.CodeInvalidArgument, code)
	require.Contains(t, text, "bad must not be")
	kept := must[*message.StrategyUpserted](t, w, u1, &message.StrategyConfig{Config: []byte(`{"strategy_name":"new"}`), Save: true})
	require.True(t, kept.Created)
	require.Len(t, kept.Warnings, 1)
	require.Equal(t, "u1", strategyNamed(t, w, "new").Author)
	require.False(t, must[*message.StrategyUpserted](t, w, u1, &message.StrategyConfig{Config: []byte(`{"strategy_name":"new","a":1}`), Save: true}).Created)
	for config, want := range map[string]message.Code{
		`{"strategy_name":"new","b":1}`: message.CodeForbidden, `{"strategy_name":"NEW"}`: message.CodeCommandFailed, `{"strategy_name":"../x"}`: message.CodeInvalidArgument,
	} {
		code, _ := refused(t, w, user("u2", "trader"), &message.StrategyConfig{Config: []byte(config), Save: true})
		require.Equal(t, want, code, config)
	}
	must[*message.StrategyUpserted](t, w, user("boss", "admin"), &message.StrategyConfig{Config: []byte(`{"strategy_name":"new","b":1}`), Save: true})
	require.Equal(t, "u1", strategyNamed(t, w, "new").Author)
}
