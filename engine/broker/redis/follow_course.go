package redis

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync/atomic"

	"github.com/wse-engine/wse/engine/bounded"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// place is where a topic's numbering stands. Unlike a broker.Position it has its epoch also where the topic keeps no history.
type place struct {
	epoch message.Epoch
	seq   uint64
}

// publication is a numbered one as a channel brought it, not yet decoded: most that are dropped never are.
type publication struct {
	place
	raw   string
	stamp uint64 // counts what the course heard
}

// inquiry is what a course has to know before it can go on; a later one answers the earlier ones too.
type inquiry uint8

const (
	nothing inquiry = iota
	look            // where the topic stands
	fill            // what follows the last publication
	truth           // delivered publications whose number another one claimed, again, and what follows
	anew            // what there is
)

// question is an inquiry under way, with what the course knew when it was put.
type question struct {
	inquiry
	from   place
	known  bool
	doubts []doubt
	stamp  uint64
	onWay  bool // what is missing may be on its way by another connection
}

// doubt is a delivered publication whose number another one claimed later.
type doubt struct {
	seq uint64
	id  string
}

// doubtsMax is how many doubts of a topic are gone into one by one: with more, what is read is all that there is.
const doubtsMax = 16

// query is what to read of the topic's history for q.
func (q *question) query() broker.Query {
	out := broker.Query{Snapshots: true, Limit: -1}
	if q.inquiry == anew {
		return out
	}
	out.Recover, out.After = true, broker.Position{Epoch: q.from.epoch, Offset: q.from.seq}
	for _, d := range q.doubts {
		out.After.Offset = min(out.After.Offset, d.seq-1)
	}
	return out
}

// outlet takes what a course lets through, in order.
type outlet interface {
	decode(raw string) (*message.Envelope, error)
	deliver(env *message.Envelope)
	restart(h broker.History)
}

// tally counts for all courses of a node, and bounds what they hold.
type tally struct {
	heldBytesMax int64
	heldBytes    bounded.Count // held now
	held         atomic.Int64  // publications held now

	delivered atomic.Uint64 // from channels, not from the history
	fills     atomic.Uint64 // gaps that the history closed
	filled    atomic.Uint64 // publications that came from the history
	restarts  atomic.Uint64
	conflicts atomic.Uint64 // two publications with one number, and numbers that the topic has not reached
	malformed atomic.Uint64 // numbered like ours, but not to be decoded
	overflows atomic.Uint64 // publications not held for lack of room, to be read again
}

// course is what this node knows of a topic that it follows, and decides what becomes of everything that is heard of it: what
// follows the last publication is delivered, what was delivered already is dropped, and anything else is held while the history
// is asked what the truth is. It does nothing by itself and waits for nobody: what it wants to know it says by wants, ask gives
// the question, and one of compare, answer and fail takes what came of it.
//
// A publication that was heard before a question was put has been numbered before that, so an answer that does not know its
// number shows it to be a forgery or of a life of the topic that is over. That is what the stamps are for.
type course struct {
	out   outlet
	tally *tally
	seed  maphash.Seed

	known bool   // last holds
	last  place  // of what was delivered, or what the sink was told of by a restart
	heard doubt  // the last publication that was delivered from a channel, 0 where there is none since the last restart
	sum   uint64 // of its text

	// A pattern carries the topic: what is heard first is where it begins, but not after floor if there is one.
	open    bool
	floored bool
	floor   place

	want    inquiry
	hushed  bool // everything is held until the next answer
	asked   bool // a question is under way
	arrived uint64
	doubts  []doubt // not yet asked about
	suspect bool    // something was heard that could not be decoded
	forged  int     // how many answers in a row showed that forgeries had been heard
	awaited int     // how many answers in a row showed less than is missing, while it may be on its way
	lost    uint64  // the stamp of the last publication that there was no room for
	held    []publication
}

// hear takes a publication from a channel.
func (c *course) hear(at place, raw string) {
	c.arrived++
	c.take(publication{at, raw, c.arrived})
}

