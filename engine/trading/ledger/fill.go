package ledger

import (
	"fmt"
	"slices"
)

// Fill is what was bought or sold, and what it cost.
type Fill struct {
	Sell     bool
	Quantity Amount // above 0
	Price    Price
	Fee      Amount // below 0: a rebate
	TimeMS   int64
	Reason   string // of the order; a trade that it makes keeps it
}

// Position is what a book holds.
type Position struct {
	Quantity     Amount // below 0: short; 0: nothing
	Cost         Amount // what it cost to enter, above 0 also where it is short; fees are not in it
	AveragePrice Price
	Unrealized   Amount
	Realized     Amount // what the book's closed positions gained or lost, fees not counted
	Fees         Amount // what the book paid in all
	OpenedMS     int64
}

// Position returns what a book holds.
func (l *Ledger) Position(id BookID) Position {
	b := &l.books[id]
	p := &b.position
	return Position{Quantity: p.quantity, Cost: p.cost.Abs(), AveragePrice: p.average, Unrealized: b.unrealized,
		Realized: b.realized, Fees: b.fees, OpenedMS: p.openedMS}
}

// Booked is what a fill did.
type Booked struct {
	Notional Amount // quantity × price
	Closed   Amount // how much of the quantity closed a position: above 0, it made a trade
	Realized Amount // what that gained or lost, fees not counted
}

// trade is a position, or a part of one, that was closed.
type trade struct {
	book                          BookID
	short                         bool
	quantity, realized, fees, net Amount
	entry, exit                   Price
	entryMS, exitMS               int64
	reason                        string
}

// Fill books a fill. A fill of 0 or less, or without a price, is an [ErrNumber]; where a sum does not fit it is an [ErrOverflow]. After
// an error nothing was booked.
func (l *Ledger) Fill(id BookID, f Fill) (Booked, error) {
	b := &l.books[id]
	s := &l.symbols[b.symbol]
	if f.Quantity <= 0 || !f.Price.Known() || f.TimeMS < 0 || f.TimeMS > TimeMaxMS || f.Fee < amountMin {
		return Booked{}, fmt.Errorf("%w: a fill of %v at %v at %d ms", ErrNumber, f.Quantity, f.Price, f.TimeMS)
	}
	e, err := b.entry(f)
	if err != nil {
		return Booked{}, err
	}
	mark := s.mark
	if s.ticks > 0 && s.markOf != s.last { // there was no position, so the last tick was not looked at
		if mark, err = hintedPrice(s.last, &s.hint); err != nil {
			return Booked{}, err
		}
	} else if !mark.Known() {
		mark = f.Price
	}
	if err := l.post(b, s, e, mark); err != nil {
		return Booked{}, fmt.Errorf("%w: a fill of %v at %v in %s", err, f.Quantity, f.Price, s.name)
	}
	s.mark = mark
	if s.ticks > 0 {
		s.markOf = s.last
	}
	l.reopen(id, s, e.position.quantity != 0)
	if e.closed > 0 {
		l.keep(trade{book: id, short: e.before.quantity < 0, quantity: e.closed, realized: e.lines.realized, fees: e.fees, net: e.net,
			entry: e.before.average, exit: f.Price, entryMS: e.before.openedMS, exitMS: f.TimeMS, reason: cleanReason(f.Reason)})
	}
	l.unseen = true
	return Booked{Notional: e.notional, Closed: e.closed, Realized: e.lines.realized}, nil
}

// entry is what a fill does to a book, worked out before anything is booked.
type entry struct {
	lines    sums     // what is added to the book's sums
	before   position // what was held
	position position // what is held now
	notional Amount
	closed   Amount // the quantity that closed something
	fees     Amount // of the trade: for what was closed, entering and leaving
	net      Amount // of the trade: realized − fees
}

