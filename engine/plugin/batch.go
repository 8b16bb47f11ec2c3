package plugin

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/wse-engine/wse/sdk/abi"
)

// Event is one of several events that are handed over together, and what became of it. See [Host.TransformAll].
type Event struct {
	Type     string // its name
	Doc      []byte // the document; only read
	Answer   Answer // reads what a plugin says of it. It may be read twice: what is read last counts
	Decision Decision
	Err      error // a *CallError, or [ErrClosed]

	kind abi.Kind // what the plugin that was asked last said
	text string   // with ErrorText
	view []byte   // with Data: the answer in the guest's memory, while the batch is looked at
}

// TransformAll decides about each of events as [Host.Transform] does about one, and returns when all are decided. What is
// bound to a plugin with wse_transform_batch goes to it in batches. The events are independent of each other: one that
// fails costs the others nothing but time. Event.Answer is read on any goroutine that calls plugins at the time, but not
// after TransformAll has returned.
func (h *Host) TransformAll(ctx context.Context, events []Event) {
	t, err := h.acquire()
	if err != nil {
		for i := range events {
			events[i].Decision, events[i].Err = Decision{}, err
		}
		return
	}
	defer t.release()
	c, ok := h.lists.Get().(*chain)
	if !ok {
		c = new(chain)
	}
	c.start(events)
	for _, e := range t.hooks[hookTransform] {
		if c.bound(e) {
			e.many(ctx, c.asked)
			c.decide(e)
		}
	}
	c.end()
	h.lists.Put(c)
}

// chain is the memory of one TransformAll.
type chain struct {
	open  []*Event // which no plugin has decided about
	asked []*Event // those of them that the plugin at hand is asked about
}

func (c *chain) start(events []Event) {
	for i := range events {
		events[i].Decision, events[i].Err = Decision{}, nil
		c.open = append(c.open, &events[i])
	}
}

func (c *chain) end() {
	clear(c.open[:cap(c.open)])
	clear(c.asked[:cap(c.asked)])
	c.open, c.asked = c.open[:0], c.asked[:0]
}

// bound picks the events to ask e about, refuses those that it cannot be asked about, and reports whether there are any of
// either.
func (c *chain) bound(e *entry) (any bool) {
	c.asked = c.asked[:0]
	for _, ev := range c.open {
		ev.kind = abi.Yes // for those not asked about
		if !matchAny(e.bind, ev.Type) {
			continue
		}
		any = true
		if ev.Err = e.admit(hookTransform, ev.Doc); ev.Err == nil {
			c.asked = append(c.asked, ev)
		}
	}
	return any
}

// decide keeps the events that e passed on, or was not asked about.
func (c *chain) decide(e *entry) {
	open := c.open[:0]
	for _, ev := range c.open {
		switch {
		case ev.Err != nil:
			ev.Err = e.withPolicy(ev.Err)
		case ev.kind == abi.No:
			ev.Decision = Decision{Dropped, e.cfg.Name, e.id}
		case ev.kind == abi.Data:
			ev.Decision = Decision{Answered, e.cfg.Name, e.id}
		default:
			open = append(open, ev)
		}
	}
	c.open = open
}

// many asks the plugin about events, a batch at a time: between two batches others have their turn.
func (v *version) many(ctx context.Context, events []*Event) {
	for len(events) > 0 {
		n := v.fit(hookTransform, events)
		v.some(ctx, events[:n])
		events = events[n:]
	}
}

// some asks about events that fit into one batch.
func (v *version) some(ctx context.Context, events []*Event) {
	if in, free := v.pool.take(); free {
		v.pool.give(v.drain(ctx, in, hookTransform, events))
		return
	}
	k := v.pool.task(hookTransform)
	defer v.pool.done(k)
	k.events = events
	v.submit(ctx, k)
}

// drain asks about events with an instance, in batches as far as can be, and returns the instance to go on with.
func (v *version) drain(ctx context.Context, in *instance, h hook, events []*Event) *instance {
	for len(events) > 0 {
		n := v.fit(h, events)
		done := false
		if n > 1 && in != nil {
			in, done = v.batch(in, events[:n])
		} else {
			n = 1
		}
		if !done {
			for _, ev := range events[:n] {
				in, ev.kind, ev.Err = v.once(ctx, in, h, ev.Doc, ev.Answer)
			}
		}
		events = events[n:]
	}
	return in
}

