package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/store"
)

var _ Records = (*store.Bucket)(nil)

// memory keeps records in a map. Where broken is not nil every write fails with it.
type memory struct {
	mu     sync.Mutex
	of     map[string][]byte // guarded by mu
	writes int               // guarded by mu
	broken error             // guarded by mu
}

var _ Records = (*memory)(nil)

func (m *memory) Get(key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of[key], nil
}

func (m *memory) Each(f func(string, []byte) error) error {
	m.mu.Lock()
	all := maps.Clone(m.of)
	m.mu.Unlock()
	for key, value := range all {
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Apply(changes map[string][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	m.writes++
	for key, value := range changes {
		if value == nil {
			delete(m.of, key)
		} else {
			m.of[key] = value
		}
	}
	return nil
}

// renewing is an Auth with records and a clock of its own.
type renewing struct {
	*Auth
	t       testing.TB
	records Records
	clock   time.Time
	reused  []string
}

func newRenewing(t testing.TB, records Records, change func(*Config)) *renewing {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Secret = testSecret
	if change != nil {
		change(&cfg)
	}
	r := &renewing{t: t, records: records, clock: testNow}
	var mu sync.Mutex
	a, err := New(cfg, t.TempDir(), WithRecords(records), WithRefreshReports(
		func(user string) { mu.Lock(); defer mu.Unlock(); r.reused = append(r.reused, user) },
		func(err error) { t.Error(err) }))
	require.NoError(t, err)
	a.now = func() time.Time { return r.clock }
	r.Auth = a
	return r
}

func newRemembering(t testing.TB, change func(*Config)) *renewing {
	return newRenewing(t, &memory{of: map[string][]byte{}}, change)
}

// login issues the first refresh token of a family.
func (r *renewing) login(spec Spec) string {
	r.t.Helper()
	spec.Refresh = true
	token, err := r.Issue(spec)
	require.NoError(r.t, err)
	return token
}

// renew spends a token that must be good.
func (r *renewing) renew(token string) (access, refresh string) {
	r.t.Helper()
	access, refresh, expiresIn, err := r.Refresh(r.t.Context(), token)
	require.NoError(r.t, err)
	require.Equal(r.t, r.cfg.AccessTTL, expiresIn)
	return access, refresh
}

// refused requires that a token buys nothing, and returns why.
func (r *renewing) refused(token string, code message.Code) error {
	r.t.Helper()
	access, refresh, expiresIn, err := r.Refresh(r.t.Context(), token)
	require.Equal(r.t, code, codeOf(r.t, err), err)
	require.Empty(r.t, access+refresh)
	require.Zero(r.t, expiresIn)
	return err
}

func TestARefreshTokenBuysAnAccessTokenWithAllThatItSays(t *testing.T) {
	r := newRemembering(t, func(c *Config) { c.Issuer, c.Audience = "me", []string{"wse"} })
	for _, spec := range []Spec{
		{UserID: "u1"},
		{UserID: "u1", Level: "premium"},
		{UserID: "u1", Level: "basic", Claims: json.RawMessage(`{"permissions":["read_signals"],"wse_topics":{"deny":["a:*"]},"subs":["a:b"]}`)},
		{UserID: "u1", Claims: json.RawMessage(`{"permissions":["execute_backtest"],"nested":{"a":[1,"\u00e9",null]},"type":"robot"}`)},
		{UserID: "u1", Claims: json.RawMessage(`{"type":"refresh"}`)},
	} {
		token := r.login(spec)
		spec.Claims = []byte(strings.ReplaceAll(string(spec.Claims), `"type":"refresh"`, ""))
		plain, err := r.Issue(spec)
		require.NoError(t, err)
		want, err := r.Verify(t.Context(), plain)
		require.NoError(t, err)
		for range 3 {
			var access string
			access, token = r.renew(token)
			got, err := r.Verify(t.Context(), access)
			require.NoError(t, err)
			require.JSONEq(t, string(want.Claims), string(got.Claims))
			got.Claims = want.Claims
			require.Equal(t, want, got)
		}
	}
	require.Equal(t, RefreshStats{Families: 5, Renewed: 15}, r.RefreshStats())
}

func TestNeitherKindOfTokenPassesForTheOther(t *testing.T) {
	r := newRemembering(t, nil)
	access, refresh := r.renew(r.login(Spec{UserID: "u1"}))
	_, err := r.Verify(t.Context(), refresh)
	require.Equal(t, message.CodeAuthFailed, codeOf(t, err))
	require.ErrorContains(t, r.refused(access, message.CodeAuthFailed), "no refresh token")
	r.renew(refresh)
}

func TestEveryAttackOnARefreshTokenIsRefusedAndRecordsNothing(t *testing.T) {
	r := newRemembering(t, func(c *Config) { c.Issuer = "me" })
	const ids = `,"family":"FFFFFFFFFFFFFFFFFFFF","jti":"JJJJJJJJJJJJJJJJJJJJ"`
	iat := fmt.Sprintf(`,"iss":"me","iat":%d`, testNow.Unix())
	good := `,"typ":"refresh"` + ids + iat
	for name, tt := range map[string]struct {
		token string
		code  message.Code
	}{
		"none":             {"", message.CodeAuthRequired},
		"undefined":        {" undefined ", message.CodeAuthRequired},
		"no JWT":           {"x", message.CodeAuthFailed},
		"too large":        {strings.Repeat("x", 9<<10), message.CodeAuthFailed},
		"too many claims":  {hs256(plainHeader, claimsWith(good+`,"x":"`+strings.Repeat("x", 5000)+`"`)), message.CodeAuthFailed},
		"another key":      {hs256(plainHeader, claimsWith(good)) + "A", message.CodeAuthFailed},
		"alg none":         {hs256(`{"alg":"none"}`, claimsWith(good)), message.CodeAuthFailed},
		"no typ":           {hs256(plainHeader, claimsWith(ids+iat)), message.CodeAuthFailed},
		"other typ":        {hs256(plainHeader, claimsWith(`,"typ":"Refresh"`+ids+iat)), message.CodeAuthFailed},
		"token_type alone": {hs256(plainHeader, claimsWith(`,"token_type":"refresh"`+ids+iat)), message.CodeAuthFailed},
		"typ a number":     {hs256(plainHeader, claimsWith(`,"typ":1`+ids+iat)), message.CodeAuthFailed},
		"typ twice":        {hs256(plainHeader, claimsWith(good+`,"typ":"refresh"`)), message.CodeAuthFailed},
		"no family":        {hs256(plainHeader, claimsWith(`,"typ":"refresh","jti":"JJJJJJJJJJJJJJJJJJJJ"`+iat)), message.CodeAuthFailed},
		"no jti":           {hs256(plainHeader, claimsWith(`,"typ":"refresh","family":"FFFFFFFFFFFFFFFFFFFF"`+iat)), message.CodeAuthFailed},
		"family a path":    {hs256(plainHeader, claimsWith(`,"typ":"refresh","family":"../../../../../etc","jti":"JJJJJJJJJJJJJJJJJJJJ"`+iat)), message.CodeAuthFailed},
		"family too long":  {hs256(plainHeader, claimsWith(`,"typ":"refresh","jti":"JJJJJJJJJJJJJJJJJJJJ","family":"`+strings.Repeat("F", 65)+`"`+iat)), message.CodeAuthFailed},
		"no iat":           {hs256(plainHeader, claimsWith(`,"typ":"refresh","iss":"me"`+ids)), message.CodeAuthFailed},
		"iat after exp":    {hs256(plainHeader, claimsWith(`,"typ":"refresh","iss":"me","iat":2000000000`+ids)), message.CodeAuthFailed},
		"other issuer":     {hs256(plainHeader, claimsWith(`,"typ":"refresh","iss":"you","iat":1`+ids)), message.CodeAuthFailed},
		"bad user":         {hs256(plainHeader, fmt.Sprintf(`{"sub":"a/b","exp":%d%s}`, testNow.Unix()+9, good)), message.CodeAuthFailed},
		"expired":          {hs256(plainHeader, fmt.Sprintf(`{"sub":"u1","exp":%d%s}`, testNow.Unix()-1, good)), message.CodeAuthExpired},
		"issued long ago":  {hs256(plainHeader, claimsWith(`,"typ":"refresh","iss":"me","iat":1`+ids)), message.CodeAuthExpired},
	} {
		t.Run(name, func(t *testing.T) { r.refused(tt.token, tt.code) })
	}
	require.Zero(t, r.records.(*memory).writes)
	r.renew(hs256(plainHeader, claimsWith(good)))
}

func TestASpentTokenThatComesAgainRevokesItsFamilyAndNoOther(t *testing.T) {
	r := newRemembering(t, nil)
	first, other := r.login(Spec{UserID: "u1"}), r.login(Spec{UserID: "u1"})
	_, second := r.renew(first)
	_, third := r.renew(second)
	_, other = r.renew(other)

	require.ErrorContains(t, r.refused(first, message.CodeAuthFailed), "used before")
	require.Equal(t, []string{"u1"}, r.reused)
	for _, token := range []string{third, second, first} {
		require.ErrorContains(t, r.refused(token, message.CodeAuthFailed), "revoked")
	}
	require.Len(t, r.reused, 1, "told once")
	r.renew(other)
	r.renew(r.login(Spec{UserID: "u1"}))
	require.EqualValues(t, 1, r.RefreshStats().Reused)
}

func TestOfAThousandWhoComeWithOneTokenOneWinsAndTheFamilyIsRevoked(t *testing.T) {
	r := newRemembering(t, nil)
	token := r.login(Spec{UserID: "u1"})
	const n = 1000
	won := make(chan string, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			<-start
			_, refresh, _, err := r.Refresh(t.Context(), token)
			if err != nil {
				if message.AsError(err).Code != message.CodeAuthFailed {
					t.Error(err)
				}
				return
			}
			won <- refresh
		})
	}
	close(start)
	all.Wait()
	require.Len(t, won, 1)
	r.refused(<-won, message.CodeAuthFailed)
	require.Equal(t, RefreshStats{Families: 1, Renewed: 1, Reused: 1}, r.RefreshStats())
	require.Equal(t, 2, r.records.(*memory).writes, "only what changes something is written")
}

func TestWhatIsSpentAndRevokedStaysSoAfterARestart(t *testing.T) {
	dir := t.TempDir()
	restart := func() (*renewing, func()) {
		s, err := store.Open(dir)
		require.NoError(t, err)
		return newRenewing(t, s.Bucket("auth_families"), nil), func() { require.NoError(t, s.Close()) }
	}
	r, stop := restart()
	spent, stolen := r.login(Spec{UserID: "u1"}), r.login(Spec{UserID: "u2"})
	_, good := r.renew(spent)
	_, heir := r.renew(stolen)
	r.refused(stolen, message.CodeAuthFailed)
	unused := r.login(Spec{UserID: "u3"})
	require.NoError(t, r.RevokeUser(t.Context(), "u3"))
	stop()

	r, stop = restart()
	require.Equal(t, RefreshStats{Families: 2}, r.RefreshStats())
	r.refused(heir, message.CodeAuthFailed)
	r.refused(unused, message.CodeAuthFailed)
	_, good = r.renew(good)
	stop()

	r, stop = restart()
	defer stop()
	r.refused(spent, message.CodeAuthFailed)
	r.refused(good, message.CodeAuthFailed)
}

func TestATokenIsNotSpentWhereThatCannotBeRecorded(t *testing.T) {
	r := newRemembering(t, nil)
	token := r.login(Spec{UserID: "u1"})
	m := r.records.(*memory)
	m.broken = errors.New("no space left on device")
	err := r.refused(token, message.CodeUnavailable)
	require.NotContains(t, message.AsError(err).Message, "device", "that is for the log")
	m.broken = nil
	_, next := r.renew(token)

	m.broken = errors.New("no space left on device")
	r.refused(token, message.CodeUnavailable)
	require.Empty(t, r.reused)
	m.broken = nil
	r.refused(token, message.CodeAuthFailed)
	r.refused(next, message.CodeAuthFailed)
}

func TestWhoWaitsForOthersGivesUpWithItsContext(t *testing.T) {
	r := newRemembering(t, nil)
	token := r.login(Spec{UserID: "u1"})
	done, err := r.families.take(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, _, err = r.Refresh(ctx, token)
	require.Equal(t, message.CodeUnavailable, codeOf(t, err))
	done()
	r.renew(token)
}

func TestARecordThatCannotBeReadStopsTheStart(t *testing.T) {
	cfg := DefaultConfig()
	_, err := New(cfg, t.TempDir(), WithRecords(&memory{of: map[string][]byte{"family/x": []byte(`{"revoked":`)}}))
	require.ErrorContains(t, err, `"family/x"`)
}

func TestAFullBookForgetsNothingThatMatters(t *testing.T) {
	r := newRemembering(t, func(c *Config) { c.FamiliesMax, c.RefreshTTL = 2, time.Hour })
	stolen := r.login(Spec{UserID: "u1"})
	_, known := r.renew(r.login(Spec{UserID: "u2"}))
	r.renew(stolen)
	r.refused(stolen, message.CodeAuthFailed)
	fresh := r.login(Spec{UserID: "u3"})
	err := r.refused(fresh, message.CodeUnavailable)
	require.ErrorContains(t, errors.Unwrap(err), "families_max")
	_, known = r.renew(known)
	r.refused(stolen, message.CodeAuthFailed)

	// Everything recorded so far runs out, but for the family that is still used.
	r.clock = r.clock.Add(50 * time.Minute)
	_, known = r.renew(known)
	r.clock = r.clock.Add(55 * time.Minute)
	require.Equal(t, message.CodeAuthExpired, codeOf(t, r.refused(fresh, message.CodeAuthExpired)))
	r.refused(r.login(Spec{UserID: "u3"}), message.CodeUnavailable)
	r.clock = r.clock.Add(keptBeyond - 40*time.Minute)
	r.renew(r.login(Spec{UserID: "u3"}))
	require.Equal(t, 2, r.RefreshStats().Families)
	r.refused(known, message.CodeAuthExpired)
}

func TestRecordsOfTokensThatHaveRunOutAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemembering(t, func(c *Config) { c.RefreshTTL = time.Hour })
		r.now = time.Now
		for i := range pruneAtOnce + 5 {
			r.renew(r.login(Spec{UserID: fmt.Sprint("u", i)}))
		}
		require.NoError(t, r.RevokeUser(t.Context(), "u1"))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		<-time.After(time.Hour) // all of them run out
		_, last := r.renew(r.login(Spec{UserID: "last"}))
		require.Equal(t, pruneAtOnce+6, r.RefreshStats().Families, "a clock that goes back must find them")
		<-time.After(keptBeyond + pruneInterval)
		synctest.Wait()
		require.Equal(t, 1, r.RefreshStats().Families)
		require.Len(t, r.records.(*memory).of, 1)
		require.EqualValues(t, pruneAtOnce+6, r.RefreshStats().Forgotten)
		r.refused(last, message.CodeAuthExpired)
		cancel()
		require.NoError(t, <-ended)
	})
}

