package ledger

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// trading does things to a ledger that random bytes choose.
type trading struct {
	t      testing.TB
	ledger *Ledger
	nowMS  float64
}

func tradingConfig() Config {
	return Config{InitialBalance: 10_000 * One, EquityPointsMax: 6, TradesMax: 5, BooksMax: 20}
}

// do takes one step, which op chooses from and size and at say how large and where. Errors are fine: they book nothing.
func (g *trading) do(op byte, size, at uint16) {
	l := g.ledger
	names := []string{"a", "b", "c"}
	symbols := []string{"X", "Y"}
	id, err := l.Book(names[int(op>>4)%3], symbols[int(op>>6)%2])
	require.NoError(g.t, err)
	symbol := l.books[id].symbol
	prices := []float64{(float64(at) + 1) / 100, (float64(at) + 1) / 7, (float64(at) + 1) * 1e-9, (float64(at) + 1) * 1e6}
	price, err := PriceFromFloat(prices[int(op>>5)%4])
	require.NoError(g.t, err)
	quantity := Amount(size) * One / 64
	switch op % 16 {
	case 0, 1, 2, 3, 4, 5:
		g.nowMS += float64(size) * 100
		_ = l.Tick(symbol, g.nowMS, price.Float64())
	case 6:
		g.nowMS += float64(size) * dayMS / 4096
		_ = l.Tick(symbol, g.nowMS-float64(at), price.Float64())
	case 7:
		_ = l.Tick(symbol, g.nowMS-1, price.Float64())
	case 8:
		l.Signal(id)
		l.Placed(id)
	case 9:
		l.Rejected(id, names[at%3])
		l.Cancelled(id)
	case 10:
		quantity = quantity * 1_000_000_007
		fallthrough
	default:
		_, _ = l.Fill(id, Fill{Sell: op&1 == 1, Quantity: quantity, Price: price, Fee: Amount(at) - 100, TimeMS: int64(g.nowMS), Reason: "r"})
	}
}

func (g *trading) run(input []byte) {
	for ; len(input) >= 5; input = input[5:] {
		g.do(input[0], uint16(input[1])<<8|uint16(input[2]), uint16(input[3])<<8|uint16(input[4]))
	}
}

func everything(l *Ledger) []any {
	out := []any{l.Results(), l.ClockMS(), l.InvalidTicks(), l.Equity(), l.Balance(), l.Unrealized()}
	for _, name := range []string{"X", "Y"} {
		r, ok := l.SymbolResults(name)
		out = append(out, r, ok)
	}
	for _, name := range []string{"a", "b", "c"} {
		r, ok := l.StrategyResults(name)
		out = append(out, r, ok)
	}
	for id := range l.books {
		out = append(out, l.Position(BookID(id)))
	}
	return out
}

// requireSameAfterRestore runs input on one ledger in one go, and on one that is snapshot and restored after cut bytes.
func requireSameAfterRestore(t *testing.T, input []byte, cut int) {
	cut = cut / 5 * 5
	whole, err := New(tradingConfig())
	require.NoError(t, err)
	g := &trading{t: t, ledger: whole}
	g.run(input[:cut])
	requireBalanced(t, whole)
	document, err := whole.Snapshot()
	require.NoError(t, err)
	restored, err := Restore(document, tradingConfig())
	require.NoError(t, err, "%s", document)
	again, err := restored.Snapshot()
	require.NoError(t, err)
	require.Equal(t, string(document), string(again))
	require.Equal(t, everything(whole), everything(restored))
	(&trading{t: t, ledger: restored, nowMS: g.nowMS}).run(input[cut:])
	g.run(input[cut:])
	requireBalanced(t, whole)
	requireBalanced(t, restored)
	require.Equal(t, everything(whole), everything(restored))
}

func TestARestoredLedgerGoesOnLikeTheOneItWasTakenOf(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		input := make([]byte, 5*random.IntN(200))
		for i := range input {
			input[i] = byte(random.Uint32())
		}
		requireSameAfterRestore(t, input, random.IntN(len(input)+1))
	}
}

func FuzzAnyTradingBalancesAndSurvivesASnapshot(f *testing.F) {
	f.Add([]byte{}, uint16(0))
	f.Add([]byte("\x00\x01\x00\x10\x00\x0b\x01\x00\x10\x00\x00\x01\x00\x20\x00\x0c\x02\x00\x20\x00\x06\xff\xff\x00\x01"), uint16(10))
	f.Add([]byte(strings.Repeat("\x00\x01\x00\x10\x00\x8d\x01\x00\x10\x00\x0a\xff\xff\xff\xff", 10)), uint16(70))
	f.Fuzz(func(t *testing.T, input []byte, cut uint16) {
		if len(input) > 5000 {
			return
		}
		requireSameAfterRestore(t, input, min(int(cut), len(input)))
	})
}

