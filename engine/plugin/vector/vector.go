// Package vector reads and checks vectors: cases of a plugin, each a document and what the plugin must make of it. They are
// the same for the tests of a plugin, for `wse plugin test`, for the compatibility kit and for the vectors that an operator
// has run before a plugin is let to serve. sdk/tck/README.md describes the format.
//
// The package calls no plugin: whoever does says in a [Got] what came of it.
//
// Ownership: plain values and pure functions. A [Vector] is not changed once it is read, and may be used from any goroutine.
package vector

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What a call may come to, the values of "want".
const (
	No        = "no"
	Yes       = "yes"
	Data      = "data"
	Error     = "error"
	Trap      = "trap"
	Fuel      = "fuel"
	Violation = "violation"
)

// The hooks that a vector may call. Configure is the start of an instance, the document being its configuration.
const (
	Configure      = "configure"
	Transform      = "transform"
	TransformBatch = "transform_batch"
	Authorize      = "authorize"
	Validate       = "validate"
)

// Limits of what is read. They bound what a file that somebody hands in can cost.
const (
	FileMiBMax  = 16      // one file
	FilesMax    = 256     // of a directory
	VectorsMax  = 10_000  // in all files together
	PadBytesMax = 4 << 20 // what "@pad@" may stand for
)

// Expect is what a document must be answered with.
type Expect struct {
	// Want is no, yes, data, error, trap, fuel or violation.
	Want string `json:"want,omitempty"`
	// Data is the answer where Want is data, compared as JSON.
	Data json.RawMessage `json:"data,omitempty"`
	// DataText is the same, compared byte by byte.
	DataText *string `json:"data_text,omitempty"`
	// Error is a part of the text where Want is error, trap, fuel or violation.
	Error string `json:"error,omitempty"`
}

// Vector is one case.
type Vector struct {
	// Name is what the case is called.
	Name string `json:"name"`
	// Hook is what is called: transform, transform_batch, authorize, validate, strategy or configure.
	Hook string `json:"hook"`
	// Config is the configuration that the plugin has; nil leaves it to whoever runs the case.
	Config json.RawMessage `json:"config,omitempty"`
	// Input is the document, sent without white space.
	Input json.RawMessage `json:"input,omitempty"`
	// InputText is the document as it is.
	InputText *string `json:"input_text,omitempty"`
	// Inputs and InputsText are the documents of a batch.
	Inputs     []json.RawMessage `json:"inputs,omitempty"`
	InputsText []string          `json:"inputs_text,omitempty"`
	Expect
	// Wants is what the documents of a batch must be answered with, in their order.
	Wants []Expect `json:"wants,omitempty"`
	// Steps is what a strategy is told, and what it must say to that. They are run for ticks in batches of 1, 7 and 4096.
	Steps []Step `json:"steps,omitempty"`
	// Log is what is logged, each "info: text"; nil is not looked at.
	Log []string `json:"log,omitempty"`
	// Metrics is what is counted by name; nil is not looked at.
	Metrics map[string]float64 `json:"metrics,omitempty"`
	// FuelMax is the most fuel that the call may use; 0 is not looked at.
	FuelMax int64 `json:"fuel_max,omitempty"`
	// Pad is how many letters x every "@pad@" in config, inputs and data stands for.
	Pad int `json:"pad,omitempty"`
}

// Read reads the vectors of a file, or of all files of a directory that end in .json, by name. Every fault names its file.
func Read(path string) ([]Vector, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(escapeGlob(path), "*.json")); err != nil {
			return nil, err
		}
		switch {
		case len(files) == 0:
			return nil, fmt.Errorf("%s: holds no vectors (*.json)", path)
		case len(files) > FilesMax:
			return nil, fmt.Errorf("%s: holds %d files of vectors, at most %d are read", path, len(files), FilesMax)
		}
	}
	var all []Vector
	for _, file := range files {
		raw, err := readFile(file)
		if err != nil {
			return nil, err
		}
		some, err := Parse(file, raw)
		if err != nil {
			return nil, err
		}
		if all = append(all, some...); len(all) > VectorsMax {
			return nil, fmt.Errorf("%s: more than %d vectors", path, VectorsMax)
		}
	}
	return all, nil
}

// escapeGlob makes a path mean itself where a pattern is expected.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, FileMiBMax<<20+1))
	if err == nil && len(raw) > FileMiBMax<<20 {
		err = fmt.Errorf("%s: has more than %d MiB", path, FileMiBMax)
	}
	return raw, err
}

// Parse reads a JSON array of vectors. Faults begin with file and name the vector.
func Parse(file string, raw []byte) ([]Vector, error) {
	var list []Vector
	if err := decodeAll(raw, &list); err != nil {
		return nil, fmt.Errorf("%s: is no list of vectors: %w", file, err)
	}
	if len(list) > VectorsMax {
		return nil, fmt.Errorf("%s: %d vectors, at most %d", file, len(list), VectorsMax)
	}
	for i := range list {
		if err := list[i].fault(); err != nil {
			return nil, fmt.Errorf("%s: vector %d %q: %w", file, i+1, list[i].Name, err)
		}
	}
	return list, nil
}

