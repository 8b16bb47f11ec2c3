package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Records is where a host keeps what it must know after a restart: one JSON document for each plugin, by its name. Calls
// block until what they wrote is safe on disk, and are serialised by the host.
type Records interface {
	// Each calls f with every document. Neither key nor value may be kept beyond f. An error of f ends it and is returned.
	Each(f func(key string, value []byte) error) error
	// Apply writes all changes or none; a nil value removes the document.
	Apply(changes map[string][]byte) error
}

// digests are those of a module and a config, in hexadecimal; Config is empty where there is none.
type digests struct {
	Module string `json:"module"`
	Config string `json:"config,omitempty"`
}

// history is what is kept of a plugin. It is immutable: with, served and prune return another.
type history struct {
	// Base is what the configuration's files were when they were last seen. While they are that, what was made to serve
	// since goes on serving; once they differ, they are the newest change.
	Base digests `json:"base"`
	// Served are the ids of versions in the order in which they came to serve; the last one does. Going back removes it.
	Served []string `json:"served"`
	// Versions are those that can serve again, newest first.
	Versions []keptVersion `json:"versions"`
}

// keptVersion is a version as it is kept; its module lies in a file named by its digest.
type keptVersion struct {
	ID     string    `json:"id"`
	Module string    `json:"module"` // SHA-256
	Bytes  int       `json:"bytes"`  // of the module
	Config string    `json:"config,omitempty"`
	Time   time.Time `json:"time"`
	Who    string    `json:"who,omitempty"`
	How    How       `json:"how"`
}

func (s *source) kept(how How, who string, now time.Time) keptVersion {
	return keptVersion{
		ID: s.id(), Module: s.digests().Module, Bytes: len(s.wasm), Config: string(s.json), Time: now.UTC().Round(0), Who: who, How: how,
	}
}

// config is what wse_configure is given; nil: nothing.
func (k *keptVersion) config() []byte {
	if k.Config == "" {
		return nil
	}
	return []byte(k.Config)
}

func (k *keptVersion) public(of *history) Kept {
	public := Kept{
		Version: k.ID, SHA256: k.Module, Bytes: k.Bytes, Time: k.Time, Who: k.Who, How: k.How, Serving: k.ID == of.serving(),
	}
	if k.Config != "" {
		public.ConfigSHA256 = hexSum([]byte(k.Config))
	}
	return public
}

// serving is the id of the version that serves.
func (p *history) serving() string { return p.fromEnd(1) }

// before is the id of the version that served before that, or "".
func (p *history) before() string { return p.fromEnd(2) }

func (p *history) fromEnd(n int) string {
	if len(p.Served) < n {
		return ""
	}
	return p.Served[len(p.Served)-n]
}

