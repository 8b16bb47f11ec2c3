package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Errors that callers compare with.
var (
	// ErrSilent is the error of an answer that did not come in time: the node may have done what it was asked, or not.
	ErrSilent = errors.New("cluster: the node did not answer in time; it may have done it all the same")
	// ErrUnknownSubject is the error of a node that has no handler for what it was asked, being of another version.
	ErrUnknownSubject = errors.New("cluster: the node does not know this question; it may be of another version")
	// ErrTooLarge is the error of a body that is larger than body_kib_max.
	ErrTooLarge = errors.New("cluster: the body is larger than body_kib_max")
)

// Handler answers a question from a node. It must return when ctx ends, which is when the asker no longer waits or the node stops.
// The body is its own. A *message.Error arrives as one at the asker's, any other error as its text.
type Handler func(ctx context.Context, from string, body []byte) ([]byte, error)

// Answer is what a node answered.
type Answer struct {
	Node Info
	Body []byte
	Err  error // ErrSilent, ErrUnknownSubject, a *message.Error, or else what the node says
}

// Handle has f answer questions about a subject. It may be called twice for one Ask, so what it does must come to the same when
// it is done again. Before Run; a subject has one handler.
func (n *Node) Handle(subject string, f func(ctx context.Context, from string, body []byte) ([]byte, error)) {
	if _, taken := n.handlers[subject]; taken {
		panic(fmt.Sprintf("cluster: the subject %q has two handlers", subject))
	}
	n.handlers[subject] = f
}

// question is one that was asked and waits for answers.
type question struct {
	mu      sync.Mutex
	open    map[string]int // who has not answered, with his place in answers; guarded by mu
	answers []Answer       // guarded by mu until done is closed
	done    chan struct{}  // closed when nobody is left
}

// take takes an answer, the first of each node.
func (q *question) take(from string, body []byte, err error) (taken bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i, ok := q.open[from]
	if !ok {
		return false
	}
	q.answers[i].Body, q.answers[i].Err = body, err
	if delete(q.open, from); len(q.open) == 0 {
		close(q.done)
	}
	return true
}

// silent returns who has not answered yet.
func (q *question) silent() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	ids := make([]string, 0, len(q.open))
	for id := range q.open {
		ids = append(ids, id)
	}
	return ids
}

// over ends the question and returns what has come.
func (q *question) over() []Answer {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, i := range q.open {
		q.answers[i].Err = ErrSilent
	}
	q.open = nil
	return q.answers
}

// Ask asks all nodes that are alive, this one too, and waits for their answers until ctx ends or ask_timeout has passed. The answers
// are sorted by node; who is silent has ErrSilent in his. Where Redis cannot be reached there is an error, and the only answer is
// this node's own, whose handler was called all the same.
func (n *Node) Ask(ctx context.Context, subject string, body []byte) ([]Answer, error) {
	if len(body) > n.cfg.BodyKiBMax<<10 {
		return nil, fmt.Errorf("%w: %d bytes, at most %d KiB", ErrTooLarge, len(body), n.cfg.BodyKiBMax)
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.AskTimeout)
	defer cancel()
	n.figures.asked.Add(1)
	nodes, failed := n.Alive(ctx)
	if failed != nil {
		nodes = nil
	}
	at, there := slices.BinarySearchFunc(nodes, n.self.ID, func(i Info, id string) int { return strings.Compare(i.ID, id) })
	if !there {
		nodes = slices.Insert(nodes, at, n.self)
	}
	q := &question{open: make(map[string]int), answers: make([]Answer, len(nodes)), done: make(chan struct{})}
	for i := range nodes {
		q.open[nodes[i].ID], q.answers[i].Node = i, nodes[i]
	}
	var own sync.WaitGroup
	own.Go(func() {
		answer, err := n.answer(ctx, n.self.ID, subject, body)
		q.take(n.self.ID, answer, err)
	})
	if len(q.answers) > 1 {
		failed = n.askOthers(ctx, q, channelAll, subject, body)
	}
	own.Wait()
	answers := q.over()
	for i := range answers {
		if errors.Is(answers[i].Err, ErrSilent) {
			n.figures.silent.Add(1)
		}
	}
	return answers, failed
}

