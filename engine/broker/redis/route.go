package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/redis"
)

// route knows the address of the primary for a slot. It may be used by any number of goroutines.
type route struct {
	client  *redis.Client
	options goredis.UniversalOptions
	fixed   string // the only name there is: the address of one server, or what Sentinels call the primary

	watchers []*goredis.SentinelClient

	table   atomic.Pointer[table] // of a Cluster; nil: not read yet
	mu      sync.Mutex            // held while the table is read, or Sentinels are asked
	read    time.Time             // guarded by mu; when the table was read
	primary string                // guarded by mu; what Sentinels named last
	asked   time.Time             // guarded by mu; when they did
}

// table is who has which slot of a Cluster. It is immutable once it is in a route.
type table struct {
	primaries []string      // that have slots, in order as they were read
	places    [slots]uint16 // in primaries, from 1; 0: nobody has the slot
}

// owner returns the address of who has a slot, "" where nobody is known to.
func (t *table) owner(slot uint16) string {
	if at := t.places[slot]; at > 0 {
		return t.primaries[at-1]
	}
	return ""
}

// place returns what stands in places for addr.
func (t *table) place(addr string) uint16 {
	at := slices.Index(t.primaries, addr)
	if at < 0 {
		at = len(t.primaries)
		t.primaries = append(slices.Clip(t.primaries), addr)
	}
	return uint16(at + 1)
}

func newRoute(client *redis.Client) *route {
	r := &route{client: client, options: client.Options()}
	switch {
	case r.options.MasterName != "":
		r.fixed = r.options.MasterName
		for _, addr := range r.options.Addrs {
			o := r.optionsFor(addr)
			o.Username, o.Password, o.DB = r.options.SentinelUsername, r.options.SentinelPassword, 0
			r.watchers = append(r.watchers, goredis.NewSentinelClient(o))
		}
	case !r.options.IsClusterMode:
		r.fixed = r.options.Addrs[0]
	}
	return r
}

// isCluster reports whether slots have different primaries.
func (r *route) isCluster() bool { return r.options.IsClusterMode }

// sentinels reports whether Sentinels have to be asked for the primary.
func (r *route) sentinels() bool { return r.options.MasterName != "" }

// of returns whom to ask for a slot: an address of a Cluster, else the same name for all. It does no I/O but for the first reading of
// a Cluster's table.
func (r *route) of(ctx context.Context, slot uint16) (string, error) {
	if !r.isCluster() {
		return r.fixed, nil
	}
	table := r.table.Load()
	if table == nil {
		if err := r.reload(ctx); err != nil {
			return "", err
		}
		table = r.table.Load()
	}
	if addr := table.owner(slot); addr != "" {
		return addr, nil
	}
	return "", fmt.Errorf("no node of the Cluster has slot %d", slot)
}

// has reports whether a name is still that of someone who has slots.
func (r *route) has(name string) bool {
	if name == unrouted || !r.isCluster() {
		return name != unrouted
	}
	table := r.table.Load()
	return table != nil && slices.Contains(table.primaries, name)
}

// nameAt returns a name, of a key or a channel, that the server with an address has the slot of: name itself where all names are
// one server's, in a Cluster name with a number, and "" where the server is not known to have slots.
func (r *route) nameAt(addr, name string) string {
	if !r.isCluster() {
		return name
	}
	table := r.table.Load()
	if table == nil || !slices.Contains(table.primaries, addr) {
		return ""
	}
	for n := range slots {
		if numbered := name + ":" + strconv.Itoa(n); table.owner(slotOfChannel(numbered)) == addr {
			return numbered
		}
	}
	return ""
}

// dial returns the address to connect to for a name that of returned: with Sentinels they are asked for the primary, unless they
// were within maxAge.
func (r *route) dial(ctx context.Context, name string, maxAge time.Duration) (string, error) {
	if !r.sentinels() {
		return name, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.asked) < maxAge && r.primary != "" {
		return r.primary, nil
	}
	primary, err := r.askSentinels(ctx)
	if err != nil {
		return "", err
	}
	r.primary, r.asked = primary, time.Now()
	return primary, nil
}

