package row

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// The pings row: 1,000 clients, each of which sends its next ping when the last was answered.
const (
	pingClients = 1_000
	pingWindow  = 2 * time.Second
)

// pinging is one server of the row.
type pinging struct {
	server  *target.Server
	cpu     figure.Series // µs a request
	rate    figure.Series // requests a second
	answers atomic.Int64
	stopped atomic.Bool
}

// pings measures requests that the engine answers itself, decoded, checked and counted, beside a program that sends back
// what it reads.
func pings(ctx context.Context, b *Bench) (figures []figure.Figure, err error) {
	w, err := b.wse()
	if err != nil {
		return nil, err
	}
	servers := []*target.Server{w}
	defer func() { stopAll(servers, &err) }()
	peer, err := target.StartPeer("echo", 0)
	if err != nil {
		return nil, err
	}
	servers = append(servers, peer)
	wse, echo := &pinging{server: w}, &pinging{server: peer}
	wse.cpu.Name, echo.cpu.Name = "wse", "gobwas/ws, echo"
	wse.rate.Name, echo.rate.Name = wse.cpu.Name, echo.cpu.Name
	for rep := range b.Repetitions {
		for _, p := range []*pinging{wse, echo} {
			if err := p.measure(ctx); err != nil {
				return nil, fmt.Errorf("%s: %w", p.cpu.Name, err)
			}
			b.logf("pings %d/%d %-16s %.2f µs CPU a request, %.0f requests a second", rep+1, b.Repetitions, p.cpu.Name, p.cpu.Values[rep], p.rate.Values[rep])
		}
	}
	const name = "pings of 1,000 clients, one in flight each"
	return []figure.Figure{
		{Name: name + ": server CPU a request", Unit: "µs", Ours: wse.cpu, Peer: echo.cpu, Statistic: figure.Median()},
		{Name: name + ": answered a second", Unit: "", Ours: wse.rate, Peer: echo.rate, Statistic: figure.Median()},
	}, nil
}

// measure connects the clients and lets them ping for a while.
func (p *pinging) measure(ctx context.Context) error {
	sw, err := swarm.New()
	if err != nil {
		return err
	}
	defer sw.Close()
	p.stopped.Store(false)
	ping := []byte(`{"t":"ping","p":{"timestamp":1764064800000}}`)
	cfg := swarm.Config{
		Addr: p.server.Listen, Sources: 4,
		Request: func(i int) []byte { return p.server.Request(userName(i), "") },
		Message: func(c *swarm.Client, _ []byte, _ int64) {
			p.answers.Add(1)
			if !p.stopped.Load() {
				c.Send(ping)
			}
		},
	}
	if p.server.Name == "wse" {
		cfg.Ready = func(body []byte) (bool, error) { return bytes.HasPrefix(body, []byte(`{"t":"server_ready"`)), nil }
	}
	clients, err := sw.Dial(ctx, cfg, pingClients)
	if err != nil {
		return err
	}
	sw.Do(func() {
		for _, c := range clients {
			c.Send(ping)
		}
	})
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	before, err := p.server.CPU()
	if err != nil {
		return err
	}
	begun, answered := time.Now(), p.answers.Load()
	if err := sleep(ctx, pingWindow); err != nil {
		return err
	}
	after, err := p.server.CPU()
	if err != nil {
		return err
	}
	n := float64(p.answers.Load() - answered)
	p.rate.Values = append(p.rate.Values, n/time.Since(begun).Seconds())
	p.cpu.Values = append(p.cpu.Values, float64(after-before)/1e3/n)
	p.stopped.Store(true)
	return intact(sw)
}
