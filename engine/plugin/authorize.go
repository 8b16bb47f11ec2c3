package plugin

import (
	"bytes"
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/sdk/abi"
)

// AuthorizeRequest asks whether somebody may do something with a topic.
type AuthorizeRequest struct {
	Action     string // subscribe, publish, presence or history
	Topic      string
	Identity   Identity
	Connection Connection
	// Waiter is told of waits for a slow plugin. May be nil.
	Waiter Waiter
}

// Identity is who asks. Claims is the token's claims as a JSON object, or nil.
type Identity struct {
	UserID      string
	Permissions []string
	Claims      []byte
}

// Connection is where the request came from.
type Connection struct {
	ID       string
	Dialect  string
	RemoteIP string
}

// Verdict is the answer. Reason is the plugin's own text, which may be shown to the client; TTL is for how long the
// verdict holds, zero for this once.
type Verdict struct {
	Allow  bool
	Reason string
	TTL    time.Duration
}

// Authorize asks every plugin bound to the topic; all must allow. With none bound, and with an error (*CallError or
// [ErrClosed]), the verdict denies.
func (h *Host) Authorize(ctx context.Context, r AuthorizeRequest) (Verdict, error) {
	t, err := h.acquire()
	if err != nil {
		return Verdict{}, err
	}
	defer t.release()
	scratch, ok := h.scratch.Get().(*authScratch)
	if !ok {
		scratch = &authScratch{doc: make([]byte, 0, requestBytes)}
	}
	defer h.scratch.Put(scratch)
	identity := scratch.encode(&r)
	if r.Waiter != nil {
		scratch.ctx = waitingContext{ctx, r.Waiter}
		ctx = &scratch.ctx
		defer func() { scratch.ctx = waitingContext{} }()
	}
	sum := Verdict{}
	asked, covered := 0, false
	for _, e := range t.hooks[hookAuthorize] {
		whole := matchAny(e.bind, r.Topic)
		if !whole && !overlapsAny(e.bind, r.Topic) {
			continue
		}
		v, err := e.authorize(ctx, scratch, identity)
		if err != nil {
			return Verdict{}, e.withPolicy(err)
		}
		if !v.Allow {
			return v, nil
		}
		if asked++; asked == 1 || v.TTL < sum.TTL {
			sum.TTL = v.TTL
		}
		sum.Reason = v.Reason
		covered = covered || whole
	}
	if !covered { // of a pattern, plugins bound to a part of its topics cannot open the whole
		return Verdict{Reason: "no authorize plugin is bound to this topic"}, nil
	}
	sum.Allow = true
	return sum, nil
}

// authorize asks one plugin, or its memory.
func (v *version) authorize(ctx context.Context, s *authScratch, identity int) (Verdict, error) {
	if got, ok := v.cache.get(s.doc[:identity]); ok {
		return got, nil
	}
	kind, err := v.call(ctx, hookAuthorize, s.doc, &s.verdict)
	switch {
	case err != nil:
		return Verdict{}, err
	case kind != abi.Data:
		return Verdict{Allow: kind == abi.Yes}, nil
	}
	if s.verdict.TTL > 0 {
		v.cache.put(s.doc[:identity], s.verdict)
	}
	return s.verdict, nil
}

// requestBytes is what most requests take less than.
const requestBytes = 512

// authScratch is the memory of one Authorize: the request as the guest reads it, and an answer.
type authScratch struct {
	doc     []byte
	verdict Verdict
	ctx     waitingContext
}

// encode writes r as sdk/ABI.md "authorize" describes. What stands before the returned position is all that a verdict
// may be remembered by: action, topic and identity, but not the connection.
func (s *authScratch) encode(r *AuthorizeRequest) (identity int) {
	b := append(s.doc[:0], `{"action":`...)
	b = jsonscan.AppendQuoted(b, r.Action)
	b = jsonscan.AppendQuoted(append(b, `,"topic":`...), r.Topic)
	b = jsonscan.AppendQuoted(append(b, `,"identity":{"user_id":`...), r.Identity.UserID)
	b = append(b, `,"permissions":[`...)
	for i, p := range r.Identity.Permissions {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsonscan.AppendQuoted(b, p)
	}
	b = append(b, `],"claims":`...)
	if claims := bytes.TrimSpace(r.Identity.Claims); len(claims) > 0 {
		b = append(b, claims...)
	} else {
		b = append(b, "{}"...)
	}
	identity = len(b)
	b = jsonscan.AppendQuoted(append(b, `},"connection":{"id":`...), r.Connection.ID)
	b = jsonscan.AppendQuoted(append(b, `,"dialect":`...), r.Connection.Dialect)
	b = jsonscan.AppendQuoted(append(b, `,"remote_ip":`...), r.Connection.RemoteIP)
	s.doc = append(b, "}}"...)
	return identity
}

// verdictCache remembers verdicts for as long as their plugin asked, by the very bytes that the plugin was given. It
// dies with its version, so that a swap forgets everything.
type verdictCache struct {
	used    atomic.Bool // there was something to remember: most plugins never say so (BenchmarkStock)
	seed    maphash.Seed
	most    int
	mu      sync.Mutex
	entries map[uint64]remembered // guarded by mu
	bytes   int                   // guarded by mu
}

type remembered struct {
	request []byte
	verdict Verdict
	until   time.Time
}

// rememberedBytes is what an entry costs beside its texts.
const rememberedBytes = 160

func (r *remembered) size() int { return len(r.request) + len(r.verdict.Reason) + rememberedBytes }

func (c *verdictCache) init(most int) {
	c.seed, c.most, c.entries = maphash.MakeSeed(), most, map[uint64]remembered{}
}

// get returns a verdict that still holds, its TTL being what is left of it.
func (c *verdictCache) get(request []byte) (Verdict, bool) {
	if !c.used.Load() {
		return Verdict{}, false
	}
	key := maphash.Bytes(c.seed, request)
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok || !bytes.Equal(e.request, request) {
		return Verdict{}, false
	}
	left := time.Until(e.until)
	if left <= 0 {
		c.remove(key, &e)
		return Verdict{}, false
	}
	e.verdict.TTL = left
	return e.verdict, true
}

// put forgets arbitrary others, as the map yields them, where there is no room.
func (c *verdictCache) put(request []byte, v Verdict) {
	e := remembered{request: bytes.Clone(request), verdict: v, until: time.Now().Add(v.TTL)}
	if e.size() > c.most {
		return
	}
	key := maphash.Bytes(c.seed, request)
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.entries[key]; ok {
		c.remove(key, &old)
	}
	for k, old := range c.entries {
		if c.bytes+e.size() <= c.most {
			break
		}
		c.remove(k, &old)
	}
	c.entries[key] = e
	c.bytes += e.size()
	c.used.Store(true)
}

// remove drops an entry. c.mu is held.
func (c *verdictCache) remove(key uint64, e *remembered) {
	delete(c.entries, key)
	c.bytes -= e.size()
}
