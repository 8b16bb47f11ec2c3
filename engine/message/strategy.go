package message

// StrategyTick is a tick as a strategy is given it, laid out as sdk/ABI.md says. All its fields are finite.
type StrategyTick struct {
	TimeMS      float64 // Unix milliseconds
	Price       float64
	Volume      float64 // in base currency
	QuoteVolume float64 // in quote currency
}

// StrategyAction is one thing that a strategy says (sdk/ABI.md, "strategy"). Which fields are set depends on Kind; numbers are
// finite. Texts are good for ever, Indicators until the strategy's next call.
type StrategyAction struct {
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

// The kinds of [StrategyAction].
const (
	ActionIndicator = "indicator"
	ActionSignal    = "signal"
	ActionOrder     = "order"
	ActionCancel    = "cancel"
	ActionState     = "state"
)
