package cluster_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

func TestMain(m *testing.M) { redistest.Verify(m) }

// soon is how long a test waits for what must come.
const soon = 20 * time.Second

// quick is a configuration whose nodes hear of each other at once, and only those die that leave.
func quick() cluster.Config {
	cfg := cluster.DefaultConfig()
	cfg.BeatInterval, cfg.NodeTimeout, cfg.AskTimeout = 50*time.Millisecond, soon, soon
	return cfg
}

// mortal is a configuration for which a node is dead that was not heard of for a second.
func mortal() cluster.Config {
	cfg := quick()
	cfg.NodeTimeout = time.Second
	return cfg
}

// peer is a node of a test with what it was told.
type peer struct {
	*cluster.Node
	dead     chan string
	returned chan struct{}
	stop     func() // has it leave, and waits until it has
}

func open(t *testing.T, addr string) *redis.Client {
	cfg := redis.DefaultConfig()
	cfg.Addrs = []string{addr}
	cfg.DialTimeout, cfg.CommandTimeout = 5*time.Second, 5*time.Second
	return redistest.Open(t, cfg)
}

// start runs a node whose way to Redis is addr, and waits until it is among the living.
func start(t *testing.T, addr, name string, cfg cluster.Config, handle func(*cluster.Node)) *peer {
	t.Helper()
	return startOn(t, open(t, addr), name, cfg, handle)
}

