package ledger

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/wse-engine/wse/engine/message"
)

// Errors of ticks and names.
var (
	ErrOutOfOrder = errors.New("ledger: the tick is older than the one before")
	ErrTick       = errors.New("ledger: not a tick")
	ErrConfig     = errors.New("ledger: configuration")
)

// Config says how a ledger starts and how much it keeps.
type Config struct {
	InitialBalance  Amount // above 0
	EquityPointsMax int    // points of the equity curve
	TradesMax       int    // newest trades that are kept; all are counted
	BooksMax        int    // pairs of strategy and symbol
}

// DefaultConfig returns a configuration with an initial balance of 10,000.
func DefaultConfig() Config {
	return Config{InitialBalance: 10_000 * One, EquityPointsMax: 500, TradesMax: 500, BooksMax: 5000}
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var faults []error
	if c.InitialBalance <= 0 {
		faults = append(faults, fmt.Errorf("%w: the initial balance must be above 0, not %v", ErrConfig, c.InitialBalance))
	}
	if c.EquityPointsMax < 2 || c.EquityPointsMax > 1_000_000 {
		faults = append(faults, fmt.Errorf("%w: EquityPointsMax must be 2 to 1000000, not %d", ErrConfig, c.EquityPointsMax))
	}
	if c.TradesMax < 1 || c.TradesMax > 1_000_000 {
		faults = append(faults, fmt.Errorf("%w: TradesMax must be 1 to 1000000, not %d", ErrConfig, c.TradesMax))
	}
	if c.BooksMax < 1 || c.BooksMax > 1_000_000 {
		faults = append(faults, fmt.Errorf("%w: BooksMax must be 1 to 1000000, not %d", ErrConfig, c.BooksMax))
	}
	return errors.Join(faults...)
}

// BookID names a book of one ledger, and SymbolID a symbol; both count from 0 in the order in which they were first asked for.
type (
	BookID   int
	SymbolID int
)

// Ledger is the books of one session. See the package's description.
type Ledger struct {
	config     Config
	session    account
	strategies []part
	symbols    []symbol
	books      []book
	byName     map[string]SymbolID
	strategyOf map[string]int
	bookOf     map[[2]int]BookID // by strategy and symbol
	trades     []trade           // the newest TradesMax, as a ring
	oldest     int               // index of the oldest in trades, once there are TradesMax
	invalid    uint64            // ticks that were none
	seen       Amount            // equity after the last tick
	unseen     bool              // something was booked since
	clock      clock
}

// sums are what a book and everything above it add up.
type sums struct {
	cash, inventory, realized, fees Amount // the four lines of every entry
	settled                         Amount // realized − fees, which every tick needs
	unrealized                      Amount
}

// add adds o to s, and sets bad when that does not fit.
func (s *sums) add(o *sums, bad *bool) {
	s.cash = plus(s.cash, o.cash, bad)
	s.inventory = plus(s.inventory, o.inventory, bad)
	s.realized = plus(s.realized, o.realized, bad)
	s.fees = plus(s.fees, o.fees, bad)
	s.settled = plus(s.settled, o.settled, bad)
	s.unrealized = plus(s.unrealized, o.unrealized, bad)
}

// account is sums and the way they went: a book's, a strategy's, a symbol's or the session's.
type account struct {
	sums
	fall drawdown
}

// equity is what an account of initial comes to with what a has made, where that fits: see Ledger.post and Ledger.setUnrealized.
func (a *account) equity(initial Amount) Amount { return initial + a.settled + a.unrealized }

// fits sets bad where equity, or the balance, would not fit.
func (s *sums) fits(initial Amount, bad *bool) {
	plus(plus(initial, s.settled, bad), s.unrealized, bad)
	plus(s.settled, s.unrealized, bad)
}

// part is a strategy.
type part struct {
	name string
	account
}

// symbol is a symbol, with what its ticks told.
type symbol struct {
	part
	ticks, outOfOrder uint64
	lastMS            float64 // of the last accepted tick; meaningless while ticks is 0
	last              float64 // its price
	mark              Price   // what positions are valued at; lags behind last while there are none
	markOf            float64 // the float64 that mark was made of; 0: another source
	hint              uint8   // see hintedPrice
	open              []BookID
}

// book is what one strategy did with one symbol.
type book struct {
	strategy int
	symbol   SymbolID
	account
	position   position
	counts     counts
	rejections []message.Rejection
}

// position is what a book holds.
type position struct {
	quantity Amount // below 0: short
	cost     Amount // what it cost to enter, with the sign of quantity: its share of the inventory
	fees     Amount // paid for entering
	average  Price
	openedMS int64
}

// counts are of orders and trades.
type counts struct {
	Signals   uint64 `json:"signals"`
	Placed    uint64 `json:"placed"`
	Filled    uint64 `json:"filled"`
	Rejected  uint64 `json:"rejected"`
	Cancelled uint64 `json:"cancelled"`
	Trades    uint64 `json:"trades"`
	Wins      uint64 `json:"wins"`
	Losses    uint64 `json:"losses"`
}

