package cluster

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lagMax is how late this process or an answer of a node that has nothing to wait for may be while the machine keeps up. A node has
// to say within [redWithin] what it needs several such steps for, through proxies that this process runs.
const lagMax = 500 * time.Millisecond

// pacing tells whether the machine keeps up with all that runs on it, by what has nothing to do with Redis: how late the goroutines of
// this process run, and how long it takes until a readiness page is answered, whatever it says.
type pacing struct {
	mu    sync.Mutex
	pages map[*node]time.Time // asked for and not answered, since when; guarded by mu
	last  time.Time           // when it was last seen not to; guarded by mu
	times int                 // guarded by mu
}

func newPacing() *pacing { return &pacing{pages: make(map[*node]time.Time)} }

// waited takes how much later somebody ran than was due.
func (p *pacing) waited(late time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took(late)
}

func (p *pacing) took(d time.Duration) {
	if d > lagMax {
		p.last = time.Now()
		p.times++
	}
}

// asked says that a page of a node is asked for.
func (p *pacing) asked(n *node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages[n] = time.Now()
}

// answered says that a node's page came, or why it need not: the node is stopped, and then it counts for nothing how long that takes.
func (p *pacing) answered(n *node, counts bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, ok := p.pages[n]; ok && counts {
		p.took(time.Since(at))
	}
	delete(p.pages, n)
}

// keptSince returns since when the machine keeps up: now, where it does not.
func (p *pacing) keptSince() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.pages {
		if time.Since(at) > lagMax {
			return time.Now()
		}
	}
	return p.last
}

// lags returns how often the machine did not keep up.
func (p *pacing) lags() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.times
}

func TestAPageIsJudgedFromWhenTheMachineKeepsUp(t *testing.T) {
	now := time.Now()
	before := func(d time.Duration) time.Time { return now.Add(-d) }
	const red = "nothing has come back on connection 0 for 3.1s"
	ready := truth{bound: true, ready: true, from: before(time.Minute)}
	require.True(t, ready.wrong(time.Time{}, now, red))
	require.True(t, ready.wrong(before(4*time.Second), now, red), "it kept up all the time that the page tells of")
	require.False(t, ready.wrong(before(3*time.Second), now, red))
	require.True(t, ready.wrong(now, before(recoveryMax), red), "an answer comes all the same")
	ready.from = before(time.Second)
	require.False(t, ready.wrong(time.Time{}, now, red), "it tells of the time before")
	cut := truth{bound: true, from: before(redWithin + time.Second)}
	require.True(t, cut.wrong(time.Time{}, now, ""))
	require.False(t, cut.wrong(before(redWithin-time.Second), now, ""))

	p, n := newPacing(), &node{}
	p.asked(n)
	p.answered(n, true)
	p.waited(lagMax)
	require.Zero(t, p.keptSince())
	p.pages[n] = before(2 * lagMax)
	p.answered(n, false)
	require.Zero(t, p.keptSince(), "the node was stopped")
	p.pages[n] = before(2 * lagMax)
	require.False(t, p.keptSince().Before(now), "it does not answer yet")
	p.answered(n, true)
	require.Equal(t, 1, p.lags())
	require.False(t, p.keptSince().Before(now))
}
