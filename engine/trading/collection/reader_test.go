package collection_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/collection"
	"github.com/wse-engine/wse/engine/trading/market"
)

// place writes files of a collection by hand: symbol → rows.
func place(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for symbol, rows := range files {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, symbol), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, symbol, "prices.csv"), []byte(rows), 0o600))
	}
}

// short writes ticks as SYMBOL@seconds:price.
func short(all []message.Tick) (out []string) {
	for _, t := range all {
		out = append(out, fmt.Sprintf("%s@%d:%g", t.Symbol, t.TimeMS/1000, t.Price))
	}
	return out
}

func TestSymbolsAreMergedByTimeAndThenByName(t *testing.T) {
	dir := t.TempDir()
	place(t, dir, map[string]string{
		"B":     header + "1,10,1,1\n2,20,1,1\n2,21,1,1\n9,90,1,1\n",
		"A":     header + "2,2,1,1\n3,3,1,1\n",
		"C":     header + "1,100,1,1\n2,200,1,1\n",
		"EMPTY": header,
	})
	r, err := collection.Open(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"A", "B", "C", "EMPTY"}, r.Symbols())
	require.Less(t, r.Progress(), 1.0)
	require.Equal(t, []string{"B@1:10", "C@1:100", "A@2:2", "B@2:20", "B@2:21", "C@2:200", "A@3:3", "B@9:90"}, short(ticks(t, r, nil)))
	require.Equal(t, 1.0, r.Progress())

	r, err = collection.Open(dir, "C", "A", "C")
	require.Equal(t, []string{"C@1:100", "A@2:2", "C@2:200", "A@3:3"}, short(ticks(t, r, err)))
	_, err = collection.Open(dir, "A", "D")
	require.ErrorIs(t, err, collection.ErrNotFound)
	require.ErrorContains(t, err, `symbol "D": the collection has A, B, C, EMPTY`)
}

func TestManySymbolsComeInTheOrderThatSortingGives(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	var want []message.Tick
	for i := range 20 {
		symbol, at, rows := fmt.Sprintf("S%02d", i), int64(t0), []byte(header)
		for range random.IntN(9000) {
			at += random.Int64N(4)
			one := message.Tick{Symbol: symbol, TimeMS: at, Price: float64(len(want) + 1), Volume: 1, QuoteVolume: 2}
			want = append(want, one)
			rows = fmt.Appendf(rows, "%d,%d,1,2\n", one.TimeMS, len(want))
		}
		place(t, dir, map[string]string{symbol: string(rows)})
	}
	slices.SortStableFunc(want, func(a, b message.Tick) int { // stable: symbols and rows keep their order
		return int(a.TimeMS - b.TimeMS)
	})
	r, err := collection.Open(dir)
	require.Equal(t, want, ticks(t, r, err))
}

func TestATickOfOneSymbolComesInBatchesThatNoOtherSymbolInterrupts(t *testing.T) {
	dir := t.TempDir()
	rows := []byte(header)
	for i := range 2*collection.BatchTicksMax + 7 {
		rows = fmt.Appendf(rows, "%d,1,1,1\n", t0+i)
	}
	place(t, dir, map[string]string{"A": string(rows), "B": header + fmt.Sprintf("%d,1,1,1\n", t0+99)})
	r, err := collection.Open(dir)
	require.NoError(t, err)
	var sizes []int
	for r.Next() {
		batch := r.Ticks()
		for _, one := range batch {
			require.Equal(t, batch[0].Symbol, one.Symbol)
		}
		sizes = append(sizes, len(batch))
	}
	require.NoError(t, r.Err())
	require.Equal(t, []int{100, 1, collection.BatchTicksMax, collection.BatchTicksMax + 7 - 100}, sizes)
}

func TestARowIsReadInEveryFormThatTheProtocolHas(t *testing.T) {
	dir := t.TempDir()
	place(t, dir, map[string]string{"A": strings.ReplaceAll(header, "\n", "\r\n") +
		"-86400,1,0,\r\n" + // seconds; a quote volume that is left out
		"0.5,1e2,2,\n" +
		"2000-01-01,3,0,0\n" +
		"2024-11-19T07:06:40Z,97345.12,0.25,1\n" +
		"1732000000001,5,6,7"}) // the last end is missing
	r, err := collection.Open(dir)
	require.Equal(t, []message.Tick{
		{Symbol: "A", TimeMS: -86400000, Price: 1},
		{Symbol: "A", TimeMS: 500, Price: 100, Volume: 2, QuoteVolume: 200},
		{Symbol: "A", TimeMS: 946684800000, Price: 3},
		{Symbol: "A", TimeMS: 1732000000000, Price: 97345.12, Volume: 0.25, QuoteVolume: 1},
		{Symbol: "A", TimeMS: 1732000000001, Price: 5, Volume: 6, QuoteVolume: 7},
	}, ticks(t, r, err))
}

