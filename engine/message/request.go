package message

// Request is one message from a client, decoded by its dialect. Body says what is asked; it is one of the pointer types
// below, and its type alone decides who handles the request.
type Request struct {
	Type     string   // as the client spelled it
	ID       string   // its own id, by which a repeat is recognised; may be empty
	CID      string   // its correlation id; may be empty
	Category Category // as the client wrote it, else derived from Type
	Priority Priority // as sent; 0: none
	Body     Body
	// Inflated is how many bytes longer inflating made it, where it, its payload, or what is in a batch came compressed; a
	// compressed frame does not count, which is inflated before it is a message.
	Inflated int
}

// ReplyCID returns what an answer to the request carries as its correlation id: the request's id, or, where it has none,
// the correlation id it came with.
func (r *Request) ReplyCID() string {
	if r.ID != "" {
		return r.ID
	}
	return r.CID
}

// Body is what a request asks: a closed set of types, so that a handler is chosen by a type switch.
type Body interface{ body() }

// The requests of protocol v2 (PROTOCOL §2.3).
type (
	// Hello is client_hello: what the client is and can do.
	Hello struct {
		ClientVersion   string
		ProtocolVersion int
		Features        []byte // raw JSON, or nil
		PublicKey       string // base64, or empty
	}
	// Ping asks for a Pong, as a message or as the bare text PING[:ms]; both get the same answer.
	Ping struct {
		ClientTimestamp int64 // Unix milliseconds by the client's clock; 0: not given
	}
	// Heartbeat only proves that the client lives. A client's PONG is one too.
	Heartbeat struct{}
	// Subscribe changes what the connection is subscribed to.
	Subscribe struct {
		Action     string // "subscribe", "unsubscribe", or whatever else was sent
		Topics     []string
		EventTypes map[string][]string        // topic as sent -> the event types wanted
		Recover    bool                       // Recovery holds positions to go on from
		Recovery   map[string]RecoverPosition // topic as sent -> last position seen
	}
	// Sync asks for snapshots and history again.
	Sync struct {
		Topics           []string // empty: all the connection is subscribed to
		IncludeSnapshots bool
		IncludeHistory   bool
		LastSequence     uint64 // history after this offset; 0: all that is kept
	}
	// Authenticate extends the connection's identity in place.
	Authenticate struct{ Token string }
	// StateRequest asks for the connection's state, HealthCheck for the server's, MetricsRequest for the counters.
	StateRequest struct{}
	// HealthCheck asks how the server is.
	HealthCheck struct{}
	// MetricsRequest asks for the connection's counters.
	MetricsRequest struct{}
	// PresenceRequest asks who is on a topic.
	PresenceRequest struct{ Topic string }
	// PresenceUpdate sets what the client's user says of himself on a topic.
	PresenceUpdate struct {
		Topic string
		Data  []byte // a JSON object, verbatim
	}
	// Batch holds several messages to be handled in order.
	Batch struct {
		Messages []Batched
		TooMany  int // how many there were, where that is more than are allowed: Messages is nil then
	}
	// Batched is one message of a batch, never a batch itself.
	Batched struct {
		Request *Request // never nil; with Err it holds what could be read
		Err     error    // why it cannot be handled, a *Error
	}
	// Publish is any other message: a client's own, for client:{user_id}:messages.
	Publish struct {
		Payload      []byte // a JSON object, verbatim
		TraceID      string
		EventVersion int  // 0: none
		Encrypted    bool // the payload is, by whoever published it
	}
	// Review is the engine's own, which no client sends: whether the subscriptions are still allowed is to be asked again.
	Review struct {
		Covers    func(Topic) bool // which of them; nil: all
		Final     bool             // one that nobody can decide about ends, too
		Undecided func()           // called for each of those, where they stay
	}
)

// RecoverPosition is where a client stopped reading a topic.
type RecoverPosition struct {
	Epoch  Epoch
	Offset uint64
}

// Everything returns a review of all subscriptions that is otherwise like r.
func (r *Review) Everything() *Review {
	wide := *r
	wide.Covers = nil
	return &wide
}

func (*Review) body()          {}
func (*Hello) body()           {}
func (*Ping) body()            {}
func (*Heartbeat) body()       {}
func (*Subscribe) body()       {}
func (*Sync) body()            {}
func (*Authenticate) body()    {}
func (*StateRequest) body()    {}
func (*HealthCheck) body()     {}
func (*MetricsRequest) body()  {}
func (*PresenceRequest) body() {}
func (*PresenceUpdate) body()  {}
func (*Batch) body()           {}
func (*Publish) body()         {}
