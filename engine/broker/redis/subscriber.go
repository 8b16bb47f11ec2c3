package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
)

// Paces and sizes of a subscriber's connection.
const (
	pingEvery      = time.Second
	silenceMax     = 3 * time.Second       // of a server that was asked for a sign of life every second
	reconnectFirst = 20 * time.Millisecond // before another connection is tried
	reconnectLast  = 500 * time.Millisecond
	flushEvery     = 2 * time.Millisecond // at most: what is wanted meanwhile goes into one command
	namesMax       = 1000                 // channels of one SUBSCRIBE
)

// subscriber keeps a connection subscribed to channels. Each connection is used once: where it ends another one is made, which
// subscribes to everything anew, and each confirmation says that its topic may have been missed.
type subscriber struct {
	f     *follower
	index int    // 0 for the one that brings patterns
	addr  string // of the one server it connects to, for sharded Pub/Sub; "": it is a plain one
	made  time.Time
	wake  chan struct{}
	ended atomic.Uint64 // connections that ended

	mu       sync.Mutex
	channels map[string]*channel // guarded by mu
	dirty    []*channel          // guarded by mu; whose state is not what it should be
	end      func()              // guarded by mu; ends the connection; nil: there is none
	began    time.Time           // guarded by mu; when the connection was made
	mark     mark                // guarded by mu
	probe    string              // guarded by mu; the channel of its probes
	fault    error               // guarded by mu; why the last connection ended; nil: the one of now is subscribed to something
}

// mark is a moment up to which everything that was published has been received on a connection, or made up for.
type mark struct {
	theirs time.Time // by Redis's clock
	ours   time.Time // not later
}

// channel is one name that a subscriber is, or should be, subscribed to.
type channel struct {
	name      string
	pattern   bool
	confirmed func() // called at each confirmation, by the reader; nil: it matters to nobody

	wanted  bool
	sent    bool // the last command on this connection was to subscribe
	awaited int  // confirmations of subscriptions that are still to come on this connection
	left    int  // confirmations that it was unsubscribed from, still to come on this connection
	pending bool // stands in dirty
}

func newSubscriber(f *follower, index int) *subscriber {
	return &subscriber{f: f, index: index, made: time.Now(), wake: make(chan struct{}, 1), channels: map[string]*channel{}}
}

// nowhere is the index of the subscriber that never connects, and so keeps nothing.
const nowhere = -1

// want has the subscriber subscribe to a channel.
func (s *subscriber) want(name string, pattern bool, confirmed func()) {
	if s.index == nowhere {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[name]
	if c == nil {
		c = &channel{name: name, pattern: pattern}
		s.channels[name] = c
	}
	if !c.wanted {
		c.sent = false // where it has not been unsubscribed from yet, it is subscribed to again, for the confirmation
	}
	c.wanted, c.confirmed = true, confirmed
	s.touch(c)
}

// drop has the subscriber unsubscribe from a channel.
func (s *subscriber) drop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.channels[name]; c != nil {
		c.wanted, c.confirmed = false, nil
		s.touch(c)
	}
}

// brings reports whether the server has confirmed that a channel is subscribed to, on the connection of now.
func (s *subscriber) brings(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[name]
	return c != nil && c.sent && c.awaited == 0
}

// touch has the writer look at c. mu is held.
func (s *subscriber) touch(c *channel) {
	if c.pending {
		return
	}
	c.pending = true
	s.dirty = append(s.dirty, c)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run keeps the connection until ctx ends.
func (s *subscriber) run(ctx context.Context) {
	wait := reconnectFirst
	for ctx.Err() == nil {
		began := time.Now()
		err := s.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		if s.ended.Add(1); time.Since(began) > reconnectLast {
			wait = reconnectFirst
		}
		if s.failed(err) {
			s.f.b.log.Warn("a connection that receives from Redis ended; it is made again", "connection", s.index, "error", err)
		}
		sleep(ctx, wait)
		wait = min(reconnectLast, 2*wait)
	}
}

// serve makes a connection and works on it until it ends.
func (s *subscriber) serve(ctx context.Context) error {
	addr, err := s.server(ctx)
	if err != nil {
		return err
	}
	client := s.f.dial(addr)
	defer client.Close()
	pubsub := client.Subscribe(ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = pubsub.Close() })()
	defer pubsub.Close()
	if err := s.hello(ctx); err != nil {
		return err
	}
	probe := s.probeChannel()
	if err := s.subscribe(ctx, pubsub, probe); err != nil {
		return err
	}
	if s.index == 0 {
		s.f.unsettle()
	}
	s.begin(cancel, probe)
	defer s.begin(nil, "")
	s.f.probe.now()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		defer cancel()
		s.write(ctx, pubsub)
	})
	for {
		m, err := pubsub.ReceiveTimeout(ctx, silenceMax)
		if err != nil {
			if s.refused(err) {
				continue
			}
			return err
		}
		switch m := m.(type) {
		case *goredis.Message:
			s.f.message(s, m)
		case *goredis.Subscription:
			if s.works() {
				s.f.b.log.Info("a connection receives from Redis again", "connection", s.index, "server", addr)
			}
			s.confirmation(m)
		}
	}
}

