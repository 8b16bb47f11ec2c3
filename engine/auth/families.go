package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// Records is where refresh families are kept, so that what is spent and what is revoked stays so after a restart: one JSON
// document for each. Get returns nil where there is none. Each must not keep key or value beyond f, whose error ends it and is
// returned. Apply blocks until all changes are safe on disk, or makes none; a nil value removes the document.
type Records interface {
	Get(key string) ([]byte, error)
	Each(f func(key string, value []byte) error) error
	Apply(changes map[string][]byte) error
}

// What keys begin with: a family of refresh tokens, and a user some of whose tokens are no good.
const (
	familyPrefix = "family/"
	userPrefix   = "user/"
)

const (
	pruneInterval  = 10 * time.Minute
	pruneAtOnce    = 1000        // records that one transaction forgets
	pruneFullAfter = time.Minute // between two attempts to make room
	// keptBeyond is how long a record outlives the tokens that it is about, for a clock that is set back.
	keptBeyond = time.Hour
)

// family is what is known of the refresh tokens that come from one login, once the first of them was used.
type family struct {
	User    string `json:"user"`
	Next    string `json:"next"`              // the jti of the only token that is good
	Expires int64  `json:"expires"`           // when the last of its tokens runs out, in Unix seconds
	Revoked int64  `json:"revoked,omitempty"` // when a spent token came again, in Unix seconds; 0: never
}

// cut is what is known of a user whose refresh tokens were revoked: none issued up to Before is good.
type cut struct {
	Before  int64 `json:"before"`  // in Unix seconds
	Expires int64 `json:"expires"` // when the last of those tokens runs out, in Unix seconds
}

// expiring is what both kinds of records have.
type expiring struct {
	Expires int64 `json:"expires"`
}

func (e expiring) over(now time.Time) bool {
	return now.Unix() > e.Expires+int64((keptBeyond+leewayMax)/time.Second)
}

// errReused is the *message.Error of a refresh token that was used before, where that is news.
var errReused error = refuse("it was used before, so it may have been stolen: its whole family is revoked; log in again")

// families are the records of refresh tokens.
type families struct {
	records Records
	max     int
	now     func() time.Time

	turn   chan struct{} // holds one token; who has it changes records
	count  int           // families that are recorded; the turn's
	pruned time.Time     // when room was looked for last; the turn's

	recorded                   atomic.Int64 // count, for others to read
	renewed, reused, forgotten atomic.Uint64
}

// openFamilies counts what is recorded. A document that is not what this package wrote is an error: it may be a revocation.
func openFamilies(records Records, most int, now func() time.Time) (*families, error) {
	f := &families{records: records, max: most, now: now, turn: make(chan struct{}, 1)}
	f.turn <- struct{}{}
	err := records.Each(func(key string, value []byte) error {
		if err := json.Unmarshal(value, &expiring{}); err != nil {
			return fmt.Errorf("auth: the record %.64q of refresh tokens is damaged: %w", key, err)
		}
		if strings.HasPrefix(key, familyPrefix) {
			f.count++
		}
		return nil
	})
	f.recorded.Store(int64(f.count))
	return f, err
}

// take waits for the turn to change records; done gives it back.
func (f *families) take(ctx context.Context) (done func(), err error) {
	select {
	case <-f.turn:
		return func() { f.recorded.Store(int64(f.count)); f.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, &message.Error{
			Code: message.CodeUnavailable, Message: "too many tokens are being renewed; try again in a few seconds", Err: ctx.Err(),
		}
	}
}

// read reads the record under key into v and reports whether there is one.
func (f *families) read(key string, v any) (found bool, err error) {
	raw, err := f.records.Get(key)
	if err == nil && raw != nil {
		found, err = true, json.Unmarshal(raw, v)
	}
	if err != nil {
		return found, unrecorded(err)
	}
	return found, nil
}

func (f *families) write(key string, v any) error {
	raw, err := json.Marshal(v)
	if err == nil {
		err = f.records.Apply(map[string][]byte{key: raw})
	}
	if err != nil {
		return unrecorded(err)
	}
	return nil
}

// unrecorded is the error of a record that cannot be read or written. The token is as good as before.
func unrecorded(err error) *message.Error {
	return &message.Error{Code: message.CodeUnavailable, Message: "tokens cannot be renewed now; try again later", Err: err}
}

// judge reports whether a refresh token is good, and returns its family's record, nil where it is the first of it to come.
// The error of one that is spent is errReused the first time; then the family is to be revoked.
func (f *families) judge(c *refreshClaims) (*family, error) {
	var out cut
	if found, err := f.read(userPrefix+c.user, &out); err != nil {
		return nil, err
	} else if found && c.iat.Unix() <= out.Before {
		return nil, refuse("the user's tokens were revoked; log in again")
	}
	rec := new(family)
	found, err := f.read(familyPrefix+c.family, rec)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, nil
	case rec.Revoked != 0:
		return rec, refuse("its family is revoked, since one of its tokens came twice; log in again")
	case rec.User != c.user:
		return rec, refuse("its family is another user's")
	case rec.Next != c.jti:
		return rec, errReused
	}
	return rec, nil
}

