package plugin

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// texts is what a recorder holds, the oldest first.
func texts(r *recorder) []string {
	var out []string
	for _, d := range r.all() {
		out = append(out, string(d.doc))
	}
	return out
}

func TestRecorder_keeps_the_last_documents_in_order(t *testing.T) {
	r := newRecorder(Record{Events: 3, KiB: 1})
	require.Empty(t, texts(r))
	for i := range 5 {
		r.keep(hookTransform, fmt.Appendf(nil, `{"n":%d}`, i))
	}
	require.Equal(t, []string{`{"n":2}`, `{"n":3}`, `{"n":4}`}, texts(r))
	require.Equal(t, 3, r.len())
}

func TestRecorder_knows_which_hook_a_document_was_for(t *testing.T) {
	r := newRecorder(Record{Events: 3, KiB: 1})
	r.keep(hookAuthorize, []byte("a"))
	r.keep(hookValidate, []byte("v"))
	require.Equal(t, []recorded{{hookAuthorize, []byte("a")}, {hookValidate, []byte("v")}}, r.all())
}

func TestRecorder_forgets_the_oldest_documents_where_they_take_more_than_its_kibibytes(t *testing.T) {
	r := newRecorder(Record{Events: 100, KiB: 1})
	for _, c := range "abcde" {
		r.keep(hookTransform, bytes.Repeat([]byte{byte(c)}, 400))
	}
	require.Equal(t, []string{strings.Repeat("d", 400), strings.Repeat("e", 400)}, texts(r))
	r.keep(hookTransform, make([]byte, 1024))
	require.Equal(t, 1, r.len(), "one that fills it alone")
	r.keep(hookTransform, make([]byte, 1025))
	require.Equal(t, 1, r.len(), "one that is larger is not kept, and takes nobody's place")
	require.LessOrEqual(t, len(r.ring.buf), 1024)
}

func TestRecorder_copies_what_it_keeps(t *testing.T) {
	r := newRecorder(Record{Events: 2, KiB: 1})
	doc := []byte("before")
	r.keep(hookTransform, doc)
	copy(doc, "after!")
	require.Equal(t, []string{"before"}, texts(r))
	r.all()[0].doc[0] = 'X'
	require.Equal(t, []string{"before"}, texts(r), "what is handed out is a copy too")
}

func TestRecorder_never_holds_what_is_redacted(t *testing.T) {
	r := newRecorder(Record{Events: 4, KiB: 1, Redact: []string{"token"}})
	r.keep(hookTransform, []byte(`{"p":{"token":"s3cret"},"a":1}`))
	r.keep(hookTransform, []byte(`{"p":{"token":"s3cret"},"a":1`))
	require.Equal(t, []string{`{"p":{"token":""},"a":1}`}, texts(r), "a document that is no JSON is not kept")
	require.NotContains(t, string(r.ring.buf), "s3cret")
	require.NotContains(t, string(r.scratch[:cap(r.scratch)]), "s3cret")
}

func TestWatch_cleans_what_was_kept_when_more_is_to_be_redacted(t *testing.T) {
	w := &watch{}
	w.configure(Record{Events: 3, KiB: 1})
	for i := range 3 {
		w.record.Load().keep(hookTransform, fmt.Appendf(nil, `{"n":%d,"token":"x"}`, i))
	}
	same := w.record.Load()
	w.configure(Record{Events: 3, KiB: 1})
	require.Same(t, same, w.record.Load(), "nothing changed")
	w.configure(Record{Events: 2, KiB: 1, Redact: []string{"token"}})
	require.Equal(t, []string{`{"n":1,"token":""}`, `{"n":2,"token":""}`}, texts(w.record.Load()))
	w.configure(Record{})
	require.Nil(t, w.record.Load())
}

// TestRing_behaves_like_a_list compares it with one, over random pushes and pops of all sizes.
func TestRing_behaves_like_a_list(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	r := ring{itemsMax: 20, bytesMax: 9000}
	type pair struct {
		it        item
		doc, said []byte
	}
	var list []pair
	used, refused, popped := 0, 0, 0
	for n := range 20_000 {
		if random.IntN(2) == 0 && len(list) > 0 {
			it, both := r.pop([]byte("x"))
			first := list[0]
			require.Equal(t, "x"+string(first.doc)+string(first.said), string(both))
			require.Equal(t, first.it.fuel, it.fuel)
			list, used, popped = list[1:], used-it.doc-it.said, popped+1
			continue
		}
		p := pair{item{fuel: int64(n)}, letters(random, 1000), letters(random, 500)}
		fits := len(list) < 20 && used+len(p.doc)+len(p.said) <= 9000
		require.Equal(t, fits, r.fits(len(p.doc)+len(p.said)))
		if !fits {
			refused++
			continue
		}
		r.push(p.it, p.doc, p.said)
		list, used = append(list, p), used+len(p.doc)+len(p.said)
		require.Equal(t, [2]int{len(list), used}, [2]int{r.count, r.used})
	}
	require.NotZero(t, refused)
	require.NotZero(t, popped)
	require.LessOrEqual(t, len(r.buf), 9000)
}

