package auth

import (
	"errors"
	"fmt"

	"github.com/wse-engine/wse/engine/jsonscan"
)

// Limits of the JSON in a token.
const (
	jsonDepthMax   = 16
	jsonMembersMax = 128 // per object
)

// members reads data, which must be one object, and calls member, where not nil, for each of its members with the decoded
// name and the raw value. Names are compared exactly (encoding/json would take "EXP" for "exp"), and a name that occurs
// twice is refused, however deep: of two programs that read such an object each could believe another of the two values.
//
// BenchmarkVerifyHS256 is why encoding/json is not used: decoding into a map takes longer than the signature.
func members(data []byte, member func(name, value []byte) error) error {
	return walkObject(data, 1, member)
}

func walkObject(data []byte, depth int, member func(name, value []byte) error) error {
	if depth > jsonDepthMax {
		return fmt.Errorf("is nested more than %d deep", jsonDepthMax)
	}
	var room [24][]byte
	names := room[:0]
	it := jsonscan.Members(data)
	for it.Next() {
		name := it.Key()
		if len(names) == jsonMembersMax {
			return fmt.Errorf("has an object of more than %d members", jsonMembersMax)
		}
		for _, n := range names {
			if string(n) == string(name) {
				return fmt.Errorf("has the name %q twice", name)
			}
		}
		names = append(names, name)
		if err := walkInside(it.Value(), depth); err != nil {
			return err
		}
		if member == nil {
			continue
		}
		if err := member(name, it.Value()); err != nil {
			return err
		}
	}
	return notJSON(it.Err())
}

// walkInside checks a value that stands in an object or array of the given depth. It is valid JSON.
func walkInside(value []byte, depth int) error {
	switch jsonscan.KindOf(value) {
	case jsonscan.KindObject:
		return walkObject(value, depth+1, nil)
	case jsonscan.KindArray:
		if depth == jsonDepthMax {
			return fmt.Errorf("is nested more than %d deep", jsonDepthMax)
		}
		it := jsonscan.Elements(value)
		for it.Next() {
			if err := walkInside(it.Value(), depth+1); err != nil {
				return err
			}
		}
		return notJSON(it.Err())
	}
	return nil
}

// notJSON words a scanner's error for a client.
func notJSON(err error) error {
	var at *jsonscan.SyntaxError
	if errors.As(err, &at) {
		return fmt.Errorf("is no JSON object: %s at byte %d", at.Reason, at.Offset)
	}
	return err
}

// textOf returns the text of a JSON string.
func textOf(value []byte) ([]byte, error) {
	text, err := jsonscan.Text(value)
	if err != nil {
		return nil, errors.New("is not a string")
	}
	return text, nil
}

func stringOf(value []byte) (string, error) {
	text, err := textOf(value)
	return string(text), err
}

// eachString calls f for the elements of an array of strings.
func eachString(value []byte, f func(text []byte)) error {
	it := jsonscan.Elements(value)
	for it.Next() {
		text, err := textOf(it.Value())
		if err != nil {
			return errors.New("is not an array of strings")
		}
		f(text)
	}
	if it.Err() != nil {
		return errors.New("is not an array of strings")
	}
	return nil
}
