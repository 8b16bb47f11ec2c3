package trading

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/ledger"
)

// documentVersion is written into every document; one of another version is not read.
const documentVersion = 1

// document is what is kept of a session.
type document struct {
	Version    int                     `json:"version"`
	ID         string                  `json:"id"`
	Type       string                  `json:"type"`
	State      string                  `json:"state"`
	Reason     string                  `json:"reason,omitempty"`
	Owner      string                  `json:"owner"`
	Symbols    []string                `json:"symbols"`
	Strategies []message.StrategyState `json:"strategies"`
	Config     json.RawMessage         `json:"config,omitempty"`
	Source     string                  `json:"source,omitempty"`
	Progress   float64                 `json:"progress"`
	CreatedMS  int64                   `json:"created_ms"`
	KeptMS     int64                   `json:"kept_ms"` // when this was written
	EndedMS    int64                   `json:"ended_ms,omitempty"`

	// What documentOf appends by itself.
	Ledger json.RawMessage `json:"ledger,omitempty"`
	Run    json.RawMessage `json:"run,omitempty"` // its orders; nil once it has ended
}

// document makes what is kept of a session. It runs on the session's goroutine, or before that is there.
func (t *Trading) documentOf(s *session) ([]byte, error) {
	books, orders, err := s.opened.snapshot()
	if err != nil {
		return nil, err
	}
	shown := s.outline()
	doc, err := json.Marshal(&document{
		Version: documentVersion, ID: s.id, Type: shown.Type, State: shown.State, Reason: shown.Reason, Owner: shown.Owner,
		Symbols: shown.Symbols, Strategies: shown.Strategies, Config: shown.Config, Source: shown.Source, Progress: shown.Progress,
		CreatedMS: shown.CreatedMS, KeptMS: max(t.now().UnixMilli(), shown.CreatedMS), EndedMS: shown.EndedMS,
	})
	if err != nil {
		return nil, err
	}
	// The books are most of the document; encoding/json would look at every byte of them.
	doc = slices.Grow(doc[:len(doc)-1], len(books)+len(orders)+32)
	doc = append(append(doc, `,"ledger":`...), books...)
	if shown.EndedMS == 0 && len(orders) > 0 { // of a session that has ended all are done
		doc = append(append(doc, `,"run":`...), orders...)
	}
	return append(doc, '}'), nil
}

// session tells of a session that has ended.
func (d *document) session(l *ledger.Ledger) *message.Session {
	return &message.Session{
		ID: d.ID, Type: d.Type, State: d.State, Reason: d.Reason, Owner: d.Owner, Symbols: d.Symbols, Strategies: d.Strategies,
		Config: d.Config, Source: d.Source, Progress: d.Progress, CreatedMS: d.CreatedMS, EndedMS: d.EndedMS,
		Performance: l.Performance(),
	}
}

// read reads the document of a session.
func (t *Trading) read(id string) (*document, *ledger.Ledger, error) {
	t.mu.Lock()
	raw := t.dirty[id]
	if raw == nil {
		raw = t.writing[id]
	}
	t.mu.Unlock()
	if raw == nil {
		var err error
		if raw, err = t.deps.Sessions.Get(id); err != nil {
			return nil, nil, err
		}
	}
	if raw == nil {
		return nil, nil, notFound(id)
	}
	d := &document{}
	if err := json.Unmarshal(raw, d); err != nil || d.Version != documentVersion {
		return nil, nil, fmt.Errorf("trading: the document of session %s cannot be read: version %d, %w", id, d.Version, err)
	}
	l, err := ledger.Restore(d.Ledger, t.ledgerConfig())
	if err != nil {
		return nil, nil, fmt.Errorf("trading: the books of session %s: %w", id, err)
	}
	return d, l, nil
}

// document tells of a session that has ended.
func (t *Trading) document(id string) (*message.Session, error) {
	d, l, err := t.read(id)
	if err != nil {
		return nil, err
	}
	return d.session(l), nil
}

// endedSession tells of a session that has ended to somebody who may see it.
func (t *Trading) endedSession(who *auth.Identity, id string) (*message.Session, error) {
	if owner, ok := t.ended.owner(id); !ok || !mayTouch(who, owner) {
		return nil, notFound(id)
	}
	return t.document(id)
}

// keepNow writes a session's document and returns once it is on disk.
func (t *Trading) keepNow(s *session, o *opened) error {
	s.opened = o
	if s.plan.kind == watch { // its activation is what is kept
		return nil
	}
	raw, err := t.documentOf(s)
	if err != nil {
		return err
	}
	if err := t.deps.Sessions.Apply(map[string][]byte{s.id: raw}); err != nil {
		return err
	}
	t.share(s)
	return nil
}

// keep has a session's document written at the next checkpoint. It runs on the session's goroutine.
func (t *Trading) keep(s *session) {
	if s.plan.kind == watch {
		return
	}
	raw, err := t.documentOf(s)
	if err != nil {
		t.log.Error("a session's books cannot be kept", "session", s.id, "error", err)
		return
	}
	t.mu.Lock()
	t.dirty[s.id] = raw
	t.mu.Unlock()
	s.changed.Store(false)
	s.shared.changed = true
	t.share(s)
}

