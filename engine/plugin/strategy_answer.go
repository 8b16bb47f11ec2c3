package plugin

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/sdk/abi"
)

// The bounds of an answer's texts, in bytes, and of a signal's indicators.
const (
	actionNameMax   = 64 // of an indicator, a type, an id
	actionReasonMax = 256
	indicatorsMax   = 256
	namesKept       = 256
)

// actions is what a strategy said last, and the memory to read it into: it grows to what one answer needs and is used again.
type actions struct {
	list  []message.StrategyAction
	most  int               // items of an answer
	raw   []byte            // what Indicators point into
	names map[string]string // texts that come again and again, so that each is copied once
}

// ticks reads the answer to n ticks, and returns how many of them were consumed.
func (a *actions) ticks(kind abi.Kind, view []byte, n int) (consumed int, err error) {
	switch kind {
	case abi.No:
		return n, nil
	case abi.Data:
		return a.read(view, n)
	default:
		return 0, errNotYes
	}
}

// update reads the answer to an update.
func (a *actions) update(kind abi.Kind, view []byte) error {
	switch kind {
	case abi.No:
		return nil
	case abi.Data:
		_, err := a.read(view, 0)
		return err
	default:
		return errNotYes
	}
}

var errNotYes = errors.New("yes, where only no, data and an error are answers")

// unread is what becomes of an answer that is none.
func unread(h hook, err error) *fault {
	if err == nil {
		return nil
	}
	return &fault{Violation, "the answer of " + h.export() + ": " + err.Error()}
}

// read reads {"consumed":k,"out":[…]}, said to n ticks or, where n is 0, to an update. On an error there are no actions.
func (a *actions) read(doc []byte, n int) (consumed int, err error) {
	a.list, a.raw = a.list[:0], a.raw[:0]
	defer func() {
		if err != nil {
			a.list = a.list[:0]
		}
	}()
	consumed = -1
	out := false
	it := jsonscan.Members(doc)
	for it.Next() {
		switch name := it.Key(); {
		case string(name) == "consumed" && consumed < 0:
			k, err := jsonscan.Uint(it.Value())
			if err != nil || k > uint64(n) || k == 0 && n > 0 {
				return 0, fmt.Errorf(`"consumed": %.32s, of %d ticks at least one and at most all are`, it.Value(), n)
			}
			consumed = int(k)
		case string(name) == "out" && !out:
			if out, err = true, a.items(it.Value(), n); err != nil {
				return 0, err
			}
		default:
			return 0, fmt.Errorf("%.64q is unknown or there twice", name)
		}
	}
	if it.Err() != nil {
		return 0, it.Err()
	}
	if consumed < 0 && n == 0 {
		consumed = 0
	}
	switch {
	case consumed < 0:
		return 0, errors.New(`"consumed" is missing`)
	case !out:
		return 0, errors.New(`"out" is missing`)
	}
	return consumed, a.stops(consumed, n)
}

// stops checks that the answer ends where it says: no item is about a tick that was not consumed, and a strategy that
// orders or cancels stops at that tick.
func (a *actions) stops(consumed, n int) error {
	if n == 0 || len(a.list) == 0 {
		return nil
	}
	if last := a.list[len(a.list)-1].At; last >= consumed { // they are in order
		return fmt.Errorf(`"out": an item is about tick %d, and %d were consumed`, last, consumed)
	}
	for i := range a.list {
		if x := &a.list[i]; (x.Kind == message.ActionOrder || x.Kind == message.ActionCancel) && x.At != consumed-1 {
			return fmt.Errorf(`"out"[%d]: %s at tick %d, and yet %d were consumed: a strategy stops where it orders or cancels`, i, x.Kind, x.At, consumed)
		}
	}
	return nil
}

func (a *actions) items(list []byte, n int) error {
	it := jsonscan.Elements(list)
	before := 0
	for i := 0; it.Next(); i++ {
		if i >= a.most {
			return fmt.Errorf(`"out": more than %d items (actions_max); consume fewer ticks and say the rest with the next call`, a.most)
		}
		a.list = append(a.list, message.StrategyAction{})
		x := &a.list[i]
		if err := a.item(x, it.Value(), n); err != nil {
			return fmt.Errorf(`"out"[%d]: %w`, i, err)
		}
		if x.At < before {
			return fmt.Errorf(`"out"[%d]: tick %d behind tick %d; items stand in the order of their ticks`, i, x.At, before)
		}
		before = x.At
	}
	return it.Err()
}

