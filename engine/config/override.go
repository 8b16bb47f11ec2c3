package config

import (
	"fmt"
	"reflect"
	"strconv"
)

// override sets the value that segments lead to from a text.
func override(f *faults, source string, segments []string, text string, root reflect.Value) {
	d := decoder{faults: f, source: func(int) string { return source }}
	d.descend(segments, "", text, root)
}

// descend walks one segment down from v, which is at path. Elements of maps are not addressable, so each step writes back
// what the steps below it made.
func (d *decoder) descend(segments []string, path, text string, v reflect.Value) {
	if len(segments) == 0 {
		d.text(text, path, v)
		return
	}
	segment, rest := segments[0], segments[1:]
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.descend(segments, path, text, v.Elem())
	case reflect.Struct:
		field, ok := fieldOf(v, segment)
		if !ok {
			d.unknown(0, path, segment, v.Type())
			return
		}
		d.descend(rest, join(path, segment), text, field)
	case reflect.Slice:
		d.descendSlice(segment, rest, path, text, v)
	case reflect.Map:
		key := reflect.ValueOf(segment).Convert(v.Type().Key())
		element := reflect.New(v.Type().Elem()).Elem()
		if old := v.MapIndex(key); old.IsValid() {
			element.Set(old)
		}
		d.descend(rest, join(path, segment), text, element)
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(key, element)
	default:
		d.add(d.source(0), path, "has no field %s inside", segment)
	}
}

func (d *decoder) descendSlice(segment string, rest []string, path, text string, v reflect.Value) {
	i, err := strconv.Atoi(segment)
	if err != nil || i < 0 {
		d.add(d.source(0), path, "is a list; %q is not the number of an element", segment)
		return
	}
	if i > v.Len() {
		d.add(d.source(0), path, "has %d elements, so [%d] can't be set; the next one is [%d]", v.Len(), i, v.Len())
		return
	}
	// A copy, since the defaults may be shared with others.
	grown := reflect.MakeSlice(v.Type(), max(v.Len(), i+1), max(v.Len(), i+1))
	reflect.Copy(grown, v)
	if u, ok := unmarshalerOf(grown.Index(i)); ok && i == v.Len() {
		_ = u.UnmarshalYAML(func(any) error { return nil }) // only its defaults
	}
	v.Set(grown)
	d.descend(rest, fmt.Sprintf("%s[%d]", path, i), text, v.Index(i))
}

// text sets v from the text of an override: as it is where v is text, else as YAML.
func (d *decoder) text(text, path string, v reflect.Value) {
	if v.Kind() == reflect.String && !isCustom(v) {
		d.origin[path] = d.source(0)
		v.SetString(text)
		return
	}
	body, err := parse([]byte(text))
	if err != nil {
		d.add(d.source(0), path, "%s", err.(*syntaxError).text)
		return
	}
	if body == nil {
		d.add(d.source(0), path, "has no value")
		return
	}
	d.value(body, path, v)
}