func (c *course) take(m publication) {
	if !c.known && c.open {
		c.begin(m.place)
	}
	switch {
	case !c.known || c.hushed || m.epoch != c.last.epoch || m.seq > c.last.seq+1:
		c.hold(m)
	case m.seq == c.last.seq+1:
		env, err := c.out.decode(m.raw)
		if err != nil || env.Seq != m.seq { // if there is a publication of that number, the history has it
			c.tally.malformed.Add(1)
			c.suspect = true
			c.demand(fill)
			return
		}
		c.tally.delivered.Add(1)
		c.heard, c.sum = doubt{env.Seq, env.ID}, c.sumOf(m.raw)
		c.deliver(env)
	case m.seq == c.heard.seq && c.contradicts(m):
		c.tally.conflicts.Add(1)
		c.doubt()
	}
}

// begin makes the course known where it is open, by the first publication heard.
func (c *course) begin(at place) {
	c.known, c.last = true, place{at.epoch, at.seq - 1}
	if c.floored && (at.epoch != c.floor.epoch || at.seq > c.floor.seq+1) {
		c.last = c.floor
	}
}

func (c *course) deliver(env *message.Envelope) {
	c.last.seq = env.Seq
	c.out.deliver(env)
}

func (c *course) sumOf(raw string) uint64 { return max(1, maphash.String(c.seed, raw)) }

// doubt makes sure that the last publication heard is what the topic has.
func (c *course) doubt() {
	if n := len(c.doubts); n > 0 && c.doubts[n-1] == c.heard {
		return
	}
	c.doubts = append(c.doubts, c.heard)
	c.demand(truth)
	if len(c.doubts) > doubtsMax {
		c.demand(anew)
	}
}

// contradicts reports whether m, which has the number of the last publication heard, is another.
func (c *course) contradicts(m publication) bool {
	if c.sum == c.sumOf(m.raw) {
		return false
	}
	env, err := c.out.decode(m.raw)
	if err != nil {
		c.tally.malformed.Add(1)
		return false
	}
	return env.ID != c.heard.id
}

// hold keeps m until the next answer.
func (c *course) hold(m publication) {
	if !c.tally.heldBytes.Take(int64(len(m.raw)), c.tally.heldBytesMax) {
		c.tally.overflows.Add(1)
		c.lost = m.stamp
	} else {
		c.tally.held.Add(1)
		c.held = append(c.held, m)
	}
	if c.known && !c.asked {
		c.demand(fill)
	}
}

// release empties what is held and returns it.
func (c *course) release() []publication {
	held := c.held
	c.held = nil
	for i := range held {
		c.tally.heldBytes.Add(-int64(len(held[i].raw)))
	}
	c.tally.held.Add(-int64(len(held)))
	return held
}

func (c *course) demand(what inquiry) { c.want = max(c.want, what) }

// interrupt says that publications may have been missed, and that what is published from now on will be heard.
func (c *course) interrupt() {
	if !c.known && c.floored {
		c.known, c.last = true, c.floor
	}
	c.demand(look)
}

// wants returns what there is to ask now.
func (c *course) wants() inquiry {
	if c.asked {
		return nothing
	}
	return c.want
}

// ask puts what the course wants to know. No other question is put until compare, answer or fail is called with this one.
func (c *course) ask() question {
	q := c.glance()
	q.inquiry = c.want
	q.doubts = c.doubts
	c.asked, c.want, c.doubts = true, nothing, nil
	return q
}

// glance is a question aside, whose answer goes to behind.
func (c *course) glance() question {
	return question{inquiry: look, from: c.last, known: c.known, stamp: c.arrived}
}

// fail takes a question back that could not be answered.
func (c *course) fail(q question) {
	c.asked = false
	c.doubts = append(q.doubts, c.doubts...)
	c.demand(q.inquiry)
}

// compare takes the answer to a look.
func (c *course) compare(q question, at place) {
	c.asked = false
	switch {
	case !c.known && c.open:
		c.floored, c.floor = true, at
		return
	case !c.known:
		c.known, c.last = true, at
	case at.epoch != c.last.epoch || at.seq > c.last.seq || q.known && at.seq < q.from.seq:
		c.demand(fill)
		return
	}
	c.settle(q, at)
}

