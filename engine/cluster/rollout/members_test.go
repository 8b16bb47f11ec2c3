package rollout_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/cluster/rollout"
	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// soon is how long a test waits for what must come.
const soon = time.Minute

// module is a transform plugin that answers with its text, and takes a configuration.
func module(text string) []byte {
	m := w.Plugin(w.Module{
		Funcs: []w.Func{w.Hook("wse_transform", w.Pack(1024, len(text))), w.Hook("wse_configure", w.I64Const(1))},
		Data:  []w.Data{{At: 1024, Bytes: []byte(text)}},
	})
	return m.Bytes()
}

// The modules that tests swap; the first is what the files say.
var texts = []string{`{"a":1}`, `{"a":2}`, `{"a":3}`, `{"a":4}`, `{"a":5}`}

// candidate is one of the modules, as it is handed in.
func candidate(i int) plugin.Candidate {
	return plugin.Candidate{Module: module(texts[i]), Who: "alice"}
}

// group is some nodes on one Redis.
type group struct {
	t      *testing.T
	server *redistest.Server // nil: there are several
	way    func() redis.Config
	dir    string         // with the compiled modules
	disk   plugin.Records // of the nodes that are opened from now on; nil: they have none
	cfg    rollout.Config
	nodes  cluster.Config
	answer time.Duration // for which a node waits for Redis
	logMu  sync.Mutex
	log    bytes.Buffer // guarded by logMu
}

func newGroup(t *testing.T) *group {
	server := redistest.Single(t)
	g := newGroupOn(t, nil)
	g.server = server
	return g
}

// newGroupOn is newGroup on servers of the test's own.
func newGroupOn(t *testing.T, way func() redis.Config) *group {
	g := &group{t: t, way: way, dir: t.TempDir(), cfg: rollout.DefaultConfig(), nodes: cluster.DefaultConfig(), answer: 5 * time.Second}
	g.cfg.CheckInterval = 200 * time.Millisecond
	g.cfg.CommitTimeout = soon / 2
	g.nodes.BeatInterval, g.nodes.NodeTimeout, g.nodes.AskTimeout, g.nodes.AskAgain = 200*time.Millisecond, soon, soon, 300*time.Millisecond
	var all plugin.Configs
	for i, text := range texts {
		name := "m" + string(rune('0'+i))
		require.NoError(t, os.WriteFile(filepath.Join(g.dir, name), module(text), 0o600))
		all = append(all, plugin.Config{Name: name, Path: "stock:" + name, Limits: plugin.Limits{Instances: 1}})
	}
	h, err := plugin.New(all, g.deps()) // so that they need not be compiled again
	require.NoError(t, err)
	require.NoError(t, h.Close())
	return g
}

func (g *group) deps() plugin.Deps {
	return plugin.Deps{ConfigDir: g.dir, DataDir: filepath.Join(g.dir, "data"), Records: g.disk, Stock: func(name string) ([]byte, bool) {
		b, err := os.ReadFile(filepath.Join(g.dir, name))
		return b, err == nil
	}}
}

// files is the configuration of the plugin say with the first module.
func files() plugin.Config {
	return plugin.Config{Name: "say", Path: "stock:m0", Limits: plugin.Limits{Instances: 1}}
}

// Write implements io.Writer for the log of all nodes.
func (g *group) Write(p []byte) (int, error) {
	g.logMu.Lock()
	defer g.logMu.Unlock()
	return g.log.Write(p)
}

func (g *group) logged() string {
	g.logMu.Lock()
	defer g.logMu.Unlock()
	return g.log.String()
}

// member is one node.
type member struct {
	g       *group
	name    string
	host    *plugin.Host
	node    *cluster.Node
	client  *redis.Client
	rollout *rollout.Rollout
	cut     *cable
	stop    func()
	crash   func() // ends it so that it can tell nobody

	mu     sync.Mutex
	asked  func(subject string, answers []cluster.Answer) // is called behind each Ask of this node; guarded by mu
	asking func(subject string)                           // is called before; guarded by mu
	answer func(subject string)                           // is called before it answers; guarded by mu
}

// bus lets tests look in.
type bus struct {
	*cluster.Node
	m *member
}

