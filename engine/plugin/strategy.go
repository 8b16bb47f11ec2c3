package plugin

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/sdk/abi"
)

// Strategy is one strategy of one session that runs in an instance of its own, as sdk/ABI.md "strategy" describes: it keeps
// what it knows between calls. It stays on the version of the plugin that served when it was opened, whatever is swapped,
// rolled back or reloaded meanwhile; the version is let go when its last strategy is closed.
//
// It belongs to one goroutine at a time, and is to be closed, also after [Host.Close], which does not wait for it. A call that traps, runs out of fuel or breaks the contract, and an
// ERROR from [Strategy.Ticks] or [Strategy.Update], is its end: the instance, with all that the guest knew, is gone, and every later call
// returns the same error. Nothing else is touched: other strategies run on. A call that was not made, because ctx ended or
// the document was too large, is no end, and neither is an ERROR from [Strategy.Open], which refuses that handle only.
type Strategy struct {
	version *version
	crew    *crew
	in      *instance // nil: it has ended
	err     error     // how
	closed  bool
	perTick int64 // fuel that a tick needed lately, or may need
	answer  actions
}

// tickBytes is a tick in wse_strategy_ticks, ticksHead what stands before the first: u32 n, u32 handle.
const (
	tickBytes = 4 * 8
	ticksHead = 2 * 4
	// ticksMax is how many ticks go into one call at most (sdk/ABI.md).
	ticksMax = 4096
)

// OpenStrategy makes an instance for the strategy of that name, of the first plugin of kind strategy that is bound to it. The
// error is [ErrNone] where none is, [ErrClosed], ctx's, or a *[CallError]: [Busy] where strategies_max or strategies_mib is
// reached, [Open] while the plugin rests, [Trap] where the instance does not start.
//
// It blocks while instances are made for others, and for as long as making one takes.
func (h *Host) OpenStrategy(ctx context.Context, name string) (*Strategy, error) {
	v, err := h.strategist(name)
	if err != nil {
		return nil, err
	}
	s, err := v.hire(ctx)
	if err != nil {
		v.release()
		return nil, err
	}
	return s, nil
}

// strategist returns the version that runs strategies of that name, held.
func (h *Host) strategist(name string) (*version, error) {
	t, err := h.acquire()
	if err != nil {
		return nil, err
	}
	defer t.release()
	for _, e := range t.hooks[hookOpen] {
		if matchAny(e.bind, name) {
			e.refs.Add(1) // the table has a hold of its own, so the version is open
			return e.version, nil
		}
	}
	return nil, fmt.Errorf("%w: none of kind strategy is bound to %q", ErrNone, printable([]byte(name), nameBytesShown))
}

// hire opens a strategy on v, which the caller holds for it.
func (v *version) hire(ctx context.Context) (*Strategy, error) {
	limits := &v.cfg.Limits
	if v.breaker.resting() {
		return nil, v.rests(hookOpen)
	}
	c, full := v.host.crews.join(v)
	if full != "" {
		return nil, v.refuse(hookOpen, Busy, full)
	}
	if !v.host.gate.enter(ctx, math.MaxInt64) {
		v.host.crews.leave(c, v)
		return nil, ctx.Err()
	}
	in, err := v.timed(func(v *version) (*instance, error) { return v.newInstanceIn(c.allocate) })
	v.host.gate.leave()
	if err != nil {
		v.host.crews.leave(c, v)
		v.failed(err.Error())
		return nil, v.refuse(hookOpen, Trap, err.Error())
	}
	return &Strategy{version: v, crew: c, in: in, perTick: limits.FuelTick, answer: actions{most: limits.ActionsMax}}, nil
}

// Plugin tells what it runs on.
func (s *Strategy) Plugin() (name, version string) { return s.version.cfg.Name, s.version.id }

// Open opens a handle: doc is the document of wse_strategy_open. The error is a *[CallError], with [Guest] where the strategy
// cannot run what doc says, and then the text is why.
func (s *Strategy) Open(ctx context.Context, doc []byte) error {
	kind, err := s.call(ctx, hookOpen, doc)
	if err == nil && kind == abi.No {
		return s.version.refuse(hookOpen, Guest, "the strategy does not run this, and says no reason")
	}
	return err
}