func TestARowThatIsNoneIsToldWithFileAndLineBehindTheOnesBeforeIt(t *testing.T) {
	for _, c := range []struct{ name, row, says string }{
		{"empty", "", "a row is timestamp,price,volume,quote_volume"},
		{"cut off", "1732000000000,1.2", "a row is timestamp,price"},
		{"a column too many", "1732000000000,1,2,3,4", "a row is timestamp,price"},
		{"no time", "soon,1,2,3", `timestamp: not a time: "soon"`},
		{"no price", "1732000000000,,2,3", `price: not a number: ""`},
		{"a quoted price", `1732000000000,"1",2,3`, `price: not a number`},
		{"a price of zero", "1732000000000,0,2,3", "price: 0 is not above zero"},
		{"a price that is none", "1732000000000,NaN,2,3", `price: not a number: "NaN"`},
		{"a negative volume", "1732000000000,1,-2,3", "volume: -2 is not"},
		{"a bad quote volume", "1732000000000,1,2,x", "quote_volume: not a number"},
		{"backwards", "1731999999999,1,2,3", "timestamp: 1731999999999 ms is before 1732000000000 ms"},
		{"binary", "\x00\x00\x00", "a row is"},
		{"endless", strings.Repeat("1", 100_000), "more than 1024 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			place(t, dir, map[string]string{"A": header + "1732000000000,1,2,3\n" + c.row + "\n1732000000001,1,2,3\n"})
			r, err := collection.Open(dir)
			require.NoError(t, err)
			require.True(t, r.Next())
			require.Equal(t, []string{"A@1732000000:1"}, short(r.Ticks()))
			require.False(t, r.Next())
			require.ErrorIs(t, r.Err(), collection.ErrDamaged)
			require.ErrorContains(t, r.Err(), filepath.Join("A", "prices.csv")+":3: ")
			require.ErrorContains(t, r.Err(), c.says)
			require.NoError(t, r.Close())
		})
	}
}

func TestWhatIsNoCollectionIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	_, err := collection.Open(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, collection.ErrNotFound)
	_, err = collection.Open(dir)
	require.ErrorIs(t, err, collection.ErrNotFound)
	for _, text := range []string{"", "\n", "price,timestamp\n1,2\n", "timestamp,price,volume\n", "1732000000000,1,2,3\n", strings.Repeat("x", 2000)} {
		place(t, dir, map[string]string{"A": text})
		_, err = collection.Open(dir)
		require.ErrorIs(t, err, collection.ErrDamaged, "%q", text)
		require.ErrorContains(t, err, "prices.csv:1: ")
	}
}

// oracle reads a file with encoding/csv, strconv and the rules that the protocol has, as far as the file is good.
func oracle(text []byte) (all []message.Tick, good bool) {
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = 4
	first, err := r.Read()
	if err != nil || strings.Join(first, ",") != strings.TrimSpace(header) {
		return nil, false
	}
	for {
		fields, err := r.Read()
		if err == io.EOF {
			return all, true
		}
		if err != nil {
			return all, false
		}
		one := message.Tick{Symbol: "A"}
		if one.TimeMS, err = market.Time([]byte(fields[0])); err != nil {
			return all, false
		}
		for i, to := range []*float64{&one.Price, &one.Volume, &one.QuoteVolume} {
			text := fields[i+1]
			if i == 2 && text == "" {
				one.QuoteVolume = one.Price * one.Volume
				continue
			}
			if *to, err = strconv.ParseFloat(text, 64); err != nil || strings.Trim(text, "0123456789+-.eE") != "" {
				return all, false
			}
		}
		if market.Check(&one) != nil || len(all) > 0 && one.TimeMS < all[len(all)-1].TimeMS {
			return all, false
		}
		all = append(all, one)
	}
}

