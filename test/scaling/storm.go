package scaling

// Storm is what the loss of a node costs the others.
type Storm struct {
	Connections float64 // that each of the others takes over
	Seconds     float64 // until all of them are connected, subscribed and have recovered what they missed
	ByNodes     float64 // seconds that the nodes alone would take
	ByRedis     float64 // and the primaries alone
}

// Storm returns what happens when one of a plan's nodes dies: its connections come to the others, which have what the load
// leaves free of them, each with a handshake, a subscription to its own topics at Redis, and a history to read there.
func (c *Constants) Storm(p Plan) Storm {
	lost := p.Load.Connections / float64(p.Nodes)
	others := max(1, float64(p.Nodes-1))
	s := Storm{Connections: lost / others}
	free := (1 - p.Node.CPU*float64(p.Nodes)/others) * c.NodeCores * 1e6
	s.ByNodes = s.Connections * c.HandshakeMicros / free
	freeRedis := (1 - p.Primary.CPU) * 1e6 * float64(p.Primaries)
	s.ByRedis = lost * p.Load.TopicsOf * (c.SubscribeMicros + c.ScriptMicros) / freeRedis
	s.Seconds = max(s.ByNodes, s.ByRedis)
	return s
}
