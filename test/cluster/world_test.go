package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/test/oracle"
)

// world is three nodes on a Redis, who publishes, and who reads.
type world struct {
	t       *testing.T
	redis   *redisServers
	foreign *redis.Client // another program's way to Redis
	nodes   []*node
	ledger  *oracle.Ledger
	http    *http.Client
	seed    uint64
	machine *pacing

	subscribers []*subscriber
	accepted    atomic.Int64 // publications that were taken
	refused     atomic.Int64 // those that were not
	marks       int          // of the test's own goroutine
	calm        time.Time    // since when nothing happens that was not over; of the test's own goroutine

	mu     sync.Mutex
	moved  sync.Cond
	told   map[string]int  // by topic, how often a subscriber was told that publications may be missing; guarded by mu
	free   map[string]bool // topics that foreign programs spoil; guarded by mu
	faults []error         // guarded by mu

	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup
}

// What the nodes are configured with, and what follows from it.
const (
	keptMany    = 4000
	keptFew     = 8
	publishWait = 3 * time.Second
	recoveryMax = 2 * time.Minute  // until all is well again after whatever happened, on a busy machine
	markAgain   = 10 * time.Second // until marks that not all see are set again
	user        = "ada"
	wildcard    = "stream:market_data:*"
	news        = "public:news"
	few         = "user:ada:events"
)

const configuration = `cluster: {node_name: n%d}
heartbeat: {interval: 1s}
limits:
  handshake_timeout: 30s
  request_timeout: 20s
  queue_kib_max: 16384
  presence_grace: 1s
topics:
  - {pattern: "stream:market_data:*", priority: 8, history_size: 4000, history_kib_max: 16384, snapshots: true}
  - {pattern: "user:*", history_size: 8, snapshots: true}
  - {pattern: "public:*"}
`

// keys are the topics whose history reaches as far as anybody is ever away.
func keys() []string {
	return []string{"stream:market_data:K1", "stream:market_data:K2", "stream:market_data:K3", "stream:market_data:K4"}
}

func topics() []string { return append(keys(), few, news) }

// newWorld starts servers and nodes, and has somebody publish and read. It is all well when it returns.
func newWorld(t *testing.T, how topology) *world {
	t.Helper()
	w := &world{t: t, ledger: oracle.NewLedger(), told: make(map[string]int), free: make(map[string]bool), seed: seed(t), machine: newPacing()}
	w.moved.L = &w.mu
	// What a node gives up for being idle, after half a minute, was given up here before: a publication on it would be lost meanwhile.
	w.http = &http.Client{Timeout: publishWait + recoveryMax, Transport: &http.Transport{IdleConnTimeout: 10 * time.Second}}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.redis = how.start(t)
	w.redis.patient(true)
	var err error
	w.foreign, err = redis.Open(w.redis.config, "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.foreign.Close() })
	for i := range 3 {
		net := newNetwork(t, ports(w.redis.sentinels), ports(w.redis.servers))
		w.nodes = append(w.nodes, newNode(w, "n"+strconv.Itoa(i+1), fmt.Sprintf(configuration, i+1)+w.redis.section(net)+"    publish_wait: 3s\n", net))
	}
	t.Cleanup(w.close)
	errs := make(chan error, len(w.nodes))
	for _, n := range w.nodes {
		go func() { errs <- n.start() }()
	}
	for range w.nodes {
		require.NoError(t, <-errs)
	}
	for i, n := range w.nodes {
		w.run(func() { n.watch(w.ctx) })
		for j := range 3 {
			s := newSubscriber(w, fmt.Sprintf("subscriber %d.%d", i+1, j+1), i, j == 2)
			w.subscribers = append(w.subscribers, s)
			w.run(s.play)
		}
	}
	w.settle()
	for i := range 4 {
		p := &publisher{world: w, name: "p" + strconv.Itoa(i+1), home: i, rng: w.rng("publisher", i), n: make(map[string]int), last: make(map[string]oracle.Place)}
		w.run(p.play)
	}
	return w
}

func (w *world) run(f func()) {
	w.group.Add(1)
	go func() {
		defer w.group.Done()
		f()
	}()
}

// rng returns the choices of the n-th of some kind.
func (w *world) rng(kind string, n int) *rand.Rand {
	stream := uint64(n)
	for _, c := range []byte(kind) {
		stream = stream*257 + uint64(c) + 1
	}
	return rand.New(rand.NewPCG(w.seed, stream))
}

// close ends everything, nodes first of all that must not have found races.
func (w *world) close() {
	w.cancel()
	w.change(func() {})
	w.http.CloseIdleConnections()
	for _, s := range w.subscribers {
		s.hangUp()
	}
	var errs []error
	for _, n := range w.nodes {
		if a, ok := n.running(); ok && (w.t.Failed() || w.fault() != nil) {
			out := a.Output()
			w.t.Logf("%s said:\n%s", n.name, out[max(0, len(out)-4000):])
		}
		errs = append(errs, n.stop())
	}
	w.group.Wait()
	require.NoError(w.t, errors.Join(errs...))
	require.NoError(w.t, w.fault())
}

// fail keeps an error: the first ones are what counts.
func (w *world) fail(err error) {
	if err == nil {
		return
	}
	w.change(func() { w.faults = append(w.faults, err) })
}

// fault returns what went wrong first, nil where nothing did.
func (w *world) fault() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.faults[:min(3, len(w.faults))]...)
}

