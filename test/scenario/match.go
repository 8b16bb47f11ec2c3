package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// vars are the names a scenario has given to values: strings, json.Numbers, or whatever else JSON holds.
type vars map[string]any

// reference finds names in texts. It is read-only.
var reference = regexp.MustCompile(`\$(\w+|\{\w+\}|\$)`)

// expand replaces $name and ${name} by the values they stand for, and $$ by a dollar.
func (v vars) expand(text string) (string, error) {
	var missing error
	out := reference.ReplaceAllStringFunc(text, func(ref string) string {
		if ref == "$$" {
			return "$"
		}
		name := strings.Trim(ref, "${}")
		value, ok := v[name]
		if !ok {
			missing = fmt.Errorf("nothing is called $%s yet", name)
			return ref
		}
		return show(value)
	})
	return out, missing
}

// show writes a value as it stands inside a text: strings without quotes.
func show(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return fmt.Sprintf("%v", value)
	}
	return strings.TrimSpace(b.String())
}

// decode reads one JSON value, keeping numbers as they are written.
func decode(text []byte) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("more than one JSON value")
	}
	return value, nil
}

// absent stands for a member that is not there.
type absent struct{}

// match compares value with pattern: an object may have more members than its pattern; a string of a pattern may be a
// wildcard. The first use of $name gives the name to the value. The error says where they differ.
func (v vars) match(pattern, value any, path string) error {
	switch want := pattern.(type) {
	case string:
		return v.matchString(want, value, path)
	case map[string]any:
		have, ok := value.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: want an object, have %s", path, show(value))
		}
		for key, inner := range want {
			key, err := v.expand(key)
			if err != nil {
				return err
			}
			member, ok := have[key]
			if !ok {
				member = absent{}
			}
			if err := v.match(inner, member, path+"."+key); err != nil {
				return err
			}
		}
		return nil
	case []any:
		return v.matchArray(want, value, path)
	case json.Number:
		have, ok := value.(json.Number)
		if !ok || !sameNumber(want, have) {
			return fmt.Errorf("%s: want %s, have %s", path, want, show(value))
		}
		return nil
	}
	if pattern != value {
		return fmt.Errorf("%s: want %s, have %s", path, show(pattern), show(value))
	}
	return nil
}

func (v vars) matchArray(want []any, value any, path string) error {
	have, ok := value.([]any)
	if !ok {
		return fmt.Errorf("%s: want an array, have %s", path, show(value))
	}
	if n := len(want); n > 0 && want[n-1] == "..." {
		want = want[:n-1]
		have = have[:min(len(have), len(want))]
	}
	if len(want) != len(have) {
		return fmt.Errorf("%s: want %d elements, have %d: %s", path, len(want), len(have), show(value))
	}
	for i := range want {
		if err := v.match(want[i], have[i], fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}

// kindMatches says whether value is of the kind that a wildcard stands for, and whether kind is one.
func kindMatches(kind string, value any) (matches, known bool) {
	switch kind {
	case "*":
		return value != absent{}, true
	case "<absent>":
		return value == absent{}, true
	case "<string>":
		_, ok := value.(string)
		return ok, true
	case "<number>":
		_, ok := value.(json.Number)
		return ok, true
	case "<bool>":
		_, ok := value.(bool)
		return ok, true
	case "<object>":
		_, ok := value.(map[string]any)
		return ok, true
	case "<array>":
		_, ok := value.([]any)
		return ok, true
	}
	return false, false
}

func (v vars) matchString(want string, value any, path string) error {
	if ok, known := kindMatches(want, value); known {
		if !ok {
			return fmt.Errorf("%s: want %s, have %s", path, want, show(value))
		}
		return nil
	}
	if name, ok := strings.CutPrefix(want, "$"); ok && reference.FindString(want) == want && name != "$" {
		bound, ok := v[name]
		if !ok {
			if (value == absent{}) {
				return fmt.Errorf("%s: want anything, to be called $%s, have nothing", path, name)
			}
			v[name] = value
			return nil
		}
		if show(bound) != show(value) {
			return fmt.Errorf("%s: want %s ($%s), have %s", path, show(bound), name, show(value))
		}
		return nil
	}
	text, err := v.expand(want)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	have, ok := value.(string)
	if expr, isExpr := strings.CutPrefix(text, "~"); isExpr && ok {
		matched, err := regexp.MatchString(expr, have)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if matched {
			return nil
		}
		return fmt.Errorf("%s: want a match of %q, have %q", path, expr, have)
	}
	if !ok || have != text {
		return fmt.Errorf("%s: want %q, have %s", path, text, show(value))
	}
	return nil
}

func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	x, errX := a.Float64()
	y, errY := b.Float64()
	return errX == nil && errY == nil && x == y
}

func (absent) MarshalJSON() ([]byte, error) { return []byte(`"nothing"`), nil }
