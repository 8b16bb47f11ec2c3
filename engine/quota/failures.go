package quota

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// FailuresConfig says how often an address may fail. PerMinute 0 is no limit.
type FailuresConfig struct {
	Name         string        // of the limit, in answers
	What         string        // what there is too much of, in answers: "failed logins"
	PerMinute    int           // more block the address
	Block        time.Duration // for so long
	AddressesMax int           // that are remembered
}

// Validate reports every field that is out of range.
func (c FailuresConfig) Validate() error {
	var errs []error
	for _, f := range []struct {
		name             string
		value, low, high int64
	}{
		{"per minute", int64(c.PerMinute), 0, 1 << 20},
		{"block", int64(c.Block), int64(time.Second), int64(24 * time.Hour)},
		{"addresses", int64(c.AddressesMax), 1, 1 << 31},
	} {
		if f.value < f.low || f.value > f.high {
			errs = append(errs, fmt.Errorf("%s: %d is not between %d and %d", f.name, f.value, f.low, f.high))
		}
	}
	return errors.Join(errs...)
}

// Failures remembers the addresses that fail at something, and blocks for a while those that fail too often, so that nobody
// can go on guessing. An IPv6 address counts as its /64. All methods may be called by any goroutine; each takes the lock of
// one part of the map. Run owns the one goroutine that forgets.
type Failures struct {
	cfg  FailuresConfig
	max  int // of a part
	seed maphash.Seed
	part [shards]struct {
		mu sync.Mutex
		of map[netip.Addr]*failing // guarded by mu
	}
	failed, refused, blocked atomic.Uint64
}

// failing is an address that has failed lately.
type failing struct {
	since time.Time // the start of the minute that failures are counted for
	count int
	until time.Time // it is blocked until then; zero: it is not
}

// over reports that nothing would be different if the address were not remembered.
func (f *failing) over(now time.Time) bool {
	return now.Sub(f.since) >= time.Minute && !now.Before(f.until)
}

// FailureStats is how it went since the start.
type FailureStats struct {
	Failed    uint64 // attempts that failed
	Refused   uint64 // attempts that were not looked at, because their address was blocked
	Blocked   uint64 // times that an address was blocked
	Addresses int    // remembered
}

// NewFailures makes a Failures. It forgets nothing before Run.
func NewFailures(cfg FailuresConfig) (*Failures, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	f := &Failures{cfg: cfg, max: (cfg.AddressesMax + shards - 1) / shards, seed: maphash.MakeSeed()}
	for i := range f.part {
		f.part[i].of = make(map[netip.Addr]*failing)
	}
	return f, nil
}

// Wait returns how long an address is blocked still; 0: it may try. It counts the refusal where it does not.
func (f *Failures) Wait(addr netip.Addr) time.Duration {
	if f.cfg.PerMinute == 0 {
		return 0
	}
	key := network(addr)
	p := &f.part[maphash.Comparable(f.seed, key)%shards]
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.of[key]
	if one == nil {
		return 0
	}
	wait := time.Until(one.until)
	if wait <= 0 {
		return 0
	}
	f.refused.Add(1)
	return wait
}

// Failed counts a failure, and reports whether the address is blocked from now on.
func (f *Failures) Failed(addr netip.Addr) (blocked bool) {
	f.failed.Add(1)
	if f.cfg.PerMinute == 0 {
		return false
	}
	now := time.Now()
	key := network(addr)
	p := &f.part[maphash.Comparable(f.seed, key)%shards]
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.of[key]
	if one == nil {
		if len(p.of) >= f.max {
			forgetLeast(p.of)
		}
		one = &failing{}
		p.of[key] = one
	}
	if now.Before(one.until) {
		return false // it was under way when the block began
	}
	if now.Sub(one.since) >= time.Minute {
		one.since, one.count = now, 0
	}
	if one.count++; one.count < f.cfg.PerMinute {
		return false
	}
	one.until, one.count = now.Add(f.cfg.Block), 0
	f.blocked.Add(1)
	return true
}

// forgetLeast forgets, of a few addresses, the one that is nearest to being forgotten anyway: who is blocked comes last.
func forgetLeast(of map[netip.Addr]*failing) {
	const few = 8
	var victim netip.Addr
	var least *failing
	looked := 0
	for addr, one := range of {
		if least == nil || one.until.Before(least.until) || one.until.Equal(least.until) && one.count < least.count {
			victim, least = addr, one
		}
		if looked++; looked == few {
			break
		}
	}
	delete(of, victim)
}

// Run forgets addresses whose failures no longer matter, until ctx is done.
func (f *Failures) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			for i := range f.part {
				p := &f.part[i]
				p.mu.Lock()
				for addr, one := range p.of {
					if one.over(now) {
						delete(p.of, addr)
					}
				}
				p.mu.Unlock()
			}
		}
	}
}

// Stats returns the figures.
func (f *Failures) Stats() FailureStats {
	s := FailureStats{Failed: f.failed.Load(), Refused: f.refused.Load(), Blocked: f.blocked.Load()}
	for i := range f.part {
		p := &f.part[i]
		p.mu.Lock()
		s.Addresses += len(p.of)
		p.mu.Unlock()
	}
	return s
}

// blockedDetails are the details of an error about a block.
type blockedDetails struct {
	Limit       string `json:"limit"`
	Scope       string `json:"scope"`
	Max         int    `json:"max"`
	RetryAfterS int64  `json:"retry_after_s"`
}

// Refusal says that an address is blocked for so long still.
func (f *Failures) Refusal(wait time.Duration) *message.Error {
	return message.Errorf(message.CodeRateLimited, "too many %s from this address: %d a minute are allowed; try again in %d s",
		f.cfg.What, f.cfg.PerMinute, Seconds(wait)).
		WithDetails(blockedDetails{f.cfg.Name, "address", f.cfg.PerMinute, Seconds(wait)})
}

// Seconds returns wait in whole seconds, rounded up, as Retry-After has it (RFC 9110 §10.2.3).
func Seconds(wait time.Duration) int64 { return int64((wait + time.Second - 1) / time.Second) }