// decodeAll reads a JSON document without unknown members and with nothing behind it.
func decodeAll(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("something follows it")
	}
	return nil
}

// fault is what is wrong with a vector, so that a mistake in one is told when it is read and does not make it pass.
func (v *Vector) fault() error {
	batch := v.Hook == TransformBatch
	switch {
	case v.Name == "":
		return errors.New("has no name")
	case !slices.Contains([]string{Configure, Transform, TransformBatch, Authorize, Validate, Strategy}, v.Hook):
		return fmt.Errorf("hook %q is none of configure, transform, transform_batch, authorize, validate and strategy", v.Hook)
	case v.Hook == Strategy:
		return v.stepsFault()
	case v.Steps != nil:
		return errors.New("steps are for the hook strategy")
	case v.inputs() != 1:
		return errors.New("needs one of input, input_text, inputs and inputs_text")
	case !batch && (v.Inputs != nil || v.InputsText != nil || v.Wants != nil):
		return errors.New("inputs, inputs_text and wants are for the hook transform_batch")
	case v.Hook == Configure && v.Config != nil:
		return errors.New("config is for the other hooks; the input of configure is the configuration")
	case v.Pad < 0 || v.Pad > PadBytesMax:
		return fmt.Errorf("pad %d must be from 0 to %d", v.Pad, PadBytesMax)
	case v.FuelMax < 0:
		return fmt.Errorf("fuel_max %d is negative", v.FuelMax)
	case v.Wants == nil:
		return v.Expect.fault()
	case v.Want != "" || v.Data != nil || v.DataText != nil || v.Error != "":
		return errors.New("has wants, and therefore no want, data or error of its own")
	case len(v.Wants) != len(v.Inputs)+len(v.InputsText):
		return fmt.Errorf("%d inputs and %d wants", len(v.Inputs)+len(v.InputsText), len(v.Wants))
	}
	for i := range v.Wants {
		if err := v.Wants[i].fault(); err != nil {
			return fmt.Errorf("wants[%d]: %w", i, err)
		}
	}
	return nil
}

func (v *Vector) inputs() (n int) {
	for _, has := range []bool{v.Input != nil, v.InputText != nil, v.Inputs != nil, v.InputsText != nil} {
		if has {
			n++
		}
	}
	return n
}

func (e *Expect) fault() error {
	data := e.Data != nil || e.DataText != nil
	switch e.Want {
	case No, Yes:
		if data || e.Error != "" {
			return fmt.Errorf("wants %s, which comes with no data and no error", e.Want)
		}
	case Data:
		if (e.Data != nil) == (e.DataText != nil) || e.Error != "" {
			return errors.New("wants data: needs one of data and data_text, and no error")
		}
	case Error, Trap, Fuel, Violation:
		if data {
			return fmt.Errorf("wants %s, which comes with no data", e.Want)
		}
		if e.Want == Error && e.Error == "" {
			return errors.New("wants error: needs error, a part of the text")
		}
	default:
		return fmt.Errorf("want %q is none of no, yes, data, error, trap, fuel and violation", e.Want)
	}
	return nil
}

// Document is what the hook is called with.
func (v *Vector) Document() []byte {
	switch {
	case v.Inputs != nil:
		docs := make([][]byte, len(v.Inputs))
		for i, raw := range v.Inputs {
			docs[i] = v.padded(compact(raw))
		}
		return AppendBatch(nil, docs)
	case v.InputsText != nil:
		docs := make([][]byte, len(v.InputsText))
		for i, text := range v.InputsText {
			docs[i] = v.padded([]byte(text))
		}
		return AppendBatch(nil, docs)
	case v.InputText != nil:
		return v.padded([]byte(*v.InputText))
	default:
		return v.padded(compact(v.Input))
	}
}

// Configuration is Config without white space; nil where there is none.
func (v *Vector) Configuration() []byte {
	if v.Config == nil {
		return nil
	}
	return v.padded(compact(v.Config))
}

// Exact returns the vector with every data turned into the data_text of the same bytes without white space, so that [Vector.Check]
// compares bytes.
func (v Vector) Exact() Vector {
	v.Expect = v.exact()
	v.Wants = slices.Clone(v.Wants) // which keeps a batch of nothing, whose wants are empty and not nil
	for i, w := range v.Wants {
		v.Wants[i] = w.exact()
	}
	v.Steps = slices.Clone(v.Steps)
	for i := range v.Steps {
		v.Steps[i].Expect = v.Steps[i].exact()
	}
	return v
}

func (e Expect) exact() Expect {
	if e.Data != nil {
		text := string(compact(e.Data))
		e.Data, e.DataText = nil, &text
	}
	return e
}

// compact removes white space. What Parse has read is JSON; anything else stays as it is.
func compact(raw []byte) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return bytes.Clone(raw)
	}
	return b.Bytes()
}

const padMark = "@pad@"

func (v *Vector) padded(text []byte) []byte {
	if v.Pad == 0 {
		return text
	}
	return bytes.ReplaceAll(text, []byte(padMark), bytes.Repeat([]byte{'x'}, v.Pad))
}
