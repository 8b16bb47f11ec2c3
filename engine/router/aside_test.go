package router

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/message"
)

// crowd starts a router with one worker, whose handler waits for release, aside where the request is of type aside, and
// returns what sends a request from a client of its own, and what tells how many requests were begun.
func crowd(t *testing.T, cfg Config, release chan struct{}) (r *Router, send func(kind string), begun func() (n int)) {
	count := make(chan string, 100)
	cfg.RequestWorkers = 1
	s, p := start(t, cfg, Routes{Publish: func(_ context.Context, s *Client, req *message.Request) error {
		count <- req.Type
		if req.Type == "quick" {
			return nil
		}
		if req.Type == "aside" {
			s.StepAside()
			defer s.StepBack()
		}
		<-release
		return nil
	}})
	send = func(kind string) {
		c := &Client{}
		s.router.Open(c, p, hub.Member{}, s.Identity())
		c.Handle(publish(kind, ""), nil)
		synctest.Wait()
	}
	return s.router, send, func() int { return len(count) }
}

func TestARequestThatStepsAsideLeavesItsWorkersPlaceToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r, send, begun := crowd(t, DefaultConfig(), release)
		for i := range 5 {
			send("aside")
			require.Equal(t, i+1, begun())
		}
		send("quick")
		require.Equal(t, 6, begun(), "nobody waits behind those that wait")
		close(release)
		synctest.Wait()
		for range 20 {
			send("quick")
		}
		require.Equal(t, 26, begun())
		r.mu.Lock()
		defer r.mu.Unlock()
		require.Zero(t, r.aside)
		require.Equal(t, 1, r.workers, "those that are not needed any more are gone")
	})
}

func TestARequestThatDoesNotStepAsideKeepsItsWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		_, send, begun := crowd(t, DefaultConfig(), release)
		send("wait")
		send("quick")
		require.Equal(t, 1, begun())
		close(release)
		synctest.Wait()
		require.Equal(t, 2, begun())
	})
}

func TestNoMoreThanRequestsAsideMaxWorkersAreAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		cfg := DefaultConfig()
		cfg.RequestsAsideMax = 2
		r, send, begun := crowd(t, cfg, release)
		for range 5 {
			send("aside")
		}
		send("quick")
		require.Equal(t, 3, begun())
		r.mu.Lock()
		require.Equal(t, 3, r.workers)
		r.mu.Unlock()
		close(release)
		synctest.Wait()
		require.Equal(t, 6, begun())
	})
}
