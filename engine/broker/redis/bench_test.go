package redis

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// benchTopics is how many topics benchmarks publish to.
const benchTopics = 100

var benchPayload = []byte(`{"order_id":"ord_1","status":"filled","symbol":"AAPL"}`)

func benchEnvelope(i int) *message.Envelope {
	return &message.Envelope{
		Topic: message.Topic("user:u" + strconv.Itoa(i%benchTopics) + ":order_events"), Type: "order_update",
		Payload: benchPayload, TimeMS: 1_763_800_000_000, LatencyMS: -1,
	}
}

// rawLoop is a connection on which commands go out that were written before, a batch at a time: what the server can do.
type rawLoop struct {
	conn    net.Conn
	answers *bufio.Reader
}

func newRawLoop(b *testing.B, addr string) *rawLoop {
	conn, err := net.Dial("tcp", addr)
	require.NoError(b, err)
	b.Cleanup(func() { _ = conn.Close() })
	return &rawLoop{conn, bufio.NewReaderSize(conn, 64<<10)}
}

func command(args ...string) (out []byte) {
	out = fmt.Appendf(out, "*%d\r\n", len(args))
	for _, a := range args {
		out = fmt.Appendf(out, "$%d\r\n%s\r\n", len(a), a)
	}
	return out
}

