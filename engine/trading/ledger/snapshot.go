package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// ErrSnapshot is wrapped by what Restore returns for a document that cannot be a ledger's snapshot.
var ErrSnapshot = errors.New("ledger: snapshot")

// snapshotVersion is that of the document. A change that an older Restore would misread gets a new number.
const snapshotVersion = 1

// The document of a snapshot. Sums above the books are not in it: they are added up again, so that no document can say that the session
// is anything but the sum of its books.
type (
	snapshot struct {
		Version        int                `json:"version"`
		InitialBalance Amount             `json:"initial_balance"`
		Session        drawdown           `json:"session"`
		Seen           Amount             `json:"seen"`
		Unseen         bool               `json:"unseen"`
		InvalidTicks   uint64             `json:"invalid_ticks"`
		Clock          clockSnapshot      `json:"clock"`
		Strategies     []strategySnapshot `json:"strategies"`

		// The long lists, which Snapshot appends by itself.
		Symbols []symbolSnapshot `json:"symbols,omitempty"`
		Books   []bookSnapshot   `json:"books,omitempty"`
		TimesMS []int64          `json:"times_ms,omitempty"` // of the equity curve
		Equity  []Amount         `json:"equity,omitempty"`   // of the equity curve
		Trades  []tradeSnapshot  `json:"trades,omitempty"`   // oldest first
	}
	clockSnapshot struct {
		NowMS      float64 `json:"now_ms"`
		Started    bool    `json:"started"`
		IntervalMS int64   `json:"interval_ms"`
		Daily      daily   `json:"daily"`
	}
	symbolSnapshot struct {
		Name       string   `json:"name"`
		Ticks      uint64   `json:"ticks"`
		OutOfOrder uint64   `json:"out_of_order"`
		LastMS     float64  `json:"last_ms"`
		Last       float64  `json:"last"`
		Mark       Price    `json:"mark"`
		MarkOf     float64  `json:"mark_of"`
		Fall       drawdown `json:"fall"`
	}
	strategySnapshot struct {
		Name string   `json:"name"`
		Fall drawdown `json:"fall"`
	}
	bookSnapshot struct {
		Strategy   int         `json:"strategy"` // index in strategies
		Symbol     int         `json:"symbol"`   // index in symbols
		Cash       Amount      `json:"cash"`
		Realized   Amount      `json:"realized"`
		Fees       Amount      `json:"fees"`
		Quantity   Amount      `json:"quantity"`
		Cost       Amount      `json:"cost"`
		EntryFees  Amount      `json:"entry_fees"`
		Average    Price       `json:"average"`
		OpenedMS   int64       `json:"opened_ms"`
		Fall       drawdown    `json:"fall"`
		Counts     counts      `json:"counts"`
		Rejections []rejection `json:"rejections,omitempty"`
	}
	rejection struct {
		Reason string `json:"reason"`
		Count  uint64 `json:"count"`
	}
	tradeSnapshot struct {
		Book     int    `json:"book"` // index in books
		Short    bool   `json:"short"`
		Quantity Amount `json:"quantity"`
		Realized Amount `json:"realized"`
		Fees     Amount `json:"fees"`
		Net      Amount `json:"net"`
		Entry    Price  `json:"entry"`
		Exit     Price  `json:"exit"`
		EntryMS  int64  `json:"entry_ms"`
		ExitMS   int64  `json:"exit_ms"`
		Reason   string `json:"reason"`
	}
)

func (s *symbolSnapshot) append(d []byte) []byte {
	d = appendString(append(d, `{"name":`...), s.Name)
	d = strconv.AppendUint(append(d, `,"ticks":`...), s.Ticks, 10)
	d = strconv.AppendUint(append(d, `,"out_of_order":`...), s.OutOfOrder, 10)
	d = appendFloat(append(d, `,"last_ms":`...), s.LastMS)
	d = appendFloat(append(d, `,"last":`...), s.Last)
	d = s.Mark.Append(append(d, `,"mark":`...))
	d = appendFloat(append(d, `,"mark_of":`...), s.MarkOf)
	return append(s.Fall.append(append(d, `,"fall":`...)), '}')
}

