package feed

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/hub"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/router"
)

// positionOf returns where a client that recovers stopped on a topic, by whichever name it calls the topic; nil where it does
// not say. The name it subscribes by goes first.
func positionOf(s *router.Client, name string, topic message.Topic, body *message.Subscribe) *broker.Position {
	if !body.Recover || topic.IsPattern() {
		return nil
	}
	position, ok := body.Recovery[name]
	if !ok {
		position, ok = body.Recovery[string(topic)]
	}
	if !ok {
		bare := string(topic[strings.LastIndexByte(string(topic), ':')+1:])
		if own, err := resolve(s, bare); err == nil && own == topic {
			position, ok = body.Recovery[bare]
		}
	}
	if !ok {
		return nil
	}
	return &broker.Position{Epoch: position.Epoch, Offset: position.Offset}
}

// resume brings a client up to date with a topic that it is subscribed to already, by its token, its query or an earlier
// request: known clients connect with their topics in the query, and tell only then where they stopped. What waits to be
// sent of the topic is dropped, since the replay has it; what is published from now on waits for the replay.
func (f *Feed) resume(ctx context.Context, name string, sub *hub.Subscription, after *broker.Position) (*joining, error) {
	j := &joining{name: name, sub: sub, after: after, again: true}
	h, err := f.broker.History(ctx, sub.Topic(), broker.Query{})
	if err != nil {
		return nil, syncFailed(sub.Topic(), err)
	}
	if j.history = h; h.Position.Epoch == 0 { // there is nothing to replay, and nothing may be taken away
		j.untouched = true
		return j, nil
	}
	f.hub.Hold(sub)
	return j, nil
}

// underPatterns says of the topics that a client recovers, which it has by a pattern only, that they are not recovered: a
// pattern has no history. joined are the subscriptions that the request makes.
func (f *Feed) underPatterns(ctx context.Context, s *router.Client, joined []*joining, body *message.Subscribe) ([]message.Recovered, error) {
	if !body.Recover || !slices.ContainsFunc(joined, func(j *joining) bool { return j.sub.Topic().IsPattern() }) {
		return nil, nil
	}
	var out []message.Recovered
	for _, name := range slices.Sorted(maps.Keys(body.Recovery)) {
		topic, err := resolve(s, name)
		if err != nil || topic.IsPattern() || s.Member.Find(topic) != nil ||
			!slices.ContainsFunc(joined, func(j *joining) bool { return j.sub.Topic().Matches(topic) }) {
			continue
		}
		if slices.ContainsFunc(out, func(r message.Recovered) bool { return r.Topic == topic }) {
			continue
		}
		if len(out) == f.cfg.TopicsPerRequest {
			return nil, message.Errorf(message.CodeInvalidSubscription,
				"p.recovery: more than %d topics that only a pattern covers", f.cfg.TopicsPerRequest)
		}
		h, err := f.broker.History(ctx, topic, broker.Query{})
		if err != nil {
			return nil, syncFailed(topic, err)
		}
		out = append(out, message.Recovered{Topic: topic, Epoch: h.Position.Epoch, Offset: h.Position.Offset})
	}
	return out, nil
}
