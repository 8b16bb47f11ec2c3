package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/wse-engine/wse/test/oracle"
	"github.com/wse-engine/wse/test/scenario"
)

// said is a message of a node, as far as subscribers read it.
type said struct {
	T   string          `json:"t"`
	P   json.RawMessage `json:"p"`
	ID  string          `json:"id"`
	CID string          `json:"cid"`
	Tp  string          `json:"tp"`
	E   string          `json:"e"`
	Seq uint64          `json:"seq"`
}

// subscriber is a client that comes back whenever its connection ends, and knows where it read to. Its home is the node that it
// prefers. A wild one follows a pattern, which has no positions to come back with.
type subscriber struct {
	world *world
	name  string
	home  int
	wild  bool
	rng   *rand.Rand

	from    map[string]oracle.Place // where it read to when it came back last, and since
	follows map[string]*oracle.Follower
	live    bool // the subscription is answered to its end

	mu   sync.Mutex
	conn net.Conn // guarded by mu

	// What others look at; guarded by world.mu.
	at    map[string]oracle.Place
	wants map[string]oracle.Place
	where string
	came  []string
}

func newSubscriber(w *world, name string, home int, wild bool) *subscriber {
	return &subscriber{world: w, name: name, home: home, wild: wild, rng: w.rng(name, home), from: make(map[string]oracle.Place), at: make(map[string]oracle.Place)}
}

// reached reports whether the subscriber is at least at the marks of its topics. world.mu is held.
func (s *subscriber) reached(marks map[string]oracle.Place) bool {
	s.wants = make(map[string]oracle.Place)
	for topic, mark := range marks {
		if s.wild && !strings.HasPrefix(topic, strings.TrimSuffix(wildcard, "*")) {
			continue
		}
		if at := s.at[topic]; at.Epoch != mark.Epoch || at.Seq < mark.Seq {
			s.wants[topic] = mark
		}
	}
	return len(s.wants) == 0
}

// hangUp ends the connection, at the end of a test.
func (s *subscriber) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

// play comes back until the world ends.
func (s *subscriber) play() {
	for s.world.ctx.Err() == nil {
		n := s.choose()
		a, ok := n.running()
		if !ok {
			continue
		}
		err := s.visit(n, a)
		var wrong *wrongError
		switch {
		case s.world.ctx.Err() != nil:
		case errors.As(err, &wrong), errors.Is(err, errLost) && !n.lost(a.life):
			s.world.fail(fmt.Errorf("%s on %s: %w; before that:\n  %s", s.name, n.name, err, strings.Join(s.came, "\n  ")))
			return
		default: // it is refused while the node cannot reach Redis; and who is refused does not come back at once
			select {
			case <-s.world.ctx.Done():
			case <-time.After(time.Duration(50+s.rng.IntN(100)) * time.Millisecond):
			}
		}
	}
}

