package feed

import (
	"sync/atomic"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/router"
)

// warnPercent is the part of a limit from which a client is warned (PROTOCOL §2.3).
const warnPercent = 80

// Met is how often clients came to the limits of this package since the start, and what became of subscriptions that were
// asked about again.
type Met struct {
	TopicsWarned, TopicsRefused   uint64 // topics_per_connection
	PayloadWarned, PayloadRefused uint64 // client_messages.payload_kib_max
	Kept, Ended, Undecided        uint64 // subscriptions reviewed
}

// met counts what [Met] tells.
type met struct {
	topicsWarned, topicsRefused, payloadWarned, payloadRefused, kept, ended, undecided atomic.Uint64
}

// Met returns the figures.
func (f *Feed) Met() Met {
	m := &f.met
	return Met{
		TopicsWarned: m.topicsWarned.Load(), TopicsRefused: m.topicsRefused.Load(),
		PayloadWarned: m.payloadWarned.Load(), PayloadRefused: m.payloadRefused.Load(),
		Kept: m.kept.Load(), Ended: m.ended.Load(), Undecided: m.undecided.Load(),
	}
}

// details are the details of an error about a limit.
type details struct {
	Limit   string `json:"limit"`
	Scope   string `json:"scope"`
	Max     int    `json:"max"`
	Used    int    `json:"used"`
	Refused int    `json:"refused"`
}

// warnOfTopics tells a client that had before topics, and now has more, that few more are allowed.
func (f *Feed) warnOfTopics(s *router.Client, req *message.Request, before int) {
	now, limit := s.Member.Len(), f.cfg.TopicsPerConnection
	if near := limit * warnPercent; now*100 <= near || before*100 > near {
		return
	}
	f.met.topicsWarned.Add(1)
	s.Warn(req, message.Errorf(message.CodeSubscriptionLimit, "the connection has %d topics of the %d allowed", now, limit).
		WithDetails(details{"topics_per_connection", "connection", limit, now, 0}))
}

// checkPayload refuses a client's own message that is too large, and warns of one that nearly is.
func (f *Feed) checkPayload(s *router.Client, req *message.Request, size int) error {
	limit := f.client.PayloadKiBMax << 10
	d := details{Limit: "client_messages.payload_kib_max", Scope: "message", Max: f.client.PayloadKiBMax, Used: (size + 1023) >> 10}
	switch {
	case size > limit:
		f.met.payloadRefused.Add(1)
		d.Refused = 1
		return message.Errorf(message.CodeMessageTooLarge, "p has %d bytes, at most %d are allowed", size, limit).WithDetails(d)
	case size*100 > limit*warnPercent:
		f.met.payloadWarned.Add(1)
		s.Warn(req, message.Errorf(message.CodeMessageTooLarge, "p has %d bytes of the %d allowed", size, limit).WithDetails(d))
	}
	return nil
}
