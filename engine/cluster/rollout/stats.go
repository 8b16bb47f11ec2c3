package rollout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/plugin"
)

type figures struct {
	changed, refused, unknown, followed, failed, restored atomic.Uint64
	differing                                             atomic.Pointer[map[string]int]
}

// Stats are the figures of this node. Those that do not say "now" count from its start.
type Stats struct {
	Changed   uint64         // changes that this node made for all
	Refused   uint64         // changes that it was asked for and were not made
	Unknown   uint64         // changes of which Redis did not say whether they were made
	Followed  uint64         // times that a plugin here came to serve what the cluster wants
	Failed    uint64         // times that it could not
	Restored  uint64         // times that something was put back into Redis that it had lost
	Wanted    []Wanted       // now: plugins that are governed, by name
	Differing map[string]int // now: nodes that serve another version than this one, or have no such plugin, by plugin
}

// Wanted is what the cluster wants of a plugin.
type Wanted struct {
	Plugin  string
	Version string
	Serves  bool   // here
	Reason  string // why it does not serve here
	Since   time.Time
	How     plugin.How
	Who     string
	Change  string
	Before  []string // versions that can be gone back to, the latest first
}

// Stats returns the figures of now.
func (r *Rollout) Stats() Stats {
	f := &r.figures
	s := Stats{
		Changed: f.changed.Load(), Refused: f.refused.Load(), Unknown: f.unknown.Load(), Followed: f.followed.Load(), Failed: f.failed.Load(),
		Restored: f.restored.Load(), Differing: map[string]int{},
	}
	if d := f.differing.Load(); d != nil {
		s.Differing = *d
	}
	r.mu.Lock()
	names := slices.Sorted(maps.Keys(r.known))
	r.mu.Unlock()
	for _, name := range names {
		if w, ok := r.Wanted(name); ok {
			s.Wanted = append(s.Wanted, w)
		}
	}
	return s
}

// Wanted returns what the cluster wants of a plugin, as this node knows; ok is false where it wants nothing in particular.
func (r *Rollout) Wanted(name string) (w Wanted, ok bool) {
	p, there := r.serving()[name]
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.known[name]
	v := rec.wanted()
	if v == nil {
		return w, false
	}
	w = Wanted{
		Plugin: name, Version: v.Version, Serves: there && v.servedBy(&p), Since: rec.time(), How: rec.How, Who: rec.Who, Change: rec.Change,
	}
	if f, ok := r.faults[name]; ok && !w.Serves {
		w.Reason = f.err.Error()
	}
	for i := len(rec.Versions) - 2; i >= 0; i-- {
		w.Before = append(w.Before, rec.Versions[i].Version)
	}
	return w, true
}

// AboutPrefix is what the names of plugins begin with in what nodes tell of themselves, see [Describe]. What begins with it is to be
// the same on all nodes.
const AboutPrefix = "plugin:"

// Describe is what a node tells the others of its plugins, with each beat: their versions.
func Describe(plugins []plugin.Info) map[string]string {
	about := make(map[string]string, len(plugins))
	for i := range plugins {
		about[AboutPrefix+plugins[i].Name] = plugins[i].Version
	}
	return about
}

// differences is who serves what, where that is not the same on all nodes.
type differences struct {
	looked time.Time
	seen   map[string]string // text by plugin, when last looked
	told   map[string]string // likewise, in the log
}

// compareEvery is how many checks go by from one comparison of all nodes to the next.
const compareEvery = 5

// compare notices nodes that serve other versions than this one. What is seen twice in a row is told: while nodes switch they differ.
func (r *Rollout) compare(ctx context.Context) {
	d := &r.differ
	if r.deps.Alive == nil || time.Since(d.looked) < compareEvery*r.cfg.CheckInterval {
		return
	}
	d.looked = time.Now()
	nodes, err := r.deps.Alive(ctx)
	if err != nil {
		return // who asks for the nodes is told
	}
	differing, texts := r.differing(nodes)
	r.figures.differing.Store(&differing)
	for name, text := range texts {
		if d.seen[name] == text && d.told[name] != text {
			d.told[name] = text
			r.log.Warn("nodes serve different versions of a plugin", "plugin", name, "versions", text)
		}
	}
	for name := range d.told {
		if texts[name] == "" {
			delete(d.told, name)
			r.log.Info("all nodes serve the same version of a plugin again", "plugin", name)
		}
	}
	d.seen = texts
}

// differing counts the nodes that differ from this one, by plugin, and says which serve what.
func (r *Rollout) differing(nodes []cluster.Info) (counts map[string]int, texts map[string]string) {
	own := Describe(r.host.List())
	self := r.deps.Bus.ID()
	counts, texts = make(map[string]int), make(map[string]string)
	names := make(map[string]bool)
	for key := range own {
		names[key] = true
	}
	for i := range nodes {
		for key := range nodes[i].About {
			if strings.HasPrefix(key, AboutPrefix) {
				names[key] = true
			}
		}
	}
	for key := range names {
		by := map[string][]string{own[key]: {self}}
		differ := 0
		for i := range nodes {
			n := &nodes[i]
			if n.ID == self || len(n.About) == 0 { // it has not told yet
				continue
			}
			if by[n.About[key]] = append(by[n.About[key]], n.ID); n.About[key] != own[key] {
				differ++
			}
		}
		if name := strings.TrimPrefix(key, AboutPrefix); differ > 0 {
			counts[name], texts[name] = differ, versionsText(by)
		}
	}
	return counts, texts
}

func versionsText(by map[string][]string) string {
	var parts []string
	for _, v := range slices.Sorted(maps.Keys(by)) {
		what := v
		if v == "" {
			what = "none"
		}
		slices.Sort(by[v])
		parts = append(parts, fmt.Sprintf("%s on %s", what, strings.Join(by[v], ", ")))
	}
	return strings.Join(parts, "; ")
}
