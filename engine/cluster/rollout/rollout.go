package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/redis"
)

// Bus asks the nodes of the cluster; [cluster.Node] has the contract.
type Bus interface {
	ID() string
	Handle(subject string, f func(ctx context.Context, from string, body []byte) ([]byte, error))
	Ask(ctx context.Context, subject string, body []byte) ([]cluster.Answer, error)
}

var _ Bus = (*cluster.Node)(nil)

// Deps is what a rollout works with.
type Deps struct {
	Host   *plugin.Host
	Bus    Bus
	Client *redis.Client
	// Alive lists the nodes, so that those with other versions are noticed, and a change need not wait for one that a dead node began;
	// nil: neither.
	Alive func(ctx context.Context) ([]cluster.Info, error)
	// VersionsMax is how many versions the cluster keeps of a plugin to go back to.
	VersionsMax int
	Log         hclog.Logger // nil: nothing is logged
}

// Rollout has this node serve what the cluster wants, and makes changes for all nodes.
type Rollout struct {
	cfg   Config
	deps  Deps
	host  *plugin.Host
	shelf shelf
	log   hclog.Logger
	nudge chan struct{} // holds one: look now

	work    sync.WaitGroup // preparations; grows under mu while ctx is set
	figures figures
	differ  differences // belongs to the goroutine that looks

	mu     sync.Mutex
	ctx    context.Context   // of Run; nil: it does not run; guarded by mu
	known  map[string]record // the newest of each plugin; guarded by mu
	faults map[string]fault  // why a plugin does not serve what is wanted; guarded by mu
	looked time.Time         // when what the cluster wants was last read; guarded by mu
	failed error             // why it could not be read since; guarded by mu
	seen   chan struct{}     // closed behind each look, and another one made; guarded by mu
	task   *task             // what is prepared; nil: nothing; guarded by mu
}

// fault is why a plugin does not serve what is wanted.
type fault struct {
	number int64 // of the record
	err    error
	wait   time.Duration // before the next attempt
	after  time.Time     // when that is
}

// New checks cfg and registers with the bus, whose Run comes after. It connects to nothing.
func New(cfg Config, deps Deps) (*Rollout, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Host == nil || deps.Bus == nil || deps.Client == nil || deps.VersionsMax < 1 {
		return nil, errors.New("rollout: needs a plugin host, a bus, a client of Redis, and at least one version to keep")
	}
	r := &Rollout{
		cfg: cfg, deps: deps, host: deps.Host, shelf: newShelf(deps.Client), log: deps.Log, nudge: make(chan struct{}, 1),
		known: make(map[string]record), faults: make(map[string]fault), seen: make(chan struct{}),
		differ: differences{told: make(map[string]string)},
	}
	if r.log == nil {
		r.log = hclog.NewNullLogger()
	}
	deps.Bus.Handle(subjectPrepare, r.onPrepare)
	deps.Bus.Handle(subjectAbandon, r.onAbandon)
	deps.Bus.Handle(subjectFollow, r.onFollow)
	return r, nil
}

// Run has the node follow what the cluster wants until ctx ends. It is called once.
func (r *Rollout) Run(ctx context.Context) error {
	r.mu.Lock()
	r.ctx = ctx
	r.mu.Unlock()
	ticker := time.NewTicker(r.cfg.CheckInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		r.look(ctx)
		r.compare(ctx)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-r.nudge:
		}
	}
	r.mu.Lock()
	r.ctx = nil
	t := r.task
	r.task = nil
	r.mu.Unlock()
	r.work.Wait()
	t.abandon()
	r.host.Govern(nil)
	return nil
}

// Ready returns nil while the node serves what the cluster wants, else the reason why not.
func (r *Rollout) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if since := time.Since(r.looked); r.looked.IsZero() || since > checksMissed*r.cfg.CheckInterval {
		text := "which versions of its plugins the cluster wants was not read yet"
		if !r.looked.IsZero() {
			text = fmt.Sprintf("which versions of its plugins the cluster wants was last read %v ago", since.Truncate(time.Millisecond))
		}
		if r.failed != nil {
			return fmt.Errorf("%s: %w", text, r.failed)
		}
		return errors.New(text)
	}
	for _, name := range slices.Sorted(maps.Keys(r.faults)) {
		return fmt.Errorf("plugin/%s: %w", name, r.faults[name].err)
	}
	return nil
}