// Ticks gives ticks to a handle and returns how many of them were consumed, and what the strategy says to them. Where
// consumed is less than len(ticks) and err is nil, there are actions: the caller acts on them, tells of it with
// [Strategy.Update], and goes on with ticks[consumed:]. That need not be because of an order; what a strategy says does not
// depend on how its ticks are cut into calls. With an error, consumed are those before the call that failed.
//
// The actions, in the order of their ticks, are good until the next call; their texts may be kept, their Indicators not.
// It allocates nothing where the strategy has nothing to say, and nothing that grows otherwise but for the texts of orders. It
// blocks for the fuel of the ticks (limits.fuel_tick each, or limits.fuel), and where a strategy's calls take long for its turn at the gate.
func (s *Strategy) Ticks(ctx context.Context, handle uint32, ticks []message.StrategyTick) (consumed int, _ []message.StrategyAction, err error) {
	s.answer.list = s.answer.list[:0]
	for consumed < len(ticks) && len(s.answer.list) == 0 {
		n, err := s.some(ctx, handle, ticks[consumed:min(consumed+s.together(), len(ticks))])
		if err != nil {
			return consumed, nil, err
		}
		for i := range s.answer.list {
			s.answer.list[i].At += consumed
		}
		consumed += n
	}
	return consumed, s.answer.list, s.err
}

// together returns how many ticks go into one call: as many as are not expected to use more than a call that is not slow, for
// whose fuel there is room, and which the guest has a buffer for: one that refuses a larger one would refuse every batch.
func (s *Strategy) together() int {
	if s.in == nil {
		return 1
	}
	l := &s.version.cfg.Limits
	bytes := min(int64(s.in.size), int64(l.InKiB)<<10)
	return int(max(1, min(l.FuelTicks/l.FuelTick, l.SlowFuel/max(s.perTick, 1), (bytes-ticksHead)/tickBytes, ticksMax)))
}

// tickForgetShift makes cheaper calls take an eighth off the difference to what a tick needed before.
const tickForgetShift = 3

// some gives ticks to the guest in one call, and returns how many it consumed.
func (s *Strategy) some(ctx context.Context, handle uint32, ticks []message.StrategyTick) (int, error) {
	leave, err := s.admit(ctx, hookTicks)
	if err != nil {
		return 0, err
	}
	defer leave.leave()
	v, n := s.version, len(ticks)
	timing := s.in.begin()
	view, kind, f := s.in.callTicks(handle, ticks)
	s.count(hookTicks, timing.end())
	if used := max(s.in.used, 0) / int64(n); used > s.perTick {
		s.perTick = used
	} else {
		s.perTick -= (s.perTick - used) >> tickForgetShift
	}
	consumed := n
	if f == nil {
		consumed, err = s.answer.ticks(kind, view, n)
		f = unread(hookTicks, err)
	}
	if f != nil {
		return 0, s.end(hookTicks, f)
	}
	v.answered(hookTicks, kind)
	v.ticks.Add(uint64(consumed))
	return consumed, nil
}

// callTicks gives ticks to the guest, each of which brings its fuel. A few have what any other call has: a guest whose runtime
// cleans up once in a while does that at some tick.
func (in *instance) callTicks(handle uint32, ticks []message.StrategyTick) (view []byte, kind abi.Kind, f *fault) {
	limits := &in.version.cfg.Limits
	budget := min(max(limits.FuelTick*int64(len(ticks)), limits.Fuel), fuelMax)
	in.begins(1)
	size := ticksHead + tickBytes*len(ticks)
	room, f := in.room(size, budget)
	if f != nil {
		return nil, abi.No, f
	}
	binary.LittleEndian.PutUint32(room, uint32(len(ticks)))
	binary.LittleEndian.PutUint32(room[4:], handle)
	room = room[ticksHead:]
	for i := range ticks {
		t, to := &ticks[i], room[i*tickBytes:(i+1)*tickBytes]
		binary.LittleEndian.PutUint64(to, math.Float64bits(t.TimeMS))
		binary.LittleEndian.PutUint64(to[8:], math.Float64bits(t.Price))
		binary.LittleEndian.PutUint64(to[16:], math.Float64bits(t.Volume))
		binary.LittleEndian.PutUint64(to[24:], math.Float64bits(t.QuoteVolume))
	}
	return in.enter(hookTicks, size, budget)
}