// checkpoints writes what sessions want kept, all of them in one transaction, until ctx ends.
func (t *Trading) checkpoints(ctx context.Context) error {
	tick := time.NewTicker(t.cfg.Checkpoint)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := t.flush(); err != nil {
				t.counts.unwritten.Add(1)
				t.log.Error("sessions could not be written to disk; they are tried again", "error", err)
			}
		}
	}
}

// flush writes what waits. Where that fails it waits on, unless something newer does meanwhile.
func (t *Trading) flush() error {
	t.mu.Lock()
	changes := t.dirty
	t.dirty = map[string][]byte{}
	t.writing = changes
	t.mu.Unlock()
	if len(changes) == 0 {
		return nil
	}
	err := t.deps.Sessions.Apply(changes)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writing = nil
	if err != nil {
		for id, raw := range changes {
			if _, newer := t.dirty[id]; !newer {
				t.dirty[id] = raw
			}
		}
	}
	return err
}

// load reads what is kept. A session that ran when the engine ended is stopped, as of its last checkpoint.
func (t *Trading) load() error {
	t.ended = &ended{sessions: map[string]past{}}
	changes := map[string][]byte{}
	err := t.deps.Sessions.Each(func(id string, raw []byte) error {
		d, err := head(raw)
		ran := err == nil && d.State != stopped && d.State != failed
		if ran {
			err = json.Unmarshal(raw, &d)
		}
		if err != nil || d.Version != documentVersion || d.ID != id {
			t.log.Error("the document of a session cannot be read and is left alone", "session", id, "error", err)
			return nil
		}
		if ran {
			if err := t.stopCrashed(&d); err != nil {
				t.log.Error("what a session had pending when the engine ended cannot be cancelled", "session", id, "error", err)
			}
			stoppedNow, err := json.Marshal(&d)
			if err != nil {
				return err
			}
			changes[id] = stoppedNow
		}
		t.ended.sessions[id] = past{owner: d.Owner, createdMS: d.CreatedMS}
		t.begun.Store(max(t.begun.Load(), d.CreatedMS))
		if ran {
			t.crashed = append(t.crashed, id)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("trading: sessions: %w", err)
	}
	for id := range t.ended.surplus(t.cfg.SessionsKeptMax) {
		changes[id] = nil
	}
	if len(changes) == 0 {
		return nil
	}
	return t.deps.Sessions.Apply(changes)
}

// head reads who a document is about, and stops there: the books behind it are most of it, and a start looks at the documents of
// thousands of sessions that ended (BenchmarkHead).
func head(raw []byte) (d document, err error) {
	for it := jsonscan.Members(raw); err == nil && it.Next(); {
		var n int64
		switch value := it.Value(); string(it.Key()) {
		case "version":
			n, err = jsonscan.Int(value)
			d.Version = int(n)
		case "id":
			d.ID, err = jsonscan.String(value)
		case "state":
			d.State, err = jsonscan.String(value)
		case "owner":
			d.Owner, err = jsonscan.String(value)
		case "created_ms":
			d.CreatedMS, err = jsonscan.Int(value)
			return d, err
		}
	}
	return d, cmp.Or(err, errors.New("it does not say when the session was created"))
}

// retire puts a session that has ended on the list of those, from which the oldest beyond sessions_kept_max go.
func (t *Trading) retire(s *session) {
	t.ended.add(s.id, past{owner: s.owner, createdMS: s.created.UnixMilli()})
	for id, old := range t.ended.surplus(t.cfg.SessionsKeptMax) {
		t.mu.Lock()
		t.dirty[id] = nil
		t.mu.Unlock()
		t.shareSoon(SessionChange{Session: &message.Session{ID: id, Owner: old.owner}, Gone: true})
	}
}

// ended are the sessions that have ended, without what they came to.
type ended struct {
	mu       sync.Mutex
	sessions map[string]past // guarded by mu
}

type past struct {
	owner     string
	createdMS int64
}

func (e *ended) add(id string, p past) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sessions[id] = p
}

func (e *ended) len() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.sessions)
}

func (e *ended) owner(id string) (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, ok := e.sessions[id]
	return p.owner, ok
}

// newestOf returns up to most of a user's sessions, or of everybody's, the newest first.
func (e *ended) newestOf(user string, most int) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	ids := slices.Collect(maps.Keys(e.sessions))
	ids = slices.DeleteFunc(ids, func(id string) bool { return user != "" && e.sessions[id].owner != user })
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(e.sessions[b].createdMS, e.sessions[a].createdMS), cmp.Compare(b, a))
	})
	return ids[:max(0, min(len(ids), most))]
}

// surplus forgets the oldest sessions beyond most and returns them.
func (e *ended) surplus(most int) map[string]past {
	if e.len() <= most {
		return nil
	}
	ids := e.newestOf("", math.MaxInt)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(ids) <= most {
		return nil // somebody else has taken them off
	}
	gone := make(map[string]past, len(ids)-most)
	for _, id := range ids[most:] {
		gone[id] = e.sessions[id]
		delete(e.sessions, id)
	}
	return gone
}
