package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	redisbroker "github.com/wse-engine/wse/engine/broker/redis"
	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/presence/shared"
)

// ClusterFigures are the figures of what an engine has only with other nodes.
type ClusterFigures struct {
	Carriage  redisbroker.Carriage
	Following redisbroker.FollowStats
	Node      cluster.Stats
	Presence  shared.Figures
}

func (e emitter) cluster(f *ClusterFigures) {
	e.carriage(&f.Carriage)
	e.following(&f.Following)
	e.node(&f.Node)
	const presence = "wse_redis_presence_"
	e.gauge(presence+"down", "1 while Redis does not answer about who is on topics.", oneIf(f.Presence.Down))
	e.gauge(presence+"topics", "Topics that this node knows who is on: those that somebody is on here, and those it was asked about or heard of.", float64(f.Presence.TopicsKnown))
	e.counter(presence+"scripts_total", "Calls of the script that keeps who is on topics.", f.Presence.Commands)
	e.counter(presence+"failed_total", "Those that failed, and were or will be made again.", f.Presence.Failures)
	e.counter(presence+"gaps_total", "Times that notices were missed, and what they told was found by reading.", f.Presence.Gaps)
	e.counter(presence+"malformed_total", "Notices of who comes and goes that were none.", f.Presence.Garbage)
	e.counter(presence+"restored_total", "Topics of which Redis had lost who is on them, and got it back from here.", f.Presence.Restorations)
}

func (e emitter) carriage(c *redisbroker.Carriage) {
	e.gauge("wse_redis_pending", "Publications that wait for Redis on this node.", float64(c.Pending))
	e.gauge("wse_redis_pending_max", "How many may.", float64(c.PendingMax))
	e.gauge("wse_redis_fault", "1 while publications are not carried out, for a fault of Redis, which publishers are told.", oneIf(c.Fault != nil))
	e.counter("wse_redis_unavailable_total", "Publications and readings refused because Redis did not answer in time.", c.Unavailable)
	e.counter("wse_redis_fenced_total", "Publications refused because their publisher's turn was over.", c.Fenced)
	e.counter("wse_redis_retries_total", "Batches of which something had to be tried again.", c.Retries)
	e.counter("wse_redis_connects_total", "Connections made for publications and histories.", c.Connects)
	buckets, total := make(map[float64]uint64, len(c.Latency.Buckets)), uint64(0)
	for _, b := range c.Latency.Buckets {
		if total += b.Count; b.Most != 0 {
			buckets[b.Most.Seconds()] = total
		}
	}
	desc, _ := describe("wse_redis_script_seconds", "Round trips of batches of scripts: the scripts themselves, and the way.", nil)
	m, err := prometheus.NewConstHistogram(desc, total, c.Latency.Sum.Seconds(), buckets)
	e.emit(desc, m, err)
}

func (e emitter) following(f *redisbroker.FollowStats) {
	e.gauge("wse_redis_followed_topics", "Topics that this node follows.", float64(f.Topics))
	e.gauge("wse_redis_followed_patterns", "Patterns that this node follows.", float64(f.Patterns))
	e.gauge("wse_redis_unsettled_topics", "Followed topics that are being compared with Redis.", float64(f.Unsettled))
	e.gauge("wse_redis_faulty_topics", "Followed topics that cannot be read, for a fault of their own.", float64(f.Faulty))
	e.gauge("wse_redis_held", "Publications that wait until what is missing before them is read.", float64(f.Held))
	e.gauge("wse_redis_lag_seconds", "How long the last probe took from publishing to receiving.", f.Lag.Seconds())
	e.counter("wse_redis_reconnects_total", "Connections for what is received that ended.", f.Reconnects)
	e.counter("wse_redis_delivered_total", "Publications that channels brought.", f.Delivered)
	e.counter("wse_redis_fills_total", "Gaps that were closed from the history.", f.Fills)
	e.counter("wse_redis_filled_total", "Publications that were delivered for it.", f.Filled)
	e.counter("wse_redis_restarts_total", "Times that a topic's subscribers were told of a gap.", f.Restarts)
	e.counter("wse_redis_conflicts_total", "Publications with a number that another one has, or that the topic has not reached.", f.Conflicts)
	e.counter("wse_redis_malformed_total", "Texts on topics' channels that look numbered and are no publications.", f.Malformed)
}

func (e emitter) node(s *cluster.Stats) {
	e.gauge("wse_cluster_nodes", "Nodes that live, as of this node's last beat.", float64(s.Alive))
	e.gauge("wse_cluster_beat_age_seconds", "Since Redis took this node's last beat.", s.BeatAgo.Seconds())
	e.counter("wse_cluster_beats_failed_total", "Beats that Redis did not take.", s.BeatsFailed)
	e.counter("wse_cluster_deaths_total", "Deaths of other nodes.", s.Deaths)
	e.counter("wse_cluster_returned_total", "Times that others may have taken this node for dead.", s.Returned)
	e.counter("wse_cluster_asked_total", "Questions to other nodes.", s.Asked)
	e.counter("wse_cluster_silent_total", "Answers of other nodes that did not come in time.", s.Silent)
	e.counter("wse_cluster_handled_total", "Questions of other nodes.", s.Handled)
	e.counter("wse_cluster_malformed_total", "What came on the bus and was no node's.", s.Malformed)
}
