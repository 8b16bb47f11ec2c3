package intake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
)

// Letters keeps dead letters in Redis. Use [NewLetters].
type Letters struct {
	cfg     Config
	client  goredis.UniversalClient
	scripts *scripts

	mu    sync.Mutex
	stats ingest.LetterStats // guarded by mu
	by    map[string]uint64  // guarded by mu; letters by channel
}

var _ ingest.Keeper = (*Letters)(nil)

// NewLetters checks cfg and returns the dead letters of all nodes that share client's Redis.
func NewLetters(cfg Config, client *redis.Client) (*Letters, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if client == nil {
		return nil, errors.New("intake: needs Redis")
	}
	return &Letters{
		cfg: cfg, client: client.Do(), scripts: newScripts(),
		stats: ingest.LetterStats{ByPlugin: make(map[string]uint64)}, by: make(map[string]uint64),
	}, nil
}

// Names in Redis, and of channels.
const (
	lettersPrefix = redis.Prefix + "dlq:"
	channelIndex  = redis.Prefix + "{_dlq}:channels"

	otherChannels     = "_other" // where letters of too many channels are kept
	channelBytesMax   = 240
	documentBytesList = 512  // of a document, in a list
	reasonBytesMax    = 2048 // of a reason
	channelsCounted   = 100  // by name; those of more are counted as one

	// The index of channels is written before a letter, in another slot and so another step; it is kept longer by this, or the last
	// letters of a channel would be there for a moment and found by nobody.
	indexOutlives = time.Minute
)

// The kinds of letters: how they are handed in again.
const (
	kindEvent       = "event"
	kindPublication = "publication"
)

// letter is one on its way to Redis.
type letter struct {
	channel string // as [channelName] makes it
	kind    string
	from    string // the entry or channel
	source  string // what is the same when the letter comes again; empty: it does not
	event   ingest.Letter
	bytes   int // of the document, where not all of it is there; else 0
}

// channelName returns what the letters of a stream or channel of Redis are kept under: its name behind wse:. Bytes that would make
// the key lie in another slot than its hash, or that nobody can type, are written %XX; a name that is too long is cut, with a hash
// behind it.
func channelName(of string) string {
	of = strings.TrimPrefix(of, redis.Prefix)
	var b strings.Builder
	for i := 0; i < len(of) && b.Len() < channelBytesMax; i++ {
		if c := of[i]; c <= ' ' || c >= 0x7f || c == '{' || c == '}' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	if b.Len() >= channelBytesMax {
		h := fnv.New32a()
		_, _ = h.Write([]byte(of))
		return fmt.Sprintf("%s~%08x", b.String()[:channelBytesMax-9], h.Sum32())
	}
	return cmp.Or(b.String(), "_empty")
}

// isChannelName reports whether name is one that [channelName] may have made.
func isChannelName(name string) bool {
	return name != "" && len(name) <= channelBytesMax && !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '{' || c == '}' })
}

// keys returns the keys of a channel's letters, which lie in one slot.
func keys(channel string) []string {
	return []string{lettersPrefix + channel, "{" + lettersPrefix + channel + "}:m"}
}

// args puts the limits before what a script is told besides.
func (l *Letters) args(more ...any) []any {
	return append([]any{l.cfg.DeadLetterTTL.Milliseconds(), l.cfg.DeadLettersMax, l.cfg.DeadLettersKiBMax << 10}, more...)
}

// Keep implements [ingest.Keeper]. The same document of the same event is one letter, with one attempt more.
func (l *Letters) Keep(ctx context.Context, e ingest.Letter) (id string, err error) {
	k := letter{channel: ingest.ChannelEvents, kind: kindEvent, event: e}
	if e.Named {
		k.source = e.EventID
	}
	return l.keep(ctx, k)
}

