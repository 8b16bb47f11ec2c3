package vector

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// sameBytes tells where two documents part, and in which members where both are JSON.
func sameBytes(want, got []byte) error {
	if bytes.Equal(want, got) {
		return nil
	}
	if err := sameJSON(want, got); err != nil {
		return err
	}
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	from := max(at-contextBytes, 0)
	return fmt.Errorf("the same JSON in other bytes, from byte %d on:\nwant %s\ngot  %s", at, short(want[from:]), short(got[from:]))
}

// contextBytes is how much a message shows before the byte at which two documents part.
const contextBytes = 24

// differencesMax bounds how many differences one message tells.
const differencesMax = 20

// sameJSON tells in which members two JSON documents differ.
func sameJSON(want, got []byte) error {
	w, err := decode(want)
	if err != nil { // then it is no JSON that is wanted
		if bytes.Equal(want, got) {
			return nil
		}
		return fmt.Errorf("want %s\ngot  %s", short(want), short(got))
	}
	g, err := decode(got)
	if err != nil {
		return fmt.Errorf("want %s\ngot  %s\nwhich is not JSON: %w", short(want), short(got), err)
	}
	d := differences{}
	d.compare("", w, g)
	if len(d.lines) == 0 {
		return nil
	}
	if d.more > 0 {
		d.lines = append(d.lines, fmt.Sprintf("and %d more differences", d.more))
	}
	return errors.New(strings.Join(d.lines, "\n"))
}

func decode(doc []byte) (value any, err error) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	if err = dec.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("something follows the value")
	}
	return value, nil
}

// differences collects what differs, each with its path.
type differences struct {
	lines []string
	more  int
}

func (d *differences) add(path, format string, args ...any) {
	if len(d.lines) >= differencesMax {
		d.more++
		return
	}
	if path == "" {
		path = "the answer"
	}
	d.lines = append(d.lines, path+": "+fmt.Sprintf(format, args...))
}

func (d *differences) compare(path string, want, got any) {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			d.members(path, w, g)
			return
		}
	case []any:
		if g, ok := got.([]any); ok {
			d.elements(path, w, g)
			return
		}
	case json.Number:
		if g, ok := got.(json.Number); ok && sameNumber(string(w), string(g)) {
			return
		}
	default: // string, bool and null
		if want == got {
			return
		}
	}
	d.add(path, "want %s, got %s", text(want), text(got))
}

func (d *differences) members(path string, want, got map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		at := join(path, key)
		if g, ok := got[key]; ok {
			d.compare(at, want[key], g)
		} else {
			d.add(at, "want %s, got nothing", text(want[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[key]; !ok {
			d.add(join(path, key), "want nothing, got %s", text(got[key]))
		}
	}
}

func (d *differences) elements(path string, want, got []any) {
	for i := range min(len(want), len(got)) {
		d.compare(path+"["+strconv.Itoa(i)+"]", want[i], got[i])
	}
	if len(want) != len(got) {
		d.add(path, "want %d elements, got %d", len(want), len(got))
	}
}

func join(path, key string) string {
	if strings.ContainsAny(key, ".[] ") || key == "" {
		return path + "[" + strconv.Quote(key) + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// sameNumber compares integers digit by digit, so that none is rounded, and all others by value.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	if !strings.ContainsAny(a+b, ".eE") {
		return strings.TrimPrefix(a, "-") == "0" && strings.TrimPrefix(b, "-") == "0"
	}
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && x == y
}

func text(value any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return short(bytes.TrimSpace(b.Bytes()))
}
