package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/test/scenario"
)

// node is one of the processes, one life after another, with its own way to the servers.
type node struct {
	world *world
	name  string
	dir   string
	net   *network
	http  *http.Client // for the readiness page

	mu      sync.Mutex
	moved   sync.Cond
	engine  *scenario.Engine // nil while none runs; guarded by mu
	life    int              // the how many-th it is; guarded by mu
	excused bool             // connections may be lost: the process is stopped, or was; guarded by mu
	ready   bool             // what the readiness page said last; guarded by mu
	asked   int              // how often it was asked; guarded by mu
	truth   truth            // guarded by mu
}

// truth is what the readiness page has to say, redWithin after what it says began.
type truth struct {
	n     int // it is another one than before
	bound bool
	ready bool
	from  time.Time // when that began
}

// redWithin is how soon the readiness page has to say that publications do not come back.
const redWithin = 5 * time.Second

func newNode(w *world, name, config string, net *network) *node {
	n := &node{world: w, name: name, dir: w.t.TempDir(), net: net, http: &http.Client{Timeout: recoveryMax}}
	n.moved.L = &n.mu
	require.NoError(w.t, os.WriteFile(filepath.Join(n.dir, "wse.yaml"), []byte(config), 0o600))
	require.NoError(w.t, os.CopyFS(filepath.Join(n.dir, "data", "plugins", "cache"), os.DirFS(compiled)))
	return n
}

// start starts the process and returns when it is ready.
func (n *node) start() error {
	engine, err := scenario.Start(program, n.dir, nil, false)
	if err != nil {
		return fmt.Errorf("%s: %w", n.name, err)
	}
	n.change(func() {
		n.engine, n.excused, n.ready = engine, false, true
		n.life++
	})
	return nil
}

func (n *node) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	n.moved.Broadcast()
}

// alive is a life of a node, as somebody saw it who wants something of it.
type alive struct {
	*scenario.Engine
	life int
}

// running returns the process that runs, or nothing.
func (n *node) running() (a alive, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return alive{n.engine, n.life}, n.engine != nil
}

// lost reports whether a connection to a life of the node may have been lost.
func (n *node) lost(life int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.excused || n.life != life || n.engine == nil
}

// good reports whether a balancer would send clients here.
func (n *node) good() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.engine != nil && n.ready && !n.excused
}

// signal sends the process a signal. From then on connections may be lost.
func (n *node) signal(sig syscall.Signal) {
	n.change(func() { n.excused = true })
	n.world.machine.answered(n, false)
	n.claim(truth{})
	a, ok := n.running()
	require.True(n.world.t, ok)
	require.NoError(n.world.t, a.Signal(sig))
}

// kill ends the process at once.
func (n *node) kill() {
	n.signal(syscall.SIGKILL)
	a, _ := n.running()
	_, err := a.Wait()
	require.NoError(n.world.t, err)
	n.change(func() { n.engine, n.ready = nil, false })
}

// resume lets a process go on that was stopped, and returns when its readiness page says yes.
func (n *node) resume() {
	a, _ := n.running()
	require.NoError(n.world.t, a.Signal(syscall.SIGCONT))
	n.awaitReady(true, recoveryMax)
	n.change(func() { n.excused = false })
}

// stop ends the process at the end of a test. It must have found no race and not have panicked.
func (n *node) stop() error {
	a, ok := n.running()
	if !ok {
		return nil
	}
	n.change(func() { n.engine, n.excused = nil, true })
	return a.Stop()
}

// claim says what the readiness page has to say from now on.
func (n *node) claim(what truth) {
	n.change(func() {
		what.n = n.truth.n + 1
		n.truth = what
	})
}

// claimReady says that the readiness page has to say yes from now on.
func (n *node) claimReady() {
	n.claim(truth{bound: true, ready: true, from: n.world.calm})
}

// watchEvery is how often a readiness page is asked for.
const watchEvery = 100 * time.Millisecond

