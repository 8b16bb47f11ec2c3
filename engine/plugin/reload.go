package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// plan is a table to be, with what it takes.
type plan struct {
	table   *table
	over    *table              // what served when it was made; nil: nothing yet
	past    map[string]*history // what was kept then
	held    map[string]bool     // Host.governed then, which is never changed but replaced
	changes map[string]*history
	modules []*source
	notices []Notice
	how     How
	who     string
}

// reloadAttempts bounds how often a reload begins anew because plugins were swapped meanwhile.
const reloadAttempts = 5

// reload makes the plugins of cfgs ready and lets them serve, all or none.
func (h *Host) reload(ctx context.Context, cfgs Configs, how How, who string) error {
	if err := cfgs.Validate(); err != nil {
		return fmt.Errorf("plugins%w", err)
	}
	h.reloading.Lock()
	defer h.reloading.Unlock()
	for range reloadAttempts {
		p, err := h.plan(ctx, cfgs, how, who)
		if err != nil {
			return err
		}
		switch err := h.commit(p); {
		case err == nil:
			return nil
		case !errors.Is(err, ErrChanged):
			return err
		}
	}
	return fmt.Errorf("plugins: %w", ErrChanged)
}

// plan loads what is not loaded yet. On an error nothing of it stays open.
func (h *Host) plan(ctx context.Context, cfgs Configs, how How, who string) (*plan, error) {
	p := &plan{table: newTable(), past: map[string]*history{}, changes: map[string]*history{}, how: how, who: who}
	h.mu.Lock()
	if h.cur.Load() != nil {
		var err error
		if p.over, err = h.acquire(); err != nil {
			h.mu.Unlock()
			return nil, err
		}
		defer p.over.release()
	}
	for name, past := range h.ledger.plugins {
		p.past[name] = past
	}
	p.held = h.governed
	h.mu.Unlock()
	errs := p.losses(cfgs)
	for _, c := range cfgs {
		errs = append(errs, h.planOne(ctx, p, c))
	}
	if err := errors.Join(errs...); err != nil {
		p.table.retire()
		return nil, err
	}
	p.table.index()
	return p, nil
}

// losses are the plugins that serve, are not this host's alone to change, and would be gone with cfgs.
func (p *plan) losses(cfgs Configs) (errs []error) {
	if p.over == nil {
		return nil
	}
	for i := range p.over.entries {
		name := p.over.entries[i].config.Name
		if p.held[name] && !slices.ContainsFunc(cfgs, func(c Config) bool { return c.Name == name }) {
			errs = append(errs, fmt.Errorf("plugin/%s: the configuration does not name it any more, but it %w", name, ErrGoverned))
		}
	}
	return errs
}

// planOne adds the plugin c to the plan: with its files, or with what was made to serve since they last changed, or for all nodes.
func (h *Host) planOne(ctx context.Context, p *plan, c Config) error {
	files, err := h.read(c)
	if err != nil {
		return err
	}
	past, s := p.past[c.Name], files
	held := p.held[c.Name] && past != nil
	recorded := past != nil && (held || past.Base == files.digests()) && past.serving() != files.id()
	if recorded {
		if s, err = h.recordedSource(files, past); err != nil {
			return p.lost(err, c.Name)
		}
	}
	v, err := h.reuseOrLoad(ctx, p.over, s)
	if err != nil {
		if recorded {
			return p.lost(err, c.Name)
		}
		return err
	}
	v.refs.Add(1)
	p.table.add(v, s.cfg, p.seat(c.Name))
	p.modules = append(p.modules, s)
	if held && past.Base != files.digests() && past.serving() != files.id() {
		p.notices = append(p.notices, Notice{
			Plugin: c.Name, Version: s.id(), Text: "files changed, which does not count while the cluster governs the plugin", How: p.how, Who: p.who,
		})
	}
	if past == nil || !held && past.Base != files.digests() {
		if past == nil {
			past = &history{}
		}
		next := past.with(s.kept(p.how, p.who, time.Now())).after(s.id(), p.how)
		next.Base = files.digests()
		p.changes[c.Name] = next
	}
	return nil
}

// recordedSource is the version that serves by the record.
func (h *Host) recordedSource(files *source, past *history) (*source, error) {
	k, err := past.find(past.serving())
	if err != nil {
		return nil, failed(files.cfg.Name, StepRead, err)
	}
	if k.Module == files.digests().Module { // the same module with another config
		s, err := newSource(files.cfg, files.wasm, k.config())
		if err == nil {
			s.inside = files.inside
		}
		return s, err
	}
	return h.keptSource(files.cfg, k)
}

