package trading

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/market"
)

// Listener has publications of a topic handed to a sink, as they are published. [feed.Feed] is one.
type Listener interface {
	Listen(ctx context.Context, topic message.Topic, sink broker.Follower) (stop func(context.Context) error, err error)
}

// taker is given the ticks of a symbol, in order, one at a time, and is told when some may be missing. It must not block.
type taker interface {
	take(t *message.Tick)
	interrupted(symbol string)
}

// quotes reads the ticks of symbols once, however many sessions and collections want them.
type quotes struct {
	listener      Listener
	invalid       atomic.Uint64 // publications on a market's topic that were no ticks
	interruptions atomic.Uint64 // markets whose ticks did not go on

	mu      sync.Mutex
	symbols map[string]*quote // guarded by mu
}

// quote is one symbol that somebody wants.
type quote struct {
	quotes *quotes
	symbol string
	// turn serialises following and leaving; it is taken before quotes.mu is, and the broker may be waited for with it.
	turn  sync.Mutex
	stop  func(context.Context) error // guarded by turn
	holds map[taker]int               // how often each follows; guarded by turn
	users int                         // who hold the quote or are about to; guarded by quotes.mu
	// takers is replaced as a whole, by who holds turn.
	takers atomic.Pointer[[]taker]
	place  place // how far it was heard; only of who delivers, one at a time
}

var _ broker.Follower = (*quote)(nil)

// Deliver implements [broker.Sink].
func (q *quote) Deliver(env *message.Envelope) {
	q.place.at, q.place.heard = broker.Position{Epoch: env.Epoch, Offset: env.Seq}, true
	takers := q.takers.Load()
	if env.Type != message.TypeMarketData || takers == nil || len(*takers) == 0 {
		return
	}
	tick, err := market.ParseTickOf(q.symbol, env.Payload)
	if err != nil {
		q.quotes.invalid.Add(1)
		return
	}
	q.place.tickMS = tick.TimeMS
	for _, t := range *takers {
		t.take(&tick)
	}
}

// follow has a taker given the ticks of symbols, each tick once, however often it follows a symbol. What it returns ends that,
// and is to be called once. Where one symbol cannot be followed none is.
func (q *quotes) follow(ctx context.Context, symbols []string, t taker) (leave func(context.Context) error, err error) {
	var done []string
	undo := func(ctx context.Context) error {
		var errs []error
		for _, symbol := range done {
			errs = append(errs, q.drop(ctx, symbol, t))
		}
		return errors.Join(errs...)
	}
	for _, symbol := range symbols {
		if err := q.add(ctx, symbol, t); err != nil {
			return nil, errors.Join(err, undo(context.WithoutCancel(ctx)))
		}
		done = append(done, symbol)
	}
	return undo, nil
}

func (q *quotes) hold(symbol string) *quote {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.symbols == nil {
		q.symbols = map[string]*quote{}
	}
	one := q.symbols[symbol]
	if one == nil {
		one = &quote{quotes: q, symbol: symbol}
		q.symbols[symbol] = one
	}
	one.users++
	return one
}

// release forgets a quote that nobody holds any more.
func (q *quotes) release(one *quote, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if one.users -= n; one.users == 0 {
		delete(q.symbols, one.symbol)
	}
}

// refresh makes the takers those that hold the quote. turn is held.
func (q *quote) refresh() {
	takers := slices.Collect(maps.Keys(q.holds))
	q.takers.Store(&takers)
}

func (q *quotes) add(ctx context.Context, symbol string, t taker) error {
	topic, err := market.Topic(symbol)
	if err != nil {
		return err
	}
	one := q.hold(symbol)
	one.turn.Lock()
	defer one.turn.Unlock()
	if one.stop == nil {
		if one.stop, err = q.listener.Listen(ctx, topic, one); err != nil {
			q.release(one, 1)
			return err
		}
	}
	if one.holds == nil {
		one.holds = map[taker]int{}
	}
	one.holds[t]++
	one.refresh()
	return nil
}

func (q *quotes) drop(ctx context.Context, symbol string, t taker) error {
	q.mu.Lock()
	one := q.symbols[symbol]
	q.mu.Unlock()
	if one == nil {
		return nil
	}
	one.turn.Lock()
	defer one.turn.Unlock()
	if one.holds[t]--; one.holds[t] <= 0 {
		delete(one.holds, t)
	}
	one.refresh()
	var err error
	if len(one.holds) == 0 && one.stop != nil {
		err = one.stop(ctx)
		one.stop = nil
	}
	q.release(one, 1)
	return err
}
