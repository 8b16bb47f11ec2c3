package plugin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Candidate is what may come to serve for a plugin: a module, a configuration for it, or both, or a kept version. Of
// module and config, what is empty is taken from the version that serves.
type Candidate struct {
	// Version is the id of a kept version, or a beginning of it that no other has. Module and Config are empty then.
	Version string
	Module  []byte
	Config  []byte // YAML or JSON text
	// Who is told in the log and kept with the version, as in "alice@desk-4".
	Who string
}

// ready is a version that was made ready aside, together with the one that served while that was done. Both are held
// until release; whoever asked for it calls that once, installed or not.
type ready struct {
	seat    *seat
	version *version
	over    *version // what served; the same as version where the candidate is no other
	source  *source
	base    *digests // of the configuration's files, where the candidate is made of them
}

func (r *ready) release() {
	r.version.release()
	r.over.release()
}

// candidate makes c ready aside. Nothing that serves is touched. The error is a *LoadError, [ErrUnknownPlugin],
// [ErrUnknownVersion], [ErrNoCandidate] or [ErrClosed]. It blocks for as long as compiling takes.
func (h *Host) candidate(ctx context.Context, name string, c Candidate) (*ready, error) {
	e, past, err := h.hold(name)
	if err != nil {
		return nil, err
	}
	s, err := h.candidateSource(&e, past, c)
	if err != nil {
		e.release()
		return nil, err
	}
	return h.makeReady(ctx, &e, s)
}

// makeReady loads s beside e, whose version is held and becomes the result's.
func (h *Host) makeReady(ctx context.Context, e *entry, s *source) (*ready, error) {
	r := &ready{seat: e.seat, over: e.version, source: s}
	if s.print == e.print {
		r.version = e.version
		r.version.refs.Add(1)
		return r, nil
	}
	v, err := h.load(ctx, s)
	if err != nil {
		e.release()
		return nil, err
	}
	v.refs.Add(1)
	r.version = v
	return r, nil
}

// hold returns the entry that serves for name, its version held, and what is kept of the plugin.
func (h *Host) hold(name string) (entry, *history, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t, err := h.serving()
	if err != nil {
		return entry{}, nil, err
	}
	e := t.find(name)
	if e == nil {
		return entry{}, nil, fmt.Errorf("%w %q", ErrUnknownPlugin, name)
	}
	e.refs.Add(1) // the table has a hold of its own, so the version is open
	return *e, h.ledger.plugins[name], nil
}

// candidateSource is read for candidates.
func (h *Host) candidateSource(e *entry, past *history, c Candidate) (*source, error) {
	name := e.config.Name
	switch {
	case c.Version != "" && len(c.Module)+len(c.Config) > 0:
		return nil, fmt.Errorf("%w: a kept version comes with its own module and config", ErrNoCandidate)
	case c.Version != "":
		k, err := past.find(c.Version)
		if err != nil {
			return nil, fmt.Errorf("plugin/%s: %w", name, err)
		}
		return h.keptSource(e.config, k)
	case len(c.Module)+len(c.Config) == 0:
		return nil, fmt.Errorf("%w: give a module, a config, or the version of a kept one", ErrNoCandidate)
	}
	var err error
	module, config := c.Module, e.version.config
	if len(module) == 0 {
		if module, err = h.ledger.blobs.get(e.sums.Module); err != nil {
			return nil, failed(name, StepRead, fmt.Errorf("the module that serves: %w", err))
		}
	}
	if most := e.config.Limits.Scan.ModuleKiBMax; len(module) > most<<10 {
		return nil, failed(name, StepRead, fmt.Errorf("a module of %d bytes, at most %d KiB are allowed (scan.module_kib_max)", len(module), most))
	}
	if len(c.Config) > 0 {
		if config, err = h.candidateConfig(&e.config, c.Config); err != nil {
			return nil, failed(name, StepConfig, err)
		}
	}
	return newSource(e.config, module, config)
}

// candidateConfig turns a configuration that was handed in into JSON.
func (h *Host) candidateConfig(c *Config, text []byte) ([]byte, error) {
	if most := c.Limits.InKiB; len(text) > most<<10 {
		return nil, fmt.Errorf("a config of %d bytes, at most %d KiB are allowed (in_kib)", len(text), most)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errors.New("the config is empty; to run the plugin without one, hand in {}")
	}
	if h.deps.DecodeYAML != nil {
		return h.deps.DecodeYAML(text)
	}
	if !utf8.Valid(text) || !json.Valid(text) {
		return nil, errors.New("the config is no JSON, and this host reads no YAML")
	}
	return text, nil
}

// keptSource is read for kept versions.
func (h *Host) keptSource(c Config, k *keptVersion) (*source, error) {
	module, err := h.ledger.blobs.get(k.Module)
	if err != nil {
		return nil, failed(c.Name, StepRead, fmt.Errorf("the module of version %s: %w", k.ID, err))
	}
	s, err := newSource(c, module, k.config())
	if err == nil && s.id() != k.ID {
		err = failed(c.Name, StepRead, fmt.Errorf("what is kept as version %s is %s: it was changed in data_dir", k.ID, s.id()))
	}
	return s, err
}

// source is a plugin's bytes and configuration, read and checked, before anything is made of them.
type source struct {
	cfg    Config // with defaults
	wasm   []byte
	digest [sha256.Size]byte
	json   []byte // for wse_configure; nil: none
	print  [sha256.Size]byte
	inside bool // the module is a part of this program, and trusted
}

// newSource takes the step digest. The module is none of this program's own: whoever knows it is says so.
func newSource(c Config, wasm, config []byte) (*source, error) {
	s := &source{cfg: c, wasm: wasm, json: config, digest: sha256.Sum256(wasm)}
	if err := checkPin(&c, s.digest); err != nil {
		return nil, err
	}
	// What the configuration says about routing may change without making the version another one.
	print, err := json.Marshal([]any{c.Name, s.digest, s.json, c.Kinds, c.Limits})
	if err != nil {
		return nil, failed(c.Name, StepConfig, err)
	}
	s.print = sha256.Sum256(print)
	return s, nil
}

// checkPin holds whatever serves to the digest that the configuration names.
func checkPin(c *Config, digest [sha256.Size]byte) error {
	if got := hex.EncodeToString(digest[:]); c.SHA256 != "" && !strings.EqualFold(got, c.SHA256) {
		return failed(c.Name, StepDigest, fmt.Errorf("the module's SHA-256 is %s, the configuration pins %s", got, strings.ToLower(c.SHA256)))
	}
	return nil
}

// id names the version everywhere: MODULE12, or MODULE12+CONFIG8 where it has a config.
func (s *source) id() string {
	id := hex.EncodeToString(s.digest[:idModuleBytes])
	if s.json == nil {
		return id
	}
	return id + "+" + hexSum(s.json)[:2*idConfigBytes]
}

const (
	idModuleBytes = 6
	idConfigBytes = 4
)

func (s *source) digests() digests {
	d := digests{Module: hex.EncodeToString(s.digest[:])}
	if s.json != nil {
		d.Config = hexSum(s.json)
	}
	return d
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
