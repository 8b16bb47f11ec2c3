package plugin

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin/vector"
	"github.com/wse-engine/wse/sdk/abi"
)

// batchSizes are the batches that the ticks of a vector come in: what a strategy says must not depend on it.
func batchSizes() []int { return []int{1, 7, ticksMax} }

// Step tells the strategy one thing, ticks in batches of at most so many. A call that fails is no error: it is told in what is
// returned, and the next step finds a strategy that knows nothing. What is said to ticks is one answer to all of them. The
// error is [ErrNoHook], or a *[LoadError].
func (p *Workpiece) Step(s *vector.Step, batch int) (Called, error) {
	switch s.Does() {
	case vector.StepOpen:
		return p.Call(hookOpen.name(), s.Document())
	case vector.StepUpdate:
		return p.Call(hookUpdate.name(), s.Document())
	}
	ticks := make([]message.StrategyTick, len(s.Ticks))
	for i, row := range s.Ticks {
		to := [4]float64{}
		copy(to[:], row)
		ticks[i] = message.StrategyTick{TimeMS: to[0], Price: to[1], Volume: to[2], QuoteVolume: to[3]}
	}
	handle := s.Handle
	if handle == 0 {
		handle = 1
	}
	return p.Ticks(handle, ticks, batch)
}

// Ticks gives ticks to a handle, at most batch in a call, until the strategy orders or cancels. Data is the answer to all of
// them, no where they are all consumed and nothing is said.
func (p *Workpiece) Ticks(handle uint32, ticks []message.StrategyTick, batch int) (Called, error) {
	if _, err := p.hook(hookTicks.name()); err != nil {
		return Called{}, err
	}
	if err := p.instance(); err != nil {
		return Called{}, err
	}
	p.bench.lines, p.version.metrics = nil, guestMetrics{}
	got, in := Called{}, p.in
	a, out := actions{most: p.version.cfg.Limits.ActionsMax}, []byte(nil)
	done := 0
	for stopped := false; done < len(ticks) && !stopped; stopped = a.stopped() {
		n := min(max(batch, 1), len(ticks)-done, (int(in.size)-ticksHead)/tickBytes)
		a.list = a.list[:0]
		begin := time.Now()
		view, kind, f := in.callTicks(handle, ticks[done:done+n])
		got.Time += time.Since(begin)
		got.Fuel += in.used
		consumed, err := n, error(nil)
		if f == nil {
			consumed, err = a.ticks(kind, view, n)
			f = unread(hookTicks, err)
		}
		if f != nil {
			got.Said, got.Error = said(f.kind), f.text
			p.drop()
			break
		}
		if kind == abi.Data {
			out = appendItems(out, view, done)
		}
		done += consumed
	}
	if p.in != nil {
		got.Said, got.MemoryBytes = vector.No, int(in.mem.Size())
		if len(out) > 0 {
			got.Said, got.Data = vector.Data, append(append(fmt.Appendf(nil, `{"consumed":%d,"out":[`, done), out...), ']', '}')
		}
	}
	got.Log, got.Metrics = slices.Clone(p.bench.lines), p.version.metrics.snapshot()
	return got, nil
}

// stopped reports whether the strategy waits for what becomes of what it ordered.
func (a *actions) stopped() bool {
	return slices.ContainsFunc(a.list, func(x message.StrategyAction) bool {
		return x.Kind == message.ActionOrder || x.Kind == message.ActionCancel
	})
}

// appendItems appends the items of an answer, which has been read, each with its tick counted from `before` ticks earlier.
func appendItems(dst, answer []byte, before int) []byte {
	it := jsonscan.Members(answer)
	for it.Next() {
		if string(it.Key()) != "out" {
			continue
		}
		items := jsonscan.Elements(it.Value())
		for items.Next() {
			if len(dst) > 0 {
				dst = append(dst, ',')
			}
			dst = appendItem(dst, items.Value(), before)
		}
	}
	return dst
}

