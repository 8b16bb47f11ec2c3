package shared

import (
	"context"
	"sync"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// checkParts is into how many parts the topics are divided, so that they are not all checked at once.
const checkParts = 16

// Run writes, reads and checks until ctx is cancelled, and then writes what is still to be written if Redis is there.
func (p *Presence) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for range workers {
		running.Go(func() { p.work(ctx, p.queue) })
	}
	running.Go(func() { p.work(ctx, p.later) })
	running.Go(func() { p.alarms.Run(ctx, p.ring) })
	running.Go(func() { p.dig(ctx) })
	ticker := time.NewTicker(max(p.cfg.CheckInterval/checkParts, time.Millisecond))
	defer ticker.Stop()
	for part := uint64(0); ; part = (part + 1) % checkParts {
		select {
		case <-ctx.Done():
			running.Wait()
			return nil
		case <-ticker.C:
			p.checkAll(func(t *topic) bool { return t.part == part && t.peopled.Load() }, false)
		}
	}
}

// checkAll has the topics checked that which chooses by what needs no lock. With suspect, notices of them may have been missed.
func (p *Presence) checkAll(which func(*topic) bool, suspect bool) {
	p.mu.RLock()
	var topics []*topic
	for _, t := range p.topics {
		if which(t) {
			topics = append(topics, t)
		}
	}
	p.mu.RUnlock()
	for _, t := range topics {
		t.mu.Lock()
		if !t.dropped {
			t.check, t.suspect = true, t.suspect || suspect
			for _, u := range t.users {
				if u.outside {
					t.touch(u)
				}
			}
			p.kick(t)
		}
		p.release(t)
	}
}

// ring does what a topic's alarm is for, if that is still to be done.
func (p *Presence) ring(t *topic) {
	t.mu.Lock()
	defer p.release(t)
	if t.dropped {
		return
	}
	t.fault = nil
	t.sweep = t.sweep || t.telling || t.minding || len(t.waiting) > 0
	t.telling, t.minding = false, false
	clear(t.waiting)
	p.kick(t)
}

// topicOf returns the topic that a key is of.
func topicOf(key string) (message.Topic, bool) {
	const head, tail = "{wse:", "}:p"
	if len(key) <= len(head)+len(tail) || key[:len(head)] != head || key[len(key)-len(tail):] != tail {
		return "", false
	}
	name, err := message.ParseTopic(key[len(head) : len(key)-len(tail)])
	return name, err == nil
}