// failed takes note of why a connection ended, and reports whether the one before it had worked.
func (s *subscriber) failed(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	worked := s.fault == nil
	s.fault = err
	return worked
}

// works takes note that the server takes subscriptions, and reports whether it had not.
func (s *subscriber) works() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	again := s.fault != nil
	s.fault = nil
	return again
}

// explain adds to err why there is no connection, if that is so.
func (s *subscriber) explain(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		err = fmt.Errorf("%w; the connection ended: %w", err, s.fault)
	}
	return err
}

// hello makes sure that there is a time from which on publications count as missed where there was no connection before.
func (s *subscriber) hello(ctx context.Context) error {
	s.mu.Lock()
	known := !s.mark.theirs.IsZero()
	s.mu.Unlock()
	if known {
		return nil
	}
	sent := time.Now()
	now, err := s.f.time(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.mark = mark{now, sent}
	}
	return err
}

// begin forgets what the last connection was subscribed to. End ends the new one; it is nil where there is none.
func (s *subscriber) begin(end func(), probe string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end, s.began, s.probe = end, time.Now(), probe
	for name, c := range s.channels {
		if c.sent, c.awaited, c.left = false, 0, 0; !c.wanted && !c.pending {
			delete(s.channels, name)
		} else if end != nil {
			s.touch(c)
		}
	}
}

// write subscribes and unsubscribes, and asks for signs of life, until ctx ends or the connection fails.
func (s *subscriber) write(ctx context.Context, pubsub *goredis.PubSub) {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	var flushed time.Time
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			if wait := flushEvery - time.Since(flushed); wait > 0 {
				sleep(ctx, wait)
			}
			err = s.flush(ctx, pubsub)
			flushed = time.Now()
		case <-ticker.C:
			err = pubsub.Ping(ctx)
		}
		if err != nil {
			return
		}
	}
}

