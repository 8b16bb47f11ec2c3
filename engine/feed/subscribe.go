package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/router"
)

// retries is how often a history is read again when more was published meanwhile than a subscription can hold.
const retries = 3

// subscription changes what a client is subscribed to (PROTOCOL §2.3, §2.5).
func (f *Feed) subscription(ctx context.Context, s *router.Client, req *message.Request) error {
	body := req.Body.(*message.Subscribe)
	if len(body.Topics) == 0 && (body.Action == "subscribe" || body.Action == "unsubscribe") {
		return message.Errorf(message.CodeInvalidSubscription, "p.topics: name at least one topic")
	}
	if n := len(body.Topics); n > f.cfg.TopicsPerRequest {
		return message.Errorf(message.CodeInvalidSubscription, "p.topics: %d topics, at most %d in one request", n, f.cfg.TopicsPerRequest)
	}
	switch body.Action {
	case "subscribe":
		return f.subscribe(ctx, s, req, body)
	case "unsubscribe":
		return f.unsubscribe(ctx, s, req, body)
	default:
		return message.Errorf(message.CodeInvalidAction, "p.action: must be subscribe or unsubscribe, is %q", body.Action)
	}
}

// unsubscribe leaves topics. One that the client does not have is answered as failed.
func (f *Feed) unsubscribe(ctx context.Context, s *router.Client, req *message.Request, body *message.Subscribe) error {
	answer := &message.Subscribed{Action: body.Action, MaxTopics: f.cfg.TopicsPerConnection}
	for _, name := range body.Topics {
		topic, err := resolve(s, name)
		if err != nil {
			fail(answer, name, badForm(name, err))
			continue
		}
		sub := s.Member.Find(topic)
		if sub == nil {
			fail(answer, name, message.Errorf(message.CodeInvalidSubscription, "not subscribed"))
			continue
		}
		if err := f.leave(ctx, s, sub); err != nil {
			return err
		}
		answer.SuccessTopics = append(answer.SuccessTopics, topic)
	}
	finish(answer, s)
	s.Reply(req, answer)
	return nil
}

// joining is a topic on its way to being subscribed.
type joining struct {
	name    string // as the client spelled it
	sub     *hub.Subscription
	after   *broker.Position // where the client stopped, when it recovers
	history broker.History

	again     bool // the client had it already, and recovers it
	untouched bool // it goes on as it is: there is no history to recover from
}

// subscribe joins topics and brings the client up to date with them. Nothing is sent before all is known, and then all
// at once: the answer, the retained snapshots, what came after them, the end mark, and what was published meanwhile.
func (f *Feed) subscribe(ctx context.Context, s *router.Client, req *message.Request, body *message.Subscribe) error {
	answer := &message.Subscribed{Action: body.Action, MaxTopics: f.cfg.TopicsPerConnection}
	var malformed []*message.Error
	var joined []*joining
	for _, name := range body.Topics {
		topic, err := resolve(s, name)
		if err != nil {
			e := badForm(name, err)
			malformed = append(malformed, e)
			fail(answer, name, e)
			continue
		}
		if sub := s.Member.Find(topic); sub != nil {
			if refused := f.joinAgain(ctx, s, name, sub, body, &joined); refused != nil {
				fail(answer, name, refused)
				continue
			}
			answer.AlreadySubscribed = append(answer.AlreadySubscribed, topic)
			continue
		}
		j, refused := f.joinOne(ctx, s, name, topic, body)
		if refused != nil {
			fail(answer, name, refused)
			continue
		}
		joined = append(joined, j)
		answer.SuccessTopics = append(answer.SuccessTopics, topic)
	}
	before := s.Member.Len() - len(answer.SuccessTopics)
	err := f.deliver(ctx, s, req, body, answer, joined, malformed)
	f.warnOfTopics(s, req, before)
	return err
}

