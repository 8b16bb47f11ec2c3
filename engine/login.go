package engine

import (
	"context"
	"net/netip"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"

	"github.com/wse-engine/wse/engine/admin"
	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/quota"
	"github.com/wse-engine/wse/engine/router"
)

var _ router.Verifier = (*login)(nil)

// failuresLimit is the field that bounds failed logins.
const failuresLimit = "auth.failures_per_minute"

// login is the one way to a token's identity, whatever the token comes by: an address that fails too often is refused there
// without its token being looked at, good or bad.
type login struct {
	auth     *auth.Auth
	failures *quota.Failures
	log      hclog.Logger
	told     *rate.Sometimes
	block    time.Duration
}

func newLogin(a *auth.Auth, cfg *auth.Config, addressesMax int, log hclog.Logger) (*login, error) {
	failures, err := quota.NewFailures(quota.FailuresConfig{
		Name: failuresLimit, What: "failed logins", PerMinute: cfg.FailuresPerMinute, Block: cfg.FailuresBlock, AddressesMax: addressesMax,
	})
	if err != nil {
		return nil, err
	}
	return &login{auth: a, failures: failures, log: log, told: &rate.Sometimes{First: 10, Interval: 10 * time.Second}, block: cfg.FailuresBlock}, nil
}

// Verify implements [router.Verifier]: it is [auth.Auth.Verify], and CodeRateLimited for an address that is blocked.
func (l *login) Verify(ctx context.Context, from netip.Addr, token string) (*auth.Identity, error) {
	if wait := l.failures.Wait(from); wait > 0 {
		return nil, l.failures.Refusal(wait)
	}
	identity, err := l.auth.Verify(ctx, token)
	if err != nil {
		l.failed(from, err)
		return nil, err
	}
	return identity, nil
}

// Refresh is [auth.Auth.Refresh], and CodeRateLimited for an address that is blocked.
func (l *login) Refresh(ctx context.Context, from netip.Addr, token string) (access, refresh string, expiresIn time.Duration, err error) {
	if wait := l.failures.Wait(from); wait > 0 {
		return "", "", 0, l.failures.Refusal(wait)
	}
	access, refresh, expiresIn, err = l.auth.Refresh(ctx, token)
	if err != nil {
		l.failed(from, err)
	}
	return access, refresh, expiresIn, err
}

// failed counts a token that was refused. One that has run out was good, and one that cannot be judged yet is nobody's fault.
func (l *login) failed(from netip.Addr, err error) {
	if message.AsError(err).Code != message.CodeAuthFailed || !l.failures.Failed(from) {
		return
	}
	l.told.Do(func() {
		l.log.Warn("an address is blocked, since too many of its tokens were refused", "address", from.Unmap().String(),
			"for", l.block, "blocked_so_far", l.failures.Stats().Blocked)
	})
}

// figures are what became of tokens.
func (l *login) figures() admin.Logins {
	failures, refresh := l.failures.Stats(), l.auth.RefreshStats()
	return admin.Logins{
		Failures: failures.Failed, Blocked: failures.Blocked, Families: refresh.Families,
		Refresh: map[string]uint64{"renewed": refresh.Renewed, "reused": refresh.Reused},
	}
}
