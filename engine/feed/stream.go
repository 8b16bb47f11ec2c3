package feed

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/router"
)

// seeds is how many messages follow a subscription to a stream (PROTOCOL §3.3).
const seeds = 5

// Sessions tells which trading session a user has.
type Sessions interface {
	// Current returns the user's running session and its symbols, and "" where there is none, or none is known. It may block until
	// ctx ends.
	Current(ctx context.Context, userID string) (id string, symbols []string)
}

// stream is what protocol v1 calls a stream: one or more topics, of which some types of publications belong to it.
type stream struct {
	need   auth.Permissions
	topic  string   // of the user's own topics; empty: the stream has shared topics
	prefix string   // of shared topics
	types  []string // nil: all
}

// streams returns what a stream consists of. Alerts come with every stream of the automation.
func streams(name string) stream {
	switch name {
	case message.StreamMarketData:
		return stream{need: auth.ReadMarketData, prefix: "stream:market_data:", types: []string{message.TypeMarketData}}
	case message.StreamSystemHealth:
		return stream{need: auth.ReadMarketData, prefix: "stream:system_health:"}
	case message.StreamIndicators:
		return stream{need: auth.ReadIndicators, topic: "automation_events", types: []string{message.TypeIndicators, message.TypeAlert}}
	case message.StreamSignals:
		return stream{need: auth.ReadSignals, topic: "automation_events", types: []string{message.TypeSignal, message.TypeAlert}}
	case message.StreamOrders:
		return stream{need: auth.ReadMarketData, topic: "order_events"}
	case message.StreamPositions:
		return stream{need: auth.ReadMarketData, topic: "position_events"}
	case message.StreamPortfolio:
		return stream{need: auth.ReadMarketData, topic: "portfolio_events"}
	default:
		return stream{need: auth.ReadMarketData, topic: "automation_events", types: []string{message.TypeExecutionStatus, message.TypeAlert}}
	}
}

// stream subscribes to a stream or leaves it (PROTOCOL §3.3). A subscription is to all of what was asked for, or to nothing.
func (f *Feed) stream(ctx context.Context, s *router.Client, req *message.Request) error {
	body := req.Body.(*message.StreamRequest)
	def := streams(body.Stream)
	if !body.Leave && !s.Identity().Permissions.Has(def.need) {
		return message.Errorf(message.CodeForbidden, "the stream %s needs the permission %s", body.Stream, strings.Join(def.need.AppendNames(nil), ", "))
	}
	topics, err := f.streamTopics(s, def, body.Symbols)
	if err != nil {
		return err
	}
	if body.Leave {
		return f.leaveStream(ctx, s, req, def, topics)
	}
	for _, topic := range topics {
		if refused := f.authorize(ctx, s, ActionSubscribe, topic); refused != nil {
			if refused.Code == message.CodeForbidden {
				refused = message.Errorf(message.CodeSubscriptionFailed, "%s: %s", topic, refused.Message)
			}
			return refused
		}
	}
	return f.joinStream(ctx, s, req, def, topics)
}

// streamTopics returns the topics of a stream that a request is about, each once: those of its symbols, or one that stands
// for all.
func (f *Feed) streamTopics(s *router.Client, def stream, symbols []string) ([]message.Topic, error) {
	if def.topic != "" {
		topic, err := message.UserTopic(s.Identity().UserID, def.topic)
		return []message.Topic{topic}, err
	}
	if len(symbols) > f.cfg.TopicsPerRequest {
		return nil, message.Errorf(message.CodeSubscriptionFailed, "params.symbols: %d symbols, at most %d in one request", len(symbols), f.cfg.TopicsPerRequest)
	}
	if len(symbols) == 0 {
		return []message.Topic{message.Topic(def.prefix + "*")}, nil
	}
	topics := make([]message.Topic, 0, len(symbols))
	for _, symbol := range symbols {
		topic, err := message.ParseTopic(def.prefix + symbol)
		if err != nil {
			return nil, message.Errorf(message.CodeSubscriptionFailed, "params.symbols: %v", err)
		}
		if !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
	}
	return topics, nil
}

