package feed

import (
	"context"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/router"
)

// renewed asks the authorizer again about every topic, since the new token may allow less, and joins the topics that only the
// new token assigns.
func (f *Feed) renewed(ctx context.Context, s *router.Client, _ *message.Request) error {
	if err := f.ask(ctx, s, "Not allowed by the new token", &message.Review{Final: true}); err != nil {
		return err
	}
	for _, request := range f.Assigned(s.Identity()) {
		request.Topics = f.missing(s, request.Topics)
		if len(request.Topics) == 0 {
			continue
		}
		if err := f.subscribe(ctx, s, &message.Request{}, request); err != nil {
			return err
		}
	}
	return nil
}

// review asks the authorizer again, because it is another one now (PROTOCOL §2.4).
func (f *Feed) review(ctx context.Context, s *router.Client, req *message.Request) error {
	return f.ask(ctx, s, "Not allowed any more", req.Body.(*message.Review))
}

// ask asks the authorizer about the client's subscriptions, ends those that are not allowed, and tells the client which.
func (f *Feed) ask(ctx context.Context, s *router.Client, text string, r *message.Review) error {
	answer := &message.Subscribed{Action: "unsubscribe", Success: true, Message: text, MaxTopics: f.cfg.TopicsPerConnection}
	for _, sub := range s.Member.Subscriptions() {
		topic := sub.Topic()
		if r.Covers != nil && !r.Covers(topic) {
			continue
		}
		refused := f.authorize(ctx, s, ActionSubscribe, topic)
		switch {
		case refused == nil:
			f.met.kept.Add(1)
			continue
		case refused.Code != message.CodeForbidden && !r.Final:
			f.met.undecided.Add(1)
			r.Undecided()
			continue
		}
		f.met.ended.Add(1)
		if err := f.leave(ctx, s, sub); err != nil {
			return err
		}
		answer.SuccessTopics = append(answer.SuccessTopics, topic)
		answer.FailedTopics = append(answer.FailedTopics, message.FailedTopic{Topic: string(topic), Err: refused})
	}
	if len(answer.SuccessTopics) > 0 {
		answer.Topics = s.Member.Topics()
		s.Conn.Send(&message.Reply{Body: answer})
	}
	return nil
}
