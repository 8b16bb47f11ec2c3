package ledger

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

// desk is a ledger with one book, for tests that read like a day's trading.
type desk struct {
	t *testing.T
	*Ledger
	book   BookID
	symbol SymbolID
	now    int64
}

func newDesk(t *testing.T) *desk {
	l, err := New(DefaultConfig())
	require.NoError(t, err)
	d := &desk{t: t, Ledger: l}
	d.book, err = l.Book("momentum", "BTC_USDT")
	require.NoError(t, err)
	d.symbol, err = l.Symbol("BTC_USDT")
	require.NoError(t, err)
	return d
}

func (d *desk) tick(price float64) {
	d.t.Helper()
	d.now += 1000
	require.NoError(d.t, d.Tick(d.symbol, float64(d.now), price))
}

func (d *desk) fill(side, quantity, at, fee string) Booked {
	d.t.Helper()
	b, err := d.Fill(d.book, Fill{Sell: side == "sell", Quantity: amount(d.t, quantity), Price: price(d.t, at), Fee: amount(d.t, fee), TimeMS: d.now, Reason: "test"})
	require.NoError(d.t, err)
	d.balanced()
	return b
}

// balanced checks what must hold at all times.
func (d *desk) balanced() { d.t.Helper(); requireBalanced(d.t, d.Ledger) }

func requireBalanced(t *testing.T, l *Ledger) {
	t.Helper()
	var books, strategies, symbols, none sums
	bad := false // not looked at, see below
	for i := range l.books {
		b := &l.books[i]
		books.add(&b.sums, &bad)
		require.Equal(t, b.settled, b.cash+b.inventory, "book %d: cash + inventory = realized − fees", i)
		require.Equal(t, b.position.cost, b.inventory)
		if b.position.quantity == 0 {
			require.Equal(t, position{}, b.position)
			require.Zero(t, b.unrealized)
		} else {
			require.Equal(t, l.symbols[b.symbol].mark.mustOf(t, b.position.quantity)-b.position.cost, b.unrealized)
		}
	}
	for i := range l.strategies {
		strategies.add(&l.strategies[i].sums, &bad)
	}
	for i := range l.symbols {
		symbols.add(&l.symbols[i].sums, &bad)
	}
	// A sum on the way may be out of range though the whole is not: sums wrap, so that their order does not matter (see plus).
	require.Equal(t, books, l.session.sums, "the session is the sum of its books")
	require.Equal(t, strategies, l.session.sums, "the session is the sum of its strategies")
	require.Equal(t, symbols, l.session.sums, "the session is the sum of its symbols")
	require.Equal(t, l.session.settled, l.session.realized-l.session.fees)
	require.Equal(t, l.Equity(), l.Balance()+l.Unrealized())
	if len(l.books) == 0 {
		require.Equal(t, none, l.session.sums)
	}
}

func (p Price) mustOf(t *testing.T, q Amount) Amount {
	a, err := p.Of(q)
	require.NoError(t, err)
	return a
}

func TestALongPositionGainsWhatThePriceRises(t *testing.T) {
	d := newDesk(t)
	d.tick(100)
	d.fill("buy", "2", "100.5", "0.201")
	require.Equal(t, "-1", d.Unrealized().String(), "valued at the last tick")
	d.tick(110)
	require.Equal(t, "19", d.Unrealized().String())
	require.Equal(t, "10018.799", d.Equity().String())
	booked := d.fill("sell", "2", "109", "0.218")
	require.Equal(t, "17", booked.Realized.String())
	require.Equal(t, "10016.581", d.Equity().String())
	r := d.Results()
	require.Equal(t, []message.Trade{{Strategy: "momentum", Symbol: "BTC_USDT", Side: "LONG", Quantity: "2", EntryPrice: "100.5", ExitPrice: "109",
		EntryMS: 1000, ExitMS: 2000, RealizedPnL: "17", Fees: "0.419", Net: "16.581", Reason: "test"}}, r.Trades)
	require.Empty(t, r.Positions)
	require.Equal(t, message.Decimal("16.581"), r.Performance.NetPnL)
	require.Equal(t, 1.0, r.Performance.WinRate)
}