// joinAgain does what a request asks for on a topic that the client has already: other event types, and what it missed.
func (f *Feed) joinAgain(ctx context.Context, s *router.Client, name string, sub *hub.Subscription, body *message.Subscribe, joined *[]*joining) *message.Error {
	if types, ok := body.EventTypes[name]; ok {
		if refused := f.tooManyTypes(types); refused != nil {
			return refused
		}
		f.hub.SetTypes(sub, types)
	}
	after := positionOf(s, name, sub.Topic(), body)
	if after == nil || slices.ContainsFunc(*joined, func(j *joining) bool { return j.sub == sub }) {
		return nil
	}
	j, err := f.resume(ctx, name, sub, after)
	if err != nil {
		return message.AsError(err)
	}
	*joined = append(*joined, j)
	return nil
}

// joinOne checks one topic and joins it.
func (f *Feed) joinOne(ctx context.Context, s *router.Client, name string, topic message.Topic, body *message.Subscribe) (*joining, *message.Error) {
	if s.Member.Len() >= f.cfg.TopicsPerConnection {
		f.met.topicsRefused.Add(1)
		return nil, message.Errorf(message.CodeSubscriptionLimit, "the connection has %d topics, the most allowed", f.cfg.TopicsPerConnection)
	}
	types := body.EventTypes[name]
	if refused := f.tooManyTypes(types); refused != nil {
		return nil, refused
	}
	if refused := f.authorize(ctx, s, ActionSubscribe, topic); refused != nil {
		return nil, refused
	}
	sub, err := f.join(ctx, s, topic, types)
	if err != nil {
		return nil, message.AsError(err)
	}
	return &joining{name: name, sub: sub, after: positionOf(s, name, topic, body)}, nil
}

func (f *Feed) tooManyTypes(types []string) *message.Error {
	if len(types) <= f.cfg.EventTypesPerTopic {
		return nil
	}
	return message.Errorf(message.CodeInvalidSubscription, "p.event_types: %d types, at most %d for a topic", len(types), f.cfg.EventTypesPerTopic)
}

// deliver reads the histories of the topics joined, answers, and lets the subscriptions go live.
func (f *Feed) deliver(ctx context.Context, s *router.Client, req *message.Request, body *message.Subscribe, answer *message.Subscribed,
	joined []*joining, malformed []*message.Error) error {
	for range retries {
		lost, err := f.underPatterns(ctx, s, joined, body)
		if err != nil {
			return errors.Join(err, f.abandon(ctx, s, joined))
		}
		for _, j := range joined {
			if err := f.readHistory(ctx, j); err != nil {
				return errors.Join(err, f.abandon(ctx, s, joined))
			}
		}
		if joined, err = f.fit(ctx, s, joined, answer); err != nil {
			return errors.Join(err, f.abandon(ctx, s, joined))
		}
		answer.Recovery = append(recovered(joined), lost...)
		finish(answer, s)
		overflowed := f.hub.GoLive(&s.Member, lives(joined), func() { f.sendAll(s, req, answer, joined, malformed) })
		if overflowed == nil {
			f.present(ctx, s, req, joined)
			return nil
		}
	}
	return errors.Join(message.Errorf(message.CodeSyncFailed,
		"more was published than could be held back while the history was read, or the topics were interrupted again and again; subscribe again"), f.abandon(ctx, s, joined))
}

// lives are the positions from which the topics joined go live.
func lives(joined []*joining) []hub.Live {
	out := make([]hub.Live, 0, len(joined))
	for _, j := range joined {
		if !j.untouched {
			at := j.history.Position
			out = append(out, hub.Live{Sub: j.sub, Epoch: at.Epoch, Offset: at.Offset, Sent: j.history.Recovered || len(j.history.Snapshots) > 0 || j.again})
		}
	}
	return out
}

