package strategies

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// Errors that callers compare with.
var (
	// ErrInvalid means that a configuration cannot be kept: it is no document, has no good name, or is too large.
	ErrInvalid = errors.New("strategies: invalid")
	// ErrNotAuthor means that a strategy is somebody else's.
	ErrNotAuthor = errors.New("strategies: not the author")
	// ErrCollision means that there is a strategy whose name differs only in case.
	ErrCollision = errors.New("strategies: name taken")
	// ErrLimit means that there are too many strategies for another one.
	ErrLimit = errors.New("strategies: limit reached")
)

const (
	nameBytesMax = 100
	authorMember = "_author"
	nameMember   = "strategy_name"
	suffix       = ".json"
	space        = " \t\r\n" // of JSON
	// authorBytesMax covers the member _author.
	authorBytesMax = 1 << 10
)

// CheckName checks that name can be a strategy's: 1 to 100 of A-Z a-z 0-9 _ -, so that it leads to no file but its own. The
// error wraps [ErrInvalid].
func CheckName(name string) error {
	if name == "" || len(name) > nameBytesMax || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		return fmt.Errorf("%w: %s: %.120q: a name has 1 to %d of A-Z a-z 0-9 _ -", ErrInvalid, nameMember, name, nameBytesMax)
	}
	return nil
}

// parse reads a configuration, or a file, which may have an author.
func parse(raw []byte) (s message.Strategy, err error) {
	raw = bytes.Trim(raw, space)
	if s.SHA256, err = Digest(raw); err != nil { // no member is there twice
		return s, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	s.Config = raw
	it := jsonscan.Members(raw)
	for it.Next() {
		switch string(it.Key()) {
		case nameMember:
			if s.Name, err = jsonscan.String(it.Value()); err != nil {
				return s, fmt.Errorf("%w: %s: not a string", ErrInvalid, nameMember)
			}
		case authorMember:
			if s.Author, err = jsonscan.String(it.Value()); err != nil || s.Author == "" || len(s.Author) > message.TopicSegmentBytesMax {
				return s, fmt.Errorf("%w: %s: not the id of a user", ErrInvalid, authorMember)
			}
		}
	}
	if it.Err() != nil {
		return s, fmt.Errorf("%w: not a JSON object", ErrInvalid)
	}
	if err := CheckName(s.Name); err != nil {
		return s, err
	}
	if s.Author != "" {
		s.Config = withoutAuthor(raw)
		s.SHA256, err = Digest(s.Config)
	}
	return s, err
}

// withoutAuthor returns an object without its member _author.
func withoutAuthor(raw []byte) []byte {
	out := append(make([]byte, 0, len(raw)), '{')
	it := jsonscan.Members(raw)
	for it.Next() {
		if string(it.Key()) == authorMember {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(jsonscan.AppendQuoted(out, string(it.Key())), ':')
		out = append(out, it.Value()...)
	}
	return append(out, '}')
}

// withAuthor returns a configuration, a JSON object with at least one member, as a file has it.
func withAuthor(config []byte, author string) []byte {
	config = bytes.Trim(config, space)
	var out []byte
	if author != "" {
		out = append(out, `{"`+authorMember+`":`...)
		out = append(jsonscan.AppendQuoted(out, author), ',')
		config = config[1:]
	}
	return append(append(out, config...), '\n')
}
