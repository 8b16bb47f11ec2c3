package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/wse-engine/wse/sdk/abi"
)

// AuthorizeRequest asks whether somebody may do something with a topic.
type AuthorizeRequest struct {
	Action     string // subscribe, publish, presence or history
	Topic      string
	Identity   Identity
	Connection Connection
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
		scratch = &authScratch{}
	}
	defer h.scratch.Put(scratch)
	identity := scratch.encode(&r)
	sum := Verdict{}
	asked := 0
	for _, e := range t.hooks[hookAuthorize] {
		if !matchAny(e.bind, r.Topic) {
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
	}
	if asked == 0 {
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
	var got Verdict
	out, kind, err := v.call(ctx, hookAuthorize, s.doc, s.out, checkVerdict)
	if cap(out) > cap(s.out) {
		s.out = out[:0]
	}
	switch {
	case err != nil:
		return Verdict{}, err
	case kind == abi.Data:
		got, _ = parseVerdict(out)
	default:
		return Verdict{Allow: kind == abi.Yes}, nil
	}
	if got.TTL > 0 {
		v.cache.put(s.doc[:identity], got)
	}
	return got, nil
}

// authScratch is the memory of one Authorize: the request as the guest reads it, and an answer.
type authScratch struct{ doc, out []byte }

// encode writes r as sdk/ABI.md "authorize" describes. What stands before the returned position is all that a verdict
// may be remembered by: action, topic and identity, but not the connection.
func (s *authScratch) encode(r *AuthorizeRequest) (identity int) {
	b := append(s.doc[:0], `{"action":`...)
	b = appendJSONString(b, r.Action)
	b = appendJSONString(append(b, `,"topic":`...), r.Topic)
	b = appendJSONString(append(b, `,"identity":{"user_id":`...), r.Identity.UserID)
	b = append(b, `,"permissions":[`...)
	for i, p := range r.Identity.Permissions {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSONString(b, p)
	}
	b = append(b, `],"claims":`...)
	if claims := bytes.TrimSpace(r.Identity.Claims); len(claims) > 0 {
		b = append(b, claims...)
	} else {
		b = append(b, "{}"...)
	}
	identity = len(b)
	b = appendJSONString(append(b, `},"connection":{"id":`...), r.Connection.ID)
	b = appendJSONString(append(b, `,"dialect":`...), r.Connection.Dialect)
	b = appendJSONString(append(b, `,"remote_ip":`...), r.Connection.RemoteIP)
	s.doc = append(b, "}}"...)
	return identity
}

// verdictCache remembers verdicts for as long as their plugin asked, by the very bytes that the plugin was given. It
// dies with its version, so that a swap forgets everything.
type verdictCache struct {
	mu      sync.Mutex
	seed    maphash.Seed
	entries map[uint64]remembered // guarded by mu
	bytes   int                   // guarded by mu
	most    int
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
}

// remove drops an entry. c.mu is held.
func (c *verdictCache) remove(key uint64, e *remembered) {
	delete(c.entries, key)
	c.bytes -= e.size()
}

// parseVerdict reads {"allow":bool,"reason"?:string,"ttl_s"?:number}, and says what is wrong with it, or "". Reasons
// with escapes are decoded, numbers of seconds may have a fraction.
func parseVerdict(b []byte) (v Verdict, wrong string) {
	s := scanner{b: b}
	if !s.take('{') {
		return v, "is not a JSON object"
	}
	allow := false
	for first := true; !s.take('}'); first = false {
		if (!first && !s.take(',')) || s.peek() != '"' {
			return v, fmt.Sprintf("is not JSON at byte %d", s.i)
		}
		name, ok := s.text()
		if !ok || !s.take(':') {
			return v, fmt.Sprintf("is not JSON at byte %d", s.i)
		}
		s.peek()
		start := s.i
		if !s.value() {
			return v, fmt.Sprintf("is not JSON at byte %d", s.i)
		}
		if !v.field(string(name), b[start:s.i]) {
			return v, fmt.Sprintf("has a field %q that is unknown or of the wrong type", name)
		}
		allow = allow || string(name) == "allow"
	}
	switch {
	case s.peek() != 0 || s.i != len(b):
		return v, fmt.Sprintf("has more after the answer, at byte %d", s.i)
	case !allow:
		return v, `has no field "allow"`
	case !utf8.Valid(b):
		return v, "is not UTF-8"
	}
	return v, ""
}

func (v *Verdict) field(name string, value []byte) bool {
	switch name {
	case "allow":
		v.Allow = string(value) == "true"
		return v.Allow || string(value) == "false"
	case "reason":
		return value[0] == '"' && json.Unmarshal(value, &v.Reason) == nil
	case "ttl_s":
		seconds, err := strconv.ParseFloat(string(value), 64)
		v.TTL = time.Duration(min(seconds, ttlSecondsMax) * float64(time.Second))
		return err == nil && seconds >= 0
	}
	return false
}

// ttlSecondsMax is a day: a verdict older than that is nobody's intention.
const ttlSecondsMax = 24 * 60 * 60

func checkVerdict(b []byte) string {
	_, wrong := parseVerdict(b)
	return wrong
}

// checkValidation returns what is wrong with the answer of a validate hook, or "".
func checkValidation(b []byte) string {
	if wrong := checkJSON(b); wrong != "" {
		return wrong
	}
	type finding struct{ Path, Message *string }
	var answer struct {
		Valid            *bool
		Errors, Warnings []finding
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return "is not a verdict: " + err.Error()
	}
	for _, f := range append(answer.Errors, answer.Warnings...) {
		if f.Path == nil || f.Message == nil {
			return "has an error or warning without path or message"
		}
	}
	switch {
	case answer.Valid == nil:
		return `has no field "valid"`
	case *answer.Valid && len(answer.Errors) > 0:
		return "contradicts itself: valid, and yet with errors"
	}
	return ""
}