// behind takes the answer to a glance. It reports whether the topic has gone on further than the course knows, which need not
// mean more than that a publication is on its way; whatever else is wrong the course goes after by itself.
func (c *course) behind(q question, at place) bool {
	if c.known && q.known && c.last.epoch == q.from.epoch && (at.epoch != q.from.epoch || at.seq < q.from.seq) {
		c.demand(fill)
	}
	return c.known && at.epoch == c.last.epoch && at.seq > c.last.seq
}

// reached reports whether the course has come to at, or its topic began anew.
func (c *course) reached(at place) bool { return c.last.epoch != at.epoch || c.last.seq >= at.seq }

// answer takes what was read for a fill, truth or anew. Epoch is the topic's from before the reading.
func (c *course) answer(q question, h broker.History, epoch message.Epoch) {
	c.asked, c.hushed = false, false
	at := place{epoch, h.Position.Offset}
	same := c.known && q.known && epoch == c.last.epoch && q.inquiry != anew
	switch {
	case same && h.Recovered && !c.confirms(q, h.Publications):
		c.demand(anew) // what was delivered is not what the topic has
		return
	case same && h.Recovered && c.catchUp(h.Publications, at):
	case same && q.inquiry == fill && at.seq >= q.from.seq && at.seq <= c.last.seq:
	case same && q.inquiry == fill && at.seq > c.last.seq && q.onWay:
		c.awaited++
		c.demand(fill)
		return
	case same && q.inquiry == fill && c.last != q.from: // something came meanwhile; perhaps it is enough to ask from there
		c.demand(fill)
		return
	case h.Recovered: // it does not lead up to where it says
		c.demand(anew)
		return
	default:
		c.restart(h, at)
	}
	c.settle(q, at)
}

// confirms reports whether what was delivered is what the topic has, as far as q asks about it or it happens to be told.
func (c *course) confirms(q question, publications []*message.Envelope) bool {
	for _, env := range publications {
		if env.Seq == c.heard.seq && env.ID != c.heard.id {
			return false
		}
	}
	for _, d := range q.doubts {
		if !slices.ContainsFunc(publications, func(env *message.Envelope) bool { return env.Seq == d.seq && env.ID == d.id }) {
			return false
		}
	}
	return true
}

// catchUp delivers what of the publications was not delivered yet, and reports whether that leads up to at.
func (c *course) catchUp(publications []*message.Envelope, at place) bool {
	next := c.last.seq + 1
	for _, env := range publications {
		if env.Seq > next {
			return false
		}
		if env.Seq == next {
			next++
		}
	}
	if next <= at.seq {
		return false
	}
	n := uint64(0)
	for _, env := range publications {
		if env.Seq == c.last.seq+1 {
			c.deliver(env)
			n++
		}
	}
	if n > 0 {
		c.tally.fills.Add(1)
		c.tally.filled.Add(n)
	}
	return true
}

// start makes the course begin after the given place, which was found otherwise, and catch up from there.
func (c *course) start(after place) {
	c.known, c.last, c.heard = true, after, doubt{}
	c.demand(fill)
}

func (c *course) restart(h broker.History, at place) {
	if c.known && c.last.epoch == at.epoch && c.last.seq > at.seq { // what was delivered meanwhile comes after it once more
		c.hushed = true
		c.demand(fill)
	}
	c.known, c.last, c.heard, c.doubts = true, at, doubt{}, nil
	c.tally.restarts.Add(1)
	c.out.restart(h)
}

// settle goes through what is held, now that the topic is known to have stood at the given place after q was put.
func (c *course) settle(q question, at place) {
	held, forged := c.release(), c.suspect
	c.suspect, c.awaited = false, 0
	slices.SortStableFunc(held, func(x, y publication) int { return cmp.Compare(x.seq, y.seq) })
	for _, m := range held {
		if m.stamp <= q.stamp && (m.epoch != at.epoch || m.seq > at.seq) {
			c.tally.conflicts.Add(1)
			forged = true
			continue
		}
		c.take(m)
	}
	if c.forged++; !forged {
		c.forged = 0
	}
	if c.lost > q.stamp {
		c.demand(fill)
	}
}
