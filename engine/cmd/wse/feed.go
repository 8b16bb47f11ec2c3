package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/market"
)

const (
	publishPath = "/api/v1/publish"
	// feedPause is how long feed gathers ticks before it sends the next ones, so that a second of many ticks is not as
	// many requests.
	feedPause = 5 * time.Millisecond
	// batchMax is how many ids the engine remembers of a topic at least, by default: a request that is sent again must
	// not be longer.
	batchMax = 1000
	// feedProgress is how often feed tells how far it is.
	feedProgress = time.Second
)

// feed publishes the ticks of a file.
type feed struct {
	path       string
	symbol     string
	columns    map[string]string
	timeFormat string
	prefix     string
	speed      float64 // times real time; 0: as fast as it goes
	batch      int
	from       uint64 // the first row that is published, counted from 1
	run        string // part of all ids
	retries    int
	backoff    time.Duration // before the first retry; twice as long before each further one
	asJSON     bool
	quiet      bool
}

func newFeed(g *globals) *cobra.Command {
	f := &feed{backoff: 250 * time.Millisecond}
	cmd := &cobra.Command{
		Use:   "feed FILE",
		Short: "Publish the prices of a CSV file as ticks",
		Long: `Publish the rows of a CSV file, or of the directory of a collection, as ticks (market_data_update) through the
engine's admin API: at the pace of their timestamps times --speed, or as fast as it goes. The columns are timestamp,
price, volume, quote_volume and symbol, in any order; the first two are required. Timestamps are seconds, milliseconds or
ISO 8601, and those of a symbol must not go backwards.

What the engine cannot take now is sent again. Every tick has an id of this run and its row, so that none is
published twice; a feed that ends early says how to go on with the next row.`,
		Example: `  wse feed data/session_coll_20261122_090000_1a2b3c4d --speed 60
  wse feed btc.csv --symbol BTC_USDT --speed 0
  wse feed stocks.csv --columns timestamp=date --time-format 'Jan 2 2006' --speed 0`,
		Args: exactly("FILE"),
	}
	flags := cmd.Flags()
	flags.Float64Var(&f.speed, "speed", 1, "`N` times as fast as it happened; 0: as fast as it goes")
	flags.StringVar(&f.symbol, "symbol", "", "only the ticks of this `SYMBOL`; of a file without a column symbol, whose they are")
	flags.StringVar(&f.prefix, "topic-prefix", "stream:market_data:", "what a symbol's topic has in front of the symbol")
	flags.StringToStringVar(&f.columns, "columns", nil, "what the file calls a column, as in `timestamp=date,price=close`")
	flags.StringVar(&f.timeFormat, "time-format", "", "how the file writes times: the moment 2006-01-02T15:04:05 in its `FORMAT`, in UTC")
	flags.IntVar(&f.batch, "batch", 500, "at most `N` ticks in one request")
	flags.Uint64Var(&f.from, "from", 1, "begin with this `ROW`, the first one of the file being 1")
	flags.StringVar(&f.run, "run", "", "go on with the run of this `ID`, as a feed that ended early says")
	flags.IntVar(&f.retries, "retries", 10, "send a request again up to `N` times")
	flags.BoolVar(&f.asJSON, "json", false, "print what was done as JSON")
	flags.BoolVar(&f.quiet, "quiet", false, "do not tell how far it is")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f.path = args[0]
		if err := f.check(cmd); err != nil {
			return err
		}
		api, err := g.api()
		if err != nil {
			return err
		}
		return g.feed(cmd.Context(), f, api)
	}
	return cmd
}

// check refuses flags that cannot be, and makes an id for the run.
func (f *feed) check(cmd *cobra.Command) error {
	switch {
	case !(f.speed >= 0) || math.IsInf(f.speed, 0):
		return misused(cmd, "--speed: %v is not 0 or above", f.speed)
	case f.batch < 1 || f.batch > batchMax:
		return misused(cmd, "--batch: %d is not within 1 to %d", f.batch, batchMax)
	case f.from < 1:
		return misused(cmd, "--from: the first row is 1")
	case f.retries < 0:
		return misused(cmd, "--retries: %d is negative", f.retries)
	case f.run != "" && !regexp.MustCompile(`^[0-9a-f]{8,32}$`).MatchString(f.run):
		return misused(cmd, "--run: %q is not the id of a run", f.run)
	}
	if f.symbol != "" {
		if err := market.CheckSymbol(f.symbol); err != nil {
			return misused(cmd, "--symbol: %v", err)
		}
	}
	if _, err := message.ParseTopic(f.prefix + "X"); err != nil {
		return misused(cmd, "--topic-prefix: %v", err)
	}
	if err := checkColumns(f.columns); err != nil {
		return misused(cmd, "%v", err)
	}
	if f.run == "" {
		var random [8]byte
		_, _ = rand.Read(random[:]) // crypto/rand never fails
		f.run = hex.EncodeToString(random[:])
	}
	return nil
}