func startOn(t *testing.T, client *redis.Client, name string, cfg cluster.Config, handle func(*cluster.Node)) *peer {
	t.Helper()
	n, err := cluster.New(cfg, client, cluster.Options{
		Name: name, Version: "1", Addr: name + ":80", Describe: func() map[string]string { return map[string]string{"plugins": "p1"} },
	})
	require.NoError(t, err)
	p := &peer{Node: n, dead: make(chan string, 100), returned: make(chan struct{}, 100)}
	n.Dead(func(id string) { p.dead <- id })
	n.Returned(func() { p.returned <- struct{}{} })
	if handle != nil {
		handle(n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { require.NoError(t, n.Run(ctx)) })
	p.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(p.stop)
	require.Eventually(t, func() bool { return n.Stats().Beats > 0 }, soon, 5*time.Millisecond)
	return p
}

func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(soon):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

func ids(list []cluster.Info) (out []string) {
	for _, i := range list {
		out = append(out, i.ID)
	}
	return out
}

func echo(n *cluster.Node) {
	n.Handle("echo", func(_ context.Context, from string, body []byte) ([]byte, error) {
		return []byte(n.ID() + " hears " + string(body) + " of " + from), nil
	})
}

func TestNodesKnowEachOtherAndOneThatLeavesIsToldOf(t *testing.T) {
	server := redistest.Single(t)
	a := start(t, server.Addr(), "a", quick(), nil)
	b := start(t, server.Addr(), "b", quick(), nil)
	c := start(t, server.Addr(), "c", quick(), nil)
	list, err := a.Alive(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{a.ID(), b.ID(), c.ID()}, ids(list))
	require.Equal(t, "b", list[1].Name)
	require.Equal(t, "b:80", list[1].Addr)
	require.Equal(t, map[string]string{"plugins": "p1"}, list[1].About)
	require.Less(t, list[1].BeatAgoMS, soon.Milliseconds())
	b.stop()
	require.Equal(t, b.ID(), next(t, a.dead))
	require.Equal(t, b.ID(), next(t, c.dead))
	list, err = a.Alive(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{a.ID(), c.ID()}, ids(list))
	d := start(t, server.Addr(), "d", quick(), nil)
	require.Equal(t, b.ID(), next(t, d.dead), "who starts later hears of it too")
	require.Empty(t, a.returned)
	require.Empty(t, a.dead, "a death is told once")
}

func TestANodeThatLeavesWhileRedisIsSlowIsToldOf(t *testing.T) {
	server := redistest.Single(t)
	cfg := quick()
	cfg.NodeTimeout = 10 * soon
	a := start(t, server.Addr(), "a", cfg, nil)
	b := start(t, server.Addr(), "b", cfg, nil)
	awake := server.DebugSleep(6 * cfg.BeatInterval)
	b.stop()
	require.Equal(t, b.ID(), next(t, a.dead))
	<-awake
}

func TestANodeHasAnotherIDAfterEachStart(t *testing.T) {
	client := open(t, "127.0.0.1:1")
	first, err := cluster.New(quick(), client, cluster.Options{Name: "Büro 1"})
	require.NoError(t, err)
	second, err := cluster.New(quick(), client, cluster.Options{Name: "Büro 1"})
	require.NoError(t, err)
	require.NotEqual(t, first.ID(), second.ID())
	require.Regexp(t, `^B--ro-1-[a-z0-9]{12}$`, first.ID())
}

func TestAQuestionIsAnsweredByEveryNodeEachInItsOwnWay(t *testing.T) {
	server := redistest.Single(t)
	a := start(t, server.Addr(), "a", quick(), echo)
	b := start(t, server.Addr(), "b", quick(), func(n *cluster.Node) {
		n.Handle("echo", func(context.Context, string, []byte) ([]byte, error) {
			return nil, message.Errorf(message.CodeForbidden, "not here")
		})
	})
	c := start(t, server.Addr(), "c", quick(), nil)
	d := start(t, server.Addr(), "d", quick(), func(n *cluster.Node) {
		n.Handle("echo", func(context.Context, string, []byte) ([]byte, error) { return nil, errors.New("broken") })
	})
	answers, err := a.Ask(t.Context(), "echo", []byte("a\nbody\x00"))
	require.NoError(t, err)
	require.Len(t, answers, 4)
	require.Equal(t, a.ID()+" hears a\nbody\x00 of "+a.ID(), string(answers[0].Body))
	var coded *message.Error
	require.Equal(t, b.ID(), answers[1].Node.ID)
	require.ErrorAs(t, answers[1].Err, &coded)
	require.Equal(t, message.Error{Code: message.CodeForbidden, Message: "not here"}, *coded)
	require.Equal(t, c.ID(), answers[2].Node.ID)
	require.ErrorIs(t, answers[2].Err, cluster.ErrUnknownSubject)
	require.Equal(t, d.ID(), answers[3].Node.ID)
	require.EqualError(t, answers[3].Err, "broken")
	answers, err = d.Ask(t.Context(), "nothing", nil)
	require.NoError(t, err)
	for _, answer := range answers {
		require.ErrorIs(t, answer.Err, cluster.ErrUnknownSubject)
	}
}

// untilAskedAgain returns a context that ends when n has asked again who was silent.
func untilAskedAgain(t *testing.T, n *cluster.Node) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	before := n.Stats().AskedAgain
	var watching sync.WaitGroup
	watching.Go(func() {
		defer cancel()
		for n.Stats().AskedAgain == before && ctx.Err() == nil {
			<-time.After(time.Millisecond)
		}
	})
	t.Cleanup(func() { cancel(); watching.Wait() })
	return ctx
}

