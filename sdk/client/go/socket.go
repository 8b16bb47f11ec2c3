package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// socket is one connection.
type socket struct {
	client *Client
	conn   net.Conn
	reader wsutil.Reader

	token      string // the last one shown
	subscribed bool
	again      int // topics that were asked for again
	retryAfter time.Duration
	// pending are the positions from which live delivery goes on, while the snapshots before them are still coming: were
	// they taken for read now, a loss in between would lose those snapshots.
	pending map[string]pending
	refused *ServerError // the last error that the server called final
}

// pending is a position that is not reached yet.
type pending struct {
	at     Position
	closes bool // a snapshot_complete that names the topic says when it is
}

// envelope is the part of a message the client acts on (PROTOCOL §2.1).
type envelope struct {
	T   string          `json:"t"`
	P   json.RawMessage `json:"p"`
	ID  string          `json:"id"`
	Tp  string          `json:"tp"`
	E   string          `json:"e"`
	O   uint64          `json:"o"`
	Seq uint64          `json:"seq"`
	Cat string          `json:"_msg_cat"`
	CID string          `json:"cid"`
}

// subscribeID is the id of the subscription request that a connection begins with, and againID of those for topics that it was
// told to ask for again.
const (
	subscribeID = "subscribe-1"
	againID     = "again-"
)

// noEpoch never is the epoch of a history.
const noEpoch = "00000000"

// connect dials and upgrades.
func (c *Client) connect(ctx context.Context) (*socket, error) {
	token, err := c.cfg.Token(ctx)
	if err != nil {
		return nil, &finalError{err}
	}
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	dialer := ws.Dialer{Timeout: c.cfg.DialTimeout, Protocols: []string{"wse.v2"}, Header: ws.HandshakeHeaderHTTP(header)}
	conn, early, _, err := dialer.Dial(ctx, c.url)
	if err != nil {
		var status ws.StatusError
		if errors.As(err, &status) {
			return nil, fmt.Errorf("client: %s refused the upgrade with status %d", c.url, int(status))
		}
		return nil, fmt.Errorf("client: cannot connect to %s: %w", c.url, err)
	}
	s := &socket{client: c, conn: conn, token: token, pending: make(map[string]pending)}
	var source io.Reader = conn
	if early != nil { // frames that came with the answer to the upgrade
		source = early
	}
	s.reader = wsutil.Reader{
		Source: source, State: ws.StateClientSide, CheckUTF8: true,
		MaxFrameSize: c.cfg.MessageBytesMax, OnIntermediate: controlHandler(conn),
	}
	return s, nil
}

// controlHandler answers control frames. A close frame it answers itself, since gobwas takes the codes that were registered
// after RFC 6455 was written (1012 to 1014) for protocol errors, and a draining server uses one of them.
func controlHandler(conn net.Conn) wsutil.FrameHandlerFunc {
	others := wsutil.ControlFrameHandler(conn, ws.StateClientSide)
	return func(header ws.Header, r io.Reader) error {
		if header.OpCode != ws.OpClose || header.Length < 2 {
			return others(header, r)
		}
		body := make([]byte, header.Length) // a control frame has at most 125 bytes, which the reader has checked
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		code, reason := ws.ParseCloseFrameData(body)
		if code < 1012 || code > 1014 {
			return others(header, bytes.NewReader(body))
		}
		_ = wsutil.WriteClientMessage(conn, ws.OpClose, ws.NewCloseFrameBody(code, ""))
		return wsutil.ClosedError{Code: code, Reason: reason}
	}
}

// run reads until the connection or ctx ends. It subscribes once the server says that it is ready, and not before: where it
// refuses the token instead, writing to it would only hide why.
func (s *socket) run(ctx context.Context, handle func(Publication) error) error {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	defer func() { _ = s.conn.Close() }()
	for {
		raw, err := s.read(ctx)
		if err != nil {
			if ctx.Err() != nil {
				s.sayGoodbye()
			}
			return s.ended(err)
		}
		if err := s.message(ctx, raw, handle); err != nil {
			s.sayGoodbye()
			return err
		}
	}
}

// sayGoodbye closes the connection politely; the server's answer is not waited for.
func (s *socket) sayGoodbye() {
	_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_ = wsutil.WriteClientMessage(s.conn, ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
}

// subscribe asks for topics, each from where it was read to. A topic that was never read is asked for from an epoch that
// never is: the answer to that holds the position it has now, so that a loss before its first publication costs nothing.
func (s *socket) subscribe(id string, topics []string) error {
	type position struct {
		Epoch  string `json:"epoch"`
		Offset uint64 `json:"offset"`
	}
	recovery := make(map[string]position)
	for _, topic := range topics {
		p, ok := s.client.Position(topic)
		if !ok || p.Epoch == "" {
			p.Epoch = noEpoch
		}
		recovery[topic] = position(p)
	}
	return s.request("subscription_update", id, map[string]any{"action": "subscribe", "topics": topics, "recover": true, "recovery": recovery})
}

// sync asks for the snapshots of topics.
func (s *socket) sync(id string, topics []string) error {
	return s.request("sync_request", id, map[string]any{"topics": topics})
}

func (s *socket) request(kind, id string, p map[string]any) error {
	request, err := json.Marshal(map[string]any{"t": kind, "id": id, "v": 2, "p": p})
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.client.cfg.DialTimeout))
	_ = wsutil.WriteClientText(s.conn, request) // where that fails, reading on tells why
	return nil
}

