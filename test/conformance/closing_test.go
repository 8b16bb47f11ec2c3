package conformance

import (
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// closing is the close handshake (RFC 6455 §5.5.1, §7.1).
func closing() []scenario {
	bye := closeWith(1000, "bye")
	return scenarios([]exchange{
		{name: "RFC 6455 §5.5.1: a close frame is answered and the TCP connection ended", send: []frame{bye}, code: 1000},
		{name: "RFC 6455 §5.5.1: a close frame that comes an octet at a time is answered", send: []frame{bye}, chunk: 1, code: 1000},
		{name: "RFC 6455 §5.5.1: a close frame without a code is answered without one", send: []frame{closeFrame(nil)}, code: 1005},
		{name: "RFC 6455 §5.5.1: a close frame of one byte is refused", send: []frame{closeFrame([]byte{3})}, code: 1002},
		{name: "RFC 6455 §5.5.1: a close frame with a code alone is answered", send: []frame{closeWith(1000, "")}, code: 1000},
		{name: "RFC 6455 §5.5.1: a reason of 123 bytes is the longest", send: []frame{closeWith(1000, repeat(123))}, code: 1000},
		{name: "RFC 6455 §5.5: a reason of 124 bytes is too long", send: []frame{closeWith(1000, repeat(124))}, code: 1002},
		{name: "RFC 6455 §5.5: a close frame of 65,536 bytes is too long", send: []frame{closeWith(1000, repeat(65534))}, code: 1002},
		{name: "RFC 6455 §5.5.1: a reason in UTF-8 is accepted", send: []frame{closeWith(1000, "żegnaj 🐢 κόσμε")}, code: 1000},
		{name: "RFC 6455 §5.5.1: a reason that is not UTF-8 is refused", send: []frame{closeWith(1000, "\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited")}, code: 1007},
		{name: "RFC 6455 §5.5.1: a reason cut inside a character is refused", send: []frame{closeWith(1000, "\xe2\x82")}, code: 1007},
		{name: "RFC 6455 §5.5.1: what came before the close is echoed", send: []frame{text("one"), binaryFrame(octets(300)), bye},
			want: []frame{text("one"), binaryFrame(octets(300))}, code: 1000},
		{name: "RFC 6455 §5.5.1: 256 KiB before the close are echoed whole", send: []frame{text(repeat(256 << 10)), bye},
			want: []frame{text(repeat(256 << 10))}, code: 1000},
		{name: "RFC 6455 §5.5.1: a message behind the close is ignored", send: []frame{bye}, after: wire(text("late")), code: 1000},
		{name: "RFC 6455 §5.5.1: a ping behind the close is ignored", send: []frame{bye}, after: wire(ping("late")), code: 1000},
		{name: "RFC 6455 §5.5.1: a second close is ignored", send: []frame{bye}, after: wire(closeWith(1001, "again")), code: 1000},
		{name: "RFC 6455 §5.5.1: a fault behind the close is ignored", send: []frame{bye}, after: wire(text("late").bare(), frame{op: 5}), code: 1000},
		{name: "RFC 6455 §5.5.1: random bytes behind the close are ignored", send: []frame{bye}, after: octets(256 << 10), code: 1000},
		{name: "RFC 6455 §5.5.1: a ping before the close is answered", send: []frame{ping("x"), bye}, want: []frame{pong("x")}, code: 1000},
	})
}

// closeCodes are those of RFC 6455 §7.4 and of the IANA registry.
func closeCodes() []scenario {
	var list []exchange
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3999, 4000, 4401, 4999} {
		list = append(list,
			exchange{name: fmt.Sprintf("RFC 6455 §7.4: the code %d is echoed", code), send: []frame{closeWith(code, "")}, code: code},
			exchange{name: fmt.Sprintf("RFC 6455 §7.4: the code %d with a reason is echoed", code), send: []frame{closeWith(code, "a reason")}, code: code},
		)
	}
	for _, code := range []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1099, 1100, 1999, 2000, 2999, 5000, 5001, 32768, 65535} {
		list = append(list,
			exchange{name: fmt.Sprintf("RFC 6455 §7.4: the code %d must not be sent", code), send: []frame{closeWith(code, "")}, code: 1002},
			exchange{name: fmt.Sprintf("RFC 6455 §7.4: the code %d with a reason must not be sent", code), send: []frame{closeWith(code, "a reason")}, code: 1002},
		)
	}
	return scenarios(list)
}

// closingRaces are endings without a close handshake.
func closingRaces() []scenario {
	return []scenario{
		{"RFC 6455 §7.1.4: a client that ends its side of the TCP connection is let go", func(t *testing.T, s *server) {
			p := s.connect(t)
			p.send(text("last words"))
			p.expect(text("last words"))
			require.NoError(t, p.conn.(*net.TCPConn).CloseWrite())
			p.expectGone()
		}},
		{"RFC 6455 §7.1.4: a client that leaves inside a frame disturbs nobody", func(t *testing.T, s *server) {
			other := s.connect(t)
			for _, b := range [][]byte{{0x81}, text("cut").bytes()[:8], text("part").more().bytes(), binaryFrame(nil).announcing(1 << 20).bytes()} {
				p := s.connect(t)
				p.write(b, 0)
				require.NoError(t, p.conn.(*net.TCPConn).CloseWrite())
				p.expectGone()
			}
			other.send(text("undisturbed"))
			other.expect(text("undisturbed"))
			other.closeNormally()
		}},
		{"RFC 6455 §7.1.4: a client that resets the TCP connection disturbs nobody", func(t *testing.T, s *server) {
			other := s.connect(t)
			for range 20 {
				p := s.connect(t)
				p.send(text(repeat(100_000)))
				require.NoError(t, p.conn.(*net.TCPConn).SetLinger(0))
				require.NoError(t, p.conn.Close())
			}
			other.send(text("undisturbed"))
			other.expect(text("undisturbed"))
			other.closeNormally()
		}},
		{"RFC 6455 §7.1.1: the server ends the TCP connection first, without waiting for the client", func(t *testing.T, s *server) {
			p := s.connect(t)
			p.send(closeWith(4000, "mine"))
			p.expectClose(4000)
			p.expectEnd()
		}},
	}
}
