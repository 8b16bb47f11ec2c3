package plugin

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/sdk/abi"
)

// Deps is what a host needs from its program. Functions must be safe for concurrent use.
type Deps struct {
	// ConfigDir is what relative paths of the configuration are relative to.
	ConfigDir string
	// DataDir is where compiled modules are kept, in plugins/cache.
	DataDir string
	// Stock returns the module inside the program that path stock:NAME means. May be nil.
	Stock func(name string) (wasm []byte, ok bool)
	// DecodeYAML turns a plugin's config_file into JSON. May be nil when no plugin names one.
	DecodeYAML func(yaml []byte) (json []byte, err error)
	// Log takes a guest's log lines, and when its failures silence it and it serves again, at levels 0 trace, 1 debug, 2 info,
	// 3 warn and 4 error. May be nil. It is called on the goroutine that called the hook and must not block.
	Log func(plugin, version string, level int, text string)
	// NewAnswer returns what reads the answers of transform plugins where their events come in, so that candidates are held to
	// the same before they serve. Nil: an answer of theirs need only be JSON.
	NewAnswer func() Answer
	// Notice takes what happens to plugins: that one is ready, was swapped, was refused. May be nil. It must not block.
	Notice func(Notice)
	// Records keeps what must be known after a restart; modules are kept beside, in DataDir/plugins/modules. One host at a
	// time may use them. Nil: nothing is known after Close.
	Records Records
	// Lifecycle bounds the versions that are kept; the zero value is [DefaultLifecycle].
	Lifecycle Lifecycle
}

// Host holds the plugins that serve and calls them. All its methods are safe for concurrent use.
type Host struct {
	deps      Deps
	reloading sync.Mutex             // serialises Reload
	mu        sync.Mutex             // serialises changes of what serves and of what is kept, and Close
	ledger    *ledger                // guarded by mu
	governed  map[string]bool        // plugins that are not this host's alone to change; guarded by mu
	prepared  map[*Prepared]struct{} // that are held; guarded by mu
	cur       atomic.Pointer[table]
	shadows   sync.WaitGroup // grows under mu only
	// compiling is held while a module is compiled that the cache does not know: one at a time.
	compiling sync.Mutex
	// scratch holds the memory of Authorize, *authScratch, and lists that of TransformAll, *chain.
	scratch, lists sync.Pool
	gate           gate
	crews          crews // of strategies that run
}

// table is the set of plugins that serves at one time. It is immutable; refs counts the host's own hold and the calls
// under way.
type table struct {
	refs    atomic.Int64
	closed  chan struct{}
	entries []entry
	hooks   [hookCount][]*entry // in configuration order
}

// entry is a version with its routing.
type entry struct {
	*version
	seat   *seat
	bind   []glob
	policy Policy
	config Config
}

// New loads all plugins of cfgs, each in the version that its record names or else as its files are. Where one cannot be
// loaded it returns the errors of all that cannot, each a *LoadError, and nothing stays open.
func New(cfgs Configs, deps Deps) (*Host, error) {
	if deps.Lifecycle == (Lifecycle{}) {
		deps.Lifecycle = DefaultLifecycle()
	}
	h := &Host{deps: deps, gate: newGate(), prepared: map[*Prepared]struct{}{}}
	var kept blobs = &memoryBlobs{modules: map[string][]byte{}}
	if deps.Records != nil {
		kept = dirBlobs(filepath.Join(deps.DataDir, "plugins", "modules"))
	}
	var err error
	if h.ledger, err = openLedger(deps.Records, kept, deps.Lifecycle.VersionsMax); err != nil {
		return nil, err
	}
	if err := h.reload(context.Background(), cfgs, HowStart, ""); err != nil {
		return nil, err
	}
	return h, nil
}

