package plugin

import (
	"fmt"
	"sync/atomic"
	"time"
)

// seat is a plugin by its name: what stays while versions come and go.
type seat struct {
	name       string
	generation atomic.Uint64 // versions that came to serve since the host was opened
	last       atomic.Pointer[Change]
	watch      watch
}

// observe has the version of e watched, from its next call on, as its configuration says.
func (e *entry) observe() {
	e.seat.watch.configure(e.config.Record)
	e.version.watch.Store(&e.seat.watch)
}

// serving returns the table that serves. h.mu is held, so it stays that.
func (h *Host) serving() (*table, error) {
	t := h.cur.Load()
	if t == nil || t.refs.Load() == 0 {
		return nil, ErrClosed
	}
	return t, nil
}

func (t *table) find(name string) *entry {
	for i := range t.entries {
		if t.entries[i].config.Name == name {
			return &t.entries[i]
		}
	}
	return nil
}

// install lets r serve from the next call on, and returns when the calls that began before have ended. How and who are
// kept and told. The error is a *LoadError, [ErrChanged], [ErrGoverned], [ErrUnknownPlugin] or [ErrClosed], and then nothing has changed.
func (h *Host) install(r *ready, how How, who string) (Change, error) {
	h.mu.Lock()
	old, c, err := (*table)(nil), Change{}, h.own(r.seat.name)
	if err == nil {
		old, c, err = h.exchange(r, how, who)
	}
	h.mu.Unlock()
	if err != nil {
		return Change{}, h.refused(r.seat.name, how, who, err)
	}
	h.arrived(old, c)
	return c, nil
}

// arrived waits for what served before, nil where nothing changed, and tells of the change.
func (h *Host) arrived(old *table, c Change) {
	if old == nil {
		return
	}
	old.retire()
	text := "plugin swapped"
	if c.How == HowRollback {
		text = "plugin rolled back"
	}
	h.tell(Notice{Plugin: c.Plugin, Version: c.To, Text: text, From: c.From, How: c.How, Who: c.Who})
}

// current tells whether what r was made ready over still serves. h.mu is held.
func (h *Host) current(r *ready) error {
	t, err := h.serving()
	if err != nil {
		return err
	}
	switch e := t.find(r.seat.name); {
	case e == nil:
		return fmt.Errorf("%w %q", ErrUnknownPlugin, r.seat.name)
	case e.version != r.over || e.seat != r.seat:
		return fmt.Errorf("plugin/%s: %w", r.seat.name, ErrChanged)
	}
	return nil
}

// exchange records r and puts it into the table. It returns the table that served before, for the caller to retire, or nil
// where r served already. h.mu is held.
func (h *Host) exchange(r *ready, how How, who string) (*table, Change, error) {
	if err := h.current(r); err != nil {
		return nil, Change{}, err
	}
	name, old := r.seat.name, h.cur.Load()
	e := old.find(name)
	if s := r.seat.watch.shadow.Load(); s != nil && s.ready != r && how == HowSwap {
		return nil, Change{}, fmt.Errorf("plugin/%s: %w", name, ErrShadowing)
	}
	if err := checkPin(&e.config, r.source.digest); err != nil { // the pin may be new
		return nil, Change{}, err
	}
	now := time.Now()
	c := Change{Plugin: name, From: e.id, To: r.version.id, How: how, Who: who, Time: now, Generation: r.seat.generation.Load()}
	if r.version == r.over && r.base == nil {
		return nil, c, nil
	}
	if err := h.ledger.put(name, h.ledger.plugins[name].next(r, how, who, now), r.source); err != nil {
		return nil, Change{}, err
	}
	if r.version == r.over {
		return nil, c, nil
	}
	c.Generation = r.seat.generation.Add(1)
	r.seat.last.Store(&c)
	r.seat.watch.overtaken(r, fmt.Errorf("%s came to serve meanwhile (%s)", c.To, how))
	h.cur.Store(old.replacing(e, r.version))
	return old, c, nil
}

// next is the history once r serves.
func (p *history) next(r *ready, how How, who string, now time.Time) *history {
	if how != HowRollback {
		p = p.with(r.source.kept(how, who, now))
	}
	p = p.after(r.source.id(), how)
	if r.base != nil {
		p.Base = *r.base
	}
	return p
}

// replacing returns a table like t with v in the place of e.
func (t *table) replacing(e *entry, v *version) *table {
	next := newTable()
	for i := range t.entries {
		o := t.entries[i]
		if &t.entries[i] == e {
			o.version = v
			o.observe()
		}
		o.refs.Add(1)
		next.entries = append(next.entries, o)
	}
	next.index()
	return next
}

// retire waits for the calls that hold t to end, and lets go of its versions. That is done here and not by the last of
// those calls, so that no call pays for closing a runtime.
func (t *table) retire() {
	t.release()
	<-t.closed
	for i := range t.entries {
		t.entries[i].version.release()
	}
}
