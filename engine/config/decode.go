package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// decoder fills Go values from YAML nodes. It goes on after a fault, which is why the library's own decoder is not used:
// that one stops at the first.
type decoder struct {
	*faults
	source func(line int) string
}

// value sets v, which is at path, from n.
func (d *decoder) value(n ast.Node, path string, v reflect.Value) {
	if path != "" {
		d.origin[path] = d.source(lineOf(n))
	}
	if isCustom(v) {
		d.custom(n, path, v)
		return
	}
	if u, ok := unmarshalerOf(v); ok {
		err := u.UnmarshalYAML(func(into any) error {
			d.value(n, path, reflect.ValueOf(into).Elem())
			return nil
		})
		if err != nil {
			d.add(d.source(lineOf(n)), path, "%v", err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, path, v.Elem())
	case reflect.Struct:
		d.structure(n, path, v)
	case reflect.Map:
		d.mapping(n, path, v)
	case reflect.Slice:
		d.list(n, path, v)
	case reflect.Interface:
		if anything, ok := d.anything(n, path); ok && anything != nil {
			v.Set(reflect.ValueOf(anything))
		} else if ok {
			v.SetZero()
		}
	default:
		d.scalar(n, path, v)
	}
}

// structure sets the fields of a struct. A section without a value, as is left when all its lines are comments, keeps its
// defaults.
func (d *decoder) structure(n ast.Node, path string, v reflect.Value) {
	if _, empty := n.(*ast.NullNode); empty {
		return
	}
	d.members(n, path, func(name string, member ast.Node, line int) {
		field, ok := fieldOf(v, name)
		if !ok {
			d.unknown(line, path, name, v.Type())
			return
		}
		at := join(path, name)
		d.value(member, at, field)
		d.origin[at] = d.source(line)
	})
}

// mapping sets a map with text keys. What it held is replaced.
func (d *decoder) mapping(n ast.Node, path string, v reflect.Value) {
	m := reflect.MakeMap(v.Type())
	d.members(n, path, func(name string, member ast.Node, line int) {
		element := reflect.New(v.Type().Elem()).Elem()
		at := join(path, name)
		d.value(member, at, element)
		d.origin[at] = d.source(line)
		m.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), element)
	})
	v.Set(m)
}

// members calls f for the members of a mapping, each name once.
func (d *decoder) members(n ast.Node, path string, f func(name string, member ast.Node, line int)) {
	values, ok := pairs(n)
	if !ok {
		d.add(d.source(lineOf(n)), path, "is %s, not a mapping (name: value)", kindOf(n))
		return
	}
	first := make(map[string]int)
	for _, pair := range values {
		line := lineOf(pair.Key)
		name, ok := keyOf(pair.Key)
		if !ok {
			d.add(d.source(line), path, "has a key that is no plain text")
			continue
		}
		if at, twice := first[name]; twice {
			d.add(d.source(line), join(path, name), "is given twice, first on line %d", at)
			continue
		}
		first[name] = line
		f(name, pair.Value, line)
	}
}

// list sets a slice. What it held is replaced.
func (d *decoder) list(n ast.Node, path string, v reflect.Value) {
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		hint := ""
		if _, empty := n.(*ast.NullNode); empty {
			hint = "; an empty one is written []"
		}
		d.add(d.source(lineOf(n)), path, "is %s, not a list%s", kindOf(n), hint)
		return
	}
	s := reflect.MakeSlice(v.Type(), len(sequence.Values), len(sequence.Values))
	for i, element := range sequence.Values {
		d.value(element, fmt.Sprintf("%s[%d]", path, i), s.Index(i))
	}
	v.Set(s)
}

