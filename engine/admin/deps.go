package admin

import (
	"context"
	"encoding/json"
	"time"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/cluster/rollout"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/intake"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
)

// Publisher publishes JSON documents; [ingest.Ingest] has the contract. It may block until ctx ends.
type Publisher interface {
	PublishJSON(ctx context.Context, raw []byte) ([]ingest.Result, error)
	PublishEventJSON(ctx context.Context, raw []byte) ([]ingest.Result, error)
	// PublishEventsJSON publishes several events in their order.
	PublishEventsJSON(ctx context.Context, raws [][]byte) []ingest.Outcome
}

// Intake tells what became of what was handed in. It does not block.
type Intake interface {
	Stats() ingest.Stats
	LetterStats() ingest.LetterStats
}

// Letters are the dead letters; [ingest.Ingest] has the contract, and those that all nodes share have it too. It may block until
// ctx ends, and fail with a [*message.Error].
type Letters interface {
	DeadLetters(ctx context.Context, q ingest.LetterQuery, limit int) (newest []ingest.DeadLetter, total int, err error)
	DeadLetter(ctx context.Context, id string) (ingest.DeadLetter, error)
	DropDeadLetter(ctx context.Context, id string) error
}

// Replayer hands dead letters in again; [ingest.Ingest] has the contract. It may block until ctx ends.
type Replayer interface {
	DeadLetterIDs(ctx context.Context, q ingest.LetterQuery) ([]string, error)
	ReplayDeadLetter(ctx context.Context, id string) ([]ingest.Result, error)
}

// Topics lists topics by name, those that begin with prefix, at most limit of them.
type Topics interface {
	Topics(ctx context.Context, prefix string, limit int) ([]Topic, error)
}

// History reads what is kept of a topic; [broker.Broker] has the contract. It may block until ctx ends.
type History interface {
	History(ctx context.Context, topic message.Topic, q broker.Query) (broker.History, error)
}

// Members tells who is on a topic, as of this node.
type Members interface {
	// Members lists at most limit of a topic's members, by user. It refuses a topic that has none by its class.
	Members(ctx context.Context, topic message.Topic, limit int) (Presence, error)
}

// Connections are the clients of this node.
type Connections interface {
	// Connections lists at most limit of the connections, of one user where user is not empty, and tells how many of them
	// there are in all.
	Connections(user string, limit int) (list []Connection, total int)
}

// Plugins are those that serve, in the order of the configuration.
type Plugins interface {
	List() []plugin.Info
	Stats() []plugin.Stats
}

// Changer changes what serves; [plugin.Host] has the contract. Each may block until ctx ends, which changes nothing.
type Changer interface {
	Upload(ctx context.Context, name string, c plugin.Candidate) (plugin.Kept, error)
	Swap(ctx context.Context, name string, c plugin.Candidate, s plugin.Shadow) (plugin.Change, error)
	Rollback(ctx context.Context, name, version, who string) (plugin.Change, error)
}

// Rollout changes plugins on all nodes; [rollout.Rollout] has the contract. Each may block beyond the end of ctx for as long as its
// commit_timeout says.
type Rollout interface {
	Swap(ctx context.Context, name string, c plugin.Candidate) (rollout.Report, error)
	Rollback(ctx context.Context, name, version, who string) (rollout.Report, error)
	Forget(ctx context.Context, name, who string) (rollout.Report, error)
}

// Wants tells what the cluster wants of plugins, as this node knows. It does not block.
type Wants interface {
	Wanted(name string) (rollout.Wanted, bool)
	Stats() rollout.Stats
}

var (
	_ Rollout = (*rollout.Rollout)(nil)
	_ Wants   = (*rollout.Rollout)(nil)
)

// Prover shows a plugin and how a candidate would do in its place; [plugin.Host] has the contract. Try may block until ctx
// ends.
type Prover interface {
	Detail(name string) (plugin.Detail, error)
	Try(ctx context.Context, name string, c plugin.Candidate) (plugin.Comparison, error)
	CancelShadow(name, who string) error
}

// Engine is the whole of what is served.
type Engine interface {
	// Reload reads the configuration again. An error means that everything is as it was; its text is for operators.
	Reload(ctx context.Context) error
	// Ready returns nil while the engine can do its work, else the reason why not.
	Ready(ctx context.Context) error
	// Measure returns the figures of now. It is called for every scrape and must not block for long.
	Measure() Measurements
}

// Deps is what a Server shows and does. All must be there but Log, and what is marked as of a cluster, which an engine that is alone does
// not have.
type Deps struct {
	Version     string
	Started     time.Time
	Publisher   Publisher
	Intake      Intake
	Letters     Letters
	Replayer    Replayer
	Topics      Topics
	Members     Members
	History     History
	Sessions    Sessions
	Connections Connections
	Commander   Commander
	Nodes       Nodes
	Plugins     Plugins
	Changer     Changer
	Rollout     Rollout `of:"cluster"`
	Wants       Wants   `of:"cluster"`
	Prover      Prover
	Engine      Engine
	Log         func(msg string, args ...any) // takes what clients are not told; args are keys and values
}

// Topic describes a topic.
type Topic struct {
	Topic        message.Topic `json:"topic"`
	Class        string        `json:"class,omitempty"` // its class's pattern
	Seq          uint64        `json:"seq"`
	Epoch        Epoch         `json:"epoch,omitempty"`
	Publications int           `json:"publications"` // kept
	Snapshots    int           `json:"snapshots"`    // retained
	Bytes        int64         `json:"bytes"`        // kept
	IdleMS       int64         `json:"idle_ms"`      // since it was last published to or read
	Subscribers  int           `json:"subscribers"`  // on this node, patterns not counted
}

