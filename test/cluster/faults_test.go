package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/redis/redistest"
	"github.com/wse-engine/wse/test/oracle"
)

// fault is something that happens while somebody publishes and reads, and what subscribers see of it. After each one all nodes
// have to become ready, and every subscriber has to see what is published from then on.
type fault struct {
	name string
	// lossless: nobody may be told that anything of a topic with a long history may be missing.
	lossless bool
	// where says on which topologies it can happen; nil: on all.
	where func(r *redisServers) bool
	do    func(w *world)
	// quick: another server is to take the place of one.
	quick bool
	// main: what it shows does not depend on how connections are made, so it happens on the three main topologies only.
	main bool
}

func onSingle(r *redisServers) bool   { return r.single != nil }
func onSharded(r *redisServers) bool  { return r.sharded != nil }
func onReplicas(r *redisServers) bool { return r.survives() }

// faults are what happens, each with what subscribers see.
func faults() []fault {
	return []fault{
		{name: "garbage on channels reaches nobody", lossless: true, do: garbage},
		{name: "an oversized payload is refused and the topic goes on", lossless: true, do: oversized, main: true},
		{name: "a foreign program's envelope is numbered once, whatever numbers it has", lossless: true, do: foreignEnvelope},
		{name: "a forged number is found out and told", do: forgedNumber},
		{name: "a key of the wrong type concerns its topic only", do: wrongType, main: true},
		{name: "a server that sleeps delays and loses nothing", lossless: true, do: asleep, main: true},
		{name: "a slow script delays and loses nothing", lossless: true, do: slowScript, main: true},
		{name: "a full server refuses and loses nothing", lossless: true, do: full, main: true},
		{name: "clients that are killed come back and lose nothing", lossless: true, do: clientsKilled},
		{name: "one node cut off says so and fills what it missed", lossless: true, do: oneCut},
		{name: "all nodes cut off refuse clearly and go on", lossless: true, do: allCut, main: true},
		{name: "answers that never come are found out", lossless: true, do: oneWay, main: true},
		{name: "answers that end in the middle are asked for again", lossless: true, do: halfAnswers, main: true},
		{name: "a slow network loses nothing", lossless: true, do: slowNetwork, main: true},
		{name: "a node that is stopped and goes on fills what it missed", lossless: true, do: nodePaused, main: true},
		{name: "a node that is killed is left, and comes back", lossless: true, do: nodeKilled},
		{name: "a primary that becomes read-only refuses, and begins anew after", where: onSingle, do: readOnly, main: true},
		{name: "an orderly failover tells what may be missing", where: onReplicas, do: failover, quick: true},
		{name: "a primary killed while publishing is replaced, and nothing accepted is missing", where: onReplicas, do: primaryKilled, quick: true},
		{name: "a server that comes back empty is told", where: onSingle, do: restarted},
		{name: "topics whose slots move begin anew", where: onSharded, do: slotsMove},
		{name: "nodes whose plugins differ say so, and nothing is missing", lossless: true, do: differentPlugins, main: true},
		{name: "a plugin is swapped on all nodes, and nothing is missing", lossless: true, do: swappedOnAll, main: true},
		{name: "a node that is stopped during a swap follows before it is ready", lossless: true, do: swappedWhilePaused, main: true},
		{name: "a node that is killed while it swaps leaves one version on all", lossless: true, do: swapperKilled, main: true},
		{name: "an emptied server is told", do: flushed},
	}
}

// TestFaults has everything happen on every topology, one after another, while somebody publishes and reads.
func TestFaults(t *testing.T) {
	count := &tally{cases: make(map[string][2]int)}
	t.Run("on", func(t *testing.T) {
		for _, how := range topologies() {
			t.Run(how.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, how)
				all := slices.DeleteFunc(faults(), func(f fault) bool { return f.where != nil && !f.where(w.redis) || f.main && how.variant })
				count.add(how.name, 0, len(all))
				for _, f := range all {
					passed := t.Run(f.name, func(t *testing.T) {
						w.suffer(t, f)
						count.add(how.name, 1, 0)
					})
					if !passed {
						return // what follows would fail for the same reason
					}
				}
			})
		}
	})
	if os.Getenv("WSE_CLUSTER_SUMMARY") != "" || !strings.Contains(testRun(), "/") {
		count.report(t)
	}
}

