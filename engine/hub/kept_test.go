package hub_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/dialect/wse"
	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/message"
)

// counting is a dialect that counts what it writes.
type counting struct {
	wire
	n *atomic.Int64
}

func (c counting) AppendPublication(dst []byte, e *message.Envelope) []byte {
	c.n.Add(1)
	return c.wire.AppendPublication(dst, e)
}

// keeping makes a hub with an encoding whose large frames are kept and one whose are not.
func keeping(bytesMax int) (h *hub.Hub, costly, cheap *atomic.Int64) {
	costly, cheap = new(atomic.Int64), new(atomic.Int64)
	l := &loop{}
	h = hub.New([]hub.Lane{l}, []dialect.Encoding{
		{Name: "costly", Dialect: counting{n: costly}, KeepBytesMin: 100}, {Name: "cheap", Dialect: counting{n: cheap}},
	}, hub.WithKeptBytes(bytesMax))
	l.work = h.Works()[0]
	return h, costly, cheap
}

func large(seq uint64) *message.Envelope {
	env := envelope("user:u:events", "e", seq)
	env.Payload = []byte(`{"a":"` + strings.Repeat("x", 1000) + `"}`)
	return env
}

func TestALargePublicationIsMadeOncePerEncodingForDeliveryAndAllReplays(t *testing.T) {
	h, costly, cheap := keeping(1 << 20)
	a := &client{}
	m := h.Member(a)
	join(h, &m, "user:u:events")
	envs := []*message.Envelope{large(1), large(2)}
	for _, env := range envs {
		h.Deliver(env)
	}
	require.EqualValues(t, 2, costly.Load())
	for range 3 {
		out := h.Batch(envs, 0, message.Critical)
		replayed := &client{}
		replayed.Enqueue(out)
		require.Equal(t, a.got, replayed.got)
	}
	require.EqualValues(t, 2, costly.Load(), "made once")
	for range 3 {
		h.Batch(envs, 1, message.Critical)
	}
	require.EqualValues(t, 6, cheap.Load(), "cheap ones are not kept")
}

func TestOnlyLargePublicationsWithHistoryAreKept(t *testing.T) {
	h, costly, _ := keeping(1 << 20)
	small, passing, giant := envelope("user:u:events", "e", 1), large(2), large(3)
	passing.Epoch = 0
	giant.Payload = []byte(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`)
	for range 2 {
		h.Batch([]*message.Envelope{small, passing, giant}, 0, message.Critical)
	}
	require.EqualValues(t, 6, costly.Load())
	none, costly, _ := keeping(0)
	one := large(1)
	for range 2 {
		none.Batch([]*message.Envelope{one}, 0, message.Critical)
	}
	require.EqualValues(t, 2, costly.Load())
}

func TestTheOldestKeptFramesMakeRoom(t *testing.T) {
	h, costly, _ := keeping(10_000) // three of about 2,700
	envs := []*message.Envelope{large(1), large(2), large(3), large(4)}
	h.Batch(envs, 0, message.Critical)
	require.EqualValues(t, 4, costly.Load())
	h.Batch(envs[1:], 0, message.Critical)
	require.EqualValues(t, 4, costly.Load(), "the newest three are there")
	h.Batch(envs[:1], 0, message.Critical)
	require.EqualValues(t, 5, costly.Load(), "the first had to go")
	h.Batch(envs[1:2], 0, message.Critical)
	require.EqualValues(t, 6, costly.Load(), "and now the second")
}

func TestClientsThatComeBackAtOnceShareAKeptFrame(t *testing.T) {
	h, costly, _ := keeping(1 << 20)
	envs := []*message.Envelope{large(1), large(2), large(3)}
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() { h.Batch(envs, 0, message.Critical) })
	}
	clients.Wait()
	require.EqualValues(t, 3, costly.Load())
}

// BenchmarkReplay makes a replay of ten publications of 4 KB as a client with compression=true gets them.
func BenchmarkReplay(b *testing.B) {
	v2 := wse.New(wse.Config{CompressBytesMin: 1024})
	envs := make([]*message.Envelope, 10)
	for i := range envs {
		envs[i] = large(uint64(i + 1))
		envs[i].Payload = fmt.Appendf(nil, `{"rows":[%s{}]}`, strings.Repeat(fmt.Sprintf(`{"symbol":"S%d","price":%d.5},`, i, i), 160))
	}
	for name, bytesMax := range map[string]int{"kept": 1 << 20, "made again": 0} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			h := hub.New(nil, []dialect.Encoding{{Dialect: v2, Wrapper: v2.Zlib(), KeepBytesMin: 1024}}, hub.WithKeptBytes(bytesMax))
			for b.Loop() {
				h.Batch(envs, 0, message.Critical)
			}
		})
	}
}
