package frame

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Opcode is the type of a frame (RFC 6455 §5.2).
type Opcode = ws.OpCode

// The opcodes.
const (
	OpContinuation = ws.OpContinuation
	OpText         = ws.OpText
	OpBinary       = ws.OpBinary
	OpClose        = ws.OpClose
	OpPing         = ws.OpPing
	OpPong         = ws.OpPong
)

// StatusCode is the reason in a close frame (RFC 6455 §7.4).
type StatusCode = ws.StatusCode

// The status codes this package itself gives as the reason of an [Error]. StatusTryAgainLater is registered with IANA
// after the RFC.
const (
	StatusProtocolError  = ws.StatusProtocolError
	StatusInvalidPayload = ws.StatusInvalidFramePayloadData
	StatusTooBig         = ws.StatusMessageTooBig
	StatusTryAgainLater  = StatusCode(1013)
)

// The bounds of RFC 6455 §5.2 and §5.5, in bytes.
const (
	// HeaderBytesMax is the longest header: two bytes, a 64-bit length and a mask.
	HeaderBytesMax = ws.MaxHeaderSize
	// ControlBytesMax is the longest payload of a control frame.
	ControlBytesMax = ws.MaxControlFramePayloadSize
	// CloseReasonBytesMax is the longest reason text: a control payload without the status code.
	CloseReasonBytesMax = ControlBytesMax - 2
)

// The bits of the first two header bytes (RFC 6455 §5.2).
const (
	bitFin  = 0x80
	bitRsv1 = 0x40
	bitRsv  = 0x30 // RSV2 and RSV3, which no extension here uses
	bitMask = 0x80

	length16 = 126 // a 16-bit length follows
	length64 = 127 // a 64-bit length follows
)

// AppendFrame appends one final, unmasked frame, as a server sends it (RFC 6455 §5.2), to dst. rsv1 says that payload is
// deflated (RFC 7692 §6). It allocates only when dst is too small.
func AppendFrame(dst []byte, op Opcode, rsv1 bool, payload []byte) []byte {
	return append(AppendFrameHeader(dst, op, rsv1, len(payload)), payload...)
}

// AppendFrameHeader appends the header of such a frame, for a payload of payloadLen bytes that the caller appends or
// writes after it.
func AppendFrameHeader(dst []byte, op Opcode, rsv1 bool, payloadLen int) []byte {
	return appendHeader(dst, op, true, rsv1, 0, payloadLen)
}

// AppendMaskedFrame appends one frame as a client sends it: masked with mask, and not final unless fin. payload is not
// changed.
func AppendMaskedFrame(dst []byte, op Opcode, fin, rsv1 bool, mask [4]byte, payload []byte) []byte {
	dst = appendHeader(dst, op, fin, rsv1, bitMask, len(payload))
	dst = append(dst, mask[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	ws.Cipher(dst[start:], mask, 0)
	return dst
}

// AppendClose appends an unmasked close frame. A code that must not stand in a close frame (0, 1005, 1006, 1015; RFC 6455
// §7.4.1) makes one without payload. reason is cut to 123 bytes between two characters.
func AppendClose(dst []byte, code StatusCode, reason string) []byte {
	if code.Empty() || code.IsProtocolReserved() {
		return AppendFrameHeader(dst, OpClose, false, 0)
	}
	reason = cutText(reason, CloseReasonBytesMax)
	dst = AppendFrameHeader(dst, OpClose, false, 2+len(reason))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}

func appendHeader(dst []byte, op Opcode, fin, rsv1 bool, mask byte, n int) []byte {
	b0 := byte(op)
	if fin {
		b0 |= bitFin
	}
	if rsv1 {
		b0 |= bitRsv1
	}
	switch {
	case n < length16:
		return append(dst, b0, mask|byte(n))
	case n <= 0xffff:
		return append(dst, b0, mask|length16, byte(n>>8), byte(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, b0, mask|length64), uint64(n))
	}
}

// cutText returns at most n bytes of s without cutting a character in two. Bytes that are not UTF-8 are dropped first,
// since a close frame must not carry them.
func cutText(s string, n int) string {
	if !utf8.ValidString(s) {
		valid := make([]rune, 0, len(s))
		for _, r := range s {
			if r != utf8.RuneError {
				valid = append(valid, r)
			}
		}
		s = string(valid)
	}
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