// AskNode asks one node and returns its answer. It waits until ctx ends or ask_timeout has passed; then the error is ErrSilent, or
// why it could not be asked.
func (n *Node) AskNode(ctx context.Context, id, subject string, body []byte) ([]byte, error) {
	if len(body) > n.cfg.BodyKiBMax<<10 {
		return nil, fmt.Errorf("%w: %d bytes, at most %d KiB", ErrTooLarge, len(body), n.cfg.BodyKiBMax)
	}
	if !validID(id) {
		return nil, fmt.Errorf("cluster: %.80q is no node", id)
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.AskTimeout)
	defer cancel()
	n.figures.asked.Add(1)
	if id == n.self.ID {
		return n.answer(ctx, n.self.ID, subject, body)
	}
	q := &question{open: map[string]int{id: 0}, answers: make([]Answer, 1), done: make(chan struct{})}
	failed := n.askOthers(ctx, q, channelOf(id), subject, body)
	answer := q.over()[0]
	if errors.Is(answer.Err, ErrSilent) {
		n.figures.silent.Add(1)
		if failed != nil {
			return nil, failed
		}
	}
	return answer.Body, answer.Err
}

// askOthers asks until all have answered, or ctx ends, first on one channel and then each on his own. The error is that of a question
// that never went out.
func (n *Node) askOthers(ctx context.Context, q *question, first, subject string, body []byte) error {
	id := rand.Text()
	n.mu.Lock()
	n.questions[id] = q
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.questions, id)
		n.mu.Unlock()
	}()
	err := n.put(ctx, first, id, subject, body)
	ticker := time.NewTicker(n.cfg.AskAgain)
	defer ticker.Stop()
	for {
		select {
		case <-q.done:
			return nil
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
		for _, node := range q.silent() {
			if node == n.self.ID {
				continue
			}
			n.figures.askedAgain.Add(1)
			if failed := n.put(ctx, channelOf(node), id, subject, body); failed == nil || err != nil {
				err = failed
			}
		}
	}
}

// put sends a question.
func (n *Node) put(ctx context.Context, channel, id, subject string, body []byte) error {
	left := n.cfg.AskTimeout
	if until, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(until))
	}
	raw, err := encode(&head{Kind: kindQuestion, ID: id, From: n.self.ID, DB: n.db(), Subject: subject, LeftMS: max(1, left.Milliseconds())}, body)
	if err == nil {
		err = n.client.Do().Publish(ctx, channel, raw).Err()
	}
	if err != nil {
		return fmt.Errorf("cluster: the other nodes cannot be asked: %w", err)
	}
	return nil
}

