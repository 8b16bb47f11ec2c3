package auth

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

func TestEachRequestTakesTheLevelThatTheProtocolSays(t *testing.T) {
	identity := func(level string) *Identity {
		p, ok := LevelPermissions(level)
		require.True(t, ok)
		return &Identity{UserID: "u1", Level: level, Permissions: p}
	}
	levels := []string{"basic", "trader", "premium", "admin"}
	for least, bodies := range map[string][]message.Body{
		"basic": {
			&message.StrategiesRequest{}, &message.StrategyQuery{}, &message.SessionQuery{}, &message.ResultsRequest{}, &message.CollectionQuery{},
			&message.StrategyConfig{}, &message.SessionChange{}, &message.StreamRequest{}, &message.SessionStart{SessionType: "nonsense"},
			&message.Subscribe{}, &message.Publish{}, &message.StateRequest{},
		},
		"trader": {
			&message.StrategyConfig{Save: true}, &message.StrategyActivation{}, &message.StrategyActivation{Deactivate: true},
			&message.CollectionStart{}, &message.CollectionStop{}, &message.SessionStart{SessionType: "backtest"},
			&message.SessionStart{SessionType: "paper"},
		},
		"premium": {&message.SessionStart{SessionType: "live"}, &message.SessionStart{SessionType: "LIVE"}},
	} {
		for _, body := range bodies {
			enough := false
			for _, level := range levels {
				enough = enough || level == least
				err := identity(level).Permit(body)
				if enough {
					require.NoError(t, err, "%T as %s", body, level)
				} else {
					require.Equal(t, message.CodeForbidden, codeOf(t, err), "%T as %s", body, level)
				}
			}
			require.Equal(t, message.CodeAuthRequired, codeOf(t, Anonymous().Permit(body)), "%T", body)
		}
	}
	for _, body := range []message.Body{
		&message.Authenticate{}, &message.RefreshToken{}, &message.Heartbeat{}, &message.Ping{}, &message.Handshake{}, &message.Review{},
	} {
		require.NoError(t, Anonymous().Permit(body), "%T", body)
	}
}

func TestOneOfThePermissionsOfATraderIsEnoughToPrepare(t *testing.T) {
	for _, p := range []Permissions{ExecuteBacktest, ExecutePaperTrading} {
		require.NoError(t, (&Identity{UserID: "u1", Permissions: p}).Permit(&message.StrategyConfig{Save: true}))
	}
	err := (&Identity{UserID: "u1", Permissions: ReadMarketData}).Permit(&message.StrategyConfig{Save: true})
	require.ErrorContains(t, err, "execute_backtest or execute_paper_trading")
	var d map[string][]string
	require.NoError(t, json.Unmarshal(message.AsError(err).Details, &d))
	require.Equal(t, map[string][]string{
		"one_of": {"execute_backtest", "execute_paper_trading"}, "permissions": {"read_market_data"},
	}, d)
}

func TestNobodyMayDoNothing(t *testing.T) {
	nobody := Anonymous()
	require.True(t, nobody.Anonymous())
	require.Zero(t, nobody.Permissions)
	require.Empty(t, nobody.Subs())
	require.False(t, (&Identity{UserID: "u1"}).Anonymous())
}

func TestATestUserIsATokenThatIsNoJWT(t *testing.T) {
	a := newAuth(t, func(c *Config) { c.DevTokens = true })
	for _, user := range []string{"u1", "a.b", "x@y-z_0"} {
		id, err := a.Verify(t.Context(), user)
		require.NoError(t, err)
		require.Equal(t, &Identity{
			UserID: user, Level: "trader", Permissions: trader, ExpiresMS: testNow.Add(a.cfg.AccessTTL).UnixMilli(),
			Claims: []byte(`{"sub":"` + user + `","permission_level":"trader"}`),
		}, id)
	}
	for _, bad := range []string{"a/b", "a b", "ü", `a"b`, "a.b.c", "..", "a.b.c.d"} {
		_, err := a.Verify(t.Context(), bad)
		require.Equal(t, message.CodeAuthFailed, codeOf(t, err), bad)
	}
	_, err := a.Verify(t.Context(), "undefined")
	require.Equal(t, message.CodeAuthRequired, codeOf(t, err))
	good, err := a.Issue(Spec{UserID: "u2", Level: "basic"})
	require.NoError(t, err)
	id, err := a.Verify(t.Context(), good)
	require.NoError(t, err)
	require.Equal(t, "basic", id.Level, "a JWT is what it says")
	_, err = newAuth(t, nil).Verify(t.Context(), "u1")
	require.Equal(t, message.CodeAuthFailed, codeOf(t, err), "only where it is on")
}

func TestLoginLimitsThatAreOutOfRangeAreRefused(t *testing.T) {
	err := Config{FailuresPerMinute: -1, DevLevel: "root"}.Validate()
	for _, field := range []string{"families_max", "login_timeout", "failures_per_minute", "failures_block", "dev_level"} {
		require.ErrorContains(t, err, field+": ")
	}
}
