package cluster

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wse-engine/wse/engine/redis"
)

// The scripts; read-only. Their first lines say what they take and return.
var (
	//go:embed beat.lua
	beatLua string
	//go:embed list.lua
	listLua string
	//go:embed bye.lua
	byeLua string
)

// deadMax is how many deaths are remembered at most: the newest.
const deadMax = 10_000

// keys are those of all scripts, in one slot.
func keys() []string {
	const tag = redis.Prefix + "{_cluster}:"
	return []string{tag + "beats", tag + "info", tag + "dead", tag + "state"}
}

// beatUntil says that the node lives, every beat_interval until ctx ends.
func (n *Node) beatUntil(ctx context.Context) {
	ticker := time.NewTicker(n.cfg.BeatInterval)
	defer ticker.Stop()
	failing := false
	for {
		err := n.beat(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			n.log.Warn("this node cannot tell Redis that it lives; others will take it for dead", "error", err)
		case err == nil && failing:
			n.log.Info("Redis hears again that this node lives")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// beat says once that the node lives, and hears of deaths.
func (n *Node) beat(ctx context.Context) error {
	self := n.self
	if n.opts.Describe != nil {
		self.About = n.opts.Describe()
	}
	info, err := json.Marshal(self)
	if err != nil {
		return err
	}
	// A beat that hangs must not hold up the next for so long that it is a death.
	soon, cancel := context.WithTimeout(ctx, n.cfg.NodeTimeout/beatsMin)
	defer cancel()
	look := time.Since(n.looked) >= n.cfg.NodeTimeout
	asked := 0
	if look {
		asked = 1
	}
	answer, err := n.beatScript.Run(soon, n.client.Do(), keys(), n.self.ID, info, n.cfg.NodeTimeout.Microseconds(),
		n.cfg.NodeKept.Microseconds(), n.cursor, deadMax, asked, n.stamp).Slice()
	if err == nil {
		err = n.heard(answer, look)
	}
	if err != nil {
		n.figures.beatsFailed.Add(1)
		return err
	}
	n.figures.beats.Add(1)
	now := time.Now()
	n.lastBeat.Store(&now)
	return nil
}

// heard reads the answer to a beat.
func (n *Node) heard(answer []any, look bool) error {
	if len(answer) != 6 {
		return fmt.Errorf("cluster: the answer to a beat has %d parts, not 6", len(answer))
	}
	returned, ok1 := answer[0].(int64)
	cursor, ok2 := answer[1].(string)
	count, ok3 := answer[2].(int64)
	gone, ok4 := texts(answer[3])
	alive, ok5 := texts(answer[4])
	stamp, ok6 := answer[5].(string)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 {
		return errors.New("cluster: the answer to a beat is not what the script returns")
	}
	first := n.figures.beats.Load() == 0
	n.cursor, n.stamp = cursor, stamp
	n.figures.alive.Store(count)
	for _, id := range gone {
		delete(n.peers, id)
	}
	if look {
		gone = append(gone, n.missing(alive)...)
		n.looked = time.Now()
	}
	if returned == 1 && !first {
		n.figures.returned.Add(1)
		gone = append(gone, n.self.ID) // which stands for it
	}
	if len(gone) > 0 {
		n.tell(gone)
	}
	return nil
}

func texts(v any) ([]string, bool) {
	list, ok := v.([]any)
	out := make([]string, len(list))
	for i := range list {
		var is bool
		out[i], is = list[i].(string)
		ok = ok && is
	}
	return out, ok
}

// missing returns who was alive, and was missing the last time already: Redis has forgotten them, their deaths too.
func (n *Node) missing(alive []string) (gone []string) {
	now := make(map[string]bool, len(alive))
	for _, id := range alive {
		now[id] = true
	}
	for id, there := range n.peers {
		switch {
		case now[id]:
		case there:
			now[id] = false
		default:
			gone = append(gone, id)
		}
	}
	n.peers = now
	return gone
}

// tell hands ids to who tells of deaths, together with those that wait for him.
func (n *Node) tell(ids []string) {
	select {
	case waiting := <-n.funeral:
		ids = append(waiting, ids...)
	default:
	}
	n.funeral <- ids[max(0, len(ids)-2*deadMax):] // this goroutine alone writes, so there is room
}

// tellDeaths calls the functions of Dead and Returned.
func (n *Node) tellDeaths(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case ids := <-n.funeral:
			for _, id := range ids {
				if id == n.self.ID {
					n.log.Warn("others may have taken this node for dead, or Redis was emptied: what it keeps there is put there again")
					for _, f := range n.returned {
						f()
					}
					continue
				}
				n.figures.deaths.Add(1)
				for _, f := range n.dead {
					f(id)
				}
			}
		}
	}
}

// sayGoodbye tells the others that the node leaves. Should it fail, they notice after node_timeout; so it gets as long as a beat.
func (n *Node) sayGoodbye(ctx context.Context) {
	if n.lastBeat.Load() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.cfg.NodeTimeout/beatsMin)
	defer cancel()
	if err := n.byeScript.Run(ctx, n.client.Do(), keys(), n.self.ID).Err(); err != nil {
		n.log.Warn("the other nodes could not be told that this one leaves", "error", err)
	}
}
