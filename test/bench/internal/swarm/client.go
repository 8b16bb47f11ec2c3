package swarm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// state is how far a client has come.
type state uint8

const (
	upgrading state = iota // the request is sent
	greeting               // upgraded, not ready yet
	open
	leaving // our close frame is sent
	gone
)

// Opcodes of RFC 6455 §5.2 that a server sends.
const (
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xa
)

// headBytesMax bounds the answer to an upgrade request.
const headBytesMax = 16 << 10

// Client is one connection of a swarm.
type Client struct {
	// Index is the client's number within its Dial, Key that of its Config.
	Index, Key int
	// Received and Last are for the Message function to count with.
	Received, Last uint64

	cfg     *Config
	swarm   *Swarm
	fd      int
	slot    int
	state   state
	perTick int    // bytes to read each tick, for a slow reader
	partial []byte // the begun frame or head
	settled func(error)
}

// UpgradeRequest returns a WebSocket upgrade request for target, a path with its query.
func UpgradeRequest(target string) []byte {
	return []byte("GET " + target + " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
}

// connect opens the socket, sends the upgrade request and hands the client to the swarm's goroutine.
func (c *Client) connect() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	c.fd = fd
	if err := c.open(); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	return nil
}

func (c *Client) open() error {
	_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if c.cfg.ReceiveBytes > 0 {
		if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, c.cfg.ReceiveBytes); err != nil {
			return fmt.Errorf("SO_RCVBUF: %w", err)
		}
	}
	if c.cfg.Sources > 1 {
		_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		source := unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(1 + c.Index%c.cfg.Sources)}}
		if err := unix.Bind(c.fd, &source); err != nil {
			return fmt.Errorf("bind: %w", err)
		}
	}
	server := unix.SockaddrInet4{Port: int(c.cfg.Addr.Port()), Addr: c.cfg.Addr.Addr().As4()}
	if err := unix.Connect(c.fd, &server); err != nil {
		return fmt.Errorf("connect %s: %w", c.cfg.Addr, err)
	}
	if _, err := unix.Write(c.fd, c.cfg.Request(c.Index)); err != nil {
		return fmt.Errorf("upgrade request: %w", err)
	}
	if err := unix.SetNonblock(c.fd, true); err != nil {
		return fmt.Errorf("O_NONBLOCK: %w", err)
	}
	return c.swarm.register(c)
}

// close ends the connection with a reset, which leaves no port in TIME_WAIT.
func (c *Client) close() {
	if c.state == gone {
		return
	}
	c.state = gone
	c.partial = nil
	_ = unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	_ = unix.Close(c.fd)
}

// readable reads at most limit bytes and handles what they hold.
func (c *Client) readable(limit int) {
	if c.state == gone {
		return
	}
	n, err := unix.Read(c.fd, c.swarm.buf[:min(limit, len(c.swarm.buf))])
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return
	case err != nil:
		c.swarm.drop(c, fmt.Errorf("read: %w", err))
		return
	case n == 0:
		c.swarm.drop(c, fmt.Errorf("the server closed the connection: %w", io.EOF))
		return
	}
	data := c.swarm.buf[:n]
	if len(c.partial) > 0 {
		c.partial = append(c.partial, data...)
		data = c.partial
	}
	rest := c.feed(data)
	switch {
	case c.state == gone || len(rest) == 0:
		c.partial = nil
	case len(rest) < len(data) || len(c.partial) == 0:
		c.partial = append([]byte(nil), rest...)
	}
}

// feed handles the complete frames at the beginning of data and returns what is left.
func (c *Client) feed(data []byte) []byte {
	if c.state == upgrading {
		end := bytes.Index(data, []byte("\r\n\r\n"))
		if end < 0 {
			if len(data) > headBytesMax {
				c.swarm.drop(c, errors.New("the answer to the upgrade request does not end"))
			}
			return data
		}
		if line, _, _ := bytes.Cut(data, []byte("\r\n")); !bytes.HasPrefix(line, []byte("HTTP/1.1 101 ")) {
			c.swarm.drop(c, fmt.Errorf("upgrade refused: %s", line))
			return nil
		}
		data = data[end+4:]
		c.state = greeting
		if c.cfg.Ready == nil {
			c.ready()
		}
	}
	for {
		opcode, body, rest, ok := cutFrame(data)
		if !ok {
			return data
		}
		c.frame(opcode, body)
		if c.state == gone {
			return nil
		}
		data = rest
	}
}

// cutFrame takes a complete, unmasked frame off data.
func cutFrame(data []byte) (opcode byte, body, rest []byte, ok bool) {
	if len(data) < 2 {
		return 0, nil, data, false
	}
	head, size := 2, uint64(data[1])
	switch {
	case size == 126 && len(data) >= 4:
		head, size = 4, uint64(binary.BigEndian.Uint16(data[2:]))
	case size == 127 && len(data) >= 10:
		head, size = 10, binary.BigEndian.Uint64(data[2:])
	case size >= 126:
		return 0, nil, data, false
	}
	if uint64(len(data)-head) < size {
		return 0, nil, data, false
	}
	end := head + int(size)
	return data[0] & 0x0f, data[head:end], data[end:], true
}

func (c *Client) frame(opcode byte, body []byte) {
	switch opcode {
	case opText, opBinary:
		switch {
		case c.state == open:
			c.Received++
			c.cfg.Message(c, body, c.swarm.now)
		case c.state == greeting:
			c.greet(body)
		}
	case opPing:
		c.send(opPong, body)
	case opClose:
		code := uint16(1005)
		if len(body) >= 2 {
			code = binary.BigEndian.Uint16(body)
		}
		c.swarm.drop(c, fmt.Errorf("closed by the server with code %d %s", code, body[min(2, len(body)):]))
	case opPong:
	default:
		c.swarm.drop(c, fmt.Errorf("a frame with opcode %d, which the swarm does not expect", opcode))
	}
}

// greet asks Ready about a message that came before the client was ready.
func (c *Client) greet(body []byte) {
	switch ready, err := c.cfg.Ready(body); {
	case err != nil:
		c.swarm.drop(c, err)
	case ready:
		c.ready()
	}
}

func (c *Client) ready() {
	c.state = open
	settled := c.settled
	c.settled = nil
	settled(nil)
}

// Send sends a text message. It may be called on the swarm's goroutine only.
func (c *Client) Send(text []byte) {
	if c.state == open {
		c.send(opText, text)
	}
}

// Bye starts the close handshake. It may be called on the swarm's goroutine only.
func (c *Client) Bye() {
	if c.state == open {
		c.state = leaving
		c.send(opClose, []byte{0x03, 0xe8})
	}
}

// Open reports whether the connection stands. It may be called on the swarm's goroutine only.
func (c *Client) Open() bool { return c.state == open }

// send writes a frame with a masking key of zero, which leaves the body as it is. A full socket loses it: requests of
// the benchmarks are few and small.
func (c *Client) send(opcode byte, body []byte) {
	frame := make([]byte, 0, 14+len(body))
	frame = append(frame, 0x80|opcode)
	if len(body) < 126 {
		frame = append(frame, 0x80|byte(len(body)))
	} else {
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(len(body)))
	}
	frame = append(frame, 0, 0, 0, 0)
	_, _ = unix.Write(c.fd, append(frame, body...))
}
