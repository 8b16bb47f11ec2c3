package rollout_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/cluster/rollout"
)

func TestAFaultyConfigurationIsRefusedByField(t *testing.T) {
	t.Parallel()
	good := rollout.DefaultConfig()
	require.NoError(t, good.Validate())
	for want, change := range map[string]func(*rollout.Config){
		"check_interval: 1ms is not between 10ms and 1m0s":      func(c *rollout.Config) { c.CheckInterval = time.Millisecond },
		"prepare_timeout: 2h0m0s is not between 100ms and 1h0m": func(c *rollout.Config) { c.PrepareTimeout = 2 * time.Hour },
		"commit_timeout: 0s is not between 100ms and 10m0s":     func(c *rollout.Config) { c.CommitTimeout = 0 },
	} {
		cfg := good
		change(&cfg)
		require.ErrorContains(t, cfg.Validate(), want)
		_, err := rollout.New(cfg, rollout.Deps{})
		require.ErrorContains(t, err, want)
	}
	_, err := rollout.New(good, rollout.Deps{})
	require.ErrorContains(t, err, "needs a plugin host, a bus, a client of Redis")
}

func TestNobodyWaitsLongerThanPrepareTimeoutForANode(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	all := g.start("a", "b")
	g.cfg.PrepareTimeout = 6 * time.Second
	c := g.start("c")[0]
	all = append(all, c)
	hold := make(chan struct{})
	all[1].onAnswer(func(subject string) {
		if subject == prepare {
			<-hold
		}
	})
	defer close(hold)
	began := time.Now()
	report, err := c.rollout.Swap(t.Context(), "say", candidate(1))
	require.ErrorIs(t, err, rollout.ErrRefused)
	require.Less(t, time.Since(began), soon)
	require.Equal(t, rollout.StateSilent, states(&report)["b"])
	requireAll(t, all, 0)
}