func TestOneNodeIsAskedAndNoOther(t *testing.T) {
	server := redistest.Single(t)
	cfg := quick()
	details := func(n *cluster.Node) {
		echo(n)
		n.Handle("details", func(context.Context, string, []byte) ([]byte, error) {
			return nil, message.Errorf(message.CodeNotFound, "no").WithDetails(map[string]string{"a": "b"})
		})
	}
	a := start(t, server.Addr(), "a", cfg, echo)
	b := start(t, server.Addr(), "b", cfg, details)
	c := start(t, server.Addr(), "c", cfg, echo)
	for _, to := range []*peer{a, b} {
		answer, err := a.AskNode(t.Context(), to.ID(), "echo", []byte("x"))
		require.NoError(t, err)
		require.Equal(t, to.ID()+" hears x of "+a.ID(), string(answer))
	}
	require.Zero(t, c.Stats().Handled)
	var coded *message.Error
	_, err := a.AskNode(t.Context(), b.ID(), "details", nil)
	require.ErrorAs(t, err, &coded)
	require.JSONEq(t, `{"a":"b"}`, string(coded.Details))
	_, err = a.AskNode(untilAskedAgain(t, a.Node), "gone-1", "echo", nil)
	require.ErrorIs(t, err, cluster.ErrSilent)
	_, err = a.AskNode(t.Context(), "../x", "echo", nil)
	require.ErrorContains(t, err, "no node")
	_, err = a.AskNode(t.Context(), b.ID(), "echo", make([]byte, 1<<20+1))
	require.ErrorIs(t, err, cluster.ErrTooLarge)
	server.Kill()
	_, err = a.AskNode(untilAskedAgain(t, a.Node), b.ID(), "echo", nil)
	require.ErrorContains(t, err, "cannot be asked")
}

func TestANodeThatDoesNotAnswerIsNamed(t *testing.T) {
	server := redistest.Single(t)
	cfg := quick()
	cfg.AskTimeout = 3 * time.Second
	a := start(t, server.Addr(), "a", cfg, echo)
	ended := make(chan struct{}, 100)
	var working atomic.Bool
	b := start(t, server.Addr(), "b", cfg, func(n *cluster.Node) {
		n.Handle("echo", func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
			if !working.CompareAndSwap(false, true) {
				t.Error("the handler is called again though it is at work")
			}
			<-ctx.Done()
			working.Store(false)
			ended <- struct{}{} // a question that comes only now is answered anew
			return nil, ctx.Err()
		})
	})
	answers, err := a.Ask(t.Context(), "echo", nil)
	require.NoError(t, err)
	require.NoError(t, answers[0].Err)
	require.Equal(t, b.ID(), answers[1].Node.ID)
	require.ErrorIs(t, answers[1].Err, cluster.ErrSilent)
	next(t, ended)
	require.EqualValues(t, 1, a.Stats().Silent)
	require.NotZero(t, a.Stats().AskedAgain)
}

func TestAnswersAreByNodeAlsoWhereTheOneThatAsksDoesNotCountAsAlive(t *testing.T) {
	server := redistest.Single(t)
	start(t, server.Addr(), "b", quick(), echo)
	a, err := cluster.New(quick(), open(t, server.Addr()), cluster.Options{Name: "a"}) // it has not said yet that it lives
	require.NoError(t, err)
	echo(a)
	answers, err := a.Ask(untilAskedAgain(t, a), "echo", nil)
	require.NoError(t, err)
	require.Len(t, answers, 2)
	require.Equal(t, a.ID(), answers[0].Node.ID)
	require.NoError(t, answers[0].Err)
	require.ErrorIs(t, answers[1].Err, cluster.ErrSilent, "nobody hears what it answers")
}

func TestAQuestionThatWasLostIsAskedAgain(t *testing.T) {
	server := redistest.Single(t)
	var mu sync.Mutex
	calls := 0
	a := start(t, server.Addr(), "a", quick(), echo)
	start(t, server.Addr(), "b", quick(), func(n *cluster.Node) {
		n.Handle("echo", func(context.Context, string, []byte) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			if calls++; calls == 1 { // the answer is lost with both connections that hear the bus
				_ = server.Client().ClientKillByFilter(context.Background(), "TYPE", "pubsub").Err()
			}
			return []byte("here"), nil
		})
	})
	answers, err := a.Ask(t.Context(), "echo", nil)
	require.NoError(t, err)
	require.NoError(t, answers[1].Err)
	require.Equal(t, "here", string(answers[1].Body))
	require.NotZero(t, a.Stats().Reconnects)
}

