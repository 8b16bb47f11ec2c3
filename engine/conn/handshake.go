package conn

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// The stages of a handshake.
const (
	stageHead   uint8 = iota // its head is awaited
	stageBody                // its body is
	stageParked              // a worker has it
	stageOpen                // the connection is open
)

// handshake is what a connection has until it is open. What is of the handshake alone is guarded by mu, which comes before
// the lane's lock.
type handshake struct {
	mu     sync.Mutex
	stage  uint8
	gone   bool   // the connection is, while a worker has it
	paused bool   // too much has come already to read on
	buf    []byte // what came and is not used yet
	head   *head  // from stageBody on
	cancel context.CancelFunc

	// Guarded by the lane's lock.
	counted    bool   // in Server.handshakes
	listed     bool   // in Lane.waiting: nobody has decided anything about it yet
	answered   bool   // with 101: no HTTP can be sent any more
	opened     bool   // and the Handler was told: what it sends first is queued
	leave      func() // what a drain does then, which came in between
	prev, next *Conn
}

// take keeps what came during the handshake and reports whether it did; if not, the connection is open.
func (hs *handshake) take(c *Conn, p []byte) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if hs.stage == stageOpen {
		return false
	}
	if c.closing.Load() {
		return true
	}
	c.receivedBytes.Add(uint64(len(p)))
	if err := hs.add(c, p); err != nil {
		var refusal *httpError
		if errors.As(err, &refusal) {
			c.refuse(refusal.status, refusal.text)
		}
	}
	return true
}

func (hs *handshake) add(c *Conn, p []byte) error {
	cfg := &c.lane.srv.cfg
	switch hs.stage {
	case stageHead:
		return hs.addHead(c, p, cfg.HeadKiBMax<<10)
	case stageBody:
		hs.buf = append(hs.buf, p...)
		hs.parkWithBody(c)
		return nil
	}
	hs.buf = append(hs.buf, p...)
	if len(hs.buf) > cfg.ParkedKiBMax<<10 {
		hs.paused = true
		c.pause(true)
	}
	return nil
}

// pause stops or restarts reading.
func (c *Conn) pause(stop bool) {
	c.lane.mu.Lock()
	defer c.lane.mu.Unlock()
	if c.out != outDone && !c.paused {
		c.sock.Pause(stop)
	}
}

// addHead looks for the end of the head. One that comes in a single read, as nearly all do, is not copied to find it.
func (hs *handshake) addHead(c *Conn, p []byte, bytesMax int) error {
	data, known := p, 0
	if len(hs.buf) > 0 {
		known = len(hs.buf)
		hs.buf = append(hs.buf, p...) // one read at most over the limit
		data = hs.buf
	}
	if !isTokenByte(data[0]) {
		return badRequest("this is not HTTP") // a TLS client, perhaps
	}
	end := endOfHead(data, known)
	if end < 0 && len(data) <= bytesMax {
		if known == 0 {
			hs.buf = cloneBytes(p)
		}
		return nil
	}
	if end < 0 || end > bytesMax {
		return headTooLarge(data[:min(len(data), bytesMax)])
	}
	h, err := parseHead(data[:end])
	if err != nil {
		return err
	}
	hs.buf = cloneBytes(data[end:])
	return hs.haveHead(c, h)
}

func headTooLarge(b []byte) error {
	for _, x := range b {
		if x == '\n' {
			return &httpError{http.StatusRequestHeaderFieldsTooLarge, "the request's headers are too long"}
		}
	}
	return &httpError{http.StatusRequestURITooLong, "the request's first line is too long"}
}

// haveHead decides what becomes of a request.
func (hs *handshake) haveHead(c *Conn, h *head) error {
	s := c.lane.srv
	hs.head = h
	if h.upgrade {
		if err := h.checkUpgrade(); err != nil {
			return err
		}
		hs.park(c, c.upgrade)
		return nil
	}
	switch {
	case h.transferEncoding:
		return &httpError{http.StatusLengthRequired, "send a Content-Length"}
	case h.body() > s.cfg.BodyKiBMax<<10:
		return &httpError{http.StatusRequestEntityTooLarge, "the body may have " + strconv.Itoa(s.cfg.BodyKiBMax) + " KiB"}
	}
	hs.stage = stageBody
	if h.expectContinue && len(hs.buf) < h.body() {
		c.writeRaw([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	}
	hs.parkWithBody(c)
	return nil
}

func (hs *handshake) parkWithBody(c *Conn) {
	if len(hs.buf) >= hs.head.body() {
		hs.park(c, c.serveHTTP)
	}
}

// park hands the connection to a worker: what now follows may be slow.
func (hs *handshake) park(c *Conn, job func(ctx context.Context, hs *handshake)) {
	l := c.lane
	l.mu.Lock()
	listed := hs.listed
	l.waiting.remove(c, hs)
	c.closeBy = 0
	l.rearm(c)
	l.mu.Unlock()
	if !listed {
		return // it was refused meanwhile
	}
	hs.stage = stageParked
	ctx, cancel := context.WithTimeout(l.srv.ctx, l.srv.cfg.HandshakeTimeout)
	hs.cancel = cancel
	l.srv.workers.submit(func() {
		defer cancel()
		job(ctx, hs)
	})
}

// abandon notes that the connection is gone and reports whether a worker has it, which then does the rest.
func (hs *handshake) abandon(c *Conn) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if hs.stage != stageParked {
		return false
	}
	hs.gone = true
	hs.cancel()
	return true
}

// answers reports whether a worker has a request that is no upgrade, so that it will be answered and the connection closed.
// Then nothing is read any more. A client of WebSocket that sends no more has ended its connection.
func (hs *handshake) answers(c *Conn) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if hs.stage != stageParked || hs.head.upgrade {
		return false
	}
	c.pause(true)
	return true
}

