package execution

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/ledger"
)

// Errors of a run.
var (
	ErrEnded   = errors.New("execution: the run has ended")
	ErrUnknown = errors.New("execution: unknown")
	ErrActive  = errors.New("execution: already active")
)

// Failure is the end of a run: a strategy failed.
type Failure struct {
	Strategy, Symbol string
	Plugin           string // name@version
	Err              error
}

// Error implements error.
func (f *Failure) Error() string {
	return fmt.Sprintf("execution: strategy %s on %s, run by %s: %v", f.Strategy, f.Symbol, f.Plugin, f.Err)
}

// Unwrap returns what the strategy's call failed with.
func (f *Failure) Unwrap() error { return f.Err }

// Run is one run of a session. See the package's description.
type Run struct {
	config     Config
	books      *ledger.Ledger
	sink       Sink
	symbols    map[string]*symbol
	strategies []*strategy
	named      map[string]*strategy
	opened     uint32            // handles so far
	orders     map[string]*order // by ID: pending ones; in External mode also the newest that are done
	done       []*order          // in External mode, oldest first
	numbered   uint64            // orders so far
	fills      uint64            // booked so far: see handle.told
	filling    bool              // orders are being filled by a tick that the books have not taken yet
	nowMS      int64             // of the tick that is being looked at
	wants      Kinds
	err        error // why there will be no more ticks: a failure, or an interruption
	ended      bool
	document   []byte
	scratch    []*order
	event      Event
	orderEvent OrderEvent
	indicators []Indicator
}

// symbol is a symbol of the run.
type symbol struct {
	name    string
	id      ledger.SymbolID
	handles []*handle // active ones, in the order of activation
	pending int       // orders
	seen    bool      // there was a tick
	last    message.StrategyTick
}

// strategy is a strategy of the run.
type strategy struct {
	name     string
	plugin   string
	config   []byte
	instance Strategy // nil in a restored run
	handles  []*handle
}

// handle is a strategy on a symbol.
type handle struct {
	run      *Run
	number   uint32
	strategy *strategy
	symbol   *symbol
	book     ledger.BookID
	active   bool
	state    string
	sinceMS  int64
	reason   string
	orders   []*order // pending, oldest first
	events   []byte   // what it has to be told: JSON objects with commas between them
	told     uint64   // Run.fills when it was last told of equity
	moved    bool     // its position has changed and is to be told

	// While a batch is fed:
	cursor int                      // index of the next tick that it will see
	queue  []message.StrategyAction // what it said to the ticks before, not yet in effect
	base   int                      // index of the tick at which At counts from 0
}

// New returns a run of which the books are the ledger's.
func New(c Config, books *ledger.Ledger, sink Sink) (*Run, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Run{config: c, books: books, sink: sink, symbols: map[string]*symbol{}, named: map[string]*strategy{}, orders: map[string]*order{}}, nil
}

// Add gives the run the instance of a strategy. config is its configuration, a JSON object; plugin is who runs it,
// name@version, for failures and states. The instance remains the caller's to close.
func (r *Run) Add(name string, config []byte, instance Strategy, plugin string) error {
	if r.named[name] != nil {
		return fmt.Errorf("%w: strategy %s", ErrActive, name)
	}
	r.add(&strategy{name: name, plugin: plugin, config: config, instance: instance})
	return nil
}

func (r *Run) add(s *strategy) {
	r.strategies = append(r.strategies, s)
	r.named[s.name] = s
}

// Activate opens a handle of an added strategy for a symbol. An error of the strategy's refuses just this handle. A strategy
// that was deactivated on the symbol gets a new handle, and the position it left.
func (r *Run) Activate(ctx context.Context, strategyName, symbolName string) error {
	if err := r.Err(); err != nil {
		return err
	}
	s := r.named[strategyName]
	if s == nil || s.instance == nil {
		return fmt.Errorf("%w: strategy %s", ErrUnknown, strategyName)
	}
	for _, h := range s.handles {
		if h.symbol.name == symbolName && h.active {
			return fmt.Errorf("%w: %s on %s", ErrActive, strategyName, symbolName)
		}
	}
	h, err := r.handleOf(s, symbolName)
	if err != nil {
		return err
	}
	r.opened++ // also where it is refused: a number is used once
	if err := s.instance.Open(ctx, r.openDocument(h, r.opened)); err != nil {
		return err
	}
	h.number, h.active, h.told, h.events = r.opened, true, r.fills, nil
	h.symbol.handles = append(h.symbol.handles, h)
	r.begins()
	h.enter(StateMonitoring, "")
	return nil
}

