package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/redis/redistest"
)

// network is what lies between one node and the servers: a proxy before each of them, so that one node can be cut off while
// the others are not.
type network struct {
	t       testing.TB
	proxies map[int]*toxiproxy.Proxy // by the server's port
}

// newNetwork starts a proxy before each server. Sentinels and nodes of a Cluster tell where the others are; on the way through the
// proxies that becomes where the proxies are.
func newNetwork(t testing.TB, sentinels, servers []int) *network {
	t.Helper()
	n := &network{t: t, proxies: make(map[int]*toxiproxy.Proxy)}
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	ports := make(map[string]string)
	for _, port := range append(append([]int{}, sentinels...), servers...) {
		own := redistest.FreePort(t) // of five digits, as all the servers' are
		p := toxiproxy.NewProxy(api, strconv.Itoa(port), loopback(own), loopback(port))
		require.NoError(t, p.Start())
		t.Cleanup(p.Stop)
		n.proxies[port], ports[strconv.Itoa(port)] = p, strconv.Itoa(own)
	}
	for port, p := range n.proxies {
		if len(n.proxies) == 1 { // which tells of no other
			break
		}
		forms := []string{"127.0.0.1:%s", "127.0.0.1\r\n:%s\r\n", "port\r\n:%s\r\n"} // MOVED, CLUSTER SLOTS, CLUSTER SHARDS
		for _, s := range sentinels {
			if s == port {
				forms = []string{"%s"} // there is nothing else in what they say
			}
		}
		n.add(p, "readdress", "readdress", "downstream", &readdress{Ports: ports, Forms: forms})
	}
	return n
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// addrs are where a node finds the servers.
func (n *network) addrs(ports []int) (all []string) {
	for _, port := range ports {
		all = append(all, n.proxies[port].Listen)
	}
	return all
}

func (n *network) add(p *toxiproxy.Proxy, name, kind, direction string, attributes any) {
	n.t.Helper()
	text, err := json.Marshal(map[string]any{"name": name, "type": kind, "stream": direction, "toxicity": 1, "attributes": attributes})
	require.NoError(n.t, err)
	_, err = p.Toxics.AddToxicJson(bytes.NewReader(text))
	require.NoError(n.t, err)
}

// cut ends all connections and refuses new ones, until mend.
func (n *network) cut() {
	for _, p := range n.proxies {
		p.Stop()
	}
}

// mend undoes cut.
func (n *network) mend() {
	n.t.Helper()
	for _, p := range n.proxies {
		require.NoError(n.t, p.Start())
	}
}

// toxin is a fault that toxiproxy knows.
type toxin struct {
	kind, direction string
	attributes      map[string]int
}

// poison has the connections suffer until cure.
func (n *network) poison(what toxin) {
	n.t.Helper()
	for _, p := range n.proxies {
		n.add(p, "fault", what.kind, what.direction, what.attributes)
	}
}

func (n *network) cure() {
	n.t.Helper()
	for _, p := range n.proxies {
		require.NoError(n.t, p.Toxics.RemoveToxic(context.Background(), "fault"))
	}
}

// readdress is a toxic that replaces the ports of servers in what they say by those of a node's proxies. All have five digits, so
// lengths stay.
type readdress struct {
	Ports map[string]string `json:"ports"`
	Forms []string          `json:"forms"`
}

var (
	_ toxics.Toxic         = (*readdress)(nil)
	_ toxics.StatefulToxic = (*readdress)(nil)
)

// held is the end of what came so far, where it may be the beginning of an address.
type held struct{ tail []byte }

// NewState implements toxics.StatefulToxic.
func (r *readdress) NewState() any { return &held{} }

// Pipe implements toxics.Toxic.
func (r *readdress) Pipe(way *toxics.ToxicStub) {
	before := way.State.(*held)
	for {
		select {
		case <-way.Interrupt:
			return
		case c := <-way.Input:
			if c == nil {
				way.Close()
				return
			}
			var data []byte
			data, before.tail = r.replace(append(before.tail, c.Data...))
			if len(data) > 0 {
				way.Output <- &stream.StreamChunk{Data: data, Timestamp: c.Timestamp}
			}
		}
	}
}

// replace returns data with the addresses replaced, and apart from it the end that may be the beginning of one. No answer ends like
// that, so nothing is ever held back for long.
func (r *readdress) replace(data []byte) (done, tail []byte) {
	keep := 0
	for from, to := range r.Ports {
		for _, form := range r.Forms {
			old := fmt.Appendf(nil, form, from)
			data = bytes.ReplaceAll(data, old, fmt.Appendf(nil, form, to))
			for n := min(len(old)-1, len(data)); n > keep; n-- {
				if bytes.HasSuffix(data, old[:n]) {
					keep = n
				}
			}
		}
	}
	return data[:len(data)-keep], bytes.Clone(data[len(data)-keep:])
}

func TestAddressesAreReplacedWhereverTheChunksEnd(t *testing.T) {
	r := &readdress{Ports: map[string]string{"11111": "22222", "11112": "33333"}, Forms: []string{"127.0.0.1:%s", "127.0.0.1\r\n:%s\r\n"}}
	const text = "-MOVED 3 127.0.0.1:11111\r\n*2\r\n$9\r\n127.0.0.1\r\n:11112\r\n:11111\r\n$5\r\n11111\r\n"
	const want = "-MOVED 3 127.0.0.1:22222\r\n*2\r\n$9\r\n127.0.0.1\r\n:33333\r\n:11111\r\n$5\r\n11111\r\n"
	for cut := range len(text) {
		first, tail := r.replace([]byte(text[:cut]))
		second, rest := r.replace(append(tail, text[cut:]...))
		require.Empty(t, rest)
		require.Equal(t, want, string(first)+string(second))
	}
}
