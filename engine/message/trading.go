package message

import "time"

// The requests of protocol v1 (PROTOCOL §3.2–3.3). Names of strategies, symbols and sessions are as the client sent them.
type (
	// Handshake tells what the client is; it is optional.
	Handshake struct {
		Version      string
		ClientID     string
		Capabilities []string
	}
	// RefreshToken asks for a new pair of tokens.
	RefreshToken struct{ Token string }
	// StreamRequest subscribes to a stream, or leaves it.
	StreamRequest struct {
		Stream  string
		Symbols []string // as params.symbols or params.symbol has them; empty: all
		Params  []byte   // the object params as it was sent, to be told back; nil: none
		Leave   bool
	}
	// SessionStart asks for a trading session.
	SessionStart struct {
		SessionType    string
		StrategyConfig []byte // {strategy: [symbols]} as it was sent; nil: none
		Config         []byte // a JSON object, or nil
	}
	// SessionChange stops, pauses or resumes a session.
	SessionChange struct {
		Change    SessionAction
		SessionID string
	}
	// SessionQuery asks for one session, or where SessionID is empty for the caller's running one.
	SessionQuery struct{ SessionID string }
	// ResultsRequest asks for what a session came to.
	ResultsRequest struct {
		RequestType string // session_results, symbol_results or strategy_results
		SessionID   string // empty: the caller's running session, or else the last one
		Symbol      string
		Strategy    string
	}
	// StrategiesRequest asks which strategies there are.
	StrategiesRequest struct{}
	// StrategyActivation activates a strategy for a symbol, or deactivates it.
	StrategyActivation struct {
		Strategy, Symbol string
		Deactivate       bool
	}
	// StrategyQuery asks how strategies are doing; empty fields stand for all.
	StrategyQuery struct{ Strategy, Symbol string }
	// StrategyConfig has a strategy's configuration validated, and with Save kept too.
	StrategyConfig struct {
		Config []byte // a JSON object
		Save   bool
	}
	// CollectionStart asks for the ticks of symbols to be written to files.
	CollectionStart struct {
		Symbols  []string
		Duration time.Duration // 0: until it is stopped
	}
	// CollectionStop ends a collection.
	CollectionStop struct{ CollectionID string }
	// CollectionQuery asks for one collection, or where CollectionID is empty for the caller's newest one.
	CollectionQuery struct{ CollectionID string }
)

// SessionAction is what a SessionChange does.
type SessionAction uint8

// The actions.
const (
	SessionStop SessionAction = iota
	SessionPause
	SessionResume
)

// Streams of protocol v1 (PROTOCOL §3.3).
const (
	StreamMarketData      = "market_data"
	StreamIndicators      = "indicators"
	StreamSignals         = "signals"
	StreamOrders          = "orders"
	StreamPositions       = "positions"
	StreamPortfolio       = "portfolio"
	StreamExecutionStatus = "execution_status"
	StreamSystemHealth    = "system_health"
)

// Types of the publications that streams are made of.
const (
	TypeMarketData      = "market_data_update"
	TypeSystemHealth    = "system_health_update"
	TypeIndicators      = "indicators_update"
	TypeSignal          = "signal_generated"
	TypeExecutionStatus = "execution_status"
	TypeAlert           = "session_alert"
	TypeOrderPlaced     = "order_placed"
	TypeOrderFilled     = "order_filled"
	TypeOrderRejected   = "order_rejected"
	TypeOrderCancelled  = "order_cancelled"
	TypeOrderIntent     = "order_intent"
	TypeExecutionReport = "execution_report"
	TypePosition        = "position_update"
	TypePortfolio       = "portfolio_update"
)

