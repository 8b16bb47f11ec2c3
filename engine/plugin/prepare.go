package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Errors of changes that several hosts make together.
var (
	// ErrGoverned means that the plugin is not this host's alone to change.
	ErrGoverned = errors.New("is governed by the cluster, so that all nodes serve the same; change it for all of them (wse plugin swap or rollback " +
		"with --cluster), or let each node go by its own files again (wse plugin forget NAME --cluster)")
	// ErrNotHeld means that a version that was prepared is not held any more.
	ErrNotHeld = errors.New("what was prepared is not held any more")
)

// Bundle is what one host hands to another so that the same version serves there: all that makes a version but the limits and kinds,
// which each host's configuration says. Module and Config must not be changed.
type Bundle struct {
	Version      string // as [Info] has it
	SHA256       string // of Module
	ConfigSHA256 string // of Config; empty: the version has none
	Module       []byte
	Config       []byte // JSON; nil: the version has none
}

func (s *source) bundle() Bundle {
	d := s.digests()
	return Bundle{Version: s.id(), SHA256: d.Module, ConfigSHA256: d.Config, Module: s.wasm, Config: s.json}
}

// check holds the bytes to what the bundle says of them: they came a long way.
func (b *Bundle) check() error {
	if got := hexSum(b.Module); got != b.SHA256 {
		return fmt.Errorf("the module that arrived has %d bytes and SHA-256 %s, announced was %s", len(b.Module), got, b.SHA256)
	}
	switch {
	case b.ConfigSHA256 == "" && b.Config != nil:
		return fmt.Errorf("a config of %d bytes arrived, announced was none", len(b.Config))
	case b.ConfigSHA256 != "" && hexSum(b.Config) != b.ConfigSHA256:
		return fmt.Errorf("the config that arrived has %d bytes and SHA-256 %s, announced was %s", len(b.Config), hexSum(b.Config), b.ConfigSHA256)
	}
	return nil
}

// Bundle returns c in full, with what it leaves out taken from what serves; the zero Candidate is what serves. Nothing is compiled. The
// error is a *LoadError, [ErrUnknownPlugin], [ErrUnknownVersion], [ErrNoCandidate] or [ErrClosed].
func (h *Host) Bundle(name string, c Candidate) (Bundle, error) {
	e, past, err := h.hold(name)
	if err != nil {
		return Bundle{}, err
	}
	defer e.release()
	if c.Version == "" && len(c.Module)+len(c.Config) == 0 {
		module, err := h.ledger.blobs.get(e.sums.Module)
		if err != nil {
			return Bundle{}, failed(name, StepRead, fmt.Errorf("the module that serves: %w", err))
		}
		s := &source{cfg: e.config, wasm: module, json: e.version.config, digest: e.digest}
		return s.bundle(), nil
	}
	s, err := h.candidateSource(&e, past, c)
	if err != nil {
		return Bundle{}, err
	}
	return s.bundle(), nil
}

// Before returns the id of the version that served before the one that does. The error is [ErrNothingBefore], [ErrUnknownPlugin] or
// [ErrClosed].
func (h *Host) Before(name string) (string, error) {
	e, past, err := h.hold(name)
	if err != nil {
		return "", err
	}
	e.release()
	if past.before() == "" {
		return "", fmt.Errorf("plugin/%s: %w", name, ErrNothingBefore)
	}
	return past.before(), nil
}