// spend records that a refresh token was used and that the one called next, which runs out at expires, takes its place. It
// returns nil for one use of a token only, whoever comes at the same time, and only once that is safe on disk.
func (f *families) spend(ctx context.Context, c *refreshClaims, next string, expires time.Time) error {
	done, err := f.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	rec, refused := f.judge(c)
	first := rec == nil
	switch {
	case errors.Is(refused, errReused):
		rec.Revoked = f.now().Unix()
		if err := f.write(familyPrefix+c.family, rec); err != nil {
			return err
		}
		f.reused.Add(1)
		return refused
	case refused != nil:
		return refused
	case first:
		if err := f.room(); err != nil {
			return err
		}
		rec = &family{User: c.user}
	}
	rec.Next, rec.Expires = next, max(rec.Expires, c.exp.Unix(), expires.Unix())
	if err := f.write(familyPrefix+c.family, rec); err != nil {
		return err
	}
	if first {
		f.count++
	}
	f.renewed.Add(1)
	return nil
}

// room refuses one more family where as many are recorded as may be. None that still matters is forgotten for it.
func (f *families) room() error {
	if f.count < f.max {
		return nil
	}
	if now := f.now(); now.Sub(f.pruned) >= pruneFullAfter {
		f.pruned = now
		if _, err := f.forget(now); err != nil {
			return unrecorded(err)
		}
	}
	if f.count < f.max {
		return nil
	}
	return unrecorded(fmt.Errorf("auth: as many families of refresh tokens are recorded as auth.families_max allows, %d", f.max))
}

// revoke makes every refresh token of a user that was issued up to now worthless.
func (f *families) revoke(ctx context.Context, user string, life time.Duration) error {
	done, err := f.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	now := f.now()
	return f.write(userPrefix+user, cut{Before: now.Unix(), Expires: now.Add(life).Unix()})
}

// prune forgets what is about tokens that have run out, a part at a time.
func (f *families) prune(ctx context.Context) error {
	for {
		done, err := f.take(ctx)
		if err != nil {
			return nil
		}
		n, err := f.forget(f.now())
		done()
		if err != nil || n < pruneAtOnce {
			return err
		}
	}
}

// errEnough ends the search for what to forget.
var errEnough = errors.New("auth: enough for one transaction")

// forget forgets up to pruneAtOnce records that no longer matter, and returns how many. The caller has the turn.
func (f *families) forget(now time.Time) (int, error) {
	gone := make(map[string][]byte)
	fewer := 0
	err := f.records.Each(func(key string, value []byte) error {
		var e expiring
		if err := json.Unmarshal(value, &e); err != nil || !e.over(now) {
			return nil // what cannot be read may be a revocation
		}
		if gone[key] = nil; strings.HasPrefix(key, familyPrefix) {
			fewer++
		}
		if len(gone) == pruneAtOnce {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) || len(gone) == 0 {
		return 0, err
	}
	if err := f.records.Apply(gone); err != nil {
		return 0, err
	}
	f.count -= fewer
	f.forgotten.Add(uint64(len(gone)))
	return len(gone), nil
}

// run forgets what no longer matters, until ctx ends. A failure is tried again in its time.
func (f *families) run(ctx context.Context, failed func(error)) {
	ticker := time.NewTicker(pruneInterval)
	defer ticker.Stop()
	for {
		if err := f.prune(ctx); err != nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
