package intake

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	brokerredis "github.com/wse-engine/wse/engine/broker/redis"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// childEnv tells the test program that it is a node: "<address> <name> <how long its turns last>".
const childEnv = "WSE_INTAKE_TEST_NODE"

func TestMain(m *testing.M) {
	if place := os.Getenv(childEnv); place != "" {
		if err := serve(place); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	redistest.Verify(m)
}

// nowhere is a Sink for nodes without clients.
type nowhere struct{}

func (nowhere) Deliver(*message.Envelope) {}

// serve is a node: the broker on Redis and the intake. It says that it runs, and ends with its input.
func serve(place string) error {
	addr, name, _ := strings.Cut(place, " ")
	name, turns, _ := strings.Cut(name, " ")
	cfg := brokerredis.DefaultConfig()
	cfg.Addrs = []string{addr}
	client, err := redis.Open(cfg.Config, "")
	if err != nil {
		return err
	}
	classes, err := broker.CompileClasses(broker.DefaultClasses())
	if err != nil {
		return err
	}
	b, err := brokerredis.New(cfg, client, classes, nowhere{}, brokerredis.WithNode(name))
	if err != nil {
		return err
	}
	own := calm()
	own.BatchMax = 64
	if own.LeaseTTL, err = time.ParseDuration(turns); err != nil {
		return err
	}
	letters, err := NewLetters(own, client)
	if err != nil {
		return err
	}
	in, err := ingest.New(ingest.DefaultConfig(), nil, b, ingest.WithKeeper(letters))
	if err != nil {
		return err
	}
	i, err := New(own, client, in, letters, b, Options{Node: name})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.Run(ctx) })
	wg.Go(func() { _ = i.Run(ctx) })
	fmt.Println("runs")
	_, _ = io.Copy(io.Discard, os.Stdin)
	cancel()
	wg.Wait()
	return nil
}

// process is a node of its own.
type process struct {
	name string
	cmd  *exec.Cmd
}

// turns is how long another waits for the place of a node that was killed or sleeps. It is long for a node that is only slow.
const turns = 2 * time.Second

// start starts a node and waits until it runs.
func start(t testing.TB, server *redistest.Server, name string, turns time.Duration) *process {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", childEnv, server.Addr(), name, turns))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	_, err := cmd.StdinPipe() // it ends with this test
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &process{name, cmd}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "runs\n", line)
	return p
}

func (p *process) signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// pause stops it, and returns when it stands still.
func (p *process) pause(t testing.TB) {
	p.signal(syscall.SIGSTOP)
	until(t, "it stands still", func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
		return err == nil && strings.Contains(string(status), "State:\tT")
	})
}

// kill ends it at once.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	_ = p.cmd.Wait()
}

// holder returns which node has a lease.
func holder(t testing.TB, client *goredis.Client, key string) (name string) {
	until(t, "somebody has the lease "+key, func() bool {
		name, _, _ = strings.Cut(client.Get(t.Context(), key).Val(), " ")
		return name != ""
	})
	return name
}

// witness is a program that reads what is published on the channels, as any may.
type witness struct {
	t   testing.TB
	mu  sync.Mutex
	ids map[string][]string // guarded by mu; by channel
	n   int                 // guarded by mu
	bad []string            // guarded by mu
}

func watch(t testing.TB, client *goredis.Client) *witness {
	w := &witness{t: t, ids: make(map[string][]string)}
	sub := client.PSubscribe(t.Context(), "wse:*")
	_, err := sub.Receive(t.Context())
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for m := range sub.Channel(goredis.WithChannelSize(100_000)) {
			if strings.HasPrefix(m.Payload, numbered) {
				w.take(m)
			}
		}
	})
	t.Cleanup(func() {
		_ = sub.Close()
		wg.Wait()
	})
	return w
}

