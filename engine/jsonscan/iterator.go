package jsonscan

import "bytes"

// Iterator walks the members of an object or the elements of an array:
//
//	it := jsonscan.Members(data)
//	for it.Next() {
//		switch string(it.Key()) {
//		case "t":
//			kind = it.Value()
//		}
//	}
//	if err := it.Err(); err != nil {
//
// It checks as it goes, and only a whole walk has checked everything: what was read before Err said nil may belong to a
// text that is no JSON.
type Iterator struct {
	data    []byte
	pos     int
	keyRaw  []byte // with its quotes
	val     []byte
	err     *SyntaxError
	closing byte // '}' or ']'
	state   state
}

type state uint8

const (
	begin  state = iota // before the opening byte
	inside              // behind a member or element
	ended
)

// Members walks the object that data is. White space may stand round it.
func Members(data []byte) Iterator { return Iterator{data: data, closing: '}'} }

// Elements walks the array that data is. White space may stand round it.
func Elements(data []byte) Iterator { return Iterator{data: data, closing: ']'} }

// Next goes to the next member or element. It returns false at the end and at an error, which Err tells apart.
func (it *Iterator) Next() bool {
	i, more, bad := it.pos, false, ""
	switch it.state {
	case begin:
		i, more, bad = it.open()
	case inside:
		i, more, bad = next(it.data, i, it.closing)
	case ended:
		return false
	}
	it.state = inside
	if bad == "" && more {
		i, bad = it.read(i)
	} else if bad == "" {
		it.state = ended
		i, bad = end(it.data, i)
	}
	it.pos = i
	if bad != "" {
		it.err = &SyntaxError{i, bad}
	}
	if bad != "" || !more {
		it.state, it.keyRaw, it.val = ended, nil, nil
		return false
	}
	return true
}

// open reads the opening byte, and the closing one if it follows.
func (it *Iterator) open() (i int, more bool, bad string) {
	i = space(it.data, 0)
	opening, missing := byte('{'), "an object is missing"
	if it.closing == ']' {
		opening, missing = '[', "an array is missing"
	}
	if i >= len(it.data) || it.data[i] != opening {
		return i, false, missing
	}
	i = space(it.data, i+1)
	if i < len(it.data) && it.data[i] == it.closing {
		return i + 1, false, ""
	}
	return i, true, ""
}

// read reads a member or element.
func (it *Iterator) read(i int) (_ int, bad string) {
	if it.closing == '}' {
		start := i
		if i, bad = key(it.data, i); bad != "" {
			return i, bad
		}
		it.keyRaw = it.data[start:i]
		if i, bad = colon(it.data, i); bad != "" {
			return i, bad
		}
	}
	start := i
	if i, bad = value(it.data, i, DepthMax-1); bad != "" {
		return i, bad
	}
	it.val = it.data[start:i:i]
	return i, ""
}

// Key returns the member's name without quotes and escapes, nil for an element.
func (it *Iterator) Key() []byte {
	if it.keyRaw == nil {
		return nil
	}
	inner := it.keyRaw[1 : len(it.keyRaw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner[:len(inner):len(inner)]
	}
	return unescape(make([]byte, 0, len(inner)), inner)
}

// Value returns the raw value, without white space round it. It is valid JSON.
func (it *Iterator) Value() []byte { return it.val }

// Err returns nil, or the [*SyntaxError] that ended the walk.
func (it *Iterator) Err() error {
	if it.err == nil {
		return nil
	}
	return it.err
}