// batching decides how many events go into one call, and counts them.
type batching struct {
	most                    int          // 1 and 0: the guest is asked about one at a time
	alone                   atomic.Int64 // events that are to be run one by one, before the next batch is tried
	penalty                 atomic.Int64 // what alone was set to after the last failure, halved by each success
	batches, events, failed atomic.Uint64
}

// A batch that fails is paid for twice. So the next one is tried after so many single events, twice as many each time.
const penaltyMin, penaltyMax = 64, 1 << 16

func (b *batching) succeeded(n int) {
	b.batches.Add(1)
	b.events.Add(uint64(n))
	if p := b.penalty.Load(); p > 0 {
		b.penalty.Store(p / 2)
	}
}

func (b *batching) fail() {
	b.failed.Add(1)
	p := min(max(2*b.penalty.Load(), penaltyMin), penaltyMax)
	b.penalty.Store(p)
	b.alone.Store(p)
}

// ranAlone counts an event that was run alone.
func (b *batching) ranAlone() {
	if b.most > 1 && b.alone.Load() > 0 {
		b.alone.Add(-1)
	}
}

// together returns how many events may go into one call of h now. A batch is not expected to take longer than one call
// that is not slow; of a guest that was not called yet nothing is expected.
func (v *version) together(h hook) int {
	if h != hookTransform || v.batching.most <= 1 || v.batching.alone.Load() > 0 || v.breaker.until.Load() != 0 {
		return 1
	}
	lately := v.costs[h].lately()
	if lately == 0 {
		return 1
	}
	return int(max(1, min(v.cfg.Limits.SlowFuel/lately, int64(v.batching.most))))
}

// The parts of a batch: the number of events, and a size for each; of its answer: that number, and a tag and a size.
const (
	batchHead  = 4
	eventHead  = 4
	answerHead = 8
)

// batchBytesMax bounds a batch as one document. It never needs a larger buffer than every guest has: one that refuses a
// larger document would refuse every batch.
func (v *version) batchBytesMax() int { return min(v.cfg.Limits.InKiB<<10, abi.BufferBytes) }

func batchBytes(events []*Event) int {
	n := batchHead
	for _, ev := range events {
		n += eventHead + len(ev.Doc)
	}
	return n
}

// fit returns how many of events go into the next call: at least one.
func (v *version) fit(h hook, events []*Event) int {
	most, room := min(v.together(h), len(events)), v.batchBytesMax()-batchHead
	n := 0
	for ; n < most; n++ {
		if room -= eventHead + len(events[n].Doc); room < 0 {
			break
		}
	}
	return max(n, 1)
}

// batch asks about all of events in one call, and reports whether that went well. If not, nothing is decided: what failed
// is not known, and the events are asked about one by one. An instance whose batch failed is lost as after any call, but
// the breaker is not told: it learns of those events that fail alone too.
func (v *version) batch(in *instance, events []*Event) (*instance, bool) {
	n, stats := len(events), &v.counters[hookTransform]
	timing := in.begin()
	f := in.callBatch(events)
	took := timing.end()
	used := max(in.used, 0) / int64(n)
	v.costs[hookTransform].add(used)
	if f != nil {
		for _, ev := range events {
			ev.view = nil
		}
		stats.cpu.wasted.Add(uint64(used) * uint64(n))
		v.batching.fail()
		v.tellBatch(n, f)
		if f.kind == Guest {
			return in, false
		}
		v.lose(in)
		return nil, false
	}
	stats.took(took, used, n)
	stats.fuel.addMany(uint64(used), uint64(n), fuelFirst, fuelShift)
	v.batching.succeeded(n)
	v.succeeded()
	for _, ev := range events {
		v.settle(ev, used)
	}
	return in, true
}

// settle counts what a batch said of one event, and shows it to who looks on.
func (v *version) settle(ev *Event, used int64) {
	var f *fault
	if ev.kind == abi.ErrorText {
		f = &fault{Guest, ev.text}
		ev.kind, ev.text, ev.Err = abi.No, "", v.refuse(hookTransform, Guest, ev.text)
	} else {
		v.counters[hookTransform].calls[ev.kind].Add(1) // No, Yes and Data are OutcomeNo, OutcomeYes and OutcomeData
	}
	if w := v.watch.Load(); w != nil {
		w.saw(v, hookTransform, ev.Doc, ev.kind, ev.view, f, used)
	}
	ev.view = nil
}

