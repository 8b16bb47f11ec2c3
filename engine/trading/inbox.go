package trading

import (
	"sync"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// inbox holds what came for a session and was not seen by its goroutine yet: ticks in the order in which they were published,
// and what came of the owner's order events, where the session waits for fills.
type inbox struct {
	most  int
	ready chan struct{} // there is something

	mu      sync.Mutex
	ticks   []message.Tick // guarded by mu
	reports []report       // guarded by mu
	heard   place          // of the owner's order events; guarded by mu
	gaps    map[string]int // how often a symbol was interrupted; guarded by mu
	dropped uint64         // ticks for which there was no room; guarded by mu
}

var (
	_ taker           = (*inbox)(nil)
	_ broker.Follower = (*inbox)(nil)
)

func newInbox(most int) *inbox { return &inbox{most: most, ready: make(chan struct{}, 1)} }

// take implements [taker].
func (i *inbox) take(t *message.Tick) {
	i.mu.Lock()
	if len(i.ticks) >= i.most {
		i.dropped++
		i.mu.Unlock()
		return
	}
	i.ticks = append(i.ticks, *t)
	i.mu.Unlock()
	i.wake()
}

// Deliver implements [broker.Sink]: it takes the reports of fills. There is always room: each is an order's.
func (i *inbox) Deliver(env *message.Envelope) {
	i.mu.Lock()
	i.heard.at, i.heard.heard = broker.Position{Epoch: env.Epoch, Offset: env.Seq}, true
	if env.Type != message.TypeExecutionReport {
		i.mu.Unlock()
		return
	}
	i.reports = append(i.reports, report{env: env})
	i.mu.Unlock()
	i.wake()
}

func (i *inbox) wake() {
	select {
	case i.ready <- struct{}{}:
	default:
	}
}

// empty takes everything out. spare is what ticks are put into from now on; its content is lost.
func (i *inbox) empty(spare []message.Tick) (ticks []message.Tick, reports []report) {
	i.mu.Lock()
	defer i.mu.Unlock()
	ticks, reports = i.ticks, i.reports
	i.ticks, i.reports = spare[:0], nil
	return ticks, reports
}

// holds reports whether something came that the session's goroutine has not taken out.
func (i *inbox) holds() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.ticks)+len(i.reports) > 0
}

// lost returns how many ticks were dropped so far.
func (i *inbox) lost() uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.dropped
}
