package intake

import (
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/ingest"
)

// Stats tells what this node took in since the process began. What is pending and behind is known to who reads the stream.
type Stats struct {
	Streams []StreamStats     `json:"streams"`
	Ingress IngressStats      `json:"ingress"`
	Letters map[string]uint64 `json:"letters"` // dead letters that this node kept, by channel; those of more than 100 channels as _other
}

// StreamStats are the figures of one stream.
type StreamStats struct {
	Stream       string        `json:"stream"`
	Reading      bool          `json:"reading"`       // now: this node has the lease
	LeaseChanges uint64        `json:"lease_changes"` // turns that this node had
	Consumed     uint64        `json:"consumed"`      // entries, those that came again counted again
	Claims       uint64        `json:"claims"`        // entries that another reader had begun
	Published    uint64        `json:"published"`     // envelopes
	Duplicates   uint64        `json:"duplicates"`    // envelopes that had been published before
	Dropped      uint64        `json:"dropped"`       // events that a plugin dropped
	DeadLetters  uint64        `json:"dead_letters"`  // entries, those that a plugin failed on included
	Retries      uint64        `json:"retries"`       // times that nothing could be published
	Pending      int64         `json:"pending"`       // entries read and not done, as of the last look
	Lag          int64         `json:"lag"`           // entries not read, as of the last look; -1: Redis does not tell (before 7.0)
	Behind       time.Duration `json:"behind_ns"`     // age of the oldest entry that is not done
}

// IngressStats are the figures of what foreign programs publish.
type IngressStats struct {
	Hearing      bool   `json:"hearing"`       // now: this node has the lease
	LeaseChanges uint64 `json:"lease_changes"` // turns that this node had
	Passed       uint64 `json:"passed"`        // publications of nodes, passed over
	Heard        uint64 `json:"heard"`         // publications of foreign programs
	Published    uint64 `json:"published"`     // envelopes
	Duplicates   uint64 `json:"duplicates"`    // envelopes that had been published before
	Dropped      uint64 `json:"dropped"`       // events that a plugin dropped
	DeadLetters  uint64 `json:"dead_letters"`  // what could not be taken
	Retries      uint64 `json:"retries"`       // times that nothing could be published
	Fenced       uint64 `json:"fenced"`        // publications refused because the turn was over
	Lost         uint64 `json:"lost"`          // publications heard, and given up with the turn
	Interrupted  uint64 `json:"interrupted"`   // times that hearing was interrupted, so that something may have been missed
}

// streamCounters count for one stream.
type streamCounters struct {
	consumed, claims, letters, retries atomic.Uint64
	status                             [ingest.Statuses]atomic.Uint64
}

// add counts what became of an event.
func (c *streamCounters) add(results []ingest.Result) {
	for _, r := range results {
		c.status[r.Status].Add(1)
	}
}

func (s *stream) stats() StreamStats {
	c := &s.counts
	s.mu.Lock()
	defer s.mu.Unlock()
	return StreamStats{
		Stream: s.name, Reading: s.lease.held.Load(), LeaseChanges: s.lease.changes.Load(),
		Consumed: c.consumed.Load(), Claims: c.claims.Load(), Retries: c.retries.Load(),
		Published: c.status[ingest.Published].Load(), Duplicates: c.status[ingest.Duplicate].Load(), Dropped: c.status[ingest.Dropped].Load(),
		DeadLetters: c.letters.Load() + c.status[ingest.DeadLettered].Load(),
		Pending:     s.behind.pending, Lag: s.behind.lag, Behind: s.behind.age,
	}
}

// Stats returns the figures. It does not block.
func (i *Intake) Stats() Stats {
	s := Stats{Letters: i.letters.byChannel()}
	for _, one := range i.streams {
		s.Streams = append(s.Streams, one.stats())
	}
	if i.ingress != nil {
		s.Ingress = i.ingress.stats()
	}
	return s
}
