package admin_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/admin"
	redisbroker "github.com/wse-engine/wse/engine/broker/redis"
	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/presence/shared"
)

func TestMetricsTellWhatGoesOnBetweenANodeAndRedis(t *testing.T) {
	a := serve(t, config())
	require.NotContains(t, string(a.get("/metrics").body), "wse_redis", "an engine that is alone has none")
	f := &admin.ClusterFigures{
		Carriage: redisbroker.Carriage{Pending: 1, PendingMax: 2, Retries: 3, Latency: redisbroker.Latency{
			Buckets: []redisbroker.LatencyBucket{{Most: 250 * time.Millisecond, Count: 4}, {Most: 500 * time.Millisecond, Count: 5}, {Count: 6}}, Sum: 9 * time.Second,
		}},
		Following: redisbroker.FollowStats{Topics: 7, Faulty: 8, Lag: 1500 * time.Microsecond, Fills: 9},
		Node:      cluster.Stats{Alive: 3, BeatAgo: 250 * time.Millisecond, Deaths: 10},
		Presence:  shared.Figures{Commands: 11, Garbage: 12, TopicsKnown: 13},
	}
	a.world.joined = f
	text := string(a.get("/metrics").body)
	for _, want := range []string{
		"wse_redis_pending 1", "wse_redis_pending_max 2", "wse_redis_fault 0", "wse_redis_retries_total 3",
		`wse_redis_script_seconds_bucket{le="0.25"} 4`, `wse_redis_script_seconds_bucket{le="0.5"} 9`, `wse_redis_script_seconds_bucket{le="+Inf"} 15`,
		"wse_redis_script_seconds_sum 9", "wse_redis_script_seconds_count 15",
		"wse_redis_followed_topics 7", "wse_redis_faulty_topics 8", "wse_redis_lag_seconds 0.0015", "wse_redis_fills_total 9",
		"wse_cluster_nodes 3", "wse_cluster_beat_age_seconds 0.25", "wse_cluster_deaths_total 10",
		"wse_redis_presence_down 0", "wse_redis_presence_topics 13", "wse_redis_presence_scripts_total 11", "wse_redis_presence_malformed_total 12",
	} {
		require.Contains(t, text, want+"\n")
	}
	f.Carriage.Fault, f.Presence.Down = errors.New("OOM"), true
	text = string(a.get("/metrics").body)
	require.Contains(t, text, "wse_redis_fault 1\n")
	require.Contains(t, text, "wse_redis_presence_down 1\n")
}
