package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors of changes, which callers compare with. What is wrong with a candidate is a *LoadError.
var (
	// ErrUnknownPlugin means that the configuration names no such plugin.
	ErrUnknownPlugin = errors.New("plugin: the configuration has no plugin")
	// ErrUnknownVersion means that no such version is kept.
	ErrUnknownVersion = errors.New("no such version is kept")
	// ErrNoCandidate means that there is nothing to make a candidate of.
	ErrNoCandidate = errors.New("plugin: no candidate")
	// ErrNothingBefore means that no version that served earlier is kept.
	ErrNothingBefore = errors.New("nothing served before this version")
	// ErrChanged means that the plugin was changed by somebody else while the candidate was made ready.
	ErrChanged = errors.New("was changed by another meanwhile; look at what serves now and try again")
	// ErrShadowing means that a shadow runs, which has to end or be cancelled first.
	ErrShadowing = errors.New("a shadow runs already; wait for its end or cancel it")
	// ErrNoShadow means that no shadow runs.
	ErrNoShadow = errors.New("no shadow runs")
	// ErrStateful means that a plugin that only runs strategies is not compared with a candidate.
	ErrStateful = errors.New("runs strategies, which are not compared on single documents: what one says depends on all that it was told before. " +
		"Give the candidate vectors (wse plugin test), or run a backtest on what serves, swap, and run it again; strategies that run stay on their version")
	// ErrNothingRecorded means that there are no events to try a candidate on.
	ErrNothingRecorded = errors.New("no event is recorded to try it on")
)

// How is what made a version.
type How string

// The ways a version comes about. A rollback makes none, but is told in the log and in a [Change].
const (
	HowStart    How = "start"    // the configuration's files at the start of the engine
	HowReload   How = "reload"   // the same, at a reload
	HowFile     How = "file"     // the same, seen to have changed
	HowUpload   How = "upload"   // handed in, and not made to serve
	HowSwap     How = "swap"     // handed in to serve
	HowRollback How = "rollback" // a kept version, back again
	HowCluster  How = "cluster"  // what all nodes are to serve
)

// Kept is a version that the host can let serve again.
type Kept struct {
	Version, SHA256 string
	ConfigSHA256    string // empty: it has no config
	Bytes           int    // of the module
	Time            time.Time
	Who             string
	How             How
	Serving         bool
}

// Change is what became of a swap or a rollback. From and To are equal where the candidate was what served.
type Change struct {
	Plugin     string
	From, To   string // versions; To is empty while a shadow runs
	How        How
	Who        string
	Time       time.Time
	Generation uint64 // how often the plugin has changed since the engine started
}

// Detail is all that is known of one plugin.
type Detail struct {
	Info
	Generation uint64
	// Last is the change by which the version that serves came to do so, since the engine started.
	Last     Change
	Kept     []Kept // newest first
	Recorded int    // documents that a candidate can be tried on
	// Shadow is the one that runs, or the last one since the engine started; nil: none did.
	Shadow *ShadowState
}

// Notice is a change of a plugin's state, or a refused one, for the log.
type Notice struct {
	Plugin, Version string
	Text            string // what happened, as in "plugin swapped"
	From            string // the version that served before
	How             How
	Who             string
	Err             error // why it was refused
}

func (h *Host) tell(n Notice) {
	if h.deps.Notice != nil {
		h.deps.Notice(n)
	}
}

// refused tells of a candidate that is not going to serve, and passes the error on.
func (h *Host) refused(name string, how How, who string, err error) error {
	h.tell(Notice{Plugin: name, Text: "candidate refused; what served goes on", How: how, Who: who, Err: err})
	return err
}

// Upload makes c ready, keeps it, and leaves what serves as it is. It can be told to serve by its version then.
func (h *Host) Upload(ctx context.Context, name string, c Candidate) (Kept, error) {
	r, err := h.candidate(ctx, name, c)
	if err != nil {
		return Kept{}, h.refused(name, HowUpload, c.Who, err)
	}
	defer r.release()
	k, err := h.keep(r, c.Who)
	if err != nil {
		return Kept{}, h.refused(name, HowUpload, c.Who, err)
	}
	h.tell(Notice{Plugin: name, Version: k.Version, Text: "plugin uploaded", From: r.over.id, How: HowUpload, Who: c.Who})
	return k, nil
}