// FuzzReader asserts that the reading of a file agrees with encoding/csv wherever it takes a file, and takes every one that is written
// as ours are.
func FuzzReader(f *testing.F) {
	for _, rows := range []string{"", "1732000000000,1,2,3\n", "1,1,2,\n1.5,1e5,0,0\n", "2000-01-01,1,2,3\r\n", "1732000000000,1,2", "a,b,c,d\n", "\n",
		"1732000000000,\"1\",2,3\n", "5,1,1,1\n4,1,1,1\n", "1,1,1,1\n\n2,1,1,1\n", "1,+1,1,1\n", "1,01,1,1\n", "1,1,1,1\r", "1,1,1,\r"} {
		f.Add([]byte(rows))
	}
	f.Fuzz(func(t *testing.T, rows []byte) {
		text := append([]byte(header), rows...)
		got, err := collection.ReadFile(bytes.NewReader(text))
		slowly, slowErr := collection.ReadFile(iotest.HalfReader(bytes.NewReader(text)))
		require.Equal(t, got, slowly)
		require.Equal(t, err, slowErr)
		want, good := oracle(text)
		if err == nil {
			require.True(t, good)
			require.Equal(t, want, got)
			return
		}
		require.ErrorIs(t, err, collection.ErrDamaged)
		for i := range got {
			require.NoError(t, market.Check(&got[i]))
		}
		// The other way round the two differ: quotes, empty lines, pluses, leading zeros, bare points and long lines.
		plain := !bytes.ContainsAny(rows, "\"+") && utf8.Valid(rows) && !bytes.Contains(rows, []byte("\n\n")) && !bytes.Contains(rows, []byte("\r"))
		require.False(t, good && plain && written(want) == string(text), "a file of ours is refused: %v", err)
	})
}

// written is what a collection writes for ticks.
func written(all []message.Tick) string {
	out := []byte(header)
	for _, one := range all {
		out = append(market.AppendTime(out, one.TimeMS), ',')
		out = append(market.AppendNumber(out, one.Price), ',')
		out = append(market.AppendNumber(out, one.Volume), ',')
		out = append(market.AppendNumber(out, one.QuoteVolume), '\n')
	}
	return string(out)
}

// million writes a collection of a million rows of one symbol, or as many of several.
func million(b *testing.B, symbols int) string {
	b.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	dir := b.TempDir()
	for i := range symbols {
		price, rows := 50_000.0, []byte(header)
		for j := range 1_000_000 / symbols {
			price += float64(random.IntN(2001)-1000) / 100
			rows = market.AppendTime(rows, t0+int64(j)*1000)
			rows = market.AppendNumber(append(rows, ','), float64(int(price*100))/100)
			rows = market.AppendNumber(append(rows, ','), float64(random.IntN(100_000))/1e4)
			rows = market.AppendNumber(append(rows, ','), float64(random.IntN(10_000_000))/100)
			rows = append(rows, '\n')
		}
		place(b, dir, map[string]string{fmt.Sprintf("S%02d", i): string(rows)})
	}
	return dir
}

// BenchmarkRead reads a million rows: one symbol, fifty that take turns, and one by encoding/csv and strconv.
func BenchmarkRead(b *testing.B) {
	for _, symbols := range []int{1, 50} {
		b.Run(fmt.Sprintf("symbols=%d", symbols), func(b *testing.B) {
			dir := million(b, symbols)
			b.ReportAllocs()
			for b.Loop() {
				r, err := collection.Open(dir)
				require.NoError(b, err)
				n := 0
				for r.Next() {
					n += len(r.Ticks())
				}
				require.NoError(b, r.Err())
				require.Equal(b, 1_000_000, n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6, "ns/row")
		})
	}
	b.Run("encoding-csv", func(b *testing.B) {
		dir := million(b, 1)
		b.ReportAllocs()
		for b.Loop() {
			f, err := os.Open(filepath.Join(dir, "S00", "prices.csv"))
			require.NoError(b, err)
			in := csv.NewReader(f)
			in.ReuseRecord = true
			n := -1
			for ; ; n++ {
				fields, err := in.Read()
				if err == io.EOF {
					break
				}
				require.NoError(b, err)
				if n < 0 {
					continue
				}
				var one message.Tick
				one.TimeMS, _ = strconv.ParseInt(fields[0], 10, 64)
				one.Price, _ = strconv.ParseFloat(fields[1], 64)
				one.Volume, _ = strconv.ParseFloat(fields[2], 64)
				one.QuoteVolume, _ = strconv.ParseFloat(fields[3], 64)
			}
			require.NoError(b, f.Close())
			require.Equal(b, 1_000_000, n)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6, "ns/row")
	})
}
