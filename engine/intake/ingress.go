package intake

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
)

// How what nodes publish on a topic's channel begins.
const (
	numbered = `{"v":2,"seq":`
	notice   = `{"v":2,"notice":`
)

// internalPrefix begins channels that nodes use among themselves.
const internalPrefix = redis.Prefix + "_"

const (
	hearTimeout     = time.Second // after so long a silence Redis is asked for a sign of life
	hearTimeoutsMax = 3           // silences in a row, asked or not, that end a connection
	channelCut      = 512         // of a channel's name, in a letter
)

// ingress hears what foreign programs publish while this node has the lease.
type ingress struct {
	in     *Intake
	lease  *lease
	report func(err error)
	seed   maphash.Seed
	ids    *message.IDSource
	counts ingressCounters
}

type ingressCounters struct {
	passed, heard, letters, retries, fenced, lost, interrupted atomic.Uint64
	status                                                     [ingest.Statuses]atomic.Uint64
}

// foreign is what somebody published on a channel.
type foreign struct {
	channel, payload string
	bytes            int    // of the payload; more than there are: it is cut
	id               string // where it has none of its own: the same each time it is tried
}

func newIngress(in *Intake) *ingress {
	return &ingress{
		in: in, report: in.reporter("hearing " + redis.Prefix + "*"), seed: maphash.MakeSeed(), ids: message.NewIDSource("pub"),
		lease: in.lease(redis.Prefix+"{_ingress}:lease", redis.Prefix+"{_ingress}:fence", "the lease of the ingress"),
	}
}

// work hears and publishes until its turn is over.
func (g *ingress) work(ctx context.Context, t *term) {
	queues := make([]chan foreign, g.in.cfg.IngressWorkers)
	var workers sync.WaitGroup
	for i := range queues {
		queues[i] = make(chan foreign, (g.in.cfg.IngressQueueMax+len(queues)-1)/len(queues))
		workers.Go(func() { g.publishAll(ctx, t, queues[i]) })
	}
	defer workers.Wait()
	defer func() {
		for _, q := range queues {
			close(q)
		}
	}()
	for ctx.Err() == nil && t.lasts() {
		g.listen(ctx, t, queues)
		wait(ctx, retryFirst)
	}
}

// listen hears over one subscription until it does not work any more.
func (g *ingress) listen(ctx context.Context, t *term, queues []chan foreign) {
	sub := g.in.do.PSubscribe(ctx, redis.Prefix+"*")
	defer sub.Close()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })()
	confirmed, silences := 0, 0
	for ctx.Err() == nil && t.lasts() {
		got, err := sub.ReceiveTimeout(ctx, hearTimeout)
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			if silences++; silences < hearTimeoutsMax && sub.Ping(ctx) == nil {
				continue
			}
			fallthrough
		case err != nil:
			if ctx.Err() == nil {
				g.counts.interrupted.Add(1)
				g.report(err)
			}
			return
		}
		silences = 0
		switch m := got.(type) {
		case *goredis.Subscription:
			if confirmed++; confirmed > 1 {
				g.counts.interrupted.Add(1) // the library connected anew by itself
			}
			g.report(nil)
		case *goredis.Message:
			g.hear(ctx, m, queues)
		}
	}
}

// hear passes over what nodes published, and hands on the rest.
func (g *ingress) hear(ctx context.Context, m *goredis.Message, queues []chan foreign) {
	if strings.HasPrefix(m.Payload, numbered) || strings.HasPrefix(m.Payload, notice) || strings.HasPrefix(m.Channel, internalPrefix) {
		g.counts.passed.Add(1)
		return
	}
	g.counts.heard.Add(1)
	f := foreign{channel: m.Channel, payload: m.Payload, bytes: len(m.Payload)}
	if most := max(g.in.ingest.EventBytesMax(), g.in.cfg.DeadLetterKiBMax<<10); f.bytes > most {
		f.payload = strings.Clone(f.payload[:most]) // so that what waits has a limit
	}
	q := queues[maphash.String(g.seed, m.Channel)%uint64(len(queues))]
	select {
	case q <- f:
	case <-ctx.Done():
		g.counts.lost.Add(1)
	}
}

// publishAll publishes what comes through q.
func (g *ingress) publishAll(ctx context.Context, t *term, q <-chan foreign) {
	through := g.in.ingest.Through(&turn{broker: g.in.broker, term: t, fenced: true})
	for f := range q {
		g.take(ctx, t, through, &f)
	}
}

// take publishes what was heard, or makes it a dead letter. While nothing can be published it tries again, and gives up with its
// turn: to publish later would be to publish behind what the next holder heard.
func (g *ingress) take(ctx context.Context, t *term, in *ingest.Ingest, f *foreign) {
	f.id = g.ids.Next()
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		results, err := g.publish(ctx, in, f)
		for _, r := range results {
			g.counts.status[r.Status].Add(1)
		}
		switch {
		case err == nil:
			return
		case errors.Is(err, broker.ErrFenced):
			g.counts.fenced.Add(1)
			return
		case ctx.Err() != nil || !t.lasts():
			g.counts.lost.Add(1)
			return
		case !ingest.Passing(err):
			if err = g.letter(ctx, f, err); err == nil {
				return
			}
		}
		g.counts.retries.Add(1)
		g.report(err)
		wait(ctx, pause)
	}
}

// publish publishes what was heard.
func (g *ingress) publish(ctx context.Context, in *ingest.Ingest, f *foreign) ([]ingest.Result, error) {
	topic, err := topicOf(f.channel)
	if err != nil {
		return nil, err
	}
	if most := in.EventBytesMax(); f.bytes > most {
		return nil, message.Errorf(message.CodeMessageTooLarge, "has %d bytes, at most %d are taken; see limits.event_kib_max", f.bytes, most)
	}
	env, ev, err := in.ParseForeign(topic, []byte(f.payload))
	switch {
	case err != nil:
		return nil, err
	case ev != nil:
		ev.ID = cmp.Or(ev.ID, f.id)
		return in.PublishEvent(ctx, ev)
	}
	env.ID = cmp.Or(env.ID, f.id)
	r, err := in.Publish(ctx, env)
	if err != nil {
		return nil, err
	}
	return []ingest.Result{r}, nil
}

// letter makes what was heard a dead letter.
func (g *ingress) letter(ctx context.Context, f *foreign, reason error) error {
	k := letter{channel: channelName(f.channel), kind: kindPublication, from: message.Cut(f.channel, channelCut), bytes: f.bytes}
	k.event = ingest.Letter{Reason: reason.Error(), Document: []byte(f.payload)}
	if _, err := g.in.letters.keep(ctx, k); err != nil {
		return err
	}
	g.counts.letters.Add(1)
	return nil
}

func (g *ingress) stats() IngressStats {
	c := &g.counts
	return IngressStats{
		Hearing: g.lease.held.Load(), LeaseChanges: g.lease.changes.Load(),
		Passed: c.passed.Load(), Heard: c.heard.Load(), Retries: c.retries.Load(), Fenced: c.fenced.Load(), Lost: c.lost.Load(),
		Interrupted: c.interrupted.Load(),
		Published:   c.status[ingest.Published].Load(), Duplicates: c.status[ingest.Duplicate].Load(), Dropped: c.status[ingest.Dropped].Load(),
		DeadLetters: c.letters.Load() + c.status[ingest.DeadLettered].Load(),
	}
}