func (h *Host) keep(r *ready, who string) (Kept, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := h.serving(); err != nil {
		return Kept{}, err
	}
	name := r.source.cfg.Name
	past := h.ledger.plugins[name]
	if past == nil {
		return Kept{}, fmt.Errorf("%w %q", ErrUnknownPlugin, name)
	}
	next := past.with(r.source.kept(HowUpload, who, time.Now()))
	if err := h.ledger.put(name, next, r.source); err != nil {
		return Kept{}, err
	}
	now := h.ledger.plugins[name]
	k, err := now.find(r.source.id())
	if err != nil {
		return Kept{}, err
	}
	return k.public(now), nil
}

// Swap makes c ready and lets it serve from the next call on. Calls under way finish on the version before; when Swap
// returns they have. Where s asks for a shadow, Swap returns when that runs, and [Host.Detail] tells how it goes on. While
// one runs there is no other swap: [ErrShadowing]. A rollback, a reload and files that changed abandon it. A plugin that the host does
// not change alone is refused with [ErrGoverned], unless the candidate is only to be compared.
func (h *Host) Swap(ctx context.Context, name string, c Candidate, s Shadow) (Change, error) {
	if err := s.Validate(); s != (Shadow{}) && err != nil {
		return Change{}, h.refused(name, HowSwap, c.Who, fmt.Errorf("plugin/%s: shadow: %w", name, err))
	}
	if err := h.free(name); err != nil && !s.Only {
		return Change{}, h.refused(name, HowSwap, c.Who, err)
	}
	r, err := h.candidate(ctx, name, c)
	if err != nil {
		return Change{}, h.refused(name, HowSwap, c.Who, err)
	}
	if s != (Shadow{}) && !r.over.pooled() {
		r.release()
		return Change{}, h.refused(name, HowSwap, c.Who, fmt.Errorf("plugin/%s: shadow: %w", name, ErrStateful))
	}
	if s != (Shadow{}) {
		return h.shadow(r, s, c.Who)
	}
	defer r.release()
	return h.install(r, HowSwap, c.Who)
}

// Rollback lets a kept version serve again: the named one, or where version is empty the one that served before. Going
// back repeatedly goes further back each time; a version that was left by going back serves again when it is named.
func (h *Host) Rollback(ctx context.Context, name, version, who string) (Change, error) {
	if err := h.free(name); err != nil {
		return Change{}, h.refused(name, HowRollback, who, err)
	}
	e, past, err := h.hold(name)
	if err != nil {
		return Change{}, err
	}
	if version == "" {
		version = past.before()
	}
	if version == "" {
		e.release()
		return Change{}, fmt.Errorf("plugin/%s: %w", name, ErrNothingBefore)
	}
	s, err := h.candidateSource(&e, past, Candidate{Version: version})
	if err != nil {
		e.release()
		return Change{}, h.refused(name, HowRollback, who, err)
	}
	r, err := h.makeReady(ctx, &e, s)
	if err != nil {
		return Change{}, h.refused(name, HowRollback, who, err)
	}
	defer r.release()
	return h.install(r, HowRollback, who)
}

// Refresh reads the files that the configuration names for a plugin again, and lets them serve where they differ from
// what they were when last read.
func (h *Host) Refresh(ctx context.Context, name, who string) (Change, error) {
	e, past, err := h.hold(name)
	if err != nil {
		return Change{}, err
	}
	s, err := h.read(e.config)
	if err != nil {
		e.release()
		return Change{}, h.refused(name, HowFile, who, err)
	}
	base := s.digests()
	if past.Base == base {
		e.release()
		return Change{Plugin: name, From: e.id, To: e.id, How: HowFile, Who: who, Time: time.Now(), Generation: e.seat.generation.Load()}, nil
	}
	if err := h.free(name); err != nil {
		e.release()
		return Change{}, h.refused(name, HowFile, who, err)
	}
	r, err := h.makeReady(ctx, &e, s)
	if err != nil {
		return Change{}, h.refused(name, HowFile, who, err)
	}
	defer r.release()
	r.base = &base
	return h.install(r, HowFile, who)
}

// Detail returns what is known of a plugin, or [ErrUnknownPlugin] or [ErrClosed].
func (h *Host) Detail(name string) (Detail, error) {
	e, past, err := h.hold(name)
	if err != nil {
		return Detail{}, err
	}
	defer e.release()
	d := Detail{
		Info: e.info(), Generation: e.seat.generation.Load(), Recorded: e.seat.watch.record.Load().len(), Shadow: e.seat.watch.seen(),
	}
	if last := e.seat.last.Load(); last != nil {
		d.Last = *last
	}
	for i := range past.Versions {
		d.Kept = append(d.Kept, past.Versions[i].public(past))
	}
	return d, nil
}