func TestAFamilyKeepsTheLifeOfItsFirstToken(t *testing.T) {
	r := newRemembering(t, nil)
	token := r.login(Spec{UserID: "u1", TTL: time.Hour})
	for range 100 {
		r.clock = r.clock.Add(59 * time.Minute)
		_, token = r.renew(token)
	}
	r.clock = r.clock.Add(time.Hour)
	r.refused(token, message.CodeAuthExpired)
	_, err := r.Issue(Spec{UserID: "u1", Refresh: true, TTL: r.cfg.RefreshTTL + time.Second})
	require.ErrorContains(t, err, "refresh_ttl")
}

func TestAShorterRefreshTTLHoldsForTokensThatAreOutAlready(t *testing.T) {
	records := &memory{of: map[string][]byte{}}
	token := newRenewing(t, records, nil).login(Spec{UserID: "u1"})
	r := newRenewing(t, records, func(c *Config) { c.RefreshTTL = time.Hour })
	r.clock = r.clock.Add(59 * time.Minute)
	_, next := r.renew(token)
	r.clock = r.clock.Add(62 * time.Minute)
	r.refused(next, message.CodeAuthExpired)
}

func TestRevokingAUserEndsHisFamiliesAndNobodyElses(t *testing.T) {
	r := newRemembering(t, nil)
	_, used := r.renew(r.login(Spec{UserID: "u1"}))
	unused, other := r.login(Spec{UserID: "u1"}), r.login(Spec{UserID: "u2"})
	require.NoError(t, r.RevokeUser(t.Context(), "u1"))
	r.refused(used, message.CodeAuthFailed)
	r.refused(unused, message.CodeAuthFailed)
	r.renew(other)
	r.clock = r.clock.Add(time.Second)
	_, again := r.renew(r.login(Spec{UserID: "u1"}))
	r.renew(again)
	require.Equal(t, message.CodeAuthFailed, codeOf(t, r.RevokeUser(t.Context(), "a/b")))
}

