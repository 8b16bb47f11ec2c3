package config

import (
	"math"
	"reflect"

	"github.com/goccy/go-yaml/ast"
)

// plain returns a scalar as string, bool, int64, uint64, float64 or nil.
func plain(n ast.Node) (any, bool) {
	switch n := n.(type) {
	case *ast.NullNode:
		return nil, true
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.BoolNode:
		return n.Value, true
	case *ast.IntegerNode:
		return n.Value, true
	case *ast.FloatNode:
		return n.Value, true
	}
	return nil, false
}

// scalarText returns the text of a scalar as it is written, for values that read their own.
func scalarText(n ast.Node) (string, bool) {
	switch value, _ := plain(n); value := value.(type) {
	case nil:
		return "", false
	case string:
		return value, true
	}
	return n.GetToken().Value, true
}

// kindOf names a node's kind for a fault.
func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	case *ast.NullNode:
		return "empty"
	case *ast.InfinityNode, *ast.NanNode:
		return "not a finite number"
	}
	return "something else"
}

// scalar sets a text, a truth value or a number. Nothing is converted into anything else: a number where text is wanted is
// more often a forgotten quote than an intention.
func (d *decoder) scalar(n ast.Node, path string, v reflect.Value) {
	value, _ := plain(n)
	ok, want := false, "a value of this kind"
	switch {
	case v.Kind() == reflect.String:
		want = "text; put it in quotes"
		var text string
		if text, ok = value.(string); ok {
			v.SetString(text)
		}
	case v.Kind() == reflect.Bool:
		want = "true or false"
		var truth bool
		if truth, ok = value.(bool); ok {
			v.SetBool(truth)
		}
	case v.CanInt(), v.CanUint():
		want = "a whole number"
		if whole(value) {
			if !setWhole(value, v) {
				d.add(d.source(lineOf(n)), path, "is %v, which is too large or too small", value)
			}
			return
		}
	case v.CanFloat():
		want = "a number"
		ok = setFloat(value, v)
	}
	if _, empty := n.(*ast.NullNode); empty {
		d.add(d.source(lineOf(n)), path, "has no value; give one or remove the line")
	} else if !ok {
		d.add(d.source(lineOf(n)), path, "is %s, not %s", kindOf(n), want)
	}
}

func whole(value any) bool {
	switch value.(type) {
	case int64, uint64:
		return true
	}
	return false
}

// setWhole sets a whole number and reports whether it fits.
func setWhole(value any, v reflect.Value) bool {
	signed, isSigned := value.(int64)
	unsigned, _ := value.(uint64)
	if isSigned && signed >= 0 {
		unsigned = uint64(signed)
	}
	if v.CanUint() {
		if isSigned && signed < 0 || v.OverflowUint(unsigned) {
			return false
		}
		v.SetUint(unsigned)
		return true
	}
	if !isSigned {
		if unsigned > math.MaxInt64 {
			return false
		}
		signed = int64(unsigned)
	}
	if v.OverflowInt(signed) {
		return false
	}
	v.SetInt(signed)
	return true
}

func setFloat(value any, v reflect.Value) bool {
	switch value := value.(type) {
	case float64:
		v.SetFloat(value)
	case int64:
		v.SetFloat(float64(value))
	case uint64:
		v.SetFloat(float64(value))
	default:
		return false
	}
	return true
}