// flush makes the connection's subscriptions what they should be, with as few commands as can be.
func (s *subscriber) flush(ctx context.Context, pubsub *goredis.PubSub) error {
	subscribe, unsubscribe := s.changes()
	if s.addr != "" {
		for _, names := range bySlot(unsubscribe[0]) {
			if err := inParts(ctx, names, pubsub.SUnsubscribe); err != nil {
				return err
			}
		}
		for _, names := range bySlot(subscribe[0]) {
			if err := inParts(ctx, names, pubsub.SSubscribe); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.Join(
		inParts(ctx, unsubscribe[0], pubsub.Unsubscribe), inParts(ctx, unsubscribe[1], pubsub.PUnsubscribe),
		inParts(ctx, subscribe[0], pubsub.Subscribe), inParts(ctx, subscribe[1], pubsub.PSubscribe))
}

// inParts calls command with names, not too many at a time.
func inParts(ctx context.Context, names []string, command func(ctx context.Context, names ...string) error) error {
	for part := range slices.Chunk(names, namesMax) {
		if err := command(ctx, part...); err != nil {
			return err
		}
	}
	return nil
}

func (s *subscriber) subscribe(ctx context.Context, pubsub *goredis.PubSub, name string) error {
	if s.addr != "" {
		return pubsub.SSubscribe(ctx, name)
	}
	return pubsub.Subscribe(ctx, name)
}

// changes returns what to subscribe to and what to unsubscribe from, plain names and patterns, and takes it as sent.
func (s *subscriber) changes() (subscribe, unsubscribe [2][]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.dirty {
		kind := 0
		if c.pattern {
			kind = 1
		}
		c.pending = false
		switch {
		case c.wanted && !c.sent:
			c.sent = true
			c.awaited++
			subscribe[kind] = append(subscribe[kind], c.name)
		case !c.wanted && c.sent:
			c.sent = false
			c.left++
			unsubscribe[kind] = append(unsubscribe[kind], c.name)
		}
		if !c.wanted && c.awaited == 0 && c.left == 0 {
			delete(s.channels, c.name)
		}
	}
	s.dirty = nil
	return subscribe, unsubscribe
}

// confirmation takes the server's word that a channel is subscribed to, or no more.
func (s *subscriber) confirmation(m *goredis.Subscription) {
	if confirmed := s.confirm(m.Channel, strings.HasSuffix(m.Kind, "unsubscribe")); confirmed != nil {
		confirmed()
	}
}

func (s *subscriber) confirm(name string, left bool) (confirmed func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[name]
	switch {
	case c == nil:
		return nil
	case left && c.left > 0:
		c.left--
	case left: // a slot that moved takes its channels with it
		c.sent, c.awaited = false, 0
		s.f.shards.ring()
	case c.awaited > 0:
		if c.awaited--; c.awaited == 0 && c.wanted {
			return c.confirmed
		}
	}
	if !c.wanted {
		s.touch(c)
	}
	return nil
}

// leaveServer ends the connection of now if it is older than the given time; another one follows, perhaps to another server.
func (s *subscriber) leaveServer(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil && s.began.Before(since) {
		s.f.b.log.Warn("a connection to Redis does not bring what is published; another one is made", "connection", s.index)
		s.end()
	}
}

// message takes what a channel brought.
func (f *follower) message(s *subscriber, m *goredis.Message) {
	name, ours := strings.CutPrefix(m.Channel, redis.Prefix)
	if !ours || name == "" {
		return
	}
	if name[0] == '_' {
		if strings.HasPrefix(m.Channel, f.probe.channel) {
			f.probe.arrived(s, m.Payload)
		}
		return
	}
	topic, body := message.Topic(name), m.Payload
	switch {
	case strings.HasPrefix(body, head):
		at, ok := readPlace(body)
		if !ok || len(body) > f.b.cfg.PublicationKiBMax<<10+placeBytesMax {
			f.tally.malformed.Add(1)
			return
		}
		t := f.lookup(topic)
		if t == nil && m.Pattern != "" {
			t = f.see(topic, m.Pattern)
		}
		if t != nil {
			t.hear(at, body)
		}
	case strings.HasPrefix(body, noticeHead) && f.b.notice != nil:
		f.notice(topic, m)
	}
}

// noticeHead begins what nodes tell each other of a topic on its channel.
const noticeHead = `{"v":2,"notice":`

// notice hands a notice on, in order with the topic's publications; one that two subscriptions brought comes once.
func (f *follower) notice(topic message.Topic, m *goredis.Message) {
	t := f.lookup(topic)
	if t == nil {
		if _, err := message.ParseTopic(string(topic)); m.Pattern != "" && err == nil {
			f.b.notice(topic, []byte(m.Payload))
		}
		return
	}
	f.mu.RLock()
	own := t.own != nil
	f.mu.RUnlock()
	if own != (m.Pattern == "") {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f.b.notice(topic, []byte(m.Payload))
}

// readPlace reads the number and the epoch of a numbered publication, which stand at its beginning.
func readPlace(raw string) (at place, ok bool) {
	raw = raw[len(head):]
	i := 0
	for ; i < len(raw) && i < 16 && raw[i] >= '0' && raw[i] <= '9'; i++ {
		at.seq = at.seq*10 + uint64(raw[i]-'0')
	}
	rest, ok := strings.CutPrefix(raw[i:], `,"epoch":`)
	if !ok || i == 0 || raw[0] == '0' || at.seq > 1<<53 || len(rest) < 10 {
		return place{}, false
	}
	epoch, err := readEpoch([]byte(rest[:10]))
	at.epoch = epoch
	return at, err == nil && rest[9] == '"'
}
