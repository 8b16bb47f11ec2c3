package router

import (
	"hash/maphash"
	"slices"
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

// hash returns what stands for id.
func (f *filter) hash(id string) uint64 { return maphash.String(f.seed, id) }

// has reports whether an id is among the last ids.
func (f *filter) has(hash uint64) bool { return slices.Contains(f.ring, hash) }

// add remembers an id.
func (f *filter) add(hash uint64) {
	if len(f.ring) < f.max {
		f.ring = append(f.ring, hash)
		return
	}
	f.ring[f.next] = hash
	f.next = (f.next + 1) % f.max
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