// suffer has a fault happen.
func (w *world) suffer(t *testing.T, f fault) {
	outer := w.t
	w.t = t
	defer func() { w.t = outer }()
	began, told := time.Now(), w.totalTold(keys()...)
	for _, n := range w.nodes {
		n.claim(truth{})
	}
	w.awaitAccepted(20)
	if f.quick {
		w.redis.patient(false)
	}
	f.do(w)
	if f.quick {
		w.redis.patient(true)
	}
	w.awaitAccepted(20)
	w.settle()
	if f.lossless {
		require.Equal(t, told, w.totalTold(keys()...), "nothing of a long history may be missing, seed %d", w.seed)
	}
	t.Logf("%s: told %d times, %d refused so far, the machine did not keep up %d times", time.Since(began).Round(10*time.Millisecond),
		w.totalTold(topics()...), w.refused.Load(), w.machine.lags())
}

// raw runs commands of a foreign program.
func (w *world) raw(f func(ctx context.Context, c goredis.Pipeliner)) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, recoveryMax)
	defer cancel()
	_, err := w.foreign.Do().Pipelined(ctx, func(c goredis.Pipeliner) error {
		f(ctx, c)
		return nil
	})
	require.NoError(w.t, err)
}

// shout publishes on the channel of a topic as a foreign program does.
func (w *world) shout(topic string, text []byte) {
	w.t.Helper()
	w.raw(func(ctx context.Context, c goredis.Pipeliner) { c.Publish(ctx, "wse:"+topic, text) })
}

func garbage(w *world) {
	channels := append(topics(), "_bus", "_probe:n1", "_", "", "user:*:x", "no such topic", strings.Repeat("x", 3000))
	w.raw(func(ctx context.Context, c goredis.Pipeliner) {
		for _, text := range []string{
			"", "x", "\x00\xff\xfe", "[]", "[1,2]", "null", `"text"`, "{", "{}", `{"t":1}`, `{"t":"x"}`, `{"v":2,"seq":`, `{"v":2,"seq":}`, `{"v":2,"seq":-1,"epoch":"00000000"}`,
			`{"v":2,"seq":99999999999999999999999,"epoch":"aaaaaaaa"}`, `{"v":2,"notice":`, `{"v":2,"notice":"presence"}`, `{"v":3}`, strings.Repeat("[", 10_000),
		} {
			for _, channel := range channels {
				c.Publish(ctx, "wse:"+channel, text)
				if w.redis.sharded != nil {
					c.SPublish(ctx, "wse:"+channel, text)
				}
			}
		}
	})
}

// oversized: who is refused while he still sends may lose the answer with the connection, and asks again.
func oversized(w *world) {
	w.shout(keys()[0], append([]byte(`{"t":"x","p":{"in":"`), append(bytes.Repeat([]byte("x"), 3<<20), `"}}`...)...))
	a, _ := w.nodes[0].running()
	doc := fmt.Appendf(nil, `{"topic":%q,"t":"x","p":{"in":%q}}`, keys()[0], strings.Repeat("x", 3<<20))
	_, err := w.post(a, doc)
	var r *refusal
	for late := time.Now().Add(recoveryMax); err != nil && !errors.As(err, &r) && time.Now().Before(late); {
		_, err = w.post(a, doc)
	}
	require.ErrorAs(w.t, err, &r)
	require.Contains(w.t, []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity}, r.Status, "%v", r)
}

