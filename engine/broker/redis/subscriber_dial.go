package redis

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// server returns the address of the server to connect to: for sharded Pub/Sub the owner of the slots; else the primary, or with a
// Cluster one of them, since each brings what is published on any. Tries that failed lead to others.
func (s *subscriber) server(ctx context.Context) (string, error) {
	route := s.f.b.route
	if s.addr != "" {
		return s.addr, nil
	}
	if !route.isCluster() {
		return route.dial(ctx, route.fixed, reloadEvery)
	}
	err := route.reload(ctx)
	var primaries []string
	if table := route.table.Load(); table != nil {
		primaries = table.primaries
	}
	if len(primaries) == 0 {
		return "", errors.Join(errNoPrimary, err)
	}
	return primaries[(s.index+int(s.ended.Load()))%len(primaries)], nil
}

var (
	errNoPrimary     = errors.New("broker/redis: no primary of the Cluster is known")
	errOneConnection = errors.New("broker/redis: a connection that ended is not taken up again")
)

// dial returns a client for one connection: the library would make another one by itself, and nobody would know what was missed.
func (f *follower) dial(addr string) *goredis.Client {
	o := f.b.route.optionsFor(addr)
	o.DB = 0 // channels have none
	dial := goredis.NewDialer(o)
	var used atomic.Bool
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if used.Swap(true) {
			return nil, errOneConnection
		}
		return dial(ctx, network, addr)
	}
	return goredis.NewClient(o)
}

// time asks Redis for its clock.
func (f *follower) time(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	return f.b.client.Do().Time(ctx).Result()
}