// Update tells the strategy what happened: doc is the document of wse_strategy_update. What it says to that is good until the
// next call, as with [Strategy.Ticks]; At is 0.
func (s *Strategy) Update(ctx context.Context, doc []byte) ([]message.StrategyAction, error) {
	s.answer.list = s.answer.list[:0]
	if _, err := s.call(ctx, hookUpdate, doc); err != nil {
		return nil, err
	}
	return s.answer.list, nil
}

// call calls open or update.
func (s *Strategy) call(ctx context.Context, h hook, doc []byte) (abi.Kind, error) {
	if most := s.version.cfg.Limits.InKiB; len(doc) > most<<10 && s.err == nil {
		return abi.No, s.version.refuse(h, TooLarge, fmt.Sprintf("a document of %d bytes, at most %d KiB are allowed (in_kib)", len(doc), most))
	}
	leave, err := s.admit(ctx, h)
	if err != nil {
		return abi.No, err
	}
	defer leave.leave()
	timing := s.in.begin()
	view, kind, f := s.in.call(h, doc)
	s.count(h, timing.end())
	switch {
	case f != nil && f.kind == Guest && h == hookOpen:
		s.version.succeeded()
		return abi.No, s.version.refuse(h, Guest, f.text)
	case f == nil && h == hookUpdate:
		f = unread(h, s.answer.update(kind, view))
	case f == nil && kind == abi.Data:
		f = unread(h, errNotData)
	}
	if f != nil {
		return abi.No, s.end(h, f)
	}
	s.version.answered(h, kind)
	return kind, nil
}

var errNotData = errors.New("data, where only yes, no and an error are answers")

// admit says whether there is anybody to call, and waits at the gate where calls of h take long. The caller leaves what it
// returns. Unlike other hooks a strategy waits for as long as ctx lasts: there is no other that would do its work.
func (s *Strategy) admit(ctx context.Context, h hook) (gate, error) {
	switch {
	case s.err != nil:
		return nil, s.err
	case !s.version.slow(h):
		return nil, nil
	case !s.version.host.gate.enter(ctx, math.MaxInt64):
		return nil, ctx.Err()
	}
	return s.version.host.gate, nil
}

// count counts a call that has just ended.
func (s *Strategy) count(h hook, t took) {
	v, used := s.version, max(s.in.used, 0)
	stats := &v.counters[h]
	stats.took(t, used, 1)
	stats.fuel.add(uint64(used), fuelFirst, fuelShift)
	v.costs[h].add(used)
}

// answered counts a call that gave a usable answer.
func (v *version) answered(h hook, kind abi.Kind) {
	v.succeeded()
	v.counters[h].calls[kind].Add(1) // No, Yes and Data are OutcomeNo, OutcomeYes and OutcomeData
}

// end is what becomes of a strategy whose call failed.
func (s *Strategy) end(h hook, f *fault) error {
	if f.kind != Guest {
		s.version.failed(string(f.kind) + ": " + f.text)
	}
	s.err = s.version.refuse(h, f.kind, f.text)
	s.drop()
	return s.err
}

// drop gives the instance's memory back.
func (s *Strategy) drop() {
	if s.in != nil {
		s.in.close()
		s.in = nil
	}
}

// Close lets go of the instance, and of the version where it was the last to run on one that serves no longer. Later calls fail
// with [ErrClosed]. It always returns nil.
func (s *Strategy) Close() error {
	if s.closed {
		return nil
	}
	s.closed, s.err = true, fmt.Errorf("%w: the strategy was closed", ErrClosed)
	s.drop()
	s.version.host.crews.leave(s.crew, s.version)
	s.version.host.dismissed(s.crew, s.version)
	s.version.release()
	return nil
}
