package execution

import (
	"errors"
	"fmt"

	"github.com/wse-engine/wse/engine/trading/ledger"
)

// Mode says what becomes of orders.
type Mode uint8

// The modes.
const (
	Simulate Mode = iota // filled at a later tick: backtest and paper sessions
	External             // handed to Config.Intents and filled by Run.Report: live sessions
	Observe              // refused: strategies that only watch
)

// Config is what a run starts with.
type Config struct {
	SessionID   string // orders are called SessionID-1, SessionID-2, …
	SessionType string // told to strategies: backtest, paper or live
	Mode        Mode

	FeeBps      ledger.Amount // of what a fill came to, in basis points; 0 to 10,000
	SlippageBps ledger.Amount // of a market order, in basis points; 0 to below 10,000
	CloseAtEnd  bool          // End sells what is held at the last price, as a market order; not in External mode
	Budget      *Budget       // nil: equity times LeverageMax
	LeverageMax ledger.Amount // 1 to 100

	IndicatorIntervalMS int64 // told to strategies: least tick time between two reports of a handle's indicators, 0: none
	OrdersPendingMax    int   // per strategy and symbol
	OrdersKeptMax       int   // in External mode, that are done and may still be reported on

	Intents func(Intent) error // where orders go in External mode; an error refuses the order, with its text as the reason
}

// DefaultConfig returns a backtest with a fee of 10 and slippage of 5 basis points.
func DefaultConfig() Config {
	return Config{SessionID: "session", SessionType: "backtest", FeeBps: 10 * ledger.One, SlippageBps: 5 * ledger.One,
		LeverageMax: 10 * ledger.One, IndicatorIntervalMS: 1000, OrdersPendingMax: 100, OrdersKeptMax: 1000}
}

// ErrConfig is wrapped by what is wrong with a Config.
var ErrConfig = errors.New("execution: configuration")

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...))
		}
	}
	check(c.SessionID != "" && len(c.SessionID) <= 128, "SessionID has 1 to 128 bytes, not %d", len(c.SessionID))
	check(c.Mode <= Observe, "no mode %d", c.Mode)
	check(c.FeeBps >= 0 && c.FeeBps <= allBps, "FeeBps is 0 to 10000, not %v", c.FeeBps)
	check(c.SlippageBps >= 0 && c.SlippageBps < allBps, "SlippageBps is 0 to less than 10000, not %v", c.SlippageBps)
	check(c.LeverageMax >= ledger.One && c.LeverageMax <= 100*ledger.One, "LeverageMax is 1 to 100, not %v", c.LeverageMax)
	check(c.IndicatorIntervalMS >= 0, "IndicatorIntervalMS is 0 or more, not %d", c.IndicatorIntervalMS)
	check(c.OrdersPendingMax > 0, "OrdersPendingMax is 1 or more, not %d", c.OrdersPendingMax)
	check(c.OrdersKeptMax > 0, "OrdersKeptMax is 1 or more, not %d", c.OrdersKeptMax)
	check(c.Mode != External || c.Intents != nil, "Intents is needed where orders go out")
	return errors.Join(faults...)
}

// allBps is a whole in basis points.
const allBps = 10_000 * ledger.One
