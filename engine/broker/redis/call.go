package redis

import (
	"context"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/message"
)

// call is a script call under way. Its caller makes it and puts it into a lane's queue; the lane's goroutine sends it, as often
// as it takes, and answers it. A caller who does not want to wait longer abandons it; it is the lane's then.
type call struct {
	state    atomic.Uint32 // waiting, sent, answered or abandoned
	done     chan struct{} // holds one; the lane puts it in when it has answered
	deadline time.Time     // when it is no longer tried
	topic    message.Topic
	slot     uint16
	script   *script
	writes   bool // it publishes: its lane records it, and replicas have to have it
	again    bool // it was sent before and may have been carried out

	cmd  goredis.Cmder // takes the answer; its arguments are the fields below
	sha  string
	key  textArg // {wse:<topic>}:m
	rec  textArg // where the lane records what it published
	id   textArg // what the publisher called it
	kind string  // of a snapshot that is to be retained
	rest textArg // the publication from its type on
	seat textArg // where in the lane's batches it is
	mode string
	repl string // of the server that it goes to

	err error // the lane's answer: why it was not carried out, or may not have been

	text  *goredis.StringCmd // cmd of a publication
	buf   []byte             // what key and rest are parts of
	timer *time.Timer
}

// The states of a call.
const (
	waiting uint32 = iota
	sent
	answered
	abandoned
)

// textArg is an argument that is written without being copied into an interface.
type textArg []byte

// MarshalBinary implements encoding.BinaryMarshaler, by which the client library writes arguments.
func (a *textArg) MarshalBinary() ([]byte, error) { return *a, nil }

// answer hands the call back to its caller and reports whether there still is one.
func (c *call) answer(err error) bool {
	c.err = err
	if !c.state.CompareAndSwap(sent, answered) {
		return false
	}
	c.done <- struct{}{}
	return true
}

// claim takes the call from its caller, for whom it counts as sent from now on, and reports whether he still waits for it.
func (c *call) claim() bool { return c.state.CompareAndSwap(waiting, sent) || c.state.Load() == sent }

// abandon gives the call up and reports whether it was sent before, and whether it is too late since it was answered.
func (c *call) abandon() (wasSent, tooLate bool) {
	if c.state.CompareAndSwap(waiting, abandoned) {
		return false, false
	}
	if c.state.CompareAndSwap(sent, abandoned) {
		return true, false
	}
	return true, true
}

// The modes of a publication's call; see script_publish.lua.
const (
	modeFirst = "first"
	modeNext  = "next"
	modeAgain = "again"
)

// newPublishCall returns a call whose arguments are its own fields, so that it can be used again and again without allocating.
func newPublishCall() *call {
	c := &call{done: make(chan struct{}, 1), writes: true, timer: time.NewTimer(time.Hour)}
	c.timer.Stop()
	c.text = goredis.NewStringCmd(context.Background(), "EVALSHA", &c.sha, "2", &c.key, &c.rec, &c.repl, &c.seat, &c.mode, &c.id, &c.kind, &c.rest)
	c.cmd = c.text
	return c
}

// reset makes a publication's call ready for the next one.
func (c *call) reset() {
	const bufBytesMax = 64 << 10 // a rare large publication must not hold its memory
	if cap(c.buf) > bufBytesMax {
		c.buf = nil
	}
	c.state.Store(waiting)
	c.again, c.err, c.script, c.topic = false, nil, nil, ""
	c.key, c.id, c.kind, c.rest = nil, nil, "", nil
	c.cmd = c.text
	c.text.SetErr(nil)
	c.text.SetVal("")
}
