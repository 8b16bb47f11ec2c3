package config

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

// YAMLToJSON returns the JSON form of a YAML text of at most [FileKiBMax], with members in the order they have there. An
// empty text is null. The error says on which line the text is wrong: a name given twice, a number that JSON does not have,
// or what [Load] refuses.
func YAMLToJSON(text []byte) ([]byte, error) {
	body, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if body == nil {
		return []byte("null"), nil
	}
	out, err := appendJSON(nil, body)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return out, nil
}

func appendJSON(dst []byte, n ast.Node) ([]byte, error) {
	if values, ok := pairs(n); ok {
		return appendObject(dst, values)
	}
	if sequence, ok := n.(*ast.SequenceNode); ok {
		dst = append(dst, '[')
		for i, element := range sequence.Values {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = appendJSON(dst, element); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	}
	value, ok := plain(n)
	if f, isFloat := value.(float64); !ok || isFloat && (math.IsInf(f, 0) || math.IsNaN(f)) {
		return nil, &syntaxError{lineOf(n), "holds " + kindOf(n) + ", which JSON does not have"}
	}
	return appendScalar(dst, value)
}

func appendObject(dst []byte, values []*ast.MappingValueNode) ([]byte, error) {
	dst = append(dst, '{')
	seen := make(map[string]bool)
	for i, pair := range values {
		name, ok := keyOf(pair.Key)
		if !ok {
			return nil, &syntaxError{lineOf(pair.Key), "holds a key that is no plain text"}
		}
		if seen[name] {
			return nil, &syntaxError{lineOf(pair.Key), fmt.Sprintf("gives %q twice", name)}
		}
		seen[name] = true
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendScalar(dst, name); err != nil {
			return nil, err
		}
		if dst, err = appendJSON(append(dst, ':'), pair.Value); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendScalar(dst []byte, value any) ([]byte, error) {
	switch value := value.(type) {
	case int64:
		return strconv.AppendInt(dst, value, 10), nil
	case uint64:
		return strconv.AppendUint(dst, value, 10), nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return append(dst, text...), nil
}
