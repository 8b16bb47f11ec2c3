package execution

import (
	"context"

	"github.com/wse-engine/wse/engine/message"
)

// Strategy is the instance of one strategy, as package plugin opens it (sdk/ABI.md "strategy"): it has one handle for each symbol and
// keeps what it knows between calls. Calls may take long. After an error of Ticks or Update it is not called again, unless the error is that
// of the context.
type Strategy interface {
	// Open opens a handle. doc is the document of wse_strategy_open. An error means that this handle cannot be run, and why.
	Open(ctx context.Context, doc []byte) error
	// Ticks gives ticks to a handle, at least one. consumed is how many it took, at least one; where that is less than len(ticks), the rest comes
	// again. actions are in the order of their ticks and good until the next call. Orders and cancels are only at the last tick that was consumed.
	Ticks(ctx context.Context, handle uint32, ticks []message.StrategyTick) (consumed int, actions []message.StrategyAction, err error)
	// Update tells what happened. doc is the document of wse_strategy_update. The At of actions is 0.
	Update(ctx context.Context, doc []byte) ([]message.StrategyAction, error)
}

// States of a strategy on a symbol that the run itself knows of; strategies tell others.
const (
	StateInactive      = "inactive"
	StateMonitoring    = "monitoring"
	StateEmergencyExit = "emergency_exit"
)
