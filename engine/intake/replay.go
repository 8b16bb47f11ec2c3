package intake

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
)

// doneMax is how many envelopes of attempts that failed later on a letter remembers.
const doneMax = 64

// DeadLetters implements the admin API's list: see [Letters.DeadLetters].
func (i *Intake) DeadLetters(ctx context.Context, q ingest.LetterQuery, limit int) ([]ingest.DeadLetter, int, error) {
	return i.letters.DeadLetters(ctx, q, limit)
}

// DeadLetter shows one: see [Letters.DeadLetter].
func (i *Intake) DeadLetter(ctx context.Context, id string) (ingest.DeadLetter, error) {
	return i.letters.DeadLetter(ctx, id)
}

// DropDeadLetter forgets one: see [Letters.DropDeadLetter].
func (i *Intake) DropDeadLetter(ctx context.Context, id string) error {
	return i.letters.DropDeadLetter(ctx, id)
}

// DeadLetterIDs lists them in the order to replay them in: see [Letters.DeadLetterIDs].
func (i *Intake) DeadLetterIDs(ctx context.Context, q ingest.LetterQuery) ([]string, error) {
	return i.letters.DeadLetterIDs(ctx, q)
}

// ReplayDeadLetter has the contract of [ingest.Ingest.ReplayDeadLetter]; that somebody else is at it may be on another node. What was
// published on a channel is read and published again as it was then.
func (i *Intake) ReplayDeadLetter(ctx context.Context, id string) ([]ingest.Result, error) {
	entry, channel, err := place(id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, i.cfg.ReplayTimeout)
	defer cancel()
	l, token := i.letters, i.tokens.Next()
	answer, err := l.scripts.begin.Run(ctx, l.client, keys(channel), l.args(entry, token, i.cfg.ReplayTimeout.Milliseconds())...).Result()
	switch {
	case errors.Is(err, goredis.Nil):
		return nil, ingest.ErrNoLetter
	case err != nil:
		return nil, unreachable(err)
	}
	if _, busy := answer.(int64); busy {
		return nil, ingest.ErrReplaying
	}
	k := readLetter(channel, answer)
	results, decision, fault := i.again(ctx, &k)
	if fault == nil {
		return results, l.replayed(ctx, channel, entry, token)
	}
	done := ""
	if now := publishedNow(results); len(now) > 0 {
		done = remember(k.done, now)
	}
	if err := l.failed(ctx, channel, entry, token, fault.Error(), decision, done); err != nil {
		i.log("intake: a dead letter failed again, which could not be written down", "id", id, "error", err)
	}
	return results, fault
}

// again hands in what a letter holds.
func (i *Intake) again(ctx context.Context, k *kept) ([]ingest.Result, ingest.Decision, error) {
	var none ingest.Decision
	if k.Cut {
		return nil, none, message.Errorf(message.CodeInvalidArgument,
			"of its %d bytes the first %d are kept; it cannot be handed in again", k.Bytes, len(k.Document))
	}
	attempt := ingest.Attempt{ID: k.EventID, TimeMS: k.Time.UnixMilli(), Done: earlier(k.done)}
	switch k.kind {
	case kindEvent:
		ev, err := i.ingest.ParseEvent([]byte(k.Document))
		if err != nil {
			return nil, none, err
		}
		return i.ingest.Again(ctx, ev, attempt)
	case kindPublication:
		topic, err := topicOf(k.From)
		if err != nil {
			return nil, none, err
		}
		env, ev, err := i.ingest.ParseForeign(topic, []byte(k.Document))
		if ev != nil {
			return i.ingest.Again(ctx, ev, attempt)
		}
		if err != nil {
			return nil, none, err
		}
		result, err := i.ingest.Publish(ctx, env)
		if err != nil {
			return nil, none, err
		}
		return []ingest.Result{result}, none, nil
	}
	return nil, none, message.Errorf(message.CodeInvalidArgument, "the entry of the stream of dead letters was written by another program: it has no kind %q or %q", kindEvent, kindPublication)
}

// replayed takes a letter away.
func (l *Letters) replayed(ctx context.Context, channel, entry, token string) error {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	if err := l.scripts.end.Run(ctx, l.client, keys(channel), l.args(entry, token, 1)...).Err(); err != nil {
		e := message.Errorf(message.CodeUnavailable, "it was published, but Redis did not answer when it was to be taken from the dead letters; drop it there")
		e.Err = err
		return e
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Replayed++
	return nil
}

// failed notes on a letter that it failed again.
func (l *Letters) failed(ctx context.Context, channel, entry, token, reason string, d ingest.Decision, done string) error {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	l.mu.Lock()
	l.stats.ReplayFail++
	l.mu.Unlock()
	return l.scripts.end.Run(ctx, l.client, keys(channel),
		l.args(entry, token, 0, message.Cut(reason, reasonBytesMax), d.Plugin, d.Version, done)...).Err()
}

// afterwards returns a context for what has to be written down whether or not the time for the request is over.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
}

// published is an envelope as a letter remembers it.
type published struct {
	ID    string        `json:"id"`
	Topic message.Topic `json:"topic"`
	Seq   uint64        `json:"seq"`
	Epoch message.Epoch `json:"epoch,omitempty"`
}

// earlier returns the envelopes that earlier attempts published.
func earlier(done string) []ingest.Result {
	var list []published
	_ = json.Unmarshal([]byte(done), &list) // nothing, or what this package wrote; else the broker's memory of ids has to do
	results := make([]ingest.Result, len(list))
	for i, p := range list {
		results[i] = ingest.Result{ID: p.ID, Topic: p.Topic, Seq: p.Seq, Epoch: p.Epoch}
	}
	return results
}

// remember adds the envelopes that were published now.
func remember(done string, results []ingest.Result) string {
	list := make([]published, 0, len(results))
	for _, r := range append(earlier(done), results...) {
		list = append(list, published{r.ID, r.Topic, r.Seq, r.Epoch})
	}
	text, _ := json.Marshal(list[max(0, len(list)-doneMax):]) // of strings and numbers
	return string(text)
}

// publishedNow returns the envelopes among results that no earlier attempt published.
func publishedNow(results []ingest.Result) []ingest.Result {
	var now []ingest.Result
	for _, r := range results {
		if r.Status == ingest.Published {
			now = append(now, r)
		}
	}
	return now
}

// topicOf returns the topic whose channel of Redis is given.
func topicOf(channel string) (message.Topic, error) {
	name := strings.TrimPrefix(channel, redis.Prefix)
	topic, err := message.ParseTopic(name)
	if err == nil {
		return topic, nil
	}
	if pattern, err := message.ParsePattern(name); err == nil && pattern.IsPattern() {
		return "", message.Errorf(message.CodeInvalidArgument, "channel: %q stands for many topics; publish to each of them", message.Cut(name, 64))
	}
	return "", message.Errorf(message.CodeInvalidArgument, "channel: %v", err)
}
