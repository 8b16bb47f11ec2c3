package presence

import (
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// What every store of members says alike, be it this one or one that nodes share: which topics have members, what is refused
// in which words, and how a notice is handed on.

// Tracks reports whether a topic has members. A pattern has none.
func Tracks(classes *broker.Classes, name message.Topic) bool {
	return !name.IsPattern() && classes.For(name).Presence
}

// Untracked refuses what only a topic with members has.
func Untracked(name message.Topic) error {
	reason := "presence is not on for this topic"
	if name.IsPattern() {
		reason = "a pattern has no members; name a topic"
	}
	return message.Errorf(message.CodeSubscriptionFailed, "%s: %s", name, reason).
		WithDetails(map[string]string{"topic": string(name), "reason": reason})
}

// Full refuses to list a user on a topic that has as many members as it may.
func (c Config) Full(name message.Topic) error {
	return message.Errorf(message.CodeSubscriptionLimit,
		"%s has %d members, the most allowed; you are subscribed and not listed: try again by presence_update", name, c.MembersMax).
		WithDetails(map[string]string{"topic": string(name)})
}

// CheckData refuses more than one user may say of himself on one topic.
func (c Config) CheckData(data []byte) error {
	if limit := c.DataKiBMax << 10; len(data) > limit {
		return message.Errorf(message.CodeMessageTooLarge, "p.data has %d bytes, at most %d are allowed", len(data), limit)
	}
	return nil
}

// NoRoom refuses what a user says where all on the topic, or on all topics, say as much as they may.
func NoRoom(name message.Topic) error {
	return message.Errorf(message.CodeUnavailable, "there is no room for what the members of %s say of themselves; say less, or try again", name)
}

// Envelope wraps a notice for the subscribers of its topic. It is shed for a slow one where its class sheds by age, and else
// kept: to conflate it there would have to be a key that no publication has.
func Envelope(class *broker.CompiledClass, id string, timeMS int64, notice *message.PresenceNotice) *message.Envelope {
	overflow := class.OnOverflow
	if overflow == message.Conflate {
		overflow = message.Keep
	}
	return &message.Envelope{
		Type: notice.Kind.String(), Topic: notice.Topic, ID: id, TimeMS: timeMS,
		Level: class.Level, Overflow: overflow, Linger: class.Linger, Notice: notice,
	}
}