// New returns empty books.
func New(c Config) (*Ledger, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	l := &Ledger{config: c, byName: map[string]SymbolID{}, strategyOf: map[string]int{}, bookOf: map[[2]int]BookID{},
		session: newAccount(c), seen: c.InitialBalance}
	l.clock.reset(c)
	return l, nil
}

// nameBytesMax bounds names of strategies and symbols, and reasons.
const nameBytesMax = 256

// Symbol returns the id of a symbol, which is new the first time. Names are 1 to 256 bytes of UTF-8 without control characters.
func (l *Ledger) Symbol(name string) (SymbolID, error) {
	if id, ok := l.byName[name]; ok {
		return id, nil
	}
	if err := l.admit("symbol", name, len(l.symbols)); err != nil {
		return 0, err
	}
	id := SymbolID(len(l.symbols))
	l.symbols = append(l.symbols, symbol{part: part{name, newAccount(l.config)}})
	l.byName[name] = id
	return id, nil
}

// Book returns the id of the book of a strategy and a symbol, which is new the first time.
func (l *Ledger) Book(strategy, symbolName string) (BookID, error) {
	s, err := l.Symbol(symbolName)
	if err != nil {
		return 0, err
	}
	p, known := l.strategyOf[strategy]
	if id, ok := l.bookOf[[2]int{p, int(s)}]; ok && known {
		return id, nil
	}
	if err := l.admit("strategy", strategy, len(l.books)); err != nil {
		return 0, err
	}
	if !known {
		p = len(l.strategies)
		l.strategies = append(l.strategies, part{strategy, newAccount(l.config)})
		l.strategyOf[strategy] = p
	}
	id := BookID(len(l.books))
	l.books = append(l.books, book{strategy: p, symbol: s, account: newAccount(l.config)})
	l.bookOf[[2]int{p, int(s)}] = id
	return id, nil
}

func newAccount(c Config) account { return account{fall: drawdown{Peak: c.InitialBalance}} }

func (l *Ledger) admit(what, name string, have int) error {
	if name == "" || len(name) > nameBytesMax || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%w: a %s's name has 1 to %d bytes and no control characters: %.40q", ErrConfig, what, nameBytesMax, name)
	}
	if have >= l.config.BooksMax {
		return fmt.Errorf("%w: no more than %d books", ErrConfig, l.config.BooksMax)
	}
	return nil
}

// TimeMaxMS is the end of the year 9999, the last time that an ISO 8601 text can tell, in Unix milliseconds.
const TimeMaxMS = 253402300799999

// Tick takes note of a symbol's new price, values what is held of it, and looks at equity. It returns [ErrOutOfOrder], which is
// counted, for a tick older than the symbol's last; [ErrTick], counted by InvalidTicks, for a time outside 0 to the year
// 9999 or a price that is not above 0 and finite; and [ErrOverflow] or [ErrNumber], counted there too, where something is held and its value, or
// the price, does not fit.
// After an error nothing has changed but the count. It allocates nothing (BenchmarkTick) as long as the equity curve does not grow.
func (l *Ledger) Tick(id SymbolID, timeMS, price float64) error {
	s := &l.symbols[id]
	if !(price > 0 && price <= math.MaxFloat64 && timeMS >= 0 && timeMS <= TimeMaxMS) {
		l.invalid++
		return fmt.Errorf("%w: %s at %v ms for %v", ErrTick, s.name, timeMS, price)
	}
	if timeMS < s.lastMS {
		s.outOfOrder++
		return ErrOutOfOrder
	}
	revalued := len(s.open) > 0 && price != s.markOf
	if revalued {
		if err := l.revalue(s, price); err != nil {
			l.invalid++
			return err
		}
	}
	if timeMS >= l.clock.next {
		l.clock.turn(timeMS, l.seen)
	}
	if timeMS > l.clock.nowMS {
		l.clock.nowMS = timeMS
	}
	if l.unseen {
		l.lookAll()
	} else if revalued {
		l.look(s)
	}
	s.ticks++
	s.lastMS, s.last = timeMS, price
	return nil
}

// revalue values the positions in s at price. After an error nothing has changed.
func (l *Ledger) revalue(s *symbol, price float64) error {
	mark, err := hintedPrice(price, &s.hint)
	if err != nil {
		return err
	}
	old := s.mark
	if !l.valueAll(s, mark) {
		l.valueAll(s, old) // sums wrap round, so this takes away what was added
		return fmt.Errorf("%w: what is held of %s at %v", ErrOverflow, s.name, mark)
	}
	s.mark, s.markOf = mark, price
	return nil
}

// valueAll values every position in s at mark, and reports whether everything fits.
func (l *Ledger) valueAll(s *symbol, mark Price) bool {
	bad := false
	for _, id := range s.open {
		b := &l.books[id]
		value, ok := mark.of(b.position.quantity)
		if !ok {
			bad = true
		}
		l.setUnrealized(b, s, plus(value, -b.position.cost, &bad), &bad)
	}
	l.session.fits(l.config.InitialBalance, &bad)
	return !bad
}