// handleOf returns the strategy's handle for a symbol, which is new the first time.
func (r *Run) handleOf(s *strategy, symbolName string) (*handle, error) {
	for _, h := range s.handles {
		if h.symbol.name == symbolName {
			return h, nil
		}
	}
	book, err := r.books.Book(s.name, symbolName)
	if err != nil {
		return nil, err
	}
	y := r.symbols[symbolName]
	if y == nil {
		id, err := r.books.Symbol(symbolName)
		if err != nil {
			return nil, err
		}
		y = &symbol{name: symbolName, id: id}
		y.last.TimeMS, y.last.Price = r.books.LastTick(id)
		y.seen = y.last.Price > 0
		r.symbols[symbolName] = y
	}
	h := &handle{run: r, strategy: s, symbol: y, book: book, state: StateInactive}
	s.handles = append(s.handles, h)
	return h, nil
}

// Deactivate cancels what the strategy has pending on the symbol, with [ReasonInactive], and shows it no more ticks. What it
// holds stays and is valued.
func (r *Run) Deactivate(strategyName, symbolName string) error {
	for i, h := range r.activeOn(symbolName) {
		if h.strategy.name == strategyName {
			r.begins()
			r.cancelAll(h, ReasonInactive)
			h.active = false
			h.symbol.handles = append(h.symbol.handles[:i:i], h.symbol.handles[i+1:]...)
			h.enter(StateInactive, ReasonInactive)
			return nil
		}
	}
	return fmt.Errorf("%w: %s is not active on %s", ErrUnknown, strategyName, symbolName)
}

// begins is called where something begins that is no tick.
func (r *Run) begins() { r.wants, r.nowMS = r.sink.Wants(), r.books.ClockMS() }

func (r *Run) activeOn(symbolName string) []*handle {
	if y := r.symbols[symbolName]; y != nil {
		return y.handles
	}
	return nil
}

// States returns how each strategy is doing on each symbol, in the order of activation.
func (r *Run) States() []message.StrategyState {
	var out []message.StrategyState
	for _, s := range r.strategies {
		for _, h := range s.handles {
			out = append(out, message.StrategyState{Strategy: s.name, Symbol: h.symbol.name, State: h.state, Since: h.sinceMS,
				SessionID: r.config.SessionID, Plugin: s.plugin, Reason: h.reason})
		}
	}
	return out
}

// Err returns why the run takes no more ticks: a *[Failure], the context's error that interrupted it, [ErrEnded], or nil.
func (r *Run) Err() error {
	if r.err == nil && r.ended {
		return ErrEnded
	}
	return r.err
}

// Pending returns how many orders wait.
func (r *Run) Pending() int {
	n := 0
	for _, y := range r.symbols {
		n += y.pending
	}
	return n
}

// Ticks feeds ticks of one symbol, in the order in which they came. It returns a *[Failure] when a strategy fails, and the context's error
// when that ends in between; both are the end of the run, which only takes End and Report then. A symbol of which the run has not heard is
// an [ErrUnknown]. It blocks for as long as the strategies take, and allocates nothing where they have nothing to say.
func (r *Run) Ticks(ctx context.Context, symbolName string, ticks []message.StrategyTick) error {
	y := r.symbols[symbolName]
	if y == nil {
		return fmt.Errorf("%w: symbol %s", ErrUnknown, symbolName)
	}
	if err := r.Err(); err != nil {
		return err
	}
	r.wants = r.sink.Wants()
	for len(ticks) > 0 {
		n := y.usable(ticks)
		if n > 0 {
			if err := r.feed(ctx, y, ticks[:n]); err != nil {
				r.err = err
				return err
			}
			y.seen, y.last = true, ticks[n-1]
			ticks = ticks[n:]
			continue
		}
		r.drop(y, &ticks[0])
		ticks = ticks[1:]
	}
	return nil
}

// usable returns how many ticks at the head of a batch are ticks, and not older than the one before.
func (y *symbol) usable(ticks []message.StrategyTick) int {
	last := y.last.TimeMS
	for i := range ticks {
		t := &ticks[i]
		if !(t.TimeMS >= last && t.TimeMS <= ledger.TimeMaxMS && t.Price > 0 && t.Price <= math.MaxFloat64 &&
			math.Abs(t.Volume) <= math.MaxFloat64 && math.Abs(t.QuoteVolume) <= math.MaxFloat64) {
			return i
		}
		last = t.TimeMS
	}
	return len(ticks)
}

// drop counts a tick that is not used.
func (r *Run) drop(y *symbol, t *message.StrategyTick) {
	if t.TimeMS < y.last.TimeMS && t.TimeMS >= 0 {
		r.books.OutOfOrder(y.id)
	} else {
		r.books.Invalid()
	}
}