// watch asks for the readiness page until ctx ends, and whether it tells the truth.
func (n *node) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	defer n.http.CloseIdleConnections()
	for {
		waits := time.Now()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n.world.machine.waited(time.Since(waits) - watchEvery)
		a, ok := n.running()
		if !ok {
			continue
		}
		n.mu.Lock()
		claimed := n.truth
		if !n.excused {
			n.world.machine.asked(n)
		}
		n.mu.Unlock()
		asked := time.Now()
		ready, why := n.pages(ctx, a)
		if ctx.Err() != nil {
			return
		}
		n.mu.Lock()
		n.world.machine.answered(n, !n.excused)
		if n.life == a.life {
			n.ready = ready
			n.asked++
		}
		if claimed.bound && claimed.n == n.truth.n && ready != claimed.ready && claimed.wrong(n.world.machine.keptSince(), asked, why) {
			n.world.fail(fmt.Errorf("%s says that it is ready: %v, and that is not so for %s: %s", n.name, ready, time.Since(claimed.from), why))
		}
		n.moved.Broadcast()
		n.mu.Unlock()
	}
}

// wrong reports whether a page that was asked for at some time may not say the opposite. What machines do that do not keep up is
// nobody's fault: then it counts from when this one did again, as if all had begun then.
func (t truth) wrong(keptSince, asked time.Time, why string) bool {
	from := t.from
	if from.Before(keptSince) {
		from = keptSince
	}
	switch {
	case time.Since(asked) >= recoveryMax || asked.After(from.Add(redWithin)):
		return true
	case t.ready:
		return !asOf(asked, why).Before(from)
	}
	return false
}

// pages asks for the page of balancers, and where that is red for the one of operators, which says why.
func (n *node) pages(ctx context.Context, a alive) (ready bool, why string) {
	for ctx.Err() == nil {
		ready, public := n.page(ctx, a.Public)
		if ready || !strings.Contains(public, "not_ready") { // or it does not answer
			return ready, public
		}
		ready, admin := n.page(ctx, a.Admin)
		if !ready {
			return false, public + admin
		}
	} // the node became ready between the two
	return false, ""
}

// asOf returns when that began what a page says, which was asked for at some time. A node that was disturbed for less than the three
// seconds after which it turns red does so all the same when the next probe is too late: the page tells the truth, of a time when it
// was disturbed. That it may do for as long as it may take to turn red. What does not tell how long it is so, is so since it was asked.
func asOf(asked time.Time, why string) time.Time {
	if tells := since.FindAllStringSubmatch(why, -1); tells != nil {
		if lasts, err := time.ParseDuration(tells[len(tells)-1][1]); err == nil {
			return asked.Add(-lasts - pageRounds)
		}
	}
	return asked
}

// since finds for how long a page says that something is so.
var since = regexp.MustCompile(` (?:for|was last read) (\d[\dhms.]*)`)

// pageRounds is how exact a page tells how long something lasts.
const pageRounds = 100 * time.Millisecond

func TestWhatAPageSaysBeganWhenItSays(t *testing.T) {
	at := time.Date(2026, 11, 22, 0, 0, 10, 0, time.UTC)
	const page = `{"status":"not_ready"}{"title":"Service Unavailable","status":503,"detail":"broker.redis: %s","code":"NOT_READY"}`
	for why, began := range map[string]time.Time{
		"nothing has come back on connection 0 for 3.1s":                                   at.Add(-3100*time.Millisecond - pageRounds),
		"7 topics are being compared, one of them for 1m2s":                                at.Add(-62*time.Second - pageRounds),
		"which versions the cluster wants was last read 4.022s ago: it cannot be asked: x": at.Add(-4022*time.Millisecond - pageRounds),
		"the node waits for a server":                                                      at,
		"which plugins the cluster wants is not known for some time":                       at,
	} {
		require.Equal(t, began, asOf(at, fmt.Sprintf(page, why)), why)
	}
	require.Equal(t, at, asOf(at, "connection refused"))
}

func (n *node) page(ctx context.Context, addr string) (ready bool, body string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", nil)
	if err != nil {
		return false, err.Error()
	}
	response, err := n.http.Do(request)
	if err != nil {
		return false, err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	return response.StatusCode == http.StatusOK, strings.TrimSpace(string(text))
}

// awaitReady waits until the readiness page says so or so, asked from now on, and fails the test when that takes too long.
func (n *node) awaitReady(want bool, within time.Duration) time.Duration {
	n.world.t.Helper()
	began, late := time.Now(), false
	timer := time.AfterFunc(within, func() { n.change(func() { late = true }) })
	defer timer.Stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	for from := n.asked + 1; !late && (n.asked <= from || n.ready != want); {
		n.moved.Wait()
	}
	if late {
		_, why := n.page(context.Background(), n.engine.Public)
		require.Failf(n.world.t, "readiness", "%s was to say within %s that it is ready: %v; it says %s", n.name, within, want, why)
	}
	return time.Since(began)
}
