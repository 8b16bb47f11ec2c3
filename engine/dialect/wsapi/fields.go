package wsapi

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// fields are the members of a message, or of an object in it, and what is wrong with them: a client is told of all faults
// at once (PROTOCOL §3.1).
type fields struct {
	path   string // of the object, with a point behind it; empty for the message
	values map[string][]byte
	faults *faults
}

// faults are collected over a whole message.
type faults struct {
	list []fault
	more int // beyond faultsMax
}

// fault is one of them, in the form in which details are written.
type fault struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

func (f *faults) add(path, format string, args ...any) {
	if len(f.list) >= faultsMax {
		f.more++
		return
	}
	f.list = append(f.list, fault{path, path + " " + fmt.Sprintf(format, args...)})
}

// err returns nil or the error that tells of all faults.
func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	text := make([]string, 0, len(f.list))
	for _, one := range f.list {
		text = append(text, one.Message)
	}
	if f.more > 0 {
		text = append(text, fmt.Sprintf("and %d more", f.more))
	}
	return message.Errorf(message.CodeInvalidArgument, "%s", strings.Join(text, "; ")).
		WithDetails(map[string]any{"errors": f.list})
}

// members reads the members of an object, which is valid JSON. A name that is there twice is a fault: which of them counts
// must not depend on who reads it.
func (f *faults) members(path string, object []byte) *fields {
	out := &fields{path: path, values: map[string][]byte{}, faults: f}
	for it := jsonscan.Members(object); it.Next(); {
		name := string(it.Key())
		if _, twice := out.values[name]; twice {
			f.add(path+cut(name), "is there twice")
			continue
		}
		out.values[name] = it.Value()
	}
	return out
}

// get returns a member's value, and nil where there is none or it is null.
func (f *fields) get(name string) []byte {
	if raw := f.values[name]; jsonscan.KindOf(raw) != jsonscan.KindNull {
		return raw
	}
	return nil
}

// text returns a text of at most so many bytes, and "" where there is none.
func (f *fields) text(name string, bytesMax int) string {
	raw := f.get(name)
	if raw == nil {
		return ""
	}
	s, err := jsonscan.String(raw)
	switch {
	case err != nil:
		f.faults.add(f.path+name, "must be a string, not %s", jsonscan.KindOf(raw).String())
	case len(s) > bytesMax:
		f.faults.add(f.path+name, "has %d bytes, at most %d are allowed", len(s), bytesMax)
	default:
		return s
	}
	return ""
}

// required is a text that has to be there.
func (f *fields) required(name string, bytesMax int) string {
	before := len(f.faults.list) + f.faults.more
	s := f.text(name, bytesMax)
	if s == "" && len(f.faults.list)+f.faults.more == before {
		f.faults.add(f.path+name, "is required: a string that is not empty")
	}
	return s
}

// name is a text of the characters of a topic's segment, in which case identifiers and symbols are; it goes into paths.
func (f *fields) name(name string, bytesMax int, required bool) string {
	s := f.text(name, bytesMax)
	if required && f.get(name) == nil {
		return f.required(name, bytesMax)
	}
	if s == "" && jsonscan.KindOf(f.get(name)) == jsonscan.KindString && f.faultless(name) {
		if required {
			f.faults.add(f.path+name, "is required: a string that is not empty")
		}
		return ""
	}
	if !isName(s) {
		f.faults.add(f.path+name, "may hold the characters A-Z a-z 0-9 _ . @ - only, and is %q", cut(s))
		return ""
	}
	return s
}

// faultless tells that nothing was found wrong with a member yet.
func (f *fields) faultless(name string) bool {
	for _, one := range f.faults.list {
		if one.Path == f.path+name {
			return false
		}
	}
	return true
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("_.@-", c) >= 0) {
			return false
		}
	}
	return true
}

// object returns a copy of an object, and nil where there is none.
func (f *fields) object(name string) []byte {
	raw := f.get(name)
	if raw == nil {
		return nil
	}
	if jsonscan.KindOf(raw) != jsonscan.KindObject {
		f.faults.add(f.path+name, "must be an object, not %s", jsonscan.KindOf(raw).String())
		return nil
	}
	return bytes.Clone(raw)
}

// symbols reads a list of symbols.
func (f *fields) symbols(name string) (symbols []string) {
	raw := f.get(name)
	if raw == nil {
		return nil
	}
	if jsonscan.KindOf(raw) != jsonscan.KindArray {
		f.faults.add(f.path+name, "must be an array of strings, not %s", jsonscan.KindOf(raw).String())
		return nil
	}
	n := 0
	for it := jsonscan.Elements(raw); it.Next(); n++ {
		path := fmt.Sprintf("%s%s[%d]", f.path, name, n)
		s, err := jsonscan.String(it.Value())
		switch {
		case n >= symbolsMax:
			f.faults.add(f.path+name, "holds more than %d symbols", symbolsMax)
			return symbols
		case err != nil:
			f.faults.add(path, "must be a string, not %s", jsonscan.KindOf(it.Value()).String())
		case s == "" || len(s) > symbolBytes || !isName(s):
			f.faults.add(path, "must be 1 to %d of the characters A-Z a-z 0-9 _ . @ -, and is %q", symbolBytes, cut(s))
		default:
			symbols = append(symbols, s)
		}
	}
	return symbols
}

// texts reads a list of short texts, of which what is none is left out.
func (f *fields) texts(name string) (list []string) {
	for it := jsonscan.Elements(f.get(name)); it.Next() && len(list) < symbolsMax; {
		if s, err := jsonscan.String(it.Value()); err == nil && len(s) <= nameBytesMax {
			list = append(list, s)
		}
	}
	return list
}

// cut keeps a client's own words in an error short.
func cut(text string) string { return message.Cut(text, 64) }