// Govern says which plugins are changed by [Prepared.Commit] alone, and by nothing else from now on: neither [Host.Swap] nor
// [Host.Rollback], nor files, nor a reload, which may still change how they are bound and limited, but not take them away. Those that
// are not named are the host's own again.
func (h *Host) Govern(names []string) {
	governed := make(map[string]bool, len(names))
	for _, name := range names {
		governed[name] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.governed = governed
}

// own tells whether the plugin is this host's alone to change. h.mu is held.
func (h *Host) own(name string) error {
	if h.governed[name] {
		return fmt.Errorf("plugin/%s: %w", name, ErrGoverned)
	}
	return nil
}

// free is own for whoever does not hold h.mu: what it says may be otherwise by the time that the change is made, which asks again.
func (h *Host) free(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.own(name)
}

// Prepared is a version that was made ready aside and is held, so that letting it serve takes no time and cannot fail for want of
// anything but a place to record it. Its methods are safe for concurrent use.
type Prepared struct {
	host    *Host
	name    string
	version *version // held while why is nil
	source  *source
	expiry  *time.Timer
	why     error // guarded by host.mu; why it is not held any more, nil: it is
}

// Prepare makes b ready beside what serves, and holds it until [Prepared.Commit], [Prepared.Abandon], [Host.Close], or for as long as
// hold says. Nothing that serves is touched, and any number of versions may be held of a plugin. It blocks for as long as compiling
// takes. The error is a *LoadError, [ErrUnknownPlugin] or [ErrClosed].
func (h *Host) Prepare(ctx context.Context, name string, b Bundle, hold time.Duration) (*Prepared, error) {
	e, _, err := h.hold(name)
	if err != nil {
		return nil, err
	}
	s, err := bundled(&e.config, &b)
	if err != nil {
		e.release()
		return nil, err
	}
	r, err := h.makeReady(ctx, &e, s)
	if err != nil {
		return nil, err
	}
	r.over.release() // what it goes before is decided at Commit
	p := &Prepared{host: h, name: name, version: r.version, source: s}
	h.mu.Lock()
	_, err = h.serving()
	if err == nil {
		h.prepared[p] = struct{}{}
		p.expiry = time.AfterFunc(hold, func() {
			p.give(fmt.Errorf("plugin/%s: %w: nobody asked for it within %v", name, ErrNotHeld, hold))
		})
	}
	h.mu.Unlock()
	if err != nil {
		r.version.release()
		return nil, err
	}
	return p, nil
}

// bundled takes the steps read, digest and config for what another host handed over.
func bundled(c *Config, b *Bundle) (*source, error) {
	if most := c.Limits.Scan.ModuleKiBMax; len(b.Module) > most<<10 {
		return nil, failed(c.Name, StepRead, fmt.Errorf("a module of %d bytes, at most %d KiB are allowed (scan.module_kib_max)", len(b.Module), most))
	}
	if err := b.check(); err != nil {
		return nil, failed(c.Name, StepDigest, err)
	}
	if most := c.Limits.InKiB; len(b.Config) > most<<10 {
		return nil, failed(c.Name, StepConfig, fmt.Errorf("a config of %d bytes, at most %d KiB are allowed (in_kib)", len(b.Config), most))
	}
	if b.ConfigSHA256 != "" && !(utf8.Valid(b.Config) && json.Valid(b.Config)) {
		return nil, failed(c.Name, StepConfig, errors.New("the config is no JSON"))
	}
	return newSource(*c, b.Module, b.Config)
}

// Version is the id of what is held.
func (p *Prepared) Version() string { return p.version.id }

// Commit lets what is held serve from the next call on, whatever served until now, and gives it back; when it returns, the calls that
// began before have ended. A shadow that runs is abandoned. The error is [ErrNotHeld], [ErrUnknownPlugin], [ErrClosed], [ErrChanged]
// where the configuration of the plugin has changed so that it has to be prepared anew, or a *LoadError where it cannot be recorded or
// is not the version that the configuration pins. Then nothing has changed.
func (p *Prepared) Commit(how How, who string) (Change, error) {
	h := p.host
	h.mu.Lock()
	if p.why != nil {
		err := p.why
		h.mu.Unlock()
		return Change{}, err
	}
	old, c, err := p.exchange(how, who)
	h.mu.Unlock()
	p.give(fmt.Errorf("plugin/%s: %w: it was told to serve", p.name, ErrNotHeld))
	if err != nil {
		return Change{}, h.refused(p.name, how, who, err)
	}
	h.arrived(old, c)
	return c, nil
}

// exchange puts what is held in the place of what serves. Host.mu is held.
func (p *Prepared) exchange(how How, who string) (*table, Change, error) {
	t, err := p.host.serving()
	if err != nil {
		return nil, Change{}, err
	}
	e := t.find(p.name)
	if e == nil {
		return nil, Change{}, fmt.Errorf("%w %q", ErrUnknownPlugin, p.name)
	}
	s, err := newSource(e.config, p.source.wasm, p.source.json)
	if err != nil {
		return nil, Change{}, err
	}
	r := &ready{seat: e.seat, version: p.version, over: e.version, source: s}
	switch s.print {
	case e.print: // it serves already, perhaps as another object
		r.version = e.version
	case p.version.print:
	default:
		return nil, Change{}, fmt.Errorf("plugin/%s: its configuration %w", p.name, ErrChanged)
	}
	return p.host.exchange(r, how, who)
}

// Abandon gives back what is held. Nothing happens where it is not held any more.
func (p *Prepared) Abandon() {
	p.give(fmt.Errorf("plugin/%s: %w: it was abandoned", p.name, ErrNotHeld))
}

// give lets go of the version, once.
func (p *Prepared) give(why error) {
	p.host.mu.Lock()
	held := p.why == nil
	if held {
		p.why = why
		p.expiry.Stop()
		delete(p.host.prepared, p)
	}
	p.host.mu.Unlock()
	if held {
		p.version.release()
	}
}

// abandonAll gives back all that is held, when the host closes.
func (h *Host) abandonAll() {
	h.mu.Lock()
	held := make([]*Prepared, 0, len(h.prepared))
	for p := range h.prepared {
		held = append(held, p)
	}
	h.mu.Unlock()
	for _, p := range held {
		p.give(ErrClosed)
	}
}
