package dialect_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/message"
)

func TestEveryCodeHasASpellingInBothProtocols(t *testing.T) {
	wse := regexp.MustCompile(`^[A-Z]+(_[A-Z]+)*$`)
	api := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	for c := range message.Codes {
		s := dialect.SpellingOf(c)
		require.Regexp(t, wse, s.WSE, "code %d", c)
		require.Regexp(t, api, s.API, "code %d", c)
		require.Contains(t, []string{"critical", "error", "warning"}, s.Severity, "code %d", c)
	}
}

func TestEveryCodeOfProtocolV2IsSpelled(t *testing.T) {
	have := map[string]bool{}
	for c := range message.Codes {
		have[dialect.SpellingOf(c).WSE] = true
	}
	for _, want := range []string{
		"AUTH_REQUIRED", "AUTH_FAILED", "AUTH_EXPIRED", "ORIGIN_NOT_ALLOWED", "INVALID_MESSAGE", "MESSAGE_TOO_LARGE",
		"UNKNOWN_TYPE", "INVALID_SUBSCRIPTION", "INVALID_ACTION", "SUBSCRIPTION_FAILED", "SUBSCRIPTION_LIMIT",
		"RATE_LIMITED", "SYNC_ERROR", "KEY_EXCHANGE_FAILED", "PLUGIN_UNAVAILABLE", "SERVER_ERROR",
	} {
		require.True(t, have[want], want)
		delete(have, want)
	}
	require.Empty(t, have, "spellings that the protocol does not list")
}

func TestOnlyARefusedIdentityOrOriginIsFinal(t *testing.T) {
	for c := range message.Codes {
		s := dialect.SpellingOf(c)
		final := c == message.CodeAuthRequired || c == message.CodeAuthFailed || c == message.CodeOriginNotAllowed
		require.Equal(t, !final, s.Recoverable, s.WSE)
		if final {
			require.Contains(t, []uint16{dialect.CloseUnauthorized, dialect.CloseOrigin}, s.Close, s.WSE)
		}
	}
}

func TestAnUnknownCodeIsSpelledAsAnInternalError(t *testing.T) {
	require.Equal(t, dialect.SpellingOf(message.CodeInternal), dialect.SpellingOf(message.Codes+7))
}
