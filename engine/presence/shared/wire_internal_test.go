package shared

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
	"github.com/wse-engine/wse/engine/presence/presencetest"
	"github.com/wse-engine/wse/engine/redis"
)

func FuzzReadNotices(f *testing.F) {
	for _, seed := range []string{
		`{"v":2,"notice":"presence","life":1764064800000000,"ts":1764064800000,"id":"prs_1.0","changes":[{"ver":1764064800000007,"kind":"join","user":"u1","since":1764064800000,"stamp":0}]}`,
		`{"v":2,"notice":"presence","life":1,"ts":1,"id":"x","changes":[{"ver":2,"kind":"update","user":"a\"b","since":1,"stamp":3,"data":{"n":[1,{}]}},{"ver":3,"kind":"leave","user":"u","since":1,"stamp":0}]}`,
		`{"v":2,"notice":"presence","life":1,"id":"x","changes":[{"ver":2,"kind":"join","user":"u","data":[1]}]}`, `{`, ``, `[]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := readNotices(body)
		require.Equal(t, err != nil, len(list) == 0)
		for _, n := range list {
			require.True(t, n.version > 0 && n.version < versionMax && n.life > 0 && n.life < versionMax)
			require.NotEmpty(t, n.member.UserID)
			require.NotEmpty(t, n.kind.String())
			require.True(t, sound(n.member.Data))
		}
	})
}

func FuzzReadRecord(f *testing.F) {
	for _, seed := range []string{"1,1764064800000,k,0,0,", `2,1,kuc,1764064800000000,5,{"a":1,"b":","}`, "1,2,,3,4", "-1,2,,3,4,", "1,2,k,3,4,x", ",,,,,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rec, ok := readRecord("u", text)
		if !ok {
			require.Zero(t, rec)
			return
		}
		require.GreaterOrEqual(t, rec.Connections, 0)
		require.True(t, sound(rec.Data))
	})
}

func TestAnAnswerThatTheScriptDoesNotGiveIsAnError(t *testing.T) {
	for _, reply := range [][]any{
		nil, {int64(1)}, {"full"}, {"ok"}, {"ok", "1", "1", int64(-1), int64(-1), "0", []any{"x"}, []any{}, nil, int64(0)},
		{"ok", "1", "1", int64(-1), int64(-1), "0", []any{}, []any{[]any{"o"}}, nil, int64(0)}, {"ok", "-5", "1"},
	} {
		_, err := readAnswer(reply)
		require.ErrorIs(t, err, errGarbled, "%v", reply)
	}
	a, err := readAnswer([]any{"ok", "7", "5", int64(100), int64(-1), "3", []any{int64(1), int64(2), int64(3)},
		[]any{[]any{"o", "9", "0", ""}}, []any{"u", "1,2,k,3,0,"}, int64(1)})
	require.NoError(t, err)
	require.Equal(t, uint64(7), a.version)
	require.Len(t, a.list, 1)
	require.True(t, a.restored)
}

func TestSoManyNoticesAreHeldWhileWhatWasMissedIsRead(t *testing.T) {
	remote := redis.DefaultConfig()
	remote.Addrs = []string{"127.0.0.1:1"} // nothing is ever read
	client, err := redis.Open(remote, "")
	require.NoError(t, err)
	defer client.Close()
	cfg := DefaultConfig()
	cfg.NoticesHeldMax = 3
	board := presencetest.NewBoard()
	p, err := New(cfg, presence.DefaultConfig(), presencetest.Classes(t), client, "n", board, Options{})
	require.NoError(t, err)
	const room = message.Topic("public:room:a")
	for i, version := range []int{5, 7, 8, 9, 10, 11, 12, 13} {
		p.Notice(room, fmt.Appendf(nil, `{"v":2,"notice":"presence","life":1,"ts":1,"id":"x","changes":[{"ver":%d,"kind":"join","user":"u%d"}]}`, version, i))
		require.LessOrEqual(t, len(p.topics[room].held), 3)
	}
	require.Len(t, board.All(), 1, "those after a gap are not handed on before it is known what was in it")
	require.True(t, p.topics[room].compare)
}
