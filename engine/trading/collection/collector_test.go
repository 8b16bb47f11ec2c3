package collection_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/collection"
)

// patience is how long a test waits for what has to happen; it is only ever reached where something is broken.
const patience = 5 * time.Minute

const header = "timestamp,price,volume,quote_volume\n"

// collector is a Collector that runs until the test ends, and what it told.
type collector struct {
	*collection.Collector
	t     *testing.T
	dir   string
	stop  context.CancelFunc
	ended chan error
	told  chan collection.Status // each that ended

	mu       sync.Mutex
	warnings []string            // guarded by mu
	over     []collection.Status // guarded by mu
}

// open opens a Collector on dir, without running it.
func open(t *testing.T, dir string, change func(*collection.Config)) *collector {
	t.Helper()
	cfg := collection.DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	c := &collector{t: t, dir: dir, ended: make(chan error, 1), told: make(chan collection.Status, 100)}
	var err error
	c.Collector, err = collection.New(dir, cfg, collection.Options{
		Warn: func(err error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.warnings = append(c.warnings, err.Error())
		},
		Ended: func(s collection.Status) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.over = append(c.over, s)
			c.told <- s
		},
	})
	require.NoError(t, err)
	return c
}

// run runs a Collector on dir.
func run(t *testing.T, dir string, change func(*collection.Config)) *collector {
	t.Helper()
	c := open(t, dir, change)
	c.begin()
	return c
}

// begin runs a Collector that is open.
func (c *collector) begin() {
	var ctx context.Context
	ctx, c.stop = context.WithCancel(context.Background())
	go func() { c.ended <- c.Run(ctx) }()
	c.t.Cleanup(c.end)
}

// end ends Run, as the engine's end does. It may be called again.
func (c *collector) end() {
	c.stop()
	if err, ok := <-c.ended; ok {
		require.NoError(c.t, err)
		close(c.ended)
	}
}

func (c *collector) start(owner string, symbols ...string) collection.Status {
	c.t.Helper()
	s, err := c.Start(owner, symbols, 0)
	require.NoError(c.t, err)
	return s
}

// halt stops a collection and waits for it.
func (c *collector) halt(id string) collection.Status {
	c.t.Helper()
	s, err := c.Stop(c.t.Context(), id)
	require.NoError(c.t, err)
	return s
}

// next waits for the next collection to end.
func (c *collector) next() collection.Status {
	c.t.Helper()
	select {
	case s := <-c.told:
		return s
	case <-time.After(patience):
		c.t.Fatal("no collection ended")
		return collection.Status{}
	}
}

func (c *collector) file(id, symbol string) string {
	return filepath.Join(c.dir, "session_"+id, symbol, "prices.csv")
}

func (c *collector) read(id, symbol string) string {
	c.t.Helper()
	text, err := os.ReadFile(c.file(id, symbol))
	require.NoError(c.t, err)
	return string(text)
}

// manifest reads a collection's manifest.
func (c *collector) manifest(id string) (s collection.Status) {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "session_"+id, "manifest.json"))
	require.NoError(c.t, err)
	require.NoError(c.t, json.Unmarshal(text, &s))
	return s
}

func tick(symbol string, ms int64, price float64) *message.Tick {
	return &message.Tick{Symbol: symbol, TimeMS: ms, Price: price, Volume: 2, QuoteVolume: 2 * price}
}

// ticks reads a whole collection.
func ticks(t *testing.T, r *collection.Reader, err error) []message.Tick {
	t.Helper()
	require.NoError(t, err)
	var all []message.Tick
	for r.Next() {
		require.NotEmpty(t, r.Ticks())
		all = append(all, r.Ticks()...)
	}
	require.NoError(t, r.Err())
	require.NoError(t, r.Close())
	return all
}

const t0 = 1732000000000