// look reads what the cluster wants and has the host follow it.
func (r *Rollout) look(ctx context.Context) {
	err := r.read(ctx)
	if err == nil {
		for _, name := range r.behind() {
			r.adopt(ctx, name)
		}
	}
	r.mu.Lock()
	if ctx.Err() == nil && (err == nil) != (r.failed == nil) {
		if err != nil {
			r.log.Warn("which versions of its plugins the cluster wants cannot be read", "error", err)
		} else {
			r.log.Info("which versions of its plugins the cluster wants can be read again")
		}
	}
	r.failed = err
	close(r.seen)
	r.seen = make(chan struct{})
	r.mu.Unlock()
}

// read takes what Redis has, and gives it back what it has lost.
func (r *Rollout) read(ctx context.Context) error {
	before := r.snapshot()
	var blobs []string
	owner := make(map[string]string) // plugin by blob
	for name, rec := range before {
		if v := rec.wanted(); v != nil {
			for _, key := range v.blobs(name) {
				blobs, owner[key] = append(blobs, key), name
			}
		}
	}
	records, faults, there, err := r.shelf.read(ctx, blobs)
	if err != nil {
		return err
	}
	lost := make(map[string]bool)
	for i, key := range blobs {
		// The bytes of a record that was overtaken may be gone for good.
		if now, ok := records[owner[key]]; !there[i] && (!ok || now.Number <= before[owner[key]].Number) {
			lost[owner[key]] = true
		}
	}
	for name, rec := range before {
		if now, ok := records[name]; !ok || now.Number < rec.Number { // also where it is damaged
			lost[name] = true
		}
	}
	for name := range lost {
		r.restore(ctx, name, before[name])
	}
	r.take(records, faults)
	return nil
}

func (r *Rollout) snapshot() map[string]record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.known)
}

// take makes records those that are known, and notes what is wrong with others.
func (r *Rollout) take(records map[string]record, damaged map[string]error) {
	serving := r.serving()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looked = time.Now()
	for name, rec := range records {
		if rec.Number > r.known[name].Number || rec.Number == r.known[name].Number && rec.Change != r.known[name].Change {
			r.known[name] = rec
			delete(r.faults, name)
		}
	}
	for name, err := range damaged {
		r.faults[name] = fault{err: err}
	}
	for name, f := range r.faults {
		if f.number == 0 && damaged[name] == nil { // it was mended
			delete(r.faults, name)
		}
	}
	_ = r.lagging(serving) // so that the node is not ready for a moment, with what it does not serve yet
	r.govern()
}

// learn makes a record known that this node made: should Redis lose it now, it is put back.
func (r *Rollout) learn(name string, rec *record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec.Number > r.known[name].Number {
		r.known[name] = *rec
		delete(r.faults, name)
	}
	r.govern()
}

// govern tells the host which plugins are not its own. r.mu is held.
func (r *Rollout) govern() {
	var governed []string
	for name, rec := range r.known {
		if rec.wanted() != nil {
			governed = append(governed, name)
		}
	}
	r.host.Govern(governed)
}

// restore puts back what Redis has lost of a plugin, as far as this node has it.
func (r *Rollout) restore(ctx context.Context, name string, rec record) {
	var bundles []plugin.Bundle
	for i := range rec.Versions {
		v := &rec.Versions[i]
		b, err := r.local(name, v)
		if err == nil {
			bundles = append(bundles, b)
		} else if v == rec.wanted() {
			return // who serves it can
		}
	}
	put, err := r.shelf.restore(ctx, name, &rec, bundles)
	if err != nil {
		r.log.Warn("Redis has lost what the cluster wants of a plugin, and it could not be put back; it is tried again", "plugin", name, "error", err)
		return
	}
	if put > 0 {
		r.figures.restored.Add(1)
		r.log.Warn("Redis had lost what the cluster wants of a plugin; it was put back", "plugin", name, "number", rec.Number)
	}
}

// local returns a version's bytes where the host keeps them.
func (r *Rollout) local(name string, v *version) (plugin.Bundle, error) {
	b, err := r.host.Bundle(name, plugin.Candidate{Version: v.Version})
	if err == nil && (b.SHA256 != v.Module || b.ConfigSHA256 != v.Config) {
		err = fmt.Errorf("plugin/%s: %w", name, plugin.ErrUnknownVersion)
	}
	return b, err
}