// slowSentinels is how long one that has not answered is waited for when another one has.
const slowSentinels = 50 * time.Millisecond

// named is what a Sentinel says.
type named struct {
	addr string
	term uint64 // of the failover that made it the primary: the higher one is right
	err  error
}

// askSentinels asks all of them, since one that was cut off may still name the primary of before. mu is held.
func (r *route) askSentinels(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan named, len(r.watchers))
	for _, w := range r.watchers {
		go func() { answers <- r.askSentinel(ctx, w) }()
	}
	var best named
	var errs []error
	var patience <-chan time.Time
	for range r.watchers {
		select {
		case a := <-answers:
			if a.err != nil {
				errs = append(errs, a.err)
				continue
			}
			if best.addr == "" || a.term > best.term {
				best = a
			}
			if patience == nil {
				patience = time.After(slowSentinels)
			}
		case <-patience:
			return best.addr, nil
		}
	}
	if best.addr == "" {
		return "", fmt.Errorf("no Sentinel names the primary: %w", errors.Join(errs...))
	}
	return best.addr, nil
}

func (r *route) askSentinel(ctx context.Context, w *goredis.SentinelClient) named {
	at, err := w.Master(ctx, r.options.MasterName).Result()
	if err != nil {
		return named{err: err}
	}
	term, err := strconv.ParseUint(at["config-epoch"], 10, 64)
	if err != nil || at["ip"] == "" || at["port"] == "" {
		return named{err: fmt.Errorf("a Sentinel knows no primary %q", r.options.MasterName)}
	}
	return named{addr: net.JoinHostPort(at["ip"], at["port"]), term: term}
}

// close ends the connections to Sentinels.
func (r *route) close() {
	for _, w := range r.watchers {
		_ = w.Close()
	}
}

// optionsFor returns what to open the one connection to a server with that is nobody else's and is never dialled again by itself.
func (r *route) optionsFor(addr string) *goredis.Options {
	universal := r.options
	o := universal.Simple()
	o.Addr, o.PoolSize, o.MaxRetries, o.PipelinePoolSize, o.MinIdleConns = addr, 1, -1, 0, 0
	return o
}

// reloadEvery is how often at most a Cluster's table is read.
const reloadEvery = 20 * time.Millisecond

// reload reads who has which slot, from a node that answers.
func (r *route) reload(ctx context.Context) error {
	if !r.isCluster() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.read) < reloadEvery && r.table.Load() != nil {
		return nil
	}
	found, err := r.client.Do().ClusterSlots(ctx).Result()
	if err != nil {
		return fmt.Errorf("the Cluster's slots: %w", err)
	}
	slices.SortFunc(found, func(a, b goredis.ClusterSlot) int { return cmp.Compare(a.Start, b.Start) })
	next := new(table)
	for _, s := range found {
		if len(s.Nodes) == 0 || s.Start < 0 || s.End >= slots || s.Start > s.End {
			return errors.New("the Cluster's slots: a node tells what cannot be")
		}
		at := next.place(s.Nodes[0].Addr)
		for slot := s.Start; slot <= s.End; slot++ {
			next.places[slot] = at
		}
	}
	r.read = time.Now()
	r.table.Store(next)
	return nil
}

// moved takes in what a node said of a slot that it does not have: "MOVED 3999 127.0.0.1:6381", perhaps inside of a sentence.
func (r *route) moved(answer string) {
	_, after, found := strings.Cut(answer, "MOVED ")
	words := strings.Fields(after)
	if !found || len(words) < 2 {
		return
	}
	slot, err := strconv.Atoi(words[0])
	if err != nil || slot < 0 || slot >= slots || strings.HasPrefix(words[1], ":") {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if table := r.table.Load(); table != nil && table.owner(uint16(slot)) != words[1] {
		next := *table
		next.places[slot] = next.place(words[1])
		r.table.Store(&next)
	}
}
