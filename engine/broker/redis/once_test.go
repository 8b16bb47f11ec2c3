package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// deafness is a way to a server on which an answer may be lost: when told to, it cuts the connection where the next answer to a
// script call would pass. What was asked for is done by then.
type deafness struct {
	listener net.Listener
	to       string
	lose     atomic.Int64 // answers that are still to be lost
	wg       sync.WaitGroup
}

func newDeafness(t *testing.T, to string) *deafness {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &deafness{listener: l, to: to}
	d.wg.Go(d.serve)
	t.Cleanup(func() { _ = l.Close(); d.wg.Wait() })
	return d
}

func (d *deafness) serve() {
	for {
		client, err := d.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", d.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		d.wg.Go(func() {
			_, _ = io.Copy(server, client)
			_ = server.Close()
		})
		d.wg.Go(func() {
			defer client.Close()
			defer server.Close()
			buf := make([]byte, 64<<10)
			for {
				n, err := server.Read(buf)
				if err != nil {
					return
				}
				if d.lose.Load() > 0 && isAnswer(buf[:n]) && d.lose.Add(-1) >= 0 {
					return
				}
				if _, err := client.Write(buf[:n]); err != nil {
					return
				}
			}
		})
	}
}

// isAnswer tells an answer of script_publish.lua from those to what opens a connection.
func isAnswer(b []byte) bool {
	return len(b) > 8 && b[0] == '$' && (b[4] == 'p' || b[5] == 'p' || b[4] == 'r' || b[5] == 'r')
}

func (d *deafness) config() redis.Config {
	c := redis.DefaultConfig()
	c.Addrs = []string{d.listener.Addr().String()}
	return c
}

func TestAPublicationWhoseAnswerIsLostIsPublishedOnce(t *testing.T) {
	s := redistest.Single(t)
	for _, id := range []string{"", "evt_own"} {
		for _, lost := range []int64{1, 3} {
			t.Run(fmt.Sprintf("id %q, %d answers are lost", id, lost), func(t *testing.T) {
				way := newDeafness(t, s.Addr())
				b := running(t, way.config(), nil, class(100))
				topic := message.Topic(fmt.Sprintf("user:lost%d%s:events", lost, id))
				publish(t, b, update(topic))
				way.lose.Store(lost)
				env := update(topic)
				env.ID = id
				p := publish(t, b, env)
				require.False(t, p.Duplicate)
				require.EqualValues(t, 2, p.Offset)
				require.LessOrEqual(t, way.lose.Load(), int64(0))
				require.Equal(t, []uint64{1, 2}, numbers(history(t, b, topic, all()).Publications))
				require.EqualValues(t, 3, publish(t, b, update(topic)).Offset)
			})
		}
	}
}

// TestEverythingIsPublishedOnceWhileTheServerIsKilled publishes without a pause while a server that keeps everything on disk is killed
// and started again. What was accepted is there once, and nothing is there twice.
func TestEverythingIsPublishedOnceWhileTheServerIsKilled(t *testing.T) {
	t.Parallel() // most of it is waiting
	const publishers, kills = 8, 3
	s := redistest.Single(t, "--appendonly", "yes", "--appendfsync", "always")
	b := running(t, s.Config(), func(c *Config) { c.PublishWait = 30 * time.Second }, class(1_000_000))
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var done atomic.Int64
	accepted := make([]map[string]uint64, publishers)
	topics := []message.Topic{"user:k1:events", "user:k2:events", "user:k3:events"}
	for i := range publishers {
		accepted[i] = make(map[string]uint64)
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				topic := topics[n%len(topics)]
				env := update(topic)
				env.Payload = []byte(`{"n":"` + strconv.Itoa(i) + "-" + strconv.Itoa(n) + `"}`)
				payload := string(env.Payload)
				p, err := b.Publish(context.Background(), env)
				if assert.NoError(t, err) {
					accepted[i][string(topic)+payload] = p.Offset
					done.Add(1)
				}
			}
		})
	}
	for range kills {
		at := done.Load()
		require.Eventually(t, func() bool { return done.Load() > at+200 }, patience, time.Millisecond)
		s.Kill()
		s.Start()
	}
	at := done.Load()
	require.Eventually(t, func() bool { return done.Load() > at+50 }, patience, time.Millisecond)
	stop()
	wg.Wait()
	found := placed(t, b, topics)
	for _, list := range accepted {
		for key, offset := range list {
			require.Equal(t, offset, found[key], "it was accepted at a place where it is not")
		}
	}
	require.Greater(t, b.Carriage().Connects, uint64(kills))
}

func TestABrokerIsClosedWhileItsServerIsAway(t *testing.T) {
	s := redistest.Single(t)
	b := running(t, s.Config(), nil, class(100))
	publish(t, b, update(topicOne))
	s.Pause()
	defer s.Resume()
	errs := publishing(t, context.Background(), b)
	require.NoError(t, b.Close())
	err := <-errs
	require.True(t, errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrClosed), "it may have been on its way already: %v", err)
	_, err = b.Publish(context.Background(), update(topicOne))
	require.ErrorIs(t, err, broker.ErrClosed)
}
