package execution

import "context"

// Strategy is the instance of one strategy, as package plugin opens it (sdk/ABI.md "strategy"): it has one handle for each symbol and
// keeps what it knows between calls. Calls may take long. After an error of Ticks or Update it is not called again, unless the error is that
// of the context.
type Strategy interface {
	// Open opens a handle. doc is the document of wse_strategy_open. An error means that this handle cannot be run, and why.
	Open(ctx context.Context, doc []byte) error
	// Ticks gives ticks to a handle, at least one. consumed is how many it took, at least one; where that is less than len(ticks), the rest comes
	// again. actions are in the order of their ticks and good until the next call. Orders and cancels are only at the last tick that was consumed.
	Ticks(ctx context.Context, handle uint32, ticks []Tick) (consumed int, actions []Action, err error)
	// Update tells what happened. doc is the document of wse_strategy_update. The At of actions is 0.
	Update(ctx context.Context, doc []byte) ([]Action, error)
}

// Tick is a tick of a symbol. Its layout is that of the ABI.
type Tick struct {
	TimeMS      float64 // Unix milliseconds
	Price       float64
	Volume      float64 // in base currency
	QuoteVolume float64 // in quote currency
}

// Action is one thing that a strategy says. The fields that its Kind does not name are empty. Texts are good for ever, Indicators until the next call.
type Action struct {
	Kind string // one of the Action constants
	At   int    // index of the tick in the slice that was given; of an update 0

	Name       string  // of an indicator
	Value      float64 // of an indicator
	SignalType string  // of a signal
	Confidence float64 // of a signal, from 0 to 1, where HasConfidence
	Indicators []byte  // of a signal: a JSON object of numbers
	ID         string  // of an order or a cancel, chosen by the strategy
	Side       string  // of an order: buy or sell
	OrderType  string  // of an order: market or limit
	Quantity   float64 // of an order, above 0; or else 0, and there is a Notional
	Notional   float64 // of an order, above 0, in quote currency; or else 0
	Price      float64 // of a limit order, above 0
	Reason     string  // of an order
	State      string  // of a state

	HasConfidence bool
}

// The kinds of [Action].
const (
	ActionIndicator = "indicator"
	ActionSignal    = "signal"
	ActionOrder     = "order"
	ActionCancel    = "cancel"
	ActionState     = "state"
)

// States of a strategy on a symbol that the run itself knows of; strategies tell others.
const (
	StateInactive      = "inactive"
	StateMonitoring    = "monitoring"
	StateEmergencyExit = "emergency_exit"
)
