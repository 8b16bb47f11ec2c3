package message

// Reply is a message from the engine itself to one client: an answer, a greeting, a notice. It has no sequence number.
// Its sender fills ID and TimeMS, because a dialect has neither a clock nor a counter.
type Reply struct {
	ID     string // unique, from an [IDSource]
	TimeMS int64  // Unix milliseconds, UTC
	CID    string // [Request.ReplyCID] of the request it answers; empty for a notice
	Body   ReplyBody
}

// ReplyBody is what a reply says: a closed set of types that every dialect spells its own way.
type ReplyBody interface{ replyBody() }

// The replies of protocol v2 (PROTOCOL §2.2–2.7).
type (
	// Ready greets a connection, before anything else: server_ready.
	Ready struct {
		ConnectionID      string
		UserID            string
		ServerTimeMS      int64
		Features          Features
		HeartbeatMS       int64
		IdleTimeoutMS     int64
		ReconnectJitterMS int64 // how far clients should spread their return after a restart
	}
	// HelloAnswer is server_hello.
	HelloAnswer struct {
		ServerVersion string
		ConnectionID  string
		ServerTimeMS  int64
		Features      Features
		Limits        ConnectionLimits
		PublicKey     string // base64, or empty
	}
	// Pong answers a Ping.
	Pong struct {
		ClientTimestamp int64 // as sent; 0: none
		ServerTimestamp int64
		ConnectionID    string
	}
	// HeartbeatNotice tells the client that the server lives.
	HeartbeatNotice struct{ ServerTimeMS int64 }
	// Subscribed answers a Subscribe.
	Subscribed struct {
		Action            string
		Success           bool
		Message           string
		Topics            []Topic // every topic the connection now has
		SuccessTopics     []Topic
		FailedTopics      []FailedTopic
		AlreadySubscribed []Topic
		MaxTopics         int
		Recovery          []Recovered
	}
	// SnapshotComplete ends an initial sync.
	SnapshotComplete struct {
		SnapshotsSent int
		HistorySent   int
		Topics        []Topic
	}
	// StateChange tells the client that its connection is treated differently from now on.
	StateChange struct {
		OldState, NewState string
		Reason             string
		Dropped            uint64 // publications shed so far
		RetryAfterMS       int64  // with a reconnect: come back after a random moment within this time; 0: none
	}
	// Failure is an error, or, where nothing was refused yet, the warning of one.
	Failure struct {
		Err     *Error
		Warning bool
	}
	// Authenticated answers an Authenticate.
	Authenticated struct {
		UserID      string
		ExpiresMS   int64
		Permissions []string // told in protocol v1
	}
	// State answers a StateRequest, Health a HealthCheck, Metrics a MetricsRequest.
	State struct {
		ConnectionID, UserID, State string
		ConnectedMS                 int64 // Unix milliseconds
		Topics                      []Topic
		ExpiresMS                   int64
	}
	// Health answers a HealthCheck.
	Health struct {
		Status       string
		ServerTimeMS int64
		UptimeMS     int64
		Connections  int
	}
	// Metrics answers a MetricsRequest.
	Metrics struct{ Counters ConnectionCounters }
	// BatchResult answers a Batch: a result per message, in order.
	BatchResult struct{ Results []BatchItem }
	// Members answers a PresenceRequest: who is on a topic, as of a version of it.
	Members struct {
		Topic   Topic
		Version uint64
		Members []Member // by user
	}
	// PresenceAccepted answers a PresenceUpdate.
	PresenceAccepted struct{ Topic Topic }
	// Restarted tells the subscribers of a topic that what they have of it is not followed by what comes next: publications
	// between the two are lost to them, or the numbering began anew. The snapshots and the publications that there are come
	// next, and then what is newer than Epoch and Offset.
	Restarted struct {
		Topic        Topic
		Epoch        Epoch // 0 where the topic keeps no history
		Offset       uint64
		Snapshots    []*Envelope
		Publications []*Envelope
		// Withheld says that nothing comes next, since too much waits for the client already: it has to ask.
		Withheld bool
	}
	// PresenceNotice tells the subscribers of a topic what changed about one of its members.
	PresenceNotice struct {
		Kind    PresenceKind
		Topic   Topic
		Version uint64 // one more than that of the topic's notice before
		Member  Member
	}
)

// Features are what a connection can use; the names on the wire are the dialect's.
type Features struct {
	Compression, Encryption, PriorityQueue, Recovery, Presence, Batching, MessagePack bool
}

// ConnectionLimits are the limits a client should know before it runs into them.
type ConnectionLimits struct {
	MessageBytesMax int
	TopicsMax       int
	RequestsPerSec  int // 0: no limit
	RequestsBurst   int // how many may come at once after a rest
	BytesPerSec     int // of messages, after inflation; 0: no limit
	// EncryptedMessagesMax is how many messages a client may encrypt with one key; 0: the connection is not encrypted.
	EncryptedMessagesMax int
}

// FailedTopic says why a topic was refused. Topic is spelled as the client sent it.
type FailedTopic struct {
	Topic string
	Err   *Error
}

// Recovered says how the recovery of one topic went. Epoch and Offset are the position from which live delivery goes on.
type Recovered struct {
	Topic     Topic
	Epoch     Epoch
	Offset    uint64
	Recovered bool
	Count     int // publications replayed
}

// ConnectionCounters are one connection's own figures.
type ConnectionCounters struct {
	MessagesSent, MessagesReceived uint64
	BytesSent, BytesReceived       uint64
	Dropped, QueuedBytes           uint64
}

// BatchItem is the fate of one message of a Batch.
type BatchItem struct {
	ID  string
	Err *Error // nil: handled
}

// Member is a user who is on a topic.
type Member struct {
	UserID      string
	Data        []byte // what he says of himself there: a JSON object, or nil
	Connections int    // to all nodes that share presence; 0: he lost the last one a moment ago
	SinceMS     int64  // Unix milliseconds
}

// PresenceKind is what a notice tells of a member.
type PresenceKind uint8

// The kinds of notices.
const (
	PresenceJoin    PresenceKind = iota // the user came
	PresenceLeave                       // the user went
	PresenceUpdated                     // the user says something else of himself

	PresenceKinds // how many there are
)

// String returns the type of the kind's notices, by which subscriptions filter them.
func (k PresenceKind) String() string {
	return [PresenceKinds]string{"presence_join", "presence_leave", "presence_update"}[k]
}

func (*Ready) replyBody()            {}
func (*HelloAnswer) replyBody()      {}
func (*Pong) replyBody()             {}
func (*HeartbeatNotice) replyBody()  {}
func (*Subscribed) replyBody()       {}
func (*SnapshotComplete) replyBody() {}
func (*StateChange) replyBody()      {}
func (*Failure) replyBody()          {}
func (*Authenticated) replyBody()    {}
func (*State) replyBody()            {}
func (*Health) replyBody()           {}
func (*Metrics) replyBody()          {}
func (*BatchResult) replyBody()      {}
func (*Members) replyBody()          {}
func (*PresenceAccepted) replyBody() {}
func (*Restarted) replyBody()        {}
func (*PresenceNotice) replyBody()   {}