func TestTicksBecomeRowsAndRowsTicks(t *testing.T) {
	defer goleak.VerifyNone(t)
	c := run(t, t.TempDir(), nil)
	s := c.start("u1", "ETH_USDT", "BTC_USDT")
	require.Equal(t, collection.Running, s.State)
	require.Equal(t, []string{"BTC_USDT", "ETH_USDT"}, s.Symbols)
	require.Regexp(t, `^coll_\d{8}_\d{6}_[0-9a-f]{8}$`, s.ID)
	require.Equal(t, header, c.read(s.ID, "BTC_USDT"), "directories and headers are made at the start")
	require.Equal(t, header, c.read(s.ID, "ETH_USDT"))
	require.Equal(t, s, c.manifest(s.ID))

	in := []message.Tick{
		{Symbol: "BTC_USDT", TimeMS: t0, Price: 97345.12, Volume: 0.25, QuoteVolume: 24336.28},
		{Symbol: "ETH_USDT", TimeMS: t0, Price: 1e-9, Volume: 1e21, QuoteVolume: 0},
		{Symbol: "BTC_USDT", TimeMS: t0 + 1, Price: 0.30000000000000004, Volume: 0, QuoteVolume: 1e300},
	}
	for i := range in {
		c.Append(&in[i])
	}
	c.Append(tick("SOL_USDT", t0, 1)) // nobody collects it
	s = c.halt(s.ID)
	require.Equal(t, collection.Stopped, s.State)
	require.Equal(t, collection.ReasonRequested, s.Reason)
	require.EqualValues(t, 3, s.Rows)
	require.EqualValues(t, 2, s.BySymbol["BTC_USDT"].Rows)
	require.Zero(t, s.Invalid+s.OutOfOrder+s.Dropped+s.Cut)
	require.Equal(t, header+"1732000000000,97345.12,0.25,24336.28\n1732000000001,0.30000000000000004,0,1e+300\n", c.read(s.ID, "BTC_USDT"))
	require.Equal(t, header+"1732000000000,1e-09,1e+21,0\n", c.read(s.ID, "ETH_USDT"))
	require.EqualValues(t, len(c.read(s.ID, "BTC_USDT"))+len(c.read(s.ID, "ETH_USDT")), s.Bytes)
	require.Equal(t, s, c.manifest(s.ID))

	r, err := c.Open(s.ID)
	require.Equal(t, in, ticks(t, r, err))
	r, err = c.Open(s.ID, "ETH_USDT")
	require.Equal(t, in[1:2], ticks(t, r, err))
	c.end()
	require.Len(t, c.over, 1)
	require.Equal(t, s, c.over[0])
	require.Empty(t, c.warnings)
}

func TestATickThatCannotBeARowIsCountedAndRefused(t *testing.T) {
	c := run(t, t.TempDir(), nil)
	s := c.start("u1", "A", "B")
	for _, price := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, -1} {
		c.Append(tick("A", t0, price))
	}
	c.Append(&message.Tick{Symbol: "A", TimeMS: t0, Price: 1, Volume: -1})
	c.Append(&message.Tick{Symbol: "A", TimeMS: math.MaxInt64, Price: 1})
	c.Append(tick("A", t0+10, 1))
	c.Append(tick("A", t0+10, 2)) // the same moment again passes
	c.Append(tick("A", t0+9, 3))  // time goes backwards
	c.Append(tick("B", t0, 4))    // another symbol has its own time
	s = c.halt(s.ID)
	require.EqualValues(t, 7, s.Invalid)
	require.EqualValues(t, 1, s.OutOfOrder)
	require.EqualValues(t, 3, s.Rows)
	m := s.Message()
	require.EqualValues(t, 8, m.Rejected)
	require.EqualValues(t, 3, m.Records)
	require.Equal(t, map[string]uint64{"A": 2, "B": 1}, m.BySymbol)
}

func TestRowsAreOnDiskOnceEnoughOfThemWaitOrSomeTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := run(t, t.TempDir(), func(cfg *collection.Config) { cfg.SyncRows, cfg.SyncInterval = 3, time.Second })
		s := c.start("u1", "A")
		synctest.Wait()
		for i := range 3 {
			require.Equal(t, header, c.read(s.ID, "A"))
			c.Append(tick("A", t0+int64(i), 1))
		}
		synctest.Wait()
		require.Equal(t, 4, strings.Count(c.read(s.ID, "A"), "\n"))
		c.Append(tick("A", t0+9, 1))
		synctest.Wait()
		require.Equal(t, 4, strings.Count(c.read(s.ID, "A"), "\n"))
		begun := time.Now()
		require.Eventually(t, func() bool { return c.manifest(s.ID).Rows == 4 }, time.Minute, 50*time.Millisecond, "the manifest follows the rows")
		require.LessOrEqual(t, time.Since(begun), time.Second+50*time.Millisecond)
		require.Equal(t, 5, strings.Count(c.read(s.ID, "A"), "\n"))
		c.end()
	})
}

func TestACollectionEndsWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := run(t, t.TempDir(), func(cfg *collection.Config) { cfg.DurationMax = time.Hour })
		limited, err := c.Start("u1", []string{"A"}, time.Minute)
		require.NoError(t, err)
		open := c.start("u1", "A")
		require.EqualValues(t, time.Hour.Milliseconds(), open.DurationMS, "no duration is the longest")
		synctest.Wait()
		c.Append(tick("A", t0, 1))
		require.Equal(t, limited.ID, (<-c.told).ID)
		s, err := c.Status(limited.ID)
		require.NoError(t, err)
		require.Equal(t, collection.Completed, s.State)
		require.Equal(t, collection.ReasonDuration, s.Reason)
		require.EqualValues(t, 1, s.Rows)
		require.Equal(t, time.Minute, s.Ended.Sub(s.Started).Truncate(time.Second))
		c.Append(tick("A", t0+1, 1))
		require.Equal(t, open.ID, (<-c.told).ID)
		s, err = c.Status(open.ID)
		require.NoError(t, err)
		require.Equal(t, collection.Completed, s.State)
		require.EqualValues(t, 2, s.Rows)
		require.Len(t, c.over, 2)
		c.end()
	})
}

