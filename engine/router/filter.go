package router

import (
	"hash/maphash"
	"time"
)

// filter remembers the last ids of a connection as 64-bit keyed hashes: 8 bytes an id, and a client cannot make two ids
// collide on purpose. It is allocated at the first request with an id and grows as they come.
type filter struct {
	seed maphash.Seed
	ring []uint64
	next int // where the next id goes once the ring is full
	max  int
}

func newFilter(idsMax int) *filter {
	return &filter{seed: maphash.MakeSeed(), max: idsMax}
}

// seen reports whether id is among the last ids, and remembers it.
func (f *filter) seen(id string) bool {
	h := maphash.String(f.seed, id)
	for _, known := range f.ring {
		if known == h {
			return true
		}
	}
	if len(f.ring) < f.max {
		f.ring = append(f.ring, h)
		return false
	}
	f.ring[f.next] = h
	f.next = (f.next + 1) % f.max
	return false
}

// flood counts bad messages within a minute.
type flood struct {
	since uint32 // Unix seconds of the minute's start
	n     uint32
}

// count adds one and reports whether there are now more than limit within the minute.
func (f *flood) count(limit int, now time.Time) bool {
	if t := uint32(now.Unix()); t-f.since >= 60 {
		f.since, f.n = t, 0
	}
	f.n++
	return int(f.n) > limit
}
