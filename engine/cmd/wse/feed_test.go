package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/trading/market"
)

// published is a tick as the admin API gets it.
type published struct {
	Topic, T, ID string
	P            struct {
		Symbol                     string
		Price, Volume, QuoteVolume float64 `json:",omitempty"`
		Timestamp                  json.Number
	}
	raw string
	at  time.Time
}

// taker plays the admin API for feed: it keeps what it takes, by id, and answers as refuse says.
type taker struct {
	*httptest.Server
	mu       sync.Mutex
	requests int                                                    // guarded by mu
	taken    []published                                            // guarded by mu
	ids      map[string]bool                                        // guarded by mu
	whole    func(request int) (status int, lost bool)              // of a request; lost: taken, but not answered
	item     func(request int, p *published) (code, message string) // of a tick
}

func newTaker(t *testing.T) *taker {
	a := &taker{ids: map[string]bool{}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.requests++
		status, lost := http.StatusOK, false
		if a.whole != nil {
			status, lost = a.whole(a.requests)
		}
		if status != http.StatusOK && !lost {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"title":"no","detail":"not now"}`)
			return
		}
		answer := a.take(t, body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(a.Close)
	return a
}

// take takes the ticks of a request. mu is held.
func (a *taker) take(t *testing.T, body []byte) string {
	var raw []json.RawMessage
	require.NoError(t, json.Unmarshal(body, &raw), "%s", body)
	var items []string
	for _, text := range raw {
		p := published{raw: string(text), at: time.Now()}
		require.NoError(t, json.Unmarshal(text, &p))
		code, message := "", ""
		if a.item != nil {
			code, message = a.item(a.requests, &p)
		}
		switch {
		case code != "":
			items = append(items, fmt.Sprintf(`{"error":{"code":%q,"message":%q}}`, code, message))
		case a.ids[p.ID]:
			items = append(items, fmt.Sprintf(`{"status":"duplicate","id":%q,"seq":1}`, p.ID))
		default:
			a.ids[p.ID] = true
			a.taken = append(a.taken, p)
			items = append(items, fmt.Sprintf(`{"status":"published","id":%q,"seq":%d}`, p.ID, len(a.taken)))
		}
	}
	return "[" + strings.Join(items, ",") + "]"
}

// prices lists SYMBOL@seconds:price of what was taken.
func (a *taker) prices() (out []string) {
	for _, p := range a.taken {
		ms, _ := market.Time([]byte(p.P.Timestamp))
		out = append(out, fmt.Sprintf("%s@%d:%g", p.P.Symbol, ms/1000, p.P.Price))
	}
	return out
}

// feed runs feed against a taker.
func (a *taker) feed(args ...string) ran {
	return wse("", append([]string{"feed", "--admin-url", a.URL, "--quiet"}, args...)...)
}

// fileOf writes a file of that name and returns its path.
func fileOf(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func rowsOf(n int) string {
	text := "timestamp,price,volume,quote_volume\n"
	for i := range n {
		text += fmt.Sprintf("%d,%d,2,3\n", 1732000000000+1000*i, i+1)
	}
	return text
}

func TestAFeedThatCannotBeIsMisuse(t *testing.T) {
	for _, tt := range []struct{ args, says string }{
		{"feed", "FILE is missing"},
		{"feed f --speed -1", "--speed: -1 is not 0 or above"},
		{"feed f --speed NaN", "--speed: NaN"},
		{"feed f --speed Inf", "--speed: +Inf"},
		{"feed f --batch 0", "--batch: 0"},
		{"feed f --batch 1001", "--batch: 1001"},
		{"feed f --from 0", "the first row is 1"},
		{"feed f --retries -1", "--retries: -1"},
		{"feed f --run ../x", "not the id of a run"},
		{"feed f --symbol ../x", "--symbol: bad symbol"},
		{"feed f --topic-prefix nope:", "--topic-prefix: "},
		{"feed f --columns when=date", `"when" is none of timestamp`},
	} {
		t.Run(tt.args, func(t *testing.T) { misuse(t, tt.args, tt.says) })
	}
}

func TestFeedPublishesARowAsATick(t *testing.T) {
	a := newTaker(t)
	got := a.feed(fileOf(t, "BTC_USDT/prices.csv", rowsOf(2)), "--speed", "0", "--run", "0000beef")
	require.Equal(t, exitOK, got.code, got.err)
	require.Regexp(t, `^2 ticks published, on 1 topics in \d+\.\d s\n$`, got.out)
	require.JSONEq(t, `{"topic":"stream:market_data:BTC_USDT","t":"market_data_update","id":"feed_0000beef_1",
		"p":{"symbol":"BTC_USDT","price":1,"volume":2,"quote_volume":3,"timestamp":1732000000000}}`, a.taken[0].raw)
	require.Equal(t, "feed_0000beef_2", a.taken[1].ID)
}

func TestFeedReadsFilesOfManyForms(t *testing.T) {
	for _, c := range []struct {
		name, text string
		args       []string
		want       string
	}{
		{"symbols of their own", "symbol,timestamp,price\nA,2,1\nB,1,2\nA,2,3\n", nil, "A@2:1 B@1:2 A@2:3"},
		{"one of the symbols", "symbol,timestamp,price\nA,2,1\nB,1,2\nA,2,3\n", []string{"--symbol", "A"}, "A@2:1 A@2:3"},
		{"a symbol that is told", "price,timestamp\r\n1,2\r\n", []string{"--symbol", "X.Y"}, "X.Y@2:1"},
		{"columns with other names", "date,close,open\n2024-01-02,5,4\n", []string{"--symbol", "A", "--columns", "timestamp=date,price=close"}, "A@1704153600:5"},
		{"times in a form of their own", "symbol,date,price\nMSFT,Jan 1 2000,39.81\nMSFT,Feb 1 2000,36.35\n",
			[]string{"--columns", "timestamp=date", "--time-format", "Jan 2 2006"}, "MSFT@946684800:39.81 MSFT@949363200:36.35"},
		{"quotes, spaces and a mark of the byte order", "\ufefftimestamp,price,symbol\n\"2\", 1.5 ,\"A\"\n", nil, "A@2:1.5"},
		{"nothing but a header", "timestamp,price,symbol\n", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newTaker(t)
			got := a.feed(append([]string{fileOf(t, "x.csv", c.text), "--speed", "0"}, c.args...)...)
			require.Equal(t, exitOK, got.code, got.err)
			require.Equal(t, c.want, strings.Join(a.prices(), " "))
		})
	}
}

func TestFeedReadsACollectionMergedByTime(t *testing.T) {
	dir := filepath.Dir(filepath.Dir(fileOf(t, "A/prices.csv", "timestamp,price,volume,quote_volume\n1,1,1,1\n3,3,1,1\n")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "B"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "B", "prices.csv"), []byte("timestamp,price,volume,quote_volume\n2,2,1,1\n"), 0o600))
	a := newTaker(t)
	got := a.feed(dir, "--speed", "0")
	require.Equal(t, exitOK, got.code, got.err)
	require.Equal(t, []string{"A@1:1", "B@2:2", "A@3:3"}, a.prices())
	a = newTaker(t)
	got = a.feed(dir, "--speed", "0", "--symbol", "B", "--topic-prefix", "public:ticks:", "--json")
	require.Equal(t, exitOK, got.code, got.err)
	require.Equal(t, []string{"B@2:2"}, a.prices())
	require.Equal(t, "public:ticks:B", a.taken[0].Topic)
	var said tally
	require.NoError(t, json.Unmarshal([]byte(got.out), &said))
	require.EqualValues(t, 1, said.Published)
	require.EqualValues(t, 2, said.Next)
}

func TestFeedTellsWhatIsWrongWithAFileByItsLine(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"no header", "", ":1: the header is missing"},
		{"no price", "timestamp,symbol,close\n", `:1: there is no column "price"; there are timestamp, symbol, close (--columns price=NAME`},
		{"no symbol", "timestamp,price\n1,1\n", "give --symbol"},
		{"a bad symbol", "timestamp,price,symbol\n1,1,A\n1,1,../x\n", ":3: bad symbol"},
		{"a bad time", "timestamp,price,symbol\nsoon,1,A\n", ":2: timestamp: not a time"},
		{"a bad price", "timestamp,price,symbol\n1,1,A\n\n2,NaN,A\n", `:4: price: not a number: "NaN"`},
		{"a price of zero", "timestamp,price,symbol\n1,0,A\n", ":2: bad tick: price: 0"},
		{"a column too few", "timestamp,price,symbol\n1,1\n", "line 2: wrong number of fields"},
		{"backwards", "timestamp,price,symbol\n2,1,A\n1,1,B\n1,1,A\n", ":4: timestamp: is before that of an earlier row of A"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newTaker(t)
			got := a.feed(fileOf(t, "x.csv", c.text), "--speed", "0")
			require.Equal(t, exitFailed, got.code)
			require.Contains(t, got.err, c.says)
		})
	}
	a := newTaker(t)
	got := a.feed(fileOf(t, "x.csv", "timestamp,price,symbol\n1,1,A\n2,2,A\n3,x,A\n4,4,A\n"), "--speed", "0", "--run", "0000beef")
	require.Equal(t, []string{"A@1:1", "A@2:2"}, a.prices(), "what stands before it is published")
	require.Contains(t, got.err, "2 ticks are published; go on with the same command and --from 3 --run 0000beef")
	require.Contains(t, wse("", "feed", "nowhere.csv", "--admin-url", a.URL).err, "no such file")
}

// tens feeds n rows, ten at a time.
func (a *taker) tens(t *testing.T, n int) (o tally, got ran) {
	t.Helper()
	got = a.feed(fileOf(t, "A/prices.csv", rowsOf(n)), "--speed", "0", "--batch", "10", "--json")
	_ = json.Unmarshal([]byte(got.out), &o)
	return o, got
}

func TestFeedSendsAgainWhatIsNotTakenAndNothingTwice(t *testing.T) {
	t.Run("a request", func(t *testing.T) {
		a := newTaker(t)
		a.whole = func(request int) (int, bool) {
			if request == 2 || request == 3 {
				return http.StatusServiceUnavailable, false
			}
			return http.StatusOK, false
		}
		o, got := a.tens(t, 25)
		require.Equal(t, exitOK, got.code, got.err)
		require.EqualValues(t, tally{File: o.File, Run: o.Run, Published: 25, Retries: 2, Topics: 1, Next: 26, Seconds: o.Seconds}, o)
		require.Len(t, a.taken, 25)
		require.Contains(t, got.err, "row 11: the engine answered 503 Service Unavailable: not now; trying again")
	})
	t.Run("a request whose answer was lost", func(t *testing.T) {
		a := newTaker(t)
		a.whole = func(request int) (int, bool) {
			if request == 1 {
				return http.StatusBadGateway, true
			}
			return http.StatusOK, false
		}
		o, got := a.tens(t, 25)
		require.Equal(t, exitOK, got.code, got.err)
		require.EqualValues(t, 25, o.Published)
		require.EqualValues(t, 10, o.Already)
		require.Len(t, a.taken, 25)
	})
	t.Run("a tick", func(t *testing.T) {
		a := newTaker(t)
		a.item = func(request int, p *published) (string, string) {
			if request == 1 && p.P.Price >= 5 {
				return "UNAVAILABLE", "the broker is away"
			}
			return "", ""
		}
		o, got := a.tens(t, 12)
		require.Equal(t, exitOK, got.code, got.err)
		require.EqualValues(t, 12, o.Published)
		require.Len(t, a.taken, 12)
		for i, p := range a.taken {
			require.EqualValues(t, i+1, p.P.Price)
		}
	})
}

func TestFeedDoesNotInsist(t *testing.T) {
	t.Run("on a tick that is refused for good", func(t *testing.T) {
		a := newTaker(t)
		a.item = func(_ int, p *published) (string, string) {
			if p.P.Price == 13 {
				return "INVALID_MESSAGE", "topic: is none"
			}
			return "", ""
		}
		o, got := a.tens(t, 25)
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.err, "row 13 was refused: topic: is none")
		require.Contains(t, got.err, "12 ticks are published; go on with the same command and --from 13 --run "+o.Run)
		require.Equal(t, 2, a.requests)

		a.item = nil
		again := a.feed(fileOf(t, "A/prices.csv", rowsOf(25)), "--speed", "0", "--from", "13", "--run", o.Run)
		require.Equal(t, exitOK, again.code, again.err)
		require.Contains(t, again.out, "13 ticks published, 7 of them before", "those of the request behind the one that was refused")
		require.Len(t, a.taken, 25)
	})
	t.Run("on a request that is refused for good", func(t *testing.T) {
		a := newTaker(t)
		a.whole = func(int) (int, bool) { return http.StatusUnauthorized, false }
		_, got := a.tens(t, 25)
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.err, "401 Unauthorized: not now")
		require.Equal(t, 1, a.requests)
	})
	t.Run("for ever", func(t *testing.T) {
		a := newTaker(t)
		a.whole = func(int) (int, bool) { return http.StatusTooManyRequests, false }
		got := a.feed(fileOf(t, "A/prices.csv", rowsOf(3)), "--speed", "0", "--retries", "1")
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.err, "0 ticks are published; go on with the same command and --from 1 ")
		require.Equal(t, 2, a.requests)
	})
}

func TestFeedKeepsThePaceOfTheTimestamps(t *testing.T) {
	a := newTaker(t)
	begun := time.Now()
	got := a.feed(fileOf(t, "A/prices.csv", rowsOf(21)), "--speed", "100") // 20 s of ticks
	require.Equal(t, exitOK, got.code, got.err)
	require.Len(t, a.taken, 21)
	for i, p := range a.taken {
		require.GreaterOrEqual(t, p.at.Sub(begun), time.Duration(i)*10*time.Millisecond, "none comes before its time")
	}
}

func TestFeedReachesTheEngine(t *testing.T) {
	e := serve(t)
	tail := start(t, e.with("tail", "stream:market_data:BTC_USDT", "--count", "3")...)
	tail.until("subscribed")
	got := once(t, "", e.with("feed", fileOf(t, "BTC_USDT/prices.csv", rowsOf(3)), "--speed", "0")...)
	require.Equal(t, exitOK, got.code, got.err)
	require.Contains(t, got.out, "3 ticks published, on 1 topics")
	for i := range 3 {
		line := decode(t, tail.until(`"t":`))
		require.Equal(t, "market_data_update", line.T)
		require.Equal(t, "stream:market_data:BTC_USDT", line.Tp)
		require.EqualValues(t, i+1, line.P["price"])
	}
	require.Equal(t, exitOK, tail.end())

	// At the pace of a tick a second, for longer than it takes to listen.
	feed := start(t, e.with("feed", fileOf(t, "ETH_USDT/prices.csv", rowsOf(1000)))...)
	watch := start(t, e.with("tail", "stream:market_data:ETH_USDT", "--count", "1")...)
	watch.until(`"t":`)
	feed.signal(os.Interrupt)
	require.Equal(t, exitFailed, feed.end())
	require.Contains(t, strings.Join(feed.seen, "\n"), "go on with the same command and --from ")
}
