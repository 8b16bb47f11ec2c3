package engine

import (
	"github.com/wse-engine/wse/engine/admin"
	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/quota"
	"github.com/wse-engine/wse/engine/router"
)

// Take implements [conn.Handler]: what comes too fast is passed over.
func (c *client) Take(_ *conn.Conn, bytes int) bool {
	if c.admitted != nil {
		return true // it is not open yet
	}
	v := c.meter.Take(c.engine.quota, c.protocol.Identity().UserID, 1, bytes)
	return v.Action == quota.Pass || c.limited(v, "")
}

// takeBatch asks for the messages in a batch. Their bytes were asked for with the batch, and one of them too.
func (c *client) takeBatch(r *message.Request) bool {
	batch, ok := r.Body.(*message.Batch)
	if !ok {
		return true
	}
	more := min(max(len(batch.Messages), batch.TooMany), c.engine.cfg.Limits.Router.BatchMessagesMax) - 1
	if more <= 0 {
		return true
	}
	return c.passes(c.meter.Take(c.engine.quota, c.protocol.Identity().UserID, more, 0), r)
}

// takeInflated asks for what inflating a message made, which is known only now. Its length as it came was asked for before.
func (c *client) takeInflated(r *message.Request) bool {
	if r.Inflated == 0 {
		return true
	}
	return c.passes(c.meter.Take(c.engine.quota, c.protocol.Identity().UserID, 0, r.Inflated), r)
}

// takeKeys asks for the keys that a message, or what is in a batch, would have agreed on.
func (c *client) takeKeys(r *message.Request) bool {
	if !c.protocol.Encryption {
		return true
	}
	n := offersKey(r)
	if batch, ok := r.Body.(*message.Batch); ok {
		for _, one := range batch.Messages {
			n += offersKey(one.Request)
		}
	}
	return n == 0 || c.passes(c.meter.TakeKeys(c.engine.quota, n), r)
}

// offersKey is 1 for a hello with a key and 0 for everything else.
func offersKey(r *message.Request) int {
	if hello, ok := r.Body.(*message.Hello); ok && hello.PublicKey != "" {
		return 1
	}
	return 0
}

// passes reports whether a message that can be read is handled, by the verdict about it.
func (c *client) passes(v quota.Verdict, r *message.Request) bool {
	cid := r.ReplyCID()
	if v.Action == quota.RefuseSilent && cid != "" {
		v.Action = quota.Refuse // its sender waits for an answer
	}
	return v.Action == quota.Pass || c.limited(v, cid)
}

// limited tells a client that it comes near a limit, or reached it, and reports whether its message is handled all the same.
func (c *client) limited(v quota.Verdict, cid string) bool {
	switch v.Action {
	case quota.Warn:
		c.warn(v.Limit)
		return true
	case quota.Refuse, quota.Close:
		reply := &message.Reply{CID: cid, Body: &message.Failure{Err: c.engine.quota.Refusal(v.Limit, c.meter.Refused())}}
		if v.Action == quota.Refuse {
			c.protocol.Conn.Send(reply)
		} else {
			c.protocol.Conn.CloseWith(reply, dialect.CloseRateLimited, "too many messages beyond the limit")
		}
	}
	return false
}

// admit implements [router.AdmitFunc]: the connection, which counted for its address only, counts for its user from here on.
func (e *Engine) admit(s *router.Client, user string) error {
	near, refused := e.quota.Login(user)
	if refused != quota.None {
		return e.quota.Refusal(refused, 1)
	}
	if near != quota.None {
		s.Warn(nil, e.quota.Warning(near))
	}
	return nil
}

// warn tells a client that it comes near a limit.
func (c *client) warn(limit quota.Limit) {
	if limit != quota.None {
		c.protocol.Conn.Send(&message.Reply{Body: &message.Failure{Err: c.engine.quota.Warning(limit), Warning: true}})
	}
}

// limitsMet is how often clients came to their limits.
func (e *Engine) limitsMet() []admin.LimitMet {
	var met []admin.LimitMet
	for _, n := range e.quota.Counts() {
		met = append(met, admin.LimitMet{Limit: n.Limit, Result: n.Result.String(), Count: n.N})
	}
	feed := e.feed.Met()
	requests, floods := e.router.Refused()
	warned, refused, closed := quota.Warned.String(), quota.Refused.String(), quota.Closed.String()
	return append(met,
		admin.LimitMet{Limit: "topics_per_connection", Result: warned, Count: feed.TopicsWarned},
		admin.LimitMet{Limit: "topics_per_connection", Result: refused, Count: feed.TopicsRefused},
		admin.LimitMet{Limit: "client_messages.payload_kib_max", Result: warned, Count: feed.PayloadWarned},
		admin.LimitMet{Limit: "client_messages.payload_kib_max", Result: refused, Count: feed.PayloadRefused},
		admin.LimitMet{Limit: "requests_pending_max", Result: refused, Count: requests},
		admin.LimitMet{Limit: "bad_messages_per_minute", Result: closed, Count: floods},
		admin.LimitMet{Limit: failuresLimit, Result: refused, Count: e.login.failures.Stats().Refused},
	)
}

// reviews is what became of the subscriptions that were asked about again.
func (e *Engine) reviews() map[string]uint64 {
	met := e.feed.Met()
	return map[string]uint64{"kept": met.Kept, "ended": met.Ended, "undecided": met.Undecided}
}
