package rollout

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/redis"
)

// The keys, in one slot.
const (
	keyTag    = redis.Prefix + "{_plugins}:"
	keyWanted = keyTag + "wanted"
	keyLease  = keyTag + "change"
)

func blobKey(name, digest string) string { return keyTag + "blob:" + name + ":" + digest }

// The scripts; read-only.
var (
	//go:embed commit.lua
	commitLua string
	//go:embed stage.lua
	stageLua string
	//go:embed restore.lua
	restoreLua string
	//go:embed end.lua
	endLua string
	//go:embed take.lua
	takeLua string
)

// shelf is what the nodes share.
type shelf struct {
	client                             *redis.Client
	commitS, stageS, restS, end, takeS *goredis.Script
}

func newShelf(client *redis.Client) shelf {
	return shelf{
		client: client, commitS: goredis.NewScript(commitLua), stageS: goredis.NewScript(stageLua),
		restS: goredis.NewScript(restoreLua), end: goredis.NewScript(endLua), takeS: goredis.NewScript(takeLua),
	}
}

// claim is who makes a change; as JSON it is the lease's value.
type claim struct {
	Change string     `json:"change"`
	Node   string     `json:"node"`
	Plugin string     `json:"plugin"`
	How    plugin.How `json:"how"`
	Who    string     `json:"who,omitempty"`
}

func (c *claim) value() string {
	text, err := json.Marshal(c)
	if err != nil { // texts alone
		panic(fmt.Sprintf("rollout: a claim does not marshal: %v", err))
	}
	return string(text)
}

// take begins the lease of a change, also where the one who has it is dead. The error is [ErrBusy] with who has it, or [ErrUnavailable].
func (s *shelf) take(ctx context.Context, c *claim, lease time.Duration, dead func(ctx context.Context, node string) bool) error {
	taken, err := s.client.Do().SetNX(ctx, keyLease, c.value(), lease).Result()
	if err != nil {
		return unavailable(err)
	}
	if taken {
		return nil
	}
	pipe := s.client.Do().Pipeline()
	value, left := pipe.Get(ctx, keyLease), pipe.PTTL(ctx, keyLease)
	_, err = pipe.Exec(ctx)
	there := value.Val()
	switch {
	case errors.Is(err, goredis.Nil):
		return fmt.Errorf("%w; it has just ended, so try again", ErrBusy)
	case err != nil:
		return unavailable(err)
	case there == c.value(): // it was taken, and only the answer to that was lost
		return nil
	}
	var other claim
	if json.Unmarshal([]byte(there), &other) != nil || other.Change == "" {
		return fmt.Errorf("%w: %s in Redis, which belongs to the engine alone, holds %.80q; remove it", ErrBusy, keyLease, there)
	}
	if dead(ctx, other.Node) {
		taken, err := s.takeS.Run(ctx, s.client.Do(), []string{keyLease}, there, c.value(), lease.Milliseconds()).Int()
		if err != nil {
			return unavailable(err)
		}
		if taken == 1 {
			return nil
		}
	}
	return fmt.Errorf("%w: a %s of %s by %q through node %s; try again when it has ended, in %v at the latest",
		ErrBusy, other.How, other.Plugin, other.Who, other.Node, left.Val().Round(time.Millisecond))
}

// underWay tells whether the lease is that of a change.
func (s *shelf) underWay(ctx context.Context, change string) (bool, error) {
	there, err := s.client.Do().Get(ctx, keyLease).Result()
	if errors.Is(err, goredis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, unavailable(err)
	}
	var c claim
	return json.Unmarshal([]byte(there), &c) == nil && c.Change == change, nil
}

// drop ends a lease, if it is that of c.
func (s *shelf) drop(ctx context.Context, c *claim) error {
	return s.end.Run(ctx, s.client.Do(), []string{keyLease}, c.value()).Err()
}

// stage puts bytes where nodes find them.
func (s *shelf) stage(ctx context.Context, c *claim, lease time.Duration, bundles []plugin.Bundle) error {
	keys, args := []string{keyLease}, []any{c.value(), lease.Milliseconds()}
	for i := range bundles {
		b := &bundles[i]
		keys, args = append(keys, blobKey(c.Plugin, b.SHA256)), append(args, b.Module)
		if b.ConfigSHA256 != "" {
			keys, args = append(keys, blobKey(c.Plugin, b.ConfigSHA256)), append(args, b.Config)
		}
	}
	done, err := s.stageS.Run(ctx, s.client.Do(), keys, args...).Int()
	if err != nil {
		return unavailable(err)
	}
	if done == 0 {
		return errLease
	}
	return nil
}

