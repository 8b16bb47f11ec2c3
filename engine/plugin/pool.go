package plugin

import (
	"context"
	"sync"
	"time"

	"github.com/wse-engine/wse/sdk/abi"
)

// pool holds a version's instances and, in the order of their arrival, the tasks that wait for one. While a task waits, no
// instance is free. An instance that is given back goes to the task that has waited longest, whose goroutine then leads: it
// takes along other tasks that wait for the same hook, where the guest can serve several in one call, and ends their wait.
// So a queue drains in batches, and nobody runs more than one of them for others.
type pool struct {
	mu      sync.Mutex
	free    []*instance // the last one is used next, its memory is warm; nil stands for one that must be made. Guarded by mu
	first   *task       // guarded by mu
	last    *task       // guarded by mu
	waiting int         // events of the tasks that wait; guarded by mu
	tasks   sync.Pool   // of *task; the pool's own, since timers and channels must not leave a test's bubble
}

// task is what one goroutine wants done with one instance: a call of a hook, or calls of transform for several events.
type task struct {
	hook   hook
	events []*Event
	turn   chan turn // holds one

	next, prev *task // in the queue; guarded by pool.mu
	queued     bool  // guarded by pool.mu

	one   Event // of a single call
	ref   [1]*Event
	all   []*Event // that this task leads: its own and those it took along
	along []*task
	timer *time.Timer
}

// turn ends a task's wait.
type turn struct {
	in   *instance
	does what
}

// what is a task's turn to do.
type what uint8

const (
	gaveUp  what = iota // nothing: its patience, or its context, ended
	leads               // it has an instance, and uses it
	settled             // nothing: another task took it along
	turned              // nothing: too many wait
)

// take returns a free instance, if there is one.
func (p *pool) take() (in *instance, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pop()
}

// pop is take. mu is held.
func (p *pool) pop() (in *instance, ok bool) {
	n := len(p.free)
	if n == 0 {
		return nil, false
	}
	in = p.free[n-1]
	p.free = p.free[:n-1]
	return in, true
}

// give puts an instance back, or has the task that waited longest use it. nil stands for one that must be made.
func (p *pool) give(in *instance) {
	p.mu.Lock()
	k := p.first
	if k == nil {
		p.free = append(p.free, in)
		p.mu.Unlock()
		return
	}
	p.remove(k)
	p.mu.Unlock()
	k.turn <- turn{in, leads}
}

// add puts a task at the end of the queue. mu is held.
func (p *pool) add(k *task) {
	if k.prev, k.next, k.queued = p.last, nil, true; p.last == nil {
		p.first = k
	} else {
		p.last.next = k
	}
	p.last = k
	p.waiting += len(k.events)
}

// remove takes a task out of the queue. mu is held.
func (p *pool) remove(k *task) {
	if k.prev == nil {
		p.first = k.next
	} else {
		k.prev.next = k.next
	}
	if k.next == nil {
		p.last = k.prev
	} else {
		k.next.prev = k.prev
	}
	k.prev, k.next, k.queued = nil, nil, false
	p.waiting -= len(k.events)
}

// wait has k wait its turn, for at most patience, behind at most most events.
func (p *pool) wait(ctx context.Context, k *task, patience time.Duration, most int) turn {
	p.mu.Lock()
	if in, ok := p.pop(); ok {
		p.mu.Unlock()
		return turn{in, leads}
	}
	if p.waiting+len(k.events) > most {
		p.mu.Unlock()
		return turn{nil, turned}
	}
	p.add(k)
	p.mu.Unlock()
	k.timer.Reset(patience)
	defer k.timer.Stop()
	select {
	case t := <-k.turn:
		return t
	case <-ctx.Done():
	case <-k.timer.C:
	}
	p.mu.Lock()
	waited := k.queued
	if waited {
		p.remove(k)
	}
	p.mu.Unlock()
	if waited {
		return turn{nil, gaveUp}
	}
	return <-k.turn // somebody takes it along, or hands an instance over just now
}

// follow takes along, in their order, tasks that wait for the same hook as k, as long as not more than most events and
// bytesMax bytes come together. No more than a fair share is taken, so that instances which come free soon have something
// to do as well. It fills k.along and k.all.
func (p *pool) follow(k *task, most, bytesMax, instances int) {
	k.along, k.all = k.along[:0], append(k.all[:0], k.events...)
	if most <= len(k.events) {
		return
	}
	bytes := batchBytes(k.events)
	p.mu.Lock()
	defer p.mu.Unlock()
	most = min(most, (p.waiting+len(k.events)+instances-1)/instances)
	for f := p.first; f != nil && f.hook == k.hook && len(k.all)+len(f.events) <= most; f = p.first {
		if bytes += batchBytes(f.events) - batchHead; bytes > bytesMax {
			return
		}
		p.remove(f)
		k.along, k.all = append(k.along, f), append(k.all, f.events...)
	}
}

// waits returns how many calls wait.
func (p *pool) waits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting
}

// task returns a task from those that were used before.
func (p *pool) task(h hook) *task {
	k, ok := p.tasks.Get().(*task)
	if !ok {
		k = &task{turn: make(chan turn, 1), timer: time.NewTimer(time.Hour)}
		k.timer.Stop()
	}
	k.hook = h
	return k
}

// done lets a task be used again.
func (p *pool) done(k *task) {
	clear(k.all)
	clear(k.along)
	k.all, k.along, k.events, k.one = k.all[:0], k.along[:0], nil, Event{}
	p.tasks.Put(k)
}

// single makes k a call with one document.
func (k *task) single(doc []byte, answer Answer) {
	k.one = Event{Doc: doc, Answer: answer, kind: abi.No}
	k.ref[0] = &k.one
	k.events = k.ref[:]
}