func TestWithoutRedisANodeAsksItself(t *testing.T) {
	server := redistest.Single(t)
	a := start(t, server.Addr(), "a", quick(), echo)
	b := start(t, server.Addr(), "b", quick(), echo)
	server.Kill()
	answers, err := a.Ask(t.Context(), "echo", []byte("x"))
	require.ErrorContains(t, err, "cannot be listed")
	require.Len(t, answers, 1)
	require.Equal(t, a.ID()+" hears x of "+a.ID(), string(answers[0].Body))
	_, err = a.Alive(t.Context())
	require.Error(t, err)
	server.Start()
	next(t, a.returned)
	next(t, b.returned)
	require.Eventually(t, func() bool {
		answers, err := a.Ask(t.Context(), "echo", []byte("x"))
		return err == nil && len(answers) == 2 && answers[1].Err == nil
	}, soon, 10*time.Millisecond)
	require.Empty(t, a.dead, "nobody died, though Redis has forgotten everybody")
	require.Empty(t, b.dead)
}

func TestWhoDiesWhileRedisForgetsEverybodyIsToldOf(t *testing.T) {
	server := redistest.Single(t)
	a := start(t, server.Addr(), "a", mortal(), nil)
	b := start(t, server.Addr(), "b", mortal(), nil)
	// The peers are looked at once in a node_timeout: b must have been seen.
	before := a.Stats().Beats
	require.Eventually(t, func() bool { return a.Stats().Beats > before+25 }, soon, 5*time.Millisecond)
	server.Kill()
	b.stop()
	server.Start()
	require.Equal(t, b.ID(), next(t, a.dead))
}

func TestTimeWithoutRedisIsHeldAgainstNobody(t *testing.T) {
	t.Parallel() // most of it is waiting
	server := redistest.Single(t)
	cfg := quick()
	cfg.NodeTimeout = 3 * time.Second // which one may take longer than the other to beat again
	a := start(t, server.Addr(), "a", cfg, nil)
	b := start(t, server.Addr(), "b", cfg, nil)
	server.Pause()
	for _, n := range []*peer{a, b} {
		require.Eventually(t, func() bool { return n.Stats().BeatAgo > 2*cfg.NodeTimeout }, soon, 5*time.Millisecond)
	}
	server.Resume()
	list, err := a.Alive(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{a.ID(), b.ID()}, ids(list))
	before := a.Stats().Beats
	require.Eventually(t, func() bool { return a.Stats().Beats > before+40 }, soon, 5*time.Millisecond)
	require.Empty(t, a.dead)
	require.Empty(t, b.dead)
	require.Empty(t, a.returned)
}

func TestAClockThatIsSetBackOrAheadKillsNobodyAndHidesNoDeath(t *testing.T) {
	for name, hours := range map[string]float64{"back": 1, "ahead": -1} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Single(t)
			a := start(t, server.Addr(), "a", quick(), nil)
			b := start(t, server.Addr(), "b", quick(), nil)
			// What a clock that is set back was is in the future of what it is.
			client, ctx := server.Client(), t.Context()
			shift := `for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZINCRBY', KEYS[1], ARGV[1], id) end
				redis.call('HINCRBY', KEYS[2], 'last', ARGV[1]) redis.call('HINCRBY', KEYS[2], 'since', ARGV[1])`
			_ = client.Eval(ctx, shift, []string{"wse:{_cluster}:beats", "wse:{_cluster}:state"}, int64(hours*3600*1e6)).Err()
			before := a.Stats().Beats
			require.Eventually(t, func() bool { return a.Stats().Beats > before+3 }, soon, 5*time.Millisecond)
			list, err := a.Alive(ctx)
			require.NoError(t, err)
			require.Equal(t, []string{a.ID(), b.ID()}, ids(list))
			require.Empty(t, a.dead)
			b.stop()
			require.Equal(t, b.ID(), next(t, a.dead))
		})
	}
}

// road is a way to Redis that can be blocked: what a pause of a process looks like to everybody else.
type road struct {
	mu      sync.Mutex
	blocked bool // guarded by mu
	open    *sync.Cond
}

