package intake

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// behind is what a stream holds that is not done.
type behind struct {
	pending int64         // read, and not done
	lag     int64         // not read; -1: this Redis does not tell
	age     time.Duration // of the oldest that is not done
}

// forget forgets what this node knew of the stream while it read it.
func (s *stream) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind = behind{}
}

// care measures what is behind, and deletes what every group has read and what was in the stream for long enough.
func (s *stream) care(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askAround)
	defer cancel()
	info, err := s.in.do.XInfoStream(ctx, s.name).Result()
	if err != nil {
		return err
	}
	groups, err := s.in.do.XInfoGroups(ctx, s.name).Result()
	if err != nil {
		return err
	}
	now, err := s.in.do.Time(ctx).Result()
	if err != nil {
		return err
	}
	oldest := info.LastGeneratedID // the first entry that some group has not done, or the last of all
	for i := range groups {
		first, err := s.firstLeft(ctx, &groups[i])
		if err != nil {
			return err
		}
		if groups[i].Name == group {
			if err := s.measure(ctx, &groups[i], info.LastGeneratedID, first, now); err != nil {
				return err
			}
		}
		if compareEntries(first, oldest) < 0 {
			oldest = first
		}
	}
	if keep := s.in.cfg.StreamKeep; keep > 0 {
		if before := fmt.Sprintf("%d-0", now.Add(-keep).UnixMilli()); compareEntries(before, oldest) < 0 {
			oldest = before
		}
		return s.in.do.XTrimMinIDApprox(ctx, s.name, oldest, 0).Err()
	}
	return nil
}

// firstLeft returns an entry that lies before all that a group has not done: the first pending one, or the last that it read.
func (s *stream) firstLeft(ctx context.Context, g *goredis.XInfoGroup) (string, error) {
	if g.Pending == 0 {
		return g.LastDeliveredID, nil
	}
	pending, err := s.in.do.XPending(ctx, s.name, g.Name).Result()
	if err != nil || pending.Count == 0 {
		return g.LastDeliveredID, err
	}
	return pending.Lower, nil
}

// measure notes how far behind the engine is. First is its first pending entry, where there is one.
func (s *stream) measure(ctx context.Context, g *goredis.XInfoGroup, last, first string, now time.Time) error {
	b, unread := behind{pending: g.Pending, lag: g.Lag}, compareEntries(g.LastDeliveredID, last) < 0
	if g.EntriesRead == 0 && g.Lag == 0 && unread {
		b.lag = -1 // before 7.0 Redis counts nothing
	}
	if g.Pending == 0 && unread {
		next, err := s.in.do.XRangeN(ctx, s.name, "("+g.LastDeliveredID, "+", 1).Result()
		if err != nil {
			return err
		}
		if len(next) == 0 { // what was not read has been deleted
			unread, b.lag = false, 0
		} else {
			first = next[0].ID
		}
	}
	if g.Pending > 0 || unread {
		ms, _, _ := strings.Cut(first, "-")
		at, _ := strconv.ParseInt(ms, 10, 64)
		b.age = max(0, now.Sub(time.UnixMilli(at)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind = b
	return nil
}