// settle ends the worker's part: what came meanwhile is fed to the parser, and the reading goroutine takes over. It does
// not make that goroutine wait.
func (hs *handshake) settle(c *Conn) {
	for {
		hs.mu.Lock()
		rest := hs.buf
		hs.buf = nil
		if hs.gone || len(rest) == 0 {
			hs.stage = stageOpen
			c.handshake.Store(nil)
			gone, paused := hs.gone, hs.paused
			hs.mu.Unlock()
			switch {
			case gone:
				c.gone()
			case paused:
				c.pause(false)
			}
			return
		}
		hs.mu.Unlock()
		c.feed(rest)
	}
}

// waitingList is the connections of a lane whose request has not come yet, oldest first, linked through their handshakes.
// It is guarded by the lane's lock.
type waitingList struct{ first, last *Conn }

func (w *waitingList) add(c *Conn, hs *handshake) {
	hs.listed = true
	if w.last == nil {
		w.first, w.last = c, c
		return
	}
	hs.prev = w.last
	w.last.handshake.Load().next = c
	w.last = c
}

func (w *waitingList) remove(c *Conn, hs *handshake) {
	if !hs.listed {
		return
	}
	hs.listed = false
	if hs.prev == nil {
		w.first = hs.next
	} else {
		hs.prev.handshake.Load().next = hs.next
	}
	if hs.next == nil {
		w.last = hs.prev
	} else {
		hs.next.handshake.Load().prev = hs.prev
	}
	hs.prev, hs.next = nil, nil
}

// beginHandshake lets a new connection in, to send its request in time. The lane's lock is held. Where there are too many
// already, the one that has waited longest without sending a whole request makes room: clients that mean it need a moment,
// and whoever only holds connections open would otherwise keep all others out.
func (l *Lane) beginHandshake(c *Conn) {
	s := l.srv
	hs := c.handshake.Load()
	if !s.handshakes.Take(1, int64(s.cfg.HandshakesMax)) {
		oldest := l.waiting.first
		if oldest == nil {
			l.refuse(c, http.StatusServiceUnavailable, "too many handshakes")
			return
		}
		oldest.handshake.Load().counted = false // its place is taken over, so that no other lane can have it
		l.handshakeLate(oldest)
	}
	hs.counted = true
	l.waiting.add(c, hs)
	c.closeBy = l.in(s.ticks(s.cfg.HandshakeTimeout))
	l.rearm(c)
}

// endHandshake stops counting a handshake. The lane's lock is held.
func (l *Lane) endHandshake(c *Conn) {
	hs := c.handshake.Load()
	if hs == nil {
		return
	}
	l.waiting.remove(c, hs)
	if hs.counted {
		hs.counted = false
		l.srv.handshakes.Add(-1)
	}
}

// handshakeLate gives up a connection that has not sent its request. The lane's lock is held.
func (l *Lane) handshakeLate(c *Conn) {
	l.refuse(c, http.StatusRequestTimeout, "the request did not come in time")
}

// upgraded reports whether frames can be sent. The lane's lock is held.
func (c *Conn) upgraded() bool {
	hs := c.handshake.Load()
	return hs == nil || hs.answered
}

// refuse answers in HTTP and closes. The lane's lock is not held.
func (c *Conn) refuse(status int, text string) {
	c.lane.mu.Lock()
	defer c.lane.mu.Unlock()
	c.lane.refuse(c, status, text)
}

// refuse is the same with the lane's lock held.
func (l *Lane) refuse(c *Conn, status int, text string) {
	if c.out != outOpen {
		return
	}
	if c.upgraded() {
		l.sendClose(c, codeTryAgain, text, outEnding)
		l.flushHot()
		return
	}
	s := l.srv
	s.refused.Add(1)
	if s.log.IsDebug() {
		s.log.Debug("connection refused", "connection", c.ID(), "remote", c.remote.String(), "status", status, "reason", text)
	}
	l.lastWords(c, refusal(status, text))
}

// lastWords sends b, which is not kept, and closes. The lane's lock is held.
func (l *Lane) lastWords(c *Conn, b []byte) {
	l.endHandshake(c)
	if c.idle() {
		l.writeNow(c, b, 0)
	}
	l.end(c)
}

// refusal makes an HTTP response without much in it.
func refusal(status int, text string) []byte {
	b := append(make([]byte, 0, 256), "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(append(b, ' '), http.StatusText(status)...)
	b = time.Now().UTC().AppendFormat(append(b, "\r\nDate: "...), http.TimeFormat)
	switch status {
	case http.StatusUpgradeRequired:
		b = append(b, "\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket"...)
	case http.StatusMethodNotAllowed:
		b = append(b, "\r\nAllow: GET"...)
	case http.StatusServiceUnavailable:
		b = append(b, "\r\nRetry-After: 1"...)
	case http.StatusTooManyRequests:
		b = append(b, "\r\nRetry-After: 10"...)
	}
	b = append(b, "\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(text)+1), 10)
	b = append(append(b, "\r\n\r\n"...), text...)
	return append(b, '\n')
}

// writeRaw sends bytes that belong to no message.
func (c *Conn) writeRaw(b []byte) {
	l := c.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.out == outOpen && c.idle() {
		l.writeNow(c, b, 0)
	}
}
