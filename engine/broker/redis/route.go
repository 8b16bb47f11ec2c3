package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
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

	table atomic.Pointer[[slots]string] // of a Cluster; nil: not read yet
	mu    sync.Mutex                    // held while the table is read
	read  time.Time                     // guarded by mu; when the table was read
}

func newRoute(client *redis.Client) *route {
	r := &route{client: client, options: client.Options()}
	switch {
	case r.options.MasterName != "":
		r.fixed = r.options.MasterName
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
	if addr := table[slot]; addr != "" {
		return addr, nil
	}
	return "", fmt.Errorf("no node of the Cluster has slot %d", slot)
}

// dial returns the address to connect to for a name that of returned: with Sentinels they are asked for the primary.
func (r *route) dial(ctx context.Context, name string) (string, error) {
	if !r.sentinels() {
		return name, nil
	}
	var errs []error
	for _, addr := range r.options.Addrs {
		primary, err := r.askSentinel(ctx, addr)
		if err == nil {
			return primary, nil
		}
		errs = append(errs, fmt.Errorf("sentinel %s: %w", addr, err))
	}
	return "", errors.Join(errs...)
}

func (r *route) askSentinel(ctx context.Context, addr string) (string, error) {
	o := r.optionsFor(addr)
	o.Username, o.Password, o.DB = r.options.SentinelUsername, r.options.SentinelPassword, 0
	client := goredis.NewSentinelClient(o)
	defer client.Close()
	at, err := client.GetMasterAddrByName(ctx, r.options.MasterName).Result()
	if err != nil {
		return "", err
	}
	if len(at) != 2 {
		return "", fmt.Errorf("knows no primary %q", r.options.MasterName)
	}
	return net.JoinHostPort(at[0], at[1]), nil
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
	table := new([slots]string)
	for _, s := range found {
		if len(s.Nodes) == 0 || s.Start < 0 || s.End >= slots || s.Start > s.End {
			return errors.New("the Cluster's slots: a node tells what cannot be")
		}
		for slot := s.Start; slot <= s.End; slot++ {
			table[slot] = s.Nodes[0].Addr
		}
	}
	r.read = time.Now()
	r.table.Store(table)
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
	if table := r.table.Load(); table != nil && table[slot] != words[1] {
		next := *table
		next[slot] = words[1]
		r.table.Store(&next)
	}
}
