package row

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// The sessions row: traders whose paper sessions all run on all symbols, and as many who only look at one of them.
const (
	paperSessions = 200
	paperSymbols  = 50
	paperBeat     = tickEvery * time.Millisecond // a tick of every symbol
	paperRounds   = 162                          // of a repetition
	paperSignals  = 9                            // one round in so many has the tick that is a signal
	paperIdle     = 36                           // rounds before each repetition that are not measured
)

// paperStrategy takes a price above 1000 for a signal and buys, and a price below for the end of it and sells.
const paperStrategy = `{"strategy_name":"spikes","s1_signal":{"conditions":[{"id":"up","indicatorId":"PRICE","operator":">","value":1000},` +
	`{"id":"above","indicatorId":"PRICE_CHANGE_PCT_5","operator":">","value":1}]},"o1_cancel":{"timeoutSeconds":60,"conditions":[]},` +
	`"z1_entry":{"conditions":[{"id":"busy","indicatorId":"VOLUME_SURGE_RATIO_10","operator":">","value":0}],"positionSize":{"type":"fixed","value":100},` +
	`"stopLoss":{"enabled":true,"offsetPercent":50},"takeProfit":{"enabled":true,"offsetPercent":50}},` +
	`"ze1_close":{"conditions":[{"id":"down","indicatorId":"PRICE","operator":"<","value":1000}]},` +
	`"emergency_exit":{"conditions":[],"cooldownMinutes":0,"actions":{"cancelPending":true,"closePosition":true,"logEvent":false}}}`

// paperRun is the state of the row. What the swarm writes is read when everything has arrived.
type paperRun struct {
	b              *Bench
	server         *target.Server
	round          int            // the next one; ticks of round n are of firstTick + n × tickEvery
	next           time.Time      // when it is due
	sent           []atomic.Int64 // Unix nanoseconds, by round
	from           int            // the first round that is measured; the swarm's goroutine's
	signals, ticks figure.Series  // ms
	started        atomic.Int64   // sessions
	came, seen     atomic.Int64   // signals, and ticks at the onlookers, of measured rounds
	refused        atomic.Pointer[string]
	cpu            []float64 // cores
}

// sessions measures how long a tick takes until the signals that it is for 200 sessions are at their owners, beside how long
// the same tick takes to 200 clients that are subscribed to it.
func sessions(ctx context.Context, b *Bench) (figures []figure.Figure, err error) {
	server, err := target.StartWSE(b.Binary, b.Dir, tradingConfig)
	if err != nil {
		return nil, err
	}
	defer stopAll([]*target.Server{server}, &err)
	sw, err := swarm.New()
	if err != nil {
		return nil, err
	}
	defer sw.Close()
	r := &paperRun{b: b, server: server, sent: make([]atomic.Int64, paperSessions+(b.Repetitions+1)*(paperRounds+paperIdle)),
		from: math.MaxInt, signals: figure.Series{Name: "200 sessions"}, ticks: figure.Series{Name: "wse, the tick to 200 subscribers"}}
	r.next = time.Now()
	if err := r.open(ctx, sw); err != nil {
		return nil, err
	}
	if err := b.profile(ctx, server, "sessions", 5, func() error { return r.run(ctx, sw, paperRounds*2/3) }); err != nil {
		return nil, err
	}
	for rep := range b.Repetitions {
		if err := r.measure(ctx, sw); err != nil {
			return nil, err
		}
		b.logf("sessions %d/%d so far: tick → signal p50 %.2f ms, p99 %.2f; tick → subscriber p50 %.2f, p99 %.2f; %.2f cores", rep+1, b.Repetitions,
			figure.Median().Of(r.signals), figure.Quantile("p99", 0.99).Of(r.signals), figure.Median().Of(r.ticks),
			figure.Quantile("p99", 0.99).Of(r.ticks), r.cpu[rep])
	}
	const name = "200 paper sessions on 50 symbols at 20 ticks/s each: tick published → signal at its owner"
	note := fmt.Sprintf("%.2f cores of the server", figure.Minimum().Of(figure.Series{Values: r.cpu}))
	return []figure.Figure{
		{Name: name + ", p99", Unit: "ms", Ours: r.signals, Peer: r.ticks, Statistic: figure.Quantile("p99", 0.99), ValueMax: 50, Note: note},
		{Name: name + ", p50", Unit: "ms", Ours: r.signals, Peer: r.ticks, Statistic: figure.Median()},
	}, intact(sw)
}

// open puts the strategy in place and connects everybody; each trader subscribes to his signals and starts a session.
func (r *paperRun) open(ctx context.Context, sw *swarm.Swarm) error {
	author, err := r.server.Ask("author")
	if err != nil {
		return err
	}
	_, err = author.Request([]byte(`{"type":"upsert_strategy","strategy_config":` + paperStrategy + `}`))
	if err = errors.Join(err, author.Close()); err != nil {
		return err
	}
	start := []byte(`{"type":"session_start","session_type":"paper","id":"start","strategy_config":{"spikes":[`)
	for i := range paperSymbols {
		start = append(strconv.AppendQuote(start, paperSymbol(i)), ',')
	}
	start = append(start[:len(start)-1], `]},"config":{"initial_balance":1000000}}`...)
	traders, err := sw.Dial(ctx, swarm.Config{Addr: r.server.Listen, Sources: 4, Message: r.message,
		Request: func(i int) []byte { return r.server.RequestV1(userName(i)) }, Ready: greeted}, paperSessions)
	if err != nil {
		return err
	}
	// They start while ticks come, some with each round, so that not all of them report their indicators at the same tick.
	const together = 5
	for i := 0; i < paperSessions; i += together {
		sw.Do(func() {
			for _, c := range traders[i : i+together] {
				c.Send([]byte(`{"type":"subscribe","stream":"signals","id":"signals"}`))
				c.Send(start)
			}
		})
		if err := r.run(ctx, sw, 1); err != nil {
			return err
		}
	}
	for end := time.Now().Add(drainWait); r.started.Load() < paperSessions; {
		if text := r.refused.Load(); text != nil {
			return errors.New(*text)
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d sessions started", r.started.Load(), paperSessions)
		}
		if err := errors.Join(sleep(ctx, time.Millisecond), intact(sw)); err != nil {
			return err
		}
	}
	onlookers, err := sw.Dial(ctx, swarm.Config{Addr: r.server.Listen, Sources: 4, Message: r.tick,
		Request: func(i int) []byte { return r.server.RequestV1("onlooker" + strconv.Itoa(i)) }, Ready: greeted}, paperSessions)
	if err != nil {
		return err
	}
	sw.Do(func() {
		for _, c := range onlookers {
			c.Send([]byte(`{"type":"subscribe","stream":"market_data","params":{"symbols":["` + paperSymbol(0) + `"]}}`))
		}
	})
	return nil
}