func tradedSnapshot(t testing.TB) []byte {
	l, err := New(tradingConfig())
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(3, 4))
	g := &trading{t: t, ledger: l}
	for range 300 {
		g.do(byte(random.Uint32())|4, uint16(random.Uint32())&0xfff, uint16(random.Uint32()))
	}
	document, err := l.Snapshot()
	require.NoError(t, err)
	return document
}

func TestASnapshotHasEveryMemberThatRestoreReads(t *testing.T) {
	l, err := Restore(tradedSnapshot(t), tradingConfig())
	require.NoError(t, err)
	l.Rejected(0, "a \"reason\"")
	l.Rejected(0, "another")
	document, err := l.Snapshot()
	require.NoError(t, err)
	var read snapshot
	require.NoError(t, json.Unmarshal(document, &read))
	require.Len(t, read.Books[0].Rejections, 2)
	require.NotEmpty(t, read.Trades)
	again, err := json.Marshal(&read)
	require.NoError(t, err)
	require.JSONEq(t, string(document), string(again))
}

func FuzzRestoreRefusesOrBalances(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add(tradedSnapshot(f))
	l, err := New(DefaultConfig())
	require.NoError(f, err)
	empty, err := l.Snapshot()
	require.NoError(f, err)
	f.Add(empty)
	f.Fuzz(func(t *testing.T, document []byte) {
		l, err := Restore(document, tradingConfig())
		if err != nil {
			require.ErrorIs(t, err, ErrSnapshot)
			return
		}
		requireBalanced(t, l)
		(&trading{t: t, ledger: l, nowMS: float64(l.ClockMS())}).run([]byte("\x00\x01\x00\x10\x00\x0b\x01\x00\x10\x00\x06\xff\xff\x00\x01\x0c\x02\x00\x20\x00"))
		requireBalanced(t, l)
		_, err = l.Snapshot()
		require.NoError(t, err)
	})
}

func TestASnapshotThatContradictsItselfIsRefused(t *testing.T) {
	document := string(tradedSnapshot(t))
	_, err := Restore([]byte(document), tradingConfig())
	require.NoError(t, err)
	for name, change := range map[string]func(map[string]any){
		"version":         func(d map[string]any) { d["version"] = 2 },
		"unknown field":   func(d map[string]any) { d["more"] = 1 },
		"initial balance": func(d map[string]any) { d["initial_balance"] = 0 },
		"cash":            func(d map[string]any) { first(d, "books")["cash"] = 1 },
		"book's strategy": func(d map[string]any) { first(d, "books")["strategy"] = 99 },
		"book's symbol":   func(d map[string]any) { first(d, "books")["symbol"] = -1 },
		"book twice":      func(d map[string]any) { d["books"] = append(d["books"].([]any), d["books"].([]any)[0]) },
		"no average":      func(d map[string]any) { first(d, "books")["average"] = 0; first(d, "books")["quantity"] = 1 },
		"symbol twice":    func(d map[string]any) { d["symbols"] = append(d["symbols"].([]any), d["symbols"].([]any)[0]) },
		"strategy twice":  func(d map[string]any) { d["strategies"] = append(d["strategies"].([]any), d["strategies"].([]any)[0]) },
		"last tick":       func(d map[string]any) { first(d, "symbols")["last_ms"] = -1 },
		"nine decimals":   func(d map[string]any) { first(d, "books")["fees"] = 0.123456789 },
		"trade's book":    func(d map[string]any) { first(d, "trades")["book"] = 99 },
		"peak":            func(d map[string]any) { d["session"].(map[string]any)["peak"] = 0 },
		"interval":        func(d map[string]any) { d["clock"].(map[string]any)["interval_ms"] = 0 },
		"days":            func(d map[string]any) { d["clock"].(map[string]any)["daily"].(map[string]any)["days"] = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			var d map[string]any
			require.NoError(t, json.Unmarshal([]byte(document), &d))
			change(d)
			text, err := json.Marshal(d)
			require.NoError(t, err)
			_, err = Restore(text, tradingConfig())
			require.ErrorIs(t, err, ErrSnapshot)
		})
	}
	_, err = Restore([]byte(document+"{}"), tradingConfig())
	require.ErrorIs(t, err, ErrSnapshot)
}

