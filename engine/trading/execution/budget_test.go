package execution

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/ledger"
)

func TestABudgetIsReadWithItsPercentages(t *testing.T) {
	b, err := ParseBudget([]byte(`{"global_cap": 1000.5, "allocations": {"a": 500, "b": "25%", "c": "0.5%", "d": 0}}`))
	require.NoError(t, err)
	require.Equal(t, "1000.5", b.GlobalCap.String())
	require.Equal(t, []string{"500", "250.125", "5.0025", "0"}, []string{b.Allocations["a"].String(), b.Allocations["b"].String(), b.Allocations["c"].String(), b.Allocations["d"].String()})
	for _, none := range []string{"", "null", " null ", "{}", `{"global_cap":null,"allocations":null}`} {
		b, err := ParseBudget([]byte(none))
		require.NoError(t, err)
		require.Nil(t, b)
	}
	_, err = ParseBudget([]byte(`{"global_cap": 100, "allocations": {"a": "50%", "b": 50}}`))
	require.NoError(t, err, "equal is fine")
}

func TestABudgetThatCannotBeIsRefusedWithItsCode(t *testing.T) {
	for document, code := range map[string]message.Code{
		`{"global_cap":100,"allocations":{"a":60,"b":"50%"}}`: message.CodeBudgetCapExceeded,
		`{"global_cap":100,"allocations":{"a":"100.1%"}}`:     message.CodeBudgetCapExceeded,
		`{"allocations":{"a":90000000000,"b":90000000000}}`:   message.CodeBudgetCapExceeded,
		`{"global_cap":-1}`:                                             message.CodeInvalidArgument,
		`{"global_cap":0}`:                                              message.CodeInvalidArgument,
		`{"global_cap":"100"}`:                                          message.CodeInvalidArgument,
		`{"global_cap":1e300}`:                                          message.CodeInvalidArgument,
		`{"global_cap":[]}`:                                             message.CodeInvalidArgument,
		`{"global_cap":NaN}`:                                            message.CodeInvalidArgument,
		`{"allocations":{"a":"10%"}}`:                                   message.CodeInvalidArgument,
		`{"global_cap":1,"allocations":[]}`:                             message.CodeInvalidArgument,
		`{"global_cap":1,"allocations":{"a":null}}`:                     message.CodeInvalidArgument,
		`{"global_cap":1,"allocations":{"a":-0.1}}`:                     message.CodeInvalidArgument,
		`{"global_cap":1,"allocations":{"a":"10"}}`:                     message.CodeInvalidArgument,
		`{"global_cap":1,"allocations":{"a":"-10%"}}`:                   message.CodeInvalidArgument,
		`{"global_cap":1,"allocations":{"a":"NaN%"}}`:                   message.CodeInvalidArgument,
		`{"global_cap":1,"allocations":{"a":"1e99%"}}`:                  message.CodeInvalidArgument,
		`{"global_cap":1,"allocations":{"a":"1.2.3%"}}`:                 message.CodeInvalidArgument,
		`{"global_cap":90000000000,"allocations":{"a":"90000000000%"}}`: message.CodeInvalidArgument,
		`{"global_cap":1,"more":1}`:                                     message.CodeInvalidArgument,
		`7`:                                                             message.CodeInvalidArgument,
		`{`:                                                             message.CodeInvalidArgument,
	} {
		_, err := ParseBudget([]byte(document))
		var e *message.Error
		require.True(t, errors.As(err, &e), document)
		require.Equal(t, code, e.Code, "%s: %v", document, err)
	}
	_, err := ParseBudget([]byte(`{"global_cap":-1,"allocations":{"a":-2,"b":"x"}}`))
	require.EqualError(t, err, `config.budget.global_cap must not be negative, as -1 is; config.budget.allocations.a must not be negative, as -2 is; `+
		`config.budget.allocations.b must be a number or a text like "25%", not "x"`, "all faults at once")
	require.JSONEq(t, `{"errors":[
		{"path":"config.budget.global_cap","message":"config.budget.global_cap must not be negative, as -1 is"},
		{"path":"config.budget.allocations.a","message":"config.budget.allocations.a must not be negative, as -2 is"},
		{"path":"config.budget.allocations.b","message":"config.budget.allocations.b must be a number or a text like \"25%\", not \"x\""}]}`,
		string(message.AsError(err).Details))
	_, err = ParseBudget([]byte(`{"allocations":{"` + strings.Repeat("x", 10_000) + `":-1}}`))
	require.Less(t, len(err.Error()), 300, "a client's own words are kept short")
}

