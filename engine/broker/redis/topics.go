package redis

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// listCount is how many keys a server looks at for one step of a scan: some hundred microseconds of its time.
const listCount = 500

// Topics lists the topics whose names begin with prefix, by name, at most limit of them. Every key of Redis is looked at, some at a
// time, which takes seconds where there are millions; ctx bounds it. Subscribed is told of this node.
func (b *Broker) Topics(ctx context.Context, prefix string, limit int) ([]broker.TopicInfo, error) {
	if err := b.usable(ctx); err != nil || limit <= 0 {
		return nil, err
	}
	var mu sync.Mutex // primaries of a Cluster are scanned at once
	var names []string
	match := "{wse:" + escapeGlob(prefix) + "*}:m"
	err := b.client.EachPrimary(ctx, func(ctx context.Context, primary *goredis.Client) error {
		scan := primary.Scan(ctx, 0, match, listCount).Iterator()
		for scan.Next(ctx) {
			mu.Lock()
			names = append(names, strings.TrimSuffix(strings.TrimPrefix(scan.Val(), "{wse:"), "}:m"))
			if len(names) > 2*limit+listCount { // a scan comes in no order: the first limit of what was seen are enough
				names = firstNames(names, limit)
			}
			mu.Unlock()
		}
		return scan.Err()
	})
	if err != nil {
		return nil, err
	}
	return b.describe(ctx, firstNames(names, limit))
}

// firstNames returns the first limit names in order. A scan may bring a name twice.
func firstNames(names []string, limit int) []string {
	slices.Sort(names)
	names = slices.Compact(names)
	return names[:min(len(names), limit)]
}

// escapeGlob makes s match only itself in a pattern of SCAN.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}

// describe reads what there is of topics. Those that are gone meanwhile are left out.
func (b *Broker) describe(ctx context.Context, names []string) ([]broker.TopicInfo, error) {
	type answers struct {
		meta              *goredis.SliceCmd
		history, retained *goredis.IntCmd
	}
	asked := make([]answers, len(names))
	_, err := b.client.Do().Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, name := range names {
			tag := "{wse:" + name + "}"
			asked[i] = answers{p.HMGet(ctx, tag+":m", "e", "n", "b", "t"), p.LLen(ctx, tag+":h"), p.HLen(ctx, tag+":s")}
		}
		return nil
	})
	if err != nil && !goredis.HasErrorPrefix(err, "WRONGTYPE") { // of a key that another program made; what can be read is shown
		return nil, err
	}
	var out []broker.TopicInfo
	for i, name := range names {
		fields := asked[i].meta.Val()
		if len(fields) != 4 || fields[0] == nil {
			continue
		}
		class := b.classes.For(message.Topic(name))
		info := broker.TopicInfo{
			Topic: message.Topic(name), Class: class.Pattern, Seq: uint64(number(fields[1])), Bytes: number(fields[2]),
			Publications: min(int(asked[i].history.Val()), class.HistorySize), Snapshots: int(asked[i].retained.Val()),
			Subscribed: b.follower.wants(message.Topic(name)),
		}
		if at := number(fields[3]); at > 0 {
			info.Idle = max(0, time.Since(time.UnixMicro(at)))
		}
		if text, ok := fields[0].(string); ok && class.KeepsHistory() {
			epoch, _ := strconv.ParseUint(text, 16, 32)
			info.Epoch = message.Epoch(epoch)
		}
		out = append(out, info)
	}
	return out, nil
}

// number reads a field; what is none is 0.
func number(field any) int64 {
	text, _ := field.(string)
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// wants reports whether somebody on this node wants topic by name.
func (f *follower) wants(topic message.Topic) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t := f.topics[topic]
	return t != nil && t.wanted
}
