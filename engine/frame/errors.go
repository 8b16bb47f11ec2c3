package frame

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Error is why a connection has to be failed (RFC 6455 §7.1.7): Code and Reason go into the close frame.
type Error struct {
	Code   StatusCode
	Reason string // at most 123 bytes
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("frame: %s (%d)", e.Reason, e.Code) }

func protocolError(reason string) error { return &Error{StatusProtocolError, reason} }

func payloadError(reason string) error { return &Error{StatusInvalidPayload, reason} }

func tooBig(what string, limit int64) error {
	return &Error{StatusTooBig, fmt.Sprintf("%s is over the limit of %d bytes", what, limit)}
}

func overBudget() error {
	return &Error{StatusTryAgainLater, "the server has no memory left for incomplete messages; try again later"}
}

// checkClose checks the payload of a close frame (RFC 6455 §5.5.1, §7.4).
func checkClose(payload []byte) error {
	switch {
	case len(payload) == 0:
		return nil
	case len(payload) == 1:
		return protocolError("a close frame's payload is one byte, half a status code")
	}
	code := StatusCode(binary.BigEndian.Uint16(payload))
	if !closeCodeAllowed(code) {
		return protocolError(fmt.Sprintf("status code %d must not be sent in a close frame", code))
	}
	if !utf8.Valid(payload[2:]) {
		return payloadError("a close frame's reason is not UTF-8")
	}
	return nil
}

// closeCodeAllowed tells whether a peer may send code: those the RFC defines and does not reserve, 1012 to 1014, which
// IANA has registered since, and the ranges for libraries and applications.
func closeCodeAllowed(code StatusCode) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
		return true
	default:
		return code >= 3000 && code <= 4999
	}
}

// textPrefix returns how many bytes of b, which continues valid text, are whole characters, and whether the rest can
// still become one: fewer than four bytes that begin one properly (RFC 6455 §8.1).
func textPrefix(b []byte) (whole int, ok bool) {
	whole = len(b)
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if at := len(b) - i; utf8.RuneStart(b[at]) {
			// An impossible beginning counts as full, so that Valid below refuses it.
			if !utf8.FullRune(b[at:]) {
				whole = at
			}
			break
		}
	}
	return whole, utf8.Valid(b[:whole])
}