func letters(random *rand.Rand, most int) []byte {
	out := make([]byte, random.IntN(most))
	for i := range out {
		out[i] = 'a' + byte(random.IntN(26))
	}
	return out
}

func TestRecorder_can_be_read_while_it_is_written(t *testing.T) {
	r := newRecorder(Record{Events: 50, KiB: 2, Redact: []string{"token"}})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 500 {
				r.keep(hookTransform, fmt.Appendf(nil, `{"w":%d,"i":%d,"x":"%s","token":"x"}`, w, i, strings.Repeat("y", i%100)))
			}
		})
	}
	for range 200 {
		last := [4]int{-1, -1, -1, -1}
		for _, text := range texts(r) {
			var d struct{ W, I int }
			require.NoError(t, yaml.Unmarshal([]byte(text), &d), text)
			require.Greater(t, d.I, last[d.W], "in order")
			last[d.W] = d.I
		}
	}
	wg.Wait()
}

func TestRecorder_allocates_nothing_once_it_has_grown(t *testing.T) {
	for _, redact := range [][]string{nil, {"token"}} {
		r := newRecorder(Record{Events: 10, KiB: 4, Redact: redact})
		doc := []byte(`{"a":1,"token":"` + strings.Repeat("x", 300) + `"}`)
		for range 20 {
			r.keep(hookTransform, doc)
		}
		require.Zero(t, testing.AllocsPerRun(100, func() { r.keep(hookTransform, doc) }))
	}
}

func TestRecord_defaults_hold_for_what_a_configuration_leaves_out(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		want       Record
	}{
		{"nothing", `{name: a, path: b}`, DefaultRecord()},
		{"one field", `{record: {events: 7}}`, Record{Events: 7, KiB: 1024}},
		{"names only", `{record: {redact: [token]}}`, Record{Events: 100, KiB: 1024, Redact: []string{"token"}}},
		{"off", `{record: {events: 0}}`, Record{KiB: 1024}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var cfg Config
			require.NoError(t, yaml.Unmarshal([]byte(c.yaml), &cfg))
			require.Equal(t, c.want, cfg.Record)
		})
	}
	require.Equal(t, Record{Events: 5, KiB: 1024}, Config{Record: Record{Events: 5}}.withDefaults().Record)
}

func TestRecord_out_of_bounds_is_refused_by_field(t *testing.T) {
	for want, r := range map[string]Record{
		"record.events: -1 must be between 0 (nothing is kept) and 100000":     {Events: -1},
		"record.events: 100001 must be between 0 (nothing is kept) and 100000": {Events: 100_001},
		"record.kib: 1048577 must be between 0 (the default) and 1048576":      {KiB: 1<<20 + 1},
		"record.redact: 257 names, at most 256 are allowed":                    {Redact: strings.Split(strings.Repeat("a,", 256)+"a", ",")},
		"record.redact[1]: the name of a member has 1 to 256 bytes":            {Redact: []string{"a", ""}},
	} {
		require.ErrorContains(t, Config{Name: "a", Path: "b", Record: r}.Validate(), want)
	}
	require.NoError(t, Config{Name: "a", Path: "b", Record: Record{Events: 100_000, KiB: 1 << 20, Redact: []string{"a"}}}.Validate())
}

func TestShadow_queue_allocates_nothing_once_it_has_grown(t *testing.T) {
	s := &shadowing{ready: &ready{}, wake: make(chan struct{}, 1), queue: ring{itemsMax: 8, bytesMax: 4 << 10}}
	doc, said, both := make([]byte, 300), make([]byte, 400), make([]byte, 0, 1024)
	for range 10 { // more than fit
		s.offer(nil, item{}, doc, said)
	}
	require.Equal(t, 5, s.queue.count)
	require.Equal(t, 5, s.missed)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		s.offer(nil, item{}, doc, said)
		_, both, _ = s.next(both[:0])
	}))
	require.Equal(t, 4<<10, cap(s.queue.buf))
}
