package broker

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// Limits of a class. They keep one line of configuration from claiming what the whole process has.
const (
	classesMax        = 1024
	historySizeMax    = 1_000_000
	idempotencyIDsMax = 1_000_000
	lingerMax         = time.Second
)

// DefaultClass returns a class for pattern with the values that its fields have where the configuration leaves them
// out: normal priority, no history, nothing retained, nothing dropped, ids remembered for ten minutes.
func DefaultClass(pattern string) Class {
	return Class{
		Pattern: pattern, Priority: 5, HistoryKiBMax: 1024, HistoryTTL: time.Hour, Overflow: "keep",
		IdempotencyTTL: 10 * time.Minute, IdempotencyMax: 1000,
	}
}

// DefaultClasses returns the classes of an engine whose configuration names none (PROTOCOL §2.5): user:* and stream:*
// keep 1,000 publications for an hour and retain snapshots, priority:* keeps 100, and client:*, system:* and public:*
// keep nothing. The standard topic types have the levels of [message.StandardTypes].
func DefaultClasses() []Class {
	keeps := func(pattern string, priority, size int) Class {
		c := DefaultClass(pattern)
		c.Priority, c.HistorySize, c.Snapshots = priority, size, true
		return c
	}
	conflates := func(pattern string, priority int) Class {
		c := keeps(pattern, priority, 1000)
		c.Overflow, c.ConflateBy = "conflate", "symbol"
		return c
	}
	monitoring := keeps("user:*:monitoring", 3, 1000)
	monitoring.Overflow = "drop_oldest"
	urgent := keeps("priority:*", 10, 100)
	urgent.Snapshots = false
	return []Class{
		keeps("user:*:order_events", 10, 1000),
		keeps("user:*:broker_health", 8, 1000),
		conflates("user:*:market_data", 3),
		monitoring,
		keeps("user:*", 5, 1000),
		conflates("stream:market_data:*", 3),
		keeps("stream:*", 8, 1000), // system health: the protocol ranks health checks high
		urgent,
		DefaultClass("client:*"),
		DefaultClass("system:*"),
		DefaultClass("public:*"),
	}
}

// UnmarshalYAML fills the fields that the document leaves out with [DefaultClass].
func (c *Class) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Class
	p := plain(DefaultClass(""))
	if err := unmarshal(&p); err != nil {
		return err
	}
	*c = Class(p)
	return nil
}

// ValidateClasses checks a configuration's list of classes, the value of the key topics. The error joins every fault,
// each beginning with its path, as in "topics[2].overflow: …".
func ValidateClasses(classes []Class) error {
	var faults []error
	if len(classes) > classesMax {
		faults = append(faults, fmt.Errorf("topics: %d classes, at most %d are allowed", len(classes), classesMax))
	}
	seen := make(map[string]int, len(classes))
	for i := range classes {
		c := &classes[i]
		if first, again := seen[c.Pattern]; again && c.Pattern != "" {
			faults = append(faults, fmt.Errorf("topics[%d].pattern: %q stands in topics[%d] already, which always wins", i, c.Pattern, first))
		} else {
			seen[c.Pattern] = i
		}
		for _, fault := range c.faults() {
			faults = append(faults, fmt.Errorf("topics[%d].%s", i, fault))
		}
	}
	return errors.Join(faults...)
}

// faults lists what is wrong with c, each beginning with the name of the field.
func (c *Class) faults() []string {
	var out []string
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	if reason := patternFault(c.Pattern); reason != "" {
		add(true, "pattern: %s", reason)
	}
	p := message.Priority(max(0, min(c.Priority, 255)))
	add(!p.Valid() || p.Level().Priority() != p, "priority: %d is none of 10, 8, 5, 3, 1", c.Priority)
	add(c.HistorySize < 0 || c.HistorySize > historySizeMax, "history_size: %d is not within 0 to %d", c.HistorySize, historySizeMax)
	keeps := c.HistorySize > 0
	add(keeps && c.HistoryKiBMax < 1, "history_kib_max: must be at least 1 where history_size is not 0, is %d", c.HistoryKiBMax)
	add(keeps && c.HistoryTTL <= 0, "history_ttl: must be above 0 where history_size is not 0, is %s", c.HistoryTTL)
	_, known := overflowOf(c.Overflow)
	add(!known, "overflow: %q is none of keep, drop_oldest, conflate", c.Overflow)
	add(c.Overflow == "conflate" && c.ConflateBy == "", "conflate_by: names no payload field, which overflow: conflate needs")
	add(c.Overflow != "conflate" && c.ConflateBy != "", "conflate_by: is set, but overflow is %q and not conflate", c.Overflow)
	add(c.Linger < 0 || c.Linger > lingerMax, "linger: %s is not within 0 to %s", c.Linger, lingerMax)
	add(c.IdempotencyTTL < 0, "idempotency_ttl: must not be negative, is %s", c.IdempotencyTTL)
	remembers := c.IdempotencyTTL > 0
	add(remembers && (c.IdempotencyMax < 1 || c.IdempotencyMax > idempotencyIDsMax),
		"idempotency_max: %d is not within 1 to %d, which idempotency_ttl needs", c.IdempotencyMax, idempotencyIDsMax)
	return out
}