func (r *road) block(on bool) {
	r.mu.Lock()
	r.blocked = on
	r.open.Broadcast()
	r.mu.Unlock()
}

func (r *road) Write(w io.Writer, b []byte) (int, error) {
	r.mu.Lock()
	for r.blocked {
		r.open.Wait()
	}
	r.mu.Unlock()
	return w.Write(b)
}

type gated struct {
	io.Writer
	road *road
}

func (g gated) Write(b []byte) (int, error) { return g.road.Write(g.Writer, b) }

// detour lets connections to addr through as long as its road is open.
func detour(t *testing.T, to string) (addr string, r *road) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r = &road{}
	r.open = sync.NewCond(&r.mu)
	var all sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); r.block(false); all.Wait() })
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				all.Go(func() {
					_, _ = io.Copy(gated{way[1], r}, way[0])
					_, _ = way[0].Close(), way[1].Close()
				})
			}
		}
	})
	return l.Addr().String(), r
}

func TestANodeThatWasPausedIsTakenForDeadAndComesBack(t *testing.T) {
	server := redistest.Single(t)
	a := start(t, server.Addr(), "a", mortal(), echo)
	addr, road := detour(t, server.Addr())
	b := start(t, addr, "b", quick(), echo)
	road.block(true)
	require.Equal(t, b.ID(), next(t, a.dead))
	list, err := a.Alive(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{a.ID()}, ids(list))
	road.block(false)
	next(t, b.returned)
	require.Eventually(t, func() bool {
		answers, err := a.Ask(t.Context(), "echo", nil)
		return err == nil && len(answers) == 2 && answers[1].Err == nil
	}, soon, 10*time.Millisecond)
	require.Empty(t, b.dead, "to itself it never died")
	road.block(true)
	require.Equal(t, b.ID(), next(t, a.dead), "it can die again")
}

func TestGarbageOnTheBusIsCountedAndHarmsNobody(t *testing.T) {
	server := redistest.Single(t)
	a := start(t, server.Addr(), "a", quick(), echo)
	b := start(t, server.Addr(), "b", quick(), echo)
	client := server.Client()
	garbage := []string{"", "\n", "{}\n", "no json\n", "[]\nx", `{"kind":"ask","id":"1","from":"../x"}` + "\n", strings.Repeat("x", 1<<20), "{\"kind\":\"ask\",\"id\":\"1\",\"from\":\"x\"}\n" + strings.Repeat("x", 1<<20+1)}
	for _, g := range garbage {
		require.NoError(t, client.Publish(t.Context(), "wse:_bus", g).Err())
	}
	require.NoError(t, client.Publish(t.Context(), "wse:_bus", `{"kind":"answer","id":"none","from":"x"}`+"\n").Err())
	require.NoError(t, client.Publish(t.Context(), "wse:_bus", `{"kind":"other","id":"none","from":"x"}`+"\n").Err())
	answers, err := a.Ask(t.Context(), "echo", nil)
	require.NoError(t, err)
	require.NoError(t, answers[1].Err)
	require.EqualValues(t, len(garbage), b.Stats().Malformed)
}

