package conformance

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// The opcodes of RFC 6455 §5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

// Bits of the first byte of a frame.
const (
	rsv1 = 0x40
	rsv2 = 0x20
	rsv3 = 0x10
)

// form is a way to write a length. A sender must use the shortest; auto does.
type form int

const (
	auto form = iota
	form16
	form64
)

// frame is what the peer sends, faulty where a case wants it so, or what it expects.
type frame struct {
	op       byte
	notFinal bool
	rsv      byte
	payload  []byte
	unmasked bool
	key      *[4]byte // nil: that of RFC 6455 §5.7
	form     form
	length   uint64 // what the header says instead of len(payload), if not 0
}

func text(s string) frame             { return frame{op: opText, payload: []byte(s)} }
func textBytes(b []byte) frame        { return frame{op: opText, payload: b} }
func binaryFrame(b []byte) frame      { return frame{op: opBinary, payload: b} }
func continuation(s string) frame     { return frame{op: opContinuation, payload: []byte(s)} }
func ping(s string) frame             { return frame{op: opPing, payload: []byte(s)} }
func pong(s string) frame             { return frame{op: opPong, payload: []byte(s)} }
func closeFrame(payload []byte) frame { return frame{op: opClose, payload: payload} }

// closeWith is a close frame with a code and a reason.
func closeWith(code uint16, reason string) frame {
	return closeFrame(append(binary.BigEndian.AppendUint16(nil, code), reason...))
}

// more is f with FIN cleared.
func (f frame) more() frame { f.notFinal = true; return f }

// with is f with bits of RSV set.
func (f frame) with(rsv byte) frame { f.rsv |= rsv; return f }

// written is f with its length in the given form.
func (f frame) written(as form) frame { f.form = as; return f }

// announcing is f with another length in its header.
func (f frame) announcing(n uint64) frame { f.length = n; return f }

// masking is f with the given masking key.
func (f frame) masking(key [4]byte) frame { f.key = &key; return f }

// bare is f without a mask.
func (f frame) bare() frame { f.unmasked = true; return f }

// bytes returns f as it goes over the wire from a client.
func (f frame) bytes() []byte {
	first := f.op | f.rsv
	if !f.notFinal {
		first |= 0x80
	}
	mask := byte(0x80)
	if f.unmasked {
		mask = 0
	}
	n := uint64(len(f.payload))
	if f.length != 0 {
		n = f.length
	}
	out := make([]byte, 0, 14+len(f.payload))
	switch {
	case f.form == form64 || f.form == auto && n > 0xffff:
		out = binary.BigEndian.AppendUint64(append(out, first, mask|127), n)
	case f.form == form16 || f.form == auto && n > 125:
		out = binary.BigEndian.AppendUint16(append(out, first, mask|126), uint16(n))
	default:
		out = append(out, first, mask|byte(n))
	}
	if f.unmasked {
		return append(out, f.payload...)
	}
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	if f.key != nil {
		key = *f.key
	}
	out = append(out, key[:]...)
	start := len(out)
	out = append(out, f.payload...)
	stream := bytes.Repeat(key[:], min(16<<10, len(f.payload)/4+1))
	for rest := out[start:]; len(rest) > 0; {
		n := subtle.XORBytes(rest, rest, stream)
		rest = rest[n:]
	}
	return out
}

// String describes f in the messages of failed cases.
func (f frame) String() string {
	names := map[byte]string{opContinuation: "continuation", opText: "text", opBinary: "binary", opClose: "close", opPing: "ping", opPong: "pong"}
	name, ok := names[f.op]
	if !ok {
		name = fmt.Sprintf("opcode %d", f.op)
	}
	if f.op == opClose && len(f.payload) >= 2 {
		return fmt.Sprintf("close %d %q", binary.BigEndian.Uint16(f.payload), f.payload[2:])
	}
	if f.notFinal {
		name += " (not final)"
	}
	if len(f.payload) > 64 {
		return fmt.Sprintf("%s of %d bytes: %q…", name, len(f.payload), f.payload[:64])
	}
	return fmt.Sprintf("%s %q", name, f.payload)
}

// wire returns frames as they follow each other on the wire.
func wire(frames ...frame) []byte {
	var out []byte
	for _, f := range frames {
		out = append(out, f.bytes()...)
	}
	return out
}

// readFrame reads a frame of the server and refuses what a server must not send (RFC 6455 §5.1, §5.2, §5.5).
func readFrame(r io.Reader, compressed bool) (frame, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	f := frame{op: head[0] & 0x0f, rsv: head[0] & 0x70, notFinal: head[0]&0x80 == 0}
	if head[1]&0x80 != 0 {
		return f, fmt.Errorf("the server masked a frame (RFC 6455 §5.1)")
	}
	n := uint64(head[1])
	switch n {
	case 126:
		var b [2]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return f, noEOF(err)
		}
		if n = uint64(binary.BigEndian.Uint16(b[:])); n < 126 {
			return f, fmt.Errorf("the server wrote the length %d in 16 bits (RFC 6455 §5.2)", n)
		}
	case 127:
		var b [8]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return f, noEOF(err)
		}
		if n = binary.BigEndian.Uint64(b[:]); n <= 0xffff || n > 64<<20 {
			return f, fmt.Errorf("the server wrote the length %d in 64 bits (RFC 6455 §5.2)", n)
		}
	}
	if err := checkFrame(f, n, compressed); err != nil {
		var rest [200]byte
		m, _ := r.Read(rest[:]) // what the reader holds shows where the stream went wrong
		return f, fmt.Errorf("%w; behind the header stands %q", err, rest[:m])
	}
	f.payload = make([]byte, n)
	_, err := io.ReadFull(r, f.payload)
	return f, noEOF(err)
}

func checkFrame(f frame, n uint64, compressed bool) error {
	control := f.op >= opClose
	switch {
	case !strings.ContainsRune("\x00\x01\x02\x08\x09\x0a", rune(f.op)):
		return fmt.Errorf("the server used the opcode %d (RFC 6455 §5.2)", f.op)
	case f.rsv&^rsv1 != 0 || f.rsv != 0 && (!compressed || control || f.op == opContinuation):
		return fmt.Errorf("the server set reserved bits %#x on %s (RFC 6455 §5.2)", f.rsv, f)
	case control && (f.notFinal || n > 125):
		return fmt.Errorf("the server sent a fragmented or long control frame (RFC 6455 §5.5)")
	}
	return nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// repeat returns n bytes of readable ASCII.
func repeat(n int) string {
	const line = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ*-"
	return strings.Repeat(line, n/len(line)+1)[:n]
}

// octets returns n bytes of every value.
func octets(n int) []byte {
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	return bytes.Repeat(all[:], n/256+1)[:n]
}
