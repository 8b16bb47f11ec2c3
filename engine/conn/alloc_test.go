package conn

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

// sponge is a socket that takes everything.
type sponge struct{ writes, bytes int }

func (s *sponge) Write(p []byte) (int, error) { s.writes++; s.bytes += len(p); return len(p), nil }
func (s *sponge) Pause(bool)                  {}
func (s *sponge) Close()                      {}

type deaf struct{}

func (deaf) Admit(context.Context, *Upgrade) Admission { return Admission{Status: 503} }
func (deaf) Event(*Conn, Event)                        {}
func (deaf) Take(*Conn, int) bool                      { return true }
func (deaf) Request(*Conn, *message.Request, error)    {}

// spongeLane returns a lane with n open connections whose sockets take everything.
func spongeLane(t testing.TB, n int) (*Lane, []*Conn, []*sponge) {
	t.Helper()
	s, err := New(DefaultConfig(), DefaultHeartbeat(), Options{Addr: "127.0.0.1:0", Loops: 1, Gate: deaf{}, Log: hclog.NewNullLogger()})
	require.NoError(t, err)
	t.Cleanup(s.poller.StopAccepting)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	var conns []*Conn
	var sponges []*sponge
	for range n {
		sock := &sponge{}
		c := (*Conn)(s.accept(sock, netip.AddrPort{}, 0).(*wire))
		c.handler = deaf{}
		c.lane.mu.Lock()
		c.lane.endHandshake(c)
		c.closeBy = 0
		c.handshake.Store(nil)
		c.nextPing = never
		c.lane.mu.Unlock()
		conns, sponges = append(conns, c), append(sponges, sock)
	}
	return s.lanes[0], conns, sponges
}

// publish is a lane's work: out for each of conns.
type publish struct {
	conns []*Conn
	outs  []*message.Outgoing
}

func (p *publish) Run(bool) {
	for _, out := range p.outs {
		for _, c := range p.conns {
			c.Enqueue(out)
		}
	}
}

func TestDeliveryOfPreparedPublicationsAllocatesNothing(t *testing.T) {
	for _, burst := range []int{1, 16} {
		lane, conns, sponges := spongeLane(t, 50)
		work := &publish{conns: conns}
		for range burst {
			work.outs = append(work.outs, item(message.Normal, message.Keep, "t", "", strings.Repeat("x", 128)))
		}
		run := func() {
			for !lane.TryRun(work) {
			}
		}
		run() // the backlogs are made now
		require.Zero(t, testing.AllocsPerRun(100, run))
		require.Equal(t, 102, sponges[7].writes, "one write for each burst")
		require.Equal(t, 102*burst*128, sponges[7].bytes)
	}
}

// BenchmarkDelivery measures everything but the system calls: a publication to 1,000 connections, and 16 at a time.
func BenchmarkDelivery(b *testing.B) {
	for name, burst := range map[string]int{"one": 1, "16": 16} {
		b.Run(name, func(b *testing.B) {
			lane, conns, _ := spongeLane(b, 1000)
			work := &publish{conns: conns}
			for range burst {
				work.outs = append(work.outs, item(message.Normal, message.Keep, "t", "", strings.Repeat("x", 128)))
			}
			b.ReportAllocs()
			for b.Loop() {
				lane.mu.Lock()
				work.Run(false)
				for lane.flushNext() {
				}
				lane.mu.Unlock()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000/float64(burst), "ns/delivery")
		})
	}
}

// BenchmarkTick measures going over the timers of 10,000 connections none of which is due.
func BenchmarkTick(b *testing.B) {
	lane, _, _ := spongeLane(b, 10_000)
	now := lane.srv.start
	for b.Loop() {
		lane.tick(now)
	}
}
