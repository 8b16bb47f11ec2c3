package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// History implements [broker.Broker].
func (b *Broker) History(ctx context.Context, topic message.Topic, q broker.Query) (broker.History, error) {
	if err := b.usable(ctx); err != nil {
		return broker.History{}, err
	}
	if _, err := message.ParseTopic(string(topic)); err != nil {
		return broker.History{}, fmt.Errorf("broker/redis: %w", err)
	}
	return b.read(ctx, topic, q)
}

// read answers q by one script call. The topic exists afterwards, so that its position is good for recovery. A history that another
// program damaged is dropped, and read once more.
func (b *Broker) read(ctx context.Context, topic message.Topic, q broker.Query) (broker.History, error) {
	h, err := b.readOnce(ctx, topic, q)
	if !errors.Is(err, errDamaged) {
		return h, err
	}
	b.log.Warn("broker/redis: a history was damaged by another program and is left out", "topic", string(topic), "fault", err)
	if err := b.clearHistory(ctx, topic); err != nil {
		return broker.History{}, fmt.Errorf("broker/redis: %w: the history of %s is damaged: %w", broker.ErrUnavailable, topic, err)
	}
	return b.readOnce(ctx, topic, q)
}

func (b *Broker) readOnce(ctx context.Context, topic message.Topic, q broker.Query) (broker.History, error) {
	class := b.classes.For(topic)
	mode, epoch, with := "read", "", ""
	if q.Recover {
		mode = "recover"
	}
	if q.After.Epoch != 0 {
		epoch = string(appendEpoch(nil, q.After.Epoch))
	}
	if q.Snapshots {
		with = "snapshots"
	}
	c := b.newReadCall(ctx, topic)
	cmd := goredis.NewSliceCmd(context.Background(), "EVALSHA", &c.sha, "1", &c.key, &c.repl, mode, epoch,
		strconv.FormatUint(q.After.Offset, 10), strconv.Itoa(q.Limit), with)
	c.cmd, c.script = cmd, b.scripts[class].read
	if err := b.ask(ctx, c); err != nil {
		return broker.History{}, err
	}
	return readHistory(class, topic, q, cmd.Val())
}

// newReadCall returns a call that changes nothing that subscribers see.
func (b *Broker) newReadCall(ctx context.Context, topic message.Topic) *call {
	return &call{
		done: make(chan struct{}, 1), topic: topic, slot: slotOf(topic), deadline: b.deadline(ctx), key: appendKey(nil, topic),
	}
}

// ask has c carried out by a reading lane.
func (b *Broker) ask(ctx context.Context, c *call) error {
	l := laneOf(b.readers, c.slot)
	c.timer = time.NewTimer(time.Until(c.deadline))
	defer c.timer.Stop()
	if err := l.submit(c); err != nil {
		return err
	}
	if err := l.await(ctx, c); err != nil {
		return err
	}
	return c.err
}

// errDamaged says that a key of a topic holds what no script wrote.
var errDamaged = errors.New("broker/redis: a key holds what the broker did not write")

// readHistory reads the answer of script_read.lua.
func readHistory(class *broker.CompiledClass, topic message.Topic, q broker.Query, answer []any) (h broker.History, err error) {
	if len(answer) != 5 {
		return h, fmt.Errorf("broker/redis: %s: the script answered with %d parts, not 5", topic, len(answer))
	}
	epoch, _ := answer[0].(string)
	number, _ := answer[1].(string)
	at, err := positionOf(epoch, number)
	if err != nil {
		return h, fmt.Errorf("broker/redis: %s: %w", topic, err)
	}
	if h.Position.Offset = at.offset; class.KeepsHistory() {
		h.Position.Epoch = at.epoch
	}
	h.Recovered = answer[2] == "recovered"
	if h.Snapshots, err = decodeAll(class, topic, h.Position.Epoch, answer[3]); err != nil {
		return h, err
	}
	if h.Publications, err = decodeAll(class, topic, h.Position.Epoch, answer[4]); err != nil {
		return h, err
	}
	first := at.offset - uint64(len(h.Publications)) + 1
	for i, env := range h.Publications {
		if env.Seq != first+uint64(i) {
			return h, fmt.Errorf("%w: number %d stands where %d belongs", errDamaged, env.Seq, first+uint64(i))
		}
	}
	if len(h.Snapshots) > 0 {
		slices.SortFunc(h.Snapshots, func(x, y *message.Envelope) int { return cmp.Compare(x.Seq, y.Seq) })
		h.Publications = without(h.Publications, h.Snapshots, q.Limit)
	}
	return h, nil
}

