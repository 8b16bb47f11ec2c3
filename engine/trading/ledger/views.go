package ledger

import "github.com/wse-engine/wse/engine/message"

// Performance returns the session's totals, without the lists of [Ledger.Results].
func (l *Ledger) Performance() message.Performance {
	p := l.performance(&l.session, func(*book) bool { return true })
	for i := range l.symbols {
		p.TicksProcessed += l.symbols[i].ticks
		p.TicksOutOfOrder += l.symbols[i].outOfOrder
	}
	p.TicksInvalid = l.invalid
	p.InitialBalance = l.config.InitialBalance.Decimal()
	p.Balance, p.Equity = l.Balance().Decimal(), l.Equity().Decimal()
	p.Sharpe, p.Sortino = l.clock.daily.ratios(l.Equity())
	return p
}

// Results returns what the session came to.
func (l *Ledger) Results() *message.Results {
	all := func(*book) bool { return true }
	r := l.results(l.Performance(), all)
	r.Equity = l.clock.curve(l.Equity())
	for i := range l.symbols {
		r.BySymbol = append(r.BySymbol, message.PartResults{Name: l.symbols[i].name, Performance: l.symbolPerformance(SymbolID(i))})
	}
	for i := range l.strategies {
		r.ByStrategy = append(r.ByStrategy, message.PartResults{Name: l.strategies[i].name, Performance: l.strategyPerformance(i)})
	}
	return r
}

// SymbolResults returns what a symbol came to, and false when the session has no such symbol.
func (l *Ledger) SymbolResults(name string) (*message.Results, bool) {
	id, ok := l.byName[name]
	if !ok {
		return nil, false
	}
	of := func(b *book) bool { return b.symbol == id }
	r := l.results(l.symbolPerformance(id), of)
	for i := range l.books {
		if b := &l.books[i]; of(b) {
			r.ByStrategy = append(r.ByStrategy, message.PartResults{Name: l.strategies[b.strategy].name, Performance: l.bookPerformance(b)})
		}
	}
	return r, true
}

// StrategyResults returns what a strategy came to, and false when the session has no such strategy.
func (l *Ledger) StrategyResults(name string) (*message.Results, bool) {
	p, ok := l.strategyOf[name]
	if !ok {
		return nil, false
	}
	of := func(b *book) bool { return b.strategy == p }
	r := l.results(l.strategyPerformance(p), of)
	for i := range l.books {
		if b := &l.books[i]; of(b) {
			r.BySymbol = append(r.BySymbol, message.PartResults{Name: l.symbols[b.symbol].name, Performance: l.bookPerformance(b)})
		}
	}
	return r, true
}

func (l *Ledger) symbolPerformance(id SymbolID) message.Performance {
	s := &l.symbols[id]
	p := l.performance(&s.account, func(b *book) bool { return b.symbol == id })
	p.TicksProcessed, p.TicksOutOfOrder = s.ticks, s.outOfOrder
	return p
}

// strategyPerformance counts the ticks of every symbol that the strategy trades, so the ticks of two strategies of one symbol
// are not those of the session.
func (l *Ledger) strategyPerformance(id int) message.Performance {
	p := l.performance(&l.strategies[id].account, func(b *book) bool { return b.strategy == id })
	for i := range l.books {
		if b := &l.books[i]; b.strategy == id {
			p.TicksProcessed += l.symbols[b.symbol].ticks
			p.TicksOutOfOrder += l.symbols[b.symbol].outOfOrder
		}
	}
	return p
}

func (l *Ledger) bookPerformance(b *book) message.Performance {
	p := l.performance(&b.account, func(other *book) bool { return other == b })
	p.TicksProcessed, p.TicksOutOfOrder = l.symbols[b.symbol].ticks, l.symbols[b.symbol].outOfOrder
	return p
}

// performance returns the sums of an account and the counts of its books.
func (l *Ledger) performance(a *account, of func(*book) bool) message.Performance {
	var c counts
	for i := range l.books {
		if b := &l.books[i]; of(b) {
			c.add(&b.counts)
		}
	}
	p := message.Performance{
		SignalsDetected: c.Signals, OrdersPlaced: c.Placed, OrdersFilled: c.Filled, OrdersRejected: c.Rejected, OrdersCanceled: c.Cancelled,
		Trades: c.Trades, Wins: c.Wins, Losses: c.Losses,
		RealizedPnL: a.realized.Decimal(), UnrealizedPnL: a.unrealized.Decimal(), Fees: a.fees.Decimal(), NetPnL: (a.settled + a.unrealized).Decimal(),
		MaxDrawdown: a.fall.Worst.Decimal(), MaxDrawdownPct: a.fall.Percent,
	}
	if c.Trades > 0 {
		p.WinRate = float64(c.Wins) / float64(c.Trades)
	}
	return p
}

func (c *counts) add(o *counts) {
	c.Signals += o.Signals
	c.Placed += o.Placed
	c.Filled += o.Filled
	c.Rejected += o.Rejected
	c.Cancelled += o.Cancelled
	c.Trades += o.Trades
	c.Wins += o.Wins
	c.Losses += o.Losses
}

// results returns the positions, trades and rejections of some books.
func (l *Ledger) results(p message.Performance, of func(*book) bool) *message.Results {
	r := &message.Results{Performance: p}
	for i := range l.books {
		b := &l.books[i]
		if !of(b) {
			continue
		}
		if b.position.quantity != 0 {
			r.Positions = append(r.Positions, l.positionView(b))
		}
		for _, rejection := range b.rejections {
			r.Rejections = countRejection(r.Rejections, rejection.Reason, rejection.Count, rejectionsMax)
		}
	}
	for i := range l.trades {
		if t := &l.trades[(l.oldest+i)%len(l.trades)]; of(&l.books[t.book]) {
			r.Trades = append(r.Trades, l.tradeView(t))
		}
	}
	return r
}

func (l *Ledger) positionView(b *book) message.Position {
	s := &l.symbols[b.symbol]
	return message.Position{Strategy: l.strategies[b.strategy].name, Symbol: s.name, Quantity: b.position.quantity.Decimal(),
		AveragePrice: b.position.average.Decimal(), LastPrice: s.mark.Decimal(), UnrealizedPnL: b.unrealized.Decimal()}
}

func (l *Ledger) tradeView(t *trade) message.Trade {
	b := &l.books[t.book]
	side := "LONG"
	if t.short {
		side = "SHORT"
	}
	return message.Trade{Strategy: l.strategies[b.strategy].name, Symbol: l.symbols[b.symbol].name, Side: side,
		Quantity: t.quantity.Decimal(), EntryPrice: t.entry.Decimal(), ExitPrice: t.exit.Decimal(), EntryMS: t.entryMS, ExitMS: t.exitMS,
		RealizedPnL: t.realized.Decimal(), Fees: t.fees.Decimal(), Net: t.net.Decimal(), Reason: t.reason}
}
