package quota

import (
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// shards is how many parts a map is split into, so that connections on different lanes rarely meet.
const shards = 32

// rule is one rate of a sender; a limit of 0 is none.
type rule struct {
	limit rate.Limit
	burst int
}

// senders are the rates of users, or of addresses: of those that have sent something lately.
type senders[K comparable] struct {
	on     bool // there is a rate to keep
	max    int  // of a shard
	rules  [2]rule
	seed   maphash.Seed
	shards [shards]shard[K]
}

type shard[K comparable] struct {
	mu sync.Mutex
	of map[K]*sender // guarded by mu
}

// sender is one user or address. A limiter is nil where there is no such limit.
type sender struct {
	limiters [2]*rate.Limiter
	warned   [2]bool
	unseen   [2]int // taken since it was last looked how much is left
}

func (s *senders[K]) init(most int, rules [2]rule) {
	s.on = rules[0].limit > 0 || rules[1].limit > 0
	s.max, s.rules, s.seed = (most+shards-1)/shards, rules, maphash.MakeSeed()
	for i := range s.shards {
		s.shards[i].of = make(map[K]*sender)
	}
}

// take takes n of both rates, or reports which of them, 0 or 1, does not have as much; -1: both have. warn is the one that
// has just come near its end, or -1.
func (s *senders[K]) take(key K, now time.Time, n [2]int) (refused, warn int) {
	sh := &s.shards[maphash.Comparable(s.seed, key)%shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	one := sh.of[key]
	if one == nil {
		one = s.add(sh, key, now)
	}
	warn = -1
	for i, l := range one.limiters {
		if l == nil {
			continue
		}
		if !l.AllowN(now, n[i]) {
			return i, -1
		}
		if one.unseen[i] += n[i]; one.unseen[i] < s.rules[i].burst/lookEvery {
			continue // to look costs as much as to take (BenchmarkTake)
		}
		one.unseen[i] = 0
		used := 1 - l.TokensAt(now)/float64(s.rules[i].burst)
		switch {
		case used > WarnPercent/100.0 && !one.warned[i]:
			one.warned[i] = true
			warn = i
		case used < 0.5:
			one.warned[i] = false
		}
	}
	return -1, warn
}

// lookEvery is how often, in the use of a whole burst, it is looked how much is left.
const lookEvery = 20

// add begins to remember a sender. Where there are too many the one of a few is forgotten that has most left: it loses
// least. sh.mu is held.
func (s *senders[K]) add(sh *shard[K], key K, now time.Time) *sender {
	if len(sh.of) >= s.max {
		const few = 8
		var victim K
		most, looked := -1.0, 0
		for k, one := range sh.of {
			if left := s.left(one, now); left > most {
				victim, most = k, left
			}
			if looked++; looked == few {
				break
			}
		}
		delete(sh.of, victim)
	}
	one := &sender{}
	for i, r := range s.rules {
		if r.limit > 0 {
			one.limiters[i] = rate.NewLimiter(r.limit, r.burst)
		}
	}
	sh.of[key] = one
	return one
}

// left is the smaller part that is left of a sender's rates, 1 where it may send all that anybody may.
func (s *senders[K]) left(one *sender, now time.Time) float64 {
	left := 1.0
	for i, l := range one.limiters {
		if l != nil {
			left = min(left, l.TokensAt(now)/float64(s.rules[i].burst))
		}
	}
	return left
}

// sweep forgets who may send all that anybody may.
func (s *senders[K]) sweep(now time.Time) {
	if !s.on {
		return
	}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for k, one := range sh.of {
			if s.left(one, now) >= 1 {
				delete(sh.of, k)
			}
		}
		sh.mu.Unlock()
	}
}

// tally counts connections by user or by address.
type tally[K comparable] struct {
	max    int // 0: no limit, and nothing is counted
	seed   maphash.Seed
	shards [shards]struct {
		mu sync.Mutex
		of map[K]int32 // guarded by mu
	}
}

func (t *tally[K]) init(most int) {
	t.max, t.seed = most, maphash.MakeSeed()
	for i := range t.shards {
		t.shards[i].of = make(map[K]int32)
	}
}

// add counts one more, where that is allowed, and reports whether few more are. Where it is allowed it is not counted all the same if
// agreed, which must not use t, says no.
func (t *tally[K]) add(key K, agreed func() bool) (near, ok bool) {
	if t.max == 0 {
		agreed()
		return false, true
	}
	sh := &t.shards[maphash.Comparable(t.seed, key)%shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := int(sh.of[key])
	if n >= t.max {
		return false, false
	}
	if !agreed() {
		return false, true
	}
	sh.of[key] = int32(n + 1)
	return (n+1)*100 > t.max*WarnPercent, true
}

// remove counts one less.
func (t *tally[K]) remove(key K) {
	if t.max == 0 {
		return
	}
	sh := &t.shards[maphash.Comparable(t.seed, key)%shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if n := sh.of[key]; n > 1 {
		sh.of[key] = n - 1
		return
	}
	delete(sh.of, key)
}