func TestWithoutRecordsOrAKeyThatSignsNothingIsRenewed(t *testing.T) {
	a := newAuth(t, nil)
	_, _, _, err := a.Refresh(t.Context(), "x")
	require.Equal(t, message.CodeUnavailable, codeOf(t, err))
	require.Equal(t, message.CodeUnavailable, codeOf(t, a.RevokeUser(t.Context(), "u1")))
	require.Zero(t, a.RefreshStats())
}

// FuzzRefreshClaims: whatever a signed refresh token says, it is refused with a reason or buys a pair that is good.
func FuzzRefreshClaims(f *testing.F) {
	f.Add(claimsWith(`,"typ":"refresh","family":"FFFFFFFFFFFFFFFFFFFF","jti":"JJJJJJJJJJJJJJJJJJJJ","iat":1700000000`))
	f.Add(claimsWith(`,"typ":"refresh","family":"FFFFFFFFFFFFFFFFFFFF","jti":"JJJJJJJJJJJJJJJJJJJJ","iat":1700000000,"token_type":"REFRESH","a\"b":[{}]`))
	f.Add(claimsWith(`,"typ":"access","family":"x"`))
	f.Add(`{"family":`)
	r := newRemembering(f, nil)
	f.Fuzz(func(t *testing.T, text string) {
		var err error
		r.families, err = openFamilies(&memory{of: map[string][]byte{}}, 10, r.now)
		require.NoError(t, err)
		access, refresh, _, err := r.Refresh(t.Context(), hs256(plainHeader, text))
		if err != nil {
			code := codeOf(t, err)
			require.Contains(t, []message.Code{message.CodeAuthFailed, message.CodeAuthExpired}, code)
			return
		}
		_, err = r.Verify(t.Context(), access)
		require.NoError(t, err)
		_, _, _, err = r.Refresh(t.Context(), refresh)
		require.NoError(t, err)
	})
}

// BenchmarkRefresh is what a renewal costs with its records in memory and, as in the engine, in a file.
func BenchmarkRefresh(b *testing.B) {
	s, err := store.Open(b.TempDir())
	require.NoError(b, err)
	defer s.Close()
	for name, records := range map[string]Records{"memory": &memory{of: map[string][]byte{}}, "file": s.Bucket("auth_families")} {
		b.Run(name, func(b *testing.B) {
			r := newRenewing(b, records, nil)
			token := r.login(Spec{UserID: "u1"})
			b.ReportAllocs()
			for b.Loop() {
				_, token, _, err = r.Refresh(b.Context(), token)
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
