package trading

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/execution"
	"github.com/wse-engine/wse/engine/trading/ledger"
)

func planner() *Trading { return &Trading{cfg: DefaultConfig()} }

func start(kind, strategies, config string) *message.SessionStart {
	r := &message.SessionStart{SessionType: kind}
	if strategies != "" {
		r.StrategyConfig = []byte(strategies)
	}
	if config != "" {
		r.Config = []byte(config)
	}
	return r
}

func TestAStartIsReadWhole(t *testing.T) {
	_, err := planner().readPlan(start("backtest", `{"t":["ETH_USDT"],"s":["ETH_USDT","BTC_USDT"]}`, `{
		"collection_id":"c1","acceleration_factor":2.5,"initial_balance":500.25,"fee_bps":0,"slippage_bps":1,"close_at_end":true,
		"indicator_interval_ms":100,"unknown":{},"budget":{"global_cap":1000,"allocations":{"s":"40%","t":600,"other":null}}}`))
	require.Error(t, err, "null is no allocation")
	p, err := planner().readPlan(start("backtest", `{"t":["ETH_USDT"],"s":["ETH_USDT","BTC_USDT"]}`, `{
		"collection_id":"c1","acceleration_factor":2.5,"initial_balance":500.25,"fee_bps":0,"slippage_bps":1,"close_at_end":true,
		"indicator_interval_ms":100,"unknown":{},"budget":{"global_cap":1e3,"allocations":{"s":"40%","t":600}}}`))
	require.NoError(t, err)
	require.Equal(t, []pair{{"s", "BTC_USDT"}, {"s", "ETH_USDT"}, {"t", "ETH_USDT"}}, p.pairs)
	require.Equal(t, []string{"BTC_USDT", "ETH_USDT"}, p.symbols)
	require.Equal(t, options{
		collection: "c1", acceleration: 2.5, initialBalance: 500_25 * ledger.One / 100, slippageBps: 1, indicatorMS: 100, closeAtEnd: true,
		budget: &execution.Budget{GlobalCap: 1000 * ledger.One, Allocations: map[string]ledger.Amount{"s": 400 * ledger.One, "t": 600 * ledger.One}},
	}, p.options)
}

func TestAStartThatSaysNothingHasTheConfiguredValues(t *testing.T) {
	p, err := planner().readPlan(start("paper", `{"s":["A"]}`, ""))
	require.NoError(t, err)
	require.Equal(t, options{initialBalance: 10_000 * ledger.One, feeBps: 10, slippageBps: 5, indicatorMS: 1000}, p.options)
	p, err = planner().readPlan(start("backtest", `{"s":["A"]}`, `{"session_id":"c1"}`))
	require.NoError(t, err)
	require.Zero(t, p.options.indicatorMS, "a backtest tells of no indicators unless it is asked to")
}

func TestTheKeyIsOfTypeSymbolsAndStrategies(t *testing.T) {
	key := func(kind, strategies, config string) string {
		p, err := planner().readPlan(start(kind, strategies, config))
		require.NoError(t, err)
		return p.key
	}
	one := key("paper", `{"s":["A","B"],"t":["B"]}`, "")
	require.Equal(t, one, key("paper", ` { "t" : ["B"] , "s":["A","B"]}`, `{"fee_bps":1}`), "the order of members and config do not matter")
	require.NotEqual(t, one, key("live", `{"s":["A","B"],"t":["B"]}`, ""))
	require.NotEqual(t, one, key("paper", `{"s":["A","B"],"t":["A"]}`, ""))
	require.NotEqual(t, one, key("paper", `{"s":["A","C"],"t":["C"]}`, ""))
}