// find returns the kept version that id names or is the beginning of.
func (p *history) find(id string) (*keptVersion, error) {
	if p == nil {
		return nil, ErrUnknownVersion
	}
	var found []*keptVersion
	for i := range p.Versions {
		k := &p.Versions[i]
		if k.ID == id {
			return k, nil
		}
		if strings.HasPrefix(k.ID, id) {
			found = append(found, k)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("%w as %q: %d versions begin with it; give more of the one you mean", ErrUnknownVersion, id, len(found))
	}
	return nil, fmt.Errorf("%w as %q; kept are %s", ErrUnknownVersion, id, strings.Join(p.ids(), ", "))
}

func (p *history) ids() []string {
	ids := make([]string, len(p.Versions))
	for i := range p.Versions {
		ids[i] = p.Versions[i].ID
	}
	return ids
}

// with returns the history with k as its newest version. One that is kept already stays as it came about.
func (p *history) with(k keptVersion) *history {
	next := &history{Base: p.Base, Served: slices.Clone(p.Served), Versions: slices.Clone(p.Versions)}
	if i := slices.IndexFunc(next.Versions, func(o keptVersion) bool { return o.ID == k.ID }); i >= 0 {
		k = next.Versions[i]
		next.Versions = slices.Delete(next.Versions, i, i+1)
	}
	next.Versions = slices.Insert(next.Versions, 0, k)
	return next
}

// after returns the history once the version called id serves. A rollback to a version that served takes what served
// since out of the order; anything else is the next in it.
func (p *history) after(id string, how How) *history {
	next := &history{Base: p.Base, Served: slices.Clone(p.Served), Versions: p.Versions}
	if how == HowRollback {
		for i := len(next.Served) - 2; i >= 0; i-- {
			if next.Served[i] == id {
				next.Served = next.Served[:i+1]
				return next
			}
		}
	}
	if next.serving() != id {
		next.Served = append(next.Served, id)
	}
	return next
}

// prune returns the history with at most n versions, of which the serving one and the one before always are two, and
// without what is no longer kept in the order of serving.
func (p *history) prune(n int) *history {
	next := &history{Base: p.Base}
	must := []string{p.serving(), p.before()}
	spare := n
	for _, id := range slices.Compact(must) {
		if id != "" {
			spare--
		}
	}
	for i := range p.Versions {
		k := &p.Versions[i]
		if !slices.Contains(must, k.ID) {
			if spare <= 0 {
				continue
			}
			spare--
		}
		next.Versions = append(next.Versions, *k)
	}
	kept := next.ids()
	for _, id := range p.Served {
		if slices.Contains(kept, id) && next.serving() != id {
			next.Served = append(next.Served, id)
		}
	}
	if most := n + 1; len(next.Served) > most { // going to and fro between two would grow it
		next.Served = next.Served[len(next.Served)-most:]
	}
	return next
}

// check reports what a history from the disk lacks.
func (p *history) check() error {
	if p.serving() == "" {
		return errors.New("it names no version that serves")
	}
	for _, id := range p.Served {
		if !slices.Contains(p.ids(), id) {
			return fmt.Errorf("version %s is named and not kept", id)
		}
	}
	for i := range p.Versions {
		if !isDigest(p.Versions[i].Module) {
			return fmt.Errorf("version %s names no module", p.Versions[i].ID)
		}
	}
	return nil
}

// ledger is what is kept of all plugins. Host.mu is held whenever it is used, except by New.
type ledger struct {
	records Records // nil: nothing outlives the host
	blobs   blobs
	most    int
	plugins map[string]*history
}

// absentMax is how many plugins that the configuration no longer names are remembered, those changed last.
const absentMax = 16

func openLedger(records Records, b blobs, most int) (*ledger, error) {
	l := &ledger{records: records, blobs: b, most: most, plugins: map[string]*history{}}
	if records == nil {
		return l, nil
	}
	var errs []error
	err := records.Each(func(name string, doc []byte) error {
		p := &history{}
		err := json.Unmarshal(doc, p)
		if err == nil {
			err = p.check()
		}
		if err != nil {
			errs = append(errs, failed(name, StepRead, fmt.Errorf("the record of its versions is damaged: %w; %s", err, wayOut(name))))
		}
		l.plugins[name] = p
		return nil
	})
	return l, errors.Join(append(errs, err)...)
}

// wayOut says what to do about a record that cannot be followed.
func wayOut(name string) string {
	return fmt.Sprintf("repair data_dir, or run wse plugin forget %s, which drops what is kept of it so that the configuration's files serve", name)
}

// Forget drops what is kept of the plugin called name from the records of a host that is not open, so that the next one
// serves the configuration's files. It is the way out where a record or a module in it is damaged.
func Forget(records Records, name string) error {
	known := false
	err := records.Each(func(key string, _ []byte) error {
		known = known || key == name
		return nil
	})
	if err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("plugin/%s: %w", name, ErrUnknownPlugin)
	}
	return records.Apply(map[string][]byte{name: nil})
}

// put keeps next for the plugin called name, after the module that is new in it.
func (l *ledger) put(name string, next *history, s *source) error {
	return l.apply(map[string]*history{name: next}, []*source{s})
}

// apply keeps modules and then, all or none, what changed. Modules that nothing names any longer are removed. The error is
// a *LoadError of one of the plugins.
func (l *ledger) apply(changes map[string]*history, modules []*source) error {
	for _, s := range modules {
		if k, err := l.plugins[s.cfg.Name].find(s.id()); err == nil && (k.Module != s.digests().Module || k.Config != string(s.json)) {
			return failed(s.cfg.Name, StepKeep, fmt.Errorf("another version that is called %s is kept: two digests begin alike, or what is kept was changed; %s", k.ID, wayOut(s.cfg.Name)))
		}
		if err := l.blobs.put(s.digests().Module, s.wasm); err != nil {
			return failed(s.cfg.Name, StepKeep, err)
		}
	}
	docs := make(map[string][]byte, len(changes))
	for name, p := range changes {
		if p == nil {
			docs[name] = nil
			continue
		}
		p = p.prune(l.most)
		changes[name] = p
		doc, err := json.Marshal(p)
		if err != nil {
			return failed(name, StepKeep, err)
		}
		docs[name] = doc
	}
	if l.records != nil && len(docs) > 0 {
		if err := l.records.Apply(docs); err != nil {
			return failed(slices.Min(slices.Collect(maps.Keys(docs))), StepKeep, err)
		}
	}
	for name, p := range changes {
		if l.plugins[name] = p; p == nil {
			delete(l.plugins, name)
		}
	}
	l.blobs.retain(l.modules())
	return nil
}

// modules are the digests that a kept version has.
func (l *ledger) modules() map[string]bool {
	named := map[string]bool{}
	for _, p := range l.plugins {
		for i := range p.Versions {
			named[p.Versions[i].Module] = true
		}
	}
	return named
}

// surplus are the plugins to forget where only those called present are configured.
func (l *ledger) surplus(present map[string]bool) []string {
	var absent []string
	for name := range l.plugins {
		if !present[name] {
			absent = append(absent, name)
		}
	}
	if len(absent) <= absentMax {
		return nil
	}
	slices.SortFunc(absent, func(a, b string) int { return l.plugins[b].changed().Compare(l.plugins[a].changed()) })
	return absent[absentMax:]
}

// changed is when the newest version came.
func (p *history) changed() time.Time {
	if len(p.Versions) == 0 {
		return time.Time{}
	}
	return p.Versions[0].Time
}
