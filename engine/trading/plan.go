package trading

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/execution"
	"github.com/wse-engine/wse/engine/trading/ledger"
	"github.com/wse-engine/wse/engine/trading/market"
	"github.com/wse-engine/wse/engine/trading/strategies"
)

// The types of sessions (PROTOCOL §3.4).
const (
	backtest = "backtest"
	paper    = "paper"
	live     = "live"
)

// plan is what a start asks for, read and checked as far as the request alone goes.
type plan struct {
	kind    string
	pairs   []pair   // by strategy, then symbol
	symbols []string // sorted, each once
	key     string   // by which a repeated start is recognised
	config  []byte   // as it was sent
	options options
}

// pair is a strategy that runs on a symbol.
type pair struct{ strategy, symbol string }

// options are what config may hold. Numbers that were not given have the configuration's values.
type options struct {
	collection     string  // of a backtest
	acceleration   float64 // of a backtest: times real time; 0: as fast as it goes
	initialBalance ledger.Amount
	feeBps         float64
	slippageBps    float64
	indicatorMS    float64 // least tick time between reports of indicators; 0: none
	closeAtEnd     bool
	budget         *execution.Budget // nil: none
}

// readPlan reads a start. What its own codes stand for comes first: a session of no type, and one without strategies.
func (t *Trading) readPlan(r *message.SessionStart) (*plan, error) {
	switch r.SessionType {
	case backtest, paper, live:
	default:
		return nil, message.Errorf(message.CodeInvalidSessionType, "session_type must be backtest, paper or live, not %q", cut(r.SessionType))
	}
	p := &plan{kind: r.SessionType, config: r.Config}
	var bad faults
	if err := p.readStrategies(r.StrategyConfig, &t.cfg, &bad); err != nil {
		return nil, err
	}
	p.options = t.defaults(p.kind)
	over := p.options.read(r.Config, p, &bad)
	if err := bad.err(message.CodeInvalidArgument); err != nil {
		return nil, err
	}
	return p, over
}

// defaults are the options of a session that says nothing.
func (t *Trading) defaults(kind string) options {
	balance, _ := ledger.AmountFromFloat(t.cfg.InitialBalance) // Validate has checked it
	o := options{initialBalance: balance, feeBps: t.cfg.FeeBps, slippageBps: t.cfg.SlippageBps, indicatorMS: 1000}
	if kind == backtest {
		o.indicatorMS = 0
	}
	return o
}

// readStrategies reads {strategy: [symbols]}.
func (p *plan) readStrategies(raw []byte, cfg *Config, bad *faults) error {
	if len(raw) == 0 {
		return message.Errorf(message.CodeMissingStrategyConfig, "strategy_config is required: {strategy: [symbols]}")
	}
	seen := map[string]bool{}
	for it := jsonscan.Members(raw); it.Next(); {
		name := string(it.Key())
		path := "strategy_config." + cut(name)
		switch {
		case seen[name]:
			bad.add(path, "is there twice")
			continue
		case strategies.CheckName(name) != nil:
			bad.add(path, "is no strategy's name: 1 to 100 of the characters A-Z a-z 0-9 _ -")
			continue
		}
		seen[name] = true
		p.readSymbols(name, path, it.Value(), bad)
	}
	if len(seen) == 0 && len(*bad) == 0 {
		return message.Errorf(message.CodeMissingStrategyConfig, "strategy_config names no strategy; it is {strategy: [symbols]}")
	}
	if n := len(seen); n > cfg.StrategiesPerSessionMax {
		bad.add("strategy_config", "names %d strategies, at most %d may run in one session", n, cfg.StrategiesPerSessionMax)
	}
	slices.SortFunc(p.pairs, func(a, b pair) int {
		return cmp.Or(strings.Compare(a.strategy, b.strategy), strings.Compare(a.symbol, b.symbol))
	})
	for _, one := range p.pairs {
		p.symbols = append(p.symbols, one.symbol)
	}
	slices.Sort(p.symbols)
	p.symbols = slices.Compact(p.symbols)
	if n := len(p.symbols); n > cfg.SymbolsMax {
		bad.add("strategy_config", "names %d symbols, at most %d may be in one session", n, cfg.SymbolsMax)
	}
	canonical, err := strategies.Canonical(raw)
	if err != nil && len(*bad) == 0 {
		bad.add("strategy_config", "cannot be brought into one form: %v", err)
	}
	p.key = keyOf(p.kind, p.symbols, canonical)
	return nil
}

func (p *plan) readSymbols(strategy, path string, raw []byte, bad *faults) {
	if jsonscan.KindOf(raw) != jsonscan.KindArray {
		bad.add(path, "must be an array of symbols")
		return
	}
	had := map[string]bool{}
	for it := jsonscan.Elements(raw); it.Next(); {
		symbol, err := jsonscan.String(it.Value())
		switch {
		case err != nil:
			bad.add(path, "must be an array of symbols, which are strings")
		case market.CheckSymbol(symbol) != nil:
			bad.add(path, "holds %q: %v", cut(symbol), market.CheckSymbol(symbol))
		case had[strings.ToUpper(symbol)]:
			bad.add(path, "holds %q twice", symbol)
		default:
			had[strings.ToUpper(symbol)] = true
			p.pairs = append(p.pairs, pair{strategy, symbol})
			continue
		}
		if len(*bad) > faultsTold {
			return
		}
	}
	if len(had) == 0 && len(*bad) == 0 {
		bad.add(path, "must name at least one symbol")
	}
}