func TestWhatIsWrongWithAStartIsToldAllAtOnce(t *testing.T) {
	many := `{"s":["` + strings.Repeat("A", 200) + `"]}`
	for _, c := range []struct {
		kind, strategies, config string
		code                     message.Code
		want                     []string
	}{
		{"", `{"s":["A"]}`, "", message.CodeInvalidSessionType, []string{"session_type must be backtest, paper or live"}},
		{"LIVE", `{"s":["A"]}`, "", message.CodeInvalidSessionType, []string{`not "LIVE"`}},
		{"paper", "", "", message.CodeMissingStrategyConfig, []string{"strategy_config is required"}},
		{"paper", "{}", "", message.CodeMissingStrategyConfig, []string{"names no strategy"}},
		{"paper", `{"s":[]}`, "", message.CodeInvalidArgument, []string{"strategy_config.s must name at least one symbol"}},
		{"paper", `{"s":"A","t":{"a":1},"u":[1],"v":["A B"],"w":["A","a"]}`, "", message.CodeInvalidArgument, []string{
			"strategy_config.s must be an array", "strategy_config.t must be an array", "strategy_config.u must be an array of symbols, which are strings",
			`strategy_config.v holds "A B"`, `strategy_config.w holds "a" twice`}},
		{"paper", `{"../s":["A"],"":["A"],"s":["A"],"s":["B"]}`, "", message.CodeInvalidArgument, []string{
			"strategy_config.../s is no strategy's name", "strategy_config. is no strategy's name", "strategy_config.s is there twice"}},
		{"paper", many, "", message.CodeInvalidArgument, []string{"strategy_config.s holds"}},
		{"backtest", `{"s":["A"]}`, "", message.CodeInvalidArgument, []string{"config.collection_id is required"}},
		{"backtest", `{"s":["A"]}`, `{"collection_id":5,"acceleration_factor":-1,"initial_balance":"x","fee_bps":1e9,"slippage_bps":null,"close_at_end":1,"indicator_interval_ms":[]}`,
			message.CodeInvalidArgument, []string{"config.collection_id must be", "config.acceleration_factor must be", "config.initial_balance must be", "config.fee_bps must be",
				"config.close_at_end must be", "config.indicator_interval_ms must be"}},
		{"paper", `{"s":["A"]}`, `{"budget":{"global_cap":-5,"allocations":{"s":"x%","t":"NaN","u":true}}}`, message.CodeInvalidArgument,
			[]string{"config.budget.global_cap must not be negative", "config.budget.allocations.s must be", "config.budget.allocations.t must be", "config.budget.allocations.u must be"}},
		{"paper", `{"s":["A"]}`, `{"budget":[]}`, message.CodeInvalidArgument, []string{"config.budget must be an object"}},
		{"paper", `{"s":["A"]}`, `{"budget":{"allocations":{"s":"5%"}}}`, message.CodeInvalidArgument, []string{"is 5% of a global_cap, which must be there"}},
		{"paper", `{"s":["A"]}`, `{"budget":{"global_cap":1e30}}`, message.CodeInvalidArgument, []string{"config.budget.global_cap must be"}},
		{"paper", `{"s":["A"]}`, `{"budget":{"global_cap":100,"allocations":{"s":60,"unused":"40.00000001%"}}}`, message.CodeBudgetCapExceeded, []string{"which is over global_cap, 100"}},
		{"paper", `{"s":["A"]}`, `{"fee_bps":1,"fee_bps":2,"other":1,"other":2}`, message.CodeInvalidArgument, []string{"config.fee_bps is there twice", "config.other is there twice"}},
		{"paper", `{"s":["A"]}`, `{"budget":{"global_cap":5,"global_cap":1000,"allocations":{"s":1,"s":900}}}`, message.CodeInvalidArgument,
			[]string{"config.budget.global_cap is there twice", "config.budget.allocations.s is there twice"}},
		{"paper", `{"s":["A"]}`, `{"budget":{"global_cap":5,"Global_Cap":1000,"ALLOCATIONS":{}}}`, message.CodeInvalidArgument,
			[]string{"config.budget.Global_Cap is unknown", "config.budget.ALLOCATIONS is unknown"}},
	} {
		_, err := planner().readPlan(start(c.kind, c.strategies, c.config))
		require.Error(t, err, "%+v", c)
		e := message.AsError(err)
		require.Equal(t, c.code, e.Code, "%+v: %s", c, e.Message)
		for _, part := range c.want {
			require.Contains(t, e.Message, part)
		}
		require.True(t, e.Details == nil || json.Valid(e.Details))
	}
	_, err := planner().readPlan(start("paper", `{"s":["A"]}`, `{"budget":{"global_cap":100,"allocations":{"s":60,"unused":"40%"}}}`))
	require.NoError(t, err, "the whole cap is fine")
}

func TestWhatIsWrongWithABalanceIsToldOnceAndWithItsBound(t *testing.T) {
	for _, balance := range []string{`"100"`, "0", "-1", "1e-9", "99000000000", "1e300", "[]"} {
		_, err := planner().readPlan(start("paper", `{"s":["A"]}`, `{"initial_balance":`+balance+`}`))
		require.EqualError(t, err, "config.initial_balance must be a number above 0 and at most 92233720368.54775807", balance)
	}
	_, err := planner().readPlan(start("paper", `{"s":["A"]}`, `{"initial_balance":92233720368}`))
	require.NoError(t, err)
}

func FuzzPlan(f *testing.F) {
	f.Add("paper", `{"s":["A"]}`, `{"budget":{"global_cap":1e3,"allocations":{"s":"40%","t":"600"}}}`)
	f.Add("backtest", `{"s":["A"]}`, `{"collection_id":"c","initial_balance":1e-9}`)
	f.Fuzz(func(t *testing.T, kind, strategies, config string) {
		for _, text := range []string{strategies, config} {
			if !json.Valid([]byte(text)) || strings.TrimSpace(text)[0] != '{' {
				return // the dialect lets objects through only
			}
		}
		p, err := planner().readPlan(start(kind, strategies, config))
		if err != nil {
			require.NotEqual(t, message.CodeInternal, message.AsError(err).Code, err.Error())
			return
		}
		require.NotEmpty(t, p.pairs)
		require.Positive(t, p.options.initialBalance)
	})
}
