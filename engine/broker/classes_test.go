package broker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/config"
	"github.com/wse-engine/wse/engine/message"
)

func compiled(t testing.TB, list []Class) *Classes {
	classes, err := CompileClasses(list)
	require.NoError(t, err)
	return classes
}

func TestTheDefaultClassesKeepWhatTheProtocolSays(t *testing.T) {
	classes := compiled(t, DefaultClasses())
	for _, c := range []struct {
		topic     message.Topic
		level     message.Level
		history   int
		snapshots bool
		overflow  message.Overflow
	}{
		{"user:u1:order_events", message.Critical, 1000, true, message.Keep},
		{"user:u1:broker_health", message.High, 1000, true, message.Keep},
		{"user:u1:market_data", message.Low, 1000, true, message.Conflate},
		{"user:u1:monitoring", message.Low, 1000, true, message.DropOldest},
		{"user:u1:anything_else", message.Normal, 1000, true, message.Keep},
		{"stream:market_data:AAPL", message.Low, 1000, true, message.Conflate},
		{"stream:system_health:db", message.High, 1000, true, message.Keep},
		{"priority:u1:messages", message.Critical, 100, false, message.Keep},
		{"client:u1:messages", message.Normal, 0, false, message.Keep},
		{"system:announcements", message.Normal, 0, false, message.Keep},
		{"public:a:b", message.Normal, 0, false, message.Keep},
	} {
		class := classes.For(c.topic)
		require.Equal(t, c.level, class.Level, c.topic)
		require.Equal(t, c.history, class.HistorySize, c.topic)
		require.Equal(t, c.history > 0, class.KeepsHistory(), c.topic)
		require.Equal(t, c.snapshots, class.Snapshots, c.topic)
		require.Equal(t, c.overflow, class.OnOverflow, c.topic)
		require.Equal(t, time.Hour, class.HistoryTTL, c.topic)
	}
}

func TestTheStandardTopicTypesHaveTheLevelsOfTheProtocol(t *testing.T) {
	classes := compiled(t, DefaultClasses())
	for name, level := range message.StandardTypes() {
		topic, err := message.UserTopic("u1", name)
		require.NoError(t, err)
		require.Equal(t, level, classes.For(topic).Level, name)
	}
}

func TestThePatternOfAClassMatchesSegments(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []message.Topic
	}{
		{"*", []message.Topic{"user:u1:events", "system:a"}, nil},
		{"user:*", []message.Topic{"user:u1:events"}, []message.Topic{"system:a", "public:user:x"}},
		{"user:*:events", []message.Topic{"user:u1:events"}, []message.Topic{"user:u1:event", "user:u1:events2"}},
		{"user:u1:*", []message.Topic{"user:u1:events"}, []message.Topic{"user:u2:events", "user:u11:events"}},
		{"public:*:c", []message.Topic{"public:b:c"}, []message.Topic{"public:c", "public:b:b:c", "public:b:c:d"}},
		{"public:*", []message.Topic{"public:b:c:d", "public:b"}, []message.Topic{"system:b"}},
		{"public:b", []message.Topic{"public:b"}, []message.Topic{"public:b:c", "public:bb"}},
		{"*:u1:*", []message.Topic{"user:u1:events", "client:u1:messages"}, []message.Topic{"user:u2:events"}},
	} {
		class := DefaultClass(c.pattern)
		class.Priority = 8
		classes := compiled(t, []Class{class})
		for _, topic := range c.yes {
			require.Equal(t, message.High, classes.For(topic).Level, "%s should match %s", c.pattern, topic)
		}
		for _, topic := range c.no {
			require.Equal(t, message.Normal, classes.For(topic).Level, "%s should not match %s", c.pattern, topic)
		}
	}
}

func TestTheFirstClassThatMatchesWins(t *testing.T) {
	special := DefaultClass("user:vip:*")
	special.Priority = 10
	classes := compiled(t, []Class{special, DefaultClass("user:*")})
	require.Equal(t, message.Critical, classes.For("user:vip:events").Level)
	require.Equal(t, "user:*", classes.For("user:u1:events").Pattern)
	require.Len(t, classes.List(), 2)
}