// foreignEnvelope: whoever publishes on the channel has his envelope numbered as if it came over the admin API, also where he does so
// again with the same id, since nobody tells him that he was heard. What has an epoch or a number that nodes give is a dead letter, which
// says so.
func foreignEnvelope(w *world) {
	topic := keys()[1]
	good, odd := fmt.Sprintf("foreign-%d", w.marks), fmt.Sprintf("numbered-%d", w.marks)
	numbered := func(id string) bool { return w.ledger.Knows(topic, id) }
	letters := ""
	again := time.NewTicker(pace)
	defer again.Stop()
	for late := time.Now().Add(recoveryMax); time.Now().Before(late); <-again.C { // nobody hears it while nobody has the lease
		w.shout(topic, fmt.Appendf(nil, `{"t":"update","id":%q,"p":{"in":%q}}`, good, topic))
		w.shout(topic, fmt.Appendf(nil, `{"t":"update","id":%q,"seq":77777,"e":"deadbeef","o":77777,"p":{"in":%q}}`, odd, topic))
		if w.becomes(time.Second, func() bool { return numbered(good) }) {
			a, _ := w.nodes[0].running()
			if letters = w.get(a, "/api/v1/dead-letters?channel="+topic, &struct{}{}); strings.Contains(letters, odd) {
				break
			}
		}
	}
	require.True(w.t, numbered(good), "the foreign publication has a number")
	require.Contains(w.t, letters, odd, "and one with numbers of its own is to be found among the dead letters")
	require.False(w.t, numbered(odd))
}

// forgedNumber: what begins as a numbered publication does may be delivered, where it has the next number. When the one that
// has the number comes, the subscribers of this topic are told that it begins anew.
func forgedNumber(w *world) {
	topic, others := keys()[2], slices.Delete(keys(), 2, 3)
	told := w.totalTold(others...)
	w.change(func() { w.free[topic] = true })
	for i := range 5 {
		id := fmt.Sprintf("forged-%d-%d", w.marks, i)
		w.ledger.Forge(id)
		var at oracle.Place
		w.change(func() { at = w.subscribers[0].at[topic] })
		w.imitate(topic, fmt.Appendf(nil, `{"v":2,"seq":%d,"epoch":%q,"at":1,"t":"update","p":{"in":%q},"id":%q,"topic":%q}`, at.Seq+1, at.Epoch, topic, id, topic))
		w.awaitAccepted(10)
	}
	w.mark(w.nodes[1], topic) // from here on nobody is beyond the truth
	w.awaitAccepted(20)
	w.change(func() { w.free[topic] = false })
	require.Equal(w.t, told, w.totalTold(others...), "other topics have nothing to do with it")
}

// imitate publishes on the channel of a topic the way that nodes do.
func (w *world) imitate(topic string, text []byte) {
	w.t.Helper()
	w.raw(func(ctx context.Context, c goredis.Pipeliner) {
		c.Publish(ctx, "wse:"+topic, text)
		if w.redis.more != "" {
			c.SPublish(ctx, "wse:"+topic, text)
		}
	})
}

func wrongType(w *world) {
	topic, others := keys()[3], keys()[:3]
	told := w.totalTold(others...)
	w.change(func() { w.free[topic] = true })
	meta := "{wse:" + topic + "}:m"
	w.raw(func(ctx context.Context, c goredis.Pipeliner) { c.Set(ctx, meta, "a foreign program's", 0) })
	a, _ := w.nodes[0].running()
	_, err := w.post(a, fmt.Appendf(nil, `{"topic":%q,"t":"update","p":{"in":%q}}`, topic, topic))
	var r *refusal
	require.ErrorAs(w.t, err, &r, "who publishes there is refused")
	require.Eventually(w.t, func() bool { return strings.Contains(a.Output(), meta) }, recoveryMax, pace, "operators are told of the key")
	w.awaitAccepted(20)
	require.Equal(w.t, told, w.totalTold(others...), "other topics have nothing to do with it")
	w.raw(func(ctx context.Context, c goredis.Pipeliner) { c.Del(ctx, meta) })
	w.mark(w.nodes[0], topic)
	w.awaitAccepted(20) // what was refused before is over
	w.change(func() { w.free[topic] = false })
}

func asleep(w *world) {
	for _, s := range w.redis.primaries() {
		<-s.DebugSleep(400 * time.Millisecond)
	}
}