// feed runs usable ticks of y. It goes from one tick at which something happens to the next: where an order is filled or was given, where
// somebody said something, or has to be told something. The ledger takes the ticks in between one by one.
func (r *Run) feed(ctx context.Context, y *symbol, ticks []message.StrategyTick) error {
	for _, h := range y.handles {
		h.cursor, h.queue, h.base = 0, nil, 0
	}
	for t := 0; t < len(ticks); {
		if err := r.step(ctx, y, ticks, t); err != nil {
			return err
		}
		next := y.next(len(ticks))
		for t++; t < next; t++ {
			r.take(y, &ticks[t])
		}
	}
	return nil
}

// next returns the next tick at which something happens.
func (y *symbol) next(n int) int {
	for _, h := range y.handles {
		n = min(n, h.cursor)
		if len(h.queue) > 0 {
			n = min(n, h.base+h.queue[0].At)
		}
	}
	return n
}

// take has the ledger take a tick. One at whose price a position cannot be valued is counted there as invalid and changes
// nothing else: strategies may have seen it already.
func (r *Run) take(y *symbol, t *message.StrategyTick) { _ = r.books.Tick(y.id, t.TimeMS, t.Price) }

// step does what the package's description says for one tick.
func (r *Run) step(ctx context.Context, y *symbol, ticks []message.StrategyTick, t int) error {
	tick := &ticks[t]
	r.nowMS = int64(tick.TimeMS)
	before := r.fills
	if y.pending > 0 && r.config.Mode == Simulate {
		r.filling = true
		r.fillAt(y, tick)
		r.filling = false
	}
	r.take(y, tick)
	for _, h := range y.handles {
		if h.moved { // now that it is worth what the tick says
			h.moved = false
			r.emitPosition(h)
		}
	}
	turn := y.turns(ticks, t)
	for _, h := range y.handles {
		if h.cursor == t && (len(h.events) > 0 || turn && h.told != r.fills) {
			if err := r.update(ctx, h); err != nil {
				return err
			}
		}
	}
	for _, h := range y.handles {
		if h.cursor == t {
			if err := h.see(ctx, ticks, t, h.limit(ticks, t)); err != nil {
				return err
			}
		}
	}
	for _, h := range y.handles {
		r.obey(h, t)
	}
	if r.fills != before {
		r.emitPortfolio()
	}
	return nil
}

const minuteMS = 60_000

// turns reports whether a tick begins another minute than the one before.
func (y *symbol) turns(ticks []message.StrategyTick, t int) bool {
	last := y.last.TimeMS
	if t > 0 {
		last = ticks[t-1].TimeMS
	} else if !y.seen {
		return true
	}
	return int64(ticks[t].TimeMS)/minuteMS != int64(last)/minuteMS
}

// limit returns up to which tick, exclusive, the handle may see them in one call: what may have to be told in between
// decides.
func (h *handle) limit(ticks []message.StrategyTick, t int) int {
	if len(h.events) > 0 {
		return t + 1
	}
	var buy, sell float64 = 0, math.Inf(1)
	if h.run.config.Mode == Simulate {
		for _, o := range h.orders {
			switch {
			case !o.limit.Known():
				return t + 1
			case o.sell:
				sell = min(sell, o.limitAt)
			default:
				buy = max(buy, o.limitAt)
			}
		}
	}
	minutes := len(h.symbol.handles) > 1 || h.told != h.run.fills
	if len(h.orders) == 0 && !minutes {
		return len(ticks)
	}
	minute := int64(ticks[t].TimeMS) / minuteMS
	for i := t + 1; i < len(ticks); i++ {
		if p := ticks[i].Price; p <= buy || p >= sell || minutes && int64(ticks[i].TimeMS)/minuteMS != minute {
			return i
		}
	}
	return len(ticks)
}

// see shows ticks to the strategy and keeps what it says.
func (h *handle) see(ctx context.Context, ticks []message.StrategyTick, from, to int) error {
	consumed, actions, err := h.strategy.instance.Ticks(ctx, h.number, ticks[from:to])
	if err != nil {
		return h.fail(ctx, err)
	}
	if consumed < 1 || consumed > to-from {
		return h.fail(ctx, fmt.Errorf("%d of %d ticks were consumed", consumed, to-from))
	}
	at := 0
	for i := range actions {
		a := &actions[i]
		if a.At < at || a.At >= consumed || a.At != consumed-1 && (a.Kind == message.ActionOrder || a.Kind == message.ActionCancel) {
			return h.fail(ctx, fmt.Errorf("%s at tick %d of %d that were consumed, after one at %d", a.Kind, a.At, consumed, at))
		}
		at = a.At
	}
	h.cursor, h.base, h.queue = from+consumed, from, actions
	return nil
}

// fail ends the run: with the context's error when that is why, for then the strategy did nothing wrong.
func (h *handle) fail(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil && errors.Is(err, cause) {
		return err
	}
	f := &Failure{Strategy: h.strategy.name, Symbol: h.symbol.name, Plugin: h.strategy.plugin, Err: err}
	h.run.alert(h, AlertSessionError, f.Error())
	return f
}
