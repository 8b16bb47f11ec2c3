package shared

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
)

//go:embed presence.lua
var presenceLua string

// call is one run of the script.
type call struct {
	topic    message.Topic
	flags    string // f full, r read, m read without data, c check, d something is due, b burial
	heard    uint64 // the version of the last notice heard
	turn     uint64 // of this call among this node's
	stands   uint64 // the turn that Redis should have of this node; 0: nothing
	dead     []string
	restored []seen
	changes  []change
}

// seen is a member whom this node knew when everything was lost.
type seen struct {
	user    string
	sinceMS int64
	stamp   uint64 // of what he said
}

// change says what a node has of one user.
type change struct {
	user    string
	count   int
	sinceMS int64
	lost    string // e: a connection entered since the last call; a number: ms since the last was lost; empty: neither
	op      string // u: he says data now; s: he said it at stamp; empty: neither
	data    []byte
	stamp   uint64
}

// answer is what the script returns.
type answer struct {
	status   string // ok, full (it needs all that this node has) or stale (a later call was there before)
	exists   bool   // with full: there is something of the topic
	version  uint64
	life     uint64        // the version at which this life of the topic began
	tell     time.Duration // until the changes are to be told, where that is this node's business; negative: it is not
	over     time.Duration // the same of the first grace period that ends
	stands   uint64
	told     [message.PresenceKinds]int
	results  []result
	list     []record // with r or m
	restored bool     // there was nothing of the topic
}

// result is what became of a change.
type result struct {
	code    string // o, m: too many members, d: too much data
	sinceMS int64
	stamp   uint64
	data    []byte // what others wrote of him, where this node had nothing
}

// record is a member in Redis.
type record struct {
	message.Member
	stamp                uint64
	gone, known, changes bool
}

// args are the script's keys and arguments.
func (p *Presence) args(c *call) (keys []string, args []any) {
	key := "{" + redis.Prefix + string(c.topic) + "}:p"
	ms := func(d time.Duration) int64 { return (d + time.Millisecond - 1).Milliseconds() }
	args = make([]any, 0, 20+len(c.dead)+3*len(c.restored)+7*len(c.changes))
	args = append(args, p.node, redis.Prefix+string(c.topic), p.ways, c.flags,
		ms(p.limits.NoticeDelay), ms(p.limits.Grace), p.limits.MembersMax, p.limits.TopicKiBMax<<10,
		c.heard, p.ids.Next(), ms(ttlChecks*p.cfg.CheckInterval+p.limits.Grace+p.limits.NoticeDelay), ms(silenceChecks*p.cfg.CheckInterval),
		c.turn, c.stands, ms(p.patience()))
	args = append(args, len(c.dead))
	for _, node := range c.dead {
		args = append(args, node)
	}
	args = append(args, len(c.restored))
	for _, s := range c.restored {
		args = append(args, s.user, s.sinceMS, s.stamp)
	}
	args = append(args, len(c.changes))
	for _, ch := range c.changes {
		args = append(args, ch.user, ch.count, ch.sinceMS, ch.lost, ch.op, ch.data, ch.stamp)
	}
	return []string{key, key + "c", key + "g"}, args
}

