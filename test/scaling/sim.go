package scaling

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
)

// Outcome is what a simulation of a deployment measured.
type Outcome struct {
	Deliveries  int
	Primary     float64 // how busy the primaries were, of 1
	Node        float64 // how busy the nodes were
	P50, P99    float64 // milliseconds from handing a publication in to its last subscriber on a node
	Backlog     float64 // seconds of work that the busiest server still had at the end
	PrimaryBusy float64 // of the busiest primary
}

// server works on one thing after the other, on one core or several that share a queue.
type server struct {
	free []float64 // when each core is free, seconds
	busy float64   // seconds worked
}

func newServer(cores int) *server { return &server{free: make([]float64, cores)} }

// share has every core do its part of something and returns when the last has.
func (s *server) share(at, seconds float64) (done float64) {
	part := seconds / float64(len(s.free))
	for i := range s.free {
		s.free[i] = max(at, s.free[i]) + part
		done = max(done, s.free[i])
	}
	s.busy += seconds
	return done
}

// work takes something in at a time and returns when it is done.
func (s *server) work(at, seconds float64) (done float64) {
	core := 0
	for i := range s.free {
		if s.free[i] < s.free[core] {
			core = i
		}
	}
	s.free[core] = max(at, s.free[core]) + seconds
	s.busy += seconds
	return s.free[core]
}

// arrival is a publication on its way: to a primary, or from there to a node.
type arrival struct {
	at, began float64
	node      int // -1: it is at its primary
	primary   int
	receivers int
	shared    bool
}

type arrivals []arrival

func (a arrivals) Len() int           { return len(a) }
func (a arrivals) Less(i, j int) bool { return a[i].at < a[j].at }
func (a arrivals) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)        { *a = append(*a, x.(arrival)) }
func (a *arrivals) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// run is a simulation under way. Publications come at random, independently of each other; each is numbered by its
// primary, handed to the nodes that follow its topic, and there to its subscribers. Nodes and primaries work off what comes
// in order.
type run struct {
	c         *Constants
	l         *Load
	random    *rand.Rand
	nodes     []*server
	primaries []*server
	queue     arrivals
	delays    []float64
	out       Outcome
}

// Simulate plays a load on a deployment for some seconds. The same seed gives the same outcome.
func (c *Constants) Simulate(l Load, nodes, primaries int, seconds float64, seed uint64) Outcome {
	r := &run{c: c, l: &l, random: rand.New(rand.NewPCG(seed, 1))}
	for range nodes {
		r.nodes = append(r.nodes, newServer(int(math.Round(c.NodeCores))))
	}
	for range primaries {
		r.primaries = append(r.primaries, newServer(1))
	}
	// Those of shared topics are few and each is much work: they come evenly, so that a short run has its share of them.
	personal, shared := r.random.ExpFloat64()/(l.Connections*l.Personal), 0.5/l.Shared
	for at := min(personal, shared); at < seconds; at = min(personal, shared) {
		for len(r.queue) > 0 && r.queue[0].at <= at {
			r.step(heap.Pop(&r.queue).(arrival))
		}
		r.publish(at, shared <= personal)
		if shared <= personal {
			shared += 1 / l.Shared
		} else {
			personal += r.random.ExpFloat64() / (l.Connections * l.Personal)
		}
	}
	for len(r.queue) > 0 {
		r.step(heap.Pop(&r.queue).(arrival))
	}
	return r.finish(seconds)
}

// publish has a node take something in, encode it and send it to Redis.
func (r *run) publish(at float64, shared bool) {
	sent := r.nodes[r.random.IntN(len(r.nodes))].work(at, r.c.PublishMicros/1e6) + r.c.RoundTripMicros/2e6
	heap.Push(&r.queue, arrival{at: sent, began: at, node: -1, primary: r.random.IntN(len(r.primaries)), shared: shared})
}

func (r *run) step(a arrival) {
	if a.node >= 0 {
		n := r.nodes[a.node]
		done := n.work(a.at, r.c.ReceiveMicros/1e6)
		if sends := float64(a.receivers) * r.c.DeliveryMicros / 1e6; a.receivers > 1 { // each lane has its part of a topic's subscribers
			done = n.share(done, sends)
		} else {
			done = n.work(done, sends)
		}
		r.delays = append(r.delays, done-a.began)
		r.out.Deliveries += a.receivers
		return
	}
	to := r.followers(a.shared)
	work := r.c.ScriptMicros + float64(len(to))*r.c.ForwardMicros
	if !r.l.Sharded && len(r.primaries) > 1 {
		work += float64(len(r.primaries)-1) * r.c.RelayMicros
		for i, p := range r.primaries {
			if i != a.primary {
				p.work(a.at, r.c.RelayMicros/1e6)
			}
		}
	}
	done := r.primaries[a.primary].work(a.at, work/1e6) + r.c.RoundTripMicros/2e6
	for _, n := range to {
		heap.Push(&r.queue, arrival{at: done, began: a.began, node: n.index, receivers: n.receivers})
	}
}

type follower struct{ index, receivers int }

// followers are the nodes that a publication goes to, with how many subscribers it has there.
func (r *run) followers(shared bool) []follower {
	if !shared {
		return []follower{{r.random.IntN(len(r.nodes)), 1}}
	}
	var to []follower
	mean := r.l.Connections / float64(len(r.nodes)) * r.l.Audience
	for i := range r.nodes {
		if n := poisson(r.random, mean); n > 0 {
			to = append(to, follower{i, n})
		}
	}
	return to
}

// poisson draws a number of independent rare things; above normalFrom the normal distribution is as good.
func poisson(random *rand.Rand, mean float64) int {
	const normalFrom = 50
	if mean > normalFrom {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*random.NormFloat64())))
	}
	n, limit := 0, math.Exp(-mean)
	for p := random.Float64(); p > limit; p *= random.Float64() {
		n++
	}
	return n
}

func (r *run) finish(seconds float64) Outcome {
	sum := func(servers []*server) (busy, most float64) {
		for _, s := range servers {
			share := s.busy / seconds / float64(len(s.free))
			busy += share / float64(len(servers))
			most = max(most, share)
			r.out.Backlog = max(r.out.Backlog, slices.Max(s.free)-seconds)
		}
		return busy, most
	}
	r.out.Node, _ = sum(r.nodes)
	r.out.Primary, r.out.PrimaryBusy = sum(r.primaries)
	slices.Sort(r.delays)
	if n := len(r.delays); n > 0 {
		r.out.P50, r.out.P99 = 1e3*r.delays[n/2], 1e3*r.delays[n*99/100]
	}
	return r.out
}
