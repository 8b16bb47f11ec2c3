package plugins_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
)

// watching is a strategy that never does anything and looks at those indicators.
func watching(ids []string) string {
	condition := func(i int, id string) string {
		return fmt.Sprintf(`{"id":"%d","indicatorId":%q,"operator":">","value":0}`, i, id)
	}
	var parts [2][]string
	for i, id := range ids {
		parts[i%2] = append(parts[i%2], condition(i, id))
	}
	return fmt.Sprintf(`{"strategy_name":"watching","s1_signal":{"conditions":[{"id":"never","indicatorId":"PRICE","operator":"<","value":0}]},`+
		`"z1_entry":{"conditions":[{"id":"never","indicatorId":"PRICE","operator":"<","value":0}],"positionSize":{"type":"fixed","value":1}},`+
		`"ze1_close":{"conditions":[%s]},"o1_cancel":{"timeoutSeconds":0,"conditions":[%s]},"emergency_exit":{"conditions":[],"cooldownMinutes":0,`+
		`"actions":{"cancelPending":true,"closePosition":true,"logEvent":true}}}`, strings.Join(parts[0], ","), strings.Join(parts[1], ","))
}

// values are what a strategy reported at a tick.
type values struct {
	tick  int
	value map[string]float64
}

// report runs ticks and returns the reports of indicators, at most one each interval.
func report(t testing.TB, h *plugin.Host, config string, interval int, ticks []message.StrategyTick) (reports []values) {
	t.Helper()
	s, err := h.OpenStrategy(t.Context(), "watching")
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	require.NoError(t, s.Open(t.Context(), openDocument(1, config, interval)))
	for done := 0; done < len(ticks); {
		n, actions, err := s.Ticks(t.Context(), 1, ticks[done:min(done+4096, len(ticks))])
		require.NoError(t, err)
		for _, a := range actions {
			if a.Kind != message.ActionIndicator {
				continue
			}
			if at := done + a.At; len(reports) == 0 || reports[len(reports)-1].tick != at {
				reports = append(reports, values{at, map[string]float64{}})
			}
			reports[len(reports)-1].value[a.Name] = a.Value
		}
		done += n
	}
	return reports
}

// every lists each indicator, with its defaults and with other parameters.
func every() []string {
	ids := []string{"MACD.signal", "MACD.histogram", "MACD_3_7_4", "MACD(5,35,5).histogram", "BOLLINGER_BANDS.upper", "BOLLINGER_BANDS.middle",
		"BOLLINGER_BANDS.lower", "BOLLINGER_BANDS_5_1.5", "BOLLINGER_BANDS(1)", "VWAP_7", "VWAP_50", "SMA_1", "EMA_1", "RSI_1", "RSI_2", "ATR_1",
		"SMA_200", "EMA_100", "TWPA_1", "TWPA_3", "VOLATILITY_2", "VOLATILITY_100", "PRICE_VELOCITY_1", "PRICE_MOMENTUM_33", "PRICE_CHANGE_PCT_1",
		"PUMP_MAGNITUDE_PCT_1", "PUMP_MAGNITUDE_PCT_64", "VOLUME_SURGE_RATIO_3", "HIGHEST_1", "HIGHEST_65", "LOWEST_2", "LOWEST_128", "SPREAD_PCT_2", "SPREAD_PCT_9"}
	for name := range defaults() {
		ids = append(ids, name)
	}
	return ids
}

// market is a random walk with everything that ticks may be: times that stand still, volumes of nothing and of very much,
// stretches without movement, and prices that collapse and recover.
func market(n int) []message.StrategyTick {
	r := deterministic()
	ticks, price, at, flat, silent := make([]message.StrategyTick, n), 100.0, 1.7e12, 0, 0
	for i := range ticks {
		switch {
		case flat > 0:
			flat--
		case r.IntN(700) == 0:
			flat = 250
		case r.IntN(900) == 0:
			price = math.Round(price*[]float64{0.01, 100}[r.IntN(2)]*100)/100 + 0.01
		default:
			price = math.Max(0.01, math.Round(price*(1+0.01*(r.Float64()-0.5))*100)/100)
		}
		price = math.Max(math.Min(price, 1e6), 10)
		if silent--; silent < 0 && r.IntN(500) == 0 {
			silent = 120
		}
		volume := math.Pow(10, 12*r.Float64()-6)
		if silent > 0 || r.IntN(5) == 0 {
			volume = 0
		}
		if r.IntN(6) != 0 {
			at += float64(1 + r.IntN(2000))
		}
		ticks[i] = message.StrategyTick{TimeMS: at, Price: price, Volume: volume, QuoteVolume: price * volume}
	}
	return ticks
}