// Presence is who is on a topic.
type Presence struct {
	Topic   message.Topic `json:"topic"`
	Version uint64        `json:"version"` // of the last notice
	Count   int           `json:"count"`   // of all members
	Members []Member      `json:"members"`
}

// Member describes a user who is on a topic.
type Member struct {
	UserID      string          `json:"user_id"`
	Data        json.RawMessage `json:"data"`        // what he says of himself
	Connections int             `json:"connections"` // 0: lost, and may come back
	SinceMS     int64           `json:"since_ms"`    // Unix milliseconds
}

// Connection describes a client's connection.
type Connection struct {
	ID               string `json:"id"`
	UserID           string `json:"user_id"`
	Dialect          string `json:"dialect"`
	RemoteIP         string `json:"remote_ip"`
	State            string `json:"state"`
	ConnectedMS      int64  `json:"connected_ms"` // Unix milliseconds
	Topics           int    `json:"topics"`
	MessagesSent     uint64 `json:"messages_sent"`
	MessagesReceived uint64 `json:"messages_received"`
	BytesSent        uint64 `json:"bytes_sent"`
	BytesReceived    uint64 `json:"bytes_received"`
	Dropped          uint64 `json:"dropped"`
	QueuedBytes      uint64 `json:"queued_bytes"`
}

// Measurements are the engine's figures. Those that do not say "now" count from the start of the process.
type Measurements struct {
	Connections       int               `json:"connections"`        // now
	Handshakes        int               `json:"handshakes"`         // now, unfinished
	Stalled           int               `json:"stalled"`            // now: connections with a backlog
	Accepted          uint64            `json:"accepted"`           // connections
	Upgraded          uint64            `json:"upgraded"`           // connections
	HandshakesRefused map[string]uint64 `json:"handshakes_refused"` // by reason
	Closed            map[string]uint64 `json:"closed"`             // connections the engine ended, by reason
	Degraded          uint64            `json:"degraded"`           // connections told that they are
	Limits            []LimitMet        `json:"limits"`             // how often clients came to their limits
	Reviewed          map[string]uint64 `json:"reviewed"`           // subscriptions asked about again, by what became of them
	MessagesReceived  uint64            `json:"messages_received"`
	MessagesSent      uint64            `json:"messages_sent"`
	BytesReceived     uint64            `json:"bytes_received"`
	BytesSent         uint64            `json:"bytes_sent"`
	Writes            uint64            `json:"writes"`        // system calls
	QueuedBytes       int64             `json:"queued_bytes"`  // now, to all connections
	PartialBytes      int64             `json:"partial_bytes"` // now, of incomplete messages
	Dropped           map[string]uint64 `json:"dropped"`       // publications shed, by reason
	Deliveries        uint64            `json:"deliveries"`    // publications times subscribers
	SubscribedTopics  int               `json:"subscribed_topics"`
	Presence          PresenceFigures   `json:"presence"`
	Encryption        Encryption        `json:"encryption"`
	Logins            Logins            `json:"logins"`
	Broker            BrokerFigures     `json:"broker"`
	Intake            *intake.Stats     `json:"intake,omitempty"` // nil: there is no Redis
	Cluster           *ClusterFigures   `json:"-"`                // nil where the engine is alone
}

// Encryption is what became of the encryption that clients asked for.
type Encryption struct {
	Connections     int               `json:"connections"`      // now, encrypted
	RememberedBytes int64             `json:"remembered_bytes"` // now, so that no message is taken twice, beyond 512 bytes each
	Keys            map[string]uint64 `json:"keys"`             // clients' keys, agreed or refused
	Messages        map[string]uint64 `json:"messages"`         // encrypted ones, by direction: in or out
	Refused         map[string]uint64 `json:"refused"`          // messages from encrypted connections, by reason
}

// Logins is what became of tokens.
type Logins struct {
	Failures uint64            `json:"failures"` // tokens refused, of any kind
	Blocked  uint64            `json:"blocked"`  // times that an address was blocked for its failures
	Families int               `json:"families"` // now: logins whose refresh token was used, as they are recorded
	Refresh  map[string]uint64 `json:"refresh"`  // refresh tokens, by result: renewed, or reused, which revoked a family
}

// LimitMet is how often clients came to one limit.
type LimitMet struct {
	Limit  string `json:"limit"`  // the field of the configuration
	Result string `json:"result"` // warned, refused or closed
	Count  uint64 `json:"count"`
}

// PresenceFigures are the presence's part of the measurements.
type PresenceFigures struct {
	Topics   int               `json:"topics"`    // now: that somebody is on
	Members  int               `json:"members"`   // now, of all topics
	Bytes    int64             `json:"bytes"`     // now: what members say of themselves
	BytesMax int64             `json:"bytes_max"` // the limit
	Notices  map[string]uint64 `json:"notices"`   // by type
	Refused  map[string]uint64 `json:"refused"`   // users that were not listed, and updates, by reason
}

// BrokerFigures are the broker's part of the measurements.
type BrokerFigures struct {
	Topics       int    `json:"topics"`         // now
	BytesKept    int64  `json:"bytes_kept"`     // now
	BytesKeptMax int64  `json:"bytes_kept_max"` // the limit
	Published    uint64 `json:"published"`
	Duplicates   uint64 `json:"duplicates"`
	Refused      uint64 `json:"refused"`
	Expired      uint64 `json:"expired"`
	Evicted      uint64 `json:"evicted"`
}

// Epoch is written as on the wire: eight hexadecimal digits, and nothing where there is none.
type Epoch message.Epoch