// Reload makes the plugins of cfgs ready aside and then lets them serve, all at once; when it returns, the calls that
// began on what served before have ended. A plugin whose module, config and limits are the same is kept with its
// instances, and so is a version that was made to serve since the plugin's files last changed. After an error everything
// is as it was.
func (h *Host) Reload(ctx context.Context, cfgs Configs) error {
	return h.ReloadBy(ctx, cfgs, HowReload, "")
}

// ReloadBy is [Host.Reload] with what is to be kept and told of new versions.
func (h *Host) ReloadBy(ctx context.Context, cfgs Configs, how How, who string) error {
	return h.reload(ctx, cfgs, how, who)
}

func newTable() *table {
	t := &table{closed: make(chan struct{})}
	t.refs.Store(1)
	return t
}

// add takes over a hold of v.
func (t *table) add(v *version, c Config, s *seat) {
	e := entry{version: v, seat: s, policy: c.OnError, config: c}
	for _, p := range c.Bind {
		e.bind = append(e.bind, newGlob(p))
	}
	t.entries = append(t.entries, e)
}

// index lists the entries of each hook, once no more are added.
func (t *table) index() {
	for i := range t.entries {
		e := &t.entries[i]
		for k := range hookCount {
			if e.has[k] {
				t.hooks[k] = append(t.hooks[k], e)
			}
		}
	}
}

// acquire takes hold of the table that serves, which the caller releases.
func (h *Host) acquire() (*table, error) {
	for {
		t := h.cur.Load()
		n := t.refs.Load()
		if n > 0 && t.refs.CompareAndSwap(n, n+1) {
			return t, nil
		}
		if n == 0 && h.cur.Load() == t {
			return nil, ErrClosed
		}
	}
}

func (t *table) release() {
	if t.refs.Add(-1) == 0 {
		close(t.closed)
	}
}

// Close lets go of all plugins and returns when the calls under way, and shadows, have ended. Later calls fail with [ErrClosed]. A
// [Strategy] that runs keeps its version until it is closed.
func (h *Host) Close() error {
	h.mu.Lock()
	t := h.cur.Load()
	select {
	case <-t.closed:
	default:
		for i := range t.entries {
			t.entries[i].seat.watch.overtaken(nil, ErrClosed)
		}
		t.retire()
	}
	h.mu.Unlock()
	h.abandonAll()
	h.shadows.Wait()
	return nil
}

// Answer reads what a plugin answers, and says whether that is one.
//
// Read is called on the goroutine that called the hook, at most once a call, while the plugin's instance is held: it must
// not block. Where several events are asked about in one call, that is the goroutine of one of them; and where such a call
// fails, Read is called again with what the plugin says to the event alone. doc is the guest's own memory, of at most out_kib and with any bytes at all in it; it must neither be changed
// nor be kept beyond Read. An error says what is wrong with doc and is a breach of the ABI by the plugin, with all that
// follows: a [Violation], the instance replaced, the breaker told.
type Answer interface {
	Read(doc []byte) error
}

// Fate is what becomes of an event in the chain of transform plugins.
type Fate uint8

// The fates.
const (
	NotMine  Fate = iota // every plugin bound to the event passed it on: the default applies
	Dropped              // a plugin said that nothing is to be sent
	Answered             // a plugin gave envelopes
)

// Decision is what becomes of an event, and which plugin decided that; with NotMine none did.
type Decision struct {
	Fate    Fate
	Plugin  string
	Version string
}

// Transform runs doc, a domain event, through the plugins bound to eventType until one decides. With Answered, answer has
// read what that plugin said, one envelope or an array of them as sdk/ABI.md describes, and found no fault. An error is a
// *CallError (or [ErrClosed]) and ends the chain: what the event becomes then is up to its Policy.
// It blocks for at most the fuel of the plugins asked and the wait for free instances.
func (h *Host) Transform(ctx context.Context, eventType string, doc []byte, answer Answer) (Decision, error) {
	t, err := h.acquire()
	if err != nil {
		return Decision{}, err
	}
	defer t.release()
	for _, e := range t.hooks[hookTransform] {
		if !matchAny(e.bind, eventType) {
			continue
		}
		kind, err := e.call(ctx, hookTransform, doc, answer)
		switch {
		case err != nil:
			return Decision{}, e.withPolicy(err)
		case kind == abi.No:
			return Decision{Dropped, e.cfg.Name, e.id}, nil
		case kind == abi.Data:
			return Decision{Answered, e.cfg.Name, e.id}, nil
		}
	}
	return Decision{}, nil
}

