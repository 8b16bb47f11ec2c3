package row

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/collection"
	"github.com/wse-engine/wse/engine/trading/execution"
	"github.com/wse-engine/wse/engine/trading/ledger"
	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/native"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// The backtest row: a collection on disk, a strategy, a session from its start to its results.
const (
	backtestTicks  = 1_000_000
	backtestSymbol = "BTC_USDT"
	backtestPause  = 20 * time.Millisecond // between two looks whether it is over
	backtestWait   = time.Minute
)

// tradingConfig has the plugins that protocol v1 needs.
const tradingConfig = `# Generated for a benchmark.
plugins:
  - {name: topicauth, kinds: [authorize], path: "stock:topicauth"}
  - {name: validator, kinds: [validate], path: "stock:validator"}
  - {name: strategy, kinds: [strategy], path: "stock:strategy"}
`

// outcome is what a backtest came to.
type outcome struct {
	Ticks  uint64      `json:"ticks_processed"`
	Filled uint64      `json:"orders_filled"`
	Equity json.Number `json:"equity"`
}

// errOutcome marks two runs of the same strategy on the same ticks that did not end alike.
var errOutcome = errors.New("the runs did not trade alike")

// replays is the state of the row.
type replays struct {
	b                *Bench
	server           *target.Server
	client           *target.Asker
	cpu, rate        figure.Series // µs a tick, ticks a second
	floor, floorRate figure.Series
	last             outcome
}

// backtest measures a session as a client has it, beside the same strategy in Go on the same books, without an engine around.
func backtest(ctx context.Context, b *Bench) (figures []figure.Figure, err error) {
	server, err := target.StartWSE(b.Binary, b.Dir, tradingConfig)
	if err != nil {
		return nil, err
	}
	defer stopAll([]*target.Server{server}, &err)
	client, err := server.Ask(userName(0))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	if _, err := client.Request([]byte(`{"type":"upsert_strategy","strategy_config":` + native.StrategyConfig + `}`)); err != nil {
		return nil, err
	}
	const ours, theirs = "wse", "the strategy in Go, in a loop"
	r := &replays{b: b, server: server, client: client, cpu: figure.Series{Name: ours}, rate: figure.Series{Name: ours},
		floor: figure.Series{Name: theirs}, floorRate: figure.Series{Name: theirs}}
	if _, err := r.collect("warm"); err != nil {
		return nil, err
	}
	if err := b.profile(ctx, server, "backtest", 2, func() error {
		_, _, _, err := r.session(ctx, "warm")
		return err
	}); err != nil {
		return nil, err
	}
	for rep := range b.Repetitions {
		if err := r.both(ctx, rep); err != nil {
			return nil, err
		}
	}
	name := fmt.Sprintf("backtest of 1,000,000 ticks, one strategy, one symbol, %d orders", r.last.Filled)
	return []figure.Figure{
		{Name: name + ": server CPU a tick, from CSV to results", Unit: "µs", Ours: r.cpu, Peer: r.floor, Statistic: figure.Minimum(), ValueMax: 1},
		{Name: name + ": ticks a second", Unit: "", Ours: r.rate, Peer: r.floorRate, Statistic: figure.Quantile("max", 1)},
	}, nil
}

// both runs one after the other, and compares what they came to.
func (r *replays) both(ctx context.Context, rep int) error {
	// A collection of its own each time: to start the same session once more is to ask for the one that is there.
	id := fmt.Sprintf("bench%d", rep)
	dir, err := r.collect(id)
	if err != nil {
		return err
	}
	ours, used, took, err := r.session(ctx, id)
	if err != nil {
		return err
	}
	r.cpu.Values, r.rate.Values = append(r.cpu.Values, used), append(r.rate.Values, backtestTicks/took.Seconds())
	theirs, used, took, err := loop(ctx, dir)
	if err != nil {
		return err
	}
	r.floor.Values, r.floorRate.Values = append(r.floor.Values, used), append(r.floorRate.Values, backtestTicks/took.Seconds())
	r.b.logf("backtest %d/%d: wse %.3f µs a tick, in Go %.3f; %d ticks, %d orders filled, equity %s", rep+1, r.b.Repetitions, r.cpu.Values[rep],
		r.floor.Values[rep], ours.Ticks, ours.Filled, ours.Equity)
	if r.last = ours; ours != theirs || ours.Ticks != backtestTicks || ours.Filled == 0 {
		return fmt.Errorf("%w: %+v, in Go %+v", errOutcome, ours, theirs)
	}
	return nil
}

// collect puts a collection where the server has them, as if it had been collected.
func (r *replays) collect(id string) (dir string, err error) {
	if dir, err = collection.Dir(r.server.Data, id); err != nil {
		return "", err
	}
	bytes, err := writeTicks(filepath.Join(dir, backtestSymbol), backtestTicks)
	if err != nil {
		return "", err
	}
	begun := time.UnixMilli(firstTick).UTC()
	file := collection.FileStatus{Rows: backtestTicks, Bytes: bytes}
	manifest, err := json.Marshal(collection.Status{ID: id, Owner: userName(0), State: collection.Stopped, Symbols: []string{backtestSymbol}, Started: begun,
		Ended: begun, Rows: file.Rows, Bytes: file.Bytes, BySymbol: map[string]collection.FileStatus{backtestSymbol: file}})
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "manifest.json"), manifest, 0o600)
}