// choose returns the node at home where that is well, else another one that is, and waits for one.
func (s *subscriber) choose() *node {
	for {
		for i := range s.world.nodes {
			if n := s.world.nodes[(s.home+i)%len(s.world.nodes)]; n.good() || s.world.ctx.Err() != nil {
				return n
			}
		}
		select {
		case <-s.world.ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// wrongError is what must not happen, whatever is done to servers and nodes.
type wrongError struct{ error }

// errLost says that the connection ended, which it may when the node does; errRefused that the node could not reach Redis.
var (
	errLost    = errors.New("the connection was lost")
	errRefused = errors.New("the subscription was refused while the node cannot reach Redis")
)

// visit connects, subscribes and reads until the connection ends.
func (s *subscriber) visit(n *node, a alive) error {
	conn, in, err := s.dial(a.Public)
	if err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	defer conn.Close()
	s.follows, s.live = make(map[string]*oracle.Follower), false
	s.world.change(func() { s.where = n.name })
	if err := s.subscribe(conn); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	for {
		m, err := s.next(conn, in)
		if err != nil {
			return err
		}
		if err := s.take(m); errors.Is(err, errRefused) {
			return err
		} else if err != nil {
			return &wrongError{err}
		}
	}
}

func (s *subscriber) dial(addr string) (net.Conn, *bufio.Reader, error) {
	token, err := scenario.Token(user)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(s.world.ctx, recoveryMax)
	defer cancel()
	conn, in, _, err := ws.Dial(ctx, "ws://"+addr+"/wse?compression=false&token="+token)
	if err != nil {
		return nil, nil, err
	}
	if in == nil {
		in = bufio.NewReader(conn)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = conn
	if s.world.ctx.Err() != nil {
		_ = conn.Close()
	}
	return conn, in, nil
}

// send sends one message.
func (s *subscriber) send(conn net.Conn, op ws.OpCode, payload []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(recoveryMax)); err != nil {
		return err
	}
	return ws.WriteFrame(conn, ws.MaskFrameInPlace(ws.NewFrame(op, true, payload)))
}

// subscribe asks for all topics, each from where it was read to; for one never read from nowhere, which the answer tells all the
// same.
func (s *subscriber) subscribe(conn net.Conn) error {
	p := map[string]any{"action": "subscribe", "topics": []string{wildcard}}
	if !s.wild {
		positions := make(map[string]any)
		for _, topic := range topics() {
			at, ok := s.from[topic]
			if !ok {
				at = oracle.Place{Epoch: oracle.NoEpoch}
			}
			s.follows[topic] = &oracle.Follower{Topic: topic, Kept: kept(topic), Asked: &at}
			positions[topic] = map[string]any{"epoch": at.Epoch, "offset": at.Seq}
		}
		p["topics"], p["recover"], p["recovery"] = topics(), true, positions
	}
	text, err := json.Marshal(map[string]any{"t": "subscription_update", "id": "subscribe", "p": p})
	if err != nil {
		return err
	}
	return s.send(conn, ws.OpText, text)
}

// kept is how many publications a topic's class keeps.
func kept(topic string) uint64 {
	switch topic {
	case news:
		return 0
	case few:
		return keptFew
	}
	return keptMany
}

// next returns the next message. It answers pings.
func (s *subscriber) next(conn net.Conn, in *bufio.Reader) (*said, error) {
	for {
		if err := conn.SetReadDeadline(time.Now().Add(recoveryMax)); err != nil { // there is a heartbeat each second
			return nil, fmt.Errorf("%w: %w", errLost, err)
		}
		f, err := readFrame(in)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errLost, err)
		case f.Header.OpCode == ws.OpClose:
			code, reason := ws.ParseCloseFrameData(f.Payload)
			return nil, fmt.Errorf("%w: closed with %d %q", errLost, code, reason)
		case f.Header.OpCode == ws.OpPing:
			if err := s.send(conn, ws.OpPong, f.Payload); err != nil {
				return nil, fmt.Errorf("%w: %w", errLost, err)
			}
		case f.Header.OpCode == ws.OpText && f.Header.Fin:
			m := &said{}
			if err := json.Unmarshal(f.Payload, m); err != nil {
				return nil, &wrongError{fmt.Errorf("%w: %q", err, f.Payload)}
			}
			if m.T != "heartbeat" {
				s.trail(m)
				return m, nil
			}
		}
	}
}

func readFrame(in io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(in); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(in, f.Payload)
	return f, err
}

// trail keeps what came last, for whoever has to find out why.
func (s *subscriber) trail(m *said) {
	line := fmt.Sprintf("%s %s %s %s:%d", m.T, m.ID, m.Tp, m.E, m.Seq)
	if m.Seq == 0 {
		line += fmt.Sprintf(" %.300s", m.P)
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.came = append(s.came[max(0, len(s.came)-30):], line)
}

// take checks a message and acts on it.
func (s *subscriber) take(m *said) error {
	switch {
	case m.Seq > 0:
		return s.publication(m)
	case m.T == "subscription_update" && m.CID == "":
		return s.restarted(m)
	case m.T == "subscription_update":
		return s.answered(m)
	case m.T == "snapshot_complete":
		return s.complete(m)
	case m.T == "error":
		if strings.Contains(string(m.P), `"recoverable":true`) && strings.Contains(string(m.P), "try again") {
			return errRefused
		}
		return fmt.Errorf("an error came: %s", m.P)
	}
	return nil
}

func (s *subscriber) publication(m *said) error {
	var p struct{ In string }
	if err := json.Unmarshal(m.P, &p); err != nil {
		return err
	}
	topic, at := p.In, oracle.Place{Epoch: m.E, Seq: m.Seq}
	if at.Epoch == "" {
		at.Epoch = oracle.NoEpoch
	} else if topic != m.Tp {
		return fmt.Errorf("what is in %q came as %q", topic, m.Tp)
	}
	f := s.follows[topic]
	switch {
	case f == nil && (!s.wild || !s.live):
		return fmt.Errorf("%s: %v came, which is not subscribed to", topic, at)
	case f == nil:
		f = oracle.Joined(topic, kept(topic))
		s.follows[topic] = f
	}
	if _, err := s.world.ledger.Record(topic, at, m.ID); err != nil {
		return err
	}
	if err := f.Publication(at, m.T); err != nil {
		return err
	}
	s.moved(f)
	return nil
}

// moved says where a topic is read to.
func (s *subscriber) moved(f *oracle.Follower) {
	if f.Known && f.Live() && !s.wild {
		s.from[f.Topic] = f.At
	}
	s.world.change(func() {
		if f.Known {
			s.at[f.Topic] = f.At
		}
		s.world.told[f.Topic] += f.Told
	})
	f.Told = 0
}

type notice struct {
	Action   string
	Success  bool
	Failed   []struct{ Topic, Reason string } `json:"failed_topics"`
	Recovery map[string]oracle.Recovery
}

// answered takes the answer to the subscription.
func (s *subscriber) answered(m *said) error {
	var p notice
	if err := json.Unmarshal(m.P, &p); err != nil {
		return err
	}
	for _, f := range p.Failed {
		if strings.Contains(f.Reason, "try again") {
			return errRefused
		}
	}
	if !p.Success || len(p.Failed) > 0 {
		return fmt.Errorf("the subscription was refused: %s", m.P)
	}
	for topic, f := range s.follows {
		r, ok := p.Recovery[topic]
		if !ok {
			return fmt.Errorf("%s: the answer tells nothing of its position: %s", topic, m.P)
		}
		f.Loose = s.world.isFree(topic)
		if err := f.Answered(0, &r); err != nil {
			return err
		}
	}
	return nil
}

// restarted takes what is told unasked.
func (s *subscriber) restarted(m *said) error {
	var p notice
	if err := json.Unmarshal(m.P, &p); err != nil {
		return err
	}
	if p.Action != "recover" {
		return nil
	}
	for topic, r := range p.Recovery {
		f := s.follows[topic]
		if f == nil && s.wild {
			f = oracle.Joined(topic, kept(topic))
			s.follows[topic] = f
		}
		if f == nil {
			return fmt.Errorf("%s begins anew, which is not subscribed to", topic)
		}
		f.Loose = s.world.isFree(topic)
		if err := f.Restarted(r); err != nil {
			return err
		}
		s.moved(f)
	}
	return nil
}

// complete takes the end mark: of the subscription, or of one topic that began anew.
func (s *subscriber) complete(m *said) error {
	done := s.follows
	if m.CID == "" {
		var p struct{ Details struct{ Topics []string } }
		if err := json.Unmarshal(m.P, &p); err != nil {
			return err
		}
		done = make(map[string]*oracle.Follower)
		for _, topic := range p.Details.Topics {
			if f := s.follows[topic]; f != nil {
				done[topic] = f
			}
		}
	}
	for _, f := range done {
		if m.CID != "" && f.Live() { // it began anew before the subscription was complete
			continue
		}
		if err := f.Complete(); err != nil {
			return err
		}
		s.moved(f)
	}
	s.live = true
	return nil
}