func (d *drawdown) append(b []byte) []byte {
	b = d.Peak.Append(append(b, `{"peak":`...))
	b = d.Current.Append(append(b, `,"current":`...))
	b = d.Worst.Append(append(b, `,"worst":`...))
	return append(appendFloat(append(b, `,"percent":`...), d.Percent), '}')
}

func (b *bookSnapshot) append(d []byte) []byte {
	d = strconv.AppendInt(append(d, `{"strategy":`...), int64(b.Strategy), 10)
	d = strconv.AppendInt(append(d, `,"symbol":`...), int64(b.Symbol), 10)
	d = b.Cash.Append(append(d, `,"cash":`...))
	d = b.Realized.Append(append(d, `,"realized":`...))
	d = b.Fees.Append(append(d, `,"fees":`...))
	d = b.Quantity.Append(append(d, `,"quantity":`...))
	d = b.Cost.Append(append(d, `,"cost":`...))
	d = b.EntryFees.Append(append(d, `,"entry_fees":`...))
	d = b.Average.Append(append(d, `,"average":`...))
	d = strconv.AppendInt(append(d, `,"opened_ms":`...), b.OpenedMS, 10)
	d = b.Fall.append(append(d, `,"fall":`...))
	d = b.Counts.append(append(d, `,"counts":`...))
	if len(b.Rejections) > 0 {
		d = append(d, `,"rejections":[`...)
		for i, r := range b.Rejections {
			d = appendString(append(comma(d, i), `{"reason":`...), r.Reason)
			d = append(strconv.AppendUint(append(d, `,"count":`...), r.Count, 10), '}')
		}
		d = append(d, ']')
	}
	return append(d, '}')
}

func (c *counts) append(d []byte) []byte {
	d = strconv.AppendUint(append(d, `{"signals":`...), c.Signals, 10)
	d = strconv.AppendUint(append(d, `,"placed":`...), c.Placed, 10)
	d = strconv.AppendUint(append(d, `,"filled":`...), c.Filled, 10)
	d = strconv.AppendUint(append(d, `,"rejected":`...), c.Rejected, 10)
	d = strconv.AppendUint(append(d, `,"cancelled":`...), c.Cancelled, 10)
	d = strconv.AppendUint(append(d, `,"trades":`...), c.Trades, 10)
	d = strconv.AppendUint(append(d, `,"wins":`...), c.Wins, 10)
	return append(strconv.AppendUint(append(d, `,"losses":`...), c.Losses, 10), '}')
}

// appendFloat appends a finite number so that it is read back as it is.
func appendFloat(d []byte, x float64) []byte {
	format := byte('f')
	if abs := math.Abs(x); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(d, x, format, -1, 64)
}

func (t *tradeSnapshot) append(d []byte) []byte {
	d = strconv.AppendInt(append(d, `{"book":`...), int64(t.Book), 10)
	d = strconv.AppendBool(append(d, `,"short":`...), t.Short)
	d = t.Quantity.Append(append(d, `,"quantity":`...))
	d = t.Realized.Append(append(d, `,"realized":`...))
	d = t.Fees.Append(append(d, `,"fees":`...))
	d = t.Net.Append(append(d, `,"net":`...))
	d = t.Entry.Append(append(d, `,"entry":`...))
	d = t.Exit.Append(append(d, `,"exit":`...))
	d = strconv.AppendInt(append(d, `,"entry_ms":`...), t.EntryMS, 10)
	d = strconv.AppendInt(append(d, `,"exit_ms":`...), t.ExitMS, 10)
	return append(appendString(append(d, `,"reason":`...), t.Reason), '}')
}