func overflowOf(s string) (message.Overflow, bool) {
	for _, o := range [...]message.Overflow{message.Keep, message.DropOldest, message.Conflate} {
		if o.String() == s {
			return o, true
		}
	}
	return 0, false
}

// patternFault says what is wrong with a class's pattern, or "".
func patternFault(pattern string) string {
	if pattern == "" {
		return `is empty; "*" stands for every topic`
	}
	segments := strings.Split(pattern, ":")
	if len(segments) > message.TopicSegmentsMax || len(pattern) > message.TopicBytesMax {
		return fmt.Sprintf("%q is longer than a topic can be", pattern)
	}
	for _, s := range segments {
		if s != "*" && !plainSegment(s) {
			return fmt.Sprintf("%q: segment %q is neither * nor made of A-Z a-z 0-9 _ . @ -", pattern, s)
		}
	}
	switch segments[0] {
	case "*", "user", "system", "priority", "client", "public", "stream":
		return ""
	}
	return fmt.Sprintf("%q matches no topic: they begin with user:, system:, priority:, client:, public: or stream:", pattern)
}

func plainSegment(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("_.@-", c) >= 0:
		default:
			return false
		}
	}
	return s != "" && len(s) <= message.TopicSegmentBytesMax
}

// CompiledClass is a class made ready for use. It is immutable.
type CompiledClass struct {
	Class
	Level           message.Level    // of Priority
	OnOverflow      message.Overflow // of Overflow
	HistoryBytesMax int64            // of HistoryKiBMax

	segments []string
}

// KeepsHistory reports whether publications of the class are kept and so carry topic, epoch and offset.
func (c *CompiledClass) KeepsHistory() bool { return c.HistorySize > 0 }

// Classes finds the class of a topic. It is immutable and may be used by any number of goroutines.
type Classes struct {
	list []*CompiledClass
	rest *CompiledClass // of topics that no pattern matches
}

// CompileClasses makes a list of classes ready for use, or answers what [ValidateClasses] says against it. A topic that
// no pattern matches has [DefaultClass].
func CompileClasses(classes []Class) (*Classes, error) {
	if err := ValidateClasses(classes); err != nil {
		return nil, err
	}
	cs := &Classes{rest: compile(DefaultClass("*"))}
	for i := range classes {
		cs.list = append(cs.list, compile(classes[i]))
	}
	return cs, nil
}

func compile(c Class) *CompiledClass {
	overflow, _ := overflowOf(c.Overflow)
	return &CompiledClass{
		Class: c, Level: message.Priority(c.Priority).Level(), OnOverflow: overflow,
		HistoryBytesMax: int64(c.HistoryKiBMax) << 10, segments: strings.Split(c.Pattern, ":"),
	}
}

// For returns the class of topic: the first whose pattern matches. It allocates nothing and looks at each pattern in
// turn, so a caller with many publications keeps the answer.
func (cs *Classes) For(topic message.Topic) *CompiledClass {
	for _, c := range cs.list {
		if c.matches(string(topic)) {
			return c
		}
	}
	return cs.rest
}

// Retains reports whether the class of topic, or of a pattern of topics, keeps snapshots for new subscribers.
func (cs *Classes) Retains(topic message.Topic) bool { return cs.For(topic).Snapshots }

// List returns the classes in the order in which they are tried, without the one for topics that none matches.
func (cs *Classes) List() []*CompiledClass { return append([]*CompiledClass(nil), cs.list...) }

// matches reports whether topic is of the class: a * stands for one segment, as the last segment for one or more.
func (c *CompiledClass) matches(topic string) bool {
	rest, more := topic, true
	for i, want := range c.segments {
		if !more {
			return false
		}
		if want == "*" && i == len(c.segments)-1 {
			return rest != ""
		}
		var segment string
		segment, rest, more = strings.Cut(rest, ":")
		if want != "*" && want != segment {
			return false
		}
	}
	return !more
}
