package scaling

import (
	"errors"
	"fmt"
	"math"
)

// Constants are what one operation costs, as measured (constants.json says by which commands and on what machine).
type Constants struct {
	Origin string `json:"origin"` // where and when they were measured

	ConnectionBytes   float64 `json:"connection_bytes"`    // of a node's memory, for an idle connection with a topic of its own
	HandshakeMicros   float64 `json:"handshake_us"`        // of a node's CPU, for a connection with its first subscription
	DeliveryMicros    float64 `json:"delivery_us"`         // of a node's CPU, for a publication to one subscriber
	ReceiveMicros     float64 `json:"receive_us"`          // of a node's CPU, for a publication that comes from Redis
	PublishMicros     float64 `json:"publish_us"`          // of a node's CPU, for a publication that is handed in
	ScriptMicros      float64 `json:"redis_script_us"`     // of a primary's CPU, for numbering, keeping and publishing to nobody
	ForwardMicros     float64 `json:"redis_forward_us"`    // of a primary's CPU, for handing a publication to one node more
	RelayMicros       float64 `json:"redis_relay_us"`      // of a primary's CPU, for a publication that comes from another primary of a Cluster
	SubscribeMicros   float64 `json:"redis_subscribe_us"`  // of a primary's CPU, for a topic that a node begins to follow
	TopicBytes        float64 `json:"redis_topic_bytes"`   // of a primary's memory, for a topic without what it keeps
	HistoryBytes      float64 `json:"redis_history_bytes"` // of a primary's memory, for a kept publication beside its payload
	EnvelopeBytes     float64 `json:"envelope_bytes"`      // on the wire, beside the payload
	RoundTripMicros   float64 `json:"redis_round_trip_us"` // of waiting, from a node to Redis and back, with nothing else to do
	NodeCores         float64 `json:"node_cores"`          // that a node of the plan has
	NodeMemoryGiB     float64 `json:"node_memory_gib"`
	NodeGbps          float64 `json:"node_gbps"`
	RedisMemoryGiB    float64 `json:"redis_memory_gib"` // of a primary of the plan; it has one core to use
	RedisGbps         float64 `json:"redis_gbps"`
	UtilisationMax    float64 `json:"utilisation_max"`     // of every resource, so that one node's loss and bursts find room
	ConnectionsMax    float64 `json:"connections_max"`     // of one node: descriptors, and how many come back when it dies
	ClusterPrimaryMax float64 `json:"cluster_primary_max"` // primaries in one Cluster: each knows of all others by gossip
}

// Load is what a deployment is to carry.
type Load struct {
	Name         string
	Connections  float64
	TopicsOf     float64 // topics of its own that a connection has
	Personal     float64 // publications per second to a connection's own topics
	Shared       float64 // publications per second to shared topics, altogether
	Audience     float64 // share of all connections that a publication to a shared topic reaches
	PayloadBytes float64
	Kept         float64 // publications that a topic's history holds, on average
	Sharded      bool    // Pub/Sub of a Cluster goes by shards
}

// Plan is how many of each a load needs, and how busy they are then.
type Plan struct {
	Load      Load
	Nodes     int
	Primaries int
	Node      Share // of one node
	Primary   Share // of one primary
	Limit     string
}

// Share is how much of each resource is used, of 1.
type Share struct{ CPU, Memory, Network float64 }

// ErrNoPlan means that more of the same does not carry a load.
var ErrNoPlan = errors.New("scaling: no number of primaries carries it")

// publications returns how many are published per second.
func (l *Load) publications() float64 { return l.Connections*l.Personal + l.Shared }

// deliveries returns how many publications reach a client per second.
func (l *Load) deliveries() float64 {
	return l.Connections*l.Personal + l.Shared*l.Audience*l.Connections
}

