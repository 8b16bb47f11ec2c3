package main

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin/vector"
	wse "github.com/wse-engine/wse/sdk/go"
	"github.com/wse-engine/wse/sdk/tck"
)

// TestCasesWithoutWebAssembly runs the guest as the Go program that it is. test/guests runs it as the engine does.
func TestCasesWithoutWebAssembly(t *testing.T) {
	cases, err := tck.Cases()
	require.NoError(t, err)
	hooks := map[string]wse.Hook{vector.Configure: configure, vector.Transform: transform, vector.Authorize: authorize, vector.Validate: validate}
	for _, v := range cases {
		hook := hooks[v.Hook]
		if hook == nil || v.Want == vector.Trap || v.Want == vector.Fuel {
			continue // a batch, which is the SDK's, and what ends a program
		}
		t.Run(v.Name, func(t *testing.T) {
			greeting = "hello"
			if config := v.Configuration(); config != nil {
				require.Equal(t, "yes", wse.Try(configure, string(config)).Kind)
			}
			a := wse.Try(hook, string(v.Document()))
			got := vector.Got{Said: a.Kind, Log: a.Log, Metrics: a.Metrics}
			if a.Kind == vector.Error {
				got.Error = a.Text
			} else {
				got.Data = []byte(a.Text)
			}
			require.NoError(t, v.Check(got))
		})
	}
}

// TestStrategiesWithoutWebAssembly is the same for strategies, all ticks of a step in one batch.
func TestStrategiesWithoutWebAssembly(t *testing.T) {
	cases, err := tck.Cases()
	require.NoError(t, err)
	for _, v := range cases {
		if v.Hook != vector.Strategy || v.Steps[len(v.Steps)-1].Want == vector.Trap || v.Steps[len(v.Steps)-1].Want == vector.Fuel {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			books = nil
			for i := range v.Steps {
				s := &v.Steps[i]
				hook, doc := open, s.Document()
				switch s.Does() {
				case vector.StepUpdate:
					hook = update
				case vector.StepTicks:
					hook, doc = ticks, binaryTicks(s)
				}
				a := wse.Try(hook, string(doc))
				got := vector.Got{Said: a.Kind, Data: []byte(a.Text), Error: a.Text}
				if s.DataText != nil { // whose order is that of the answer to several batches
					s.Data, s.DataText = []byte(*s.DataText), nil
				}
				require.NoError(t, v.CheckStep(i, got))
			}
		})
	}
}

func binaryTicks(s *vector.Step) []byte {
	doc := binary.LittleEndian.AppendUint32(nil, uint32(len(s.Ticks)))
	doc = binary.LittleEndian.AppendUint32(doc, max(s.Handle, 1))
	for _, row := range s.Ticks {
		for i := range 4 {
			field := 0.0
			if i < len(row) {
				field = row[i]
			}
			doc = binary.LittleEndian.AppendUint64(doc, math.Float64bits(field))
		}
	}
	return doc
}
