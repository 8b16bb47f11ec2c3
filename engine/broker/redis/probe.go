package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/redis"
)

// Paces of the probe.
const (
	probeEvery = time.Second
	roundMax   = 3 * time.Second // without a round trip until the node is not ready
	roundsKept = 24 * time.Hour

	policyEvery = 60 // probes until it is looked again whether servers evict keys
)

// Scripts that write a key, as every publication does, and publish on a channel what they were given and the time of the server. A
// server that is read only, or full, or short of replicas, takes no publications and so no probe.
const (
	probeScript = `if KEYS[1] then redis.call('SET', KEYS[1], '', 'PX', 60000) end
local now = redis.call('TIME')
return redis.call('PUBLISH', ARGV[1], ARGV[2] .. ' ' .. string.format('%d%06d', now[1], now[2]))`
	probeShardScript = `redis.call('SET', KEYS[1], '', 'PX', 60000)
local now = redis.call('TIME')
return redis.call('SPUBLISH', KEYS[1], ARGV[1] .. ' ' .. string.format('%d%06d', now[1], now[2]))`
)

// probe sends itself a message through every primary each second. The node is ready as long as it comes back on every connection.
type probe struct {
	f       *follower
	channel string
	key     string // tells messages of this process from those of another one of the same name
	wake    chan struct{}
	lag     atomic.Int64

	mu       sync.Mutex
	sent     map[uint64]time.Time   // guarded by mu; probes under way
	n        uint64                 // guarded by mu; of the last one
	rounds   map[round]time.Time    // guarded by mu; the last round trips
	servers  map[string]time.Time   // guarded by mu; the primaries there are, and since when
	taking   map[round]time.Time    // guarded by mu; where the last probe was taken for publication, and since when each is
	refused  map[round]refusedSince // guarded by mu; where it was not
	copied   map[string]bool        // guarded by mu; primaries that were seen to have replicas
	fault    error                  // guarded by mu; why not all primaries were reached the last time
	evicting map[string]bool        // guarded by mu; whether servers may evict keys, of those that have said so
}

// round is a way that probes go.
type round struct {
	server     string // the primary that published
	connection int    // that received
}

// refusedSince is why a server took no probe the last time, and since when it takes none.
type refusedSince struct {
	at  time.Time
	err error
}

// plainOnes stands for all connections of plain Pub/Sub, which one probe is for.
const plainOnes = -1

func newProbe(f *follower) *probe {
	return &probe{
		f: f, wake: make(chan struct{}, 1), channel: redis.Prefix + "_probe:" + f.b.node, key: strconv.FormatInt(time.Now().UnixNano(), 36),
		sent: map[uint64]time.Time{}, rounds: map[round]time.Time{}, servers: map[string]time.Time{}, taking: map[round]time.Time{},
		refused: map[round]refusedSince{}, copied: map[string]bool{}, evicting: map[string]bool{},
	}
}

// run probes until ctx ends.
func (p *probe) run(ctx context.Context) {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		p.send(ctx)
		select {
		case <-ticker.C:
		case <-p.wake:
		case <-ctx.Done():
		}
	}
}

// now has a probe sent at once: a connection that is new is known for good as soon as one comes back on it.
func (p *probe) now() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// send has every primary publish a probe.
func (p *probe) send(ctx context.Context) {
	p.mu.Lock()
	p.n++
	n := p.n
	began := time.Now()
	p.sent[n] = began
	for old, at := range p.sent {
		if time.Since(at) > 2*roundMax {
			delete(p.sent, old)
		}
	}
	maps.DeleteFunc(p.rounds, func(_ round, at time.Time) bool { return time.Since(at) > roundsKept })
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, probeEvery+p.replicaWait())
	defer cancel()
	sent := answers{of: map[round]error{}}
	all := p.f.subscribers()
	err := p.f.b.client.EachPrimary(ctx, func(ctx context.Context, primary *goredis.Client) error {
		return p.sendTo(ctx, primary, n, all, &sent)
	})
	now := time.Now()
	p.count(sent.of, err, began, now)
	for _, w := range p.ways(all, now) {
		if w.unheard > roundMax {
			w.subscriber.leaveServer(now.Add(-roundMax))
		}
	}
}