func TestAShortPositionGainsWhatThePriceFalls(t *testing.T) {
	d := newDesk(t)
	d.tick(100)
	d.fill("sell", "3", "100", "0")
	d.tick(90)
	require.Equal(t, "30", d.Unrealized().String())
	require.Equal(t, message.Position{Strategy: "momentum", Symbol: "BTC_USDT", Quantity: "-3", AveragePrice: "100", LastPrice: "90", UnrealizedPnL: "30"},
		d.Results().Positions[0])
	d.fill("buy", "3", "95", "0")
	require.Equal(t, "15", d.Realized().String())
	require.Equal(t, "SHORT", d.Results().Trades[0].Side)
}

func TestAPartlyClosedPositionKeepsItsShareOfCostAndFees(t *testing.T) {
	d := newDesk(t)
	d.tick(10)
	d.fill("buy", "1", "10", "0.3")
	d.fill("buy", "2", "13", "0.6")
	require.Equal(t, "12", d.Position(d.book).AveragePrice.String())
	d.fill("sell", "1", "15", "0.1")
	require.Equal(t, "3", d.Realized().String())
	trade := d.Results().Trades[0]
	require.Equal(t, []message.Decimal{"12", "0.4", "2.6"}, []message.Decimal{trade.EntryPrice, trade.Fees, trade.Net})
	p := d.Position(d.book)
	require.Equal(t, []string{"2", "24", "12"}, []string{p.Quantity.String(), p.Cost.String(), p.AveragePrice.String()})
	d.fill("sell", "2", "11", "0.2")
	require.Equal(t, "1", d.Realized().String())
	require.Equal(t, message.Decimal("0.8"), d.Results().Trades[1].Fees, "two thirds of 0.9 and what closing cost")
	require.Equal(t, uint64(1), d.Performance().Losses)
	require.Equal(t, 0.5, d.Performance().WinRate)
}

func TestARoundingRestNeverStaysInAClosedPosition(t *testing.T) {
	d := newDesk(t)
	d.tick(0.333)
	d.fill("buy", "1", "0.33333333333", "0.00000001")
	for range 3 {
		d.fill("sell", "0.33333333", "0.4", "0.00000001")
	}
	d.fill("sell", "0.00000001", "0.4", "0")
	require.Zero(t, d.books[0].inventory)
	require.Equal(t, d.Balance(), d.Equity())
}

func TestAFillThatTurnsAPositionRoundClosesItAndOpensTheOther(t *testing.T) {
	d := newDesk(t)
	d.tick(100)
	d.fill("buy", "1", "100", "0.1")
	booked := d.fill("sell", "4", "110", "0.44")
	require.Equal(t, []Amount{One, 10 * One}, []Amount{booked.Closed, booked.Realized})
	require.Equal(t, message.Decimal("0.21"), d.Results().Trades[0].Fees, "0.1 for entering and a quarter of 0.44")
	p := d.Position(d.book)
	require.Equal(t, []string{"-3", "330", "110"}, []string{p.Quantity.String(), p.Cost.String(), p.AveragePrice.String()})
	d.tick(120)
	require.Equal(t, "-30", d.Unrealized().String())
}

func TestATradeThatOnlyPaysItsFeesIsALoss(t *testing.T) {
	d := newDesk(t)
	d.tick(100)
	d.fill("buy", "1", "100", "0.1")
	d.fill("sell", "1", "100.1", "0.1")
	require.Equal(t, []uint64{1, 0, 1}, []uint64{d.Performance().Trades, d.Performance().Wins, d.Performance().Losses})
	d.fill("buy", "1", "100", "0")
	d.fill("sell", "1", "100", "0")
	require.Equal(t, []uint64{2, 0, 1}, []uint64{d.Performance().Trades, d.Performance().Wins, d.Performance().Losses}, "neither won nor lost")
}

func TestARebateIsAFeeBelowZero(t *testing.T) {
	d := newDesk(t)
	d.tick(100)
	d.fill("buy", "1", "100", "-0.05")
	require.Equal(t, "10000.05", d.Equity().String())
}