// anything returns a node as map[string]any, []any, string, bool, int64, uint64, float64 or nil.
func (d *decoder) anything(n ast.Node, path string) (any, bool) {
	if _, ok := pairs(n); ok {
		m := make(map[string]any)
		d.members(n, path, func(name string, member ast.Node, _ int) {
			m[name], _ = d.anything(member, join(path, name))
		})
		return m, true
	}
	if sequence, ok := n.(*ast.SequenceNode); ok {
		list := make([]any, len(sequence.Values))
		for i, element := range sequence.Values {
			list[i], _ = d.anything(element, fmt.Sprintf("%s[%d]", path, i))
		}
		return list, true
	}
	value, ok := plain(n)
	if !ok {
		d.add(d.source(lineOf(n)), path, "is %s, which has no place here", kindOf(n))
	}
	return value, ok
}

// isCustom reports whether v reads its own text. Durations count too: their unit is written out.
func isCustom(v reflect.Value) bool {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		return true
	}
	return v.CanAddr() && v.Addr().Type().Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// unmarshaler is a value with defaults of its own, for elements of lists and maps: it is given a function that fills what it
// points to, as package yaml does it. That function reports faults itself and returns nil.
type unmarshaler interface {
	UnmarshalYAML(unmarshal func(into any) error) error
}

func unmarshalerOf(v reflect.Value) (unmarshaler, bool) {
	if !v.CanAddr() {
		return nil, false
	}
	u, ok := v.Addr().Interface().(unmarshaler)
	return u, ok
}

// custom sets a value that reads its own text from a scalar.
func (d *decoder) custom(n ast.Node, path string, v reflect.Value) {
	text, ok := scalarText(n)
	if !ok {
		d.add(d.source(lineOf(n)), path, "is %s, not text", kindOf(n))
		return
	}
	if v.Type() != reflect.TypeFor[time.Duration]() {
		if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
			d.add(d.source(lineOf(n)), path, "%v", err)
		}
		return
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		d.add(d.source(lineOf(n)), path, `is not a length of time with its unit, as in "15s", "500ms" or "1h30m"`)
		return
	}
	v.SetInt(int64(length))
}

// unknown reports a field that does not exist, with the one that was probably meant.
func (d *decoder) unknown(line int, path, name string, t reflect.Type) {
	names := fieldNames(t)
	nearest, distance := "", 3
	for _, candidate := range names {
		n := distance
		switch {
		case len(name) > 2*len(candidate): // nothing like it, however long it is
		case len(name) > 3 && strings.HasPrefix(candidate, name): // a unit or _max forgotten
			n = 1
		default:
			n = editDistance(name, candidate)
		}
		if n < distance {
			nearest, distance = candidate, n
		}
	}
	if nearest != "" {
		d.add(d.source(line), join(path, name), "is not a field; did you mean %s?", nearest)
		return
	}
	d.add(d.source(line), join(path, name), "is not a field; the fields here are %s", strings.Join(names, ", "))
}

// fieldOf returns the field of a struct with a name, inline structs included.
func fieldOf(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		tag, inline, skip := tagOf(v.Type().Field(i))
		if skip {
			continue
		}
		if inline {
			if f, ok := fieldOf(v.Field(i), name); ok {
				return f, true
			}
		} else if tag == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// hasField reports whether a struct type has a field of a name.
func hasField(t reflect.Type, name string) bool { return slices.Contains(fieldNames(t), name) }

// fieldNames returns the names of a struct's fields, inline structs included.
func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		switch tag, inline, skip := tagOf(t.Field(i)); {
		case skip:
		case inline:
			names = append(names, fieldNames(t.Field(i).Type)...)
		default:
			names = append(names, tag)
		}
	}
	return names
}

// tagOf returns a field's name in YAML.
func tagOf(f reflect.StructField) (name string, inline, skip bool) {
	name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if name == "-" || !f.IsExported() {
		return "", false, true
	}
	if slices.Contains(strings.Split(options, ","), "inline") {
		return "", true, false
	}
	if name == "" {
		name = strings.ToLower(f.Name)
	}
	return name, false, false
}

// editDistance counts the single-character changes between two short words.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