// behind lists the plugins that do not serve what is wanted and are to be tried now, what is held already first, and forgets the
// faults of those that do.
func (r *Rollout) behind() []string {
	serving := r.serving()
	r.mu.Lock()
	defer r.mu.Unlock()
	names := r.lagging(serving)
	slices.SortFunc(names, func(a, b string) int {
		if t := r.task; t != nil && (t.ask.Plugin == a) != (t.ask.Plugin == b) {
			if t.ask.Plugin == a {
				return -1
			}
			return 1
		}
		if a < b {
			return -1
		}
		return 1
	})
	return names
}

// lagging lists in no order what [Rollout.behind] does, and notes that it does not serve. r.mu is held.
func (r *Rollout) lagging(serving map[string]plugin.Info) (names []string) {
	now := time.Now()
	for name, rec := range r.known {
		v, f := rec.wanted(), r.faults[name]
		if p, ok := serving[name]; v == nil || ok && v.servedBy(&p) {
			if f.number != 0 {
				delete(r.faults, name)
			}
			continue
		}
		if f.number != rec.Number || !now.Before(f.after) {
			names = append(names, name)
		}
		if held := r.task != nil && r.task.ask.Change == rec.Change; f.number != rec.Number && !held { // what is held serves at once
			r.faults[name] = fault{number: rec.Number, err: fmt.Errorf("%s, which the cluster wants, is being made ready", v.Version)}
		}
	}
	return names
}

// serving returns what serves, by name.
func (r *Rollout) serving() map[string]plugin.Info {
	serving := make(map[string]plugin.Info)
	for _, p := range r.host.List() {
		serving[p.Name] = p
	}
	return serving
}

// A plugin that cannot serve what is wanted is tried again after retryFirst, then after twice as long each time up to retryMost.
const (
	retryFirst = time.Second
	retryMost  = time.Minute
)

// adopt has a plugin serve what is wanted, or notes why it cannot.
func (r *Rollout) adopt(ctx context.Context, name string) {
	r.mu.Lock()
	rec := r.known[name]
	r.mu.Unlock()
	err := r.follow(ctx, name, &rec)
	if errors.Is(err, plugin.ErrChanged) || errors.Is(err, plugin.ErrNotHeld) { // what was held is of no use: make it anew
		err = r.follow(ctx, name, &rec)
	}
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.faults, name)
		r.figures.followed.Add(1)
		return
	}
	f := r.faults[name]
	if errors.Is(err, plugin.ErrUnknownPlugin) {
		err = errors.New("the configuration here does not name it: name it, or let each node go by its own files (wse plugin forget NAME --cluster)")
	}
	f = fault{number: rec.Number, wait: min(max(2*f.wait, retryFirst), retryMost),
		err: fmt.Errorf("%s, which the cluster wants, does not serve: %w", rec.wanted().Version, err)}
	f.after = time.Now().Add(f.wait)
	r.faults[name] = f
	r.figures.failed.Add(1)
	r.log.Error("a plugin does not serve what the cluster wants; this node is not ready", "plugin", name, "wanted", rec.wanted().Version,
		"change", rec.Change, "again", f.wait, "error", err)
}

// follow lets the wanted version serve: the one that is held, or one that is made ready now.
func (r *Rollout) follow(ctx context.Context, name string, rec *record) error {
	v := rec.wanted()
	held := r.claimTask(ctx, rec.Change)
	if held == nil {
		b, err := r.local(name, v)
		if err != nil {
			if b, err = r.shelf.fetch(ctx, name, v); err != nil {
				return err
			}
		}
		if held, err = r.host.Prepare(ctx, name, b, r.cfg.lease()); err != nil {
			return err
		}
	}
	how := plugin.HowCluster
	if rec.How == plugin.HowRollback {
		how = plugin.HowRollback
	}
	c, err := held.Commit(how, rec.Who)
	if err == nil {
		r.log.Info("a plugin serves what the cluster wants", "plugin", name, "version", c.To, "from", c.From, "change", rec.Change, "node", rec.Node)
	}
	return err
}

// wake has the node look at once.
func (r *Rollout) wake() {
	select {
	case r.nudge <- struct{}{}:
	default: // it is about to look anyway
	}
}
