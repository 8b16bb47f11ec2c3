package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wse-engine/wse/engine/jsonscan"
)

// What a guest answers is checked before anybody else sees it. The answers of authorize and validate are read here; how
// those of transform are read is up to who asks, see [Answer].
var (
	_ Answer = (*Verdict)(nil)
	_ Answer = (*validation)(nil)
)

// Read implements [Answer]: it reads {"allow":bool,"reason"?:string,"ttl_s"?:number}, of which seconds may have a fraction.
func (v *Verdict) Read(doc []byte) error {
	*v = Verdict{}
	allow := false
	it := jsonscan.Members(doc)
	for it.Next() {
		name := it.Key()
		if !v.field(string(name), it.Value()) {
			return fmt.Errorf("%.64q is unknown or of the wrong type", name)
		}
		allow = allow || string(name) == "allow"
	}
	switch {
	case it.Err() != nil:
		return it.Err()
	case !allow:
		return errors.New(`"allow" is missing`)
	}
	return nil
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

// validation is the answer of a validate hook, as it was given.
type validation struct{ doc []byte }

// Read implements [Answer]. It may allocate: it runs when somebody saves a strategy.
func (v *validation) Read(doc []byte) error {
	if err := jsonscan.Valid(doc, jsonscan.DepthMax); err != nil {
		return err
	}
	type finding struct{ Path, Message *string }
	var answer struct {
		Valid            *bool
		Errors, Warnings []finding
	}
	if err := json.Unmarshal(doc, &answer); err != nil {
		return err
	}
	for _, f := range append(answer.Errors, answer.Warnings...) {
		if f.Path == nil || f.Message == nil {
			return errors.New("an error or warning has no path or no message")
		}
	}
	switch {
	case answer.Valid == nil:
		return errors.New(`"valid" is missing`)
	case *answer.Valid && len(answer.Errors) > 0:
		return errors.New("it contradicts itself: valid, and yet with errors")
	}
	v.doc = bytes.Clone(doc)
	return nil
}
