package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/wse-engine/wse/test/oracle"
)

// answer is what became of a publication.
type answer struct {
	Status string // published, duplicate
	ID     string
	Epoch  string
	Seq    uint64
}

// refusal is a problem that a publication was answered with.
type refusal struct {
	Status int
	Code   string
	Detail string
}

// Error implements error.
func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.Status, r.Code, r.Detail) }

// post publishes one document. The error is a *refusal where the node answered.
func (w *world) post(a alive, doc []byte) (answer, error) {
	request, err := http.NewRequestWithContext(w.ctx, http.MethodPost, "http://"+a.Admin+"/api/v1/publish", bytes.NewReader(doc))
	if err != nil {
		return answer{}, err
	}
	response, err := w.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	if response.StatusCode != http.StatusOK {
		r := &refusal{}
		if err := json.Unmarshal(body, r); err != nil {
			return answer{}, fmt.Errorf("%s: %w: %s", response.Status, err, body)
		}
		return answer{}, r
	}
	var got answer
	err = json.Unmarshal(body, &got)
	if err == nil && got.Epoch == "" {
		got.Epoch = oracle.NoEpoch
	}
	return got, err
}

// publisher publishes to all topics, one publication after another.
type publisher struct {
	world *world
	name  string
	home  int // the node that it uses; beyond the last: any
	rng   *rand.Rand
	n     map[string]int          // publications by topic
	last  map[string]oracle.Place // of those taken, by topic
}

// pace is how often each publisher publishes.
const pace = 50 * time.Millisecond

// play publishes until the world ends.
func (p *publisher) play() {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	all := topics()
	for {
		select {
		case <-p.world.ctx.Done():
			return
		case <-tick.C:
		}
		if err := p.publish(all[p.rng.IntN(len(all))]); err != nil && p.world.ctx.Err() == nil {
			p.world.fail(fmt.Errorf("%s: %w", p.name, err))
			return
		}
	}
}

func (p *publisher) node() *node {
	if p.home < len(p.world.nodes) {
		return p.world.nodes[p.home]
	}
	return p.world.nodes[p.rng.IntN(len(p.world.nodes))]
}

// publish has the next publication to a topic taken, or gives up after some refusals: then it may or may not have happened, and
// nobody was told that it did.
func (p *publisher) publish(topic string) error {
	p.n[topic]++
	id := fmt.Sprintf("%s-%s-%d", p.name, topic, p.n[topic])
	kind := "update"
	if p.n[topic]%3 == 0 {
		kind = "a_snapshot"
	}
	doc := fmt.Appendf(nil, `{"topic":%q,"t":%q,"id":%q,"p":{"in":%q,"n":%d,"pad":%q}}`, topic, kind, id, topic, p.n[topic],
		strings.Repeat("pad ", p.rng.IntN(2)*p.rng.IntN(100)))
	for tries := 1 + p.rng.IntN(4); tries > 0; tries-- {
		n := p.node()
		a, ok := n.running()
		if !ok {
			return nil
		}
		began := time.Now()
		got, err := p.world.post(a, doc)
		if err == nil {
			return p.taken(topic, id, got)
		}
		if p.world.ctx.Err() != nil {
			return nil
		}
		r, answered := err.(*refusal)
		switch took := time.Since(began); {
		case answered && r.Status != http.StatusServiceUnavailable && !p.world.isFree(topic):
			return fmt.Errorf("publishing %s through %s: %w", id, n.name, err)
		case !answered && !n.lost(a.life):
			return fmt.Errorf("publishing %s through %s, which is well: %w", id, n.name, err)
		case took > publishWait+5*time.Second && !n.lost(a.life) && p.world.machine.keptSince().Before(began):
			return fmt.Errorf("publishing %s through %s was refused only after %s: %w", id, n.name, took, err)
		}
		p.world.change(func() { p.world.refused.Add(1) })
	}
	return nil
}

// taken records an answer that says yes. What a publisher publishes one after another has its order.
func (p *publisher) taken(topic, id string, got answer) error {
	at, before := oracle.Place{Epoch: got.Epoch, Seq: got.Seq}, p.last[topic]
	switch {
	case got.Status != "published" && got.Status != "duplicate":
		return fmt.Errorf("publishing %s: %+v", id, got)
	case at.Epoch != oracle.NoEpoch && at.Epoch == before.Epoch && at.Seq <= before.Seq:
		return fmt.Errorf("%s: %s is at %v, and what was published before it at %v", topic, id, at, before)
	}
	p.last[topic] = at
	_, err := p.world.ledger.Record(topic, at, id)
	p.world.change(func() { p.world.accepted.Add(1) })
	return err
}

func (w *world) isFree(topic string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.free[topic]
}
