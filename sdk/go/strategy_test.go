package wse

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// written is what a function puts into an empty answer.
func written(put func(w *Writer)) string {
	var w Writer
	w.Begin()
	put(&w)
	return string(w.Written(0))
}

func TestFloatsAreWrittenAsEncodingJSONDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	list := []float64{0, math.Copysign(0, -1), 1e21, 1e-6, 1e-7, 999999999999999900000, 5e-324, math.MaxFloat64, -123.456}
	for range 20_000 {
		if f := math.Float64frombits(r.Uint64()); f-f == 0 {
			list = append(list, f)
		}
	}
	for _, f := range list {
		want, err := json.Marshal(f + 0)
		require.NoError(t, err)
		require.Equal(t, string(want), written(func(w *Writer) { w.PutFloat(f) }))
	}
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		require.Equal(t, "null", written(func(w *Writer) { w.PutFloat(f) }))
	}
}

func TestRoundedNumbersAreRoundedAsTheyAreRead(t *testing.T) {
	for _, c := range []struct {
		v        float64
		decimals int
		want     string
	}{
		{1.005, 2, "1.01"}, {1.004999, 2, "1"}, {-1.005, 2, "-1.01"}, {0.5, 0, "1"}, {0.4999, 0, "0"}, {-0.4, 0, "0"}, {123456, 2, "123456"},
		{9.995, 2, "10"}, {99.9999, 3, "100"}, {1e-9, 8, "0"}, {5e-9, 8, "1e-8"}, {1e300, 2, "1e+300"}, {0.1 + 0.2, 8, "0.3"}, {1234.5678, -3, "1235"}, {0, 2, "0"},
	} {
		require.Equal(t, c.want, written(func(w *Writer) { w.PutRounded(c.v, c.decimals) }), c)
	}
}

func TestWhatIsNoStrategyDocumentIsRefused(t *testing.T) {
	for _, doc := range []string{``, `[]`, `{}`, `{"handle":-1}`, `{"handle":1.5}`, `{"handle":4294967296}`, `{"handle":"1"}`, `{"handle":1`, `{"handle":1,"equity":"x"}`,
		`{"handle":1,"equity":1e400}`, `{"handle":1,"position":}`, `{"handle":1} x`} {
		var r Reader
		r.Open([]byte(doc))
		_, ok := r.Opening()
		require.False(t, ok, doc)
		r.Open([]byte(doc))
		_, ok = r.Update()
		require.False(t, ok, doc)
	}
	var r Reader
	r.Open([]byte(`{"handle":1,"strategy_config":5}`))
	_, ok := r.Opening()
	require.False(t, ok)
	r.Open([]byte(`{"handle":1,"events":{}}`))
	_, ok = r.Update()
	require.False(t, ok)
}

func TestAnAnswerOfAStrategyHasRoomForTheItemsOfATick(t *testing.T) {
	var w Writer
	w.Begin()
	require.False(t, w.MustStop())
	for i := 0; !w.MustStop(); i++ {
		require.Less(t, i, itemsMost)
		w.Indicator(i, "a", 1)
	}
	w.Begin()
	for i := 0; !w.MustStop(); i++ {
		require.Less(t, i, itemsMost)
		w.Indicator(i, strings.Repeat("x", 4096), 1)
	}
	require.Less(t, w.Mark(), 1<<20)
	w.Begin()
	require.Equal(t, No, w.Said(7, 7))
	w.Said(3, 7)
	require.Equal(t, `{"out":[],"consumed":3}`, string(w.Written(0)))
	w.Begin()
	w.Indicator(0, `"`+"\n", math.NaN())
	w.State(0, `"`+"\n")
	w.Said(0, 0)
	require.True(t, json.Valid(w.Written(0)))
}

func TestSayingAllocatesNothing(t *testing.T) {
	var w Writer
	var r Reader
	id, doc := []byte("o1"), []byte(`{"handle":1,"events":[{"kind":"fill","id":"o1","quantity":0.1234567,"price":2,"fee":0}],"position":1.5,"equity":2}`)
	w.prepare()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		w.Begin()
		w.Indicator(0, "price", 20123.456)
		w.Signal(0, "S1", 0.5, Named{"a", 1.5}, Named{"b", 1e-9})
		w.Order(0, &Order{ID: id, Quantity: 0.1, Reason: "r"})
		w.State(0, "monitoring")
		w.Said(1, 1)
		r.Open(doc)
		u, ok := r.Update()
		var e Event
		for r.Event(&u, &e) {
			ok = ok && e.Kind == Fill && e.Quantity == 0.1234567
		}
		if !ok {
			panic("not read")
		}
	}))
}
