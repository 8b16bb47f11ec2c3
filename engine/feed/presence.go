package feed

import (
	"context"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
	"github.com/wse-engine/wse/engine/router"
)

// Presence is told who is on which topic, each user by his connections. It may block until ctx ends, and tells the other
// subscribers by itself. Its errors are *message.Error where the client is to know. [presence.Presence] keeps it for this
// node; a store that nodes share may stand in its place.
type Presence interface {
	// Enter counts a connection of a user on a topic; a second time it changes nothing.
	Enter(ctx context.Context, topic message.Topic, user, conn string) error
	// Update sets what the user says of himself there: a JSON object, which is kept. It enters the connection where that
	// was not possible before.
	Update(ctx context.Context, topic message.Topic, user, conn string, data []byte) error
	// Leave ends what Enter began, if it did. With lost the connection may come back in a moment.
	Leave(ctx context.Context, topic message.Topic, conn string, lost bool) error
}

// Roster tells who is on a topic.
type Roster interface {
	// Tracks reports whether a topic has members. It does not block.
	Tracks(topic message.Topic) bool
	// Members calls show once with the members as of a version, before any later change is told to a subscriber. It may
	// block until ctx ends; show must not.
	Members(ctx context.Context, topic message.Topic, show func(*message.Members)) error
}

var (
	_ Presence = (*presence.Presence)(nil)
	_ Roster   = (*presence.Presence)(nil)
)

// members answers who is on a topic (PROTOCOL §2.3). The answer is queued while the topic stands still, at the highest
// level: the notices of later changes cannot overtake it.
func (f *Feed) members(ctx context.Context, s *router.Client, req *message.Request) error {
	topic, err := f.ofPresence(ctx, s, req.Body.(*message.PresenceRequest).Topic)
	if err != nil {
		return err
	}
	return f.roster.Members(ctx, topic, func(m *message.Members) { s.Reply(req, m) })
}

// describe sets what the client's user says of himself on a topic that the client is subscribed to (PROTOCOL §2.3).
func (f *Feed) describe(ctx context.Context, s *router.Client, req *message.Request) error {
	body := req.Body.(*message.PresenceUpdate)
	topic, err := f.ofPresence(ctx, s, body.Topic)
	if err != nil {
		return err
	}
	if f.roster.Tracks(topic) && s.Member.Find(topic) == nil {
		return message.Errorf(message.CodeSubscriptionFailed, "not subscribed to %s; subscribe first", topic).
			WithDetails(map[string]string{"topic": body.Topic})
	}
	if err := f.presence.Update(ctx, topic, s.Identity().UserID, s.Conn.Describe().ID, body.Data); err != nil {
		return err
	}
	s.Reply(req, &message.PresenceAccepted{Topic: topic})
	return nil
}

// ofPresence reads the topic of a request about presence and has it authorised.
func (f *Feed) ofPresence(ctx context.Context, s *router.Client, name string) (message.Topic, error) {
	topic, err := resolve(s, name)
	if err != nil {
		return "", badForm(name, err)
	}
	if refused := f.authorize(ctx, s, ActionPresence, topic); refused != nil {
		return "", refused.WithDetails(map[string]string{"topic": name})
	}
	return topic, nil
}

// present makes the client's user a member of the topics that were just joined. A subscription that is not listed, since
// its topic has too many members, stands: its client is told.
func (f *Feed) present(ctx context.Context, s *router.Client, req *message.Request, joined []*joining) {
	if f.roster == nil {
		return
	}
	for _, j := range joined {
		topic := j.sub.Topic()
		if !f.roster.Tracks(topic) {
			continue
		}
		if err := f.presence.Enter(ctx, topic, s.Identity().UserID, s.Conn.Describe().ID); err != nil {
			s.Fail(req, err)
		}
	}
}

// absent ends what present began, for one topic.
func (f *Feed) absent(ctx context.Context, s *router.Client, topic message.Topic, lost bool) error {
	if f.roster == nil || !f.roster.Tracks(topic) {
		return nil
	}
	return f.presence.Leave(ctx, topic, s.Conn.Describe().ID, lost)
}
