package plugin

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero/experimental"

	"github.com/wse-engine/wse/engine/bounded"
	"github.com/wse-engine/wse/sdk/abi"
)

// crews counts the strategies that run, by the name of their plugin: a reload may drop a plugin while they run.
type crews struct {
	mu     sync.Mutex
	byName map[string]*crew // guarded by mu
}

// crew is the strategies that run on the versions of one plugin.
type crew struct {
	on     map[*version]int // guarded by crews.mu
	total  int              // guarded by crews.mu
	memory bounded.Count    // bytes of linear memory
	most   atomic.Int64     // bytes, of the version that was opened last
}

// join counts one more strategy on v. Where there is no room it says why, and counts none.
func (cs *crews) join(v *version) (_ *crew, full string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	name, limits := v.cfg.Name, &v.cfg.Limits
	c := cs.byName[name]
	if c == nil {
		c = &crew{on: map[*version]int{}}
		if cs.byName == nil {
			cs.byName = map[string]*crew{}
		}
		cs.byName[name] = c
	}
	most, first := int64(limits.StrategiesMiB)<<20, int64(0)
	if m := v.compiled.module.ExportedMemories()[abi.ExportMemory]; m != nil {
		first = int64(m.Min()) * pageBytes
	}
	switch {
	case c.total >= limits.StrategiesMax:
		return nil, fmt.Sprintf("%d strategies run already (strategies_max)", c.total)
	case c.memory.Load()+first > most:
		return nil, fmt.Sprintf("the memories of %d strategies take %d MiB already (strategies_mib)", c.total, c.memory.Load()>>20)
	}
	c.most.Store(most)
	c.on[v]++
	c.total++
	return c, ""
}

// pageBytes is a page of linear memory.
const pageBytes = 64 << 10

// leave takes a strategy off the count.
func (cs *crews) leave(c *crew, v *version) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c.total--
	if c.on[v]--; c.on[v] == 0 {
		delete(c.on, v)
	}
	if c.total == 0 && cs.byName[v.cfg.Name] == c {
		delete(cs.byName, v.cfg.Name)
	}
}

// count returns how many strategies of the plugin run on v, and how many on other versions.
func (cs *crews) count(name string, v *version) (on, elsewhere int) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c := cs.byName[name]; c != nil {
		on, elsewhere = c.on[v], c.total-c.on[v]
	}
	return on, elsewhere
}

// runs reports whether a strategy of the crew runs on v.
func (cs *crews) runs(c *crew, v *version) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return c.on[v] > 0
}

// dismissed tells when the last strategy on a version that serves no longer has ended. The caller still holds v.
func (h *Host) dismissed(c *crew, v *version) {
	if h.crews.runs(c, v) {
		return
	}
	if t, err := h.acquire(); err == nil {
		defer t.release()
		for i := range t.entries {
			if t.entries[i].version == v {
				return
			}
		}
		h.tell(Notice{Plugin: v.cfg.Name, Version: v.id, Text: "the last strategy on a version that serves no longer has ended"})
	}
}

// allocate is [allocate] for an instance of the crew: what its members have together is bounded.
func (c *crew) allocate(capacity, most uint64) experimental.LinearMemory {
	return &shared{LinearMemory: allocate(capacity, most), crew: c}
}

// shared is a memory that counts towards those of a crew.
type shared struct {
	experimental.LinearMemory
	crew *crew
	size int64
}

var _ experimental.LinearMemory = (*shared)(nil)

// Reallocate implements experimental.LinearMemory. What a memory begins with is always granted, since the runtime takes that for
// granted; whoever joins the crew asks before.
func (s *shared) Reallocate(size uint64) []byte {
	grown := int64(size) - s.size
	if s.size == 0 {
		s.crew.memory.Add(grown)
	} else if !s.crew.memory.Take(grown, s.crew.most.Load()) {
		return nil
	}
	buf := s.LinearMemory.Reallocate(size)
	if buf == nil {
		s.crew.memory.Add(-grown)
		return nil
	}
	s.size += grown
	return buf
}

// Free implements experimental.LinearMemory.
func (s *shared) Free() {
	s.crew.memory.Add(-s.size)
	s.size = 0
	s.LinearMemory.Free()
}
