package plugin

import (
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
	_ Answer = (*Validation)(nil)
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

// Validation is what a plugin says about a configuration.
type Validation struct {
	Valid    bool
	Errors   []Finding // none where Valid
	Warnings []Finding
}

// Finding is a fault of a configuration, or a doubt about it. Path says where, as in "s1.conditions[0].operator".
type Finding struct{ Path, Message string }

// Read implements [Answer]: it reads {"valid":bool,"errors"?:[…],"warnings"?:[…]}. It may allocate: it runs when somebody
// saves a strategy.
func (v *Validation) Read(doc []byte) error {
	*v = Validation{}
	if err := jsonscan.Valid(doc, jsonscan.DepthMax); err != nil {
		return err
	}
	err := onlyMembers(doc, []string{"valid", "errors", "warnings"}, func(i int, value []byte) (err error) {
		switch i {
		case 0:
			v.Valid, err = jsonscan.Bool(value)
		case 1:
			v.Errors, err = readFindings(value)
		case 2:
			v.Warnings, err = readFindings(value)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case v.Valid && len(v.Errors) > 0:
		return errors.New("it contradicts itself: valid, and yet with errors")
	}
	return nil
}

// readFindings reads a list of {"path","message"}.
func readFindings(list []byte) (found []Finding, err error) {
	it := jsonscan.Elements(list)
	for it.Next() {
		var f Finding
		seen := 0
		err := onlyMembers(it.Value(), []string{"path", "message"}, func(i int, value []byte) (err error) {
			seen++
			if i == 0 {
				f.Path, err = jsonscan.String(value)
			} else {
				f.Message, err = jsonscan.String(value)
			}
			return err
		})
		if err == nil && seen < 2 {
			err = errors.New("an error or warning has no path or no message")
		}
		if err != nil {
			return nil, err
		}
		found = append(found, f)
	}
	return found, it.Err()
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
