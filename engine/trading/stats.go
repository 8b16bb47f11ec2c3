package trading

import "sync/atomic"

// counts are what happened since the start.
type counts struct {
	started, failed, skipped, unwritten, unpublished, reportsBad, rereads atomic.Uint64
}

// Stats are figures for the operator.
type Stats struct {
	Sessions       map[string]int // that run, by type
	Watches        int            // strategies that watch a symbol without a session
	Kept           int            // sessions that ended and can be asked about
	Unsynced       int            // sessions of which something is not on disk yet
	Started        uint64
	Failed         uint64 // ended by an error
	TicksInvalid   uint64 // publications of a market's topic that were no ticks
	TicksDropped   uint64 // for which a session that runs had no room
	TicksSkipped   uint64 // while their session was paused
	CheckpointsBad uint64 // writes that failed and were tried again
	Unpublished    uint64 // what sessions had to say and could not be published
	ReportsBad     uint64 // reports of executions that could not be booked
	Interruptions  uint64 // of markets: ticks were published that could not be heard
	Rereads        uint64 // of order events, for reports that a session may have missed
}

// Stats returns them.
func (t *Trading) Stats() Stats {
	out := Stats{
		Sessions: map[string]int{backtest: 0, paper: 0, live: 0}, Started: t.counts.started.Load(), Failed: t.counts.failed.Load(),
		TicksInvalid: t.quotes.invalid.Load(), TicksSkipped: t.counts.skipped.Load(), CheckpointsBad: t.counts.unwritten.Load(),
		Unpublished: t.counts.unpublished.Load(), ReportsBad: t.counts.reportsBad.Load(),
		Interruptions: t.quotes.interruptions.Load(), Rereads: t.counts.rereads.Load(),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.sessions {
		out.Sessions[s.plan.kind]++
		if s.inbox != nil {
			out.TicksDropped += s.inbox.lost()
		}
	}
	unsynced := map[string]bool{}
	for _, s := range t.sessions {
		unsynced[s.id] = s.inbox != nil && s.inbox.holds() || s.changed.Load()
	}
	for _, waiting := range []map[string][]byte{t.dirty, t.writing} {
		for id := range waiting {
			unsynced[id] = true
		}
	}
	for _, one := range unsynced {
		if one {
			out.Unsynced++
		}
	}
	out.Watches = len(t.watches)
	out.Kept = t.ended.len()
	return out
}