// tellBatch logs why a batch failed, within the cap of the guest's own lines: a batch hook that always fails costs time
// and is otherwise not noticed.
func (v *version) tellBatch(n int, f *fault) {
	if v.host.deps.Log != nil && v.logs.allow() {
		v.host.deps.Log(v.cfg.Name, v.id, 3, printable(fmt.Appendf(nil, "a batch of %d events failed, and they are run one by one: %s: %s", n, f.kind, f.text),
			v.cfg.Limits.LogLineBytes))
	}
}

// callBatch runs the batch hook, and reads what it says of each event into it. Each event brings the fuel, the log lines
// and the answer's size of a call.
func (in *instance) callBatch(events []*Event) *fault {
	limits, n := &in.version.cfg.Limits, len(events)
	in.begins(n)
	budget := limits.Fuel * int64(n)
	in.fuel.Set(uint64(budget))
	size := batchBytes(events)
	doc, ok := in.mem.Read(in.addr, uint32(size))
	if !ok {
		return &fault{Violation, "the input buffer left the memory"}
	}
	doc = binary.LittleEndian.AppendUint32(doc[:0], uint32(n)) // doc is the guest's memory, and has room for all of it
	for _, ev := range events {
		doc = append(binary.LittleEndian.AppendUint32(doc, uint32(len(ev.Doc))), ev.Doc...)
	}
	in.stack[0] = uint64(size)
	err := in.batch.CallWithStack(in, in.stack[:])
	in.used = budget - int64(in.fuel.Get())
	if err != nil {
		return in.trapped(err, budget)
	}
	switch r := abi.Unpack(in.stack[0]); r.Kind {
	case abi.Data:
		most := n * (limits.OutKiB<<10 + answerHead)
		view, ok := in.mem.Read(r.Ptr, r.Len)
		if !ok || int(r.Len) > most {
			return in.badAnswer(r, most)
		}
		if err := readBatch(view, events, limits.OutKiB<<10); err != nil {
			return &fault{Violation, "the answer of " + abi.ExportTransformBatch + ": " + err.Error()}
		}
		return nil
	case abi.ErrorText:
		return &fault{Guest, in.errorText(r)}
	case abi.ErrorCode:
		return &fault{Guest, fmt.Sprintf("error %d", r.Code)}
	default:
		return &fault{Violation, fmt.Sprintf("%s returned %#x, which is no answer to a batch", abi.ExportTransformBatch, in.stack[0])}
	}
}

// readBatch reads the answer to a batch, u32 n, n × {u32 tag, u32 size, bytes}, into events.
func readBatch(doc []byte, events []*Event, most int) error {
	if len(doc) < batchHead {
		return fmt.Errorf("%d bytes, which is no number of events", len(doc))
	}
	if n := binary.LittleEndian.Uint32(doc); n != uint32(len(events)) {
		return fmt.Errorf("answers to %d events, %d were asked about", n, len(events))
	}
	doc = doc[batchHead:]
	for i, ev := range events {
		if len(doc) < answerHead {
			return fmt.Errorf("ends before answer %d", i)
		}
		tag, size := binary.LittleEndian.Uint32(doc), binary.LittleEndian.Uint32(doc[4:])
		if doc = doc[answerHead:]; uint64(size) > uint64(len(doc)) {
			return fmt.Errorf("ends inside answer %d", i)
		}
		if err := ev.read(tag, doc[:size], most); err != nil {
			return fmt.Errorf("answer %d: %w", i, err)
		}
		doc = doc[size:]
	}
	if len(doc) > 0 {
		return fmt.Errorf("%d bytes behind the last answer", len(doc))
	}
	return nil
}

// read takes what a batch says of one event. The tags are those of sdk/ABI.md, which are the kinds of a result.
func (ev *Event) read(tag uint32, answer []byte, most int) error {
	ev.kind, ev.text, ev.view = abi.No, "", nil
	switch kind := abi.Kind(tag); {
	case tag > uint32(abi.ErrorText):
		return fmt.Errorf("tag %d is none", tag)
	case kind == abi.ErrorText:
		ev.text = errorText(answer)
		ev.kind = kind
	case kind == abi.Data:
		if len(answer) > most {
			return fmt.Errorf("has %d bytes, at most %d are allowed (out_kib)", len(answer), most)
		}
		if err := ev.Answer.Read(answer); err != nil {
			return err
		}
		ev.kind, ev.view = kind, answer
	case len(answer) > 0:
		return fmt.Errorf("%s with %d bytes", kind, len(answer))
	default:
		ev.kind = kind
	}
	return nil
}
