package redis

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// compiled returns c ready for use.
func compiled(t testing.TB, c broker.Class) *broker.CompiledClass {
	t.Helper()
	classes, err := broker.CompileClasses([]broker.Class{c})
	require.NoError(t, err)
	return classes.List()[0]
}

// written is a publication as the script makes it.
func written(seq uint64, epoch string, env *message.Envelope) []byte {
	head := `{"v":2,"seq":` + strconv.FormatUint(seq, 10) + `,"epoch":"` + epoch + `","at":1763800000000123,`
	return appendPublication([]byte(head), env)
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	sent := message.Envelope{
		Type: "order_update", Topic: topicOne, Payload: []byte(`{"a":"\"}"}`), ID: `evt"1`, TimeMS: 1_763_800_000_123, Priority: 7,
		CID: "c1", TraceID: "tr1", EventVersion: 3, LatencyMS: 12, Encrypted: true,
	}
	got, epoch, err := decode(compiled(t, class(10)), topicOne, written(42, "0badcafe", &sent))
	require.NoError(t, err)
	require.Equal(t, message.Epoch(0x0badcafe), epoch)
	sent.Seq, sent.Epoch, sent.Level = 42, epoch, message.Normal
	require.Equal(t, sent, *got)

	got, epoch, err = decode(compiled(t, class(0)), topicOne, written(42, "0badcafe", &sent))
	require.NoError(t, err)
	require.Zero(t, got.Epoch, "a class without history shows none")
	require.NotZero(t, epoch)
}

func TestWhatNoNodeWroteIsForeign(t *testing.T) {
	keeping := compiled(t, class(10))
	whole := string(written(42, "0badcafe", update(topicOne)))
	for name, raw := range map[string]string{
		"nothing":               "",
		"only the head":         head,
		"other bytes":           `{"t":"x","p":{}}`,
		"cut off":               whole[:len(whole)-1],
		"more after it":         whole + "x",
		"no epoch":              strings.Replace(whole, `"epoch":"0badcafe"`, `"e":1`, 1),
		"epoch 0":               strings.Replace(whole, "0badcafe", "00000000", 1),
		"epoch of nine digits":  strings.Replace(whole, "0badcafe", "0badcafe1", 1),
		"epoch of other digits": strings.Replace(whole, "0badcafe", "0badcaf\u00e9", 1),
		"number 0":              strings.Replace(whole, `"seq":42`, `"seq":0`, 1),
		"negative number":       strings.Replace(whole, `"seq":42`, `"seq":-1`, 1),
		"number too large":      strings.Replace(whole, `"seq":42`, `"seq":99999999999999999999`, 1),
		"no type":               strings.Replace(whole, `"t":"order_update"`, `"x":1`, 1),
		"payload is a list":     strings.Replace(whole, `{"a":1}`, `[1]`, 1),
		"no payload":            strings.Replace(whole, `"p":{"a":1}`, `"x":1`, 1),
		"priority 11":           strings.Replace(whole, `"ms":`, `"pri":11,"ms":`, 1),
	} {
		_, _, err := decode(keeping, topicOne, []byte(raw))
		require.ErrorIs(t, err, errForeign, name)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(written(1, "0badcafe", update(topicOne)))
	f.Add(written(1<<63, "ffffffff", &message.Envelope{Type: "x_snapshot", Payload: []byte(`{}`), ID: "\x00\u2028", CID: "c", Encrypted: true}))
	f.Add([]byte(head))
	f.Add([]byte(`{"v":2,"seq":1,"epoch":"00000001","t":"a","p":{},"p":{"b":[]},"pri":3,"latency_ms":-5}`))
	keeping := compiled(f, class(10))
	f.Fuzz(func(t *testing.T, raw []byte) {
		env, epoch, err := decode(keeping, topicOne, bytes.Clone(raw))
		if err != nil {
			require.ErrorIs(t, err, errForeign)
			return
		}
		require.NotZero(t, epoch)
		require.NotZero(t, env.Seq)
		again, _, err := decode(keeping, topicOne, written(env.Seq, string(appendEpoch(nil, epoch)), env))
		require.NoError(t, err)
		env.LatencyMS, again.LatencyMS = max(env.LatencyMS, 0), max(again.LatencyMS, 0) // 0 or less is none
		require.Equal(t, env, again, "what was read is written as it was")
	})
}

func TestSlotsAreThoseOfRedis(t *testing.T) {
	// CRC16 of "123456789" is 0x31C3, and of its channel's name what redis-server 7.0 answers to CLUSTER KEYSLOT.
	require.EqualValues(t, 0x31c3, func() (crc uint16) {
		for _, c := range []byte("123456789") {
			crc = crc<<8 ^ crc16[byte(crc>>8)^c]
		}
		return crc
	}())
	lanes := make([]*lane, 7)
	for i := range lanes {
		lanes[i] = &lane{name: strconv.Itoa(i)}
	}
	require.Same(t, lanes[0], laneOf(lanes, 0))
	require.Same(t, lanes[6], laneOf(lanes, slots-1))
}

func TestAServerThatTookOverASlotHasIt(t *testing.T) {
	r := &route{options: goredis.UniversalOptions{IsClusterMode: true}}
	r.moved("MOVED 5 127.0.0.1:2") // nothing is known of any slot
	require.Nil(t, r.table.Load())
	read := new(table)
	for slot, addr := range []string{"127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:2"} {
		read.places[slot] = read.place(addr)
	}
	r.table.Store(read)
	for _, answer := range []string{"MOVED 1 127.0.0.1:3", "ERR a script says: MOVED 2 127.0.0.1:1 and no more", "MOVED 0 :7", "MOVED 16384 127.0.0.1:4", "MOVED 0"} {
		r.moved(answer)
	}
	for slot, want := range []string{"127.0.0.1:1", "127.0.0.1:3", "127.0.0.1:1", ""} {
		addr, err := r.of(t.Context(), uint16(slot))
		require.Equal(t, want, addr)
		require.Equal(t, want == "", err != nil)
	}
	require.True(t, r.has("127.0.0.1:3"))
	require.False(t, r.has("127.0.0.1:4"))
	require.Equal(t, "127.0.0.1:1", read.owner(1), "what others have read stays as it was")
	require.Len(t, read.primaries, 2)
}

func TestWritingAndReadingAllocateLittle(t *testing.T) {
	env := &message.Envelope{Type: "order_update", Topic: topicOne, Payload: []byte(`{"order_id":"ord_1"}`), ID: "evt_1", TimeMS: 1, CID: "c"}
	buf := make([]byte, 0, 1024)
	require.Zero(t, testing.AllocsPerRun(100, func() { buf = appendPublication(buf[:0], env) }))
	keeping, raw := compiled(t, class(10)), written(1, "0badcafe", env)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _, _ = decode(keeping, topicOne, raw) }), 4.0, "the envelope and its texts")
}