// keep keeps a letter and returns its id.
func (l *Letters) keep(ctx context.Context, k letter) (string, error) {
	document, size := k.event.Document, max(k.bytes, len(k.event.Document))
	document = document[:min(len(document), l.cfg.DeadLetterKiBMax<<10)]
	values := []any{"kind", k.kind, "bytes", size, "document", document, "reason", message.Cut(k.event.Reason, reasonBytesMax)}
	add := func(name, value string) {
		if value != "" {
			values = append(values, name, value)
		}
	}
	if size > len(document) {
		add("cut", "1")
	}
	add("source", k.source)
	add("from", k.from)
	add("event_id", k.event.EventID)
	add("event", k.event.Event)
	add("plugin", k.event.Plugin)
	add("version", k.event.Version)
	channel, err := l.scripts.channel.Run(ctx, l.client, []string{channelIndex},
		k.channel, l.cfg.DeadLetterChannelsMax, (l.cfg.DeadLetterTTL + indexOutlives).Milliseconds(), otherChannels).Text()
	if isWrongType(err) { // somebody has put something else there, which must hold up nobody
		channel, err = otherChannels, nil
	}
	if err != nil {
		return "", fmt.Errorf("intake: the dead letter of channel %s cannot be kept: %w", k.channel, err)
	}
	write := func() ([]any, error) {
		return l.scripts.add.Run(ctx, l.client, keys(channel), append(l.args(k.source), values...)...).Slice()
	}
	answer, err := write()
	if isWrongType(err) && channel != otherChannels { // the same, with the letters themselves
		channel = otherChannels
		l.client.ZAdd(ctx, channelIndex, goredis.Z{Score: float64(time.Now().UnixMilli()), Member: channel})
		answer, err = write()
	}
	if err != nil {
		return "", fmt.Errorf("intake: the dead letter of channel %s cannot be kept: %w", k.channel, err)
	}
	entry, _ := answer[0].(string)
	added, _ := answer[1].(int64)
	gone, _ := answer[2].(int64)
	l.count(channel, k.event.Plugin, added > 0, gone)
	return entry + "@" + channel, nil
}

// isWrongType reports that a key holds something else than it has to. Before 7.0 a script's error has it in the middle.
func isWrongType(err error) bool { return err != nil && strings.Contains(err.Error(), "WRONGTYPE") }

// count notes a letter.
func (l *Letters) count(channel, plugin string, added bool, gone int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Evicted += uint64(gone)
	if !added {
		return
	}
	if plugin != "" {
		l.stats.ByPlugin[plugin]++
	}
	if _, ok := l.by[channel]; !ok && len(l.by) >= channelsCounted {
		channel = otherChannels
	}
	l.by[channel]++
}

// place tells which letter of which channel an id is.
func place(id string) (entry, channel string, err error) {
	entry, channel, ok := strings.Cut(id, "@")
	ms, n, dash := strings.Cut(entry, "-")
	_, err1 := strconv.ParseUint(ms, 10, 64)
	_, err2 := strconv.ParseUint(n, 10, 64)
	if !ok || !dash || err1 != nil || err2 != nil || !isChannelName(channel) {
		return "", "", ingest.ErrNoLetter
	}
	return entry, channel, nil
}

// unreachable is the refusal of somebody who asks for letters.
func unreachable(err error) error {
	if isWrongType(err) {
		e := message.Errorf(message.CodeInvalidArgument, "the key of these dead letters in Redis holds something else; delete or rename it, see the log")
		e.Err = err
		return e
	}
	e := message.Errorf(message.CodeUnavailable, "the dead letters are in Redis, which does not answer as it should; try again, and see the log")
	e.Err = err
	return e
}