// appendString appends s as JSON has it; a plain text, as reasons are, without asking encoding/json.
func appendString(d []byte, s string) []byte {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		quoted, err := json.Marshal(s)
		if err != nil { // no string does that
			panic(err)
		}
		return append(d, quoted...)
	}
	return append(append(append(d, '"'), s...), '"')
}

// Snapshot returns the ledger as a JSON document with a version, from which Restore makes one that behaves the same.
func (l *Ledger) Snapshot() ([]byte, error) {
	c := &l.clock
	doc := snapshot{Version: snapshotVersion, InitialBalance: l.config.InitialBalance, Session: l.session.fall, Seen: l.seen, Unseen: l.unseen,
		InvalidTicks: l.invalid, Clock: clockSnapshot{NowMS: c.nowMS, Started: c.interval >= 0, IntervalMS: c.intervalMS, Daily: c.daily}}
	for i := range l.strategies {
		doc.Strategies = append(doc.Strategies, strategySnapshot{l.strategies[i].name, l.strategies[i].fall})
	}
	head, err := json.Marshal(&doc)
	if err != nil {
		return nil, err
	}
	return l.appendLists(head[:len(head)-1]), nil
}

// appendLists appends the long lists and the end of the document. Through encoding/json, which looks at every byte that its marshalers
// return, they would take several times as long as everything else (BenchmarkSnapshot).
func (l *Ledger) appendLists(d []byte) []byte {
	d = slices.Grow(d, 256*len(l.symbols)+512*len(l.books)+32*len(l.clock.points)+256*len(l.trades)+128)
	d = append(d, `,"symbols":[`...)
	for i := range l.symbols {
		s := &l.symbols[i]
		view := symbolSnapshot{s.name, s.ticks, s.outOfOrder, s.lastMS, s.last, s.mark, s.markOf, s.fall}
		d = view.append(comma(d, i))
	}
	d = append(d, `],"books":[`...)
	for i := range l.books {
		b, p := &l.books[i], &l.books[i].position
		view := bookSnapshot{Strategy: b.strategy, Symbol: int(b.symbol), Cash: b.cash, Realized: b.realized, Fees: b.fees,
			Quantity: p.quantity, Cost: p.cost, EntryFees: p.fees, Average: p.average, OpenedMS: p.openedMS, Fall: b.fall, Counts: b.counts}
		for _, r := range b.rejections {
			view.Rejections = append(view.Rejections, rejection(r))
		}
		d = view.append(comma(d, i))
	}
	d = append(d, `],"times_ms":[`...)
	for i, p := range l.clock.points {
		d = strconv.AppendInt(comma(d, i), p.timeMS, 10)
	}
	d = append(d, `],"equity":[`...)
	for i, p := range l.clock.points {
		d = p.equity.Append(comma(d, i))
	}
	d = append(d, `],"trades":[`...)
	for i := range l.trades {
		t := &l.trades[(l.oldest+i)%len(l.trades)]
		view := tradeSnapshot{int(t.book), t.short, t.quantity, t.realized, t.fees, t.net, t.entry, t.exit, t.entryMS, t.exitMS, t.reason}
		d = view.append(comma(d, i))
	}
	return append(d, "]}"...)
}

func comma(d []byte, i int) []byte {
	if i > 0 {
		return append(d, ',')
	}
	return d
}

// Restore returns the ledger that a snapshot was taken of. The initial balance is the snapshot's, the limits are c's: of more trades
// the newest are kept, and of more points of the curve fewer. A document that is no snapshot, or whose numbers
// contradict each other, is an [ErrSnapshot].
func Restore(document []byte, c Config) (*Ledger, error) {
	var doc snapshot
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the document", ErrSnapshot)
	}
	if doc.Version != snapshotVersion {
		return nil, fmt.Errorf("%w: version %d; this engine reads version %d", ErrSnapshot, doc.Version, snapshotVersion)
	}
	c.InitialBalance = doc.InitialBalance
	l, err := New(c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if err := doc.checkFalls(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	l.session.fall, l.seen, l.unseen, l.invalid = doc.Session, doc.Seen, doc.Unseen, doc.InvalidTicks
	for _, step := range []func(*snapshot) error{l.restoreNames, l.restoreBooks, l.restoreTrades, l.clock.restore} {
		if err := step(&doc); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
		}
	}
	return l, nil
}

