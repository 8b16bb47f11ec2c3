package redis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// Publish implements [broker.Broker]. It waits for Redis at most publish_wait; then, and when ctx ends, the error wraps
// broker.ErrUnavailable. Where replicas have to have the publication it returns when they do.
func (b *Broker) Publish(ctx context.Context, env *message.Envelope) (broker.Published, error) {
	return b.PublishFenced(ctx, env, 0)
}

// PublishFenced is Publish for one who must not publish once another took his turn: it is refused with [broker.ErrFenced] where the
// topic has seen a higher fence. A fence of 0 is none.
func (b *Broker) PublishFenced(ctx context.Context, env *message.Envelope, fence uint64) (broker.Published, error) {
	if err := b.usable(ctx); err != nil {
		return broker.Published{}, err
	}
	if _, err := message.ParseTopic(string(env.Topic)); err != nil {
		return broker.Published{}, fmt.Errorf("broker/redis: %w", err)
	}
	if !b.pending.Take(1, int64(b.cfg.PendingMax)) {
		b.counters.refused.Add(1)
		return broker.Published{}, fmt.Errorf("broker/redis: %w: %d publications wait on this node, which is pending_max", broker.ErrUnavailable, b.cfg.PendingMax)
	}
	class := b.classes.For(env.Topic)
	c := b.calls.Get().(*call)
	if err := b.prepare(ctx, c, class, env); err != nil {
		b.done(c)
		b.recycle(c)
		return broker.Published{}, err
	}
	if fence > 0 {
		args := slices.Clip(c.text.Args()) // they are there for the next publication too
		c.cmd = goredis.NewStringCmd(context.Background(), append(args, strconv.FormatUint(fence, 10))...)
	}
	id, topic := env.ID, env.Topic
	text, err := b.carry(ctx, laneOf(b.lanes, c.slot), c)
	if err != nil {
		return broker.Published{}, err
	}
	return b.published(class, topic, id, text)
}

// prepare makes c the publication of env.
func (b *Broker) prepare(ctx context.Context, c *call, class *broker.CompiledClass, env *message.Envelope) error {
	remembered := env.ID
	if env.ID == "" {
		env.ID = b.ids.Next()
	}
	if class.Snapshots && message.CategoryOf(env.Type) == message.Snapshot {
		c.kind = env.Type
	}
	c.topic, c.slot, c.script = env.Topic, slotOf(env.Topic), b.scripts[class].publish
	c.deadline = b.deadline(ctx)
	buf := appendKey(c.buf[:0], env.Topic)
	key := len(buf)
	if class.IdempotencyTTL > 0 {
		buf = appendID(buf, remembered)
	}
	id := len(buf)
	buf = appendPublication(buf, env)
	c.buf, c.key, c.id, c.rest = buf, buf[:key:key], buf[key:id:id], buf[id:]
	if most := b.cfg.PublicationKiBMax << 10; len(c.rest) > most {
		return &message.Error{Code: message.CodeMessageTooLarge, Message: fmt.Sprintf("the publication has %d bytes, at most %d are allowed", len(c.rest), most)}
	}
	return nil
}

// appendKey writes the key of a topic's meta data.
func appendKey(dst []byte, topic message.Topic) []byte {
	return append(append(append(dst, "{wse:"...), topic...), "}:m"...)
}

// appendID writes what of a publisher's id is remembered: itself, or where it is long its hash.
func appendID(dst []byte, id string) []byte {
	if len(id) <= idBytesMax {
		return append(dst, id...)
	}
	sum := sha256.Sum256([]byte(id))
	return hex.AppendEncode(append(dst, "sha256:"...), sum[:])
}

func (b *Broker) deadline(ctx context.Context) time.Time {
	at := time.Now().Add(b.cfg.PublishWait)
	if ends, ok := ctx.Deadline(); ok && ends.Before(at) {
		return ends
	}
	return at
}

// carry has a publication's call carried out and returns the answer.
func (b *Broker) carry(ctx context.Context, l *lane, c *call) (string, error) {
	if err := l.submit(c); err != nil {
		b.done(c)
		b.recycle(c)
		return "", err
	}
	c.timer.Reset(time.Until(c.deadline))
	if err := l.await(ctx, c); err != nil {
		return "", err
	}
	c.timer.Stop()
	err, text := c.err, ""
	if err == nil {
		text = c.cmd.(*goredis.StringCmd).Val()
	} else if errors.Is(err, broker.ErrUnavailable) {
		b.counters.unavailable.Add(1)
	}
	b.recycle(c)
	return text, err
}

// await waits until c is answered. The error says that nobody waits for it any more.
func (l *lane) await(ctx context.Context, c *call) error {
	var why error
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		why = ctx.Err()
	case <-c.timer.C:
		why = l.why()
	}
	topic := c.topic
	c.timer.Stop()
	wasSent, tooLate := c.abandon() // from here on the lane may use it for something else
	if tooLate {
		<-c.done
		return nil
	}
	l.b.counters.unavailable.Add(1)
	state := "it was not sent"
	if wasSent {
		state = "it was sent, and no answer came that it was carried out"
	}
	return fmt.Errorf("broker/redis: %w: %s: %s: %w", broker.ErrUnavailable, topic, state, why)
}

// published reads the answer of script_publish.lua: a letter, the epoch and the number.
func (b *Broker) published(class *broker.CompiledClass, topic message.Topic, id, text string) (p broker.Published, err error) {
	if len(text) < 10 {
		return p, fmt.Errorf("broker/redis: %s: the script answered %.64q", topic, text)
	}
	epoch, err := strconv.ParseUint(text[1:9], 16, 32)
	if err != nil {
		return p, fmt.Errorf("broker/redis: %s: the script answered %.64q", topic, text)
	}
	if p.Offset, err = strconv.ParseUint(text[9:], 10, 64); err != nil {
		return p, fmt.Errorf("broker/redis: %s: the script answered %.64q", topic, text)
	}
	if class.KeepsHistory() {
		p.Epoch = message.Epoch(epoch)
	}
	p.ID = id
	switch text[0] {
	case 'f':
		b.counters.fenced.Add(1)
		return broker.Published{}, fmt.Errorf("broker/redis: %w: %s has seen %s", broker.ErrFenced, topic, text[9:])
	case 'd':
		p.Duplicate = true
		b.counters.duplicates.Add(1)
	default:
		b.counters.published.Add(1)
	}
	return p, nil
}

// done counts c out of those that wait.
func (b *Broker) done(c *call) {
	if c.writes {
		b.pending.Add(-1)
	}
}

// recycle puts a publication's call back for the next one. Nobody else has it any more.
func (b *Broker) recycle(c *call) {
	if c.writes {
		c.reset()
		b.calls.Put(c)
	}
}