// The replies of protocol v1 (PROTOCOL §3.2–3.3).
type (
	// HandshakeAck answers a Handshake.
	HandshakeAck struct {
		ConnectionID string
		ServerTimeMS int64
	}
	// TokenRefreshed answers a RefreshToken.
	TokenRefreshed struct {
		AccessToken, RefreshToken string
		ExpiresIn                 time.Duration
	}
	// StreamAnswer answers a StreamRequest.
	StreamAnswer struct {
		Stream    string
		Params    []byte // as sent; nil: none
		SessionID string // the caller's running session; empty: none
		Left      bool
	}
	// Seed is one of the five messages that follow a subscription to a stream. It is no publication.
	Seed struct {
		Stream    string
		SessionID string    // empty: none
		Symbol    string    // empty: the stream has no symbols
		Last      *Envelope // a publication to show again; nil: there is none, and the seed is synthetic
	}
	// SessionStarted answers a SessionStart.
	SessionStarted struct {
		Session     *Session
		Activations []Activation
		Reused      bool // an earlier start's session goes on instead
	}
	// SessionChanged answers a SessionChange.
	SessionChanged struct {
		Change  SessionAction
		Session *Session
	}
	// SessionStatus answers a SessionQuery.
	SessionStatus struct{ Session *Session } // nil: the caller has none that runs
	// SessionList answers who asks for all sessions, by HTTP.
	SessionList struct{ Sessions []*Session }
	// ResultsAnswer answers a ResultsRequest.
	ResultsAnswer struct {
		RequestType string
		SessionID   string
		Symbol      string // empty: of all symbols
		Strategy    string // empty: of all strategies
		Results     *Results
	}
	// StrategiesList answers a StrategiesRequest.
	StrategiesList struct{ Strategies []Strategy }
	// StrategyActivated answers a StrategyActivation.
	StrategyActivated struct {
		State       StrategyState
		Deactivated bool
	}
	// StrategyStates answers a StrategyQuery.
	StrategyStates struct {
		Strategy string // as asked; empty: all
		States   []StrategyState
	}
	// StrategyValidation answers a StrategyConfig that is only to be looked at.
	StrategyValidation struct {
		Valid            bool
		Errors, Warnings []Fault
	}
	// StrategyUpserted answers a StrategyConfig that was kept.
	StrategyUpserted struct {
		Strategy string
		Created  bool // there was none of that name
		Warnings []Fault
	}
	// CollectionStarted answers a CollectionStart.
	CollectionStarted struct{ Collection *Collection }
	// CollectionStopped answers a CollectionStop.
	CollectionStopped struct{ Collection *Collection }
	// CollectionStatus answers a CollectionQuery.
	CollectionStatus struct{ Collection *Collection } // nil: the caller has none
)

// Decimal is a number written in decimal digits, with a point and without an exponent, so that no digit is lost; empty
// stands for zero.
type Decimal string

// Fault is one thing that is wrong with a document, or with a Warning only questionable.
type Fault struct {
	Path    string // where: z1_entry.positionSize.value
	Message string // what, with the path in front, and what would be right
}

// Activation says how a strategy started for a symbol of a session.
type Activation struct {
	Strategy, Symbol string
	Plugin           string // name@version of who runs it
	Reason           string // empty: it runs
}

// Session is a trading session as its owner sees it.
type Session struct {
	ID          string
	Type        string // backtest, paper or live
	State       string // idle, starting, running, paused, stopping, stopped or error
	Reason      string // why it is in this state, where there is something to tell
	Owner       string
	Symbols     []string        // sorted
	Strategies  []StrategyState // by strategy and symbol
	Config      []byte          // as the start had it; nil: none
	Source      string          // the collection that a backtest reads
	Progress    float64         // of a backtest, 0 to 1
	CreatedMS   int64
	EndedMS     int64 // 0: it has not ended
	Performance Performance
}

// StrategyState is how a strategy is doing on a symbol.
type StrategyState struct {
	Strategy, Symbol string
	State            string // one of PROTOCOL §3.3's states
	Since            int64  // Unix milliseconds by the ticks' clock; 0: from the start
	SessionID        string // empty: it only watches
	Plugin           string // name@version of who runs it
	Reason           string
}

// Strategy is a strategy that can be started.
type Strategy struct {
	Name      string
	Author    string // empty: the operator
	UpdatedMS int64
	SHA256    string // of the canonical JSON of its configuration
	Config    []byte
	Active    []string // symbols it runs on for the caller
}