// fetch returns a version's bytes.
func (s *shelf) fetch(ctx context.Context, name string, v *version) (plugin.Bundle, error) {
	keys := v.blobs(name)
	texts, err := s.client.Do().MGet(ctx, keys...).Result()
	if err != nil {
		return plugin.Bundle{}, unavailable(err)
	}
	b := plugin.Bundle{Version: v.Version, SHA256: v.Module, ConfigSHA256: v.Config}
	for i, into := range []*[]byte{&b.Module, &b.Config}[:len(keys)] {
		text, ok := texts[i].(string)
		if !ok {
			return b, fmt.Errorf("%w: %s; a node that serves the version puts it back, else swap in another one with --cluster", errGone, keys[i])
		}
		*into = []byte(text)
	}
	return b, nil
}

// commit writes the record of a change. It may be called again. The error is [ErrUnavailable], and then the change may have been made
// or not, or says that it was not made.
func (s *shelf) commit(ctx context.Context, c *claim, before, next *record) (int64, error) {
	rest, err := next.rest()
	if err != nil {
		return 0, err
	}
	const others = 2 // keys before the blobs
	named := make(map[string]bool)
	keys := []string{keyWanted, keyLease}
	add := func(versions []version) (blobs int) {
		for i := range versions {
			for _, key := range versions[i].blobs(c.Plugin) {
				if !named[key] {
					named[key] = true
					keys = append(keys, key)
				}
			}
		}
		return len(keys) - others
	}
	must := add(next.Versions[max(0, len(next.Versions)-1):])
	keep := add(next.Versions)
	add(before.Versions)
	answer, err := s.commitS.Run(ctx, s.client.Do(), keys, c.Plugin, c.Change, c.value(), before.Number, rest, must, keep).Slice()
	if err != nil {
		return 0, unavailable(err)
	}
	if len(answer) != 2 {
		return 0, fmt.Errorf("the answer to a commit has %d parts, not 2", len(answer))
	}
	text, _ := answer[1].(string)
	if done, _ := answer[0].(int64); done == 1 {
		return strconv.ParseInt(text, 10, 64)
	}
	switch text {
	case "lease":
		return 0, errLease
	case "gone":
		return 0, fmt.Errorf("%w: Redis lost it while the nodes made it ready; see its maxmemory-policy", errGone)
	}
	return 0, errors.New("what the cluster wants was changed by another meanwhile")
}

// read returns all records, and whether each of the blobs is there. A record that is damaged is among the faults.
func (s *shelf) read(ctx context.Context, blobs []string) (records map[string]record, faults map[string]error, there []bool, err error) {
	pipe := s.client.Do().Pipeline()
	all := pipe.HGetAll(ctx, keyWanted)
	exist := make([]*goredis.IntCmd, len(blobs))
	for i, key := range blobs {
		exist[i] = pipe.Exists(ctx, key)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, nil, nil, unavailable(err)
	}
	records, faults = make(map[string]record), make(map[string]error)
	for name, text := range all.Val() {
		r, err := readRecord(name, text)
		if err != nil {
			faults[name] = err
			continue
		}
		records[name] = r
	}
	for _, e := range exist {
		there = append(there, e.Val() == 1)
	}
	return records, faults, there, nil
}

// readOne returns the record of a plugin; the zero record where there is none.
func (s *shelf) readOne(ctx context.Context, name string) (record, error) {
	text, err := s.client.Do().HGet(ctx, keyWanted, name).Result()
	if errors.Is(err, goredis.Nil) {
		return record{}, nil
	}
	if err != nil {
		return record{}, unavailable(err)
	}
	return readRecord(name, text)
}

// restore puts back a record and bytes. It returns how many things were missing.
func (s *shelf) restore(ctx context.Context, name string, r *record, bundles []plugin.Bundle) (int, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	keys, args := []string{keyWanted}, []any{name, text, r.Number}
	for i := range bundles {
		b := &bundles[i]
		keys, args = append(keys, blobKey(name, b.SHA256)), append(args, b.Module)
		if b.ConfigSHA256 != "" {
			keys, args = append(keys, blobKey(name, b.ConfigSHA256)), append(args, b.Config)
		}
	}
	put, err := s.restS.Run(ctx, s.client.Do(), keys, args...).Int()
	if err != nil {
		return 0, unavailable(err)
	}
	return max(put, 0), nil
}

// unavailable wraps an error of Redis. Two of them need an operator, who is told what to do.
func unavailable(err error) error {
	switch {
	case goredis.HasErrorPrefix(err, "WRONGTYPE"):
		return fmt.Errorf("%w: %w; the keys %s* belong to the engine alone: remove what another program put there", ErrUnavailable, err, keyTag)
	case goredis.HasErrorPrefix(err, "OOM"):
		return fmt.Errorf("%w: %w; Redis is full (maxmemory)", ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
