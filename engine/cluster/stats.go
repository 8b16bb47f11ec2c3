package cluster

import (
	"sync/atomic"
	"time"
)

// Stats are the node's figures. Those that do not say "now" count from its start.
type Stats struct {
	Alive       int           // now: nodes, as of the last beat; 0: there was none
	BeatAgo     time.Duration // now: since the last beat that Redis took, by this node's clock; 0: there was none
	Beats       uint64
	BeatsFailed uint64
	Deaths      uint64 // of other nodes, that were told of
	Returned    uint64 // times that others may have taken this one for dead
	Reconnects  uint64 // of the connection that hears the bus
	Asked       uint64 // questions of this node
	AskedAgain  uint64 // times that one node was asked again
	Answered    uint64 // answers of others that came in time
	Silent      uint64 // answers that did not
	Handled     uint64 // questions of others
	Refused     uint64 // questions of others that came while handlers_max were at work
	Malformed   uint64 // what came on the bus and was not a node's
}

type figures struct {
	alive                                                 atomic.Int64
	beats, beatsFailed, deaths, returned, reconnects      atomic.Uint64
	asked, askedAgain, answered, silent, handled, refused atomic.Uint64
	malformed                                             atomic.Uint64
}

// Stats returns the figures of now.
func (n *Node) Stats() Stats {
	f := &n.figures
	s := Stats{
		Alive: int(f.alive.Load()), Beats: f.beats.Load(), BeatsFailed: f.beatsFailed.Load(), Deaths: f.deaths.Load(),
		Returned: f.returned.Load(), Reconnects: f.reconnects.Load(), Asked: f.asked.Load(), AskedAgain: f.askedAgain.Load(),
		Answered: f.answered.Load(), Silent: f.silent.Load(), Handled: f.handled.Load(), Refused: f.refused.Load(), Malformed: f.malformed.Load(),
	}
	if at := n.lastBeat.Load(); at != nil {
		s.BeatAgo = time.Since(*at)
	}
	return s
}