// entry works out what f does to the book.
func (b *book) entry(f Fill) (*entry, error) {
	notional, err := f.Price.Of(f.Quantity)
	if err != nil {
		return nil, err
	}
	e := &entry{before: b.position, position: b.position, notional: notional}
	held := b.position.quantity
	var closeNotional, closeFee Amount
	if held != 0 && (held > 0) == f.Sell {
		e.closed = min(f.Quantity, held.Abs())
		if closeNotional, err = f.Price.Of(e.closed); err == nil {
			closeFee, err = f.Fee.MulDiv(e.closed, f.Quantity)
		}
		if err == nil {
			err = e.close(closeNotional, closeFee)
		}
	}
	if rest := f.Quantity - e.closed; err == nil && rest > 0 {
		err = e.enter(f, rest, notional-closeNotional, f.Fee-closeFee)
	}
	if err != nil {
		return nil, err
	}
	var bad bool
	signed := notional
	if f.Sell {
		signed = -notional
	}
	e.lines.cash = plus(-signed, -f.Fee, &bad)
	e.lines.inventory = plus(e.position.cost, -e.before.cost, &bad)
	e.lines.fees = f.Fee
	e.lines.settled = plus(e.lines.realized, -f.Fee, &bad)
	if bad {
		return nil, fmt.Errorf("%w: a fill of %v at %v", ErrOverflow, f.Quantity, f.Price)
	}
	return e, nil
}

// close takes e.closed out of the position, for so much.
func (e *entry) close(notional, fee Amount) error {
	p := &e.position
	released, enterFees := p.cost, p.fees
	if all := p.quantity.Abs(); e.closed < all {
		var err error
		if released, err = p.cost.MulDiv(e.closed, all); err != nil {
			return err
		}
		if enterFees, err = p.fees.MulDiv(e.closed, all); err != nil {
			return err
		}
	}
	var bad bool
	if p.quantity > 0 {
		e.lines.realized = plus(notional, -released, &bad)
		p.quantity -= e.closed
	} else {
		e.lines.realized = plus(-notional, -released, &bad)
		p.quantity += e.closed
	}
	e.fees = plus(enterFees, fee, &bad)
	e.net = plus(e.lines.realized, -e.fees, &bad)
	p.cost -= released
	p.fees -= enterFees
	if p.quantity == 0 {
		*p = position{}
	}
	if bad {
		return ErrOverflow
	}
	return nil
}

// enter adds quantity, which cost so much, to a position of the same direction or none.
func (e *entry) enter(f Fill, quantity, notional, fee Amount) error {
	p := &e.position
	var err error
	if p.quantity == 0 {
		*p = position{average: Price{f.Price.d.Trim(0)}, openedMS: f.TimeMS}
	} else if p.average, err = p.average.averaged(p.quantity.Abs(), f.Price, quantity); err != nil {
		return err
	}
	if f.Sell {
		quantity, notional = -quantity, -notional
	}
	var bad bool
	p.quantity = plus(p.quantity, quantity, &bad)
	p.cost = plus(p.cost, notional, &bad)
	p.fees = plus(p.fees, fee, &bad)
	if bad {
		return ErrOverflow
	}
	return nil
}

// post adds an entry to the book and to everything above it, or to nothing. It is the only place where money is booked.
func (l *Ledger) post(b *book, s *symbol, e *entry, mark Price) error {
	value, ok := mark.of(e.position.quantity)
	bad := !ok
	e.lines.unrealized = plus(plus(value, -e.position.cost, &bad), -b.unrealized, &bad)
	p := &l.strategies[b.strategy]
	all := [...]*sums{&b.sums, &p.sums, &s.sums, &l.session.sums}
	var next [len(all)]sums
	for i, current := range all {
		next[i] = *current
		next[i].add(&e.lines, &bad)
		next[i].fits(l.config.InitialBalance, &bad)
	}
	if bad {
		return ErrOverflow
	}
	for i, current := range all {
		*current = next[i]
	}
	b.position = e.position
	return nil
}

// reopen keeps the list of the symbol's open positions, in the order of the books so that a restored ledger has the same.
func (l *Ledger) reopen(id BookID, s *symbol, open bool) {
	at, listed := slices.BinarySearch(s.open, id)
	switch {
	case open && !listed:
		s.open = slices.Insert(s.open, at, id)
	case !open && listed:
		s.open = slices.Delete(s.open, at, at+1)
	}
}

// keep counts and keeps a trade.
func (l *Ledger) keep(t trade) {
	c := &l.books[t.book].counts
	c.Trades++
	switch {
	case t.net > 0:
		c.Wins++
	case t.net < 0:
		c.Losses++
	}
	if len(l.trades) < l.config.TradesMax {
		l.trades = append(l.trades, t)
		return
	}
	l.trades[l.oldest] = t
	l.oldest = (l.oldest + 1) % len(l.trades)
}