func FuzzParseBudgetRefusesOrHoldsTheCap(f *testing.F) {
	f.Add([]byte(`{"global_cap": 1000.5, "allocations": {"a": 500, "b": "25%", "c": "0.5%", "d": 0}}`))
	f.Add([]byte(`{"global_cap":1e9,"allocations":{"":"100%"}}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		b, err := ParseBudget(document)
		if err != nil || b == nil {
			return
		}
		total := ledger.Amount(0)
		for _, a := range b.Allocations {
			require.GreaterOrEqual(t, a, ledger.Amount(0))
			total += a
		}
		require.True(t, b.GlobalCap == 0 || total <= b.GlobalCap)
	})
}

func capped(limit string, allocations map[string]string) Config {
	c := plain()
	c.Budget = &Budget{Allocations: map[string]ledger.Amount{}}
	if limit != "" {
		c.Budget.GlobalCap, _ = ledger.ParseAmount(limit)
	}
	for name, text := range allocations {
		c.Budget.Allocations[name], _ = ledger.ParseAmount(text)
	}
	return c
}

func TestAnOrderOverItsStrategysAllocationIsRefusedCountedAndAlerted(t *testing.T) {
	b := newBench(t, capped("10000", map[string]string{"s": "500"}), at(map[int][]message.StrategyAction{
		0: {buy("a", 3)},                  // 300, by quantity at the last price
		2: {notional(buy("b", 0), 200)},   // 500: equal is fine
		4: {notional(buy("c", 0), 0.01)},  // one cent too much
		5: {sell("d", 2), buy("e", 0.01)}, // the sale has not been filled yet
		7: {notional(buy("f", 0), 200)},
	}))
	b.ticks(100, 100, 100, 100, 100, 100, 100, 100, 100)
	require.Equal(t, []string{"fill a ", "fill b ", "reject c budget_cap_exceeded", "reject e budget_cap_exceeded", "fill d ", "fill f "}, b.events())
	require.Equal(t, uint64(2), b.books.Performance().OrdersRejected)
	require.Len(t, b.diary.of(KindAlert), 2)
	require.Equal(t, AlertBudget, b.diary.of(KindAlert)[0].Alert)
}

func TestPendingOrdersCountAgainstTheBudget(t *testing.T) {
	b := newBench(t, capped("1000", nil), at(map[int][]message.StrategyAction{
		0: {limit(buy("a", 5), 90), limit(buy("b", 5), 90), limit(buy("c", 5), 50)}, // 450 and 450 at their limits, and 250
		1: {{Kind: message.ActionCancel, ID: "a"}},
		2: {limit(buy("d", 5), 50)},
	}))
	b.ticks(100, 100, 100, 100)
	require.Equal(t, []string{"reject c budget_cap_exceeded", "cancelled a cancelled_by_strategy"}, b.events())
	require.Equal(t, 2, b.run.Pending())
}

func TestAPositionCountsAtWhatItCostWhicheverWayItGoes(t *testing.T) {
	for _, short := range []bool{false, true} {
		order := func(id string, q float64) message.StrategyAction {
			if short {
				return sell(id, q)
			}
			return buy(id, q)
		}
		b := newBench(t, capped("1000", nil), at(map[int][]message.StrategyAction{0: {order("a", 9)}, 2: {order("b", 1)}, 4: {order("c", 1)}}))
		b.ticks(100, 100, 50, 200, 50, 50, 50) // at 200 the second costs more than is left
		require.Equal(t, []string{"fill a ", "fill b ", "reject c budget_cap_exceeded"}, b.events())
	}
}

func TestClosingAlwaysPassesAndTurningRoundCountsWhatItOpens(t *testing.T) {
	b := newBench(t, capped("1000", nil), at(map[int][]message.StrategyAction{
		0: {buy("in", 10)},
		2: {sell("half", 5), sell("rest", 5), sell("more", 10)}, // the third would open a short one of 10 × 100 beside what is still held
		4: {sell("short", 10)},
		6: {buy("turn", 21)}, // sets 10 free and opens 11
		7: {buy("round", 20)},
		9: {sell("out", 10)},
	}))
	b.ticks(100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100)
	require.Equal(t, []string{"fill in ", "reject more budget_cap_exceeded", "fill half ", "fill rest ", "fill short ", "reject turn budget_cap_exceeded",
		"fill round ", "fill out "}, b.events())
	require.Zero(t, b.books.Position(0).Quantity)
}

func TestAnOrderThatNoLongerClosesIsCheckedAgainWhenItIsFilled(t *testing.T) {
	b := newBench(t, capped("1000", nil), at(map[int][]message.StrategyAction{
		0: {buy("in", 10)},
		2: {limit(sell("exit", 10), 110)},
		3: {{Kind: message.ActionCancel, ID: "exit"}, limit(sell("exit2", 10), 110)},
		4: {sell("now", 10)}, // exit2 still claims to close the same ten, so this one would open
	}))
	b.ticks(100, 100, 100, 100, 100, 100, 120)
	require.Contains(t, b.events(), "reject now budget_cap_exceeded")
	require.Contains(t, b.events(), "fill exit2 ")
	require.Zero(t, b.books.Position(0).Quantity)
}

func TestTheGlobalCapIsForAllStrategiesAndSymbols(t *testing.T) {
	b := newBench(t, capped("1000", map[string]string{"s": "900"}), at(map[int][]message.StrategyAction{0: {buy("a", 8)}}))
	other := &scripted{t: t, onTick: at(map[int][]message.StrategyAction{0: {buy("b", 3)}, 2: {buy("c", 2)}})}
	require.NoError(t, b.run.Add("other", nil, other, ""))
	require.NoError(t, b.run.Activate(t.Context(), "other", "Y"))
	b.ticks(100, 100)
	require.NoError(t, b.feed("Y", 100, 100, 100, 100))
	require.Equal(t, "2", b.books.Position(1).Quantity.String(), "three were over the cap, which s had used up to 200; two were not")
	require.Equal(t, uint64(1), b.books.Performance().OrdersRejected)
}

func TestWithoutABudgetEquityTimesLeverageIsTheCap(t *testing.T) {
	c := plain()
	c.LeverageMax = 2 * ledger.One
	b := newBench(t, c, at(map[int][]message.StrategyAction{0: {buy("a", 200)}, 2: {buy("b", 0.001)}, 4: {buy("c", 20)}}))
	b.ticks(100, 100, 100, 100, 110, 110) // at 110 equity is 12,000, so 4,000 more can be had
	require.Equal(t, []string{"fill a ", "reject b insufficient_equity", "fill c "}, b.events())
	require.Empty(t, b.diary.of(KindAlert))
}
