package conn_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/message"
)

// What package hub wants of this one.
var (
	_ hub.Lane       = (*conn.Lane)(nil)
	_ hub.Subscriber = (*conn.Conn)(nil)
)

// newHub puts a hub on a server's lanes, before it runs.
func newHub(srv *conn.Server, s *setup) *hub.Hub {
	var lanes []hub.Lane
	for _, l := range srv.Lanes() {
		lanes = append(lanes, l)
	}
	h := hub.New(lanes, s.opts.Encodings)
	for i, w := range h.Works() {
		srv.Lanes()[i].Attach(w)
	}
	return h
}

func TestEverySubscriberGetsEveryPublicationOnceAndInOrder(t *testing.T) {
	bothPollers(t, func(t *testing.T, s *setup) {
		s.opts.Loops = 2
		s.cfg.QueueKiBSoft, s.cfg.QueueKiBMax = 4<<10, 8<<10 // who is read last is not told that it lags
		srv, err := conn.New(s.cfg, s.beat, s.opts)
		require.NoError(t, err)
		h := newHub(srv, s)
		sv := s.run(t, srv)
		const subscribers, topics, each = 60, 4, 500 // topic 0 has them all, the others a few
		levels := []message.Level{message.Low, message.Critical, message.Normal, message.Background}
		clients, conns := openMany(t, sv, subscribers)
		expect := make([]int, subscribers)
		for i, sc := range conns {
			m := h.Member(sc)
			var lives []hub.Live
			for topic := range topics {
				if topic == 0 || i%20 == topic {
					sub, _ := h.Join(&m, message.Topic(fmt.Sprint("public:t", topic)), nil)
					lives = append(lives, hub.Live{Sub: sub})
				}
			}
			require.Empty(t, h.GoLive(&m, lives, nil))
			expect[i] = len(lives)
		}
		var wg sync.WaitGroup
		for topic := range topics {
			wg.Go(func() {
				for i := range each {
					h.Deliver(&message.Envelope{
						Topic: message.Topic(fmt.Sprint("public:t", topic)), Level: levels[topic], Seq: uint64(i + 1),
						Payload: []byte(fmt.Sprintf("%d %d %s", topic, i, strings.Repeat(".", i%300))),
					})
				}
			})
		}
		for i, c := range clients {
			var next [topics]int
			for range expect[i] * each {
				var topic, seq int
				_, err := fmt.Sscanf(c.readText(), "%d %d", &topic, &seq)
				require.NoError(t, err)
				require.Equal(t, next[topic], seq, "subscriber %d, topic %d", i, topic)
				next[topic]++
			}
		}
		wg.Wait()
	})
}
