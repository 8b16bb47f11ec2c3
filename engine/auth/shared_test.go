package auth

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

// board is a Shared in memory. Where between is not nil it is called before each Swap, as if another process came first.
type board struct {
	mu      sync.Mutex
	of      map[string][]byte // guarded by mu
	since   time.Time
	between func()
	looks   int // guarded by mu
}

var _ Shared = (*board)(nil)

func (b *board) Get(_ context.Context, keys ...string) ([][]byte, time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looks++
	docs := make([][]byte, len(keys))
	for i, key := range keys {
		docs[i] = b.of[key]
	}
	return docs, b.since, nil
}

func (b *board) Swap(_ context.Context, key string, old, next []byte, _ time.Duration) (bool, error) {
	if f := b.between; f != nil {
		b.between = nil
		f()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if is := b.of[key]; !bytes.Equal(is, old) && !bytes.Equal(is, next) {
		return false, nil
	}
	b.of[key] = next
	return true, nil
}

// sharing is an Auth whose records are on a board, with a clock that is ahead.
func sharing(t *testing.T, b *board, ahead time.Duration) *renewing {
	cfg := DefaultConfig()
	cfg.Secret = testSecret
	r := &renewing{t: t, clock: testNow.Add(ahead)}
	a, err := New(cfg, t.TempDir(), WithShared(b), WithRefreshReports(func(user string) { r.reused = append(r.reused, user) }, func(error) {}))
	require.NoError(t, err)
	a.now = func() time.Time { return r.clock }
	r.Auth = a
	return r
}

func TestATokenThatAnotherProcessSpendsInBetweenIsTakenForReused(t *testing.T) {
	b := &board{of: map[string][]byte{}}
	one, two := sharing(t, b, 0), sharing(t, b, 0)
	token := one.login(Spec{UserID: "u1"})
	won := ""
	b.between = func() { _, won = two.renew(token) }
	one.refused(token, message.CodeAuthFailed)
	require.Equal(t, []string{"u1"}, one.reused)
	two.refused(won, message.CodeAuthFailed)
}

func TestAFamilyThatIsRevokedInBetweenStaysRevoked(t *testing.T) {
	b := &board{of: map[string][]byte{}}
	one, two := sharing(t, b, 0), sharing(t, b, 0)
	first := one.login(Spec{UserID: "u1"})
	_, second := one.renew(first)
	b.between = func() { two.refused(first, message.CodeAuthFailed) }
	require.ErrorContains(t, one.refused(second, message.CodeAuthFailed), "revoked")
}

func TestAUserIsRevokedUpToTheLatestClockOfThoseWhoRevokeHim(t *testing.T) {
	b := &board{of: map[string][]byte{}}
	behind, ahead := sharing(t, b, 0), sharing(t, b, time.Minute/2)
	token := ahead.login(Spec{UserID: "u1"})
	require.NoError(t, ahead.RevokeUser(t.Context(), "u1"))
	require.NoError(t, behind.RevokeUser(t.Context(), "u1"))
	ahead.refused(token, message.CodeAuthFailed)
	ahead.clock = ahead.clock.Add(time.Second)
	ahead.renew(ahead.login(Spec{UserID: "u1"}))
}

func TestATokenFromBeforeRecordsWereLostIsWorthlessUnlessItIsRecorded(t *testing.T) {
	b := &board{of: map[string][]byte{}}
	r := sharing(t, b, 0)
	unused := r.login(Spec{UserID: "u1"})
	_, used := r.renew(r.login(Spec{UserID: "u1"}))
	b.since = testNow.Add(time.Second)
	require.ErrorContains(t, r.refused(unused, message.CodeAuthFailed), "was lost")
	r.renew(used)
	r.clock = r.clock.Add(time.Second)
	r.renew(r.login(Spec{UserID: "u1"}))
}

func TestSharedRecordsAreLookedAtForAsLongAsTheEngineRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{of: map[string][]byte{}}
		r := sharing(t, b, 0)
		ctx, cancel := context.WithTimeout(t.Context(), 10*sharedLook)
		defer cancel()
		require.NoError(t, r.Run(ctx))
		b.mu.Lock()
		defer b.mu.Unlock()
		require.InDelta(t, 10, b.looks, 1)
	})
}