// joinStream joins the topics of a stream, answers and sends the seeds, and then lets live publications through.
func (f *Feed) joinStream(ctx context.Context, s *router.Client, req *message.Request, def stream, topics []message.Topic) error {
	body := req.Body.(*message.StreamRequest)
	before := s.Member.Len()
	var joined []*joining
	var had []*hub.Subscription
	for _, topic := range topics {
		if sub := s.Member.Find(topic); sub != nil {
			had = append(had, sub)
			continue
		}
		if s.Member.Len() >= f.cfg.TopicsPerConnection {
			f.met.topicsRefused.Add(1)
			return f.giveUp(ctx, s, joined, message.Errorf(message.CodeSubscriptionLimit,
				"the connection would have more than the %d topics allowed; nothing was subscribed", f.cfg.TopicsPerConnection))
		}
		sub, err := f.join(ctx, s, topic, slices.Clone(def.types))
		if err != nil {
			return f.giveUp(ctx, s, joined, err)
		}
		joined = append(joined, &joining{sub: sub})
	}
	answer := &message.StreamAnswer{Stream: body.Stream, Params: body.Params}
	var symbols []string
	if f.sessions != nil {
		answer.SessionID, symbols = f.sessions.Current(ctx, s.Identity().UserID)
	}
	if len(body.Symbols) > 0 {
		symbols = unique(body.Symbols)
	}
	for range retries {
		sown, err := f.sow(ctx, def, topics, joined, answer, symbols)
		if err != nil {
			return f.giveUp(ctx, s, joined, err)
		}
		overflowed := f.hub.GoLive(&s.Member, lives(joined), func() {
			for _, sub := range had { // from the answer on, not later
				sub.SetTypesLocked(widened(sub.Types(), def.types))
			}
			s.Conn.SendLocked(message.Critical, &message.Reply{CID: req.ReplyCID(), Body: answer})
			for _, seed := range sown {
				s.Conn.SendLocked(message.Critical, &message.Reply{Body: seed})
			}
		})
		if overflowed == nil {
			f.present(ctx, s, req, joined)
			f.warnOfTopics(s, req, before)
			return nil
		}
	}
	return f.giveUp(ctx, s, joined, message.Errorf(message.CodeSubscriptionFailed,
		"more was published than could be held back while the last values were read, or the topics were interrupted again and again; subscribe again"))
}

func (f *Feed) giveUp(ctx context.Context, s *router.Client, joined []*joining, err error) error {
	if undone := f.abandon(ctx, s, joined); undone != nil {
		return fmt.Errorf("%w; and leaving what was joined: %w", err, undone)
	}
	return err
}

// widened adds types to those that a subscription wants; nil are all.
func widened(have, types []string) []string {
	if have == nil || types == nil {
		return nil
	}
	return unique(slices.Concat(have, types))
}

// unique returns a copy of a list with each text once, where it came first.
func unique(list []string) []string {
	out := make([]string, 0, len(list))
	for _, one := range list {
		if !slices.Contains(out, one) {
			out = append(out, one)
		}
	}
	return out
}

// sow reads the last publications of a stream, and makes of them, and where they are too few of nothing, the messages that
// follow a subscription: exactly five, spread round the symbols, real ones first. The histories of those that are joined are
// kept with them: what is newer comes live.
func (f *Feed) sow(ctx context.Context, def stream, topics []message.Topic, joined []*joining, a *message.StreamAnswer, symbols []string) ([]*message.Seed, error) {
	if def.topic != "" {
		return f.sowOwn(ctx, def, topics[0], joined, a, symbols)
	}
	var sown, synthetic []*message.Seed
	for i := range min(seeds, max(len(topics), len(symbols))) {
		share := (seeds - i + max(len(topics), len(symbols)) - 1) / max(len(topics), len(symbols))
		symbol := ""
		if i < len(symbols) {
			symbol = symbols[i]
		}
		topic := f.seedTopic(def, topics, i, symbol)
		h, err := f.last(ctx, def, topic, share)
		if err != nil {
			return nil, err
		}
		if j := slices.IndexFunc(joined, func(j *joining) bool { return j.sub.Topic() == topic }); j >= 0 {
			joined[j].history.Position = h.Position
		}
		for _, env := range h.Publications {
			sown = append(sown, &message.Seed{Stream: a.Stream, SessionID: a.SessionID, Symbol: symbol, Last: env})
		}
		for range share - len(h.Publications) {
			synthetic = append(synthetic, &message.Seed{Stream: a.Stream, SessionID: a.SessionID, Symbol: symbol})
		}
	}
	return append(sown, synthetic...), nil
}