// keyOf is the key of PROTOCOL §3.4: two starts with the same one are the same.
func keyOf(kind string, symbols []string, canonical []byte) string {
	h := sha256.New()
	h.Write([]byte(kind))
	for _, s := range symbols {
		h.Write([]byte{0})
		h.Write([]byte(strings.ToUpper(s)))
	}
	h.Write([]byte{0, 0})
	sum := sha256.Sum256(canonical)
	h.Write(sum[:])
	return hex.EncodeToString(h.Sum(nil))
}

// read takes over what config says. Members that it does not know are left to the strategies' authors.
// The error is that of a budget that can be read and is over its cap.
func (o *options) read(raw []byte, p *plan, bad *faults) (over error) {
	once(raw, "config", bad)
	for it := jsonscan.Members(raw); len(raw) > 0 && it.Next(); {
		value := it.Value()
		if jsonscan.KindOf(value) == jsonscan.KindNull {
			continue
		}
		switch name := string(it.Key()); name {
		case "session_id", "collection_id":
			if s, err := jsonscan.String(value); err != nil || s == "" || len(s) > 128 {
				bad.add("config."+name, "must be the id of a collection, a string")
			} else {
				o.collection = s
			}
		case "acceleration_factor":
			o.acceleration = number(value, "config."+name, 0, 1e9, bad)
		case "initial_balance":
			o.initialBalance = amount(value, "config."+name, bad)
		case "fee_bps":
			o.feeBps = number(value, "config."+name, 0, 1000, bad)
		case "slippage_bps":
			o.slippageBps = number(value, "config."+name, 0, 1000, bad)
		case "indicator_interval_ms":
			o.indicatorMS = number(value, "config."+name, 0, 1e12, bad)
		case "close_at_end":
			var err error
			if o.closeAtEnd, err = jsonscan.Bool(value); err != nil {
				bad.add("config."+name, "must be true or false")
			}
		case "budget":
			over = o.readBudget(value, bad)
		}
	}
	if o.collection == "" && p.kind == backtest {
		bad.add("config.collection_id", "is required: the collection that the backtest replays")
	}
	return over
}

// readBudget takes over the budget (PROTOCOL §3.4); its faults are told with the others.
func (o *options) readBudget(raw []byte, bad *faults) error {
	once(raw, "config.budget", bad)
	for it := jsonscan.Members(raw); it.Next(); {
		switch name := string(it.Key()); {
		case name == "allocations":
			once(it.Value(), "config.budget.allocations", bad)
		case strings.EqualFold(name, "allocations"), name != "global_cap" && strings.EqualFold(name, "global_cap"):
			bad.add("config.budget."+name, "is unknown; it is written %s", strings.ToLower(name))
		}
	}
	var err error
	if o.budget, err = execution.ParseBudget(raw); err == nil {
		return nil
	}
	e := message.AsError(err)
	if e.Code != message.CodeInvalidArgument {
		return e
	}
	var told details
	if json.Unmarshal(e.Details, &told) != nil || len(told.Errors) == 0 {
		told.Errors = []detail{{"config.budget", e.Message}}
	}
	for _, one := range told.Errors {
		*bad = append(*bad, message.Fault(one))
	}
	return nil
}

// once refuses names that are there twice: of two caps the last would count, and whoever wrote the first would not hear of it.
func once(raw []byte, path string, bad *faults) {
	seen := map[string]bool{}
	for it := jsonscan.Members(raw); it.Next(); {
		name := string(it.Key())
		if seen[name] {
			bad.add(path+"."+cut(name), "is there twice")
		}
		seen[name] = true
	}
}

// number reads a number within bounds.
func number(raw []byte, path string, least, most float64, bad *faults) float64 {
	f, err := jsonscan.Float(raw)
	if err != nil || math.IsNaN(f) || f < least || f > most {
		bad.add(path, "must be a number from %g to %g", least, most)
		return least
	}
	return f
}

// amount reads an amount of money that is above zero.
func amount(raw []byte, path string, bad *faults) ledger.Amount {
	a, err := ledger.Amount(0), error(nil)
	if jsonscan.Valid(raw, 1) == nil && jsonscan.KindOf(raw) == jsonscan.KindNumber {
		a, err = parseAmount(raw)
	} else {
		err = ledger.ErrNumber
	}
	if err != nil || a <= 0 {
		bad.add(path, "must be a number above 0 and at most %v", ledger.AmountMax)
		return 0
	}
	return a
}

// parseAmount reads a JSON number, with an exponent too.
func parseAmount(raw []byte) (ledger.Amount, error) {
	if !bytes.ContainsAny(raw, "eE") {
		return ledger.ParseAmount(string(raw))
	}
	f, err := jsonscan.Float(raw)
	if err != nil {
		return 0, err
	}
	return ledger.AmountFromFloat(f)
}

// cut keeps a client's own words in an error short.
func cut(text string) string { return message.Cut(text, 64) }
