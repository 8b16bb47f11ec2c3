package plugin

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/wse-engine/wse/sdk/abi"
)

// Record says what is kept of the documents that a plugin is given, so that a candidate can be tried on them. The zero
// value keeps none.
type Record struct {
	// Events is how many documents are kept, 0 for none.
	Events int `yaml:"events"`
	// KiB is how much memory they may take together; the oldest go first. 0 is the default. A document that is larger alone is
	// not kept.
	KiB int `yaml:"kib"`
	// Redact names members of JSON objects whose values, at any depth, are replaced by an empty value of the same type before
	// the document is kept. A document that is no JSON is not kept then.
	Redact []string `yaml:"redact"`
}

// DefaultRecord returns what is kept when a configuration file does not say.
func DefaultRecord() Record { return Record{Events: 100, KiB: 1024} }

// UnmarshalYAML fills the fields that the document leaves out with [DefaultRecord].
func (r *Record) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Record
	p := plain(DefaultRecord())
	if err := unmarshal(&p); err != nil {
		return err
	}
	if len(p.Redact) == 0 {
		p.Redact = nil // an empty list says the same as none
	}
	*r = Record(p)
	return nil
}

// Bounds of [Record].
const (
	recordEventsMax = 100_000
	recordKiBMax    = 1 << 20
	redactMax       = 256
	redactBytesMax  = 256
)

// faults reports every fault, each beginning with its path, as in "record.kib: …".
func (r Record) faults() []error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf("record."+format, args...)) }
	if r.Events < 0 || r.Events > recordEventsMax {
		fault("events: %d must be between 0 (nothing is kept) and %d", r.Events, recordEventsMax)
	}
	if r.KiB < 0 || r.KiB > recordKiBMax {
		fault("kib: %d must be between 0 (the default) and %d", r.KiB, recordKiBMax)
	}
	if len(r.Redact) > redactMax {
		fault("redact: %d names, at most %d are allowed", len(r.Redact), redactMax)
	}
	for i, name := range r.Redact {
		if name == "" || len(name) > redactBytesMax {
			fault("redact[%d]: the name of a member has 1 to %d bytes", i, redactBytesMax)
		}
	}
	return errs
}

// watch is who looks on while a plugin is called. It belongs to the plugin's name: the versions that serve under it one
// after the other share it.
type watch struct {
	record atomic.Pointer[recorder]    // nil: nothing is kept
	shadow atomic.Pointer[shadowing]   // nil: none runs
	last   atomic.Pointer[ShadowState] // of the shadow that ended last
	redact []string                    // guarded by Host.mu
}

// configure changes what is kept. Documents that were kept stay as far as the new limits allow, cleaned as they now ask; what
// a shadow has shown does not. Host.mu is held.
func (w *watch) configure(cfg Record) {
	if !slices.Equal(w.redact, cfg.Redact) {
		w.redact = cfg.Redact
		w.last.Store(nil)
		w.overtaken(nil, errors.New("the configuration redacts other members now"))
	}
	old := w.record.Load()
	switch {
	case cfg.Events == 0:
		w.record.Store(nil)
		return
	case old == nil:
		w.record.Store(newRecorder(cfg))
		return
	case old.cfg.Events == cfg.Events && old.cfg.KiB == cfg.KiB && slices.Equal(old.cfg.Redact, cfg.Redact):
		return
	}
	r := newRecorder(cfg)
	for _, d := range old.all() {
		r.keep(d.hook, d.doc)
	}
	w.record.Store(r)
}

// recorded returns what is kept, the oldest first.
func (w *watch) recorded() []recorded {
	if r := w.record.Load(); r != nil {
		return r.all()
	}
	return nil
}

// saw is called behind each call of a hook, with what the plugin was given and said; view is the answer with kind
// [abi.Data], f a failure. The instance is held still, so that view is good until saw returns. It does not block for longer
// than it takes to copy the documents, and allocates nothing once recorder and queue have grown.
func (w *watch) saw(v *version, h hook, doc []byte, kind abi.Kind, view []byte, f *fault, fuel int64) {
	if r := w.record.Load(); r != nil {
		r.keep(h, doc)
	}
	s := w.shadow.Load()
	if s == nil {
		return
	}
	it, said := item{hook: h, outcome: Outcome(kind), fuel: fuel}, view // No, Yes and Data are OutcomeNo, OutcomeYes and OutcomeData
	if f != nil {
		it.outcome, said = f.kind.outcome(), []byte(f.text)
	}
	s.offer(v, it, doc, said)
}

// seen returns the state of the shadow that runs, or else of the last one, or nil.
func (w *watch) seen() *ShadowState {
	if s := w.shadow.Load(); s != nil {
		state := s.snapshot()
		return &state
	}
	return w.last.Load()
}

// recorder keeps the last documents that a plugin was given, cleaned of what is not to be kept.
type recorder struct {
	cfg     Record // with defaults; immutable
	mu      sync.Mutex
	ring    ring   // guarded by mu
	scratch []byte // guarded by mu; a cleaned document
}

func newRecorder(cfg Record) *recorder {
	return &recorder{cfg: cfg, ring: ring{itemsMax: cfg.Events, bytesMax: cfg.KiB << 10}}
}

// keep takes a copy of doc.
func (r *recorder) keep(h hook, doc []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.cfg.Redact) > 0 && len(doc) <= r.ring.bytesMax {
		var ok bool
		if r.scratch, ok = redact(r.scratch[:0], doc, r.cfg.Redact); !ok {
			return
		}
		doc = r.scratch
	}
	if len(doc) > r.ring.bytesMax {
		return
	}
	for !r.ring.fits(len(doc)) {
		r.ring.drop()
	}
	r.ring.push(item{hook: h}, doc, nil)
}

// recorded is one document of a recorder.
type recorded struct {
	hook hook
	doc  []byte
}

// all returns copies of the documents, the oldest first.
func (r *recorder) all() []recorded {
	r.mu.Lock()
	size := len(r.ring.buf)
	r.mu.Unlock()
	data := make([]byte, 0, size) // before the lock is taken: whoever serves waits for it
	r.mu.Lock()
	defer r.mu.Unlock()
	data = r.ring.read(data, 0, r.ring.used)
	out := make([]recorded, r.ring.count)
	for i := range out {
		it := r.ring.at(i)
		out[i] = recorded{it.hook, data[:it.doc:it.doc]}
		data = data[it.doc:]
	}
	return out
}

// len is how many documents are kept; of no recorder none.
func (r *recorder) len() int {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ring.count
}