// lost adds the way out to the failure of a version that serves by the record.
func (p *plan) lost(err error, name string) error {
	var le *LoadError
	switch {
	case !errors.As(err, &le):
	case p.held[name]:
		le.Err = fmt.Errorf("%w (this version is not the one of the files: the plugin %w)", le.Err, ErrGoverned)
	default:
		le.Err = fmt.Errorf("%w (this version was made to serve after the configuration's files last changed; %s)", le.Err, wayOut(name))
	}
	return err
}

func (h *Host) reuseOrLoad(ctx context.Context, old *table, s *source) (*version, error) {
	if old != nil {
		for i := range old.entries {
			if v := old.entries[i].version; v.print == s.print {
				return v, nil
			}
		}
	}
	return h.load(ctx, s)
}

// commit lets the plan serve, or gives it back.
func (h *Host) commit(p *plan) error {
	h.mu.Lock()
	notices, err := h.exchangeAll(p)
	h.mu.Unlock()
	if err != nil {
		p.table.retire()
		return err
	}
	if p.over == nil {
		return nil // whoever opens a host asks it what serves, once everything else is open too
	}
	p.over.retire()
	for _, n := range notices {
		h.tell(n)
	}
	return nil
}

// exchangeAll records the plan and puts its table in place. h.mu is held.
func (h *Host) exchangeAll(p *plan) ([]Notice, error) {
	if h.cur.Load() != p.over {
		return nil, ErrChanged
	}
	if p.over != nil {
		if _, err := h.serving(); err != nil {
			return nil, err
		}
	}
	present := map[string]bool{}
	for i := range p.table.entries {
		name := p.table.entries[i].config.Name
		if present[name] = true; h.ledger.plugins[name] != p.past[name] {
			return nil, ErrChanged
		}
	}
	for _, name := range h.ledger.surplus(present) {
		p.changes[name] = nil
	}
	if err := h.ledger.apply(p.changes, p.modules); err != nil {
		return nil, err
	}
	notices := p.notices
	for i := range p.table.entries {
		p.table.entries[i].observe()
		if n, changed := p.arrival(&p.table.entries[i]); changed {
			notices = append(notices, n)
		}
	}
	h.cur.Store(p.table)
	p.stopShadows()
	return append(notices, p.departures()...), nil
}

// arrival counts e and says how it came to serve, unless it served already. Host.mu is held.
func (p *plan) arrival(e *entry) (n Notice, changed bool) {
	n = Notice{Plugin: e.config.Name, Version: e.id, Text: "plugin ready", How: p.how, Who: p.who}
	if p.over != nil {
		if before := p.over.find(n.Plugin); before != nil {
			if before.version == e.version {
				return n, false
			}
			n.Text, n.From = "plugin swapped", before.id
		}
	}
	e.seat.last.Store(&Change{
		Plugin: n.Plugin, From: n.From, To: n.Version, How: n.How, Who: n.Who, Time: time.Now(), Generation: e.seat.generation.Add(1),
	})
	return n, true
}

// departures says which plugins served and no longer do.
func (p *plan) departures() []Notice {
	if p.over == nil {
		return nil
	}
	var gone []Notice
	for i := range p.over.entries {
		if e := &p.over.entries[i]; p.table.find(e.config.Name) == nil {
			gone = append(gone, Notice{Plugin: e.config.Name, Version: e.id, Text: "plugin removed", How: p.how, Who: p.who})
		}
	}
	return gone
}

// seat is the one that the plugin has, or a new one.
func (p *plan) seat(name string) *seat {
	if p.over != nil {
		if e := p.over.find(name); e != nil {
			return e.seat
		}
	}
	return &seat{name: name}
}

// stopShadows ends the shadows of plugins that the plan changes or drops.
func (p *plan) stopShadows() {
	if p.over == nil {
		return
	}
	for i := range p.over.entries {
		before := &p.over.entries[i]
		switch now := p.table.find(before.config.Name); {
		case now == nil:
			before.seat.watch.overtaken(nil, errors.New("the configuration does not name the plugin any more"))
		case now.version != before.version:
			before.seat.watch.overtaken(nil, fmt.Errorf("%s came to serve meanwhile (%s)", now.id, HowReload))
		}
	}
}