func (doc *snapshot) checkFalls() error {
	if err := doc.Session.check(doc.InitialBalance); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	for i := range doc.Symbols {
		if err := doc.Symbols[i].Fall.check(doc.InitialBalance); err != nil {
			return fmt.Errorf("symbols[%d]: %w", i, err)
		}
	}
	for i := range doc.Strategies {
		if err := doc.Strategies[i].Fall.check(doc.InitialBalance); err != nil {
			return fmt.Errorf("strategies[%d]: %w", i, err)
		}
	}
	for i := range doc.Books {
		if err := doc.Books[i].Fall.check(doc.InitialBalance); err != nil {
			return fmt.Errorf("books[%d]: %w", i, err)
		}
	}
	return nil
}

func (l *Ledger) restoreNames(doc *snapshot) error {
	for i, from := range doc.Symbols {
		id, err := l.Symbol(from.Name)
		if err != nil || int(id) != i {
			return fmt.Errorf("symbols[%d] %.40q: twice, or no name: %w", i, from.Name, err)
		}
		if bad := from.LastMS < 0 || from.LastMS > doc.Clock.NowMS || from.Last < 0 || from.MarkOf < 0; bad || (from.Ticks > 0) != (from.Last > 0) {
			return fmt.Errorf("symbols[%d]: a last tick that cannot be", i)
		}
		s := &l.symbols[i]
		s.ticks, s.outOfOrder, s.lastMS, s.last, s.mark, s.markOf, s.fall = from.Ticks, from.OutOfOrder, from.LastMS, from.Last, from.Mark, from.MarkOf, from.Fall
	}
	for i, from := range doc.Strategies {
		if _, twice := l.strategyOf[from.Name]; twice {
			return fmt.Errorf("strategies[%d] %.40q: twice", i, from.Name)
		}
		if err := l.admit("strategy", from.Name, i); err != nil {
			return err
		}
		l.strategyOf[from.Name] = i
		l.strategies = append(l.strategies, part{from.Name, account{fall: from.Fall}})
	}
	return nil
}

func (l *Ledger) restoreBooks(doc *snapshot) error {
	for i := range doc.Books {
		from := &doc.Books[i]
		if from.Strategy < 0 || from.Strategy >= len(l.strategies) || from.Symbol < 0 || from.Symbol >= len(l.symbols) {
			return fmt.Errorf("books[%d]: no such strategy or symbol", i)
		}
		s := &l.symbols[from.Symbol]
		id, err := l.Book(l.strategies[from.Strategy].name, s.name)
		if err != nil || int(id) != i {
			return fmt.Errorf("books[%d]: twice, or too many: %w", i, err)
		}
		b := &l.books[i]
		if err := from.sums(s.mark, &b.sums); err != nil {
			return fmt.Errorf("books[%d]: %w", i, err)
		}
		b.position = position{from.Quantity, from.Cost, from.EntryFees, from.Average, from.OpenedMS}
		b.fall, b.counts = from.Fall, from.Counts
		for _, r := range from.Rejections {
			b.rejections = countRejection(b.rejections, cleanReason(r.Reason), r.Count, rejectionsMax)
		}
		var bad bool
		l.strategies[b.strategy].add(&b.sums, &bad)
		s.add(&b.sums, &bad)
		l.session.add(&b.sums, &bad)
		l.reopen(id, s, b.position.quantity != 0)
		if bad {
			return fmt.Errorf("books[%d]: %w", i, ErrOverflow)
		}
	}
	var bad bool
	for _, list := range [][]part{l.strategies, {{account: l.session}}} {
		for i := range list {
			list[i].fits(l.config.InitialBalance, &bad)
		}
	}
	for i := range l.symbols {
		l.symbols[i].fits(l.config.InitialBalance, &bad)
	}
	if bad {
		return fmt.Errorf("the sum of the books: %w", ErrOverflow)
	}
	return nil
}