// Ask implements rollout.Bus.
func (b bus) Ask(ctx context.Context, subject string, body []byte) ([]cluster.Answer, error) {
	before, behind, _ := b.m.hooks()
	if before != nil {
		before(subject)
	}
	answers, err := b.Node.Ask(ctx, subject, body)
	if behind != nil {
		behind(subject, answers)
	}
	return answers, err
}

// Handle implements rollout.Bus.
func (b bus) Handle(subject string, f func(ctx context.Context, from string, body []byte) ([]byte, error)) {
	b.Node.Handle(subject, func(ctx context.Context, from string, body []byte) ([]byte, error) {
		if _, _, hook := b.m.hooks(); hook != nil {
			hook(subject)
		}
		return f(ctx, from, body)
	})
}

func (m *member) hooks() (func(string), func(string, []cluster.Answer), func(string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asking, m.asked, m.answer
}

func (m *member) onAsking(f func(subject string)) { m.mu.Lock(); m.asking = f; m.mu.Unlock() }
func (m *member) onAsked(f func(subject string, a []cluster.Answer)) {
	m.mu.Lock()
	m.asked = f
	m.mu.Unlock()
}
func (m *member) onAnswer(f func(subject string)) { m.mu.Lock(); m.answer = f; m.mu.Unlock() }

// open makes a node, which does not run yet.
func (g *group) open(name string, cfgs ...plugin.Config) *member {
	g.t.Helper()
	if len(cfgs) == 0 {
		cfgs = []plugin.Config{files()}
	}
	m := &member{g: g, name: name}
	var err error
	m.host, err = plugin.New(cfgs, g.deps())
	require.NoError(g.t, err)
	cfg := redis.DefaultConfig()
	if g.server != nil {
		m.cut = newCable(g.t, g.server.Addr())
		cfg.Addrs = []string{m.cut.addr()}
	} else {
		cfg = g.way()
	}
	cfg.DialTimeout, cfg.CommandTimeout = g.answer, g.answer
	m.client, err = redis.Open(cfg, "")
	require.NoError(g.t, err)
	log := hclog.New(&hclog.LoggerOptions{Name: name, Output: g, Level: hclog.Info})
	m.node, err = cluster.New(g.nodes, m.client, cluster.Options{Name: name, Log: log, Describe: func() map[string]string { return rollout.Describe(m.host.List()) }})
	require.NoError(g.t, err)
	m.rollout, err = rollout.New(g.cfg, rollout.Deps{
		Host: m.host, Bus: bus{m.node, m}, Client: m.client, Alive: m.node.Alive, VersionsMax: 3, Log: log,
	})
	require.NoError(g.t, err)
	return m
}

// start makes nodes and waits until they are ready.
func (g *group) start(names ...string) []*member {
	g.t.Helper()
	var all []*member
	for _, name := range names {
		m := g.open(name)
		m.run()
		all = append(all, m)
	}
	for _, m := range all {
		m.awaitReady()
	}
	return all
}

func (m *member) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = m.node.Run(ctx) })
	running.Go(func() { _ = m.rollout.Run(ctx) })
	m.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		_ = m.host.Close()
		_ = m.client.Close()
	})
	m.crash = func() {
		_ = m.client.Close()
		m.stop()
	}
	m.g.t.Cleanup(m.stop)
	require.Eventually(m.g.t, func() bool { return m.node.Stats().Beats > 0 }, soon, time.Millisecond)
}

// awaitNodes waits until that many nodes count as alive.
func (m *member) awaitNodes(n int) {
	m.g.t.Helper()
	require.Eventually(m.g.t, func() bool {
		list, err := m.node.Alive(context.Background())
		return err == nil && len(list) == n
	}, soon, time.Millisecond)
}

func (m *member) awaitReady() {
	m.g.t.Helper()
	require.Eventually(m.g.t, func() bool { return m.rollout.Ready() == nil }, soon, time.Millisecond, "%s is not ready", m.name)
}

// awaitReason waits until the node is not ready for a reason, and returns it.
func (m *member) awaitReason(part string) (reason string) {
	m.g.t.Helper()
	require.Eventually(m.g.t, func() bool {
		err := m.rollout.Ready()
		if err != nil {
			reason = err.Error()
		}
		return strings.Contains(reason, part)
	}, soon, time.Millisecond, "%s: want %q", m.name, part)
	return reason
}

// keep is an Answer that takes anything.
type keep struct{ doc string }