func TestWhoUsesAnotherDatabaseOfTheSameRedisIsAnotherCluster(t *testing.T) {
	server := redistest.Single(t)
	var mu sync.Mutex
	asked := map[string]map[string]bool{} // by whom, of each
	begin := func(name string, db int) *peer {
		cfg := open(t, server.Addr()).Config()
		cfg.DB = db
		return startOn(t, redistest.Open(t, cfg), name, quick(), func(n *cluster.Node) {
			n.Handle("echo", func(_ context.Context, from string, body []byte) ([]byte, error) {
				mu.Lock()
				defer mu.Unlock()
				if asked[name] == nil {
					asked[name] = map[string]bool{}
				}
				asked[name][from] = true
				return body, nil
			})
		})
	}
	a, b, c, d := begin("a", 0), begin("b", 0), begin("c", 1), begin("d", 1)
	for _, pair := range [][2]*peer{{a, b}, {c, d}} {
		for range 3 { // the last answer comes after all that was asked before was heard
			answers, err := pair[0].Ask(t.Context(), "echo", nil)
			require.NoError(t, err)
			require.Len(t, answers, 2)
			for _, one := range answers {
				require.NoError(t, one.Err)
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	require.NotContains(t, asked["d"], a.ID())
	require.NotContains(t, asked["c"], a.ID())
	require.NotContains(t, asked["b"], c.ID())
	require.Contains(t, asked["b"], a.ID())
	require.Contains(t, asked["d"], c.ID())
}

func TestBodiesHaveALimit(t *testing.T) {
	server := redistest.Single(t)
	cfg := quick()
	cfg.BodyKiBMax = 1
	large := func(n *cluster.Node) {
		n.Handle("large", func(_ context.Context, _ string, body []byte) ([]byte, error) { return append(body, 0), nil })
	}
	a := start(t, server.Addr(), "a", cfg, large)
	start(t, server.Addr(), "b", cfg, large)
	_, err := a.Ask(t.Context(), "large", make([]byte, 1<<10+1))
	require.ErrorIs(t, err, cluster.ErrTooLarge)
	answers, err := a.Ask(t.Context(), "large", make([]byte, 1<<10))
	require.NoError(t, err)
	require.ErrorIs(t, answers[0].Err, cluster.ErrTooLarge)
	require.ErrorContains(t, answers[1].Err, "body_kib_max")
}

func TestNoMoreThanHandlersMaxAreAtWork(t *testing.T) {
	server := redistest.Single(t)
	cfg := quick()
	cfg.HandlersMax = 1
	a := start(t, server.Addr(), "a", cfg, echo)
	first, release := make(chan struct{}, 1), make(chan struct{})
	b := start(t, server.Addr(), "b", cfg, func(n *cluster.Node) {
		echo(n)
		n.Handle("wait", func(context.Context, string, []byte) ([]byte, error) {
			select {
			case first <- struct{}{}:
			default: // it was asked again when it had answered
			}
			<-release
			return nil, nil
		})
	})
	var waiting sync.WaitGroup
	waiting.Go(func() { _, _ = a.Ask(context.Background(), "wait", nil) })
	next(t, first)
	waiting.Go(func() {
		answers, err := a.Ask(context.Background(), "echo", nil)
		require.NoError(t, err)
		require.NoError(t, answers[1].Err, "it was asked again")
	})
	require.Eventually(t, func() bool { return b.Stats().Refused > 0 }, soon, time.Millisecond)
	close(release)
	waiting.Wait()
}

func TestAFaultyConfigurationIsRefusedByField(t *testing.T) {
	for want, change := range map[string]func(*cluster.Config){
		"node_name: ":     func(c *cluster.Config) { c.NodeName = "a b" },
		"beat_interval: ": func(c *cluster.Config) { c.BeatInterval = 0 },
		"node_timeout: ":  func(c *cluster.Config) { c.NodeTimeout = 3 * c.BeatInterval },
		"node_kept: ":     func(c *cluster.Config) { c.NodeKept = time.Second },
		"ask_timeout: ":   func(c *cluster.Config) { c.AskTimeout = 0 },
		"ask_again: ":     func(c *cluster.Config) { c.AskAgain = time.Hour },
		"body_kib_max: ":  func(c *cluster.Config) { c.BodyKiBMax = 0 },
		"handlers_max: ":  func(c *cluster.Config) { c.HandlersMax = 0 },
		"sessions_max: ":  func(c *cluster.Config) { c.SessionsMax = 0 },
	} {
		cfg := cluster.DefaultConfig()
		require.NoError(t, cfg.Validate())
		change(&cfg)
		require.ErrorContains(t, cfg.Validate(), want)
		_, err := cluster.New(cfg, open(t, "127.0.0.1:1"), cluster.Options{})
		require.ErrorContains(t, err, want)
	}
}