// following returns how many nodes follow the topic of a publication, on average: a personal one is followed by one, a shared
// one by every node that has somebody of its audience.
func (l *Load) following(nodes float64) float64 {
	perNode := l.Connections / nodes * l.Audience
	everybody := nodes * (1 - math.Exp(-perNode))
	return (l.Connections*l.Personal + l.Shared*everybody) / l.publications()
}

// NodeShare is how much each of so many nodes uses.
func (c *Constants) NodeShare(l *Load, nodes float64) Share {
	bytes := l.PayloadBytes + c.EnvelopeBytes
	received := l.publications() * l.following(nodes) / nodes
	micros := l.deliveries()/nodes*c.DeliveryMicros + received*c.ReceiveMicros + l.publications()/nodes*c.PublishMicros
	return Share{
		CPU:     micros / 1e6 / c.NodeCores,
		Memory:  l.Connections / nodes * c.ConnectionBytes / (c.NodeMemoryGiB * (1 << 30)),
		Network: (l.deliveries()/nodes + received) * bytes * 8 / (c.NodeGbps * 1e9),
	}
}

// PrimaryShare is how much each of so many primaries uses, with so many nodes.
func (c *Constants) PrimaryShare(l *Load, nodes, primaries float64) Share {
	own := l.publications() / primaries
	bytes := l.PayloadBytes + c.EnvelopeBytes
	forwarded := own * l.following(nodes)
	micros := own*c.ScriptMicros + forwarded*c.ForwardMicros
	relayed := 0.0
	if !l.Sharded && primaries > 1 { // every primary tells every other of every publication
		relayed = own * (primaries - 1)
		micros += 2 * relayed * c.RelayMicros // sent and received
	}
	topics := l.Connections * l.TopicsOf / primaries
	return Share{
		CPU:     micros / 1e6,
		Memory:  topics * (c.TopicBytes + l.Kept*(c.HistoryBytes+bytes)) / (c.RedisMemoryGiB * (1 << 30)),
		Network: (own + forwarded + 2*relayed) * bytes * 8 / (c.RedisGbps * 1e9),
	}
}

func (s Share) most() (used float64, what string) {
	used, what = s.CPU, "CPU"
	if s.Memory > used {
		used, what = s.Memory, "memory"
	}
	if s.Network > used {
		used, what = s.Network, "network"
	}
	return used, what
}

// primariesMax is where the search for a number of primaries ends.
const primariesMax = 4096

// Plan returns the smallest deployment under which nothing is used beyond UtilisationMax, or [ErrNoPlan].
func (c *Constants) Plan(l Load) (Plan, error) {
	p := Plan{Load: l, Nodes: int(math.Ceil(l.Connections / c.ConnectionsMax))}
	p.Limit = "connections per node"
	for {
		p.Node = c.NodeShare(&l, float64(p.Nodes))
		used, what := p.Node.most()
		if used <= c.UtilisationMax {
			break
		}
		p.Limit = "a node's " + what
		p.Nodes += max(1, p.Nodes/100)
	}
	for p.Primaries = 1; ; p.Primaries++ {
		p.Primary = c.PrimaryShare(&l, float64(p.Nodes), float64(p.Primaries))
		used, what := p.Primary.most()
		if used <= c.UtilisationMax {
			return p, nil
		}
		if p.Primaries == primariesMax {
			return p, fmt.Errorf("%w: a primary's %s stays at %.0f %%", ErrNoPlan, what, 100*used)
		}
	}
}

// Cells returns into how many separate deployments a load has to be cut so that each has one Cluster, and the plan of one.
func (c *Constants) Cells(l Load) (cells int, plan Plan, err error) {
	for cells = 1; cells <= primariesMax; cells *= 2 {
		part := l
		part.Connections /= float64(cells)
		if plan, err = c.Plan(part); err == nil && float64(plan.Primaries) <= c.ClusterPrimaryMax {
			return cells, plan, nil
		}
	}
	return cells, plan, fmt.Errorf("%w, in however many cells: the shared publications alone are too many", ErrNoPlan)
}
