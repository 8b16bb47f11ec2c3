package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// server returns the address of the server that the connection with the given number belongs to: the only one, the primary that
// the Sentinels name, or one of a Cluster's primaries, each of which brings what is published on any.
func (f *follower) server(ctx context.Context, index int) (string, error) {
	options := f.b.client.Options()
	switch client := f.b.client.Do().(type) {
	case *goredis.ClusterClient:
		client.ReloadState(ctx)
		primaries, err := f.primaries(ctx)
		if err != nil {
			return "", err
		}
		return primaries[index%len(primaries)], nil
	case *goredis.Client:
		if options.MasterName != "" {
			return f.askSentinels(ctx, &options)
		}
		return options.Addrs[0], nil
	}
	return "", fmt.Errorf("broker/redis: %T is no client that can be followed with", f.b.client.Do())
}

// primaries returns the addresses of a Cluster's primaries that answer, in order.
func (f *follower) primaries(ctx context.Context) ([]string, error) {
	found := make(chan string, 1024)
	err := f.b.client.EachPrimary(ctx, func(ctx context.Context, primary *goredis.Client) error {
		if primary.Ping(ctx).Err() == nil {
			select {
			case found <- primary.Options().Addr:
			default:
			}
		}
		return nil
	})
	close(found)
	var out []string
	for addr := range found {
		out = append(out, addr)
	}
	if len(out) == 0 {
		return nil, errors.Join(err, errors.New("broker/redis: no primary of the Cluster answers"))
	}
	slices.Sort(out)
	return out, nil
}

// askSentinels returns the address of the primary by the first Sentinel that answers.
func (f *follower) askSentinels(ctx context.Context, options *goredis.UniversalOptions) (string, error) {
	var errs []error
	for _, addr := range options.Addrs {
		o := options.Simple()
		o.Addr, o.Username, o.Password, o.DB, o.MaxRetries = addr, options.SentinelUsername, options.SentinelPassword, 0, -1
		sentinel := goredis.NewSentinelClient(o)
		answer, err := sentinel.GetMasterAddrByName(ctx, options.MasterName).Result()
		_ = sentinel.Close()
		if err == nil && len(answer) == 2 {
			return answer[0] + ":" + answer[1], nil
		}
		errs = append(errs, fmt.Errorf("broker/redis: Sentinel %s: %w", addr, err))
	}
	return "", errors.Join(errs...)
}

// time asks Redis for its clock.
func (f *follower) time(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	return f.b.client.Do().Time(ctx).Result()
}