// read returns the next data message. Control frames are answered on the way.
func (s *socket) read(ctx context.Context) ([]byte, error) {
	for {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		_ = s.conn.SetReadDeadline(time.Now().Add(s.client.cfg.IdleTimeout))
		if ctx.Err() != nil { // ended while the deadline was being moved
			return nil, ctx.Err()
		}
		_ = s.conn.SetWriteDeadline(time.Now().Add(s.client.cfg.IdleTimeout)) // for pongs
		header, err := s.reader.NextFrame()
		if err != nil {
			return nil, err
		}
		if header.OpCode.IsControl() {
			if err := s.reader.OnIntermediate(header, &s.reader); err != nil {
				return nil, err
			}
			continue
		}
		limit := s.client.cfg.MessageBytesMax
		raw, err := io.ReadAll(io.LimitReader(&s.reader, limit+1))
		if err == nil && int64(len(raw)) > limit {
			err = fmt.Errorf("a message is larger than %d bytes", limit)
		}
		return raw, err
	}
}

// ended says why a connection ended, and whether another one may help (PROTOCOL §2.2).
func (s *socket) ended(err error) error {
	var closed wsutil.ClosedError
	if !errors.As(err, &closed) {
		return fmt.Errorf("client: connection lost: %w", err)
	}
	why := fmt.Errorf("client: the server closed the connection: %d %s", closed.Code, closed.Reason)
	switch closed.Code {
	case ws.StatusNormalClosure, ws.StatusGoingAway, ws.StatusPolicyViolation, 4401, 4403:
		if s.refused != nil {
			return &finalError{s.refused}
		}
		return &finalError{why}
	}
	return why
}

// message acts on one message of the server.
func (s *socket) message(ctx context.Context, raw []byte, handle func(Publication) error) error {
	var env envelope
	if err := json.Unmarshal(raw, &env); err != nil {
		return fmt.Errorf("client: a message is not JSON: %w", err)
	}
	if env.Seq > 0 {
		return s.publication(&env, raw, handle)
	}
	switch env.T {
	case "server_ready":
		return s.subscribe(subscribeID, s.client.cfg.Topics)
	case "subscription_update":
		if env.CID == subscribeID || strings.HasPrefix(env.CID, againID) {
			return s.answered(env.CID, env.P)
		}
		return s.restarted(env.P)
	case "snapshot_complete":
		s.complete(env.P)
	case "heartbeat":
		s.settle(func(_ string, p pending) bool { return !p.closes })
	case "connection_state_change":
		s.stateChanged(env.P)
	case "error":
		return s.fault(ctx, &env)
	}
	return nil
}

// publication hands over a publication and remembers where it stood.
func (s *socket) publication(env *envelope, raw []byte, handle func(Publication) error) error {
	p := Publication{Topic: env.Tp, Type: env.T, ID: env.ID, Position: Position{env.E, env.O}, Seq: env.Seq, Raw: bytes.TrimSpace(raw)}
	if err := handle(p); err != nil {
		if errors.Is(err, ErrStop) {
			return err
		}
		return &finalError{err}
	}
	if _, syncing := s.pending[p.Topic]; p.Topic != "" && !(syncing && env.Cat == "S") {
		delete(s.pending, p.Topic)
		s.client.setPosition(p.Topic, p.Position)
	}
	return nil
}

// settle takes pending positions for read.
func (s *socket) settle(which func(topic string, p pending) bool) {
	for topic, p := range s.pending {
		if which(topic, p) {
			s.client.setPosition(topic, p.at)
			delete(s.pending, topic)
		}
	}
}

// complete takes for read what an end mark ends.
func (s *socket) complete(p []byte) {
	var mark struct {
		Details struct{ Topics []string } `json:"details"`
	}
	_ = json.Unmarshal(p, &mark)
	named := mark.Details.Topics
	s.settle(func(topic string, p pending) bool {
		return !p.closes && len(named) == 0 || slices.Contains(named, topic)
	})
}

// answer is a subscription_update of the server.
type answer struct {
	Action  string
	Success bool
	Failed  []struct {
		Topic, Error, Reason string
	} `json:"failed_topics"`
	Recovery map[string]struct {
		Epoch     string
		Offset    uint64
		Recovered bool
	} `json:"recovery"`
}