// sowOwn is sow for a stream of the user's own, whose symbols are all on one topic.
func (f *Feed) sowOwn(ctx context.Context, def stream, topic message.Topic, joined []*joining, a *message.StreamAnswer, symbols []string) ([]*message.Seed, error) {
	h, err := f.last(ctx, def, topic, seeds)
	if err != nil {
		return nil, err
	}
	for _, j := range joined {
		j.history.Position = h.Position
	}
	sown := make([]*message.Seed, seeds)
	for i := range sown {
		sown[i] = &message.Seed{Stream: a.Stream, SessionID: a.SessionID}
		if i < len(h.Publications) {
			sown[i].Last = h.Publications[i]
		} else if len(symbols) > 0 {
			sown[i].Symbol = symbols[i%len(symbols)]
		}
	}
	return sown, nil
}

// seedTopic returns where the last values of the i-th symbol are; "" where nobody can know.
func (f *Feed) seedTopic(def stream, topics []message.Topic, i int, symbol string) message.Topic {
	switch {
	case !topics[0].IsPattern():
		return topics[min(i, len(topics)-1)]
	case symbol != "":
		return message.Topic(def.prefix + symbol)
	}
	return ""
}

// last reads the newest publications of a topic that belong to a stream, the newest last.
func (f *Feed) last(ctx context.Context, def stream, topic message.Topic, most int) (broker.History, error) {
	if topic == "" {
		return broker.History{}, nil
	}
	h, err := f.broker.History(ctx, topic, broker.Query{Limit: -1})
	if err != nil {
		return h, syncFailed(topic, err)
	}
	kept := make([]*message.Envelope, 0, most)
	for i := len(h.Publications) - 1; i >= 0 && len(kept) < most; i-- {
		if env := h.Publications[i]; def.types == nil || env.Type == def.types[0] {
			kept = append(kept, env)
		}
	}
	slices.Reverse(kept)
	h.Publications = kept
	return h, nil
}

// leaveStream ends the subscription to a stream, or to some of its symbols.
func (f *Feed) leaveStream(ctx context.Context, s *router.Client, req *message.Request, def stream, topics []message.Topic) error {
	body := req.Body.(*message.StreamRequest)
	if def.topic == "" && len(body.Symbols) == 0 { // all that the connection has of it
		topics = topics[:0]
		for _, topic := range s.Member.Topics() {
			if strings.HasPrefix(string(topic), def.prefix) {
				topics = append(topics, topic)
			}
		}
	}
	left := 0
	for _, topic := range topics {
		sub := s.Member.Find(topic)
		if sub == nil || !has(sub, def) {
			continue
		}
		left++
		if rest := without(sub, def); len(rest) > 0 {
			f.hub.SetTypes(sub, rest)
		} else if err := f.leave(ctx, s, sub); err != nil {
			return err
		}
	}
	if left == 0 {
		return message.Errorf(message.CodeUnsubscriptionFailed, "not subscribed to %s", body.Stream)
	}
	answer := &message.StreamAnswer{Stream: body.Stream, Params: body.Params, Left: true}
	if f.sessions != nil {
		answer.SessionID, _ = f.sessions.Current(ctx, s.Identity().UserID)
	}
	s.Reply(req, answer)
	return nil
}

// has reports whether a subscription brings a stream.
func has(sub *hub.Subscription, def stream) bool {
	types := sub.Types()
	return def.types == nil || types == nil || slices.Contains(types, def.types[0])
}

// without returns the types that a subscription still wants when a stream is left; none: it is not needed any more. Alerts
// stay while another stream brings them.
func without(sub *hub.Subscription, def stream) []string {
	if def.types == nil {
		return nil
	}
	rest := slices.DeleteFunc(slices.Clone(sub.Types()), func(t string) bool {
		return t == message.TypeAlert || slices.Contains(def.types, t)
	})
	if len(rest) > 0 && slices.Contains(sub.Types(), message.TypeAlert) {
		rest = append(rest, message.TypeAlert)
	}
	return rest
}
