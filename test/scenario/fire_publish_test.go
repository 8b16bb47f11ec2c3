package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/wse-engine/wse/test/oracle"
)

// fireAnswer is what became of a publication.
type fireAnswer struct {
	Status, ID, Epoch string
	Seq               uint64
}

// decodeAnswer reads an answer of the admin API that has to be 200.
func decodeAnswer(r *http.Response, answer any) error {
	body, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.Status, body)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(body, answer)
}

// publisher publishes to all topics over the admin API, one after another.
type publisher struct {
	world *world
	name  string
	rng   *rand.Rand
	http  http.Client
	n     map[string]int // by topic
}

// firePace is how often a publisher publishes while somebody waits for publications; else it is twenty times as slow: the machine is
// to be busy, and not to be beaten.
const firePace = 10 * time.Millisecond

// pace calls publish, at that pace, until everybody has seen enough or it fails.
func (w *world) pace(publish func() error) error {
	tick := time.NewTicker(firePace)
	defer tick.Stop()
	for i := 0; !w.quiet(); i++ {
		if w.hungry.Load() > 0 || i%20 == 0 {
			if err := publish(); err != nil {
				return err
			}
		}
		<-tick.C
	}
	return nil
}

// fireLast is the type of the last publication of each topic.
const fireLast = "fire_last"

// firePayload is the payload of the n-th publication of somebody to a topic, short or long enough to be compressed.
func firePayload(rng *rand.Rand, topic, by string, n int) json.RawMessage {
	return fmt.Appendf(nil, `{"in":%q,"by":%q,"n":%d,"pad":%q}`, topic, by, n, strings.Repeat("pad ", rng.IntN(2)*rng.IntN(150)))
}

// document is what is posted for the next publication to a topic: a snapshot now and then, or an envelope, or an event.
func (p *publisher) document(topic string, event bool) json.RawMessage {
	p.n[topic]++
	n := p.n[topic]
	id := fmt.Sprintf("%s-%s-%d", p.name, topic, n)
	payload := firePayload(p.rng, topic, p.name, n)
	switch {
	case event:
		return fmt.Appendf(nil, `{"type":"FireMoved","topic":%q,"id":%q,"payload":%s}`, topic, id, payload)
	case n%fireSnapshot == 0:
		return fmt.Appendf(nil, `{"topic":%q,"t":"fire_snapshot","id":%q,"p":%s}`, topic, id, payload)
	}
	return fmt.Appendf(nil, `{"topic":%q,"t":"fire_update","id":%q,"p":%s}`, topic, id, payload)
}

// run publishes until everybody has seen enough.
func (p *publisher) run() error {
	defer p.http.CloseIdleConnections()
	return p.world.pace(func() error {
		run := p.world.stage.serving()
		if run == nil {
			return nil
		}
		err := p.publish(run, firePublished())
		if errors.Is(err, errEnded) {
			err = nil // what was under way may be lost
		}
		return err
	})
}

// publish hands in one publication, several at a time, or an event for the plugins.
func (p *publisher) publish(run *engineRun, topics []string) error {
	some := make([]string, 1+p.rng.IntN(2)*p.rng.IntN(5))
	for i := range some {
		some[i] = topics[p.rng.IntN(len(topics))]
	}
	path, event := "/api/v1/publish", len(some) == 1 && p.rng.IntN(3) == 0 && (p.n[some[0]]+1)%fireSnapshot != 0
	if event {
		path = "/api/v1/events"
	}
	docs := make([]json.RawMessage, len(some))
	for i, topic := range some {
		docs[i] = p.document(topic, event)
	}
	return p.post(run, path, some, docs)
}

// finish publishes the last publication of each topic.
func (p *publisher) finish() error {
	var docs []json.RawMessage
	for _, topic := range firePublished() {
		docs = append(docs, fmt.Appendf(nil, `{"topic":%q,"t":%q,"p":%s}`, topic, fireLast, firePayload(p.rng, topic, p.name, 0)))
	}
	return p.post(p.world.stage.serving(), "/api/v1/publish", firePublished(), docs)
}

// post posts documents, each to one of the topics, and records where each is.
func (p *publisher) post(run *engineRun, path string, some []string, docs []json.RawMessage) error {
	body, err := json.Marshal(docs)
	if err != nil {
		return err
	}
	var answers []fireAnswer
	if err := run.post(p.world.ctx, &p.http, path, body, &answers); err != nil {
		return err
	}
	if len(answers) != len(docs) {
		return fmt.Errorf("%d publications, %d answers", len(docs), len(answers))
	}
	for i, a := range answers {
		if a.Status != "published" && a.Status != "duplicate" {
			return fmt.Errorf("publishing %s: %+v", docs[i], a)
		}
		if err := p.world.ledger.record(some[i], oracle.Place{Run: run.n, Epoch: a.Epoch, Seq: a.Seq}, a.ID); err != nil {
			return err
		}
	}
	return nil
}

// speaker publishes as a client does, to the topic of its user's own messages, and waits for each to come back.
type speaker struct {
	subscriber
	n int
}

// run speaks until everybody has seen enough.
func (s *speaker) run() error {
	for !s.world.quiet() {
		run := s.world.stage.serving()
		if run == nil {
			return nil
		}
		if err := s.speak(run); err != nil && !errors.Is(err, errEnded) {
			return fmt.Errorf("the speaker %s: %w", s.name, err)
		}
	}
	return nil
}

// speak comes back and goes on until the engine ends, or everybody has seen enough.
func (s *speaker) speak(run *engineRun) error {
	err := s.come(run)
	if s.session == nil {
		return err
	}
	defer s.c.shut()
	if err == nil {
		err = s.world.pace(func() error {
			s.n++
			kind := "fire_note"
			if s.n%fireSnapshot == 0 {
				kind = "fire_snapshot"
			}
			return s.say(kind)
		})
	}
	if err == nil {
		err = s.say(fireLast)
	}
	if err == nil {
		err = s.goodbye()
	}
	return err
}

// say publishes one message and waits for it to come back.
func (s *speaker) say(kind string) error {
	if _, err := s.send(kind, firePayload(s.rng, s.topics[0], s.name, s.n)); err != nil {
		return err
	}
	n := s.got + 1
	return s.until(func(*said) bool { return s.got >= n })
}