func slowScript(w *world) {
	for _, s := range w.redis.primaries() {
		<-s.SlowScript(400 * time.Millisecond)
	}
}

func full(w *world) {
	primaries := w.redis.primaries()
	for _, s := range primaries {
		s.LimitMemory(true)
	}
	w.awaitRefused(5)
	for _, s := range primaries {
		s.LimitMemory(false)
	}
}

func clientsKilled(w *world) {
	for range 3 {
		for _, s := range w.redis.primaries() {
			s.KillClients("pubsub")
			s.KillClients("normal")
		}
		w.awaitAccepted(10)
	}
}

// turnsRed waits until the readiness page says no, which it has to within redWithin, and from then on until something else is claimed.
func (n *node) turnsRed(from time.Time) {
	n.world.t.Helper()
	n.claim(truth{bound: true, ready: false, from: from})
	n.awaitReady(false, recoveryMax)
}

// oneCut: the node says within five seconds that it is not ready, and so until it is mended. The others stay ready. Its clients stay,
// and get all that they missed.
func oneCut(w *world) {
	cut, others := w.nodes[0], w.nodes[1:]
	for _, n := range others {
		n.claimReady()
	}
	cut.net.cut()
	cut.turnsRed(time.Now())
	a, _ := cut.running()
	_, err := w.post(a, fmt.Appendf(nil, `{"topic":%q,"t":"update","p":{"in":%q}}`, keys()[0], keys()[0]))
	var r *refusal
	require.ErrorAs(w.t, err, &r, "who publishes there is told so")
	require.Equal(w.t, http.StatusServiceUnavailable, r.Status, "%v", r)
	require.NotEmpty(w.t, r.Detail)
	w.awaitAccepted(30)
	require.False(w.t, cut.lost(a.life))
	cut.claim(truth{})
	cut.net.mend()
}

func allCut(w *world) {
	for _, n := range w.nodes {
		n.net.cut()
	}
	from := time.Now()
	w.awaitRefused(8)
	for _, n := range w.nodes {
		n.turnsRed(from)
	}
	for _, n := range w.nodes {
		n.claim(truth{})
		n.net.mend()
	}
}

// oneWay: what is asked for is done and nobody hears of it. Who tried it again must not have done it twice.
func oneWay(w *world) {
	n := w.nodes[1]
	n.net.poison(toxin{"timeout", "downstream", map[string]int{"timeout": 0}})
	n.turnsRed(time.Now())
	w.awaitAccepted(10)
	n.claim(truth{})
	n.net.cure()
}

// halfAnswers: connections end after so many bytes, again and again.
func halfAnswers(w *world) {
	n := w.nodes[2]
	n.net.poison(toxin{"limit_data", "downstream", map[string]int{"bytes": 3000}})
	w.awaitAccepted(60)
	n.net.cure()
}

func slowNetwork(w *world) {
	for _, n := range w.nodes {
		n.net.poison(toxin{"latency", "downstream", map[string]int{"latency": 60, "jitter": 40}})
	}
	w.awaitAccepted(60)
	for _, n := range w.nodes {
		n.net.cure()
	}
}

// nodePaused: a node is stopped for WSE_CLUSTER_PAUSE, or shorter than anybody notices.
func nodePaused(w *world) {
	n := w.nodes[1]
	n.signal(syscall.SIGSTOP)
	until := time.NewTimer(howLong(w.t, "WSE_CLUSTER_PAUSE", 3*time.Second))
	defer until.Stop()
	w.awaitAccepted(20)
	<-until.C
	n.resume()
}

func nodeKilled(w *world) {
	n := w.nodes[2]
	n.kill()
	w.awaitAccepted(20)
	require.NoError(w.t, n.start())
}

func readOnly(w *world) {
	told := w.totalTold(keys()...)
	w.redis.single.Demote()
	w.awaitRefused(4)
	w.redis.single.Promote()
	w.awaitToldOf(told)
}

