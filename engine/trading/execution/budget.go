package execution

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/ledger"
)

// Budget bounds what strategies may commit, in quote currency. It is read-only once a run has it.
type Budget struct {
	GlobalCap   ledger.Amount            // of all strategies together; 0: none was given
	Allocations map[string]ledger.Amount // of each strategy that has one
}

// ParseBudget reads {"global_cap": number, "allocations": {strategy: number | "n%"}}, percentages being of the global cap, which they
// need. Nothing, null and an empty object are no budget. The error is a *message.Error: CodeBudgetCapExceeded where the allocations
// come to more than the cap (equal is fine), CodeInvalidArgument with all faults and their paths for what cannot be read.
func ParseBudget(document []byte) (*Budget, error) {
	if text := bytes.TrimSpace(document); len(text) == 0 || bytes.Equal(text, []byte("null")) {
		return nil, nil
	}
	var raw struct {
		GlobalCap   json.RawMessage            `json:"global_cap"`
		Allocations map[string]json.RawMessage `json:"allocations"`
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&raw); err != nil {
		return nil, message.Errorf(message.CodeInvalidArgument, `config.budget must be an object with global_cap, a number, and allocations, an object of numbers or "n%%": %v`, err)
	}
	b := &Budget{Allocations: make(map[string]ledger.Amount, len(raw.Allocations))}
	var bad budgetFaults
	if len(raw.GlobalCap) > 0 && string(raw.GlobalCap) != "null" {
		limit, err := parseMoney(raw.GlobalCap)
		if err == nil && limit == 0 {
			err = fmt.Errorf("must be above 0")
		}
		if err != nil {
			bad.add("config.budget.global_cap", err)
		}
		b.GlobalCap = limit
	}
	for _, name := range sortedKeys(raw.Allocations) {
		amount, err := b.parseAllocation(raw.Allocations[name])
		if err != nil {
			bad.add(fmt.Sprintf("config.budget.allocations.%.64s", name), err)
		}
		b.Allocations[name] = amount
	}
	if len(bad) > 0 {
		return nil, bad.error()
	}
	if b.GlobalCap == 0 && len(b.Allocations) == 0 {
		return nil, nil
	}
	return b, b.check()
}

// budgetFaults are what is wrong with a budget, each with its path.
type budgetFaults []budgetFault

type budgetFault struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

func (f *budgetFaults) add(path string, err error) {
	*f = append(*f, budgetFault{path, fmt.Sprintf("%s %v", path, err)})
}

// faultsTold is how many faults are written out.
const faultsTold = 100

// error returns the refusal that tells of all faults.
func (f budgetFaults) error() error {
	var texts []string
	told := f[:min(len(f), faultsTold)]
	for _, one := range told {
		texts = append(texts, one.Message)
	}
	if more := len(f) - len(told); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return message.Errorf(message.CodeInvalidArgument, "%s", strings.Join(texts, "; ")).WithDetails(map[string]any{"errors": told})
}

// check refuses allocations that come to more than the cap, also those for strategies that the session does not start.
func (b *Budget) check() error {
	sum := ledger.Amount(0)
	for _, name := range sortedKeys(b.Allocations) {
		var err error
		if sum, err = sum.Add(b.Allocations[name]); err != nil {
			return message.Errorf(message.CodeBudgetCapExceeded, "config.budget.allocations come to more than can be reckoned with")
		}
	}
	if b.GlobalCap > 0 && sum > b.GlobalCap {
		return message.Errorf(message.CodeBudgetCapExceeded, "config.budget.allocations come to %v, which is over global_cap, %v; lower them or raise it", sum, b.GlobalCap)
	}
	return nil
}

func (b *Budget) parseAllocation(raw json.RawMessage) (ledger.Amount, error) {
	if len(raw) == 0 || raw[0] != '"' {
		return parseMoney(raw)
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return 0, err
	}
	digits, ok := strings.CutSuffix(text, "%")
	if !ok || digits == "" || strings.Trim(digits, "0123456789.") != "" {
		return 0, fmt.Errorf(`must be a number or a text like "25%%", not %.40q`, text)
	}
	percent, err := ledger.ParseAmount(digits)
	if err != nil {
		return 0, fmt.Errorf(`must be a number or a text like "25%%", not %.40q`, text)
	}
	if b.GlobalCap == 0 {
		return 0, fmt.Errorf("is %s of a global_cap, which must be there then", text)
	}
	amount, err := b.GlobalCap.MulDiv(percent, 100*ledger.One)
	if err != nil {
		return 0, fmt.Errorf("is more than can be reckoned with: %.40q", text)
	}
	return amount, nil
}

// parseMoney reads a number of at least 0.
func parseMoney(raw json.RawMessage) (ledger.Amount, error) {
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, fmt.Errorf("must be a number, not %.40s", raw)
	}
	amount, err := ledger.ParseAmount(string(raw))
	if err != nil {
		return 0, fmt.Errorf("must be a number up to %v, not %.40s", ledger.AmountMax, raw)
	}
	if amount < 0 {
		return 0, fmt.Errorf("must not be negative, as %.40s is", raw)
	}
	return amount, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// exposure is how much of an order opens or enlarges a position: what is left of its quantity after closing what h holds and what
// pending orders of the same side do not close already.
func (h *handle) exposure(sell bool, quantity ledger.Amount, except *order) ledger.Amount {
	held := h.run.books.Position(h.book).Quantity
	closable := ledger.Amount(0)
	if held != 0 && (held > 0) == sell {
		closable = held.Abs()
	}
	for _, o := range h.orders {
		if o.sell == sell && o != except {
			closable = max(0, closable-o.closes)
		}
	}
	return max(0, quantity-closable)
}

// afford returns why an order of s's that commits so much more cannot be had, or nothing. except is not counted.
func (r *Run) afford(s *strategy, commits ledger.Amount, except *order) string {
	if commits == 0 {
		return ""
	}
	own, ok1 := r.committed(s, except)
	all, ok2 := ledger.Amount(0), true
	for _, other := range r.strategies {
		c, ok := r.committed(other, except)
		all, ok2 = sum(all, c, ok2 && ok)
	}
	own, ok1 = sum(own, commits, ok1)
	all, ok2 = sum(all, commits, ok2)
	if b := r.config.Budget; b != nil {
		if limit, has := b.Allocations[s.name]; has && (own > limit || !ok1) {
			return ReasonBudget
		}
		if b.GlobalCap > 0 && (all > b.GlobalCap || !ok2) {
			return ReasonBudget
		}
		if b.GlobalCap > 0 {
			return ""
		}
	}
	equity := r.books.Equity()
	limit, err := equity.MulDiv(r.config.LeverageMax, ledger.One)
	if err != nil && equity > 0 {
		limit = ledger.AmountMax
	}
	if !ok2 || all > limit {
		return ReasonEquity
	}
	return ""
}

// committed is what a strategy's positions cost and what its pending orders would add.
func (r *Run) committed(s *strategy, except *order) (total ledger.Amount, ok bool) {
	ok = true
	for _, h := range s.handles {
		total, ok = sum(total, r.books.Position(h.book).Cost, ok)
		for _, o := range h.orders {
			if o != except {
				total, ok = sum(total, o.commits, ok)
			}
		}
	}
	return total, ok
}

// sum adds as long as everything fits.
func sum(a, b ledger.Amount, ok bool) (ledger.Amount, bool) {
	c, err := a.Add(b)
	return c, ok && err == nil
}