func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	w.moved.Broadcast()
}

// await waits until the state is as ok says, and fails the test when something goes wrong or it takes too long.
func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	if w.becomes(recoveryMax, ok) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Failf(w.t, what, "seed %d: it took too long:%s", w.seed, w.behind())
}

// becomes waits for some time until the state is as ok says, and reports whether it is. It fails the test when something goes wrong.
func (w *world) becomes(within time.Duration, ok func() bool) bool {
	w.t.Helper()
	late := false
	timer := time.AfterFunc(within, func() { w.change(func() { late = true }) })
	defer timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	is := ok()
	for ; !is && len(w.faults) == 0 && !late; is = ok() {
		w.moved.Wait()
	}
	require.NoError(w.t, errors.Join(w.faults[:min(3, len(w.faults))]...), "seed %d", w.seed)
	return is
}

// behind tells where each subscriber is. The lock is held.
func (w *world) behind() string {
	var b strings.Builder
	for _, s := range w.subscribers {
		fmt.Fprintf(&b, "\n%s on %s is at %v; it wants %v; last came:\n  %s", s.name, s.where, s.at, s.wants, strings.Join(s.came, "\n  "))
	}
	return b.String()
}

// totalTold returns how often subscribers were told of the topics that publications may be missing.
func (w *world) totalTold(topics ...string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range topics {
		n += w.told[t]
	}
	return n
}

// awaitAccepted waits until n publications more were taken.
func (w *world) awaitAccepted(n int64) {
	w.t.Helper()
	n += w.accepted.Load()
	w.await(fmt.Sprintf("%d publications in all", n), func() bool { return w.accepted.Load() >= n })
}

// awaitRefused waits until n publications more were refused.
func (w *world) awaitRefused(n int64) {
	w.t.Helper()
	n += w.refused.Load()
	w.await(fmt.Sprintf("%d refusals in all", n), func() bool { return w.refused.Load() >= n })
}

// settle waits until all nodes say that they are ready, publishes a mark to each topic, and waits until every subscriber
// is that far. From then on the nodes have to stay ready, but for what they find out of the time before.
func (w *world) settle() {
	w.t.Helper()
	w.redis.whole()
	w.calm = time.Now()
	for _, n := range w.nodes {
		n.awaitReady(true, recoveryMax)
		n.claimReady()
	}
	// A node that has not noticed yet that the server is another one has a topic begin anew once more, and so may the next one: then the
	// mark was of an epoch that is over.
	var marks map[string]oracle.Place
	reached := func() bool {
		return !slices.ContainsFunc(w.subscribers, func(s *subscriber) bool { return !s.reached(marks) })
	}
	for range 3 {
		marks = w.markAll()
		if w.becomes(markAgain, reached) {
			return
		}
	}
	w.await("every subscriber sees the marks", reached)
}

func (w *world) markAll() map[string]oracle.Place {
	w.t.Helper()
	marks := make(map[string]oracle.Place)
	w.marks++
	for i, topic := range topics() {
		marks[topic] = w.mark(w.nodes[(w.marks+i)%len(w.nodes)], topic)
	}
	return marks
}

// mark publishes a mark through a node, again until it is taken.
func (w *world) mark(n *node, topic string) (at oracle.Place) {
	w.t.Helper()
	id := fmt.Sprintf("mark-%d-%s", w.marks, topic)
	doc := fmt.Appendf(nil, `{"topic":%q,"t":"a_snapshot","id":%q,"p":{"in":%q}}`, topic, id, topic)
	require.Eventually(w.t, func() bool {
		a, ok := n.running()
		if !ok {
			return false
		}
		answer, err := w.post(a, doc)
		if err != nil || answer.Status != "published" && answer.Status != "duplicate" {
			return false
		}
		at = oracle.Place{Epoch: answer.Epoch, Seq: answer.Seq}
		_, err = w.ledger.Record(topic, at, id)
		w.fail(err)
		return true
	}, recoveryMax, 20*time.Millisecond, "a mark for %s through %s", topic, n.name)
	return at
}
