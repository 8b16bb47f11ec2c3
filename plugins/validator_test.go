package plugins_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/sdk/abi"
)

// exampleStrategy is the configuration of strategy/README.md.
const exampleStrategy = `{"strategy_name":"dip_buyer","direction":"LONG",` +
	`"s1_signal":{"conditions":[{"id":"dip","indicatorId":"RSI_14","operator":"<","value":30},{"id":"volume","indicatorId":"VOLUME_SURGE_RATIO(20)","operator":">","value":2}]},` +
	`"o1_cancel":{"timeoutSeconds":300,"conditions":[{"id":"over","indicatorId":"RSI_14","operator":">","value":60}]},` +
	`"z1_entry":{"conditions":[{"id":"turn","indicatorId":"PRICE_MOMENTUM_5","operator":">","value":0}],` +
	`"positionSize":{"type":"percentage","value":10},"stopLoss":{"enabled":true,"offsetPercent":2},"takeProfit":{"enabled":true,"offsetPercent":5},"leverage":2},` +
	`"ze1_close":{"conditions":[{"id":"hot","indicatorId":"RSI_14","operator":">","value":70}]},` +
	`"emergency_exit":{"conditions":[{"id":"crash","indicatorId":"PRICE_CHANGE_PCT_20","operator":"<","value":-10}],"cooldownMinutes":60,` +
	`"actions":{"cancelPending":true,"closePosition":true,"logEvent":true}},` +
	`"global_limits":{"base_position_pct":0.25,"max_leverage":3,"min_position_size_usdt":10,"max_position_size_usdt":5000}}`

// verdict is the answer of a validate hook.
type verdict struct {
	Valid            bool
	Errors, Warnings []struct{ Path, Message string }
}

func TestTheEngineTakesEveryAnswerOfValidator(t *testing.T) {
	h := host(t, "validator", nil)
	for _, v := range vectors(t, "validator") {
		doc := v.Document()
		if v.Want == "error" || !json.Valid(doc) {
			continue
		}
		got, err := h.Validate(t.Context(), "", doc)
		require.NoError(t, err, v.Name)
		want := plugin.Validation{Valid: true}
		if v.Want == "data" {
			want.Valid = false
			require.NoError(t, json.Unmarshal([]byte(wanted(&v)), &want))
		}
		require.Equal(t, want.Valid, got.Valid, v.Name)
		require.ElementsMatch(t, want.Errors, got.Errors, v.Name)
		require.ElementsMatch(t, want.Warnings, got.Warnings, v.Name)
	}
}

func TestTheExampleStrategyIsValid(t *testing.T) {
	g := stock(t, "validator", "")
	require.Equal(t, answer{kind: abi.Yes}, g.call(t, abi.ExportValidate, []byte(`{"strategy_config":`+exampleStrategy+`}`)))
}

func TestEveryFindingHasItsPathInFrontOfItsMessage(t *testing.T) {
	g, seen := stock(t, "validator", ""), 0
	for _, v := range vectors(t, "validator") {
		if v.Want != "data" {
			continue
		}
		var got verdict
		require.NoError(t, json.Unmarshal([]byte(g.call(t, abi.ExportValidate, v.Document()).text), &got))
		require.Equal(t, len(got.Errors) == 0, got.Valid)
		for _, f := range append(got.Errors, got.Warnings...) {
			seen++
			if f.Path != "" {
				require.True(t, strings.HasPrefix(f.Message, f.Path+" "), f.Message)
			}
		}
	}
	require.Greater(t, seen, 300)
}

func TestMoreFindingsThanAHundredOfAKindEndTheReading(t *testing.T) {
	const more = "there are more faults or warnings than the 100 of either that are listed; the rest was not read"
	g := stock(t, "validator", "")
	check := func(doc string) (got verdict) {
		a := g.call(t, abi.ExportValidate, []byte(`{"strategy_config":`+doc+`}`))
		require.NoError(t, json.Unmarshal([]byte(a.text), &got), a.text)
		require.False(t, got.Valid)
		require.Equal(t, more, got.Errors[len(got.Errors)-1].Message)
		return got
	}
	faults := check(strings.Replace(exampleStrategy, `"ze1_close":{"conditions":[`, `"ze1_close":{"conditions":[`+strings.Repeat(`{},`, 30), 1))
	require.Len(t, faults.Errors, 101)
	warnings := check(strings.Replace(exampleStrategy, `{`, `{`+strings.Repeat(`"x":1,`, 101), 1))
	require.Len(t, warnings.Errors, 1)
	require.Len(t, warnings.Warnings, 100)
}