// run sends a batch n times and reads the answers, each of lines lines.
func (r *rawLoop) run(b *testing.B, batch []byte, answers, n int) {
	for range n {
		if _, err := r.conn.Write(batch); err != nil {
			b.Fatal(err)
		}
		for range answers {
			if err := r.skip(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// skip reads one answer: a line, and where it begins with $ as many bytes more.
func (r *rawLoop) skip() error {
	line, err := r.answers.ReadSlice('\n')
	if err != nil || line[0] == ':' || line[0] == '+' {
		return err
	}
	if line[0] != '$' {
		return fmt.Errorf("the server answered %q", line)
	}
	n, err := strconv.Atoi(string(line[1 : len(line)-2]))
	if err == nil {
		_, err = io.CopyN(io.Discard, r.answers, int64(n)+2)
	}
	return err
}

// publishCommand is the script call that the broker makes for the i-th publication of a batch.
func publishCommand(s *script, identity string, i int) []byte {
	env := benchEnvelope(i)
	env.ID = "evt_0123456789abcdef_1"
	mode := modeNext
	if i == 0 {
		mode = modeFirst
	}
	return command("EVALSHA", s.sha, "2", string(appendKey(nil, env.Topic)), "wse:_lane:bench", identity, fmt.Sprintf(";1.%d:", i), mode, "", "",
		string(appendPublication(nil, env)))
}

// BenchmarkThroughput publishes small publications as fast as it goes from many goroutines, beside one connection on which the same
// script calls go out written before and 256 at a time, and beside the least script that numbers and publishes. ratio is the
// broker's throughput by that of the script loop.
func BenchmarkThroughput(bench *testing.B) {
	for _, history := range []int{0, 1000} {
		bench.Run(fmt.Sprintf("history %d", history), func(bench *testing.B) {
			s := redistest.Single(bench)
			b := running(bench, s.Config(), nil, class(history))
			for i := range benchTopics {
				publish(bench, b, benchEnvelope(i))
			}
			raw := s.Client()
			identity, err := raw.HGet(bench.Context(), "{wse:user:u0:order_events}:m", "r").Result()
			require.NoError(bench, err)
			const batch = 256
			var same, least []byte
			sha := raw.ScriptLoad(bench.Context(), `local n = redis.call('INCR', KEYS[1]) redis.call('PUBLISH', ARGV[1], n .. ARGV[2]) return n`).Val()
			for i := range batch {
				same = append(same, publishCommand(b.scripts[b.classes.For(topicOne)].publish, identity, i)...)
				least = append(least, command("EVALSHA", sha, "1", "bench:n", "wse:user:u1:order_events", string(appendPublication(nil, benchEnvelope(i))))...)
			}
			loop := newRawLoop(bench, s.Addr())
			var ours, scripts, leasts time.Duration
			const rounds = 20 // of batches, each way in turn, so that what else the machine does meets all alike
			n := 0
			var own, servers time.Duration
			for bench.Loop() {
				n++
				scripts += timed(func() { loop.run(bench, same, batch, rounds) })
				server, self := serverCPU(bench, raw), ownCPU(bench)
				ours += timed(func() { flood(bench, b, batch*rounds) })
				own, servers = own+ownCPU(bench)-self, servers+serverCPU(bench, raw)-server
				leasts += timed(func() { loop.run(bench, least, batch, rounds) })
			}
			per := func(d time.Duration) float64 { return float64(n*batch*rounds) / d.Seconds() }
			bench.ReportMetric(per(ours), "pub/s")
			bench.ReportMetric(per(scripts), "script/s")
			bench.ReportMetric(per(leasts), "least/s")
			bench.ReportMetric(per(ours)/per(scripts), "ratio")
			bench.ReportMetric(float64(own.Nanoseconds())/1e3/float64(n*batch*rounds), "own-cpu-µs/pub")
			bench.ReportMetric(float64(servers.Nanoseconds())/1e3/float64(n*batch*rounds), "server-cpu-µs/pub")
			bench.ReportMetric(0, "ns/op")
		})
	}
}

// ownCPU is what this process has used. Beside other processes it says more than the time that went by.
func ownCPU(bench *testing.B) time.Duration {
	var used syscall.Rusage
	require.NoError(bench, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// serverCPU is what the server has used.
func serverCPU(bench *testing.B, raw *goredis.Client) (sum time.Duration) {
	info, err := raw.Info(bench.Context(), "cpu").Result()
	require.NoError(bench, err)
	for _, m := range regexp.MustCompile(`used_cpu_(?:user|sys):([\d.]+)`).FindAllStringSubmatch(info, -1) {
		seconds, err := strconv.ParseFloat(m[1], 64)
		require.NoError(bench, err)
		sum += time.Duration(seconds * float64(time.Second))
	}
	return sum
}

func timed(f func()) time.Duration {
	at := time.Now()
	f()
	return time.Since(at)
}

// flood publishes n publications from as many goroutines as keep the lanes busy.
func flood(bench *testing.B, b *Broker, n int) {
	const publishers = 512
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := p; i < n; i += publishers {
				if _, err := b.Publish(context.Background(), benchEnvelope(i)); err != nil {
					bench.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkLatency publishes one after the other and shows the median and the 99th percentile beside those of a plain PUBLISH of the same
// bytes over a connection of the client library.
func BenchmarkLatency(bench *testing.B) {
	s := redistest.Single(bench)
	b := running(bench, s.Config(), nil, class(1000))
	o := s.Client().Options()
	raw := goredis.NewClient(&goredis.Options{Addr: o.Addr, PoolSize: 1, Protocol: 2})
	defer raw.Close()
	body := appendPublication(nil, benchEnvelope(0))
	ctx := context.Background()
	var ours, plain []time.Duration
	for bench.Loop() {
		ours = append(ours, timed(func() { publish(bench, b, benchEnvelope(0)) }))
		plain = append(plain, timed(func() { raw.Publish(ctx, "wse:_bench", body) }))
	}
	at := func(ds []time.Duration, part float64) float64 {
		slices.Sort(ds)
		return float64(ds[int(part*float64(len(ds)-1))].Nanoseconds()) / 1e3
	}
	bench.ReportMetric(at(ours, .5), "p50-µs")
	bench.ReportMetric(at(ours, .99), "p99-µs")
	bench.ReportMetric(at(plain, .5), "plain-p50-µs")
	bench.ReportMetric(at(plain, .99), "plain-p99-µs")
	bench.ReportMetric(at(ours, .5)/at(plain, .5), "p50-ratio")
	bench.ReportMetric(0, "ns/op")
}

// TestAPublicationIsOneScriptCall counts what the server is asked for. Nothing else depends on how much is published.
func TestAPublicationIsOneScriptCall(t *testing.T) {
	s := redistest.Single(t)
	b := running(t, s.Config(), nil, class(100))
	publish(t, b, update(topicOne))
	raw := s.Client()
	require.NoError(t, raw.ConfigResetStat(t.Context()).Err())
	const n = 500
	for range n {
		publish(t, b, update(topicOne))
	}
	stats, err := raw.Info(t.Context(), "commandstats").Result()
	require.NoError(t, err)
	calls := make(map[string]int)
	for _, m := range regexp.MustCompile(`cmdstat_(\S+):calls=(\d+)`).FindAllStringSubmatch(stats, -1) {
		calls[m[1]], _ = strconv.Atoi(m[2])
	}
	require.Equal(t, n, calls["evalsha"])
	require.Equal(t, n, calls["publish"]-probes(calls), "inside of the script")
	require.Equal(t, probes(calls), calls["eval"])
	require.Zero(t, calls["script|load"]+calls["wait"])
}

// probes are what the node publishes to itself each second, by a script of its own.
func probes(calls map[string]int) int { return max(0, calls["publish"]-calls["rpush"]) }
