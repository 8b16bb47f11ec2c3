package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"
)

// source is a CSV file of prices. The engine's own program reads it too, to publish it; here it is read for the picture, and to
// know its symbols.
type source struct {
	file, symbol, time, price, layout string

	bySymbol map[string][]quote
	symbols  []string // sorted
	rows     int
}

// quote is the price of a symbol at a time.
type quote struct {
	at    time.Time
	price float64
}

// read reads the file.
func (s *source) read() (err error) {
	f, err := os.Open(s.file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return fmt.Errorf("%s: %w", s.file, err)
	}
	if len(all) < 2 {
		return fmt.Errorf("%s: there are no prices in it", s.file)
	}
	symbolAt, timeAt, priceAt := slices.Index(all[0], "symbol"), slices.Index(all[0], s.time), slices.Index(all[0], s.price)
	if timeAt < 0 || priceAt < 0 {
		return fmt.Errorf("%s: there are no columns %s and %s, but %v", s.file, s.time, s.price, all[0])
	}
	s.bySymbol = map[string][]quote{}
	for i, row := range all[1:] {
		symbol := s.symbol
		if symbolAt >= 0 {
			symbol = row[symbolAt]
		}
		q, err := s.quote(row[timeAt], row[priceAt])
		if err != nil {
			return fmt.Errorf("%s:%d: %w", s.file, i+2, err)
		}
		if s.bySymbol[symbol] == nil {
			s.symbols = append(s.symbols, symbol)
		}
		s.bySymbol[symbol] = append(s.bySymbol[symbol], q)
		s.rows++
	}
	slices.Sort(s.symbols)
	return nil
}

func (s *source) quote(at, price string) (q quote, err error) {
	layout := s.layout
	if layout == "" {
		layout = time.DateOnly
	}
	if q.at, err = time.Parse(layout, at); err != nil {
		return q, err
	}
	q.price, err = strconv.ParseFloat(price, 64)
	return q, err
}

// feed is how the engine's program is told of the file.
func (s *source) feed() []string {
	args := []string{"feed", s.file, "--speed", "0", "--quiet", "--json", "--columns", "timestamp=" + s.time + ",price=" + s.price}
	if s.layout != "" {
		args = append(args, "--time-format", s.layout)
	}
	if len(s.symbols) == 1 {
		args = append(args, "--symbol", s.symbols[0])
	}
	return args
}

// held is what an investor comes to who splits a balance among the symbols at their first prices and never trades: at each
// time of a price, without fees.
func (s *source) held(balance float64) []quote {
	share := balance / float64(len(s.symbols))
	worth, times := map[string]float64{}, map[int64]map[string]float64{}
	for _, symbol := range s.symbols {
		worth[symbol] = share
		first := s.bySymbol[symbol][0].price
		for _, q := range s.bySymbol[symbol] {
			if times[q.at.Unix()] == nil {
				times[q.at.Unix()] = map[string]float64{}
			}
			times[q.at.Unix()][symbol] = share * q.price / first
		}
	}
	var curve []quote
	for at := range times {
		curve = append(curve, quote{at: time.Unix(at, 0).UTC()})
	}
	slices.SortFunc(curve, func(a, b quote) int { return a.at.Compare(b.at) })
	for i := range curve {
		for symbol, now := range times[curve[i].at.Unix()] {
			worth[symbol] = now
		}
		for _, symbol := range s.symbols {
			curve[i].price += worth[symbol]
		}
	}
	return curve
}