func TestDrawdownIsLookedAtOnEveryTickAndNotBetweenThem(t *testing.T) {
	d := newDesk(t)
	d.tick(100)
	d.fill("buy", "10", "100", "0")
	for _, price := range []float64{150, 110, 120, 119, 200, 130} {
		d.tick(price)
	}
	require.Equal(t, message.Decimal("700"), d.Performance().MaxDrawdown, "from 11000 to 10300")
	require.InDelta(t, 100*700.0/11000, d.Performance().MaxDrawdownPct, 1e-12)
	d.fill("sell", "10", "10", "0") // equity is 9100 now
	require.Equal(t, message.Decimal("700"), d.Performance().MaxDrawdown)
	d.tick(130)
	require.Equal(t, message.Decimal("1900"), d.Performance().MaxDrawdown, "nothing is held, but a fill was booked since the last tick")
	p, _ := d.SymbolResults("BTC_USDT")
	require.Equal(t, message.Decimal("1900"), p.Performance.MaxDrawdown)
	p, _ = d.StrategyResults("momentum")
	require.Equal(t, message.Decimal("1900"), p.Performance.MaxDrawdown)
	require.Equal(t, message.Decimal("1900"), p.BySymbol[0].Performance.MaxDrawdown)
}

func TestTheLargestFallInPercentMayBeAnother(t *testing.T) {
	var d drawdown
	d.Peak = 100
	for _, equity := range []Amount{50, 1000, 900} {
		d.look(equity)
	}
	require.Equal(t, drawdown{Peak: 1000, Current: 100, Worst: 100, Percent: 50}, d)
}

func TestSharpeAndSortinoAreOfDailyReturns(t *testing.T) {
	d := newDesk(t)
	d.tick(100)
	d.fill("buy", "100", "100", "0") // equity is 100 × price
	day := int64(dayMS)
	for i, prices := range [][]float64{{100, 90, 110}, {100, 121}, {110}, nil, {115.5, 104}, {114.4}} {
		d.now = day * int64(i)
		for _, p := range prices {
			d.tick(p)
		}
	}
	returns := []float64{0.10, 0.10, -1.0 / 11, 0, 104/110.0 - 1, 0.10} // the fourth day had no ticks; the first starts at 10000
	var sum, squares, downside float64
	for _, r := range returns {
		sum += r
		downside += math.Min(r, 0) * math.Min(r, 0)
	}
	mean := sum / 6
	for _, r := range returns {
		squares += (r - mean) * (r - mean)
	}
	p := d.Performance()
	require.InDelta(t, mean/math.Sqrt(squares/5)*math.Sqrt(365), *p.Sharpe, 1e-9)
	require.InDelta(t, mean/math.Sqrt(downside/6)*math.Sqrt(365), *p.Sortino, 1e-9)
}

func TestThereIsNoSharpeWithoutTwoDaysOrWithoutChange(t *testing.T) {
	d := newDesk(t)
	d.tick(100)
	require.Nil(t, d.Performance().Sharpe)
	d.now = 3 * dayMS
	d.tick(100)
	require.Nil(t, d.Performance().Sharpe, "nothing ever changed")
	d.fill("buy", "1000", "100", "0")
	d.tick(50)
	d.now = 5 * dayMS
	d.tick(100)
	require.Nil(t, d.Performance().Sharpe, "a day ended with nothing left")
	require.Nil(t, d.Performance().Sortino)
}

func TestTheEquityCurveIsBoundedAndEndsWithThePresent(t *testing.T) {
	c := DefaultConfig()
	c.EquityPointsMax = 8
	l, err := New(c)
	require.NoError(t, err)
	book, err := l.Book("s", "X")
	require.NoError(t, err)
	require.NoError(t, l.Tick(0, 0, 1))
	_, err = l.Fill(book, Fill{Quantity: One, Price: price(t, "1"), TimeMS: 0})
	require.NoError(t, err)
	for i := range 1000 {
		require.NoError(t, l.Tick(0, float64(i*500), float64(i+1)))
		curve := l.Results().Equity
		require.LessOrEqual(t, len(curve), 8)
		require.Equal(t, message.EquityPoint{TimeMS: int64(i * 500), Equity: (10_000*One + Amount(i)*One).Decimal()}, curve[len(curve)-1])
		for k := 1; k < len(curve); k++ {
			require.Greater(t, curve[k].TimeMS, curve[k-1].TimeMS)
			require.Equal(t, curve[k].TimeMS/500, int64(amount(t, string(curve[k].Equity))/One)-10_000, "a point is the equity at its time")
		}
	}
	require.GreaterOrEqual(t, len(l.Results().Equity), 4)
}

