package plugin

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
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
	var allow, reason, ttl bool // which were there
	it := jsonscan.Members(doc)
	for it.Next() {
		name := it.Key()
		if !v.field(string(name), it.Value()) {
			return fmt.Errorf("%.64q is unknown or of the wrong type", name)
		}
		seen := &ttl
		switch string(name) {
		case "allow":
			seen = &allow
		case "reason":
			seen = &reason
		}
		if *seen { // which of them counts must not depend on who reads it
			return fmt.Errorf("%q is there twice", name)
		}
		*seen = true
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
	var valid, contradicted bool
	err := onlyMembers(doc, []string{"valid", "errors", "warnings"}, func(i int, value []byte) (err error) {
		switch i {
		case 0:
			valid, err = jsonscan.Bool(value)
		case 1:
			contradicted, err = readFindings(value)
		case 2:
			_, err = readFindings(value)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case valid && contradicted:
		return errors.New("it contradicts itself: valid, and yet with errors")
	}
	v.doc = bytes.Clone(doc)
	return nil
}

// readFindings reads a list of {"path","message"} and reports whether there is anything in it.
func readFindings(list []byte) (some bool, err error) {
	it := jsonscan.Elements(list)
	for it.Next() {
		some = true
		seen := 0
		err := onlyMembers(it.Value(), []string{"path", "message"}, func(_ int, value []byte) error {
			seen++
			_, err := jsonscan.String(value)
			return err
		})
		if err == nil && seen < 2 {
			err = errors.New("an error or warning has no path or no message")
		}
		if err != nil {
			return some, err
		}
	}
	return some, it.Err()
}

// onlyMembers calls read with each member's place in names. The first of names must be there; others than these, and one of
// them twice, are faults.
func onlyMembers(doc []byte, names []string, read func(i int, value []byte) error) error {
	var seen uint
	it := jsonscan.Members(doc)
	for it.Next() {
		i := slices.Index(names, string(it.Key()))
		switch {
		case i < 0:
			return fmt.Errorf("%.64q is unknown", it.Key())
		case seen&(1<<i) != 0:
			return fmt.Errorf("%q is there twice", names[i])
		}
		seen |= 1 << i
		if err := read(i, it.Value()); err != nil {
			return fmt.Errorf("%q: %w", names[i], err)
		}
	}
	if err := it.Err(); err != nil {
		return err
	}
	if seen&1 == 0 {
		return fmt.Errorf("%q is missing", names[0])
	}
	return nil
}