// The members of items. Each is a bit, so that what is there can be held to what its kind has.
const (
	fieldKind uint32 = 1 << iota
	fieldAt
	fieldName
	fieldValue
	fieldType
	fieldConfidence
	fieldIndicators
	fieldID
	fieldSide
	fieldQuantity
	fieldNotional
	fieldOrderType
	fieldPrice
	fieldReason
	fieldState
)

// fieldNames are the members in the order of their bits.
func fieldNames() [15]string {
	return [15]string{"kind", "at", "name", "value", "type", "confidence", "indicators", "id", "side", "quantity", "notional", "order_type", "price", "reason", "state"}
}

// item reads one item.
func (a *actions) item(x *message.StrategyAction, doc []byte, n int) error {
	var seen uint32
	it := jsonscan.Members(doc)
	for it.Next() {
		f := fieldOf(it.Key())
		switch {
		case f == 0:
			return fmt.Errorf("%.64q is unknown", it.Key())
		case seen&f != 0:
			return fmt.Errorf("%q is there twice", it.Key())
		}
		seen |= f
		if err := a.field(x, f, it.Value(), n); err != nil {
			return fmt.Errorf("%q: %w", it.Key(), err)
		}
	}
	if it.Err() != nil {
		return it.Err()
	}
	if n == 0 {
		seen |= fieldAt
	}
	return whole(x, seen)
}

func fieldOf(name []byte) uint32 {
	switch string(name) {
	case "kind":
		return fieldKind
	case "at":
		return fieldAt
	case "name":
		return fieldName
	case "value":
		return fieldValue
	case "type":
		return fieldType
	case "confidence":
		return fieldConfidence
	case "indicators":
		return fieldIndicators
	case "id":
		return fieldID
	case "side":
		return fieldSide
	case "quantity":
		return fieldQuantity
	case "notional":
		return fieldNotional
	case "order_type":
		return fieldOrderType
	case "price":
		return fieldPrice
	case "reason":
		return fieldReason
	case "state":
		return fieldState
	default:
		return 0
	}
}

// field reads one member of an item.
func (a *actions) field(x *message.StrategyAction, f uint32, value []byte, n int) (err error) {
	switch f {
	case fieldKind:
		x.Kind, err = oneOf(value, message.ActionIndicator, message.ActionSignal, message.ActionOrder, message.ActionCancel, message.ActionState)
	case fieldAt:
		x.At, err = tickIndex(value, n)
	case fieldName:
		x.Name, err = a.text(value)
	case fieldValue:
		x.Value, err = jsonscan.Float(value)
	case fieldType:
		x.SignalType, err = a.text(value)
	case fieldConfidence:
		x.HasConfidence = true
		if x.Confidence, err = jsonscan.Float(value); err == nil && (x.Confidence < 0 || x.Confidence > 1) {
			err = fmt.Errorf("%.32s is not from 0 to 1", value)
		}
	case fieldIndicators:
		x.Indicators, err = a.indicators(value)
	case fieldID:
		x.ID, err = orderID(value)
	case fieldSide:
		x.Side, err = oneOf(value, "buy", "sell")
	case fieldQuantity:
		x.Quantity, err = positive(value)
	case fieldNotional:
		x.Notional, err = positive(value)
	case fieldOrderType:
		x.OrderType, err = oneOf(value, "market", "limit")
	case fieldPrice:
		x.Price, err = positive(value)
	case fieldReason:
		x.Reason, err = plainText(value, actionReasonMax)
	case fieldState:
		x.State, err = oneOf(value, "inactive", "monitoring", "signal_detected", "signal_cancelled", "entry_evaluation", "position_active",
			"close_order_evaluation", "emergency_exit", "exited")
	}
	return err
}

// whole holds the members that are there to those that the item's kind has.
func whole(x *message.StrategyAction, seen uint32) error {
	var must, may uint32
	switch x.Kind {
	case message.ActionIndicator:
		must = fieldName | fieldValue
	case message.ActionSignal:
		must, may = fieldType|fieldIndicators, fieldConfidence
	case message.ActionOrder:
		must, may = fieldID|fieldSide|fieldOrderType|fieldReason, fieldQuantity|fieldNotional
		if x.OrderType == "limit" {
			must |= fieldPrice
		}
	case message.ActionCancel:
		must = fieldID
	case message.ActionState:
		must = fieldState
	}
	must |= fieldKind | fieldAt
	if seen&must != must || seen&^(must|may) != 0 {
		return unlike(x, seen, must, must|may)
	}
	if x.Kind == message.ActionOrder && (x.Quantity > 0) == (x.Notional > 0) {
		return errors.New(`needs one of "quantity" and "notional"`)
	}
	return nil
}