// Read implements plugin.Answer.
func (k *keep) Read(doc []byte) error {
	k.doc = string(doc)
	return nil
}

// says is what the plugin of a node answers.
func (m *member) says() string {
	m.g.t.Helper()
	var k keep
	_, err := m.host.Transform(context.Background(), "E", []byte(`{}`), &k)
	require.NoError(m.g.t, err)
	return k.doc
}

func said(all []*member) map[string]string {
	out := make(map[string]string)
	for _, m := range all {
		out[m.name] = m.says()
	}
	return out
}

// require that all say one of the texts.
func requireAll(t *testing.T, all []*member, i int) {
	t.Helper()
	for _, m := range all {
		require.Equal(t, texts[i], m.says(), m.name)
	}
}

// awaitAll waits until all say one of the texts and are ready.
func awaitAll(t *testing.T, all []*member, i int) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, m := range all {
			if m.says() != texts[i] || m.rollout.Ready() != nil {
				return false
			}
		}
		return true
	}, soon, time.Millisecond, "want %s everywhere, have %v", texts[i], said(all))
}

// id is the version of one of the modules.
func id(i int) string { return versions()[texts[i]] }

func versions() map[string]string {
	out := make(map[string]string)
	for _, text := range texts {
		out[text] = digest(module(text))[:12]
	}
	return out
}

// plain is a report as operators read it, with the random parts of nodes' ids left out and versions by their number.
func plain(r *rollout.Report) string {
	text := regexp.MustCompile(`([a-z])-[a-z0-9]{12}\b`).ReplaceAllString(r.String(), "$1")
	for i, t := range texts {
		text = strings.ReplaceAll(text, versions()[t], "v"+string(rune('0'+i)))
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "\n", " | ")), " ")
}

// states are how the nodes of a report stand, by name.
func states(r *rollout.Report) map[string]rollout.State {
	out := make(map[string]rollout.State)
	for _, n := range r.Nodes {
		name, _, _ := strings.Cut(n.ID, "-")
		out[name] = n.State
	}
	return out
}

func everyone(s rollout.State, names ...string) map[string]rollout.State {
	out := make(map[string]rollout.State)
	for _, name := range names {
		out[name] = s
	}
	return out
}

func with(m map[string]rollout.State, name string, s rollout.State) map[string]rollout.State {
	m = maps.Clone(m)
	m[name] = s
	return m
}

// cable is the way of one node to Redis, which can be cut.
type cable struct {
	l      net.Listener
	target string
	mu     sync.Mutex
	broken bool                  // guarded by mu
	conns  map[net.Conn]struct{} // guarded by mu
	all    sync.WaitGroup
	lag    atomic.Int64 // nanoseconds that whatever is sent takes
}

// lagging writes to a connection what takes its time.
type lagging struct {
	io.Writer
	lag *atomic.Int64
}

// Write implements io.Writer.
func (l lagging) Write(b []byte) (int, error) {
	if lag := l.lag.Load(); lag > 0 {
		<-time.After(time.Duration(lag))
	}
	return l.Writer.Write(b)
}

func newCable(t *testing.T, target string) *cable {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cable{l: l, target: target, conns: make(map[net.Conn]struct{})}
	c.all.Go(c.accept)
	t.Cleanup(func() {
		_ = l.Close()
		c.pull()
		c.all.Wait()
	})
	return c
}

func (c *cable) addr() string { return c.l.Addr().String() }

func (c *cable) accept() {
	for {
		in, err := c.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", c.target)
		c.mu.Lock()
		if err != nil || c.broken {
			c.mu.Unlock()
			_ = in.Close()
			if out != nil {
				_ = out.Close()
			}
			continue
		}
		c.conns[in], c.conns[out] = struct{}{}, struct{}{}
		c.mu.Unlock()
		for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
			c.all.Go(func() {
				_, _ = io.Copy(lagging{pair[0], &c.lag}, pair[1])
				_, _ = pair[0].Close(), pair[1].Close()
				c.mu.Lock()
				delete(c.conns, pair[0])
				c.mu.Unlock()
			})
		}
	}
}

// pull cuts the cable.
func (c *cable) pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
	for conn := range c.conns {
		_ = conn.Close()
	}
}

// plug mends it.
func (c *cable) plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = false
}