func appendItem(dst, item []byte, before int) []byte {
	opening := byte('{')
	it := jsonscan.Members(item)
	for it.Next() {
		dst = append(dst, opening)
		dst = append(jsonscan.AppendQuoted(dst, string(it.Key())), ':')
		if at, err := jsonscan.Uint(it.Value()); string(it.Key()) == "at" && err == nil {
			dst = strconv.AppendUint(dst, at+uint64(before), 10)
		} else {
			dst = append(dst, it.Value()...)
		}
		opening = ','
	}
	return append(dst, '}')
}

// checkSteps runs a vector's steps for each size of batches, each time on an instance that knows nothing.
func (p *Workpiece) checkSteps(v *vector.Vector, config []byte) (Called, error) {
	var all Called
	for _, batch := range batchSizes() {
		if err := p.begin(config); err != nil {
			return Called{}, fmt.Errorf("its config is refused: %w", err)
		}
		all = Called{Got: vector.Got{Metrics: map[string]float64{}}}
		for i := range v.Steps {
			got, err := p.Step(&v.Steps[i], batch)
			if err != nil {
				return got, err
			}
			if err := v.CheckStep(i, got.Got); err != nil {
				return got, fmt.Errorf("ticks in batches of %d: %w", batch, err)
			}
			all.add(got)
		}
		if err := v.Check(all.Got); err != nil {
			return all, fmt.Errorf("ticks in batches of %d: %w", batch, err)
		}
	}
	return all, nil
}

// add makes c what came of several calls: the last answer, and what they used together.
func (c *Called) add(last Called) {
	c.Said, c.Data, c.Error, c.MemoryBytes = last.Said, last.Data, last.Error, last.MemoryBytes
	c.Fuel += last.Fuel
	c.Time += last.Time
	c.Log = append(c.Log, last.Log...)
	for _, name := range slices.Sorted(maps.Keys(last.Metrics)) {
		c.Metrics[name] += last.Metrics[name]
	}
}

// readTicks holds the answer to a batch of ticks, whose document is doc, to the contract.
func (p *Workpiece) readTicks(h hook, kind abi.Kind, doc, answer []byte) error {
	a := actions{most: p.version.cfg.Limits.ActionsMax}
	switch {
	case h == hookOpen && kind == abi.Data:
		return errNotData
	case h == hookOpen:
		return nil
	case h == hookUpdate:
		return a.update(kind, answer)
	}
	n := 0
	if len(doc) >= ticksHead {
		n = int(binary.LittleEndian.Uint32(doc))
	}
	_, err := a.ticks(kind, answer, n)
	return err
}

// Traded is what a strategy did with a series of ticks.
type Traded struct {
	Ticks, Calls, Orders, Updates int
	TicksTime, UpdatesTime        time.Duration
	Fuel                          int64 // of ticks and updates
	MemoryBytes                   int   // of the instance, in the end
}

// Trade opens a strategy with a document and gives it ticks, batch at most in a call. What it orders is filled at once, at the
// price of the tick at which it does, without a fee: not a simulation of anything, but work as in one. The error tells which
// call failed.
func (p *Workpiece) Trade(open []byte, ticks []message.StrategyTick, batch int) (Traded, error) {
	if err := p.begin(p.version.config); err != nil {
		return Traded{}, err
	}
	handle, err := handleOf(open)
	if err != nil {
		return Traded{}, err
	}
	got, err := p.Call(hookOpen.name(), open)
	if err == nil && got.Said != vector.Yes {
		err = fmt.Errorf("open: %s", got.Got)
	}
	if err != nil {
		return Traded{}, err
	}
	t := Traded{Ticks: len(ticks)}
	a := actions{most: p.version.cfg.Limits.ActionsMax}
	position, doc, in := 0.0, []byte(nil), p.in
	for done := 0; done < len(ticks); {
		n := min(max(batch, 1), len(ticks)-done, (int(in.size)-ticksHead)/tickBytes)
		a.list = a.list[:0]
		begin := time.Now()
		view, kind, f := in.callTicks(handle, ticks[done:done+n])
		consumed, err := n, error(nil)
		if f == nil {
			consumed, err = a.ticks(kind, view, n)
			f = unread(hookTicks, err)
		}
		t.TicksTime += time.Since(begin)
		t.Calls++
		t.Fuel += in.used
		if f != nil {
			p.drop()
			return t, fmt.Errorf("tick %d: %s: %s", done, f.kind, f.text)
		}
		done += consumed
		if !a.stopped() {
			continue
		}
		doc = p.filled(doc[:0], handle, &a, ticks[done-1].Price, &position, &t)
		begin = time.Now()
		got, err := p.Call(hookUpdate.name(), doc)
		t.UpdatesTime += time.Since(begin)
		t.Updates++
		t.Fuel += got.Fuel
		if err == nil && got.Said != vector.No && got.Said != vector.Data {
			err = fmt.Errorf("update behind tick %d: %s", done-1, got.Got)
		}
		if err != nil {
			return t, err
		}
	}
	t.MemoryBytes = int(in.mem.Size())
	return t, nil
}