// run runs calls in one round trip for each server that has a part in them. Errs has an error for each call that failed.
func (p *Presence) run(ctx context.Context, calls []*call) (answers []*answer, errs []error) {
	ctx, cancel := context.WithTimeout(ctx, p.client.Config().CommandTimeout)
	defer cancel()
	answers, errs = make([]*answer, len(calls)), make([]error, len(calls))
	todo := make([]int, len(calls))
	for i := range todo {
		todo[i] = i
	}
	for _, text := range []bool{false, true} {
		pipe, cmds := p.client.Do().Pipeline(), make([]*goredis.Cmd, len(todo))
		for i, n := range todo {
			keys, args := p.args(calls[n])
			if text {
				cmds[i] = p.script.Eval(ctx, pipe, keys, args...)
			} else {
				cmds[i] = p.script.EvalSha(ctx, pipe, keys, args...)
			}
		}
		p.commands.Add(uint64(len(todo)))
		_, _ = pipe.Exec(ctx) // each command has its own error
		var unknown []int
		for i, n := range todo {
			reply, err := cmds[i].Slice()
			if answered, ok := cmds[i].Val().([]any); ok { // the library gives an error of one server to the commands of all
				reply, err = answered, nil
			}
			if !text && goredis.HasErrorPrefix(err, "NOSCRIPT") {
				unknown = append(unknown, n)
				continue
			}
			if errs[n] = err; err == nil {
				answers[n], errs[n] = readAnswer(reply)
			}
		}
		if todo = unknown; len(todo) == 0 {
			break
		}
	}
	return answers, errs
}

// reader reads a reply of the script, item by item; what is not as expected is remembered.
type reader struct {
	items []any
	bad   bool
}

func (r *reader) next() (v any) {
	if len(r.items) == 0 {
		r.bad = true
		return nil
	}
	v, r.items = r.items[0], r.items[1:]
	return v
}

func (r *reader) text() string {
	s, ok := r.next().(string)
	r.bad = r.bad || !ok
	return s
}

func (r *reader) number() int64 {
	switch v := r.next().(type) {
	case int64:
		return v
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		r.bad = r.bad || err != nil || n < 0
		return n
	}
	r.bad = true
	return 0
}

func (r *reader) list() *reader {
	items, _ := r.next().([]any)
	return &reader{items: items}
}

func readAnswer(reply []any) (*answer, error) {
	r := &reader{items: reply}
	a := &answer{status: r.text()}
	if a.status == "full" {
		a.exists = r.number() == 1
	}
	if a.status == "ok" {
		a.version, a.life = uint64(r.number()), uint64(r.number())
		a.tell, a.over = time.Duration(r.number())*time.Millisecond, time.Duration(r.number())*time.Millisecond
		a.stands = uint64(r.number())
		for kind, n := range r.list().items {
			count, ok := n.(int64)
			if r.bad = r.bad || !ok || kind >= len(a.told); !r.bad {
				a.told[kind] = int(count)
			}
		}
		for _, item := range r.list().items {
			fields, _ := item.([]any)
			f := &reader{items: fields}
			a.results = append(a.results, result{code: f.text(), sinceMS: f.number(), stamp: uint64(f.number()), data: bytesOf(f.text())})
			r.bad = r.bad || f.bad
		}
		for list := r.list(); len(list.items) > 1; {
			user, text := list.text(), list.text()
			if rec, ok := readRecord(user, text); ok {
				a.list = append(a.list, rec)
			}
		}
		a.restored = r.number() == 1
	}
	if r.bad {
		return nil, fmt.Errorf("%w: %.200v", errGarbled, reply)
	}
	return a, nil
}

// errGarbled is an answer that the script does not give.
var errGarbled = errors.New("presence: the script's answer cannot be read")

// readRecord reads a member as the script writes him. What another program wrote there is no member.
func readRecord(user, text string) (rec record, ok bool) {
	f := strings.SplitN(text, ",", 6)
	if len(f) != 6 {
		return rec, false
	}
	count, err1 := strconv.ParseUint(f[0], 10, 31)
	since, err2 := strconv.ParseInt(f[1], 10, 64)
	stamp, err3 := strconv.ParseUint(f[3], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || !sound([]byte(f[5])) {
		return rec, false
	}
	return record{
		Member: message.Member{UserID: user, Data: bytesOf(f[5]), Connections: int(count), SinceMS: since}, stamp: stamp,
		gone: strings.Contains(f[2], "g"), known: strings.Contains(f[2], "k"), changes: strings.Contains(f[2], "c"),
	}, true
}

func bytesOf(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}
