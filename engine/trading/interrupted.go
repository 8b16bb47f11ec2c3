package trading

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/execution"
	"github.com/wse-engine/wse/engine/trading/market"
)

// Past is what was published before. [broker.Broker] has it. History may block until ctx ends.
type Past interface {
	History(ctx context.Context, topic message.Topic, q broker.Query) (broker.History, error)
}

// place is how far a topic was heard.
type place struct {
	at     broker.Position
	tickMS int64 // the time of the last tick; Unix milliseconds
	heard  bool  // something was
}

// report is what came of an owner's order events: a broker's report, or that between the one before and the next some may be
// missing.
type report struct {
	env *message.Envelope // nil: an interruption
	// after is how far the topic had been heard before the interruption.
	after broker.Position
	heard bool
}

// Kinds of alerts that say that something is missing (PROTOCOL §3.3).
const (
	alertMarket  = "market_data_interrupted"
	alertReports = "reports_interrupted"
)

const (
	// rereadPause is how long a session waits before it tries again to read the reports that it may have missed.
	rereadPause = time.Second
	// rereadWait is how long it waits for them at a time: meanwhile it answers nobody.
	rereadWait = 5 * time.Second
)

// Restart implements [broker.Restarter]: ticks were missed. Those that there are, and that did not come yet, come now: by their
// numbers where the numbering goes on, else by their times.
func (q *quote) Restart(_ message.Topic, h broker.History) {
	q.quotes.interruptions.Add(1)
	before := q.place
	if takers := q.takers.Load(); takers != nil {
		for _, t := range *takers {
			t.interrupted(q.symbol)
		}
	}
	if !before.heard { // where to begin is not known, and nothing came yet that would be followed by something else
		return
	}
	for _, env := range h.Publications {
		if env.Type != message.TypeMarketData {
			continue
		}
		fresh := env.Seq > before.at.Offset
		if h.Position.Epoch != before.at.Epoch {
			tick, err := market.ParseTickOf(q.symbol, env.Payload)
			fresh = err == nil && tick.TimeMS > before.tickMS
		}
		if fresh {
			q.Deliver(env)
		}
	}
	q.place.at = h.Position
}

// Restart implements [broker.Restarter]: reports may have been missed. The session reads the history for them before it looks at
// what comes after. What the broker had of it is not used: where nothing is retained it is nothing.
func (i *inbox) Restart(_ message.Topic, h broker.History) {
	i.mu.Lock()
	i.reports = append(i.reports, report{after: i.heard.at, heard: i.heard.heard})
	i.heard.at, i.heard.heard = h.Position, true // the session reads up to there, and further
	i.mu.Unlock()
	i.wake()
}

// interrupted implements [taker].
func (i *inbox) interrupted(symbol string) {
	i.mu.Lock()
	if i.gaps == nil {
		i.gaps = map[string]int{}
	}
	i.gaps[symbol]++
	i.mu.Unlock()
	i.wake()
}

// interruptions takes out how often each symbol was interrupted.
func (i *inbox) interruptions() (gaps map[string]int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	gaps, i.gaps = i.gaps, nil
	return gaps
}

// putBack puts reports that could not be looked at before those that have come since, and has them looked at again.
func (i *inbox) putBack(reports []report) {
	i.mu.Lock()
	i.reports = append(reports[:len(reports):len(reports)], i.reports...)
	i.mu.Unlock()
	time.AfterFunc(rereadPause, i.wake)
}

// tellGaps tells the owner of markets of which ticks may be missing.
func (o *opened) tellGaps(ctx context.Context) {
	for symbol, n := range o.inbox.interruptions() {
		o.alert(ctx, alertMarket, symbol, fmt.Sprintf("the market data of %s was interrupted %s: ticks may be missing, and signals with them", symbol, times(n)))
	}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func (o *opened) alert(ctx context.Context, kind, symbol, text string) {
	t, s := o.trading, o.session
	t.publish(ctx, s, automationEvents, message.TypeAlert, alertPayload{
		s.sessionID(), alert{Type: kind, Symbol: symbol, Message: text, Timestamp: t.now().UnixMilli()},
	})
}

// errUnread says that reports which may have been missed could not be read yet.
var errUnread = errors.New("trading: the history of order events cannot be read")

// reread books the reports that the history of the owner's order events holds, after those that were heard before an
// interruption. Each is booked once, whatever comes twice. Where the history does not say that it has all of them the owner is
// told, since only he can compare with the broker. An error that wraps errUnread is not the session's end.
func (o *opened) reread(ctx context.Context, gap report) error {
	t, s := o.trading, o.session
	topic, err := message.UserTopic(s.owner, orderEvents)
	if err != nil {
		return err
	}
	reading, cancel := context.WithTimeout(ctx, rereadWait)
	defer cancel()
	h, err := t.deps.Past.History(reading, topic, broker.Query{After: gap.after, Recover: gap.heard, Limit: -1})
	if err != nil {
		return fmt.Errorf("%w: %w", errUnread, err)
	}
	t.counts.rereads.Add(1)
	for _, env := range h.Publications {
		if env.Type != message.TypeExecutionReport {
			continue
		}
		if err := o.book(ctx, env, true); err != nil {
			return err
		}
	}
	if !h.Recovered {
		o.reportsMissing(ctx)
	}
	return nil
}

func (o *opened) reportsMissing(ctx context.Context) {
	o.trading.log.Warn("reports of executions may be missing", "session", o.session.id)
	o.alert(ctx, alertReports, "", "reports of the broker may be missing: compare the session's orders and positions with the broker's")
}

// settle books the reports that a session which ends has not looked at. Where what may have been missed of them cannot be
// read even now, its owner is told.
func (o *opened) settle(ctx context.Context) error {
	if o.session.plan.kind != live {
		return nil
	}
	_, left := o.inbox.empty(nil)
	err := o.reports(ctx, left)
	if _, left = o.inbox.empty(nil); slices.ContainsFunc(left, func(r report) bool { return r.env == nil }) {
		o.reportsMissing(ctx)
	}
	return err
}

// book books what came back of an order that went out. again says that it may have been booked before, long ago: then an order
// that is not known any more is nothing to tell of.
func (o *opened) book(ctx context.Context, env *message.Envelope, again bool) error {
	report, mine, err := readReport(env.Payload, o.session.id)
	if err == nil && !mine {
		return nil
	}
	if err == nil {
		_, err = o.run.Report(report)
	}
	o.out.publish(ctx)
	var failure *execution.Failure
	switch {
	case errors.As(err, &failure):
		return o.failed(err)
	case again && errors.Is(err, execution.ErrUnknown):
	case err != nil:
		o.trading.counts.reportsBad.Add(1)
		o.trading.log.Warn("a report of an execution was not booked", "session", o.session.id, "error", err)
	}
	return nil
}