func paperSymbol(i int) string { return fmt.Sprintf("S%02d_USDT", i) }

// greeted is the Ready function of clients of protocol v1.
func greeted(body []byte) (bool, error) {
	return bytes.Contains(body, []byte(`"status":"connected"`)), nil
}

// measure runs a repetition.
func (r *paperRun) measure(ctx context.Context, sw *swarm.Swarm) error {
	sw.Do(func() { r.from = r.round + paperIdle })
	signals, ticks := r.came.Load(), r.seen.Load()
	if err := r.run(ctx, sw, paperIdle); err != nil {
		return err
	}
	before, err := r.server.CPU()
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := r.run(ctx, sw, paperRounds); err != nil {
		return err
	}
	for end := time.Now().Add(drainWait); ; {
		want := int64(paperRounds / paperSignals * paperSessions)
		haveSignals, haveTicks := r.came.Load()-signals, r.seen.Load()-ticks
		if haveSignals == want && haveTicks == want {
			break
		}
		if time.Now().After(end) || haveSignals > want || haveTicks > want {
			return fmt.Errorf("%w: of %d each, %d signals and %d ticks", ErrDelivery, want, haveSignals, haveTicks)
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	after, err := r.server.CPU()
	r.cpu = append(r.cpu, float64(after-before)/float64(time.Since(begun)))
	return errors.Join(err, intact(sw))
}

// isSignal reports whether the first symbol's price in a round is a signal. It falls two rounds later, and the position that was
// bought in between is sold.
func isSignal(round int) bool { return round%paperSignals == paperSignals-1 }

// run publishes a tick of every symbol in each round, all of them in one request; the first symbol stands in another place each time.
func (r *paperRun) run(ctx context.Context, sw *swarm.Swarm, rounds int) error {
	for range rounds {
		if err := errors.Join(sleep(ctx, time.Until(r.next)), intact(sw)); err != nil {
			return err
		}
		r.next = r.next.Add(paperBeat)
		pubs := make([]target.Publication, 0, paperSymbols)
		for i := range paperSymbols {
			symbol := (i + r.round) % paperSymbols
			price := 100 + float64((symbol*7919+r.round*31)%1000)/100
			if symbol == 0 && (isSignal(r.round) || isSignal(r.round-1)) {
				price = 2000
			}
			pubs = append(pubs, target.Publication{Topic: "stream:market_data:" + paperSymbol(symbol), Type: "market_data_update", Payload: fmt.Appendf(nil,
				`{"symbol":%q,"price":%.2f,"volume":%d.5,"timestamp":%d}`, paperSymbol(symbol), price, 1+r.round%9, firstTick+tickEvery*r.round)})
		}
		r.sent[r.round].Store(time.Now().UnixNano())
		r.round++
		if err := r.server.Publish(ctx, pubs...); err != nil {
			return err
		}
	}
	return nil
}

// message is the traders' Message function.
func (r *paperRun) message(_ *swarm.Client, body []byte, now int64) {
	switch {
	case bytes.HasPrefix(body, []byte(`{"type":"signal"`)):
		r.take(body, `"signal":{`, now, &r.came, &r.signals)
	case bytes.Contains(body, []byte(`"status":"session_started"`)):
		r.started.Add(1)
	case bytes.HasPrefix(body, []byte(`{"type":"error"`)):
		text := string(body[:min(len(body), 600)])
		r.refused.CompareAndSwap(nil, &text)
	}
}

// tick is the onlookers' Message function.
func (r *paperRun) tick(_ *swarm.Client, body []byte, now int64) {
	if bytes.HasPrefix(body, []byte(`{"type":"data"`)) {
		r.take(body, `"market_data":{`, now, &r.seen, &r.ticks)
	}
}

// take times what is about a tick that is a signal, of a round that is measured. Seeds are about none.
func (r *paperRun) take(body []byte, member string, now int64, count *atomic.Int64, series *figure.Series) {
	at := bytes.Index(body, []byte(member))
	if at < 0 {
		return
	}
	const timestamp = `"timestamp":`
	body = body[at:]
	if at = bytes.Index(body, []byte(timestamp)); at < 0 {
		return
	}
	ms, _, ok := cutNumber(body[at:], timestamp)
	round := (int(ms) - firstTick) / tickEvery
	if !ok || round < r.from || round >= len(r.sent) || !isSignal(round) {
		return
	}
	sent := r.sent[round].Load()
	if sent == 0 {
		return
	}
	count.Add(1)
	series.Values = append(series.Values, float64(now-sent)/1e6)
}
