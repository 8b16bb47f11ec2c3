package vector

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Got is what a plugin made of a document.
type Got struct {
	// Said is no, yes, data, error, trap, fuel or violation.
	Said string
	// Data is the answer, with data.
	Data []byte
	// Error is the text, with all that are failures.
	Error string
	// Fuel is how much the call used.
	Fuel int64
	// Log is what was logged, each "info: text".
	Log []string
	// Metrics is what was counted.
	Metrics map[string]float64
}

// Check says in what got differs from what v wants, on as many lines as that takes; nil where it does not.
func (v *Vector) Check(got Got) error {
	var errs []error
	switch {
	case v.Steps != nil: // each was checked when it was made: CheckStep
	case v.Wants == nil:
		errs = append(errs, v.match(&v.Expect, got))
	case got.Said != Data:
		errs = append(errs, fmt.Errorf("want %d answers\ngot  %s", len(v.Wants), got))
	default:
		errs = append(errs, v.matchBatch(got.Data))
	}
	if v.FuelMax > 0 && got.Fuel > v.FuelMax {
		errs = append(errs, fmt.Errorf("used %d units of fuel, fuel_max is %d", got.Fuel, v.FuelMax))
	}
	if v.Log != nil && !slices.Equal(v.Log, got.Log) {
		errs = append(errs, fmt.Errorf("want logged %q\ngot         %q", v.Log, got.Log))
	}
	if v.Metrics != nil && !maps.Equal(v.Metrics, got.Metrics) {
		errs = append(errs, fmt.Errorf("want counted %v\ngot          %v", v.Metrics, got.Metrics))
	}
	return errors.Join(errs...)
}

func (v *Vector) matchBatch(data []byte) error {
	answers, err := SplitBatch(data)
	if err != nil {
		return err
	}
	if len(answers) != len(v.Wants) {
		return fmt.Errorf("want %d answers, got %d", len(v.Wants), len(answers))
	}
	var errs []error
	for i := range v.Wants {
		if err := v.match(&v.Wants[i], answers[i]); err != nil {
			errs = append(errs, fmt.Errorf("answer %d:\n%w", i, err))
		}
	}
	return errors.Join(errs...)
}

func (v *Vector) match(e *Expect, got Got) error {
	if got.Said != e.Want {
		return fmt.Errorf("want %s\ngot  %s", v.describe(e), got)
	}
	switch {
	case e.Want == Data && e.DataText != nil:
		return sameBytes(v.padded([]byte(*e.DataText)), got.Data)
	case e.Want == Data:
		return sameJSON(v.padded(compact(e.Data)), got.Data)
	case !strings.Contains(got.Error, e.Error):
		return fmt.Errorf("want %s: …%s…\ngot  %s", e.Want, e.Error, got)
	}
	return nil
}

func (v *Vector) describe(e *Expect) string {
	switch {
	case e.DataText != nil:
		return Data + " " + short(v.padded([]byte(*e.DataText)))
	case e.Data != nil:
		return Data + " " + short(v.padded(compact(e.Data)))
	case e.Error != "":
		return e.Want + ": …" + e.Error + "…"
	}
	return e.Want
}

// String tells what was got on one line, or on more where an error has a stack.
func (g Got) String() string {
	switch {
	case g.Said == Data:
		return Data + " " + short(g.Data)
	case g.Error != "":
		return g.Said + ": " + g.Error
	}
	return g.Said
}

// shortBytes is how much of a document a message shows.
const shortBytes = 400

// short is a document for a message: its beginning, as text where it is text.
func short(doc []byte) string {
	end := ""
	if len(doc) > shortBytes {
		end = fmt.Sprintf("… (%d bytes)", len(doc))
		doc = doc[:shortBytes]
	}
	if bytes.ContainsFunc(doc, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		return fmt.Sprintf("%q", doc) + end
	}
	return string(doc) + end
}
