package intake

import (
	"context"
	"fmt"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

// BenchmarkStream publishes entries of a stream that is full, through the broker on Redis: all of one user, whose events wait for
// each other, and of many. The raw loop reads and acknowledges batches of the same size and does nothing else.
func BenchmarkStream(b *testing.B) {
	for _, users := range []int{1, 256} {
		for _, abreast := range []int{1, 64} {
			b.Run(fmt.Sprintf("users=%d/abreast=%d", users, abreast), func(b *testing.B) {
				server := redistest.Single(b)
				fill(b, server, users)
				w := openWhole(b, server.Config(), "n1", nil)
				s := w.intake.streams[0]
				w.intake.cfg.PublishAbreast = abreast
				took := func() uint64 { return s.counts.status[ingest.Published].Load() }
				b.ResetTimer()
				for took() < uint64(b.N) {
					wait(b.Context(), retryFirst/50)
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			})
		}
	}
	b.Run("raw", func(b *testing.B) {
		server := redistest.Single(b)
		fill(b, server, 1)
		client, ctx := server.Client(), context.Background()
		require.NoError(b, client.XGroupCreate(ctx, StreamEvents, group, "0").Err())
		b.ResetTimer()
		for n := 0; n < b.N; {
			got, err := client.XReadGroup(ctx, &goredis.XReadGroupArgs{
				Group: group, Consumer: "n1", Streams: []string{StreamEvents, ">"}, Count: int64(DefaultConfig().BatchMax),
			}).Result()
			require.NoError(b, err)
			ids := make([]string, len(got[0].Messages))
			for i, m := range got[0].Messages {
				ids[i] = m.ID
			}
			require.NoError(b, client.XAck(ctx, StreamEvents, group, ids...).Err())
			n += len(ids)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	})
}

// fill adds b.N events.
func fill(b *testing.B, server *redistest.Server, users int) {
	client := server.Client()
	for from := 0; from < b.N; from += 1000 {
		pipe := client.Pipeline()
		for i := from; i < min(from+1000, b.N); i++ {
			pipe.XAdd(b.Context(), &goredis.XAddArgs{Stream: StreamEvents, Values: []string{
				"event", fmt.Sprintf(`{"type":"OrderFilled","user_id":"u%d","payload":{"order_id":"o-%d","price":"64123.5","quantity":3}}`, i%users, i),
			}})
		}
		_, err := pipe.Exec(b.Context())
		require.NoError(b, err)
	}
}
