package ingest

import "sync/atomic"

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
