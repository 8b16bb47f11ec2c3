package quota

import "time"

// Meter holds the rates of one connection. Its zero value has sent nothing. There is one for each connection, so its size
// counts: it has no limiters of package rate, which with their locks, that one goroutine does not need, take 80 bytes each
// (BenchmarkTake).
type Meter struct {
	messages, bytes int64    // when each bucket is full again, in nanoseconds since the Quota was made
	trouble         *trouble // nil until a limit was near, or a key agreed on
}

// trouble is what only those have who come near a limit, or are encrypted.
type trouble struct {
	warned  [limits]bool
	keys    int64  // as Meter.messages; most connections agree on none
	since   int64  // the start of the minute in which refused were refused
	refused uint32 // since then
	untold  uint32 // refused since the client was told
	tell    int64  // when it is told next
}

// pace is a token bucket in the form of the generic cell rate algorithm (ITU-T I.371): a bucket is the time at which it will
// be full again, so that it takes eight bytes and nothing has to be added to it.
type pace struct {
	each  float64 // nanoseconds that one unit takes to come back; 0: no limit
	depth int64   // nanoseconds that an empty bucket takes
}

func newPace(n int, per time.Duration, burst int) pace {
	if n == 0 {
		return pace{}
	}
	each := float64(per) / float64(n)
	return pace{each: each, depth: int64(each * float64(burst))}
}

// take takes n units at now, or nothing where there are not as many. used is the part of the bucket that is then used, in
// nanoseconds of depth.
func (p *pace) take(full *int64, now int64, n int) (used int64, ok bool) {
	if p.each == 0 {
		return 0, true
	}
	next := max(*full, now) + int64(p.each*float64(n))
	if used = next - now; used > p.depth {
		return used, false
	}
	*full = next
	return used, true
}

// Take asks whether a connection of user, "" where nobody has logged in, may have n more messages of so many bytes together
// looked at. It does not block, and allocates nothing but for who comes near a limit.
func (m *Meter) Take(q *Quota, user string, n, bytes int) Verdict {
	at := time.Now()
	now := int64(at.Sub(q.start))
	used, ok := q.messages.take(&m.messages, now, n)
	if !ok {
		return m.refuse(q, now, Messages)
	}
	usedBytes, ok := q.bytes.take(&m.bytes, now, bytes)
	if !ok {
		return m.refuse(q, now, Bytes)
	}
	near := m.near(&q.messages, used, Messages)
	if near == None {
		near = m.near(&q.bytes, usedBytes, Bytes)
	}
	if q.users.on && user != "" {
		refused, warn := q.users.take(user, at, [2]int{n, bytes})
		if refused >= 0 {
			return m.refuse(q, now, UserMessages+Limit(refused))
		}
		if near == None && warn >= 0 {
			near = UserMessages + Limit(warn)
		}
	}
	if near == None {
		return Verdict{}
	}
	q.Count(near, Warned)
	return Verdict{Warn, near}
}

// TakeKeys asks whether a connection may agree on n more keys, each of which costs far more than a message
// (BenchmarkExchange of package seal).
func (m *Meter) TakeKeys(q *Quota, n int) Verdict {
	if q.keys.each == 0 {
		return Verdict{}
	}
	now := int64(time.Since(q.start))
	used, ok := q.keys.take(&m.troubled().keys, now, n)
	if !ok {
		return m.refuse(q, now, Keys)
	}
	if m.near(&q.keys, used, Keys) == None {
		return Verdict{}
	}
	q.Count(Keys, Warned)
	return Verdict{Warn, Keys}
}

// near reports a limit of the connection that has just come near. It does so again only after half of the bucket has come
// back meanwhile.
func (m *Meter) near(p *pace, used int64, l Limit) Limit {
	switch {
	case p.each == 0:
	case used > p.depth/100*WarnPercent:
		if t := m.troubled(); !t.warned[l] {
			t.warned[l] = true
			return l
		}
	case used < p.depth/2 && m.trouble != nil:
		m.trouble.warned[l] = false
	}
	return None
}

func (m *Meter) troubled() *trouble {
	if m.trouble == nil {
		m.trouble = &trouble{}
	}
	return m.trouble
}

// refuse counts a message that is passed over.
func (m *Meter) refuse(q *Quota, now int64, l Limit) Verdict {
	q.Count(l, Refused)
	t := m.troubled()
	if now-t.since >= int64(time.Minute) {
		t.since, t.refused = now, 0
	}
	t.refused++
	t.untold++
	if most := q.cfg.RefusedMessagesPerMinute; most > 0 && int64(t.refused) > int64(most) {
		q.Count(l, Closed)
		return Verdict{Close, l}
	}
	if now < t.tell {
		return Verdict{RefuseSilent, l}
	}
	t.tell = now + int64(time.Second)
	return Verdict{Refuse, l}
}

// Refused returns how many messages were refused since it was last called.
func (m *Meter) Refused() (n uint32) {
	if m.trouble != nil {
		n, m.trouble.untold = m.trouble.untold, 0
	}
	return n
}