// without leaves out the publications that are among the snapshots, and all but the newest limit.
func without(publications, snapshots []*message.Envelope, limit int) []*message.Envelope {
	kept := slices.DeleteFunc(publications, func(env *message.Envelope) bool {
		return slices.ContainsFunc(snapshots, func(s *message.Envelope) bool { return s.Seq == env.Seq })
	})
	if limit >= 0 && len(kept) > limit {
		kept = kept[len(kept)-limit:]
	}
	return kept
}

// decodeAll decodes publications. What was published in an earlier epoch of the topic, before its server became another, belongs to
// the present one.
func decodeAll(class *broker.CompiledClass, topic message.Topic, epoch message.Epoch, texts any) ([]*message.Envelope, error) {
	list, _ := texts.([]any)
	if len(list) == 0 {
		return nil, nil
	}
	envs := make([]*message.Envelope, len(list))
	for i, text := range list {
		s, _ := text.(string)
		env, _, err := decode(class, topic, []byte(s))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errDamaged, err)
		}
		env.Epoch = epoch
		envs[i] = env
	}
	return envs, nil
}

// clearHistory drops what another program spoilt. What is published from then on is kept as always.
func (b *Broker) clearHistory(ctx context.Context, topic message.Topic) error {
	tag := "{wse:" + string(topic) + "}"
	_, err := b.client.Do().TxPipelined(ctx, func(p goredis.Pipeliner) error {
		p.Del(ctx, tag+":h", tag+":s")
		p.HSet(ctx, tag+":m", "b", 0)
		return nil
	})
	return err
}

// position is where a topic stands by Redis.
type position struct {
	epoch  message.Epoch // of the channel: not 0 where the class keeps no history
	offset uint64
	at     time.Time // of the last publication, by Redis's clock; zero: there was none
	err    error     // why nothing is known of this topic
}

// positionOf reads an epoch's eight digits and a number.
func positionOf(epoch, number string) (p position, err error) {
	e, err := strconv.ParseUint(epoch, 16, 32)
	if err != nil || len(epoch) != 8 || e == 0 {
		return p, fmt.Errorf("%w: the epoch is %.32q", errDamaged, epoch)
	}
	p.epoch = message.Epoch(e)
	if p.offset, err = strconv.ParseUint(number, 10, 64); err != nil {
		return p, fmt.Errorf("%w: the number is %.32q", errDamaged, number)
	}
	return p, nil
}

// positions returns where topics stand, one answer for each, in their order. They exist afterwards, and their lives are extended.
// The error says that ctx ended before all were answered; what is not known has an err of its own.
func (b *Broker) positions(ctx context.Context, topics []message.Topic) ([]position, error) {
	out := make([]position, len(topics))
	calls := make([]*call, len(topics))
	for i, topic := range topics {
		c := b.newReadCall(ctx, topic)
		c.cmd = goredis.NewStringCmd(context.Background(), "EVALSHA", &c.sha, "1", &c.key, &c.repl)
		c.script = b.scripts[b.classes.For(topic)].position
		c.timer = time.NewTimer(time.Until(c.deadline))
		defer c.timer.Stop()
		if out[i].err = laneOf(b.readers, c.slot).submit(c); out[i].err == nil {
			calls[i] = c
		}
	}
	for i, c := range calls {
		if c == nil {
			continue
		}
		if out[i].err = laneOf(b.readers, c.slot).await(ctx, c); out[i].err == nil {
			out[i] = readPosition(c)
		}
	}
	return out, ctx.Err()
}

// readPosition reads the answer of script_position.lua: the epoch, the number, a space and the time of the last publication.
func readPosition(c *call) position {
	if c.err != nil {
		return position{err: c.err}
	}
	text := c.cmd.(*goredis.StringCmd).Val()
	if len(text) < 10 {
		return position{err: fmt.Errorf("broker/redis: %s: the script answered %.64q", c.topic, text)}
	}
	number, micros, _ := strings.Cut(text[8:], " ")
	p, err := positionOf(text[:8], number)
	if err != nil {
		return position{err: fmt.Errorf("broker/redis: %s: %w", c.topic, err)}
	}
	if at, err := strconv.ParseInt(micros, 10, 64); err == nil && at > 0 {
		p.at = time.UnixMicro(at)
	}
	return p
}