// filled writes the update that tells of all orders in a as filled, and of what was cancelled as that.
func (p *Workpiece) filled(doc []byte, handle uint32, a *actions, price float64, position *float64, t *Traded) []byte {
	doc = fmt.Appendf(doc, `{"handle":%d,"events":[`, handle)
	for i := range a.list {
		x := &a.list[i]
		if x.Kind != message.ActionOrder && x.Kind != message.ActionCancel {
			continue
		}
		if doc[len(doc)-1] != '[' {
			doc = append(doc, ',')
		}
		if x.Kind == message.ActionCancel {
			doc = fmt.Appendf(doc, `{"kind":"cancelled","id":%q}`, x.ID)
			continue
		}
		t.Orders++
		quantity := x.Quantity
		if quantity == 0 {
			quantity = x.Notional / price
		}
		if x.Side == "sell" {
			*position -= quantity
		} else {
			*position += quantity
		}
		doc = fmt.Appendf(doc, `{"kind":"fill","id":%q,"quantity":%v,"price":%v,"fee":0}`, x.ID, quantity, price)
	}
	return fmt.Appendf(doc, `],"position":%v,"equity":10000}`, *position)
}

func handleOf(open []byte) (uint32, error) {
	it := jsonscan.Members(open)
	for it.Next() {
		if string(it.Key()) == "handle" {
			h, err := jsonscan.Uint(it.Value())
			if err != nil || h > 1<<32-1 {
				return 0, fmt.Errorf("handle %.32s is no whole number of 32 bits", it.Value())
			}
			return uint32(h), nil
		}
	}
	if it.Err() != nil {
		return 0, it.Err()
	}
	return 0, errors.New("the document has no handle")
}

// WalkTicks returns n ticks of a random walk, the same for the same n and seed: a tick each second, steps of up to 0.2 %.
func WalkTicks(n int, seed uint64) []message.StrategyTick {
	r := rand.New(rand.NewPCG(seed, 1))
	ticks, price := make([]message.StrategyTick, n), 20_000.0
	for i := range ticks {
		price *= 1 + 0.004*(r.Float64()-0.5)
		cents := float64(int64(price*100)) / 100
		volume := float64(1+r.IntN(1000)) / 1000
		ticks[i] = message.StrategyTick{TimeMS: 1_700_000_000_000 + 1000*float64(i), Price: cents, Volume: volume, QuoteVolume: cents * volume}
	}
	return ticks
}

// FloorStrategy opens a strategy that says nothing to anything: what it takes is the price of the border alone.
func (w *Workbench) FloorStrategy(ctx context.Context) (*Workpiece, error) {
	return w.Open(ctx, Specimen{Name: "floor", Module: floorModule(abi.BufferBytes,
		floorHook{abi.ExportStrategyOpen, 1}, floorHook{abi.ExportStrategyTicks, 0}, floorHook{abi.ExportStrategyUpdate, 0})})
}
