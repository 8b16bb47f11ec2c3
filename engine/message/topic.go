package message

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Topic is the validated name of a topic, or, from [ParsePattern], a pattern of topics.
type Topic string

// Limits of a topic's name.
const (
	TopicBytesMax        = 255
	TopicSegmentsMax     = 8
	TopicSegmentBytesMax = 128
)

// ErrTopic is what every fault of a topic's form wraps.
var ErrTopic = errors.New("invalid topic")

// StandardTypes are the topic types that WSE v2 §4 names, each with the level that its publications have unless the
// configuration says otherwise.
func StandardTypes() map[string]Level {
	return map[string]Level{
		"broker_connection_events": Normal, "broker_account_events": Normal, "broker_health": High,
		"broker_streaming": Normal, "order_events": Critical, "position_events": Normal, "portfolio_events": Normal,
		"market_data": Low, "automation_events": Normal, "events": Normal, "monitoring": Low, "sync_progress": Normal,
	}
}

// IsStandardType reports whether name is one of the twelve standard topic types.
func IsStandardType(name string) bool {
	switch name {
	case "broker_connection_events", "broker_account_events", "broker_health", "broker_streaming", "order_events",
		"position_events", "portfolio_events", "market_data", "automation_events", "events", "monitoring",
		"sync_progress":
		return true
	}
	return false
}

// UserTopic returns the topic user:{userID}:{topicType}, or an error where that is not a topic.
func UserTopic(userID, topicType string) (Topic, error) {
	return ParseTopic("user:" + userID + ":" + topicType)
}

// ParseTopic checks that s is the name of one topic. The error wraps [ErrTopic] and says which rule s breaks.
func ParseTopic(s string) (Topic, error) {
	if err := check(s, false); err != nil {
		return "", err
	}
	return Topic(s), nil
}

// ParsePattern checks that s is a topic or a pattern: a topic whose last segment is "*", standing for one or more
// segments, as in user:u1:* or stream:market_data:*.
func ParsePattern(s string) (Topic, error) {
	if err := check(s, true); err != nil {
		return "", err
	}
	return Topic(s), nil
}

// IsPattern reports whether t stands for many topics.
func (t Topic) IsPattern() bool { return strings.HasSuffix(string(t), ":*") }

// Matches reports whether the pattern t, or the topic t itself, covers topic.
func (t Topic) Matches(topic Topic) bool {
	if !t.IsPattern() {
		return t == topic
	}
	prefix := t[:len(t)-1]
	return len(topic) > len(prefix) && topic[:len(prefix)] == prefix
}

// Owner returns the user id of a user:, priority: or client: topic, and "" for any other.
func (t Topic) Owner() string {
	kind, rest, _ := strings.Cut(string(t), ":")
	switch kind {
	case "user", "priority", "client":
		owner, _, _ := strings.Cut(rest, ":")
		return owner
	}
	return ""
}

// check walks the segments of s once.
func check(s string, patterns bool) error {
	if len(s) > TopicBytesMax {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTopic, len(s), TopicBytesMax)
	}
	first, last, n, wild := "", "", 0, false
	for at := 0; at <= len(s); n++ {
		if wild {
			return fmt.Errorf("%w: %q: * may only be the last segment", ErrTopic, s)
		}
		end := segmentEnd(s, at)
		switch {
		case end < len(s) && s[end] != ':':
			segment, _, _ := strings.Cut(s[at:], ":")
			if wild = patterns && segment == "*" && n > 0; !wild {
				return segmentFault(s, segment)
			}
			end = at + 1
		case end == at, end-at > TopicSegmentBytesMax:
			return segmentFault(s, s[at:end])
		}
		last = s[at:end]
		if n == 0 {
			first = last
		}
		at = end + 1
	}
	rest := s[min(len(first)+1, len(s)):]
	if n > TopicSegmentsMax {
		return fmt.Errorf("%w: %d segments, at most %d are allowed", ErrTopic, n, TopicSegmentsMax)
	}
	return checkForm(s, first, rest, last, n, wild)
}

// checkForm checks the shape that the first segment asks for.
func checkForm(s, first, rest, last string, n int, wild bool) error {
	switch first {
	case "user":
		if n != 3 || (wild && strings.HasPrefix(rest, "*")) {
			return fmt.Errorf("%w: %q: must be user:{id}:{type}", ErrTopic, s)
		}
	case "priority", "client":
		if n != 3 || last != "messages" {
			return fmt.Errorf("%w: %q: must be %s:{id}:messages", ErrTopic, s, first)
		}
	case "system":
		if n != 2 {
			return fmt.Errorf("%w: %q: must be system:{name}", ErrTopic, s)
		}
	case "public":
		if n < 2 {
			return fmt.Errorf("%w: %q: must be public:{name}", ErrTopic, s)
		}
	case "stream":
		if n != 3 || !(strings.HasPrefix(rest, "market_data:") || strings.HasPrefix(rest, "system_health:")) {
			return fmt.Errorf("%w: %q: must be stream:market_data:{symbol} or stream:system_health:{name}", ErrTopic, s)
		}
	default:
		return fmt.Errorf("%w: %q: must begin with user, system, priority, client, public or stream and a colon", ErrTopic, s)
	}
	return nil
}

// segmentFault says what is wrong with a segment, which something is.
func segmentFault(topic, segment string) error {
	if segment != "" && len(segment) <= TopicSegmentBytesMax {
		for _, c := range segment {
			if c >= utf8.RuneSelf || !segmentByte(byte(c)) {
				return fmt.Errorf("%w: %q: only A-Z a-z 0-9 _ . @ and - are allowed in a segment, not %q", ErrTopic, topic, c)
			}
		}
	}
	return fmt.Errorf("%w: %q: each segment has 1 to %d characters", ErrTopic, topic, TopicSegmentBytesMax)
}

// segmentEnd returns where the segment that begins at s[i] ends: at a colon, at a byte that no segment has, or with s.
func segmentEnd(s string, i int) int {
	for i < len(s) && segmentByte(s[i]) {
		i++
	}
	return i
}

// segmentByte looks c up in a set of bits: a topic is checked for every request and every event, and comparing each byte
// with the ranges takes twice as long (BenchmarkParseTopic).
func segmentByte(c byte) bool {
	const (
		digits = 1<<('9'+1) - 1<<'0' | 1<<'.' | 1<<'-'
		low    = 1<<('z'-63) - 1<<('a'-64)
		upper  = 1<<('Z'-63) - 1<<('A'-64)
	)
	set := uint64(digits)
	if c >= 64 {
		set = low | upper | 1<<('@'-64) | 1<<('_'-64)
	}
	return c < 128 && set>>(c&63)&1 != 0
}