// sums works out the sums of a book, and refuses one whose entries do not balance.
func (from *bookSnapshot) sums(mark Price, s *sums) error {
	if from.OpenedMS < 0 || from.OpenedMS > TimeMaxMS {
		return fmt.Errorf("opened at %d ms", from.OpenedMS)
	}
	if open := from.Quantity != 0; open && (!from.Average.Known() || !mark.Known() || from.Cost != 0 && (from.Cost < 0) != (from.Quantity < 0)) {
		return errors.New("a position without a price, or with a cost of the other sign")
	} else if !open && (from.Cost != 0 || from.EntryFees != 0 || from.Average.Known()) {
		return errors.New("no position, but what it cost")
	}
	var bad bool
	*s = sums{cash: from.Cash, inventory: from.Cost, realized: from.Realized, fees: from.Fees, settled: plus(from.Realized, -from.Fees, &bad)}
	if plus(from.Cash, from.Cost, &bad) != s.settled {
		return errors.New("cash + cost is not realized − fees")
	}
	value, ok := mark.of(from.Quantity)
	s.unrealized = plus(value, -from.Cost, &bad)
	if bad || !ok {
		return ErrOverflow
	}
	return nil
}

func (l *Ledger) restoreTrades(doc *snapshot) error {
	list := doc.Trades
	for i := range list {
		if b := list[i].Book; b < 0 || b >= len(l.books) {
			return fmt.Errorf("trades[%d]: no such book", i)
		}
	}
	if extra := len(list) - l.config.TradesMax; extra > 0 {
		list = list[extra:]
	}
	for _, t := range list {
		l.trades = append(l.trades, trade{BookID(t.Book), t.Short, t.Quantity, t.Realized, t.Fees, t.Net, t.Entry, t.Exit, t.EntryMS, t.ExitMS,
			cleanReason(t.Reason)})
	}
	return nil
}

func (c *clock) restore(doc *snapshot) error {
	from := &doc.Clock
	if from.IntervalMS < firstIntervalMS || from.IntervalMS > 1<<50 || from.NowMS < 0 || from.NowMS > TimeMaxMS || len(doc.TimesMS) != len(doc.Equity) {
		return errors.New("clock: a time that cannot be")
	}
	c.nowMS, c.intervalMS, c.daily = from.NowMS, from.IntervalMS, from.Daily
	for i, t := range doc.TimesMS {
		if t < 0 || t > TimeMaxMS {
			return fmt.Errorf("clock: times_ms[%d] cannot be", i)
		}
		c.push(point{t, doc.Equity[i]}, int64(c.nowMS))
	}
	if from.Started {
		c.enter(int64(c.nowMS))
	}
	return from.Daily.check()
}

// check refuses sums that no days can have.
func (d daily) check() error {
	const most = 1e60
	if d.Days < 0 || d.Days > TimeMaxMS/dayMS || math.Abs(d.Sum) > most || d.Squares < 0 || d.Squares > most || d.Downside < 0 || d.Downside > most {
		return errors.New("daily: sums that cannot be")
	}
	return nil
}

// check refuses a drawdown that no equity can have had, which began with initial.
func (d drawdown) check(initial Amount) error {
	if d.Peak < initial || d.Current < 0 || d.Worst < 0 || d.Percent < 0 || d.Percent > 1e22 {
		return errors.New("a drawdown that cannot be")
	}
	return nil
}
