package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// results are what the engine says that a session came to, as far as the table and the picture show it.
type results struct {
	Metrics metrics            `json:"metrics"`
	Symbols map[string]metrics `json:"symbols"`
	Trades  []trade            `json:"trades_list"`
	Curve   []struct {
		At     time.Time `json:"timestamp"`
		Equity float64   `json:"equity"`
	} `json:"equity_curve"`
}

type metrics struct {
	Ticks          int      `json:"ticks_processed"`
	Signals        int      `json:"signals_detected"`
	OrdersFilled   int      `json:"orders_filled"`
	Trades         int      `json:"trades"`
	Wins           int      `json:"winning_trades"`
	WinRate        float64  `json:"win_rate"`
	Realized       float64  `json:"realized_pnl"`
	Unrealized     float64  `json:"unrealized_pnl"`
	Fees           float64  `json:"fees"`
	Net            float64  `json:"net_pnl"`
	MaxDrawdown    float64  `json:"max_drawdown"`
	MaxDrawdownPct float64  `json:"max_drawdown_pct"`
	Initial        float64  `json:"initial_balance"`
	Equity         float64  `json:"equity"`
	Sharpe         *float64 `json:"sharpe"`
	Sortino        *float64 `json:"sortino"`
}

type trade struct {
	Symbol   string    `json:"symbol"`
	Side     string    `json:"side"`
	Quantity float64   `json:"quantity"`
	Entry    float64   `json:"entry_price"`
	Exit     float64   `json:"exit_price"`
	EntryAt  time.Time `json:"entry_time"`
	ExitAt   time.Time `json:"exit_time"`
	Net      float64   `json:"net_pnl"`
	Reason   string    `json:"reason"`
}

// print prints the tables.
func (r *report) print(to io.Writer, prices *source) error {
	var all results
	if err := json.Unmarshal(r.Session, &all); err != nil {
		return err
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, print := range []func(io.Writer, *results, *source){summary, parts, trades} {
		print(w, &all, prices)
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// summary compares the session with holding.
func summary(w io.Writer, all *results, prices *source) {
	m, held := &all.Metrics, prices.held(all.Metrics.Initial)
	first, last := held[0].at.Format(time.DateOnly), held[len(held)-1].at.Format(time.DateOnly)
	fmt.Fprintf(w, "%d prices of %s, %s to %s\n\n", m.Ticks, strings.Join(prices.symbols, ", "), first, last)
	fall, percent := drawdown(held)
	row := func(name, strategy, holding string) { fmt.Fprintf(w, "%s\t%s\t%s\t\n", name, strategy, holding) }
	row("", "strategy", "bought and held")
	row("initial balance", money(m.Initial), money(m.Initial))
	row("final equity", money(m.Equity), money(held[len(held)-1].price))
	row("return", percentage(100*(m.Equity/m.Initial-1)), percentage(100*(held[len(held)-1].price/m.Initial-1)))
	row("max drawdown", money(m.MaxDrawdown), money(fall))
	row("max drawdown, %", percentage(m.MaxDrawdownPct), percentage(percent))
	row("realized PnL", money(m.Realized), "")
	row("unrealized PnL", money(m.Unrealized), "")
	row("fees", money(m.Fees), "")
	row("signals", fmt.Sprint(m.Signals), "")
	row("orders filled", fmt.Sprint(m.OrdersFilled), "")
	row("trades", fmt.Sprint(m.Trades), "")
	row("win rate", percentage(100*m.WinRate), "")
	row("Sharpe", ratio(m.Sharpe), "")
	row("Sortino", ratio(m.Sortino), "")
}

// drawdown is the largest fall of a curve from a peak, in money and in percent of it.
func drawdown(curve []quote) (money, percent float64) {
	peak := 0.0
	for _, q := range curve {
		peak = max(peak, q.price)
		money, percent = max(money, peak-q.price), max(percent, 100*(peak-q.price)/peak)
	}
	return money, percent
}

// parts shows each symbol where there are several.
func parts(w io.Writer, all *results, prices *source) {
	if len(prices.symbols) < 2 {
		return
	}
	fmt.Fprint(w, "\nsymbol\tprices\ttrades\twon\trealized\tunrealized\tfees\tnet\tmax drawdown\t\n")
	for _, symbol := range prices.symbols {
		m := all.Symbols[symbol]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t\n", symbol, m.Ticks, m.Trades, m.Wins, money(m.Realized), money(m.Unrealized),
			money(m.Fees), money(m.Net), money(m.MaxDrawdown))
	}
}

// trades lists the positions that were closed.
func trades(w io.Writer, all *results, _ *source) {
	fmt.Fprint(w, "\nsymbol\tside\tquantity\tentered\tat\tleft\tat\tnet PnL\treason\t\n")
	slices.SortStableFunc(all.Trades, func(a, b trade) int { return a.ExitAt.Compare(b.ExitAt) })
	for _, t := range all.Trades {
		fmt.Fprintf(w, "%s\t%s\t%.4f\t%s\t%.2f\t%s\t%.2f\t%s\t%s\t\n", t.Symbol, t.Side, t.Quantity, t.EntryAt.Format(time.DateOnly), t.Entry,
			t.ExitAt.Format(time.DateOnly), t.Exit, money(t.Net), t.Reason)
	}
}

func money(x float64) string { return fmt.Sprintf("%.2f", x) }

func percentage(x float64) string { return fmt.Sprintf("%.2f %%", x) }

func ratio(x *float64) string {
	if x == nil {
		return "none"
	}
	return fmt.Sprintf("%.2f", *x)
}
