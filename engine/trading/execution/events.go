package execution

import "github.com/wse-engine/wse/engine/trading/ledger"

// Sink hears what happens in a run.
type Sink interface {
	// Wants tells of which kinds anybody wants to hear. It is asked once for each call into the run; others are not made.
	Wants() Kinds
	// Emit takes an event, in the order in which things happened. The event and everything it points at are good until Emit
	// returns. It is called in the middle of a tick, so it must not block and must not call the run.
	Emit(e *Event)
}

// Kind is what an event is about.
type Kind uint8

// The kinds of events. The comment says which fields of Event go with each, beside TimeMS, Strategy and Symbol.
const (
	KindIndicators Kind = iota // Indicators
	KindSignal                 // SignalType, Confidence, Snapshot
	KindState                  // State, Reason
	KindOrder                  // Order
	KindPosition               // Position, after a fill
	KindPortfolio              // Portfolio, after fills; Strategy and Symbol are empty
	KindAlert                  // Alert, Reason

	kinds
)

// Kinds is a set of kinds: Kinds(1<<KindSignal | 1<<KindOrder).
type Kinds uint16

// AllKinds is the set of all.
const AllKinds Kinds = 1<<kinds - 1

// Has reports whether k is in the set.
func (s Kinds) Has(k Kind) bool { return s&(1<<k) != 0 }

// Event is one thing that happened.
type Event struct {
	Kind     Kind
	TimeMS   int64 // of the tick at which it happened, Unix milliseconds
	Strategy string
	Symbol   string

	Indicators    []Indicator // all that the strategy told at this tick
	SignalType    string
	Confidence    float64 // where HasConfidence
	HasConfidence bool
	Snapshot      []byte // of a signal: a JSON object of its indicators
	State         string
	Reason        string
	Alert         string // one of the Alert constants
	Order         *OrderEvent
	Position      ledger.Position
	Portfolio     Portfolio
}

// Indicator is the value of one.
type Indicator struct {
	Name  string
	Value float64
}

// The alerts.
const (
	AlertEmergencyExit = "emergency_exit"
	AlertBudget        = "budget_cap_exceeded"
	AlertSessionError  = "session_error"
)

// Status is what became of an order.
type Status uint8

// The statuses of an order. One that was not accepted is Rejected at once; every other is Placed first.
const (
	Placed Status = iota
	PartlyFilled
	Filled
	Rejected
	Cancelled
)

// String returns the status as events spell it.
func (s Status) String() string {
	return [...]string{"placed", "partially_filled", "filled", "rejected", "cancelled"}[s]
}

// OrderEvent is an order after a change.
type OrderEvent struct {
	ID       string        // SessionID-n
	Sell     bool          // or buy
	Limit    ledger.Price  // not Known: a market order
	Quantity ledger.Amount // 0: an order by Notional
	Notional ledger.Amount // in quote currency; 0: an order by Quantity
	Status   Status
	Reason   string // why the strategy gave it, or why it was rejected or cancelled
	PlacedMS int64

	FilledQuantity ledger.Amount // so far
	FilledNotional ledger.Amount // what that came to
	Fees           ledger.Amount // paid so far
	FillQuantity   ledger.Amount // of the fill that this is about; 0: it is about none
	FillPrice      ledger.Price
	Fee            ledger.Amount
}

// Portfolio is what the session is worth.
type Portfolio struct {
	Equity, Balance, Realized, Unrealized, Fees ledger.Amount
}

// Intent is what an outside broker is asked to do: place an order, or with Cancel withdraw it. It is the receiver's to keep.
type Intent struct {
	Cancel   bool
	Strategy string
	Symbol   string
	TimeMS   int64
	Order    OrderEvent
}

// Reasons for which orders are refused.
const (
	ReasonNoSession   = "no session"            // Observe
	ReasonBudget      = "budget_cap_exceeded"   // over the strategy's allocation or the global cap
	ReasonEquity      = "insufficient_equity"   // over equity times LeverageMax
	ReasonInvalid     = "invalid_order"         // a number that cannot be booked, or rounds to nothing
	ReasonTooMany     = "too_many_orders"       // OrdersPendingMax
	ReasonDuplicateID = "duplicate_order_id"    // a pending order has the id
	ReasonNoPrice     = "no_price"              // there was no tick yet
	ReasonTooSmall    = "order_too_small"       // notional buys nothing
	ReasonOverflow    = "amount_out_of_range"   // the books cannot hold it
	ReasonInactive    = "strategy_deactivated"  // cancelled with its strategy
	ReasonEnded       = "session_ended"         // cancelled with its session
	ReasonAsked       = "cancelled_by_strategy" // cancelled as it asked
)