// session runs a backtest over the public surface, until it is over and its results are read.
func (r *replays) session(ctx context.Context, id string) (o outcome, cpu float64, took time.Duration, err error) {
	begun := time.Now()
	before, err := r.server.CPU()
	if err != nil {
		return o, 0, 0, err
	}
	answer, err := r.client.Request(fmt.Appendf(nil, `{"type":"session_start","session_type":"backtest","strategy_config":{"bench":[%q]},`+
		`"config":{"collection_id":%q,"acceleration_factor":0}}`, backtestSymbol, id))
	if err != nil {
		return o, 0, 0, err
	}
	var started struct {
		SessionID string `json:"session_id"`
	}
	if err := json.Unmarshal(answer, &started); err != nil {
		return o, 0, 0, err
	}
	status := fmt.Appendf(nil, `{"type":"session_status","session_id":%q}`, started.SessionID)
	for answer = nil; !bytes.Contains(answer, []byte(`"reason":"finished"`)); {
		if time.Since(begun) > backtestWait || bytes.Contains(answer, []byte(`"state":"error"`)) {
			return o, 0, 0, fmt.Errorf("the backtest did not finish: %.600s", answer)
		}
		if err := sleep(ctx, backtestPause); err != nil {
			return o, 0, 0, err
		}
		if answer, err = r.client.Request(status); err != nil {
			return o, 0, 0, err
		}
	}
	answer, err = r.client.Request(fmt.Appendf(nil, `{"type":"results_request","request_type":"session_results","session_id":%q}`, started.SessionID))
	if err != nil {
		return o, 0, 0, err
	}
	took = time.Since(begun)
	after, err := r.server.CPU()
	if err != nil {
		return o, 0, 0, err
	}
	var results struct {
		Data struct {
			Metrics outcome `json:"metrics"`
		} `json:"data"`
	}
	err = json.Unmarshal(answer, &results)
	return results.Data.Metrics, float64(after-before) / 1e3 / backtestTicks, took, err
}

// loop runs the strategy in Go on a collection: the same reader, the same execution, the same books, nothing published.
func loop(ctx context.Context, dir string) (o outcome, cpu float64, took time.Duration, err error) {
	begun, before := time.Now(), ownCPU()
	books, err := ledger.New(ledger.DefaultConfig())
	if err != nil {
		return o, 0, 0, err
	}
	c := execution.DefaultConfig()
	c.IndicatorIntervalMS = 0
	run, err := execution.New(c, books, silent{})
	if err == nil {
		err = run.Add("bench", nil, native.NewStrategy(), "native")
	}
	if err == nil {
		err = run.Activate(ctx, "bench", backtestSymbol)
	}
	if err != nil {
		return o, 0, 0, err
	}
	reader, err := collection.Open(dir)
	if err != nil {
		return o, 0, 0, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	var ticks []message.StrategyTick
	for reader.Next() {
		ticks = ticks[:0]
		for _, t := range reader.Ticks() {
			ticks = append(ticks, message.StrategyTick{TimeMS: float64(t.TimeMS), Price: t.Price, Volume: t.Volume, QuoteVolume: t.QuoteVolume})
		}
		if err := run.Ticks(ctx, backtestSymbol, ticks); err != nil {
			return o, 0, 0, err
		}
	}
	if err := errors.Join(reader.Err(), run.End(execution.ReasonEnded)); err != nil {
		return o, 0, 0, err
	}
	p := books.Performance()
	o = outcome{Ticks: p.TicksProcessed, Filled: p.OrdersFilled, Equity: json.Number(p.Equity)}
	return o, float64(ownCPU()-before) / 1e3 / backtestTicks, time.Since(begun), nil
}

// silent hears nothing of a run.
type silent struct{}

var _ execution.Sink = silent{}

// Wants implements [execution.Sink].
func (silent) Wants() execution.Kinds { return 0 }

// Emit implements [execution.Sink].
func (silent) Emit(*execution.Event) {}

// ownCPU returns the CPU time that this process has used.
func ownCPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		panic(err) // the clock is always there
	}
	return time.Duration(ts.Nano())
}

// tickEvery is between two ticks of the benchmarks' markets, in milliseconds; firstTick is when they begin.
const (
	tickEvery = 50
	firstTick = 1_764_000_000_000
)

// writeTicks writes a random walk of n ticks as a collection has it: prices of two decimals, volumes of three.
func writeTicks(dir string, n int) (bytes int64, err error) {
	random := rand.New(rand.NewPCG(1, 2))
	text := append(make([]byte, 0, n*48), "timestamp,price,volume,quote_volume\n"...)
	cents := int64(4_321_012)
	for i := range n {
		cents += int64(random.IntN(2001)) - 1000
		volume := random.Int64N(2000) + 1
		text = append(strconv.AppendInt(text, firstTick+tickEvery*int64(i), 10), ',')
		text = append(appendFixed(text, cents, 2), ',')
		text = append(appendFixed(text, volume, 3), ',')
		text = append(appendFixed(text, cents*volume, 5), '\n')
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	return int64(len(text)), os.WriteFile(filepath.Join(dir, "prices.csv"), text, 0o600)
}

// appendFixed writes v / 10^places.
func appendFixed(dst []byte, v int64, places int) []byte {
	digits := fmt.Sprintf("%0*d", places+1, v)
	point := len(digits) - places
	return append(append(append(dst, digits[:point]...), '.'), digits[point:]...)
}
