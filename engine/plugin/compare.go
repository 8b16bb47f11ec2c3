package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wse-engine/wse/engine/jsonscan"
)

// Comparison is what two versions of a plugin said of the same documents.
type Comparison struct {
	Plugin    string
	Serving   string // its version
	Candidate string // its version
	// Compared is Same, Different and Failed together. Failed counts the documents that the candidate failed on and the
	// serving version did not. Skipped ones were given to the serving version only.
	Compared, Same, Different, Failed, Skipped int
	// Differences are the first of those that are not the same, at most [DifferencesShown].
	Differences []Difference
}

// DifferencesShown is how many differences a [Comparison] shows; all are counted.
const DifferencesShown = 20

// Difference is one document on which two versions of a plugin do not say the same. What it shows comes from the document as
// it was recorded, without the members that are not to be kept.
type Difference struct {
	Hook      Kind
	Input     string // the document, at most 4 KiB of it
	Serving   Said
	Candidate Said
	// Diff is what the two said as a unified diff: a line for each member of a JSON document, members sorted by name.
	Diff string
}

// Said is how a version answered one document.
type Said struct {
	// Verdict is no, yes, data, error (that the plugin reported in good order), trap, fuel, violation or too_large, the label of
	// an [Outcome].
	Verdict string
	Data    string // with data: the answer, at most 4 KiB of it
	Error   string // with error, trap, fuel and violation: the reason, at most 4 KiB of it
	Fuel    int64  // units
}

// shownBytes bounds each text of a difference.
const shownBytes = 4 << 10

// heard is how a version answered one document, in full.
type heard struct {
	outcome Outcome
	data    []byte // with OutcomeData
	text    string // with a failure
	fuel    int64
}

func (s *heard) answered() bool { return s.outcome <= OutcomeData }

func (s *heard) said() Said {
	return Said{Verdict: s.outcome.String(), Data: shown(s.data), Error: shown([]byte(s.text)), Fuel: s.fuel}
}

// shown is text as operators are shown it.
func shown(text []byte) string {
	if len(text) <= shownBytes {
		return clean(string(text))
	}
	tail := fmt.Sprintf("… (%d bytes)", len(text))
	end := shownBytes - len(tail)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return clean(string(text[:end])) + tail
}

// clean puts a question mark for what is no text: a guest must not be able to talk to an operator's terminal. The result is
// no longer than text.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// relation is how the answers of two versions to one document go together.
type relation uint8

const (
	same      relation = iota
	different          // another answer, or one where the serving version has none
	failing            // no answer where the serving version has one
)

// relate compares what the serving version and the candidate said to hook h. Answers are compared by what they mean to the
// engine, failures by their kind, and errors that a guest reports by their text too.
func relate(h hook, serving, candidate *heard) relation {
	switch {
	case serving.answered() && candidate.answered():
		if serving.outcome == candidate.outcome && bytes.Equal(serving.data, candidate.data) ||
			bytes.Equal(meaning(h, serving), meaning(h, candidate)) {
			return same
		}
	case serving.answered():
		return failing
	case serving.outcome == candidate.outcome && (serving.outcome != OutcomeError || serving.text == candidate.text):
		return same
	}
	return different
}

// meaning is the normal form of an answer: of transform the array of envelopes, or no or yes; of authorize the verdict; of
// validate the findings. An answer that cannot be read is its own meaning.
func meaning(h hook, s *heard) []byte {
	switch h {
	case hookAuthorize:
		v := Verdict{Allow: s.outcome == OutcomeYes}
		if s.outcome == OutcomeData && v.Read(s.data) != nil {
			return s.data
		}
		return appendVerdict(nil, v)
	case hookValidate:
		return findings(s)
	}
	if s.outcome != OutcomeData {
		return []byte(s.outcome.String())
	}
	doc := bytes.Trim(s.data, " \t\r\n")
	if jsonscan.KindOf(doc) != jsonscan.KindArray {
		doc = bytes.Join([][]byte{{'['}, doc, {']'}}, nil)
	}
	out, ok := appendNormal(nil, doc)
	if !ok {
		return s.data
	}
	return out
}

// appendVerdict writes a verdict in normal form.
func appendVerdict(dst []byte, v Verdict) []byte {
	dst = fmt.Appendf(dst, `{"allow":%t`, v.Allow)
	if v.Reason != "" {
		dst = jsonscan.AppendQuoted(append(dst, `,"reason":`...), v.Reason)
	}
	if v.TTL != 0 {
		dst = fmt.Appendf(dst, `,"ttl_s":%v`, v.TTL.Seconds())
	}
	return append(dst, '}')
}

// findings is the normal form of what a validate hook says: YES and NO stand for verdicts without findings.
func findings(s *heard) []byte {
	doc := s.data
	if s.outcome != OutcomeData {
		doc = fmt.Appendf(nil, `{"valid":%t}`, s.outcome == OutcomeYes)
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(doc, &members) != nil {
		return doc
	}
	for _, list := range []string{"errors", "warnings"} {
		if len(members[list]) == 0 || jsonscan.IsNull(members[list]) {
			members[list] = json.RawMessage("[]")
		}
	}
	whole, err := json.Marshal(members)
	if err != nil {
		return doc
	}
	out, _ := appendNormal(nil, whole)
	return out
}

// add counts a document, and keeps the difference where it is one of the first. show returns what is shown of it, and is
// asked only then.
func (c *Comparison) add(r relation, show func() Difference) {
	c.Compared++
	switch r {
	case same:
		c.Same++
		return
	case different:
		c.Different++
	case failing:
		c.Failed++
	}
	if len(c.Differences) < DifferencesShown {
		c.Differences = append(c.Differences, show())
	}
}
