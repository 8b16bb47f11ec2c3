package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/wse-engine/wse/engine/jsonscan"
)

// What a guest answers is checked before anybody else sees it: an envelope that is no JSON would reach every subscriber.
// The functions below return what is wrong with an answer, or "".

// The fields of an envelope as a transform writes it, sdk/ABI.md "transform".
const (
	fieldT = 1 << iota
	fieldTopic
	fieldP
	fieldPri
	fieldID
	fieldCID
	fieldVersion

	fieldsMust = fieldT | fieldTopic | fieldP
)

func envelopeField(name []byte) int {
	switch string(name) {
	case "t":
		return fieldT
	case "topic":
		return fieldTopic
	case "p":
		return fieldP
	case "pri":
		return fieldPri
	case "id":
		return fieldID
	case "cid":
		return fieldCID
	case "event_version":
		return fieldVersion
	}
	return 0
}

// checkEnvelopes checks the answer of a transform: one envelope or an array of them.
func checkEnvelopes(b []byte) string {
	if jsonscan.KindOf(bytes.TrimLeft(b, " \t\r\n")) != jsonscan.KindArray {
		return checkEnvelope(b)
	}
	it, empty := jsonscan.Elements(b), true
	for it.Next() {
		if wrong := checkEnvelope(it.Value()); wrong != "" {
			return wrong
		}
		empty = false
	}
	if err := it.Err(); err != nil || !empty {
		return notJSON(err)
	}
	return "holds no envelope; to drop an event, answer NO"
}

func notJSON(err error) string {
	if err == nil {
		return ""
	}
	return "is not what it must be: " + err.Error()
}

func checkEnvelope(b []byte) string {
	seen := 0
	it := jsonscan.Members(b)
	for it.Next() {
		field := envelopeField(it.Key())
		switch {
		case field == 0:
			return fmt.Sprintf("has the unknown field %q", it.Key())
		case seen&field != 0:
			return fmt.Sprintf("has the field %q twice", it.Key())
		case !fieldFits(field, it.Value()):
			return fmt.Sprintf("has a field %q that is empty, too large or of the wrong type", it.Key())
		}
		seen |= field
	}
	if err := it.Err(); err != nil {
		return notJSON(err)
	}
	if seen&fieldsMust != fieldsMust {
		return "has an envelope without t, topic or p"
	}
	return ""
}

func fieldFits(field int, value []byte) bool {
	switch field {
	case fieldP:
		return value[0] == '{'
	case fieldT, fieldTopic:
		return value[0] == '"' && len(value) > 2
	case fieldID, fieldCID:
		return value[0] == '"'
	case fieldPri:
		n, err := jsonscan.Uint(value)
		return err == nil && n >= 1 && n <= 10
	default:
		n, err := jsonscan.Uint(value)
		return err == nil && n <= 1<<31
	}
}

// parseVerdict reads {"allow":bool,"reason"?:string,"ttl_s"?:number}; seconds may have a fraction.
func parseVerdict(b []byte) (v Verdict, wrong string) {
	allow := false
	it := jsonscan.Members(b)
	for it.Next() {
		name := it.Key()
		if !v.field(string(name), it.Value()) {
			return v, fmt.Sprintf("has a field %q that is unknown or of the wrong type", name)
		}
		allow = allow || string(name) == "allow"
	}
	switch {
	case it.Err() != nil:
		return v, notJSON(it.Err())
	case !allow:
		return v, `has no field "allow"`
	}
	return v, ""
}

func (v *Verdict) field(name string, value []byte) (ok bool) {
	var err error
	switch name {
	case "allow":
		v.Allow, err = jsonscan.Bool(value)
	case "reason":
		v.Reason, err = jsonscan.String(value)
	case "ttl_s":
		var seconds float64
		seconds, err = jsonscan.Float(value)
		v.TTL = time.Duration(min(seconds, ttlSecondsMax) * float64(time.Second))
		return err == nil && seconds >= 0
	default:
		return false
	}
	return err == nil
}

// ttlSecondsMax is a day: a verdict older than that is nobody's intention.
const ttlSecondsMax = 24 * 60 * 60

func checkVerdict(b []byte) string {
	_, wrong := parseVerdict(b)
	return wrong
}

// checkValidation checks the answer of a validate hook. It may allocate: it runs when somebody saves a strategy.
func checkValidation(b []byte) string {
	if err := jsonscan.Valid(b, jsonscan.DepthMax); err != nil {
		return notJSON(err)
	}
	type finding struct{ Path, Message *string }
	var answer struct {
		Valid            *bool
		Errors, Warnings []finding
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return notJSON(err)
	}
	for _, f := range append(answer.Errors, answer.Warnings...) {
		if f.Path == nil || f.Message == nil {
			return "has an error or warning without path or message"
		}
	}
	switch {
	case answer.Valid == nil:
		return `has no field "valid"`
	case *answer.Valid && len(answer.Errors) > 0:
		return "contradicts itself: valid, and yet with errors"
	}
	return ""
}