func TestACollectionEndsAtItsSize(t *testing.T) {
	c := open(t, t.TempDir(), func(cfg *collection.Config) { cfg.MiBMax, cfg.QueueRowsMax = 1, 1<<20 })
	s := c.start("u1", "A")
	const n = 100_000 // of about 20 bytes
	for i := range n {
		c.Append(tick("A", t0+int64(i), 1))
	}
	c.begin()
	s = c.next()
	require.Equal(t, collection.Stopped, s.State)
	require.Equal(t, collection.ReasonSize, s.Reason)
	require.LessOrEqual(t, s.Bytes, int64(1<<20))
	require.Greater(t, s.Bytes, int64(1<<20)-64)
	require.EqualValues(t, n, s.Rows+s.Dropped)
	r, err := c.Open(s.ID)
	require.Len(t, ticks(t, r, err), int(s.Rows))
}

func TestRowsForWhichTheQueueHasNoRoomAreCounted(t *testing.T) {
	c := open(t, t.TempDir(), func(cfg *collection.Config) { cfg.QueueRowsMax = 10 })
	s := c.start("u1", "A") // nobody writes yet
	for i := range 25 {
		c.Append(tick("A", t0+int64(i), 1))
	}
	s, err := c.Status(s.ID)
	require.NoError(t, err)
	require.EqualValues(t, 15, s.Dropped)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, c.Run(ctx))
	s, err = c.Status(s.ID)
	require.NoError(t, err)
	require.EqualValues(t, 10, s.Rows)
	require.EqualValues(t, 15, s.Dropped)
	require.Equal(t, collection.ReasonRestarted, s.Reason, "what runs when the engine ends is written and stopped")
	_, err = c.Start("u1", []string{"A"}, 0)
	require.ErrorIs(t, err, collection.ErrClosed)
	require.Len(t, slices.Collect(dirs(t, c.dir)), 1, "nothing is left of a start that was refused")
}

func dirs(t *testing.T, dir string) func(func(string) bool) {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	return func(yield func(string) bool) {
		for _, e := range entries {
			if !yield(e.Name()) {
				return
			}
		}
	}
}

func TestAStartThatCannotBeIsRefusedAndLeavesNothing(t *testing.T) {
	c := run(t, t.TempDir(), func(cfg *collection.Config) { cfg.SymbolsMax, cfg.DurationMax = 3, time.Hour })
	for _, tt := range []struct {
		name     string
		symbols  []string
		duration time.Duration
		says     string
	}{
		{"no symbols", nil, 0, "0 symbols: a collection has 1 to 3 (collection_symbols_max)"},
		{"too many symbols", []string{"A", "B", "C", "D"}, 0, "4 symbols"},
		{"a symbol twice", []string{"A", "A"}, 0, "symbol A: is there twice"},
		{"symbols that differ in case", []string{"abc", "ABC"}, 0, "differ only in case"},
		{"an empty symbol", []string{""}, 0, "bad symbol"},
		{"a path", []string{"../A"}, 0, "bad symbol"},
		{"the directory above", []string{".."}, 0, "bad symbol"},
		{"a path of another system", []string{`..\A`}, 0, "bad symbol"},
		{"a zero byte", []string{"A\x00"}, 0, "bad symbol"},
		{"the manifest", []string{"Manifest.JSON"}, 0, "the name of the manifest"},
		{"too long", []string{strings.Repeat("A", 129)}, 0, "bad symbol"},
		{"a negative duration", []string{"A"}, -time.Second, "duration: -1s"},
		{"a duration beyond the longest", []string{"A"}, time.Hour + 1, "collection_duration_max"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.Start("u1", tt.symbols, tt.duration)
			require.ErrorIs(t, err, collection.ErrInvalid)
			require.ErrorContains(t, err, tt.says)
		})
	}
	require.Empty(t, slices.Collect(dirs(t, c.dir)))
}