// restarted reads that topics do not go on where they stopped (PROTOCOL §2.5). What there is of them follows, up to an end mark,
// or is to be asked for, since too much waits to be read.
func (s *socket) restarted(p []byte) error {
	var notice answer
	if err := json.Unmarshal(p, &notice); err != nil {
		return fmt.Errorf("client: a subscription_update is malformed: %w", err)
	}
	if notice.Action != "recover" {
		return nil
	}
	for topic, r := range notice.Recovery {
		s.client.cfg.OnNotice(Notice{Kind: Gap, Topic: topic})
		if notice.Success {
			s.pending[topic] = pending{Position{r.Epoch, r.Offset}, true}
			continue
		}
		named := slices.IndexFunc(s.client.cfg.Topics, func(name string) bool { return name == topic || strings.HasSuffix(topic, ":"+name) })
		s.client.setPosition(topic, Position{r.Epoch, r.Offset})
		if named < 0 { // it comes by a pattern, which has no snapshots
			continue
		}
		s.again++
		ask := s.subscribe
		if r.Epoch == noEpoch { // it keeps no history to recover from
			ask = s.sync
		} else {
			s.client.setPosition(topic, Position{Epoch: noEpoch}) // everything there is
		}
		if err := ask(againID+strconv.Itoa(s.again), []string{topic}); err != nil {
			return err
		}
	}
	return nil
}

// answered reads the answer to a subscription.
func (s *socket) answered(id string, p []byte) error {
	var answer answer
	if err := json.Unmarshal(p, &answer); err != nil {
		return fmt.Errorf("client: the answer to the subscription is malformed: %w", err)
	}
	if len(answer.Failed) > 0 {
		var all []error
		for _, f := range answer.Failed {
			all = append(all, &ServerError{Code: f.Error, Message: f.Reason, Topic: f.Topic})
		}
		if id != subscribeID {
			return errors.Join(all...) // another connection asks from where this one stands
		}
		return &finalError{errors.Join(all...)}
	}
	for topic, r := range answer.Recovery {
		before, known := s.client.Position(topic)
		if r.Recovered && known {
			continue // what was missed comes next, and moves the position itself
		}
		s.pending[topic] = pending{at: Position{r.Epoch, r.Offset}}
		if known && before.Epoch != "" && id == subscribeID {
			s.client.cfg.OnNotice(Notice{Kind: Gap, Topic: topic})
		}
	}
	if id != subscribeID {
		return nil
	}
	s.subscribed = true
	s.client.cfg.OnNotice(Notice{Kind: Connected})
	return nil
}

func (s *socket) stateChanged(p []byte) {
	var change struct {
		NewState     string `json:"new_state"`
		RetryAfterMS int64  `json:"retry_after_ms"`
	}
	if json.Unmarshal(p, &change) != nil {
		return
	}
	const retryMax = 5 * time.Minute
	s.retryAfter = min(time.Duration(max(change.RetryAfterMS, 0))*time.Millisecond, retryMax)
	if change.NewState == "degraded" {
		s.client.cfg.OnNotice(Notice{Kind: Degraded})
	}
}

// fault handles an error message. One that answers the subscription ends the connection; one that is not recoverable is
// what the close code that follows means.
func (s *socket) fault(ctx context.Context, env *envelope) error {
	var p struct {
		Code, Message string
		Recoverable   bool
	}
	if err := json.Unmarshal(env.P, &p); err != nil {
		return fmt.Errorf("client: an error message is malformed: %w", err)
	}
	fault := &ServerError{Code: p.Code, Message: p.Message}
	if p.Code == "AUTH_EXPIRED" && s.renew(ctx) {
		return nil
	}
	if !p.Recoverable {
		if s.refused = fault; !s.subscribed && env.CID == "" {
			return nil // the upgrade was refused: the close that follows ends Run with it
		}
	}
	if env.CID == subscribeID && !s.subscribed {
		if p.Recoverable {
			return fault
		}
		return &finalError{fault}
	}
	if strings.HasPrefix(env.CID, againID) {
		return fault // another connection asks from where this one stands
	}
	s.client.cfg.OnNotice(Notice{Kind: ServerFault, Err: fault})
	return nil
}

// renew shows the server a new token on the same connection, where there is one (PROTOCOL §2.3, auth).
func (s *socket) renew(ctx context.Context) bool {
	token, err := s.client.cfg.Token(ctx)
	if err != nil || token == s.token {
		return false
	}
	s.token = token
	request, err := json.Marshal(map[string]any{"t": "auth", "id": "auth-1", "v": 2, "p": map[string]string{"token": token}})
	return err == nil && wsutil.WriteClientText(s.conn, request) == nil
}