// unlike says which member is missing or too many.
func unlike(x *message.StrategyAction, seen, must, may uint32) error {
	for i, name := range fieldNames() {
		switch f := uint32(1) << i; {
		case must&f != 0 && seen&f == 0:
			return fmt.Errorf("%q is missing", name)
		case seen&f != 0 && may&f == 0:
			return fmt.Errorf("%q does not belong to kind %s", name, strings.TrimSpace(x.Kind+" "+x.OrderType))
		}
	}
	return nil
}

// text reads a name, which usually has come before.
func (a *actions) text(value []byte) (string, error) {
	text, err := plainBytes(value, actionNameMax)
	if err != nil {
		return "", err
	}
	if kept, ok := a.names[string(text)]; ok { // the compiler looks it up without a copy
		return kept, nil
	}
	if a.names == nil || len(a.names) >= namesKept {
		a.names = make(map[string]string, 8)
	}
	kept := string(text)
	a.names[kept] = kept
	return kept, nil
}

// indicators copies an object of numbers.
func (a *actions) indicators(value []byte) ([]byte, error) {
	if jsonscan.KindOf(value) != jsonscan.KindObject {
		return nil, errors.New("must be an object")
	}
	it := jsonscan.Members(value)
	for i := 0; it.Next(); i++ {
		if i == indicatorsMax {
			return nil, fmt.Errorf("more than %d", indicatorsMax)
		}
		if _, err := jsonscan.Float(it.Value()); err != nil {
			return nil, fmt.Errorf("%.64q: must be a number: %w", it.Key(), err)
		}
		earlier := jsonscan.Members(value)
		for j := 0; j < i && earlier.Next(); j++ {
			if bytes.Equal(earlier.Key(), it.Key()) {
				return nil, fmt.Errorf("%.64q is there twice", it.Key())
			}
		}
	}
	if it.Err() != nil {
		return nil, it.Err()
	}
	begin := len(a.raw)
	a.raw = append(a.raw, value...)
	return a.raw[begin:len(a.raw):len(a.raw)], nil
}

// oneOf returns the one of choices that value is.
func oneOf(value []byte, choices ...string) (string, error) {
	text, err := jsonscan.Text(value)
	if err != nil {
		return "", err
	}
	for _, c := range choices {
		if string(text) == c {
			return c, nil
		}
	}
	return "", fmt.Errorf("%.64q is none of %s", text, strings.Join(choices, ", ")) // %q would have every call allocate choices
}

func tickIndex(value []byte, n int) (int, error) {
	at, err := jsonscan.Uint(value)
	if err != nil {
		return 0, err
	}
	if at > 0 && at >= uint64(n) {
		return 0, fmt.Errorf("%d, of %d ticks", at, n)
	}
	return int(at), nil
}

// positive reads a quantity, a price or an amount.
func positive(value []byte) (float64, error) {
	f, err := jsonscan.Float(value)
	if err == nil && !(f > 0) {
		err = fmt.Errorf("%.32s is not over 0", value)
	}
	return f, err
}

// orderID reads what an order is called.
func orderID(value []byte) (string, error) {
	text, err := jsonscan.Text(value)
	if err != nil {
		return "", err
	}
	if len(text) == 0 || len(text) > actionNameMax {
		return "", fmt.Errorf("has %d bytes, from 1 to %d are allowed", len(text), actionNameMax)
	}
	for _, c := range text {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-') {
			return "", fmt.Errorf("%.64q has other characters than letters, digits, _, . and -", text)
		}
	}
	return string(text), nil
}

func plainText(value []byte, most int) (string, error) {
	text, err := plainBytes(value, most)
	return string(text), err
}

// plainBytes reads a text of 1 to most bytes without control characters.
func plainBytes(value []byte, most int) ([]byte, error) {
	text, err := jsonscan.Text(value)
	switch {
	case err != nil:
		return nil, err
	case len(text) == 0 || len(text) > most:
		return nil, fmt.Errorf("has %d bytes, from 1 to %d are allowed", len(text), most)
	}
	for _, c := range text {
		if c < ' ' || c == 0x7f {
			return nil, errors.New("has control characters")
		}
	}
	if !utf8.Valid(text) {
		return nil, errors.New("is no UTF-8")
	}
	return text, nil
}