func TestTheEquityCurveNeverHasMorePointsThanItMay(t *testing.T) {
	for _, most := range []int{2, 3, 10} {
		c := DefaultConfig()
		c.EquityPointsMax = most
		l, err := New(c)
		require.NoError(t, err)
		id, err := l.Symbol("A")
		require.NoError(t, err)
		for second := range 1000 {
			require.NoError(t, l.Tick(id, float64(second)*1000, 1))
			curve := l.Results().Equity
			require.LessOrEqual(t, len(curve), most, "after %d ticks", second+1)
			require.EqualValues(t, second*1000, curve[len(curve)-1].TimeMS)
			if second+1 <= most {
				require.Len(t, curve, second+1, "nothing is left out before it has to be")
			}
		}
	}
}

func TestATickThatIsNoneChangesOnlyACount(t *testing.T) {
	d := newDesk(t)
	d.tick(100)
	d.fill("buy", "1", "100", "0")
	d.tick(101)
	before := d.Results()
	for _, c := range []struct{ at, price float64 }{{3000, 0}, {3000, -1}, {3000, math.NaN()}, {3000, math.Inf(1)}, {math.NaN(), 1}, {math.Inf(1), 1}, {-1, 1}, {1e15, 1}} {
		require.ErrorIs(t, d.Tick(d.symbol, c.at, c.price), ErrTick)
	}
	require.ErrorIs(t, d.Tick(d.symbol, 3000, 1e18), ErrOverflow)
	require.ErrorIs(t, d.Tick(d.symbol, 3000, 1e200), ErrOverflow)
	after := d.Results()
	require.Equal(t, uint64(10), after.Performance.TicksInvalid, "whoever asks is told")
	after.Performance.TicksInvalid = 0
	require.Equal(t, before, after)
	require.Equal(t, uint64(10), d.InvalidTicks())
	require.ErrorIs(t, d.Tick(d.symbol, 1999, 100), ErrOutOfOrder)
	require.NoError(t, d.Tick(d.symbol, 2000, 102), "equal times pass")
	require.Equal(t, []uint64{3, 1}, []uint64{d.Performance().TicksProcessed, d.Performance().TicksOutOfOrder})
	d.balanced()
}

func TestAFillThatDoesNotFitBooksNothing(t *testing.T) {
	d := newDesk(t)
	d.tick(1)
	d.fill("buy", "1", "1", "0")
	before := d.Results()
	for _, f := range []Fill{
		{Quantity: 0, Price: price(t, "1")}, {Quantity: -1, Price: price(t, "1")}, {Quantity: 1}, {Quantity: 1, Price: price(t, "1"), TimeMS: -1},
		{Quantity: AmountMax, Price: price(t, "1")}, {Quantity: AmountMax, Price: price(t, "2"), Sell: true}, {Quantity: 1, Price: price(t, "1"), Fee: AmountMax},
		{Quantity: 1, Price: price(t, "1"), Fee: -AmountMax}, {Quantity: 1, Price: price(t, "1"), Fee: math.MinInt64},
	} {
		_, err := d.Fill(d.book, f)
		require.Error(t, err, "%+v", f)
		d.balanced()
	}
	require.Equal(t, before, d.Results())
}

