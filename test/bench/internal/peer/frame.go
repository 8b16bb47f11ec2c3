package peer

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// headBytesMax bounds an upgrade request.
const headBytesMax = 8 << 10

var errNoUpgrade = errors.New("not a WebSocket upgrade request")

// textFrame returns body as one unmasked text frame.
func textFrame(body []byte) []byte {
	frame := make([]byte, 0, len(body)+10)
	frame = append(frame, 0x81)
	switch n := len(body); {
	case n < 126:
		frame = append(frame, byte(n))
	case n < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, 126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 127), uint64(n))
	}
	return append(frame, body...)
}

// upgrade reads a complete request head and returns its target and the answer to it.
func upgrade(head []byte) (target string, answer []byte, err error) {
	line, rest, ok := bytes.Cut(head, []byte("\r\n"))
	fields := bytes.Fields(line)
	if !ok || len(fields) != 3 || string(fields[0]) != "GET" {
		return "", nil, errNoUpgrade
	}
	for header := range bytes.SplitSeq(rest, []byte("\r\n")) {
		name, value, _ := bytes.Cut(header, []byte(":"))
		if !bytes.EqualFold(name, []byte("Sec-WebSocket-Key")) {
			continue
		}
		key := append(bytes.Clone(bytes.TrimSpace(value)), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...)
		sum := sha1.Sum(key)
		answer = append(answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
		answer = base64.StdEncoding.AppendEncode(answer, sum[:])
		return string(fields[1]), append(answer, "\r\n\r\n"...), nil
	}
	return "", nil, errNoUpgrade
}