func (w *witness) take(m *goredis.Message) {
	var p struct {
		Seq int
		ID  string
	}
	err := json.Unmarshal([]byte(m.Payload), &p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids[m.Channel] = append(w.ids[m.Channel], p.ID)
	w.n++
	if err != nil || p.Seq != len(w.ids[m.Channel]) {
		w.bad = append(w.bad, fmt.Sprintf("%s: %.80s after %d (%v)", m.Channel, m.Payload, len(w.ids[m.Channel])-1, err))
	}
}

// saw returns how many publications there were.
func (w *witness) saw() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

// await waits until there were n publications, or a dead letter: for as long as more come, however slowly.
func (w *witness) await(client *goredis.Client, n int) {
	w.t.Helper()
	for seen, buried := w.saw(), false; seen < n && !buried; seen = w.saw() {
		until(w.t, fmt.Sprintf("more than %d of %d events", seen, n), func() bool {
			buried = client.Exists(w.t.Context(), channelIndex).Val() > 0
			return buried || w.saw() > seen
		})
	}
}

// events adds n events of some users to the stream and notes the order of each user's.
func events(t testing.TB, client *goredis.Client, want map[string][]string, from, n int) {
	pipe := client.Pipeline()
	for i := from; i < from+n; i++ {
		user, id := fmt.Sprint("u", i%5), fmt.Sprint("e", i)
		want["wse:user:"+user+":events"] = append(want["wse:user:"+user+":events"], id)
		pipe.XAdd(t.Context(), &goredis.XAddArgs{Stream: StreamEvents, Values: []string{
			"event", fmt.Sprintf(`{"type":"Thing","user_id":%q,"id":%q,"payload":{}}`, user, id),
		}})
	}
	_, err := pipe.Exec(t.Context())
	require.NoError(t, err)
}

// settled requires that everything was published once, in order, and nothing is left.
func (w *witness) settled(client *goredis.Client, want map[string][]string, n int) {
	w.t.Helper()
	w.await(client, n)
	require.Zero(w.t, client.Exists(w.t.Context(), channelIndex).Val(), "none is a dead letter")
	until(w.t, "nothing is left", func() bool {
		p, err := client.XPending(w.t.Context(), StreamEvents, group).Result()
		return err == nil && p.Count == 0
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Empty(w.t, w.bad, "numbers without a hole")
	require.Equal(w.t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(w.ids)))
	for channel := range want {
		require.Equal(w.t, want[channel], w.ids[channel], channel)
	}
}

func TestReadersKilledInTheMiddleOfBatchesLoseAndRepeatNothing(t *testing.T) {
	t.Parallel() // most of it is waiting
	server := redistest.Single(t)
	client := server.Client()
	w, want := watch(t, client), make(map[string][]string)
	nodes := make(map[string]*process)
	run := func(name string) { nodes[name] = start(t, server, name, turns) }
	for i := range 3 {
		run(fmt.Sprint("n", i))
	}
	const kills, batch = 6, 400
	added := 0
	add := func() {
		events(t, client, want, added, batch)
		added += batch
	}
	for i := range kills {
		add()
		name := ""
		until(t, "a living node has the lease", func() bool {
			name = holder(t, client, "{wse:events}:lease")
			return nodes[name] != nil
		})
		// It publishes something, so that no entry is one that six readers die of; and more is to be published, or this look came late.
		deadline := time.Now().Add(patience)
		for before, midst := w.saw(), false; !midst; {
			require.True(t, time.Now().Before(deadline), "nobody is in the middle of a batch: %d of %d are published", w.saw(), added)
			if w.saw() == added {
				add()
			}
			p, err := client.XPending(t.Context(), StreamEvents, group).Result()
			midst = err == nil && p.Count > 0 && w.saw() > before && w.saw() < added
		}
		nodes[name].kill()
		delete(nodes, name)
		run(fmt.Sprint("again", i))
	}
	t.Logf("%d readers were killed in the middle of batches, of %d entries in all", kills, added)
	w.settled(client, want, added)
}

func TestAPausedReaderThatWakesUpRepeatsNothing(t *testing.T) {
	t.Parallel() // most of it is waiting
	server := redistest.Single(t)
	client := server.Client()
	w, want := watch(t, client), make(map[string][]string)
	nodes := map[string]*process{"n0": start(t, server, "n0", turns), "n1": start(t, server, "n1", turns)}
	const batch = 400
	for i := range 4 {
		events(t, client, want, i*batch, batch)
		name := holder(t, client, "{wse:events}:lease")
		nodes[name].pause(t)
		events(t, client, want, 10_000+i*batch, batch)
		w.await(client, 2*(i+1)*batch)
		until(t, "another takes over", func() bool {
			return !strings.HasPrefix(client.Get(t.Context(), "{wse:events}:lease").Val(), name+" ") && w.saw() == 2*(i+1)*batch
		})
		nodes[name].signal(syscall.SIGCONT)
	}
	w.settled(client, want, 8*batch)
}

func TestAPausedIngressThatWakesUpPublishesNothingAgain(t *testing.T) {
	t.Parallel() // most of it is waiting
	server := redistest.Single(t)
	client := server.Client()
	w := watch(t, client)
	const long = 3 * turns // what a hearer could not publish in its turn is lost, so that only the one that sleeps may lose its own
	nodes := map[string]*process{"n0": start(t, server, "n0", long), "n1": start(t, server, "n1", long)}
	const key = "wse:{_ingress}:lease"
	first := holder(t, client, key)
	hears := func(n int64) func() bool { // the witness hears too
		return func() bool {
			return client.PubSubNumPat(t.Context()).Val() >= 1 && client.Publish(t.Context(), "wse:_ping", "").Val() == n
		}
	}
	until(t, "it hears", hears(2))
	publish := func(from, n int) {
		for i := from; i < from+n; i++ {
			require.NoError(t, client.Publish(t.Context(), "wse:public:news", fmt.Sprintf(`{"t":"x","p":{"n":%d}}`, i)).Err())
		}
	}
	publish(0, 100)
	until(t, "these", func() bool { return w.saw() == 100 })
	nodes[first].pause(t)
	publish(100, 100) // only who sleeps has heard these
	until(t, "another takes over", func() bool { return holder(t, client, key) != first })
	until(t, "it hears", hears(3))
	publish(200, 100)
	until(t, "these", func() bool { return w.saw() == 200 })
	nodes[first].signal(syscall.SIGCONT)
	until(t, "who woke up hears no more", hears(2))
	publish(300, 1)
	until(t, "the last", func() bool { return w.saw() == 201 })
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Empty(t, w.bad)
	ids := slices.Clone(w.ids["wse:public:news"])
	slices.Sort(ids)
	require.Len(t, slices.Compact(ids), 201, "none twice; what was heard by nobody is lost, as is said")
}