// open opens the file or the directory.
func (f *feed) open() (tickSource, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return openCSV(f.path, f.symbol, f.timeFormat, f.columns)
	}
	return openCollection(f.path, f.symbol)
}

// feeding is a feed under way.
type feeding struct {
	*feed
	g        *globals
	api      *adminAPI
	source   tickSource
	topics   map[string][]byte // of symbols, as JSON
	waiting  []byte            // ticks that are not sent yet, as elements of an array
	ends     []int             // where each of them ends
	row      uint64            // that was read last
	lastMS   int64             // of the tick that was read last
	begun    time.Time
	beganMS  int64 // tick time when it began
	sent     time.Time
	told     time.Time
	tally    tally
	paced    bool // begun and beganMS are set by a tick
	progress func(format string, args ...any)
}

// tally is what became of all ticks.
type tally struct {
	File      string  `json:"file"`
	Run       string  `json:"run"`
	Published uint64  `json:"published"`         // those that were there already included
	Already   uint64  `json:"published_already"` // by an earlier request of this run
	Retries   uint64  `json:"retries"`
	Topics    int     `json:"topics"`
	Next      uint64  `json:"next_row"` // the first row that is not known to be published
	Seconds   float64 `json:"seconds"`
}

// feed publishes a file and tells what became of it.
func (g *globals) feed(ctx context.Context, f *feed, api *adminAPI) (err error) {
	source, err := f.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	now := time.Now()
	r := &feeding{
		feed: f, g: g, api: api, source: source, topics: map[string][]byte{}, begun: now, told: now,
		tally:    tally{File: f.path, Run: f.run, Next: f.from},
		progress: func(format string, args ...any) { _, _ = fmt.Fprintf(g.err, "wse: "+format+"\n", args...) },
	}
	failed := r.all(ctx)
	r.tally.Seconds = time.Since(r.begun).Seconds()
	if failed != nil {
		failed = fmt.Errorf("%w\n%s", failed, r.resume())
	}
	return errors.Join(r.tell(), failed)
}

// all reads to the end, and sends.
func (r *feeding) all(ctx context.Context) error {
	for {
		t, err := r.source.next()
		if err == io.EOF {
			return r.send(ctx)
		}
		if err != nil {
			return errors.Join(r.send(ctx), err)
		}
		if r.row++; r.row < r.from {
			continue
		}
		if err := r.pace(ctx, t.TimeMS); err != nil {
			return err
		}
		if err := r.put(&t); err != nil {
			return err
		}
		if len(r.ends) == r.batch {
			if err := r.send(ctx); err != nil {
				return err
			}
		}
	}
}

// pace waits until the moment ms is due, and sends what was due before it.
func (r *feeding) pace(ctx context.Context, ms int64) error {
	r.lastMS = ms
	if r.speed == 0 {
		return nil
	}
	if !r.paced {
		r.paced, r.beganMS, r.begun = true, ms, time.Now()
	}
	if time.Until(r.due(ms)) <= 0 {
		return nil
	}
	if err := r.send(ctx); err != nil {
		return err
	}
	return sleep(ctx, max(time.Until(r.due(ms)), time.Until(r.sent.Add(feedPause))))
}

// due returns when a tick of the moment ms is to be published. What lies further ahead than a Duration holds is put there.
func (r *feeding) due(ms int64) time.Time {
	after := float64(ms-r.beganMS) * float64(time.Millisecond) / r.speed
	return r.begun.Add(time.Duration(min(after, float64(math.MaxInt64/2))))
}

// sleep waits, or returns that ctx has ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.New("interrupted")
	}
}

// put adds a tick to those that wait.
func (r *feeding) put(t *message.Tick) error {
	topic, ok := r.topics[t.Symbol]
	if !ok {
		name, err := message.ParseTopic(r.prefix + t.Symbol)
		if err != nil {
			return err
		}
		topic = jsonscan.AppendQuoted(nil, string(name))
		r.topics[strings.Clone(t.Symbol)] = topic
	}
	b := append(r.waiting, `,{"topic":`...)
	b = append(append(b, topic...), `,"t":"`+message.TypeMarketData+`","id":"feed_`...)
	b = strconv.AppendUint(append(append(b, r.run...), '_'), r.row, 10)
	b = market.AppendTick(append(b, `","p":`...), t)
	r.waiting = append(b, '}')
	r.ends = append(r.ends, len(r.waiting))
	return nil
}