// setUnrealized posts what a position is worth above its cost.
func (l *Ledger) setUnrealized(b *book, s *symbol, unrealized Amount, bad *bool) {
	change := plus(unrealized, -b.unrealized, bad)
	p := &l.strategies[b.strategy]
	b.unrealized = unrealized
	p.unrealized = plus(p.unrealized, change, bad)
	s.unrealized = plus(s.unrealized, change, bad)
	l.session.unrealized = plus(l.session.unrealized, change, bad)
	b.fits(l.config.InitialBalance, bad)
	p.fits(l.config.InitialBalance, bad)
	s.fits(l.config.InitialBalance, bad)
}

// look takes note of how far equity has fallen: the session's, and that of each part which s moves.
func (l *Ledger) look(s *symbol) {
	initial := l.config.InitialBalance
	for _, id := range s.open {
		b := &l.books[id]
		b.fall.look(b.equity(initial))
		p := &l.strategies[b.strategy]
		p.fall.look(p.equity(initial))
	}
	s.fall.look(s.equity(initial))
	l.seen = l.Equity()
	l.session.fall.look(l.seen)
}

// lookAll does so for every part, after something was booked anywhere.
func (l *Ledger) lookAll() {
	initial := l.config.InitialBalance
	for i := range l.books {
		l.books[i].fall.look(l.books[i].equity(initial))
	}
	for i := range l.strategies {
		l.strategies[i].fall.look(l.strategies[i].equity(initial))
	}
	for i := range l.symbols {
		l.symbols[i].fall.look(l.symbols[i].equity(initial))
	}
	l.seen, l.unseen = l.Equity(), false
	l.session.fall.look(l.seen)
}

// Settle looks at equity, and at that of every part, as after a tick. It is for the end of a session, when fills may have been booked behind the
// last tick.
func (l *Ledger) Settle() {
	if l.unseen {
		l.lookAll()
	}
}

// OutOfOrder counts a tick that the caller found to be older than the symbol's last, and Invalid one that it found to be none, for reasons
// that the ledger does not see.
func (l *Ledger) OutOfOrder(id SymbolID) { l.symbols[id].outOfOrder++ }

// Invalid is described with OutOfOrder.
func (l *Ledger) Invalid() { l.invalid++ }

// LastTick returns time and price of a symbol's last accepted tick; the price is 0 before the first.
func (l *Ledger) LastTick(id SymbolID) (timeMS, price float64) {
	return l.symbols[id].lastMS, l.symbols[id].last
}

// Equity returns initial balance + realized − fees + unrealized.
func (l *Ledger) Equity() Amount {
	return l.session.equity(l.config.InitialBalance)
}

// Balance returns initial balance + realized − fees: equity without what open positions have gained or lost.
func (l *Ledger) Balance() Amount { return l.config.InitialBalance + l.session.settled }

// Unrealized returns what open positions have gained or lost so far.
func (l *Ledger) Unrealized() Amount { return l.session.unrealized }

// Realized returns what closed positions gained or lost, fees not counted.
func (l *Ledger) Realized() Amount { return l.session.realized }

// Fees returns what was paid in fees.
func (l *Ledger) Fees() Amount { return l.session.fees }

// ClockMS returns the latest time of any accepted tick in Unix milliseconds, 0 before the first.
func (l *Ledger) ClockMS() int64 { return int64(l.clock.nowMS) }

// InvalidTicks returns how many ticks were refused for another reason than being out of order.
func (l *Ledger) InvalidTicks() uint64 { return l.invalid }

// Signal counts a signal.
func (l *Ledger) Signal(id BookID) { l.books[id].counts.Signals++ }

// Placed counts an order that was accepted.
func (l *Ledger) Placed(id BookID) { l.books[id].counts.Placed++ }

// Filled counts an order that is filled completely. What it came to is booked by Fill.
func (l *Ledger) Filled(id BookID) { l.books[id].counts.Filled++ }

// Cancelled counts an order that was withdrawn.
func (l *Ledger) Cancelled(id BookID) { l.books[id].counts.Cancelled++ }

// rejectionsMax bounds the reasons that are told apart in a book; others are counted as "other".
const rejectionsMax = 16

// Rejected counts an order that was refused.
func (l *Ledger) Rejected(id BookID, reason string) {
	b := &l.books[id]
	b.counts.Rejected++
	b.rejections = countRejection(b.rejections, cleanReason(reason), 1, rejectionsMax)
}

// cleanReason makes a text that came from a guest or a broker one that can be kept.
func cleanReason(reason string) string {
	if len(reason) > nameBytesMax {
		reason = reason[:nameBytesMax]
	}
	return strings.ToValidUTF8(reason, "")
}

func countRejection(list []message.Rejection, reason string, n uint64, most int) []message.Rejection {
	for {
		for i := range list {
			if list[i].Reason == reason {
				list[i].Count += n
				return list
			}
		}
		if len(list) < most-1 || reason == otherReason {
			return append(list, message.Rejection{Reason: reason, Count: n})
		}
		reason = otherReason
	}
}

const otherReason = "other"
