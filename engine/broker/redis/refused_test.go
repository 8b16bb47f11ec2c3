package redis

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// warnings keeps what a broker warns of.
type warnings struct {
	mu   sync.Mutex
	said []string // guarded by mu
}

func (w *warnings) Info(string, ...any) {}

func (w *warnings) Warn(message string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			message += ": " + err.Error()
		}
	}
	w.said = append(w.said, message)
}

// of returns how often it was warned of something.
func (w *warnings) of(part string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.said {
		if strings.Contains(text, part) {
			n++
		}
	}
	return n
}

func TestAServerThatRefusesSubscriptionsIsToldOf(t *testing.T) {
	t.Parallel() // most of it is waiting
	s := redistest.Single(t)
	require.NoError(t, s.Client().Do(t.Context(), "ACL", "SETUSER", "deaf", "on", ">x", "~*", "+@all", "resetchannels").Err())
	cfg := s.Config()
	cfg.Username, cfg.Password = "deaf", "x"
	log := new(warnings)
	n := startNode(t, cfg, func(c *Config) { c.PublishWait = time.Second }, WithLog(log))
	require.Eventually(t, func() bool { return log.of("NOPERM") == n.cfg.SubscriberConnections }, patience, time.Millisecond)
	for range 2 {
		for _, name := range []string{"user:u1:events", "user:u2:*"} {
			err := n.SetInterest(context.Background(), message.Topic(name), true)
			require.ErrorIs(t, err, broker.ErrUnavailable)
			require.ErrorContains(t, err, "NOPERM")
		}
	}
	n.awaitFault("NOPERM") // a probe that is late has it say so for a moment
	log.mu.Lock()
	defer log.mu.Unlock()
	require.Len(t, log.said, n.cfg.SubscriberConnections, "each connection says it once, not at each try")
	require.Contains(t, log.said[0], "NOPERM")
}

func TestANodeThatMayNotAskWhoTheServerIsIsNotReady(t *testing.T) {
	t.Parallel() // most of it is waiting
	s := redistest.Single(t)
	require.NoError(t, s.Client().Do(t.Context(), "ACL", "SETUSER", "blind", "on", ">x", "~*", "&*", "+@all", "-info").Err())
	cfg := s.Config()
	cfg.Username, cfg.Password = "blind", "x"
	n := startNode(t, cfg, hasty)
	require.Eventually(t, func() bool {
		err := n.Ready()
		return err != nil && strings.Contains(err.Error(), "+info")
	}, patience, time.Millisecond)
	_, err := n.Publish(t.Context(), update(topicOne))
	require.ErrorIs(t, err, broker.ErrUnavailable)
	require.ErrorContains(t, err, "NOPERM")
}

func TestAServerThatEvictsKeysIsWarnedOf(t *testing.T) {
	t.Parallel() // most of it is waiting
	s := redistest.Single(t, "--maxmemory-policy", "allkeys-lru")
	log := new(warnings)
	n := startNode(t, s.Config(), nil, WithLog(log))
	n.awaitReady(true, patience)
	// The probe may be back before everything else is that was asked with it.
	require.Eventually(t, func() bool { return log.of("noeviction") > 0 }, patience, time.Millisecond)
	log.mu.Lock()
	defer log.mu.Unlock()
	require.Len(t, log.said, 1)
	require.Contains(t, log.said[0], "noeviction")
}

func TestAServerThatEvictsKeysIsWarnedOfAsSoonAsItIsThere(t *testing.T) {
	t.Parallel() // most of it is waiting
	s := redistest.Single(t, "--maxmemory-policy", "allkeys-lru")
	s.Kill()
	log := new(warnings)
	n := startNode(t, s.Config(), nil, WithLog(log))
	n.awaitFault("none could be sent")
	s.Start()
	require.Eventually(t, func() bool { return log.of("noeviction") == 1 }, policyEvery/2*probeEvery, time.Millisecond)
}