// reply is what the engine says of one tick.
type reply struct {
	result
	Error *struct{ Code, Message string }
}

// passing reports whether the tick may be taken later.
func (i *reply) passing() bool {
	return i.Error != nil && (i.Error.Code == "UNAVAILABLE" || i.Error.Code == "RATE_LIMITED" || i.Error.Code == "PLUGIN_UNAVAILABLE")
}

// send publishes what waits, and sends again what is not taken. What it leaves waiting is thrown away with the feed.
func (r *feeding) send(ctx context.Context) error {
	pause := r.backoff
	for try := 0; len(r.ends) > 0; try++ {
		done, err := r.post(ctx)
		r.tally.Next += uint64(done)
		r.drop(done)
		if err == nil {
			break
		}
		var no *permanent
		if errors.As(err, &no) || ctx.Err() != nil || try >= r.retries {
			return err
		}
		if done > 0 {
			try, pause = -1, r.backoff
		}
		r.tally.Retries++
		r.progress("row %d: %v; trying again", r.tally.Next, err)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, 20*r.backoff)
	}
	r.sent = time.Now()
	r.report()
	return nil
}

// permanent is an error that trying again does not help.
type permanent struct{ err error }

// Error implements error.
func (p *permanent) Error() string { return p.err.Error() }

// Unwrap returns the error.
func (p *permanent) Unwrap() error { return p.err }

// post makes one request of what waits, and returns how many ticks from the first on are published.
func (r *feeding) post(ctx context.Context) (done int, err error) {
	body := append([]byte{'['}, r.waiting[1:]...)
	answer, err := r.api.call(ctx, http.MethodPost, publishPath, "application/json", append(body, ']'))
	var refused *refusal
	if errors.As(err, &refused) && !refused.passing() {
		return 0, &permanent{err}
	}
	if err != nil {
		return 0, err
	}
	var items []reply
	if err := json.Unmarshal(answer, &items); err != nil || len(items) != len(r.ends) {
		return 0, &permanent{fmt.Errorf("the engine's answer is not understood: %s", firstLine(answer))}
	}
	for i := range items {
		switch item := &items[i]; {
		case item.Status == "published":
			r.tally.Published++
		case item.Status == "duplicate":
			r.tally.Published++
			r.tally.Already++
		case item.passing():
			return i, errors.New(item.Error.Message)
		case item.Error != nil:
			return i, &permanent{fmt.Errorf("row %d was refused: %s", r.tally.Next+uint64(i), item.Error.Message)}
		default:
			return i, &permanent{fmt.Errorf("row %d was not published: %s: %s", r.tally.Next+uint64(i), item.Status, item.Reason)}
		}
	}
	return len(items), nil
}

// drop forgets the first n ticks that wait.
func (r *feeding) drop(n int) {
	if n == 0 {
		return
	}
	end := r.ends[n-1]
	r.waiting = r.waiting[:copy(r.waiting, r.waiting[end:])]
	r.ends = r.ends[:copy(r.ends, r.ends[n:])]
	for i := range r.ends {
		r.ends[i] -= end
	}
}

// report tells how far it is, from time to time.
func (r *feeding) report() {
	if r.quiet || time.Since(r.told) < feedProgress {
		return
	}
	r.told = time.Now()
	r.progress("%d ticks, %.0f%%, at %s", r.tally.Published, 100*r.source.progress(), moment(time.UnixMilli(r.lastMS)))
}

// resume says how to go on.
func (r *feeding) resume() string {
	return fmt.Sprintf("%d ticks are published; go on with the same command and --from %d --run %s", r.tally.Published, r.tally.Next, r.run)
}

// tell prints what was done.
func (r *feeding) tell() error {
	o := &r.tally
	o.Topics = len(r.topics)
	if r.asJSON {
		text, err := json.Marshal(o)
		if err != nil {
			return err
		}
		return r.g.printAnswer(text)
	}
	already := ""
	if o.Already > 0 {
		already = fmt.Sprintf(", %d of them before", o.Already)
	}
	return r.g.printf("%d ticks published%s, on %d topics in %.1f s\n", o.Published, already, o.Topics, o.Seconds)
}