func TestViewsShowTheSameBooks(t *testing.T) {
	l, err := New(DefaultConfig())
	require.NoError(t, err)
	for _, s := range []string{"a", "b"} {
		for i, y := range []string{"X", "Y"} {
			id, err := l.Book(s, y)
			require.NoError(t, err)
			require.NoError(t, l.Tick(SymbolID(i), 1000, 10))
			_, err = l.Fill(id, Fill{Quantity: One, Price: price(t, "10"), Fee: One / 10, TimeMS: 1000})
			require.NoError(t, err)
			l.Signal(id)
			l.Placed(id)
			l.Filled(id)
			l.Rejected(id, "budget_cap_exceeded")
			l.Cancelled(id)
		}
	}
	require.NoError(t, l.Tick(0, 2000, 15))
	require.NoError(t, l.Tick(1, 2000, 9))
	r := l.Results()
	require.Equal(t, []uint64{4, 4, 4, 4, 4, 6}, []uint64{r.Performance.SignalsDetected, r.Performance.OrdersPlaced, r.Performance.OrdersFilled,
		r.Performance.OrdersRejected, r.Performance.OrdersCanceled, r.Performance.TicksProcessed})
	require.Equal(t, []message.Rejection{{Reason: "budget_cap_exceeded", Count: 4}}, r.Rejections)
	require.Equal(t, message.Decimal("8"), r.Performance.UnrealizedPnL)
	require.Equal(t, []string{"X", "Y"}, []string{r.BySymbol[0].Name, r.BySymbol[1].Name})
	require.Equal(t, message.Decimal("10"), r.BySymbol[0].Performance.UnrealizedPnL)
	require.Equal(t, message.Decimal("4"), r.ByStrategy[1].Performance.UnrealizedPnL)
	x, ok := l.SymbolResults("X")
	require.True(t, ok)
	require.Equal(t, r.BySymbol[0].Performance, x.Performance)
	require.Len(t, x.Positions, 2)
	require.Equal(t, message.Decimal("5"), x.ByStrategy[0].Performance.UnrealizedPnL)
	b, ok := l.StrategyResults("b")
	require.True(t, ok)
	require.Equal(t, r.ByStrategy[1].Performance, b.Performance)
	_, ok = l.SymbolResults("Z")
	require.False(t, ok)
	_, ok = l.StrategyResults("X")
	require.False(t, ok)
}

func TestOldTradesAndManyReasonsAreLetGo(t *testing.T) {
	c := DefaultConfig()
	c.TradesMax = 3
	l, err := New(c)
	require.NoError(t, err)
	id, err := l.Book("s", "X")
	require.NoError(t, err)
	for i := range 5 {
		for _, sell := range []bool{false, true} {
			_, err := l.Fill(id, Fill{Quantity: One, Price: price(t, "1"), Sell: sell, TimeMS: int64(i)})
			require.NoError(t, err)
		}
	}
	for i := range 100 {
		l.Rejected(id, fmt.Sprint(i))
	}
	r := l.Results()
	require.Equal(t, []int64{2, 3, 4}, []int64{r.Trades[0].ExitMS, r.Trades[1].ExitMS, r.Trades[2].ExitMS})
	require.Equal(t, uint64(5), r.Performance.Trades)
	require.Len(t, r.Rejections, rejectionsMax)
	require.Equal(t, message.Rejection{Reason: "other", Count: 85}, r.Rejections[rejectionsMax-1])
}

func TestNamesAndConfigurationsThatCannotBeAreRefused(t *testing.T) {
	for _, change := range []func(*Config){
		func(c *Config) { c.InitialBalance = 0 }, func(c *Config) { c.InitialBalance = -1 }, func(c *Config) { c.EquityPointsMax = 1 },
		func(c *Config) { c.TradesMax = 0 }, func(c *Config) { c.BooksMax = 0 },
	} {
		c := DefaultConfig()
		change(&c)
		_, err := New(c)
		require.ErrorIs(t, err, ErrConfig)
	}
	c := DefaultConfig()
	c.BooksMax = 2
	l, err := New(c)
	require.NoError(t, err)
	for _, name := range []string{"", "a\nb", "\xff", string(make([]byte, 300))} {
		_, err := l.Symbol(name)
		require.ErrorIs(t, err, ErrConfig)
		_, err = l.Book(name, "X")
		require.ErrorIs(t, err, ErrConfig)
	}
	for _, strategy := range []string{"a", "b", "a"} {
		_, err = l.Book(strategy, "X")
		require.NoError(t, err)
	}
	_, err = l.Book("c", "X")
	require.ErrorIs(t, err, ErrConfig)
}