// awaitToldOf waits until subscribers were told more often than that.
func (w *world) awaitToldOf(before int) {
	w.t.Helper()
	w.await("subscribers are told", func() bool {
		n := 0
		for _, topic := range keys() {
			n += w.told[topic]
		}
		return n > before
	})
}

func failover(w *world) {
	told := w.totalTold(keys()...)
	if w.redis.watched != nil {
		w.redis.watched.Failover()
	} else {
		w.redis.sharded.Failover(w.redis.sharded.Slot("wse:" + keys()[0]))
	}
	w.awaitToldOf(told)
}

func primaryKilled(w *world) {
	told := w.totalTold(keys()...)
	old := w.redis.of(keys()[0])
	old.Kill()
	if w.redis.watched != nil {
		w.redis.watched.AwaitPrimary(old)
	} else {
		w.redis.sharded.AwaitOwner(w.redis.sharded.Slot("wse:"+keys()[0]), old)
	}
	w.awaitToldOf(told)
	old.Start()
	w.redis.whole()
}

func restarted(w *world) {
	told := w.totalTold(keys()...)
	w.redis.single.Kill()
	w.awaitRefused(3)
	w.redis.single.Start()
	w.awaitToldOf(told)
}

// slotsMove: a topic's epoch is bound to the server that numbers it, and another one has it now.
func slotsMove(w *world) {
	told := w.totalTold(keys()...)
	for _, topic := range keys() {
		slot := w.redis.sharded.Slot("wse:" + topic)
		owner := w.redis.sharded.AwaitOwner(slot, nil)
		others := slices.DeleteFunc(w.redis.primaries(), func(s *redistest.Server) bool { return s == owner })
		w.redis.sharded.Move(slot, others[0])
		w.awaitAccepted(10)
	}
	w.awaitToldOf(told)
}

func flushed(w *world) {
	told := w.totalTold(keys()...)
	for _, s := range w.redis.primaries() {
		s.FlushAll()
	}
	w.awaitToldOf(told)
}

// differentPlugins: what a plugin makes of an event depends on the node then, so operators can see it at each of them.
func differentPlugins(w *world) {
	const name = "mapping"
	stock, err := os.ReadFile("../../configs/mappings.yaml")
	require.NoError(w.t, err)
	odd, _ := w.nodes[0].running()
	w.command(odd, "swap", "application/yaml", bytes.Replace(stock, []byte("event: OrderPlacedEvent"), []byte("event: OrderPlacedOddly"), 1))
	w.awaitPlugins(name, 2)
	w.awaitAccepted(20)
	w.command(odd, "rollback", "application/json", nil)
	w.awaitPlugins(name, 1)
}

// command has a node do something to its plugin.
func (w *world) command(a alive, what, kind string, body []byte) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.ctx, http.MethodPost, "http://"+a.Admin+"/api/v1/plugins/mapping/"+what, bytes.NewReader(body))
	require.NoError(w.t, err)
	request.Header.Set("Content-Type", kind)
	response, err := w.http.Do(request)
	require.NoError(w.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	require.Equal(w.t, http.StatusOK, response.StatusCode, "%s", text)
}

// awaitPlugins waits until every node knows of so many versions of a plugin among the nodes.
func (w *world) awaitPlugins(name string, versions int) {
	w.t.Helper()
	for _, n := range w.nodes {
		said, well := "", false
		again := time.NewTicker(pace)
		defer again.Stop()
		for late := time.Now().Add(recoveryMax); !well && time.Now().Before(late); <-again.C {
			var page struct {
				Nodes       []struct{ ID string }
				Differences map[string]map[string][]string
			}
			a, _ := n.running()
			said = w.get(a, "/api/v1/nodes", &page)
			well = len(page.Nodes) == len(w.nodes) && max(1, len(page.Differences["plugin:"+name])) == versions
		}
		require.True(w.t, well, "%s should see %d versions of %s, and says %s", n.name, versions, name, said)
	}
}

// get reads a page of the admin API into a value, and returns its text or what went wrong.
func (w *world) get(a alive, path string, into any) string {
	response, err := w.http.Get("http://" + a.Admin + path)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return err.Error()
	}
	return string(text)
}
