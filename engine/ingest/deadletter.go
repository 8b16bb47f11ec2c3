package ingest

import (
	"sync"
	"sync/atomic"
	"time"
)

// How much of a failed event and of the reason is kept.
const (
	deadLetterBytes = 512
	reasonBytes     = 2048
)

// DeadLetter is an event that a plugin failed on.
type DeadLetter struct {
	Time     time.Time
	ID       string // the event's, or one made for it
	Event    string // its type
	Plugin   string
	Version  string
	Reason   string
	Document string // the first 512 bytes of what the plugin was given
	Bytes    int    // of all of it
}

// letters is a ring of the newest dead letters.
type letters struct {
	most int // immutable

	mu   sync.Mutex
	ring []DeadLetter // guarded by mu
	next int          // guarded by mu; where the next one goes, once the ring is full
}

func (l *letters) add(d DeadLetter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.most == 0:
	case len(l.ring) < l.most:
		l.ring = append(l.ring, d)
	default:
		l.ring[l.next] = d
		l.next = (l.next + 1) % l.most
	}
}

// DeadLetters returns the newest dead letters, newest first, at most limit of them.
func (in *Ingest) DeadLetters(limit int) []DeadLetter {
	l := &in.letters
	l.mu.Lock()
	defer l.mu.Unlock()
	n := max(0, min(limit, len(l.ring)))
	out := make([]DeadLetter, n)
	for i := range out {
		out[i] = l.ring[(l.next+2*len(l.ring)-1-i)%len(l.ring)]
	}
	return out
}

type counters struct {
	status             [Statuses]atomic.Uint64
	refused, defaulted atomic.Uint64
}

// Stats counts what was handed in since the process began.
type Stats struct {
	Published, Duplicates uint64 // envelopes
	Dropped, DeadLettered uint64 // events
	Refused               uint64 // events and envelopes that were answered with an error
	Defaulted             uint64 // events that no plugin took
}

// Stats returns the counters.
func (in *Ingest) Stats() Stats {
	c := &in.counters
	return Stats{
		Published: c.status[Published].Load(), Duplicates: c.status[Duplicate].Load(),
		Dropped: c.status[Dropped].Load(), DeadLettered: c.status[DeadLettered].Load(),
		Refused: c.refused.Load(), Defaulted: c.defaulted.Load(),
	}
}
