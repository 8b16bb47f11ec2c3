package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/collection"
	"github.com/wse-engine/wse/engine/trading/market"
)

// tickSource is where feed reads. Ticks are good ones, and those of a symbol are in the order of time.
type tickSource interface {
	// next returns the next tick, or io.EOF. An error names the place.
	next() (message.Tick, error)
	// progress returns which part was read, from 0 to 1.
	progress() float64
	Close() error
}

var (
	_ tickSource = (*collectionSource)(nil)
	_ tickSource = (*csvSource)(nil)
)

// collectionSource reads the directory of a collection.
type collectionSource struct {
	*collection.Reader
	left []message.Tick
}

func openCollection(dir, symbol string) (*collectionSource, error) {
	var symbols []string
	if symbol != "" {
		symbols = []string{symbol}
	}
	r, err := collection.Open(dir, symbols...)
	if err != nil {
		return nil, err
	}
	return &collectionSource{Reader: r}, nil
}

func (s *collectionSource) next() (message.Tick, error) {
	if len(s.left) == 0 {
		if !s.Next() && s.Err() != nil {
			return message.Tick{}, s.Err()
		}
		if s.left = s.Ticks(); len(s.left) == 0 {
			return message.Tick{}, io.EOF
		}
	}
	t := s.left[0]
	s.left = s.left[1:]
	return t, nil
}

func (s *collectionSource) progress() float64 { return s.Progress() }

// csvSource reads a CSV file with a header.
type csvSource struct {
	path       string
	file       *os.File
	bytes      int64
	rows       *csv.Reader
	at         map[string]int // of the columns, by our names for them
	symbol     string         // of all rows, or only those of this one; empty: each has its own
	timeFormat string         // in the words of package time; empty: as the protocol has it
	last       map[string]int64
}

// columns are our names, the required ones first.
func columns() []string { return []string{"timestamp", "price", "volume", "quote_volume", "symbol"} }

// openCSV opens a file. names has what the file calls the columns that it calls otherwise than we do.
func openCSV(path, symbol, timeFormat string, names map[string]string) (*csvSource, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &csvSource{path: path, file: f, rows: csv.NewReader(f), at: map[string]int{}, symbol: symbol, timeFormat: timeFormat, last: map[string]int64{}}
	s.rows.ReuseRecord = true
	if err := s.header(names); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

// header reads the first row.
func (s *csvSource) header(names map[string]string) error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	s.bytes = info.Size()
	row, err := s.rows.Read()
	if err == io.EOF {
		return fmt.Errorf("%s:1: the header is missing", s.path)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	there := slices.Clone(row)
	there[0] = strings.TrimPrefix(there[0], "\ufeff")
	for i, name := range columns() {
		called := name
		if other, ok := names[name]; ok {
			called = other
		}
		at := slices.Index(there, called)
		if at < 0 && (i < 2 || called != name) {
			return fmt.Errorf("%s:1: there is no column %q; there are %s (--columns %s=NAME says which it is)", s.path, called, strings.Join(there, ", "), name)
		}
		if at >= 0 {
			s.at[name] = at
		}
	}
	if _, ok := s.at["symbol"]; !ok && s.symbol == "" {
		abs, err := filepath.Abs(s.path)
		if err != nil || filepath.Base(abs) != "prices.csv" {
			return fmt.Errorf("%s: there is no column symbol; give --symbol", s.path)
		}
		s.symbol = filepath.Base(filepath.Dir(abs)) // a file of a collection
	}
	return nil
}

func (s *csvSource) next() (message.Tick, error) {
	for {
		row, err := s.rows.Read()
		if err == io.EOF {
			return message.Tick{}, io.EOF
		}
		if err != nil {
			return message.Tick{}, fmt.Errorf("%s: %w", s.path, err)
		}
		t, err := s.tick(row)
		if err != nil {
			line, _ := s.rows.FieldPos(0)
			return message.Tick{}, fmt.Errorf("%s:%d: %w", s.path, line, err)
		}
		if s.symbol == "" || t.Symbol == s.symbol {
			return t, nil
		}
	}
}

// tick reads a row.
func (s *csvSource) tick(row []string) (t message.Tick, err error) {
	field := func(name string) string {
		if at, ok := s.at[name]; ok {
			return strings.TrimSpace(row[at])
		}
		return ""
	}
	if t.Symbol = field("symbol"); t.Symbol == "" {
		t.Symbol = s.symbol
	}
	if err := market.CheckSymbol(t.Symbol); err != nil {
		return t, err
	}
	if t.TimeMS, err = s.time(field("timestamp")); err != nil {
		return t, fmt.Errorf("timestamp: %w", err)
	}
	for _, n := range []struct {
		name string
		to   *float64
	}{{"price", &t.Price}, {"volume", &t.Volume}, {"quote_volume", &t.QuoteVolume}} {
		text := field(n.name)
		if text == "" && n.name != "price" {
			continue
		}
		if *n.to, err = market.Number([]byte(text)); err != nil {
			return t, fmt.Errorf("%s: %w: %.40q", n.name, err, text)
		}
	}
	if field("quote_volume") == "" {
		t.QuoteVolume = t.Price * t.Volume
	}
	if before, ok := s.last[t.Symbol]; ok && t.TimeMS < before {
		return t, fmt.Errorf("timestamp: is before that of an earlier row of %s", t.Symbol)
	}
	s.last[strings.Clone(t.Symbol)] = t.TimeMS
	return t, market.Check(&t)
}

func (s *csvSource) time(text string) (int64, error) {
	if s.timeFormat == "" {
		return market.Time([]byte(text))
	}
	at, err := time.Parse(s.timeFormat, text)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not as --time-format has it", text)
	}
	return at.UnixMilli(), nil
}

func (s *csvSource) progress() float64 {
	if s.bytes == 0 {
		return 1
	}
	return min(1, float64(s.rows.InputOffset())/float64(s.bytes))
}

// Close lets go of the file.
func (s *csvSource) Close() error { return s.file.Close() }

// checkColumns refuses names that are none of ours.
func checkColumns(names map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !slices.Contains(columns(), name) {
			return fmt.Errorf("--columns: %q is none of %s", name, strings.Join(columns(), ", "))
		}
	}
	return nil
}
