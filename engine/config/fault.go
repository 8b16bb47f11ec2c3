package config

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	// Source is where it comes from: "FILE:LINE", "environment NAME", "--set PATH", or "" for a default.
	Source string
	// Path is the field's path, as in plugins[2].limits.fuel, or "" where no field is concerned.
	Path string
	// Text says what is wrong.
	Text string
}

// Error implements error.
func (f *Fault) Error() string {
	var b strings.Builder
	if f.Source != "" {
		b.WriteString(f.Source + ": ")
	}
	b.WriteString("config: ")
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Text)
	return b.String()
}

// Prefix puts path before each of the errors that err joins, so that the faults of a section become those of the whole:
// with "auth", "keys[0].alg: …" becomes "auth.keys[0].alg: …". A nil err stays nil.
func Prefix(path string, err error) error {
	var errs []error
	for _, e := range flatten(err) {
		dot := "."
		if text := e.Error(); strings.HasPrefix(text, "[") {
			dot = ""
		}
		errs = append(errs, fmt.Errorf("%s%s%w", path, dot, e))
	}
	return errors.Join(errs...)
}

// flatten returns the errors that err joins, in order.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	return []error{err}
}

// faultsMax is how many faults are told; whoever sees that many looks at the file itself.
const faultsMax = 100

// faults collects what is wrong, and where each value came from.
type faults struct {
	file   string
	list   []*Fault
	more   int               // faults beyond faultsMax
	origin map[string]string // path -> Source of the value it has
}

func (f *faults) add(source, path, format string, args ...any) {
	if len(f.list) == faultsMax {
		f.more++
		return
	}
	f.list = append(f.list, &Fault{Source: source, Path: path, Text: fmt.Sprintf(format, args...)})
}

// addInvalid adds what a Validate method found. A fault is left out where the field could not be read in the first place:
// that one has been told already.
func (f *faults) addInvalid(err error) {
	read := f.list
	for _, e := range flatten(err) {
		path, text, ok := strings.Cut(e.Error(), ": ")
		if !ok || strings.ContainsAny(path, " \t") {
			path, text = "", e.Error()
		}
		if !anyRelated(read, path) {
			f.add(f.sourceOf(path), path, "%s", text)
		}
	}
}

// lineOf returns the line of a fault in the file, and a number beyond all lines for another.
func (f *faults) lineOf(fault *Fault) int {
	if text, ok := strings.CutPrefix(fault.Source, f.file+":"); ok && f.file != "" {
		if line, err := strconv.Atoi(text); err == nil {
			return line
		}
	}
	return math.MaxInt
}

// sourceOf returns where the value at path, or the nearest one round it, came from.
func (f *faults) sourceOf(path string) string {
	for path != "" {
		if source, ok := f.origin[path]; ok {
			return source
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return ""
}

// anyRelated reports whether one of the faults is about path, something round it or something inside it.
func anyRelated(list []*Fault, path string) bool {
	for _, f := range list {
		if f.Path != "" && path != "" && (within(path, f.Path) || within(f.Path, path)) {
			return true
		}
	}
	return false
}

// within reports whether path is outer or lies inside it.
func within(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// err returns all faults as one error, one a line, or nil: those of the file in its order, then the others as found.
func (f *faults) err() error {
	slices.SortStableFunc(f.list, func(a, b *Fault) int { return cmp.Compare(f.lineOf(a), f.lineOf(b)) })
	errs := make([]error, len(f.list))
	for i, fault := range f.list {
		errs[i] = fault
	}
	if f.more > 0 {
		errs = append(errs, fmt.Errorf("config: and %d more faults", f.more))
	}
	return errors.Join(errs...)
}