// withPolicy gives err the policy of this entry: the version may be shared with a table that has another.
func (e *entry) withPolicy(err error) error {
	var ce *CallError
	if errors.As(err, &ce) {
		ce.Policy = e.policy
	}
	return err
}

// Validate hands doc to the first validate plugin that is bound to the strategy of that name, "" where it has none, and returns
// its verdict, as sdk/ABI.md describes both. The error is a
// *CallError, [ErrNone] or [ErrClosed], and then nothing is known about doc: whoever asked is told to come again
// (PLUGIN_UNAVAILABLE), and not that it is at fault.
func (h *Host) Validate(ctx context.Context, name string, doc []byte) (Validation, error) {
	t, err := h.acquire()
	if err != nil {
		return Validation{}, err
	}
	defer t.release()
	i := slices.IndexFunc(t.hooks[hookValidate], func(e *entry) bool { return matchAny(e.bind, name) })
	if i < 0 {
		return Validation{}, fmt.Errorf("%w: none of kind validate is bound to %q", ErrNone, printable([]byte(name), nameBytesShown))
	}
	e := t.hooks[hookValidate][i]
	var v Validation
	switch kind, err := e.call(ctx, hookValidate, doc, &v); {
	case err != nil:
		return Validation{}, e.withPolicy(err)
	case kind == abi.Data:
		return v, nil
	default:
		return Validation{Valid: kind == abi.Yes}, nil
	}
}

// Info describes a plugin that serves.
type Info struct {
	Name    string
	Version string // twelve digits of the module's SHA-256 and, where it has a config, + and eight of the config's
	SHA256  string
	// ConfigSHA256 is empty where it has no config.
	ConfigSHA256 string
	Path         string
	Kinds        []Kind
	Bind         []string
	OnError      Policy
	Bytes        int
	Instances    int // that calls share; 0 where it only runs strategies, which have their own
	// Strategies is how many strategies run on the version, StrategiesBefore how many on versions that served before.
	Strategies, StrategiesBefore int
	Loaded                       time.Time
	Breaker                      string // closed, open or half_open
}

// List describes the plugins that serve, in configuration order. A closed host has none.
func (h *Host) List() []Info {
	t, err := h.acquire()
	if err != nil {
		return nil
	}
	defer t.release()
	out := make([]Info, 0, len(t.entries))
	for i := range t.entries {
		out = append(out, t.entries[i].info())
	}
	return out
}

func (e *entry) info() Info {
	info := Info{
		Name: e.cfg.Name, Version: e.id, SHA256: e.sums.Module, ConfigSHA256: e.sums.Config, Path: e.config.Path, Bind: e.config.Bind,
		OnError: e.policy, Bytes: e.size, Instances: e.cfg.Limits.Instances, Loaded: e.loaded, Breaker: e.breaker.state(),
	}
	for k := range hookCount {
		if e.has[k] && !slices.Contains(info.Kinds, k.kind()) {
			info.Kinds = append(info.Kinds, k.kind())
		}
	}
	if !e.pooled() {
		info.Instances = 0
	}
	info.Strategies, info.StrategiesBefore = e.host.crews.count(e.cfg.Name, e.version)
	return info
}

// Stats returns the counters of the plugins that serve, in configuration order. Counters start at zero with each
// version.
func (h *Host) Stats() []Stats {
	t, err := h.acquire()
	if err != nil {
		return nil
	}
	defer t.release()
	out := make([]Stats, 0, len(t.entries))
	for i := range t.entries {
		out = append(out, t.entries[i].stats())
	}
	return out
}
