package trading

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/wse-engine/wse/engine/trading/collection"
	"github.com/wse-engine/wse/engine/trading/ledger"
	"github.com/wse-engine/wse/engine/trading/strategies"
)

// Config is the section trading.
type Config struct {
	Enabled        bool          `yaml:"enabled"`
	StrategiesDir  string        `yaml:"strategies_dir"`      // "": strategies in the data directory
	FeeBps         float64       `yaml:"fee_bps"`             // of what is traded, in hundredths of a percent
	SlippageBps    float64       `yaml:"slippage_bps"`        // by which a market order fills worse than the tick
	InitialBalance float64       `yaml:"initial_balance"`     // of a session, in quote currency
	Checkpoint     time.Duration `yaml:"checkpoint_interval"` // a crash loses at most what came in twice this time
	ShareInterval  time.Duration `yaml:"share_interval"`      // other nodes hear that often of a session that goes on; of a new state at once
	HealthInterval time.Duration `yaml:"health_interval"`     // of the stream system_health

	SessionsMax             int `yaml:"sessions_max"`               // running at a time
	SessionsPerUserMax      int `yaml:"sessions_per_user_max"`      // of them by one user
	SessionsKeptMax         int `yaml:"sessions_kept_max"`          // that ended; the oldest beyond it are forgotten
	SymbolsMax              int `yaml:"symbols_per_session_max"`    //
	StrategiesPerSessionMax int `yaml:"strategies_per_session_max"` //
	WatchesMax              int `yaml:"activations_max"`            // strategies that watch a symbol without a session
	WatchesPerUserMax       int `yaml:"activations_per_user_max"`   // of them by one user
	QueueTicksMax           int `yaml:"session_queue_ticks_max"`    // ticks that a session has not seen yet; more are dropped and counted
	EquityPointsMax         int `yaml:"equity_points_max"`          // of a session's equity curve
	TradesKeptMax           int `yaml:"trades_kept_max"`            // the newest of a session; all are counted
	OrdersPendingMax        int `yaml:"orders_pending_max"`         // of one strategy on one symbol; more are rejected

	Strategies  strategies.Config `yaml:",inline"`
	Collections collection.Config `yaml:",inline"`
}

// DefaultConfig returns the values that configs/wse.yaml documents.
func DefaultConfig() Config {
	return Config{
		Enabled: true, FeeBps: 10, SlippageBps: 5, InitialBalance: 10_000, Checkpoint: time.Second, ShareInterval: 5 * time.Second, HealthInterval: 10 * time.Second,
		SessionsMax: 1000, SessionsPerUserMax: 20, SessionsKeptMax: 10_000, SymbolsMax: 50, StrategiesPerSessionMax: 20,
		WatchesMax: 1000, WatchesPerUserMax: 20, QueueTicksMax: 65_536, EquityPointsMax: 500, TradesKeptMax: 500, OrdersPendingMax: 100,
		Strategies: strategies.DefaultConfig(), Collections: collection.DefaultConfig(),
	}
}

// Validate reports every field that is out of range.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name             string
		value, min, most float64
	}{
		{"fee_bps", c.FeeBps, 0, 1000},
		{"slippage_bps", c.SlippageBps, 0, 1000},
		{"initial_balance", c.InitialBalance, 0.01, 1e10},
		{"sessions_max", float64(c.SessionsMax), 1, 1e6},
		{"sessions_per_user_max", float64(c.SessionsPerUserMax), 1, 1e6},
		{"sessions_kept_max", float64(c.SessionsKeptMax), 1, 1e7},
		{"symbols_per_session_max", float64(c.SymbolsMax), 1, 1000},
		{"strategies_per_session_max", float64(c.StrategiesPerSessionMax), 1, 1000},
		{"activations_max", float64(c.WatchesMax), 1, 1e6},
		{"activations_per_user_max", float64(c.WatchesPerUserMax), 1, 1e6},
		{"session_queue_ticks_max", float64(c.QueueTicksMax), 1, 1e8},
		{"equity_points_max", float64(c.EquityPointsMax), 2, 1e6},
		{"trades_kept_max", float64(c.TradesKeptMax), 1, 1e6},
		{"orders_pending_max", float64(c.OrdersPendingMax), 1, 1e6},
	} {
		if math.IsNaN(f.value) || f.value < f.min || f.value > f.most {
			errs = append(errs, fmt.Errorf("%s: must lie within %g and %g, is %g", f.name, f.min, f.most, f.value))
		}
	}
	if c.Checkpoint < 10*time.Millisecond || c.Checkpoint > time.Minute {
		errs = append(errs, fmt.Errorf("checkpoint_interval: must lie within 10ms and 1m, is %s", c.Checkpoint))
	}
	if c.ShareInterval < 100*time.Millisecond || c.ShareInterval > time.Hour {
		errs = append(errs, fmt.Errorf("share_interval: must lie within 100ms and 1h, is %s", c.ShareInterval))
	}
	if c.HealthInterval < 100*time.Millisecond || c.HealthInterval > time.Hour {
		errs = append(errs, fmt.Errorf("health_interval: must lie within 100ms and 1h, is %s", c.HealthInterval))
	}
	return errors.Join(append(errs, c.Strategies.Validate(), c.Collections.Validate())...)
}

// ledgerConfig is how the books of a session are kept.
func (t *Trading) ledgerConfig() ledger.Config {
	c := ledger.DefaultConfig()
	c.EquityPointsMax, c.TradesMax = t.cfg.EquityPointsMax, t.cfg.TradesKeptMax
	c.BooksMax = t.cfg.SymbolsMax * t.cfg.StrategiesPerSessionMax
	return c
}
