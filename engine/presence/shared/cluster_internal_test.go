package shared

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
	"github.com/wse-engine/wse/engine/presence/presencetest"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

func TestAServerThatIsSilentHarmsItsOwnTopicsOnly(t *testing.T) {
	t.Parallel() // most of it is waiting
	servers := redistest.Cluster(t, redistest.Options{})
	for _, s := range servers.Nodes { // others would take the silent one for dead, and the Cluster for incomplete
		require.NoError(t, s.Client().ConfigSet(t.Context(), "cluster-node-timeout", "60000").Err())
	}
	remote := servers.Config()
	remote.CommandTimeout = 4 * time.Second
	client, err := redis.Open(remote, "")
	require.NoError(t, err)
	defer client.Close()
	p, err := New(DefaultConfig(), presence.DefaultConfig(), presencetest.Classes(t), client, "n", presencetest.NewBoard(), Options{})
	require.NoError(t, err)
	silent := servers.AwaitOwner(servers.Slot("{wse:public:room:0}:p"), nil)
	var batch []*topic
	var harmed []*topic
	for i := range 30 {
		tp := p.acquire(message.Topic(fmt.Sprintf("public:room:%d", i)))
		tp.enter("alice", "a1")
		batch = append(batch, tp)
		p.release(tp)
		if servers.AwaitOwner(servers.Slot("{wse:"+string(tp.name)+"}:p"), nil) == silent {
			harmed = append(harmed, tp)
		}
	}
	require.True(t, p.fly(t.Context(), batch))
	for _, tp := range batch {
		tp.check = true
	}
	silent.Pause()
	defer silent.Resume()
	require.True(t, p.fly(t.Context(), batch), "others answer")
	require.False(t, p.Figures().Down)
	require.Equal(t, harmed, p.later.topics, "they are tried without the others, which have nothing more to do")
	require.Len(t, p.queue.topics, 0)
	for _, tp := range batch {
		require.Equal(t, slices.Contains(harmed, tp), tp.away, tp.name)
	}
}
