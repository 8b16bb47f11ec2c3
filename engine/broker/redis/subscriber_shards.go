package redis

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
)

// shardsEvery is how often it is looked whether slots have other owners, where nothing says that they have.
const shardsEvery = time.Second

// shards are the subscribers of sharded Pub/Sub, one for each server that has slots.
type shards struct {
	wake chan struct{} // rung when a slot may have moved

	byAddr  map[string]*subscriber // guarded by follower.mu
	nowhere *subscriber            // of topics whose slot nobody is known to have; it never connects
	made    int                    // guarded by follower.mu; how many there were ever
}

// ring has the owners of slots looked at.
func (sh *shards) ring() {
	select {
	case sh.wake <- struct{}{}:
	default:
	}
}

// home returns the subscriber of a topic by the table of slots as it is known. f.mu is held.
func (f *follower) home(topic message.Topic) *subscriber {
	if table := f.b.route.table.Load(); table != nil {
		if s := f.shards.byAddr[table.owner(slotOf(topic))]; s != nil {
			return s
		}
	}
	return f.shards.nowhere
}

// reshard keeps a subscriber for each owner of slots, and topics at the one that has theirs, until ctx ends.
func (f *follower) reshard(ctx context.Context) {
	ticker := time.NewTicker(shardsEvery)
	defer ticker.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	stops := map[*subscriber]context.CancelFunc{}
	for ctx.Err() == nil {
		if err := f.b.route.reload(ctx); err == nil {
			started, stopped := f.owners()
			for _, s := range started {
				run, stop := context.WithCancel(ctx)
				stops[s] = stop
				wg.Go(func() { s.run(run) })
			}
			f.rehome()
			for _, s := range stopped {
				stops[s]()
				delete(stops, s)
			}
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-f.shards.wake:
			sleep(ctx, reloadEvery) // more often the table is not read
		}
	}
	for _, stop := range stops {
		stop()
	}
}

// owners adjusts the subscribers to who has slots.
func (f *follower) owners() (started, stopped []*subscriber) {
	there := f.b.route.table.Load().primaries
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, addr := range there {
		if f.shards.byAddr[addr] == nil {
			s := newSubscriber(f, f.b.cfg.SubscriberConnections+f.shards.made)
			s.addr = addr
			f.shards.made++
			f.shards.byAddr[addr] = s
			started = append(started, s)
		}
	}
	for addr, s := range f.shards.byAddr {
		if !slices.Contains(there, addr) {
			delete(f.shards.byAddr, addr)
			stopped = append(stopped, s)
		}
	}
	return started, stopped
}

// rehome moves topics whose slots have other owners than their subscribers, and has what a server refused asked for again.
func (f *follower) rehome() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for topic, t := range f.topics {
		if t.own == nil {
			continue
		}
		if s := f.home(topic); s != t.own {
			t.own.drop(channelOf(topic))
			t.own = s
			s.want(channelOf(topic), false, t.confirmed)
		}
	}
	for _, s := range f.shards.byAddr {
		s.again()
	}
}

// again looks once more at the channels that the connection is not subscribed to and should be.
func (s *subscriber) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil {
		return
	}
	for _, c := range s.channels {
		if c.wanted && !c.sent {
			s.touch(c)
		}
	}
}

// refused takes a server's word that it does not have a slot. It reports false where the answer says something else.
func (s *subscriber) refused(answer error) bool {
	if s.addr == "" || !goredis.HasErrorPrefix(answer, "MOVED ") {
		return false
	}
	words := strings.Fields(answer.Error())
	if len(words) < 3 {
		return false
	}
	slot, err := strconv.Atoi(words[1])
	if err != nil {
		return false
	}
	s.f.b.route.moved(answer.Error())
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.channels {
		if int(slotOfChannel(c.name)) == slot {
			c.sent, c.awaited = false, 0
		}
	}
	s.f.shards.ring()
	return true
}

func slotOfChannel(name string) uint16 {
	return slotOf(message.Topic(strings.TrimPrefix(name, redis.Prefix)))
}

// probeChannel returns the name of the channel by which the node sends itself probes over this subscriber's connection: with sharded
// Pub/Sub one in a slot of its server.
func (s *subscriber) probeChannel() string {
	name := s.f.probe.channel
	if s.addr == "" {
		return name
	}
	return cmp.Or(s.f.b.route.nameAt(s.addr, name), name)
}

// bySlot divides names, since one command can subscribe to channels of one slot only.
func bySlot(names []string) map[uint16][]string {
	out := map[uint16][]string{}
	for _, name := range names {
		slot := slotOfChannel(name)
		out[slot] = append(out[slot], name)
	}
	return out
}
