package market

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// Errors of ticks, to be tested for with errors.Is.
var (
	// ErrTick is what every fault of a tick wraps.
	ErrTick = errors.New("bad tick")
	// ErrSymbol is what every fault of a symbol wraps.
	ErrSymbol = errors.New("bad symbol")
)

// topicPrefix is what the topics of ticks begin with (PROTOCOL §2.4).
const topicPrefix = "stream:market_data:"

// Topic returns the topic that the ticks of symbol are published on. The error wraps [ErrSymbol].
func Topic(symbol string) (message.Topic, error) {
	if err := CheckSymbol(symbol); err != nil {
		return "", err
	}
	return message.Topic(topicPrefix + symbol), nil
}

// CheckSymbol checks that symbol can be a segment of a topic and the name of a directory: 1 to 128 of A-Z a-z 0-9 _ . @ -,
// of which the first is no point. The error wraps [ErrSymbol].
func CheckSymbol(symbol string) error {
	if _, err := message.ParseTopic(topicPrefix + symbol); err != nil || symbol[0] == '.' {
		return fmt.Errorf("%w: %.140q: a symbol has 1 to %d of A-Z a-z 0-9 _ . @ -, the first of them no point",
			ErrSymbol, symbol, message.TopicSegmentBytesMax)
	}
	return nil
}

// Check checks the numbers of a tick: a price that is finite and above zero, volumes that are finite and not negative, and
// a time in the years 0 to 9999. The error wraps [ErrTick].
func Check(t *message.Tick) error {
	switch {
	case !(t.Price > 0) || t.Price > math.MaxFloat64:
		return fmt.Errorf("%w: price: %v is not above zero and finite", ErrTick, t.Price)
	case !(t.Volume >= 0) || t.Volume > math.MaxFloat64:
		return fmt.Errorf("%w: volume: %v is not zero or above and finite", ErrTick, t.Volume)
	case !(t.QuoteVolume >= 0) || t.QuoteVolume > math.MaxFloat64:
		return fmt.Errorf("%w: quote_volume: %v is not zero or above and finite", ErrTick, t.QuoteVolume)
	case t.TimeMS < timeMSMin || t.TimeMS > timeMSMax:
		return fmt.Errorf("%w: timestamp: %d ms is outside the years 0 to 9999", ErrTick, t.TimeMS)
	}
	return nil
}

// member is one of a tick's, as a bit.
type member uint8

const (
	symbol member = 1 << iota
	price
	volume
	quoteVolume
	timestamp

	required = symbol | price | volume | timestamp
)

// ParseTick reads the payload of a market_data_update. It has symbol, price, volume and timestamp, each once, and may
// have quote_volume; members of other names are passed over. The error wraps [ErrTick] and names the member. The symbol
// is a copy; nothing else is allocated.
func ParseTick(payload []byte) (message.Tick, error) {
	return parse("", payload)
}

// ParseTickOf reads the payload of a publication on the topic of symbol, and refuses one of another symbol. It allocates
// nothing.
func ParseTickOf(symbol string, payload []byte) (message.Tick, error) {
	return parse(symbol, payload)
}

func parse(want string, payload []byte) (message.Tick, error) {
	t := message.Tick{Symbol: want}
	var seen member
	it := jsonscan.Members(payload)
	for it.Next() {
		which, err := read(&t, it.Key(), it.Value())
		if err != nil {
			return message.Tick{}, err
		}
		if seen&which != 0 {
			return message.Tick{}, fmt.Errorf("%w: %s: is there twice", ErrTick, it.Key())
		}
		seen |= which
	}
	if err := it.Err(); err != nil {
		return message.Tick{}, fmt.Errorf("%w: %w", ErrTick, err)
	}
	if missing := required &^ seen; missing != 0 {
		return message.Tick{}, fmt.Errorf("%w: missing: %s", ErrTick, missing)
	}
	if seen&quoteVolume == 0 {
		t.QuoteVolume = t.Price * t.Volume
	}
	if err := Check(&t); err != nil {
		return message.Tick{}, err
	}
	return t, nil
}

// read reads one member into t and says which it is, 0 for one of another name.
func read(t *message.Tick, key, value []byte) (which member, err error) {
	switch string(key) {
	case "symbol":
		return symbol, readSymbol(t, value)
	case "price":
		t.Price, err = number("price", value)
		return price, err
	case "volume":
		t.Volume, err = number("volume", value)
		return volume, err
	case "quote_volume":
		t.QuoteVolume, err = number("quote_volume", value)
		return quoteVolume, err
	case "timestamp":
		return timestamp, readTime(t, value)
	}
	return 0, nil
}

func number(what string, value []byte) (float64, error) {
	f, err := Number(value)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrTick, numberError(what, value))
	}
	return f, nil
}

func readSymbol(t *message.Tick, value []byte) error {
	text, err := jsonscan.Text(value)
	if err != nil {
		return fmt.Errorf("%w: symbol: not a string", ErrTick)
	}
	if t.Symbol == "" {
		t.Symbol = string(text)
		if err := CheckSymbol(t.Symbol); err != nil {
			return fmt.Errorf("%w: symbol: %w", ErrTick, err)
		}
	} else if t.Symbol != string(text) {
		return fmt.Errorf("%w: symbol: %.140q, on the topic of %s", ErrTick, text, t.Symbol)
	}
	return nil
}

func readTime(t *message.Tick, value []byte) (err error) {
	switch jsonscan.KindOf(value) {
	case jsonscan.KindString:
		if value, err = jsonscan.Text(value); err == nil && !isDate(value) {
			err = timeError("a string, but not ISO 8601", value)
		}
	case jsonscan.KindNumber:
	default:
		err = timeError("neither a number nor a string", value)
	}
	if err == nil {
		t.TimeMS, err = Time(value)
	}
	if err != nil {
		return fmt.Errorf("%w: timestamp: %w", ErrTick, err)
	}
	return nil
}

// String lists the members that m stands for.
func (m member) String() string {
	var names []string
	for i, name := range []string{"symbol", "price", "volume", "quote_volume", "timestamp"} {
		if m&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// AppendTick appends the payload of a market_data_update that [ParseTick] reads as t again.
func AppendTick(dst []byte, t *message.Tick) []byte {
	dst = append(dst, `{"symbol":`...)
	dst = jsonscan.AppendQuoted(dst, t.Symbol)
	dst = append(dst, `,"price":`...)
	dst = AppendNumber(dst, t.Price)
	dst = append(dst, `,"volume":`...)
	dst = AppendNumber(dst, t.Volume)
	dst = append(dst, `,"quote_volume":`...)
	dst = AppendNumber(dst, t.QuoteVolume)
	dst = append(dst, `,"timestamp":`...)
	return append(AppendTime(dst, t.TimeMS), '}')
}