// Performance is what a set of books comes to. Those of a session are the sums over its symbols where sums make sense.
type Performance struct {
	TicksProcessed, TicksOutOfOrder                            uint64
	SignalsDetected                                            uint64
	OrdersPlaced, OrdersFilled, OrdersRejected, OrdersCanceled uint64
	Trades, Wins, Losses                                       uint64
	RealizedPnL, UnrealizedPnL, Fees, NetPnL                   Decimal
	TicksInvalid                                               uint64   // of a session: those that no books can take, as one from before 1970
	InitialBalance, Balance, Equity                            Decimal  // of a session; empty for a part of one
	MaxDrawdown                                                Decimal  // in quote currency
	MaxDrawdownPct                                             float64  // of the peak before it, in percent
	WinRate                                                    float64  // 0 to 1
	Sharpe, Sortino                                            *float64 // nil: fewer days than it takes
}

// Results are what a session, a symbol or a strategy came to.
type Results struct {
	Performance Performance
	Positions   []Position
	Trades      []Trade       // the newest ones, in order
	BySymbol    []PartResults // of a session, and of a strategy
	ByStrategy  []PartResults // of a session, and of a symbol
	Equity      []EquityPoint // of a session: its equity curve
	Rejections  []Rejection   // by reason
}

// PartResults are the performance of one symbol or strategy.
type PartResults struct {
	Name        string
	Performance Performance
}

// Position is what a strategy holds of a symbol.
type Position struct {
	Strategy, Symbol          string
	Quantity                  Decimal // negative: short
	AveragePrice, LastPrice   Decimal
	UnrealizedPnL             Decimal
	StopLossPrice, TakeProfit Decimal // empty: none known
}

// Trade is a position, or a part of one, that was closed.
type Trade struct {
	Strategy, Symbol       string
	Side                   string // LONG or SHORT
	Quantity               Decimal
	EntryPrice, ExitPrice  Decimal
	EntryMS, ExitMS        int64
	RealizedPnL, Fees, Net Decimal
	Reason                 string // of the order that closed it
}

// EquityPoint is a session's equity at a moment.
type EquityPoint struct {
	TimeMS int64
	Equity Decimal
}

// Rejection counts orders that were refused for one reason.
type Rejection struct {
	Reason string
	Count  uint64
}

// Collection is a recording of ticks.
type Collection struct {
	ID        string
	Owner     string
	State     string // running, stopped, completed or error
	Reason    string
	Symbols   []string
	Duration  time.Duration // 0: until it is stopped
	StartedMS int64
	EndedMS   int64 // 0: it runs
	Records   uint64
	Rejected  uint64 // rows that were no ticks, or older than the one before
	Dropped   uint64 // rows that came faster than they could be written
	// Interruptions is how often ticks of a symbol may have been missed.
	Interruptions uint64
	Bytes         int64
	BySymbol      map[string]uint64 // rows
}

func (*Handshake) body()          {}
func (*RefreshToken) body()       {}
func (*StreamRequest) body()      {}
func (*SessionStart) body()       {}
func (*SessionChange) body()      {}
func (*SessionQuery) body()       {}
func (*ResultsRequest) body()     {}
func (*StrategiesRequest) body()  {}
func (*StrategyActivation) body() {}
func (*StrategyQuery) body()      {}
func (*StrategyConfig) body()     {}
func (*CollectionStart) body()    {}
func (*CollectionStop) body()     {}
func (*CollectionQuery) body()    {}

func (*HandshakeAck) replyBody()       {}
func (*TokenRefreshed) replyBody()     {}
func (*StreamAnswer) replyBody()       {}
func (*Seed) replyBody()               {}
func (*SessionStarted) replyBody()     {}
func (*SessionChanged) replyBody()     {}
func (*SessionStatus) replyBody()      {}
func (*SessionList) replyBody()        {}
func (*ResultsAnswer) replyBody()      {}
func (*StrategiesList) replyBody()     {}
func (*StrategyActivated) replyBody()  {}
func (*StrategyStates) replyBody()     {}
func (*StrategyValidation) replyBody() {}
func (*StrategyUpserted) replyBody()   {}
func (*CollectionStarted) replyBody()  {}
func (*CollectionStopped) replyBody()  {}
func (*CollectionStatus) replyBody()   {}