// answer calls the handler of a subject.
func (n *Node) answer(ctx context.Context, from, subject string, body []byte) ([]byte, error) {
	f := n.handlers[subject]
	if f == nil {
		return nil, ErrUnknownSubject
	}
	answer, err := f(ctx, from, body)
	if err == nil && len(answer) > n.cfg.BodyKiBMax<<10 {
		err = fmt.Errorf("%w: an answer of %d bytes, at most %d KiB", ErrTooLarge, len(answer), n.cfg.BodyKiBMax)
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}

const (
	pingAfter  = 2 * time.Second        // of silence on the bus
	hearAgain  = 100 * time.Millisecond // after the connection broke
	hearAtMost = time.Second            // after it broke again and again
)

// listen hears the bus until ctx ends, and closes listening once it did for the first time.
func (n *Node) listen(ctx context.Context, listening chan struct{}) {
	l := listener{node: n, under: make(map[string]bool), listening: listening}
	defer l.handlers.Wait()
	wait := time.Duration(0)
	for {
		began := time.Now()
		l.hear(ctx)
		if ctx.Err() != nil {
			return
		}
		n.figures.reconnects.Add(1)
		wait = hearWait(wait, time.Since(began))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// hearWait is the wait before the bus is heard again, after one before it and a connection that was of use for so long.
func hearWait(before, lasted time.Duration) time.Duration {
	if lasted > pingAfter {
		return hearAgain
	}
	return min(max(2*before, hearAgain), hearAtMost)
}

// listener is the one who hears the bus.
type listener struct {
	node      *Node
	listening chan struct{}
	heard     bool // listening is closed
	warned    bool // of another wse
	handlers  sync.WaitGroup

	mu    sync.Mutex
	under map[string]bool // questions whose handlers are at work, by asker and id; guarded by mu
}

// hear subscribes and takes what comes, until the connection is no good.
func (l *listener) hear(ctx context.Context) {
	channels := []string{channelAll, channelOf(l.node.self.ID)}
	sub := l.node.client.Do().Subscribe(ctx, channels...)
	defer sub.Close()
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer stop()
	pinged, confirmed := false, 0
	for {
		got, err := sub.ReceiveTimeout(ctx, pingAfter)
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() && !pinged && confirmed == len(channels) {
			if pinged = true; sub.Ping(ctx) == nil {
				continue
			}
		}
		if err != nil {
			return
		}
		pinged = false
		switch m := got.(type) {
		case *goredis.Subscription:
			if confirmed++; confirmed == len(channels) && !l.heard {
				l.heard = true
				close(l.listening)
			}
		case *goredis.Message:
			l.take(ctx, []byte(m.Payload))
		}
	}
}

// take takes what came on the bus. What is not a node's is counted and dropped.
func (l *listener) take(ctx context.Context, raw []byte) {
	n := l.node
	h, body, err := decode(raw, n.cfg.BodyKiBMax<<10)
	switch {
	case err != nil:
		n.figures.malformed.Add(1)
		n.log.Warn("something that no node says came on the bus; its channels belong to the engine alone", "error", err)
	case h.DB != n.db():
		l.foreign(h.DB)
	case h.Kind == kindAnswer:
		n.mu.Lock()
		q := n.questions[h.ID]
		n.mu.Unlock()
		if h.Err != nil {
			err = h.Err.err()
		}
		if q != nil && q.take(h.From, body, err) {
			n.figures.answered.Add(1)
		}
	case h.Kind == kindQuestion && h.From != n.self.ID:
		l.work(ctx, h, body)
	}
}

// foreign has the operator told, once, that this is not the only wse of its Redis.
func (l *listener) foreign(db int) {
	if !l.warned {
		l.warned = true
		l.node.log.Error("another wse uses the same Redis; channels have no databases, so each hears what the other one's clients are sent: give each a Redis of its own",
			"its_database", db, "database", l.node.db())
	}
}

// work has a question answered, unless that is being done. Where too many are, the asker will ask again.
func (l *listener) work(ctx context.Context, h head, body []byte) {
	n, key := l.node, h.From+" "+h.ID
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.under[key] {
		return
	}
	select {
	case n.working <- struct{}{}:
	default:
		n.figures.refused.Add(1)
		return
	}
	l.under[key] = true
	l.handlers.Go(func() {
		defer func() {
			<-n.working
			l.mu.Lock()
			delete(l.under, key)
			l.mu.Unlock()
		}()
		n.figures.handled.Add(1)
		ctx, cancel := context.WithTimeout(ctx, min(time.Duration(max(h.LeftMS, 1))*time.Millisecond, askLongest))
		defer cancel()
		answer, err := n.answer(ctx, h.From, h.Subject, body)
		reply := head{Kind: kindAnswer, ID: h.ID, From: n.self.ID, DB: n.db()}
		if err != nil {
			reply.Err = faultOf(err)
		}
		raw, err := encode(&reply, answer)
		if err == nil {
			err = n.client.Do().Publish(ctx, channelOf(h.From), raw).Err()
		}
		if err != nil && ctx.Err() == nil {
			n.log.Warn("an answer could not be sent to another node; it will ask again", "node", h.From, "subject", h.Subject, "error", err)
		}
	})
}

// askLongest bounds what another node can have this one work for; it is the largest ask_timeout.
const askLongest = 10 * time.Minute