// answers tell where a probe was taken for publication: where there is no error.
type answers struct {
	mu sync.Mutex
	of map[round]error // guarded by mu
}

func (a *answers) add(r round, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of[r] = err
}

func (p *probe) text(n uint64, server string) string {
	return fmt.Sprintf("%s %d %s", p.key, n, server)
}

// replicaWait is how long a probe waits for replicas.
func (p *probe) replicaWait() time.Duration { return min(p.f.b.cfg.ReplicaWait, probeEvery) }

// sendTo has a primary publish a probe for the connections of plain Pub/Sub, and one for its own of sharded Pub/Sub. As a publication it
// is taken only when as many replicas have it as must. The error is that the primary did not answer.
func (p *probe) sendTo(ctx context.Context, primary *goredis.Client, n uint64, all []*subscriber, sent *answers) error {
	addr := primary.Options().Addr
	text := p.text(n, addr)
	pipe := primary.Pipeline()
	probes := map[round]*goredis.Cmd{}
	if len(p.f.plain) > 0 {
		probes[round{addr, plainOnes}] = pipe.Eval(ctx, probeScript, p.keys(addr), p.channel, text)
	}
	for _, s := range all {
		if channel := s.probeName(); channel != "" && s.addr == addr {
			probes[round{addr, s.index}] = pipe.Eval(ctx, probeShardScript, []string{channel}, text)
		}
	}
	if len(probes) == 0 {
		return nil
	}
	info := pipe.Info(ctx, "replication")
	var memory *goredis.StringCmd
	p.mu.Lock()
	want := p.f.b.replicasOf(p.copied[addr])
	_, asked := p.evicting[addr]
	p.mu.Unlock()
	if !asked || n%policyEvery == 1 {
		memory = pipe.Info(ctx, "memory")
	}
	var wait *goredis.IntCmd
	if want > 0 {
		wait = goredis.NewIntCmd(ctx, "WAIT", want, p.replicaWait().Milliseconds())
		_ = pipe.Process(ctx, wait) // not before Exec
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	short := missing(wait, want)
	if faultOf(info.Err()) == faultFinal {
		short = cmp.Or(short, fmt.Errorf("the user may not ask who the server is, which every publication needs (+info): %w", info.Err()))
	}
	var lost error
	for r, cmd := range probes {
		err := cmp.Or(p.taken(ctx, primary, r, cmd.Err(), text), short)
		sent.add(r, err)
		if faultOf(err) == faultLost {
			lost = err
		}
	}
	if id, err := redis.ReadIdentity(info.Val()); err == nil && id.Replicas > 0 {
		p.mu.Lock()
		p.copied[addr] = true
		p.mu.Unlock()
	}
	if memory != nil {
		p.checkPolicy(addr, memory.Val())
	}
	return lost
}

// checkPolicy warns, once for each server, of one that evicts keys: it would take from topics what they remember, piece by piece.
func (p *probe) checkPolicy(addr, info string) {
	const field = "maxmemory_policy:"
	_, after, found := strings.Cut(info, field)
	policy, _, _ := strings.Cut(after, "\r\n")
	if !found {
		return
	}
	p.mu.Lock()
	evicts := policy != "noeviction"
	warn := evicts && !p.evicting[addr]
	p.evicting[addr] = evicts
	p.mu.Unlock()
	if warn {
		p.f.b.log.Warn("a server of Redis may evict what topics remember; set its maxmemory-policy to noeviction", "server", addr, "policy", policy)
	}
}

// keys returns the key that a probe of plain Pub/Sub writes: in a Cluster one of the primary's own, none where none is known.
func (p *probe) keys(addr string) []string {
	if key := p.f.b.route.nameAt(addr, p.channel); key != "" {
		return []string{key}
	}
	return nil
}

// taken returns why a probe was not taken, nil where it was. One whose key is on the move to another server is published without it.
func (p *probe) taken(ctx context.Context, primary *goredis.Client, r round, err error, text string) error {
	f := faultOf(err)
	if r.connection != plainOnes || !p.f.b.route.isCluster() || f != faultMoved && !(f == faultLater && strings.HasPrefix(err.Error(), "ASK ")) {
		return err
	}
	p.f.b.route.moved(err.Error())
	return primary.Eval(ctx, probeScript, nil, p.channel, text).Err()
}

// probeName returns the channel of the subscriber's own probes, "" where it has no connection or is one of plain Pub/Sub.
func (s *subscriber) probeName() string {
	if s.addr == "" {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.probe
}

// count takes note of which primaries there are, and of who took the probes that were sent at began; primaries that are missing may
// only not have answered where not all have.
func (p *probe) count(sent map[round]error, fault error, began, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	there, taking, refused := map[string]time.Time{}, map[round]time.Time{}, map[round]refusedSince{}
	for r, err := range sent {
		if r.connection == plainOnes {
			there[r.server] = since(p.servers, r.server, now)
		}
		if err == nil {
			taking[r] = since(p.taking, r, now)
			continue
		}
		at := began
		if before, ok := p.refused[r]; ok {
			at = before.at
		}
		refused[r] = refusedSince{at, err}
	}
	if p.fault = fault; fault != nil {
		maps.Copy(there, p.servers)
	}
	p.servers, p.taking, p.refused = there, taking, refused
}

// since returns when something was first known: now, where it was not.
func since[K comparable](known map[K]time.Time, k K, now time.Time) time.Time {
	if at, ok := known[k]; ok {
		return at
	}
	return now
}

// way is a round that probes are expected on.
type way struct {
	round
	*subscriber
	age     time.Duration // since the last one that was taken came back, or since one should have come back for the first time
	unheard time.Duration // of that, since the server takes them: then it is the connection that does not bring them
	refused error         // why the server did not take the last one; nil: it did, or it was not asked
}

// ways returns the rounds that probes are expected on.
func (p *probe) ways(all []*subscriber, now time.Time) (ways []way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	add := func(s *subscriber, server string, sent int, since time.Time) {
		at := p.rounds[round{server, s.index}]
		refused := p.refused[round{server, sent}]
		if refused.err != nil && refused.at.Before(at) {
			at = refused.at // what came back was published by a server that would keep nothing
		}
		if at.Before(since) {
			at = since
		}
		w := way{round: round{server, s.index}, subscriber: s, age: now.Sub(at), refused: refused.err}
		if taken, ok := p.taking[round{server, sent}]; ok {
			w.unheard = min(w.age, now.Sub(taken))
		}
		ways = append(ways, w)
	}
	for _, s := range all {
		if s.addr != "" {
			add(s, s.addr, s.index, s.made)
			continue
		}
		for server, since := range p.servers {
			add(s, server, plainOnes, since)
		}
	}
	return ways
}

// arrived takes a probe that a connection brought.
func (p *probe) arrived(s *subscriber, body string) {
	fields := strings.Fields(body)
	if len(fields) != 4 || fields[0] != p.key {
		return
	}
	n, err := strconv.ParseUint(fields[1], 10, 64)
	micros, wrong := strconv.ParseInt(fields[3], 10, 64)
	if err != nil || wrong != nil {
		return
	}
	p.mu.Lock()
	sent, known := p.sent[n]
	if known {
		p.rounds[round{fields[2], s.index}] = time.Now()
		p.lag.Store(int64(time.Since(sent)))
	}
	p.mu.Unlock()
	if known {
		s.advance(mark{time.UnixMicro(micros), sent})
	}
}

// advance takes note of a moment up to which nothing is missing, unless patterns are still made up for what they missed before.
func (s *subscriber) advance(to mark) {
	if s.index == 0 && s.f.interrupted() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mark = to
}

// interrupted reports whether there are patterns that were interrupted and not made up for.
func (f *follower) interrupted() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, p := range f.patterns {
		if p.joined && !p.settled {
			return true
		}
	}
	return false
}

// ready returns why the node is not ready, or nil.
func (p *probe) ready(now time.Time) error {
	ways := p.ways(p.f.subscribers(), now)
	p.mu.Lock()
	never, fault := len(p.rounds) == 0, p.fault
	p.mu.Unlock()
	if never || len(ways) == 0 {
		err := errors.New("broker/redis: no probe has come back yet")
		if fault != nil {
			return fmt.Errorf("%w; none could be sent: %w", err, fault)
		}
		if len(ways) > 0 {
			err = ways[0].subscriber.explain(err)
		}
		return err
	}
	for _, w := range ways {
		if w.age > roundMax {
			err := fmt.Errorf("broker/redis: nothing that was published through %s has come back on connection %d for %s",
				w.round.server, w.connection, w.age.Round(100*time.Millisecond))
			if why := cmp.Or(w.refused, fault); why != nil {
				return fmt.Errorf("%w; it was not taken: %w", err, why)
			}
			return w.subscriber.explain(err)
		}
	}
	return nil
}

// Ready returns why the node does not keep its promises now, or nil: what it publishes through each primary has to come back on
// each connection that receives, and what an interruption may have cost has to be compared with Redis.
func (b *Broker) Ready() error { return b.follower.ready(time.Now()) }

func (f *follower) ready(now time.Time) error {
	if f.b.closed.Load() {
		return broker.ErrClosed
	}
	if err := f.probe.ready(now); err != nil {
		return err
	}
	if oldest := f.oldest.Load(); oldest != 0 && now.Sub(time.Unix(0, oldest)) > unsettledMax {
		return fmt.Errorf("broker/redis: %d topics are being compared with Redis, one of them for %s",
			f.unsettled.Load(), now.Sub(time.Unix(0, oldest)).Round(100*time.Millisecond))
	}
	return nil
}

// account counts the topics that are not settled. One that cannot be read for a fault of its own is none of them.
func (f *follower) account() {
	var unsettled, faulty, oldest int64
	for _, t := range f.all() {
		t.mu.Lock()
		switch {
		case t.fault != nil:
			faulty++
		case !t.since.IsZero():
			unsettled++
			if at := t.since.UnixNano(); oldest == 0 || at < oldest {
				oldest = at
			}
		}
		t.mu.Unlock()
	}
	f.unsettled.Store(unsettled)
	f.faulty.Store(faulty)
	f.oldest.Store(oldest)
}

// FollowStats are the figures of what a node receives. The counters begin with the process.
type FollowStats struct {
	Topics     int // followed, by name or because a pattern brought them
	Patterns   int
	Unsettled  int // topics that are being compared with Redis
	Faulty     int // topics that cannot be read for a fault of their own
	Held       int // publications that wait for what Redis says
	HeldBytes  int64
	Reconnects uint64        // connections that ended
	Lag        time.Duration // of the last probe, from publishing to receiving

	Delivered uint64 // publications that channels brought
	Fills     uint64 // gaps that were closed from the history
	Filled    uint64 // publications that were delivered for it
	Restarts  uint64 // times that a topic's subscribers were told of a gap
	Conflicts uint64 // publications with a number that another one has, or that the topic has not reached
	Malformed uint64 // texts that look numbered and are no publications
	Overflows uint64 // publications that there was no room for, to be read again
}

// FollowStats returns the figures of what this node receives.
func (b *Broker) FollowStats() FollowStats {
	f := b.follower
	t := &f.tally
	s := FollowStats{
		Unsettled: int(f.unsettled.Load()), Faulty: int(f.faulty.Load()), Held: int(t.held.Load()), HeldBytes: t.heldBytes.Load(),
		Lag: time.Duration(f.probe.lag.Load()), Delivered: t.delivered.Load(), Fills: t.fills.Load(), Filled: t.filled.Load(),
		Restarts: t.restarts.Load(), Conflicts: t.conflicts.Load(), Malformed: t.malformed.Load(), Overflows: t.overflows.Load(),
	}
	for _, c := range f.subscribers() {
		s.Reconnects += c.ended.Load()
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	s.Topics, s.Patterns = len(f.topics), len(f.patterns)
	return s
}