func TestEveryFaultOfAClassIsNamedWithItsPath(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(c *Class)
		want  string
	}{
		{"no pattern", func(c *Class) { c.Pattern = "" }, "topics[1].pattern: is empty"},
		{"a pattern that matches nothing", func(c *Class) { c.Pattern = "users:*" }, `topics[1].pattern: "users:*" matches no topic`},
		{"a half star", func(c *Class) { c.Pattern = "user:u*" }, `topics[1].pattern: "user:u*": segment "u*"`},
		{"an empty segment", func(c *Class) { c.Pattern = "user::x" }, `topics[1].pattern: "user::x": segment ""`},
		{"too many segments", func(c *Class) { c.Pattern = strings.Repeat("*:", 8) + "*" }, "longer than a topic can be"},
		{"a pattern twice", func(c *Class) { c.Pattern = "system:*" }, `topics[1].pattern: "system:*" stands in topics[0] already`},
		{"priority between levels", func(c *Class) { c.Priority = 9 }, "topics[1].priority: 9 is none of 10, 8, 5, 3, 1"},
		{"priority zero", func(c *Class) { c.Priority = 0 }, "topics[1].priority: 0 is none of"},
		{"priority far out", func(c *Class) { c.Priority = 256 + 5 }, "topics[1].priority: 261 is none of"},
		{"negative history", func(c *Class) { c.HistorySize = -1 }, "topics[1].history_size: -1 is not within"},
		{"huge history", func(c *Class) { c.HistorySize = 1 << 30 }, "topics[1].history_size: "},
		{"history of no bytes", func(c *Class) { c.HistorySize, c.HistoryKiBMax = 1, 0 }, "topics[1].history_kib_max: "},
		{"history of no time", func(c *Class) { c.HistorySize, c.HistoryTTL = 1, 0 }, "topics[1].history_ttl: "},
		{"unknown overflow", func(c *Class) { c.Overflow = "drop" }, `topics[1].overflow: "drop" is none of keep, drop_oldest, conflate`},
		{"conflate without key", func(c *Class) { c.Overflow = "conflate" }, "topics[1].conflate_by: names no payload field"},
		{"key without conflate", func(c *Class) { c.ConflateBy = "symbol" }, `topics[1].conflate_by: is set, but overflow is "keep"`},
		{"negative linger", func(c *Class) { c.Linger = -1 }, "topics[1].linger: "},
		{"linger of a minute", func(c *Class) { c.Linger = time.Minute }, "topics[1].linger: 1m0s is not within 0 to 1s"},
		{"negative window", func(c *Class) { c.IdempotencyTTL = -1 }, "topics[1].idempotency_ttl: "},
		{"window of no ids", func(c *Class) { c.IdempotencyMax = 0 }, "topics[1].idempotency_max: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := []Class{DefaultClass("system:*"), DefaultClass("user:*")}
			c.spoil(&list[1])
			require.ErrorContains(t, ValidateClasses(list), c.want)
			_, err := CompileClasses(list)
			require.ErrorContains(t, err, c.want)
		})
	}
	require.NoError(t, ValidateClasses(DefaultClasses()))
	require.ErrorContains(t, ValidateClasses(make([]Class, 2000)), "topics: 2000 classes")
}

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	list := []Class{DefaultClass("user:*"), DefaultClass("user:*:x")}
	list[0].Priority, list[0].Overflow, list[1].Linger = 2, "no", -1
	err := ValidateClasses(list)
	for _, want := range []string{"topics[0].priority", "topics[0].overflow", "topics[1].linger"} {
		require.ErrorContains(t, err, want)
	}
}

func TestWhatAClassInTheConfigurationLeavesOutHasItsDefault(t *testing.T) {
	var cfg struct {
		Topics []Class `yaml:"topics"`
	}
	file := filepath.Join(t.TempDir(), "wse.yaml")
	const doc = "topics:\n- pattern: public:*\n  history_size: 10\n  history_ttl: 15s\n- {pattern: 'user:*', idempotency_ttl: 0s}\n"
	require.NoError(t, os.WriteFile(file, []byte(doc), 0o600))
	require.NoError(t, config.Load(file, nil, nil, &cfg))
	want := []Class{DefaultClass("public:*"), DefaultClass("user:*")}
	want[0].HistorySize, want[0].HistoryTTL, want[1].IdempotencyTTL = 10, 15*time.Second, 0
	require.Equal(t, want, cfg.Topics)
	require.NoError(t, ValidateClasses(cfg.Topics))
}

func TestAClassThatRetainsSaysSoForPatternsToo(t *testing.T) {
	classes := compiled(t, DefaultClasses())
	for topic, want := range map[message.Topic]bool{
		"user:u1:events": true, "user:u1:*": true, "stream:market_data:*": true, "system:a": false, "public:*": false,
	} {
		require.Equal(t, want, classes.Retains(topic), topic)
	}
}

func TestTheClassOfATopicIsFoundWithoutAllocating(t *testing.T) {
	classes := compiled(t, DefaultClasses())
	require.Zero(t, testing.AllocsPerRun(100, func() { classes.For("public:a:b:c") }))
}

func BenchmarkClassesFor(b *testing.B) {
	classes := compiled(b, DefaultClasses())
	for b.Loop() {
		classes.For("public:news")
	}
}
