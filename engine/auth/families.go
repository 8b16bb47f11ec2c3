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

// Shared is where refresh families are kept by several processes that issue and renew tokens together. What it says is safe outlives
// the loss of one server, and it forgets by itself.
type Shared interface {
	// Get returns the documents under keys as of one moment, nil for each that there is not, and since when it forgets nothing: what
	// was kept before may be lost.
	Get(ctx context.Context, keys ...string) (docs [][]byte, since time.Time, err error)
	// Swap puts next under key where old is there, nothing where that is nil, and reports whether it did. When it returns next is
	// safe; after an error it may be there or not. It is kept at least for that long. That next is there already, for instance since
	// a Swap was sent twice, is a success.
	Swap(ctx context.Context, key string, old, next []byte, keep time.Duration) (bool, error)
}

// alone makes a Shared of what one process keeps. Its caller has the turn.
type alone struct{ Records }

var _ Shared = alone{}

// Get implements [Shared].
func (a alone) Get(_ context.Context, keys ...string) (docs [][]byte, since time.Time, err error) {
	docs = make([][]byte, len(keys))
	for i, key := range keys {
		if docs[i], err = a.Records.Get(key); err != nil {
			return nil, since, err
		}
	}
	return docs, since, nil
}

// Swap implements [Shared].
func (a alone) Swap(_ context.Context, key string, _, next []byte, _ time.Duration) (bool, error) {
	err := a.Apply(map[string][]byte{key: next})
	return err == nil, err
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
	// sharedLook is how often shared records are looked at by whoever has nothing to ask them: that is when they notice that
	// something was lost.
	sharedLook = 5 * time.Second
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
	shared  Shared
	records Records // what shared is made of where this process alone has them; else nil, and there is neither turn nor count
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
	f := &families{shared: alone{records}, records: records, max: most, now: now, turn: make(chan struct{}, 1)}
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

// take waits for the turn to change records; done gives it back. Who shares them needs none.
func (f *families) take(ctx context.Context) (done func(), err error) {
	if f.records == nil {
		return func() {}, nil
	}
	select {
	case <-f.turn:
		return func() { f.recorded.Store(int64(f.count)); f.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, &message.Error{
			Code: message.CodeUnavailable, Message: "too many tokens are being renewed; try again in a few seconds", Err: ctx.Err(),
		}
	}
}

// read reads the records under keys, each into its v, and tells which are there, and since when none is lost.
func (f *families) read(ctx context.Context, keys []string, into ...any) (raws [][]byte, since time.Time, err error) {
	raws, since, err = f.shared.Get(ctx, keys...)
	for i := range raws {
		if err == nil && raws[i] != nil {
			err = json.Unmarshal(raws[i], into[i])
		}
	}
	if err != nil {
		return nil, since, unrecorded(err)
	}
	return raws, since, nil
}

// swap writes a record in the place of one, unless that is no longer there.
func (f *families) swap(ctx context.Context, key string, old []byte, v any, expires int64) (swapped bool, err error) {
	raw, err := json.Marshal(v)
	if err == nil {
		swapped, err = f.shared.Swap(ctx, key, old, raw, max(0, time.Unix(expires, 0).Sub(f.now()))+keptBeyond+leewayMax)
	}
	if err != nil {
		return false, unrecorded(err)
	}
	return swapped, nil
}

// unrecorded is the error of a record that cannot be read or written. The token is as good as before.
func unrecorded(err error) *message.Error {
	return &message.Error{Code: message.CodeUnavailable, Message: "tokens cannot be renewed now; try again later", Err: err}
}

// judged is what is recorded of a refresh token's family.
type judged struct {
	family
	raw []byte // as it is recorded; nil: the token is the first of its family to come
}

// judge reports whether a refresh token is good, and returns its family's record. The error of one that is spent is errReused
// the first time; then the family is to be revoked.
func (f *families) judge(ctx context.Context, c *refreshClaims) (judged, error) {
	var out cut
	var rec judged
	raws, since, err := f.read(ctx, []string{userPrefix + c.user, familyPrefix + c.family}, &out, &rec.family)
	if err != nil {
		return rec, err
	}
	rec.raw = raws[1]
	switch {
	case raws[0] != nil && c.iat.Unix() <= out.Before:
		return rec, refuse("the user's tokens were revoked; log in again")
	case rec.raw == nil && c.iat.Unix() < since.Unix():
		return rec, refuse("what is known of it was lost, so it may be spent or revoked; log in again")
	case rec.raw == nil:
		return rec, nil
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
// returns nil for one use of a token only, whoever comes at the same time, and only once that is safe.
func (f *families) spend(ctx context.Context, c *refreshClaims, next string, expires time.Time) error {
	done, err := f.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	for {
		if spent, err := f.trySpend(ctx, c, next, expires); spent || err != nil {
			return err
		}
		// Somebody else was faster. With the same token: then it is spent, which the next look shows.
		if err := ctx.Err(); err != nil {
			return unrecorded(err)
		}
	}
}

// trySpend returns false where the record was changed by another process after it was judged.
func (f *families) trySpend(ctx context.Context, c *refreshClaims, next string, expires time.Time) (spent bool, err error) {
	rec, refused := f.judge(ctx, c)
	first := rec.raw == nil
	switch {
	case errors.Is(refused, errReused):
		rec.Revoked = f.now().Unix()
		revoked, err := f.swap(ctx, familyPrefix+c.family, rec.raw, &rec.family, rec.Expires)
		if err != nil || !revoked {
			return false, err
		}
		f.reused.Add(1)
		return false, refused
	case refused != nil:
		return false, refused
	case first:
		if err := f.room(); err != nil {
			return false, err
		}
		rec.User = c.user
	}
	rec.Next, rec.Expires = next, max(rec.Expires, c.exp.Unix(), expires.Unix())
	if spent, err = f.swap(ctx, familyPrefix+c.family, rec.raw, &rec.family, rec.Expires); !spent {
		return false, err
	}
	if first && f.records != nil {
		f.count++
	}
	f.renewed.Add(1)
	return true, nil
}

// room refuses one more family where as many are recorded as may be. None that still matters is forgotten for it.
func (f *families) room() error {
	if f.records == nil || f.count < f.max {
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
	for {
		var out cut
		raws, _, err := f.read(ctx, []string{userPrefix + user}, &out)
		if err != nil {
			return err
		}
		now := f.now()
		if f.records == nil { // another's clock may be ahead, and what it says must stand
			out.Before, out.Expires = max(out.Before, now.Unix()), max(out.Expires, now.Add(life).Unix())
		} else {
			out = cut{Before: now.Unix(), Expires: now.Add(life).Unix()}
		}
		if done, err := f.swap(ctx, userPrefix+user, raws[0], &out, out.Expires); done || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return unrecorded(err)
		}
	}
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
	if f.records == nil {
		f.look(ctx, failed)
		return
	}
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

// look has shared records notice soon when something was lost, until ctx ends: tokens that were issued before they do are worthless.
// The first failure of several is told of.
func (f *families) look(ctx context.Context, failed func(error)) {
	ticker := time.NewTicker(sharedLook)
	defer ticker.Stop()
	for failing := false; ; {
		_, _, err := f.shared.Get(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			failed(err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
