package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	goredis "github.com/redis/go-redis/v9"

	"github.com/wse-engine/wse/engine/redis"
)

// AboutConfig begins the names of what [Options.Describe] says of the configuration: what nodes should have in common.
const AboutConfig = "config:"

// Options is what others are to know of a node.
type Options struct {
	Name     string                   // of the host, where the configuration has no node_name; "": what the system says
	Version  string                   // of the program
	Addr     string                   // where clients reach it, for operators
	Log      hclog.Logger             // nil: nothing is logged
	Describe func() map[string]string // what to tell of it with each beat, small; it must not block; nil: nothing
}

// Info is what is known of a node.
type Info struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Version   string            `json:"version,omitempty"`
	Addr      string            `json:"addr,omitempty"`
	StartedMS int64             `json:"started_ms"`      // Unix milliseconds, by the node's own clock: for people
	BeatAgoMS int64             `json:"beat_ago_ms"`     // since it last said that it lives, by Redis's clock
	About     map[string]string `json:"about,omitempty"` // what its Options.Describe said
}

// Node is this process among the others.
type Node struct {
	cfg    Config
	opts   Options
	client *redis.Client
	log    hclog.Logger
	self   Info // BeatAgoMS and About are not set; fixed

	beatScript, listScript, byeScript *goredis.Script

	handlers map[string]Handler // by subject; fixed once Run was called
	dead     []func(id string)  // likewise
	returned []func()           // likewise
	working  chan struct{}      // has room for as many handlers as may be at work

	mu        sync.Mutex
	questions map[string]*question // own ones without all answers, by id; guarded by mu

	// Only the goroutine that beats uses these.
	cursor string          // the latest death that is known
	stamp  string          // of the last answer to a beat
	peers  map[string]bool // who was alive lately; false: and is missing since
	looked time.Time       // when peers were looked at

	funeral  chan []string // deaths to tell of
	figures  figures
	lastBeat atomic.Pointer[time.Time] // when Redis took the last beat; nil: it took none
}

// db is the database that this wse keeps everything in.
func (n *Node) db() int { return n.client.Config().DB }

// New checks cfg and returns a node of a new id. It connects to nothing yet.
func New(cfg Config, client *redis.Client, opts Options) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if client == nil {
		return nil, errors.New("cluster: a node needs a client of Redis")
	}
	if opts.Log == nil {
		opts.Log = hclog.NewNullLogger()
	}
	name := cfg.NodeName
	if name == "" {
		name = clean(opts.Name)
	}
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("cluster: the host has no name; set node_name: %w", err)
		}
		name = clean(host)
	}
	return &Node{
		cfg: cfg, opts: opts, client: client, log: opts.Log,
		self: Info{
			ID: name + "-" + strings.ToLower(rand.Text()[:idRandom]), Name: name, Version: opts.Version, Addr: opts.Addr, StartedMS: time.Now().UnixMilli(),
		},
		beatScript: goredis.NewScript(beatLua), listScript: goredis.NewScript(listLua), byeScript: goredis.NewScript(byeLua),
		handlers: make(map[string]Handler), working: make(chan struct{}, cfg.HandlersMax),
		questions: make(map[string]*question), cursor: "0", stamp: "0", peers: make(map[string]bool), funeral: make(chan []string, 1),
	}, nil
}

// ID returns the node's id, which is another one after each start: its name, '-', and 12 random letters and digits.
func (n *Node) ID() string { return n.self.ID }

// Dead has f called with the id of every other node that died or left, on every node, for deaths of the last node_kept also when
// the node starts. It may be called again for the same id, also for one that comes back, as a paused node does. Calls come one
// after the other and may block. Before Run.
func (n *Node) Dead(f func(id string)) { n.dead = append(n.dead, f) }

// Returned has f called when others may have taken this node for dead though it lives, or Redis has forgotten it: after a pause of
// the process or an interruption longer than node_timeout, or when Redis was emptied. What it keeps in Redis may be gone. Calls
// come one after the other, in turn with those of Dead, and may block. Before Run.
func (n *Node) Returned(f func()) { n.returned = append(n.returned, f) }

// Run lets the node live until ctx ends, and then tells the others that it goes. An interruption of Redis is no error. It is
// called once.
func (n *Node) Run(ctx context.Context) error {
	var all sync.WaitGroup
	listening := make(chan struct{})
	all.Go(func() { n.listen(ctx, listening) })
	all.Go(func() { n.tellDeaths(ctx) })
	// Who is alive can be asked: the node hears before it beats. Without Redis neither works.
	select {
	case <-listening:
		n.beatUntil(ctx)
	case <-ctx.Done():
	}
	all.Wait()
	n.sayGoodbye(ctx)
	return nil
}

// Alive lists the nodes that live, by Redis's clock and node_timeout, sorted by id. This one is among them once it runs.
func (n *Node) Alive(ctx context.Context) ([]Info, error) {
	raw, err := n.listScript.Run(ctx, n.client.Do(), keys(), n.cfg.NodeTimeout.Microseconds()).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("cluster: the nodes cannot be listed: %w", err)
	}
	return readInfos(raw)
}

// readInfos reads pairs of an Info in JSON and the age of its beat in milliseconds.
func readInfos(raw []string) ([]Info, error) {
	list := make([]Info, len(raw)/2)
	for i := range list {
		if err := json.Unmarshal([]byte(raw[2*i]), &list[i]); err != nil {
			return nil, fmt.Errorf("cluster: what a node says of itself is no JSON; the key %s belongs to the engine alone: %w", keys()[1], err)
		}
		if _, err := fmt.Sscan(raw[2*i+1], &list[i].BeatAgoMS); err != nil {
			return nil, fmt.Errorf("cluster: the age of a beat is no number: %w", err)
		}
	}
	return list, nil
}
