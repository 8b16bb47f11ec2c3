package vector

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Strategy is the hook of a vector with steps: what a strategy is told, one thing after the other.
const Strategy = "strategy"

// What a step may do, as [Step.Does] names it.
const (
	StepOpen   = "open"
	StepTicks  = "ticks"
	StepUpdate = "update"
)

// TicksMax bounds the ticks of one step.
const TicksMax = 100_000

// Step is one thing that a strategy is told, and what it must say to that.
type Step struct {
	// Open is the document of wse_strategy_open, and Update that of wse_strategy_update.
	Open   json.RawMessage `json:"open,omitempty"`
	Update json.RawMessage `json:"update,omitempty"`
	// Ticks are the rows of ticks: time in Unix milliseconds, price, and where they are given volume and quote volume.
	// They are given until the strategy orders or cancels; those behind are not given.
	Ticks [][]float64 `json:"ticks,omitempty"`
	// Handle is the one that the ticks are for; absent: 1.
	Handle uint32 `json:"handle,omitempty"`
	// Expect is what is said. To ticks it is one answer to all of them, however they are cut into calls: no where they are all
	// consumed and nothing is said.
	Expect
}

// Does is open, ticks or update.
func (s *Step) Does() string {
	switch {
	case s.Open != nil:
		return StepOpen
	case s.Update != nil:
		return StepUpdate
	default:
		return StepTicks
	}
}

// Document is what open and update are called with.
func (s *Step) Document() []byte {
	if s.Open != nil {
		return compact(s.Open)
	}
	return compact(s.Update)
}

// ParseSteps reads a JSON array of steps that say nothing about what is expected. Faults begin with file.
func ParseSteps(file string, raw []byte) ([]Step, error) {
	var steps []Step
	if err := decodeAll(raw, &steps); err != nil {
		return nil, fmt.Errorf("%s: is no list of steps: %w", file, err)
	}
	for i := range steps {
		if err := steps[i].shape(); err != nil {
			return nil, fmt.Errorf("%s: step %d: %w", file, i+1, err)
		}
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("%s: holds no steps", file)
	}
	return steps, nil
}

// shape is what is wrong with what a step does.
func (s *Step) shape() error {
	n := 0
	for _, has := range []bool{s.Open != nil, s.Ticks != nil, s.Update != nil} {
		if has {
			n++
		}
	}
	switch {
	case n != 1:
		return errors.New("needs one of open, ticks and update")
	case s.Handle != 0 && s.Ticks == nil:
		return errors.New("handle is for ticks; open and update have it in their document")
	case s.Ticks != nil && (len(s.Ticks) == 0 || len(s.Ticks) > TicksMax):
		return fmt.Errorf("%d ticks, from 1 to %d are allowed", len(s.Ticks), TicksMax)
	}
	for i, row := range s.Ticks {
		if len(row) < 2 || len(row) > 4 {
			return fmt.Errorf("ticks[%d]: %d numbers, where time, price and perhaps volume and quote volume stand", i, len(row))
		}
	}
	return nil
}

// stepsFault is what is wrong with the steps of a vector.
func (v *Vector) stepsFault() error {
	switch {
	case len(v.Steps) == 0:
		return errors.New("needs steps")
	case v.inputs() != 0:
		return errors.New("has steps, and therefore no input")
	case v.Want != "" || v.Data != nil || v.DataText != nil || v.Error != "" || v.Wants != nil:
		return errors.New("has steps, and therefore no want, data or error of its own")
	case v.Pad != 0:
		return errors.New("pad is for other hooks")
	case v.FuelMax < 0:
		return fmt.Errorf("fuel_max %d is negative", v.FuelMax)
	}
	for i := range v.Steps {
		s := &v.Steps[i]
		err := s.shape()
		if err == nil {
			err = s.Expect.fault()
		}
		last := i == len(v.Steps)-1
		switch {
		case err != nil:
		case s.Want == Yes && s.Open == nil:
			err = errors.New("wants yes, which is an answer to open only")
		case s.Want == Data && s.Open != nil:
			err = errors.New("wants data, which is no answer to open")
		case !last && (s.Want == Trap || s.Want == Fuel || s.Want == Violation || s.Want == Error && s.Open == nil):
			err = fmt.Errorf("wants %s, which ends a strategy; it must be the last step", s.Want)
		}
		if err != nil {
			return fmt.Errorf("steps[%d]: %w", i, err)
		}
	}
	return nil
}

// CheckStep says in what got differs from what step i wants; nil where it does not.
func (v *Vector) CheckStep(i int, got Got) error {
	if err := v.match(&v.Steps[i].Expect, got); err != nil {
		return fmt.Errorf("step %d, %s: %w", i+1, v.Steps[i].Does(), err)
	}
	return nil
}