// channels returns the names of channels that have letters, those with the newest first, each with the time of its newest or later.
func (l *Letters) channels(ctx context.Context, q ingest.LetterQuery) ([]goredis.Z, error) {
	switch {
	case q.Channel != "" && !isChannelName(q.Channel):
		return nil, nil
	case q.Channel != "":
		return []goredis.Z{{Member: q.Channel}}, nil
	case q.Plugin != "": // there are those of plugins
		return []goredis.Z{{Member: ingest.ChannelEvents}, {Member: otherChannels}}, nil
	}
	list, err := l.client.ZRevRangeWithScores(ctx, channelIndex, 0, -1).Result()
	if err != nil {
		return nil, unreachable(err)
	}
	return list, nil
}

// DeadLetters has the contract of [ingest.Ingest.DeadLetters], for the letters of all nodes. It blocks until Redis answers; the
// error is a [*message.Error].
func (l *Letters) DeadLetters(ctx context.Context, q ingest.LetterQuery, limit int) (newest []ingest.DeadLetter, total int, err error) {
	channels, err := l.channels(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	for _, z := range channels {
		channel, _ := z.Member.(string)
		most := limit
		if len(newest) == limit && limit > 0 && newest[limit-1].Time.UnixMilli() > int64(z.Score) && z.Score > 0 {
			most = 0 // all of this channel are older than those; it is only counted
		}
		part, n, _, err := l.list(ctx, channel, q.Plugin, most)
		if isWrongType(err) && q.Channel == "" {
			continue // what somebody put there hides no other letters
		}
		if err != nil {
			return nil, 0, err
		}
		total += n
		newest = append(newest, part...)
		slices.SortStableFunc(newest, func(a, b ingest.DeadLetter) int { return b.Time.Compare(a.Time) })
		newest = newest[:min(len(newest), limit)]
	}
	return newest, total, nil
}

// list reads the newest letters of a channel.
func (l *Letters) list(ctx context.Context, channel, plugin string, limit int) (newest []ingest.DeadLetter, total int, bytes int64, err error) {
	answer, err := l.scripts.list.Run(ctx, l.client, keys(channel), l.args(plugin, limit, documentBytesList)...).Slice()
	if err != nil {
		return nil, 0, 0, unreachable(err)
	}
	n, _ := answer[0].(int64)
	bytes, _ = answer[1].(int64)
	entries, _ := answer[2].([]any)
	for _, e := range entries {
		newest = append(newest, readLetter(channel, e).DeadLetter)
	}
	return newest, int(n), bytes, nil
}

// kept is a letter as Redis has it.
type kept struct {
	ingest.DeadLetter
	kind string
	done string
}

// readLetter reads what a script tells of a letter. What somebody else wrote into the stream is shown as far as it is understood.
func readLetter(channel string, answer any) kept {
	parts, _ := answer.([]any)
	text := func(i int) string {
		s, _ := parts[i].(string)
		return s
	}
	if len(parts) == 0 {
		return kept{}
	}
	f := make(map[string]string, len(parts)/2)
	for i := 1; i+1 < len(parts); i += 2 {
		f[text(i)] = text(i + 1)
	}
	number := func(name string, otherwise int64) int64 {
		n, err := strconv.ParseInt(f[name], 10, 64)
		if err != nil {
			return otherwise
		}
		return n
	}
	ms, _, _ := strings.Cut(text(0), "-")
	at, _ := strconv.ParseInt(ms, 10, 64)
	return kept{kind: f["kind"], done: f["done"], DeadLetter: ingest.DeadLetter{
		ID: text(0) + "@" + channel, Channel: channel, From: f["from"], Time: time.UnixMilli(at), EventID: f["event_id"], Event: f["event"],
		Plugin: f["plugin"], Version: f["version"], Reason: f["reason"], Attempts: 1 + int(number("failures", 0)),
		Last: time.UnixMilli(number("last", at)), Document: f["document"], Bytes: int(number("bytes", 0)), Cut: f["cut"] != "",
	}}
}

// DeadLetter returns one dead letter with its whole document, or [ingest.ErrNoLetter]. It blocks until Redis answers; another error
// is a [*message.Error].
func (l *Letters) DeadLetter(ctx context.Context, id string) (ingest.DeadLetter, error) {
	entry, channel, err := place(id)
	if err != nil {
		return ingest.DeadLetter{}, err
	}
	answer, err := l.scripts.one.Run(ctx, l.client, keys(channel), l.args(entry)...).Result()
	switch {
	case errors.Is(err, goredis.Nil):
		return ingest.DeadLetter{}, ingest.ErrNoLetter
	case err != nil:
		return ingest.DeadLetter{}, unreachable(err)
	}
	return readLetter(channel, answer).DeadLetter, nil
}

// DropDeadLetter forgets a dead letter. The error is [ingest.ErrNoLetter], [ingest.ErrReplaying], or where Redis does not answer a
// [*message.Error].
func (l *Letters) DropDeadLetter(ctx context.Context, id string) error {
	entry, channel, err := place(id)
	if err != nil {
		return err
	}
	done, err := l.scripts.drop.Run(ctx, l.client, keys(channel), l.args(entry)...).Int()
	switch {
	case errors.Is(err, goredis.Nil):
		return ingest.ErrNoLetter
	case err != nil:
		return unreachable(err)
	case done == 0:
		return ingest.ErrReplaying
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Dropped++
	return nil
}

// DeadLetterIDs has the contract of [ingest.Ingest.DeadLetterIDs], for the letters of all nodes. It blocks until Redis answers; the
// error is a [*message.Error].
func (l *Letters) DeadLetterIDs(ctx context.Context, q ingest.LetterQuery) ([]string, error) {
	type candidate struct {
		id       string
		at       string
		failures int
	}
	channels, err := l.channels(ctx, q)
	if err != nil {
		return nil, err
	}
	var all []candidate
	for _, z := range channels {
		channel, _ := z.Member.(string)
		answer, err := l.scripts.ids.Run(ctx, l.client, keys(channel), l.args(q.Plugin)...).StringSlice()
		if isWrongType(err) && q.Channel == "" {
			continue
		}
		if err != nil {
			return nil, unreachable(err)
		}
		for i := 0; i+1 < len(answer); i += 2 {
			failures, _ := strconv.Atoi(answer[i+1])
			all = append(all, candidate{answer[i] + "@" + channel, answer[i], failures})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Or(a.failures-b.failures, compareEntries(a.at, b.at)) })
	ids := make([]string, len(all))
	for i := range all {
		ids[i] = all[i].id
	}
	return ids, nil
}

// compareEntries orders the ids of entries of a stream.
func compareEntries(a, b string) int {
	ams, an, _ := strings.Cut(a, "-")
	bms, bn, _ := strings.Cut(b, "-")
	return cmp.Or(len(ams)-len(bms), strings.Compare(ams, bms), len(an)-len(bn), strings.Compare(an, bn))
}

// LetterStats implements [ingest.Keeper]. What is kept is as of the last measurement.
func (l *Letters) LetterStats() ingest.LetterStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.ByPlugin = make(map[string]uint64, len(l.stats.ByPlugin))
	for name, n := range l.stats.ByPlugin {
		s.ByPlugin[name] = n
	}
	return s
}

// byChannel returns how many letters this node has kept, by channel.
func (l *Letters) byChannel() map[string]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	by := make(map[string]uint64, len(l.by))
	for channel, n := range l.by {
		by[channel] = n
	}
	return by
}

// measure asks Redis how many letters there are.
func (l *Letters) measure(ctx context.Context) error {
	channels, err := l.channels(ctx, ingest.LetterQuery{})
	if err != nil {
		return err
	}
	total, bytes := 0, int64(0)
	for _, z := range channels {
		channel, _ := z.Member.(string)
		_, n, size, err := l.list(ctx, channel, "", 0)
		if isWrongType(err) {
			continue
		}
		if err != nil {
			return err
		}
		total, bytes = total+n, bytes+size
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Kept, l.stats.BytesKept = total, bytes
	return nil
}
