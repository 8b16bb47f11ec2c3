package peer

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"sync"
)

// fifoSendBytes is how much a write of the FIFO peer gathers at most.
const fifoSendBytes = 64 << 10

// fifo keeps one queue per connection and sends it in order, everything pending in one write. Its queues have no limit,
// so that it loses nothing: what it shows is only how long things wait.
type fifo struct {
	mu     sync.Mutex
	topics map[string]map[*fifoConn]struct{} // guarded by mu
}

type fifoConn struct {
	conn net.Conn

	mu     sync.Mutex
	more   *sync.Cond
	queue  []byte // guarded by mu
	closed bool   // guarded by mu
}

func newFIFO() *fifo { return &fifo{topics: make(map[string]map[*fifoConn]struct{})} }

func (f *fifo) listen() (*net.TCPAddr, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go f.serve(conn)
		}
	}()
	return ln.Addr().(*net.TCPAddr), nil
}

func (f *fifo) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	head, err := readHead(conn)
	if err != nil {
		return
	}
	target, answer, err := upgrade(head)
	if err != nil {
		return
	}
	c := &fifoConn{conn: conn, queue: answer}
	c.more = sync.NewCond(&c.mu)
	go c.write()
	topics := bytes.Split([]byte(topicOf(target)), []byte(","))
	f.mu.Lock()
	for _, topic := range topics {
		if f.topics[string(topic)] == nil {
			f.topics[string(topic)] = make(map[*fifoConn]struct{})
		}
		f.topics[string(topic)][c] = struct{}{}
	}
	f.mu.Unlock()
	_, _ = io.Copy(io.Discard, conn)
	f.mu.Lock()
	for _, topic := range topics {
		delete(f.topics[string(topic)], c)
	}
	f.mu.Unlock()
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.more.Signal()
}

func readHead(conn net.Conn) ([]byte, error) {
	r := bufio.NewReader(io.LimitReader(conn, headBytesMax))
	var head []byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		head = append(head, line...)
	}
	return head, nil
}

// write sends what is queued until the connection is closed.
func (c *fifoConn) write() {
	for {
		c.mu.Lock()
		for len(c.queue) == 0 && !c.closed {
			c.more.Wait()
		}
		if c.closed {
			c.mu.Unlock()
			return
		}
		n := min(len(c.queue), fifoSendBytes)
		chunk := c.queue[:n:n]
		c.queue = c.queue[n:]
		c.mu.Unlock()
		if _, err := c.conn.Write(chunk); err != nil {
			_ = c.conn.Close()
			return
		}
	}
}

func (f *fifo) publish(topic string, body []byte) {
	frame := textFrame(body)
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.topics[topic] {
		c.mu.Lock()
		c.queue = append(c.queue, frame...)
		c.mu.Unlock()
		c.more.Signal()
	}
}