// fit leaves the topics whose history does not fit into one answer any more, and answers them as failed: sent all the
// same, they would fill the connection's queue faster than any client can read it.
func (f *Feed) fit(ctx context.Context, s *router.Client, joined []*joining, answer *message.Subscribed) ([]*joining, error) {
	left := f.room(s)
	kept := make([]*joining, 0, len(joined))
	for i, j := range joined {
		size := bytesOf(j.history.Snapshots) + bytesOf(j.history.Publications)
		if size <= left {
			left -= size
			kept = append(kept, j)
			continue
		}
		if err := f.leave(ctx, s, j.sub); err != nil {
			return append(kept, joined[i+1:]...), err
		}
		topic := j.sub.Topic()
		answer.SuccessTopics = slices.DeleteFunc(answer.SuccessTopics, func(t message.Topic) bool { return t == topic })
		answer.AlreadySubscribed = slices.DeleteFunc(answer.AlreadySubscribed, func(t message.Topic) bool { return t == topic })
		fail(answer, j.name, message.Errorf(message.CodeSyncFailed,
			"the topic's history does not fit into this answer, which holds %d KiB with what waits to be read; subscribe to it in a request of its own, or without recovery", f.cfg.ReplayKiBMax))
	}
	return kept, nil
}

// room is how many bytes of history a client may be sent now. What it has not read yet takes from it, since a connection's
// limits do not count history: a client that asked again and again without reading would fill the queues of all.
func (f *Feed) room(s *router.Client) int {
	most := f.cfg.ReplayKiBMax << 10
	return most - int(min(s.Conn.Describe().Counters.QueuedBytes, uint64(most)))
}

// bytesOf is about what envelopes take on the wire.
func bytesOf(envs []*message.Envelope) (n int) {
	const overhead = 256 // of an envelope besides its payload
	for _, env := range envs {
		n += len(env.Payload) + len(env.Topic) + overhead
	}
	return n
}

// abandon leaves topics that could not be brought up to date.
func (f *Feed) abandon(ctx context.Context, s *router.Client, joined []*joining) error {
	var errs []error
	for _, j := range joined {
		if !j.untouched {
			errs = append(errs, f.leave(context.WithoutCancel(ctx), s, j.sub))
		}
	}
	return errors.Join(errs...)
}

// readHistory finds out what the client has to get of a topic before the live publications.
func (f *Feed) readHistory(ctx context.Context, j *joining) error {
	topic := j.sub.Topic()
	if j.untouched {
		return nil
	}
	if topic.IsPattern() {
		j.history = broker.History{}
		return nil
	}
	if j.after != nil {
		h, err := f.broker.History(ctx, topic, broker.Query{After: *j.after, Recover: true, Limit: -1})
		if err != nil {
			return syncFailed(topic, err)
		}
		if h.Recovered {
			j.history = h
			return nil
		}
	}
	h, err := f.broker.History(ctx, topic, broker.Query{Snapshots: f.retention.Retains(topic), Limit: -1})
	if err != nil {
		return syncFailed(topic, err)
	}
	switch {
	case len(h.Snapshots) > 0:
	case j.again: // what was on its way to the client was dropped, so all that is left of it is sent
		if h, err = f.broker.History(ctx, topic, broker.Query{Limit: -1}); err != nil {
			return syncFailed(topic, err)
		}
	default: // without a snapshot to start from, a new subscriber gets no history unless it asks
		h.Publications = nil
	}
	j.history = h
	return nil
}

// sendAll queues everything that comes before the live publications. The lane's lock is held, so nothing comes between.
// All of it leaves at the highest level: at its topic's own, a publication of a more urgent topic could overtake the end
// mark, and a live one its own topic's replay.
func (f *Feed) sendAll(s *router.Client, req *message.Request, answer *message.Subscribed, joined []*joining, malformed []*message.Error) {
	s.ReplyLocked(req, answer)
	for _, e := range malformed {
		s.ReplyLocked(req, &message.Failure{Err: e})
	}
	done := &message.SnapshotComplete{}
	retains := false
	for _, j := range joined {
		done.Topics = append(done.Topics, j.sub.Topic())
		retains = retains || f.retention.Retains(j.sub.Topic())
		done.SnapshotsSent += f.enqueue(s, j.sub.Filter(j.history.Snapshots))
	}
	for _, j := range joined {
		done.HistorySent += f.enqueue(s, j.sub.Filter(j.history.Publications))
	}
	if retains {
		s.ReplyLocked(req, done)
	}
}

