package target_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/test/bench/internal/peer"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// TestMain serves as a peer when StartPeer runs this program again.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "peer" {
		pad, err := strconv.Atoi(os.Args[3])
		if err == nil {
			err = peer.Run(os.Args[4], pad, os.Stdin, os.Stdout)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestEveryPeerDeliversInOrderWithTheSamePadding(t *testing.T) {
	broadcasters := slices.DeleteFunc(peer.Kinds(), func(kind string) bool { return kind == "echo" }) // which has no topics
	for _, kind := range broadcasters {
		t.Run(kind, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s, err := target.StartPeer(kind, 10)
			require.NoError(t, err)
			sw, err := swarm.New()
			require.NoError(t, err)
			defer sw.Close()
			const clients, publications = 30, 10
			done := make(chan struct{})
			var total, wrong, ready atomic.Int64
			var seen sync.Map // clients that the peer delivers to: some begin to only after they answered the upgrade
			_, err = sw.Dial(ctx, swarm.Config{
				Addr: s.Listen, Request: func(int) []byte { return s.Request("u", "public:a") },
				Message: func(c *swarm.Client, body []byte, _ int64) {
					if bytes.Contains(body, []byte(`{"ready":true}`)) {
						if _, again := seen.LoadOrStore(c, true); !again {
							ready.Add(1)
						}
						return
					}
					if string(body) != fmt.Sprintf(`{"t":"x","p":{"n":%d},"x":"xxxxxxxxxx"}`, c.Last) {
						wrong.Add(1)
					}
					c.Last++
					if total.Add(1) == clients*publications {
						close(done)
					}
				},
			}, clients)
			require.NoError(t, err)
			again := time.NewTicker(2 * time.Millisecond) // a peer drops clients whose queue is full
			defer again.Stop()
			for ready.Load() < clients {
				require.NoError(t, s.Publish(ctx, target.Publication{Topic: "public:a", Type: "x", Payload: []byte(`{"ready":true}`)}))
				<-again.C
			}
			before, err := s.CPU()
			require.NoError(t, err)
			for n := range publications {
				pub := target.Publication{Topic: "public:a", Type: "x", Payload: fmt.Appendf(nil, `{"n":%d}`, n)}
				require.NoError(t, s.Publish(ctx, pub))
				require.NoError(t, s.Publish(ctx, target.Publication{Topic: "public:b", Type: "x", Payload: []byte(`{}`)}))
			}
			select {
			case <-done:
			case <-ctx.Done():
				t.Fatalf("%d of %d deliveries", total.Load(), clients*publications)
			}
			after, err := s.CPU()
			require.NoError(t, err)
			require.Greater(t, after, before)
			rss, err := s.Memory()
			require.NoError(t, err)
			require.Greater(t, rss, int64(1<<20))
			heap, err := s.Collect(ctx)
			require.NoError(t, err)
			require.NotZero(t, heap)
			fds, err := s.Descriptors()
			require.NoError(t, err)
			require.Greater(t, fds, clients)
			require.Zero(t, wrong.Load())
			require.NoError(t, s.Stop())
		})
	}
}

func TestAPeerThatDoesNotExistIsAnError(t *testing.T) {
	_, err := target.StartPeer("uws", 0)
	require.ErrorContains(t, err, `no peer "uws"`)
}

func TestAPublicationThatAServerRefusesIsAnError(t *testing.T) {
	s, err := target.StartPeer("bare", 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Stop()) }()
	require.ErrorContains(t, s.Publish(t.Context(), target.Publication{Topic: "public:a"}), "400")
}