func first(d map[string]any, list string) map[string]any { return d[list].([]any)[0].(map[string]any) }

func TestRestoringWithLowerLimitsKeepsWhatIsNew(t *testing.T) {
	l, err := Restore(tradedSnapshot(t), tradingConfig())
	require.NoError(t, err)
	before := l.Results()
	document, err := l.Snapshot()
	require.NoError(t, err)
	c := tradingConfig()
	c.TradesMax, c.EquityPointsMax = 2, 3
	l, err = Restore(document, c)
	require.NoError(t, err)
	after := l.Results()
	require.Equal(t, before.Trades[3:], after.Trades)
	require.Equal(t, before.Performance, after.Performance)
	require.LessOrEqual(t, len(after.Equity), 4)
	require.Equal(t, before.Equity[len(before.Equity)-1], after.Equity[len(after.Equity)-1])
}

func benchLedger(b testing.TB, held int) (*Ledger, SymbolID) {
	l, err := New(DefaultConfig())
	require.NoError(b, err)
	s, err := l.Symbol("X")
	require.NoError(b, err)
	for _, name := range []string{"a", "b", "c", "d"}[:held] {
		id, err := l.Book(name, "X")
		require.NoError(b, err)
		_, err = l.Fill(id, Fill{Quantity: amount(b, "0.02314567"), Price: price(b, "43210.12")})
		require.NoError(b, err)
	}
	require.NoError(b, l.Tick(s, 0, 43210.12))
	return l, s
}

// benchPrices are some that change with every tick, with two decimals.
func benchPrices() (prices [4096]float64) {
	random := rand.New(rand.NewPCG(1, 2))
	cents := 4321012.0
	for i := range prices {
		cents += float64(random.IntN(201) - 100)
		prices[i] = cents / 100
	}
	return prices
}

func BenchmarkTick(b *testing.B) {
	prices := benchPrices()
	for _, c := range []struct {
		name string
		held int
	}{{"nothing held", 0}, {"one position", 1}, {"four positions", 4}} {
		b.Run(c.name, func(b *testing.B) {
			l, s := benchLedger(b, c.held)
			b.ReportAllocs()
			now, i := 0.0, 0
			for b.Loop() {
				now += 50
				i++
				if l.Tick(s, now, prices[i%len(prices)]) != nil {
					b.Fatal()
				}
			}
		})
	}
}

func BenchmarkFill(b *testing.B) {
	l, _ := benchLedger(b, 1)
	p, q := price(b, "43210.12"), amount(b, "0.5")
	b.ReportAllocs()
	sell := false
	for b.Loop() {
		if _, err := l.Fill(0, Fill{Sell: sell, Quantity: q, Price: p, Fee: 100}); err != nil {
			b.Fatal(err)
		}
		sell = !sell
	}
}

func BenchmarkSnapshot(b *testing.B) {
	traded, s := benchLedger(b, 1)
	p := price(b, "43210.12")
	for i := range 2000 {
		require.NoError(b, traded.Tick(s, float64(i)*60_000, 43210.12+float64(i)/100))
		_, err := traded.Fill(0, Fill{Sell: i%2 == 1, Quantity: One, Price: p, TimeMS: int64(i) * 60_000})
		require.NoError(b, err)
	}
	wide, _ := benchLedger(b, 1)
	for i := range 50 {
		id, err := wide.Book("a", fmt.Sprint("S", i))
		require.NoError(b, err)
		_, err = wide.Fill(id, Fill{Quantity: One, Price: p})
		require.NoError(b, err)
		require.NoError(b, wide.Tick(wide.byName[fmt.Sprint("S", i)], 50, 43210.13))
	}
	for _, c := range []struct {
		name   string
		ledger *Ledger
	}{{"500 trades", traded}, {"50 symbols", wide}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				document, err := c.ledger.Snapshot()
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(document)))
			}
		})
	}
}

func TestATickAllocatesNothing(t *testing.T) {
	prices := benchPrices()
	for _, held := range []int{0, 1, 4} {
		l, s := benchLedger(t, held)
		now, i := 0.0, 0
		require.NoError(t, l.Tick(s, now, prices[0]))
		tick := func() {
			now += 7000 // each one is in another interval of the curve
			i++
			if l.Tick(s, now, prices[i%len(prices)]) != nil {
				t.Fatal()
			}
		}
		tick()
		require.Zero(t, testing.AllocsPerRun(2000, tick))
	}
}
