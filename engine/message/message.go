// Package message holds the nouns that every other package speaks: events, envelopes, requests, replies, topics,
// categories, priorities and errors. It imports nothing of the engine and does no I/O.
//
// Ownership: values are plain data. An [Envelope] is immutable once its broker has numbered it and is then shared by
// every connection that receives it; nobody may write to it or to the bytes it points at.
package message

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"
)

// Category is the `_msg_cat` of an envelope: snapshot, update or system message (WSE v2 §2).
type Category uint8

// The three categories of the protocol.
const (
	Update   Category = iota // U: incremental change, the default
	Snapshot                 // S: complete state
	System                   // WSE: the protocol's own messages
)

// String returns the wire spelling: "U", "S" or "WSE".
func (c Category) String() string {
	switch c {
	case Snapshot:
		return "S"
	case System:
		return "WSE"
	default:
		return "U"
	}
}

// CategoryOf derives the category of an event type. It is the function of WSE v2 §2 to the letter — "snapshot" anywhere
// in the name wins, so snapshot_complete is S — plus server_hello and client_hello, which §3 of the same document lists
// as system types.
func CategoryOf(eventType string) Category {
	var buf [64]byte // long enough for the names that come here, so that capitals cost no allocation
	lower := appendLower(buf[:0], eventType)
	if bytes.Contains(lower, []byte("snapshot")) {
		return Snapshot
	}
	switch string(lower) {
	case "server_ready", "client_hello_ack", "connection_state_change", "error", "pong", "ping", "heartbeat",
		"subscription_update", "server_hello", "client_hello":
		return System
	}
	return Update
}

// IsEngineType reports whether only the engine may send messages of a type to clients: its notices and its answers. A
// client takes them for the engine's wherever they come from.
func IsEngineType(eventType string) bool {
	var buf [64]byte
	switch lower := appendLower(buf[:0], eventType); string(lower) {
	case "snapshot_complete", "auth_response", "connection_state_response", "health_check_response", "metrics_response",
		"batch_message_result", "presence_response", "presence_update_response", "presence_join", "presence_leave", "presence_update":
		return true
	}
	return CategoryOf(eventType) == System
}

// appendLower appends s in lower case as Python's str.lower and strings.ToLower write it.
func appendLower(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c >= utf8.RuneSelf {
			return append(dst[:len(dst)-i], strings.ToLower(s)...)
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// Priority is the `pri` of an envelope, 1 to 10 as its publisher sent it. Zero means that none was given.
type Priority uint8

// Level is one of the five queues a connection sends from, most urgent first. The zero value is the most urgent.
type Level uint8

// The five levels and the priority each stands for (WSE v2 §5).
const (
	Critical   Level = iota // 10
	High                    // 8
	Normal                  // 5
	Low                     // 3
	Background              // 1

	Levels = 5 // how many there are
)

// Priority returns the number that stands for the level on the wire.
func (l Level) Priority() Priority {
	return [Levels]Priority{10, 8, 5, 3, 1}[l]
}

// String returns the level's name in lower case, as metrics and configuration spell it.
func (l Level) String() string {
	return [Levels]string{"critical", "high", "normal", "low", "background"}[l]
}

// Valid reports whether p lies within 1 to 10.
func (p Priority) Valid() bool { return p >= 1 && p <= 10 }

// Level snaps p to the nearest level, upward on a tie: 9 is critical, 4 is normal, 2 is low. Zero counts as normal.
func (p Priority) Level() Level {
	switch {
	case p >= 9:
		return Critical
	case p >= 7:
		return High
	case p >= 4 || p == 0:
		return Normal
	case p >= 2:
		return Low
	default:
		return Background
	}
}

// ExemptFromShedding reports whether a publication of this priority is never dropped for a slow consumer, whatever its
// topic's class says.
func (p Priority) ExemptFromShedding() bool { return p >= 8 }

// Epoch names one life of a topic's numbering. It is written as eight hexadecimal digits; zero is never an epoch.
type Epoch uint32

// Event is a domain event as a publisher hands it in: what happened, in the publisher's own words. A transform plugin
// turns it into envelopes.
type Event struct {
	Type         string   // the domain's name for it, for example "BrokerAccountLinked"
	Payload      []byte   // a JSON object, verbatim
	UserID       string   // whose event it is; may be empty when Topic is given
	Topic        Topic    // where it goes, when the publisher knows; else empty
	ID           string   // the publisher's own id; empty: the engine makes one
	TimeMS       int64    // when it happened, Unix milliseconds; 0: now
	Priority     Priority // 0: the topic class decides
	CID          string   // correlation id
	TraceID      string
	EventVersion int // 0: none
}

// Envelope is a message to subscribers of a topic. Before it is numbered Seq and Epoch are zero.
type Envelope struct {
	Type     string
	Topic    Topic
	Payload  []byte // a JSON object, verbatim
	ID       string
	TimeMS   int64 // Unix milliseconds, UTC
	Category Category
	Priority Priority // as sent on the wire; 0: none
	// Encrypted says that the publisher has encrypted the payload for whom it concerns. The engine passes it on as it is.
	Encrypted bool

	Seq   uint64 // the topic's own counter, +1 per publication inside one epoch
	Epoch Epoch  // set where the topic's class keeps history; then Seq is also the offset

	CID          string
	TraceID      string
	EventVersion int   // 0: none
	LatencyMS    int64 // from the event's own time to here, rounded up to a whole millisecond; 0 or less: none

	Level       Level         // the queue it leaves from: the level of its topic's class, never of Priority
	Overflow    Overflow      // what its class does with it when a consumer is slow
	ConflateKey string        // with Overflow == Conflate: an older pending envelope of the topic with this key is replaced
	Linger      time.Duration // how long its class lets a delivery wait for company; 0: not at all

	// Notice makes the envelope a message of the engine itself to all of a topic's subscribers, written as a reply: it is not
	// numbered, kept or recovered, and no payload goes with it. Nil for publications.
	Notice ReplyBody
}

// HasHistory reports whether the envelope's topic keeps history, so that it carries topic, epoch and offset.
func (e *Envelope) HasHistory() bool { return e.Epoch != 0 }

// Overflow is a topic class's policy for a consumer that does not keep up.
type Overflow uint8

// The policies (WSE v2 §2.5).
const (
	Keep       Overflow = iota // never dropped below the hard limit
	DropOldest                 // the oldest pending one goes first
	Conflate                   // only the newest per key is kept
)

// String returns the policy's configuration spelling.
func (o Overflow) String() string {
	return [...]string{"keep", "drop_oldest", "conflate"}[o]
}

// Outgoing is a publication made ready for the socket in one encoding: complete WebSocket frames, shared by every
// connection that receives them, never written to again.
type Outgoing struct {
	Frames      []byte // one or more complete frames
	Count       int    // publications in Frames, for counters
	Topic       Topic
	Level       Level
	Overflow    Overflow
	ConflateKey string
	Exempt      bool // never shed: Priority.ExemptFromShedding of what is inside
	// Replay marks what a client asked for at once: it counts against the process's queue budget but not against the
	// connection's own limits, which are there for what comes faster than it is read.
	Replay bool
	// Instead is queued in its place where that would be too much: nil where nothing can stand for it.
	Instead *Outgoing
	// Linger is how long a connection that has nothing else to send may wait for company before it sends this; 0: not at
	// all. It is for classes where fewer writes matter more than a few milliseconds.
	Linger time.Duration
	// Parts are the single publications where Frames holds several, else nil. A connection that cannot send at once keeps
	// the parts instead, so that it can shed or conflate them one by one.
	Parts []*Outgoing
}