// enqueue queues publications as one run of frames. The lane's lock is held.
func (f *Feed) enqueue(s *router.Client, envs []*message.Envelope) int {
	if len(envs) > 0 {
		s.Member.Enqueue(f.hub.Batch(envs, s.Member.Encoding(), message.Critical))
	}
	return len(envs)
}

// recovered says how the recovery of each topic that asked for it went.
func recovered(joined []*joining) []message.Recovered {
	var out []message.Recovered
	for _, j := range joined {
		if j.after == nil {
			continue
		}
		r := message.Recovered{Topic: j.sub.Topic(), Epoch: j.history.Position.Epoch, Offset: j.history.Position.Offset, Recovered: j.history.Recovered}
		if r.Recovered {
			r.Count = len(j.sub.Filter(j.history.Publications)) // what is sent, so that a client can wait for it
		}
		out = append(out, r)
	}
	return out
}

func badForm(name string, err error) *message.Error {
	e := message.Errorf(message.CodeSubscriptionFailed, "Invalid topic format: %v", err).
		WithDetails(map[string]string{"topic": name, "reason": topicForm})
	return e
}

// fail adds a topic that was refused.
func fail(answer *message.Subscribed, name string, e *message.Error) {
	answer.FailedTopics = append(answer.FailedTopics, message.FailedTopic{Topic: name, Err: e})
}

// finish fills in what follows from the rest of an answer.
func finish(answer *message.Subscribed, s *router.Client) {
	answer.Topics = s.Member.Topics()
	answer.Success = len(answer.FailedTopics) == 0
	verb := map[string]string{"subscribe": "Subscribed to", "unsubscribe": "Unsubscribed from"}[answer.Action]
	answer.Message = fmt.Sprintf("%s %d of %d topics", verb,
		len(answer.SuccessTopics), len(answer.SuccessTopics)+len(answer.FailedTopics))
	if n := len(answer.AlreadySubscribed); n > 0 {
		answer.Message += fmt.Sprintf(", %d already subscribed", n)
	}
}

// sync sends snapshots and history of topics the client has (PROTOCOL §2.3, sync_request).
func (f *Feed) sync(ctx context.Context, s *router.Client, req *message.Request) error {
	body := req.Body.(*message.Sync)
	subs, err := f.syncTopics(s, body.Topics)
	if err != nil {
		return err
	}
	for range retries {
		var before []uint32
		s.Member.Do(func() { before = restarts(subs) })
		snapshots, history, err := f.readAll(ctx, s, subs, body)
		if err != nil {
			return err
		}
		sent := false
		s.Member.DoLast(func() {
			if sent = slices.Equal(before, restarts(subs)); sent {
				f.sendSync(s, req, subs, snapshots, history)
			}
		})
		if sent {
			return nil
		}
	}
	return message.Errorf(message.CodeSyncFailed, "the topics were interrupted while their history was read; try again")
}

// restarts are how often the topics of subscriptions were restarted: what was read before the last time must not be sent after it,
// as it is older than what the client has by then. The lane's lock is held.
func restarts(subs []*hub.Subscription) []uint32 {
	out := make([]uint32, len(subs))
	for i, sub := range subs {
		out[i] = sub.RestartsLocked()
	}
	return out
}