// isClose compares a value with the naive one, to 1e-9 of it, or of what it is the difference of.
func isClose(want, got, price float64, x indicatorID) bool {
	unit := math.Abs(want)
	switch x.name {
	case "MACD", "PRICE_MOMENTUM":
		unit = math.Max(unit, price*1e-3)
	case "SPREAD_PCT": // a root: what is compared is what it is the root of
		want, got, unit = want*want, got*got, math.Max(want*want, 1e-3)
	case "RSI", "BOLLINGER_BANDS":
		unit = math.Max(unit, 1)
	case "VOLATILITY":
		unit = math.Max(unit, 1e-3)
	}
	return math.Abs(want-got) <= 1e-9*unit
}

func compare(t *testing.T, ids []string, ticks []message.StrategyTick, reports []values) {
	t.Helper()
	s := newNaive(ticks)
	for _, id := range ids {
		x, name, had := parseID(id), strings.ToUpper(id), 0
		for _, r := range reports {
			want := s.at(x, r.tick)
			got, has := r.value[name]
			if math.IsNaN(want) == has || has && !isClose(want, got, ticks[r.tick].Price, x) {
				require.Fail(t, "another value", "%s at tick %d: want %v, got %v (%t)", id, r.tick, want, got, has)
			}
			if has {
				had++
			}
		}
		require.NotZero(t, had, id)
	}
}

func TestIndicatorsAreWhatTheirDefinitionsSay(t *testing.T) {
	ticks := market(4000)
	for i := range ticks {
		ticks[i].TimeMS += float64(i) // so that the interval of 1 ms has each tick reported
	}
	for ids := range slices.Chunk(every(), 19) {
		reports := report(t, host(t, "strategy", nil), watching(ids), 1, ticks)
		compare(t, ids, ticks, reports)
	}
}

func TestIndicatorsDoNotDriftInAMillionTicks(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	ticks := market(1_000_000)
	for ids := range slices.Chunk(every(), 19) {
		reports := report(t, host(t, "strategy", nil), watching(ids), 2_000_000, ticks)
		require.Greater(t, len(reports), 300)
		compare(t, ids, ticks, reports)
	}
}

func TestLongWindowsAreComputedAsShortOnesAre(t *testing.T) {
	ticks := market(25_000)
	ids := []string{"SMA_10000", "EMA_10000", "HIGHEST_10000", "LOWEST_10000", "BOLLINGER_BANDS_10000_2", "VOLATILITY_10000", "TWPA_10000", "VWAP_10000", "SPREAD_PCT_10000"}
	reports := report(t, host(t, "strategy", nil), watching(ids), 300_000, ticks)
	compare(t, ids, ticks, reports)
}

// TestQueuesOfExtremesSurviveEveryOrder is what a queue that is kept in order is hardest for: long falls that one rise ends.
func TestQueuesOfExtremesSurviveEveryOrder(t *testing.T) {
	r := deterministic()
	var ticks []message.StrategyTick
	for len(ticks) < 20_000 {
		step, n := r.Float64()-0.5, 1+r.IntN(400)
		price := 1 + 100*r.Float64()
		for range n {
			price = math.Max(1, price+step)
			ticks = append(ticks, message.StrategyTick{TimeMS: float64(len(ticks)), Price: price, Volume: 1})
		}
	}
	ids := []string{"HIGHEST_300", "LOWEST_300", "HIGHEST_7", "LOWEST_7", "PUMP_MAGNITUDE_PCT_100"}
	compare(t, ids, ticks, report(t, host(t, "strategy", nil), watching(ids), 1, ticks))
}

func TestValidatorAndStrategyKnowTheSameIndicators(t *testing.T) {
	v, s := host(t, "validator", nil), host(t, "strategy", nil)
	for _, vector := range vectors(t, "validator") {
		var doc struct {
			Config json.RawMessage `json:"strategy_config"`
		}
		if json.Unmarshal(vector.Document(), &doc) != nil || !bytes.HasPrefix(doc.Config, []byte("{")) {
			continue
		}
		verdict, err := v.Validate(t.Context(), "any", vector.Document())
		require.NoError(t, err, vector.Name)
		strategy, err := s.OpenStrategy(t.Context(), "any")
		require.NoError(t, err)
		err = strategy.Open(t.Context(), openDocument(1, string(doc.Config), 0))
		require.Equal(t, verdict.Valid, err == nil, "%s: %v", vector.Name, err)
		if !verdict.Valid {
			require.ErrorContains(t, err, "strategy_config: "+verdict.Errors[0].Message)
		}
		require.NoError(t, strategy.Close())
	}
}
