package target

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Redis is a running redis-server that keeps nothing on disk.
type Redis struct {
	Server
	Addr   string
	Client *goredis.Client
}

// StartRedis starts a redis-server with more arguments of its command line and waits until it answers.
func StartRedis(dir string, args ...string) (*Redis, error) {
	data, err := os.MkdirTemp(dir, "redis-")
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	at, err := freeAddr()
	if err != nil {
		return nil, err
	}
	all := append([]string{"--bind", "127.0.0.1", "--port", strconv.Itoa(int(at.Port())), "--dir", data, "--save", ""}, args...)
	r := &Redis{Server: Server{Name: "redis", Listen: at, cmd: exec.Command("redis-server", all...)}, Addr: at.String()}
	if err := r.start(); err != nil {
		return nil, err
	}
	r.Client = goredis.NewClient(&goredis.Options{Addr: r.Addr, MaxRetries: -1, DialerRetries: 1})
	for end := time.Now().Add(startWait); ; {
		err := r.Client.Ping(context.Background()).Err()
		if err == nil {
			return r, nil
		}
		if ended := r.ended(10 * time.Millisecond); ended != nil || time.Now().After(end) {
			return nil, errors.Join(err, ended, r.Stop())
		}
	}
}

// Stop ends the server.
func (r *Redis) Stop() error { return errors.Join(r.Client.Close(), r.Server.Stop()) }

// Calls returns how often each command was called so far, also by scripts.
func (r *Redis) Calls(ctx context.Context) (map[string]float64, error) {
	text, err := r.Client.Info(ctx, "commandstats").Result()
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	calls := make(map[string]float64)
	for line := range strings.Lines(text) {
		name, rest, found := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !found {
			continue
		}
		n, _, _ := strings.Cut(rest, ",")
		if calls[name], err = strconv.ParseFloat(n, 64); err != nil {
			return nil, fmt.Errorf("target: commandstats: %w", err)
		}
	}
	return calls, nil
}

// Used returns the bytes that redis-server says it uses.
func (r *Redis) Used(ctx context.Context) (float64, error) {
	text, err := r.Client.Info(ctx, "memory").Result()
	if err != nil {
		return 0, fmt.Errorf("target: %w", err)
	}
	for line := range strings.Lines(text) {
		if n, found := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); found {
			return strconv.ParseFloat(n, 64)
		}
	}
	return 0, errors.New("target: redis-server does not tell how much memory it uses")
}

// PublishTimes has redis-benchmark publish to a channel, one message behind the other on one connection, and returns the p50 and
// the p99 of a round trip in milliseconds.
func (r *Redis) PublishTimes(ctx context.Context, channel, text string) (p50, p99 float64, err error) {
	out, err := exec.CommandContext(ctx, "redis-benchmark", "-p", strconv.Itoa(int(r.Listen.Port())), "-c", "1", "-n", "5000", "--csv", "publish", channel, text).Output()
	if err != nil {
		return 0, 0, fmt.Errorf("target: redis-benchmark: %w", err)
	}
	records, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil || len(records) < 2 {
		return 0, 0, fmt.Errorf("target: redis-benchmark printed no table: %.300s (%v)", out, err)
	}
	value := func(column string) (v float64) {
		for i, name := range records[0] {
			if name == column && err == nil {
				v, err = strconv.ParseFloat(records[1][i], 64)
			}
		}
		return v
	}
	p50, p99 = value("p50_latency_ms"), value("p99_latency_ms")
	if err == nil && (p50 == 0 || p99 == 0) {
		err = fmt.Errorf("target: redis-benchmark printed no latencies: %.300s", out)
	}
	return p50, p99, err
}

// StartCluster starts a Cluster of n primaries and waits until it owns every slot. What was started comes back also with an error.
func StartCluster(ctx context.Context, dir string, n int) (servers []*Redis, err error) {
	const slots = 16384
	var first int // the bus port of the first
	for i := range n {
		bus, err := freeAddr() // its default, 10,000 above the other, may be none
		if err != nil {
			return servers, err
		}
		s, err := StartRedis(dir, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(int(bus.Port())))
		if err != nil {
			return servers, err
		}
		if servers = append(servers, s); i == 0 {
			first = int(bus.Port())
		} else if err := s.Client.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", servers[0].Listen.Port(), first).Err(); err != nil {
			return servers, fmt.Errorf("target: %w", err)
		}
		if err := s.Client.ClusterAddSlotsRange(ctx, i*slots/n, (i+1)*slots/n-1).Err(); err != nil {
			return servers, fmt.Errorf("target: %w", err)
		}
	}
	return servers, awaitWhole(ctx, servers)
}

// awaitWhole waits until every server knows all of them and that every slot is served.
func awaitWhole(ctx context.Context, servers []*Redis) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for whole := 0; whole < len(servers); {
		info, err := servers[whole].Client.ClusterInfo(ctx).Result()
		if err != nil {
			return fmt.Errorf("target: %w", err)
		}
		if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(len(servers))) {
			whole++
			continue
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("target: the Cluster did not come up: %w", ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}