// readAll reads what a sync_request asks for of the topics of subscriptions.
func (f *Feed) readAll(ctx context.Context, s *router.Client, subs []*hub.Subscription, body *message.Sync) (snapshots, history []*message.Envelope, err error) {
	left := f.room(s)
	for _, sub := range subs {
		if sub.Topic().IsPattern() {
			continue
		}
		h, err := f.syncOne(ctx, sub.Topic(), body)
		if err != nil {
			return nil, nil, err
		}
		h.Snapshots, h.Publications = sub.Filter(h.Snapshots), sub.Filter(h.Publications)
		if left -= bytesOf(h.Snapshots) + bytesOf(h.Publications); left < 0 {
			return nil, nil, message.Errorf(message.CodeSyncFailed,
				"more than %d KiB would wait to be read; read what is there, name fewer topics, or a later last_sequence", f.cfg.ReplayKiBMax)
		}
		snapshots = append(snapshots, h.Snapshots...)
		history = append(history, h.Publications...)
	}
	return snapshots, history, nil
}

// sendSync queues the answer to a sync_request. The lane's lock is held.
func (f *Feed) sendSync(s *router.Client, req *message.Request, subs []*hub.Subscription, snapshots, history []*message.Envelope) {
	done := &message.SnapshotComplete{}
	for _, sub := range subs {
		done.Topics = append(done.Topics, sub.Topic())
	}
	last := message.Critical
	done.SnapshotsSent = f.enqueueInTurn(s, snapshots, &last)
	done.HistorySent = f.enqueueInTurn(s, history, &last)
	s.ReplyLockedAt(last, req, done)
}

// enqueueInTurn queues publications each at its topic's level, so that none overtakes what waits of its topic: a snapshot would be
// followed by what is older than it, and its own copy among that be ignored by the client for its id. last becomes the least
// urgent level there was. The lane's lock is held.
func (f *Feed) enqueueInTurn(s *router.Client, envs []*message.Envelope, last *message.Level) int {
	var levels [message.Levels][]*message.Envelope
	for _, env := range envs {
		levels[env.Level] = append(levels[env.Level], env)
	}
	for level, some := range levels {
		if len(some) > 0 {
			s.Member.Enqueue(f.hub.Batch(some, s.Member.Encoding(), message.Level(level)))
			*last = max(*last, message.Level(level))
		}
	}
	return len(envs)
}

// syncTopics returns the subscriptions that a sync_request names, each once; without names all of the client's.
func (f *Feed) syncTopics(s *router.Client, names []string) ([]*hub.Subscription, error) {
	if len(names) == 0 {
		return s.Member.Subscriptions(), nil
	}
	if n := len(names); n > f.cfg.TopicsPerRequest {
		return nil, message.Errorf(message.CodeInvalidSubscription, "p.topics: %d topics, at most %d in one request", n, f.cfg.TopicsPerRequest)
	}
	subs := make([]*hub.Subscription, 0, len(names))
	for _, name := range names {
		topic, err := resolve(s, name)
		if err != nil {
			return nil, badForm(name, err)
		}
		sub := s.Member.Find(topic)
		if sub == nil {
			return nil, message.Errorf(message.CodeSyncFailed, "not subscribed to %s; subscribe first", topic).
				WithDetails(map[string]string{"topic": name})
		}
		if !slices.Contains(subs, sub) {
			subs = append(subs, sub)
		}
	}
	return subs, nil
}

func (f *Feed) syncOne(ctx context.Context, topic message.Topic, body *message.Sync) (broker.History, error) {
	var out broker.History
	if body.IncludeSnapshots {
		h, err := f.broker.History(ctx, topic, broker.Query{Snapshots: true})
		if err != nil {
			return out, syncFailed(topic, err)
		}
		out.Snapshots = h.Snapshots
	}
	if body.IncludeHistory {
		h, err := f.broker.History(ctx, topic, broker.Query{After: broker.Position{Offset: body.LastSequence}, Limit: -1})
		if err != nil {
			return out, syncFailed(topic, err)
		}
		for _, env := range h.Publications {
			if env.Seq > body.LastSequence {
				out.Publications = append(out.Publications, env)
			}
		}
	}
	return out, nil
}