// TestAConfigurationMadeToBeExpensiveIsAnswered runs, through the engine with its default fuel, the documents that cost most for
// their size.
func TestAConfigurationMadeToBeExpensiveIsAnswered(t *testing.T) {
	const size = 64 << 10
	fill := func(unit string, room int) string {
		return strings.TrimSuffix(strings.Repeat(unit, room/len(unit)), ",")
	}
	member := func(name, value string) string {
		return `{"strategy_config":` + strings.TrimSuffix(exampleStrategy, "}") + `,"` + name + `":` + value + `}}`
	}
	bombs := map[string]string{
		"a list of numbers":          member("x", `[`+fill("1,", size-2000)+`]`),
		"a list of lists":            member("x", `[`+fill("[],", size-2000)+`]`),
		"members":                    member("x", `{`+fill(`"":0,`, size-2000)+`}`),
		"unknown members":            `{"strategy_config":{` + fill(`"":0,`, size-100) + `}}`,
		"the same member":            `{"strategy_config":{` + fill(`"s1_signal":0,`, size-100) + `}}`,
		"escapes":                    member("x", `"`+fill(`\n`, size-2000)+`"`),
		"escaped names":              `{"strategy_config":{` + fill(`"\u0061":0,`, size-100) + `}}`,
		"long escaped names":         `{"strategy_config":{` + fill(`"`+strings.Repeat(`\n`, 2000)+`":0,`, size-5000) + `}}`,
		"empty conditions":           `{"strategy_config":{"s1_signal":{"conditions":[` + fill(`{},`, size-100) + `]}}}`,
		"conditions of one kind":     `{"strategy_config":{"s1_signal":{"conditions":[` + fill(`{"id":0},`, size-100) + `]}}}`,
		"sections of conditions":     `{"strategy_config":{` + fill(`"s1_signal":{"conditions":[`+fill(`{"indicatorId":"SPREAD_PCT(x"},`, 2000)+`]},`, size-5000) + `}}`,
		"numbers at a midpoint":      midpoints(size),
		"an endless number":          member("x", strings.Repeat("1", size-2000)),
		"depth":                      member("x", strings.Repeat("[", 60)+strings.Repeat("]", 60)),
		"blanks":                     member("x", strings.Repeat(" ", size-2000)+"1"),
		"larger than is read":        member("x", `[`+fill("1,", 2*size)+`]`),
		"as large as a document may": member("x", `[`+fill("1,", 1<<20-2000)+`]`),
	}
	h := host(t, "validator", nil)
	for name, doc := range bombs {
		t.Run(name, func(t *testing.T) {
			require.True(t, json.Valid([]byte(doc)))
			got, err := h.Validate(t.Context(), "", []byte(doc))
			require.NoError(t, err)
			require.NotEmpty(t, append(got.Errors, got.Warnings...))
		})
	}
}

// midpoints is a configuration full of numbers that are read with all their digits, for they lie next to the middle of two.
func midpoints(size int) string {
	const number = "2.470328229206232720882843964341106861825299013071623822127e-324"
	conditions := strings.TrimSuffix(strings.Repeat(`{"id":"x","indicatorId":"PRICE","operator":">","value":`+number+`},`, 32), ",")
	doc := fmt.Sprintf(`{"strategy_config":{"s1_signal":{"conditions":[%[1]s]},"z1_entry":{"conditions":[%[1]s]},"ze1_close":{"conditions":[%[1]s]},`+
		`"o1_cancel":{"conditions":[%[1]s],"timeoutSeconds":%[2]s},"emergency_exit":{"conditions":[%[1]s]}`, conditions, number)
	for i := 0; len(doc) < size-100; i++ {
		doc += fmt.Sprintf(`,"global_limits":{"base_position_pct":%s}`, number)
	}
	return doc + `}}`
}

func BenchmarkValidator(b *testing.B) {
	doc := []byte(`{"strategy_config":` + exampleStrategy + `}`)
	b.Run("bare", func(b *testing.B) { run(b, stock(b, "validator", ""), abi.ExportValidate, doc) })
	b.Run("host", func(b *testing.B) {
		h := host(b, "validator", nil)
		b.ReportAllocs()
		for b.Loop() {
			if got, err := h.Validate(b.Context(), "", doc); err != nil || !got.Valid {
				b.Fatal(err)
			}
		}
	})
}

// FuzzValidator: whatever comes in, what goes out is an error, a yes, or a well-formed verdict.
func FuzzValidator(f *testing.F) {
	for _, v := range vectors(f, "validator") {
		f.Add(v.Document())
	}
	g := stock(f, "validator", "")
	f.Fuzz(func(t *testing.T, doc []byte) {
		if len(doc) > abi.BufferBytes {
			return
		}
		switch got := g.call(t, abi.ExportValidate, doc); got.kind {
		case abi.Data:
			var v verdict
			require.NoError(t, json.Unmarshal([]byte(got.text), &v), got.text)
			require.Equal(t, len(v.Errors) == 0, v.Valid)
			require.NotEmpty(t, append(v.Errors, v.Warnings...))
			require.True(t, json.Valid(doc), "%q", doc)
		case abi.Yes:
			require.True(t, json.Valid(doc), "%q", doc)
		default:
			require.Equal(t, abi.ErrorText, got.kind)
		}
	})
}
