// Package broker says what carries publications from publishers to nodes: it numbers them, keeps them and delivers them.
// The implementations are in the packages below it, and brokertest states every promise as a test that all of them pass.
//
// Ownership: a Broker may be used by any number of goroutines.
package broker

import (
	"context"
	"errors"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// Errors of a broker, to be tested for with errors.Is.
var (
	ErrClosed = errors.New("broker: closed")
	ErrFull   = errors.New("broker: a limit of topics or bytes is reached")
	// ErrFenced says that a publication was refused because its publisher's turn is over: the topic has taken one of a later turn.
	ErrFenced = errors.New("broker: fenced off")
	// ErrPattern says that patterns cannot be followed as the broker is configured.
	ErrPattern = errors.New("broker: patterns cannot be followed")
	// ErrSpoilt says that another program has changed what keeps a topic, and what to do about it.
	ErrSpoilt = errors.New("broker: changed by another program")
	// ErrUnavailable says that what carries publications could not be reached in time. Of a publication it says that it was
	// not accepted: whether it was carried out is not known, so it is published again with the same id.
	ErrUnavailable = errors.New("broker: unavailable")
)

// Broker numbers, keeps and carries publications.
//
// Publish gives env the topic's next sequence number and, where the class keeps history, the epoch; fills what the
// class decides (Level, Overflow, ConflateKey, and Priority where the publisher gave none) and the Category; stores what
// the class says; and hands it to every node's [Sink] that is interested, in order. The envelope belongs to the broker
// from the call on. An envelope without an ID gets a unique one. Publishing an ID again within the class's idempotency
// window changes nothing and answers the first publication's position with Duplicate set. Publish may block until ctx
// ends; an error means that nothing was published. Of a topic that is none, or a pattern, the error wraps
// [message.ErrTopic].
//
// History reads a topic's retained snapshots and its publications after a position, with the position that the answer
// is complete up to. It is consistent: every publication is either in the answer or numbered after its Position. The
// Position of a topic that nobody has published to yet is good for recovery too.
//
// SetInterest tells whether this node has subscribers of a topic or pattern. When it returns without error, publications
// numbered from then on reach the Sink, and the topic's numbering does not start again for idleness while the interest
// lasts. Calls for one topic do not overlap and alternate, beginning with true.
type Broker interface {
	Publish(ctx context.Context, env *message.Envelope) (Published, error)
	History(ctx context.Context, topic message.Topic, q Query) (History, error)
	SetInterest(ctx context.Context, topic message.Topic, interested bool) error
}

// Sink takes numbered publications. Deliver must not block and must not call the broker; for one topic it is called in
// the order of numbers, never concurrently with itself.
type Sink interface {
	Deliver(env *message.Envelope)
}

// Restarter is a [Sink] that is told where a topic's publications do not go on. Restart is called as Deliver is, in order with
// it: what was delivered of topic up to now is not followed by what comes next, since publications between them are lost to
// this node, or the topic's numbering began anew. H is what there is, complete up to its Position as [Query.Snapshots] reads
// it; what is delivered from then on comes after that Position.
type Restarter interface {
	Restart(topic message.Topic, h History)
}

// Follower is a [Sink] that is also a [Restarter]: who takes a topic's publications one by one, and has to know where one is
// missing.
type Follower interface {
	Sink
	Restarter
}

// Position is a place in a topic's numbering.
type Position struct {
	Epoch  message.Epoch // 0 where the topic keeps no history
	Offset uint64
}

// Published is the answer to a publish.
type Published struct {
	Position
	ID        string
	Duplicate bool // the id was published before, at Position
}

// Query asks for a part of a topic's history.
type Query struct {
	// After is the last position the asker has. With Recover the answer holds everything after it and no snapshots, or
	// Recovered is false and the answer is what it would be without Recover and After. An offset that was not reached
	// yet, an epoch that is not the topic's, and more publications than Limit allows are not recovered. Without Recover,
	// After leaves out what is not after its offset, unless its epoch is another than the topic's; a zero epoch is any.
	After   Position
	Recover bool
	// Limit caps how many publications are returned, the newest ones first to be kept; 0 returns none, negative all.
	Limit int
	// Snapshots asks for the retained snapshots, and makes publications those after the oldest of them that are not
	// themselves among the snapshots: none where nothing is retained. After then counts for Recover only.
	Snapshots bool
}

// History is the answer to a Query, in order.
type History struct {
	Position     Position // complete up to here; Epoch is 0 where the topic keeps no history
	Recovered    bool     // with Query.Recover: nothing after Query.After is missing
	Snapshots    []*message.Envelope
	Publications []*message.Envelope
}

// Class is what the configuration says of a set of topics. The first class whose pattern matches a topic is its class.
type Class struct {
	Pattern        string        `yaml:"pattern"`
	Priority       int           `yaml:"priority"`        // 10, 8, 5, 3 or 1: the queue its publications leave from
	HistorySize    int           `yaml:"history_size"`    // publications kept; 0: none
	HistoryKiBMax  int           `yaml:"history_kib_max"` // bytes kept per topic
	HistoryTTL     time.Duration `yaml:"history_ttl"`     // how long a publication is kept
	Snapshots      bool          `yaml:"snapshots"`       // retain the last snapshot of each type
	Overflow       string        `yaml:"overflow"`        // keep, drop_oldest or conflate
	ConflateBy     string        `yaml:"conflate_by"`     // with conflate: the payload field whose value is the key
	Presence       bool          `yaml:"presence"`        // members are tracked
	Linger         time.Duration `yaml:"linger"`          // how long a delivery may wait for company; 0: none
	IdempotencyTTL time.Duration `yaml:"idempotency_ttl"` // how long an id is remembered; 0: not at all
	IdempotencyMax int           `yaml:"idempotency_max"` // how many ids are remembered per topic
}