func TestCollectionsAreLimitedByUserTogetherAndOnDisk(t *testing.T) {
	c := run(t, t.TempDir(), func(cfg *collection.Config) { cfg.UserMax, cfg.RunningMax, cfg.KeptMax = 2, 3, 4 })
	refused := func(owner, says string) {
		t.Helper()
		_, err := c.Start(owner, []string{"A"}, 0)
		require.ErrorIs(t, err, collection.ErrLimit)
		require.ErrorContains(t, err, says)
	}
	first := c.start("u1", "A")
	c.start("u1", "A")
	refused("u1", "collections_per_user_max")
	third := c.start("u2", "A")
	refused("u3", "collections_max")
	c.halt(first.ID)
	c.start("u3", "A")
	c.halt(third.ID)
	refused("u3", "collections_kept_max")
	require.NoError(t, os.RemoveAll(filepath.Dir(filepath.Dir(c.file(first.ID, "A")))))
	c.start("u3", "A")

	var owners []string
	for _, s := range c.List() {
		owners = append(owners, s.Owner)
	}
	require.Equal(t, []string{"u3", "u3", "u2", "u1"}, owners, "the newest first")
	s, ok := c.Newest("u2")
	require.True(t, ok)
	require.Equal(t, third.ID, s.ID)
	_, ok = c.Newest("u4")
	require.False(t, ok)
}

func TestAnIDThatIsNoneLeadsNowhere(t *testing.T) {
	dir := t.TempDir()
	c := run(t, filepath.Join(dir, "data"), nil)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "secret", "A"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret", "A", "prices.csv"), []byte(header), 0o600))
	for _, id := range []string{"", "x", "..", "x/../../secret", "/etc", "a\x00", "a.b", strings.Repeat("a", 101), "../secret"} {
		_, err := c.Status(id)
		require.ErrorIs(t, err, collection.ErrNotFound, "%q", id)
		_, err = c.Stop(t.Context(), id)
		require.ErrorIs(t, err, collection.ErrNotFound, "%q", id)
		_, err = c.Open(id)
		require.ErrorIs(t, err, collection.ErrNotFound, "%q", id)
	}
}

func TestACollectionThatHasEndedIsStoppedAgainWithoutHarm(t *testing.T) {
	c := run(t, t.TempDir(), nil)
	s := c.start("u1", "A")
	first := c.halt(s.ID)
	require.Equal(t, first, c.halt(s.ID))
	c.end()
	require.Len(t, c.over, 1)
}

func TestManyWhoAppendStartStopAndLookLoseNothing(t *testing.T) {
	defer goleak.VerifyNone(t)
	c := run(t, t.TempDir(), func(cfg *collection.Config) { cfg.SyncRows, cfg.QueueRowsMax = 64, 256 })
	const symbols, each = 4, 3000
	var names []string
	for i := range symbols {
		names = append(names, fmt.Sprintf("S%d", i))
	}
	whole := c.start("u1", names...)
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() {
			for i := range each {
				c.Append(tick(name, t0+int64(i), 1))
			}
		})
	}
	all.Go(func() {
		for range 20 {
			s, err := c.Start("u2", names[:2], 0)
			require.NoError(t, err)
			c.halt(s.ID)
			c.List()
		}
	})
	all.Wait()
	s := c.halt(whole.ID)
	require.EqualValues(t, symbols*each, s.Rows+s.Dropped)
	r, err := c.Open(whole.ID)
	require.Len(t, ticks(t, r, err), int(s.Rows))
	c.end()
	require.Len(t, c.over, 21)
}

func TestACollectionThatRunsIsReadUpToWhatIsCounted(t *testing.T) {
	c := run(t, t.TempDir(), func(cfg *collection.Config) { cfg.SyncRows = 1 })
	s := c.start("u1", "A")
	for i := range 100 {
		c.Append(tick("A", t0+int64(i), 1))
		now, err := c.Status(s.ID)
		require.NoError(t, err)
		r, err := c.Open(s.ID)
		require.GreaterOrEqual(t, len(ticks(t, r, err)), int(now.Rows))
	}
	require.EqualValues(t, 100, c.halt(s.ID).Rows)
}

func TestEveryFieldOfTheConfigurationIsChecked(t *testing.T) {
	require.NoError(t, collection.DefaultConfig().Validate())
	err := collection.Config{}.Validate()
	for _, field := range []string{"collections_max", "collections_per_user_max", "collections_kept_max", "collection_symbols_max",
		"collection_duration_max", "collection_mib_max", "collection_queue_rows_max", "sync_interval", "sync_rows"} {
		require.ErrorContains(t, err, field+": ")
	}
	_, err = collection.New(t.TempDir(), collection.Config{}, collection.Options{})
	require.Error(t, err)
}

func TestAppendingAllocatesNothing(t *testing.T) {
	c := open(t, t.TempDir(), func(cfg *collection.Config) { cfg.QueueRowsMax = 1 })
	c.start("u1", "A")
	one := tick("A", t0, 1)
	c.Append(one)
	require.Zero(t, testing.AllocsPerRun(100, func() { c.Append(one) }))
}
