package message_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

func TestATopicIsTakenOnlyInTheFormOfItsKind(t *testing.T) {
	long := strings.Repeat("x", 128)
	for _, c := range []struct {
		name, topic, fault string
	}{
		{"user", "user:u1:order_events", ""},
		{"user with every character", "user:a.B_9@x-y:Events.2", ""},
		{"system", "system:announcements", ""},
		{"priority", "priority:u1:messages", ""},
		{"client", "client:u1:messages", ""},
		{"public", "public:news", ""},
		{"public of eight segments", "public:1:2:3:4:5:6:7", ""},
		{"market data", "stream:market_data:BTC-USDT", ""},
		{"system health", "stream:system_health:node1", ""},
		{"a segment of 128 bytes", "public:" + long, ""},
		{"255 bytes", "public:" + strings.Repeat("x", 120) + ":" + strings.Repeat("y", 127), ""},

		{"256 bytes", "public:" + strings.Repeat("x", 120) + ":" + strings.Repeat("y", 128), "256 bytes, at most 255"},
		{"a segment of 129 bytes", "public:x" + long, "each segment has 1 to 128"},
		{"nine segments", "public:1:2:3:4:5:6:7:8", "9 segments, at most 8"},
		{"nothing", "", "each segment has 1 to 128"},
		{"a colon", ":", "each segment has 1 to 128"},
		{"an empty id", "user::events", "each segment has 1 to 128"},
		{"an empty type", "user:u1:", "each segment has 1 to 128"},
		{"a leading colon", ":user:u1:events", "each segment has 1 to 128"},
		{"a trailing colon", "system:announcements:", "each segment has 1 to 128"},
		{"capitals in the kind", "User:u1:events", "must begin with user,"},
		{"a kind nobody knows", "topic:u1:events", "must begin with user,"},
		{"a bare word", "order_events", "must begin with user,"},
		{"the kind alone", "user", "must be user:{id}:{type}"},
		{"two segments", "user:u1", "must be user:{id}:{type}"},
		{"four segments", "user:u1:a:b", "must be user:{id}:{type}"},
		{"system of three segments", "system:a:b", "must be system:{name}"},
		{"system alone", "system", "must be system:{name}"},
		{"public alone", "public", "must be public:{name}"},
		{"priority of another type", "priority:u1:events", "must be priority:{id}:messages"},
		{"client without an id", "client:messages", "must be client:{id}:messages"},
		{"a stream nobody knows", "stream:orders:BTC", "must be stream:market_data:{symbol}"},
		{"a stream without a symbol", "stream:market_data", "must be stream:market_data:{symbol}"},
		{"a space", "user:u 1:events", `not ' '`},
		{"a newline", "user:u1:events\n", `not '\n'`},
		{"a zero byte", "user:u\x001:events", `not '\x00'`},
		{"a letter beyond ASCII", "user:użytkownik:events", `not 'ż'`},
		{"a letter that looks like another", "user:u1:оrders", `not 'о'`},
		{"no UTF-8", "user:\xff:events", `not '�'`},
		{"a path", "user:../etc:events", `not '/'`},
		{"a glob", "user:u?:events", `not '?'`},
		{"a star", "user:u1:*", `not '*'`},
		{"a star for the id", "user:*:events", `not '*'`},
		{"a brace", "user:{id}:events", `not '{'`},
		{"the namespace of another system", "wse:user:u1:events", "must begin with user,"},
	} {
		t.Run(c.name, func(t *testing.T) {
			topic, err := message.ParseTopic(c.topic)
			if c.fault == "" {
				require.NoError(t, err)
				require.Equal(t, c.topic, string(topic))
				return
			}
			require.ErrorIs(t, err, message.ErrTopic)
			require.ErrorContains(t, err, c.fault)
			require.Empty(t, topic)
		})
	}
}

func TestAPatternHasItsStarLast(t *testing.T) {
	for _, c := range []struct {
		name, pattern string
		ok            bool
	}{
		{"a topic", "user:u1:events", true},
		{"all types of a user", "user:u1:*", true},
		{"all symbols", "stream:market_data:*", true},
		{"all of public", "public:*", true},
		{"part of public", "public:a:b:*", true},
		{"all of system", "system:*", true},
		{"all users", "user:*", false},
		{"a type of all users", "user:*:events", false},
		{"all types of all users", "user:*:*", false},
		{"everything", "*", false},
		{"all streams", "stream:*", false},
		{"all priorities of a user", "priority:u1:*", false},
		{"a star inside a segment", "user:u1:order_*", false},
		{"two stars", "public:*:*", false},
		{"a star and a colon", "public:*:", false},
		{"two stars in a segment", "public:**", false},
		{"a pattern of nine segments", "public:1:2:3:4:5:6:7:*", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			pattern, err := message.ParsePattern(c.pattern)
			if !c.ok {
				require.ErrorIs(t, err, message.ErrTopic)
				return
			}
			require.NoError(t, err)
			require.Equal(t, strings.HasSuffix(c.pattern, "*"), pattern.IsPattern())
		})
	}
}

func TestAPatternCoversWhatItsStarStandsFor(t *testing.T) {
	for _, c := range []struct {
		pattern, topic message.Topic
		want           bool
	}{
		{"user:u1:*", "user:u1:events", true},
		{"user:u1:*", "user:u10:events", false},
		{"user:u1:*", "user:u2:events", false},
		{"public:a:*", "public:a:b:c", true},
		{"public:a:*", "public:a", false},
		{"public:a:*", "public:ab", false},
		{"public:*", "public:a", true},
		{"user:u1:events", "user:u1:events", true},
		{"user:u1:events", "user:u1:event", false},
		{"user:*", "user:u1:events", true},
		{"user:*", "user:", false},
	} {
		require.Equal(t, c.want, c.pattern.Matches(c.topic), "%s %s", c.pattern, c.topic)
	}
}

func TestATopicKnowsItsOwner(t *testing.T) {
	for topic, want := range map[message.Topic]string{
		"user:u1:events": "u1", "priority:u1:messages": "u1", "client:u1:messages": "u1", "user:u1:*": "u1",
		"system:u1": "", "public:u1:x": "", "stream:market_data:u1": "", "": "", "user": "",
	} {
		require.Equal(t, want, topic.Owner(), string(topic))
	}
}

func TestAUserTopicTakesNoHostileIdentity(t *testing.T) {
	topic, err := message.UserTopic("u1", "events")
	require.NoError(t, err)
	require.Equal(t, message.Topic("user:u1:events"), topic)
	for _, id := range []string{"", "*", "u1:events", "u 1", "a/b"} {
		_, err := message.UserTopic(id, "events")
		require.ErrorIs(t, err, message.ErrTopic, id)
	}
}

func TestTheTwelveStandardTypesAreKnown(t *testing.T) {
	types := message.StandardTypes()
	require.Len(t, types, 12)
	for name := range types {
		require.True(t, message.IsStandardType(name), name)
		_, err := message.UserTopic("u1", name)
		require.NoError(t, err)
	}
	for _, name := range []string{"", "Events", "events ", "orders", "user:u1:events"} {
		require.False(t, message.IsStandardType(name), name)
	}
	require.Equal(t, message.Critical, types["order_events"])
	require.Equal(t, message.High, types["broker_health"])
	require.Equal(t, message.Low, types["market_data"])
	require.Equal(t, message.Low, types["monitoring"])
}

// FuzzTopic asserts that whatever is taken obeys every rule by itself, and that a topic is also a pattern that covers
// exactly itself.
func FuzzTopic(f *testing.F) {
	for _, seed := range []string{"user:u1:events", "user:*:x", "user:u1:", "stream:market_data:*", "public:1:2:3:4:5:6:7:8",
		"system:announcements", "priority:u1:messages", "użytkownik", "::::", "*", strings.Repeat("public:", 40)} {
		f.Add(seed)
	}
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@-"
	f.Fuzz(func(t *testing.T, s string) {
		topic, err := message.ParseTopic(s)
		pattern, patternErr := message.ParsePattern(s)
		if err != nil {
			require.ErrorIs(t, err, message.ErrTopic)
		}
		if patternErr != nil {
			require.ErrorIs(t, patternErr, message.ErrTopic)
			require.Error(t, err)
			return
		}
		require.Equal(t, err != nil, pattern.IsPattern())
		segments := strings.Split(strings.TrimSuffix(s, ":*"), ":")
		require.LessOrEqual(t, len(s), 255)
		require.LessOrEqual(t, strings.Count(s, ":")+1, 8)
		require.Contains(t, []string{"user", "system", "priority", "client", "public", "stream"}, segments[0])
		for _, segment := range segments {
			require.NotEmpty(t, segment)
			require.LessOrEqual(t, len(segment), 128)
			require.Empty(t, strings.Trim(segment, allowed))
		}
		if err == nil {
			require.True(t, pattern.Matches(topic))
		} else {
			require.True(t, pattern.Matches(pattern[:len(pattern)-1]+"x"))
		}
	})
}

func TestASegmentHasTheBytesOfTheSpecificationAndNoOthers(t *testing.T) {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@-"
	for c := range 256 {
		_, err := message.ParseTopic("public:a" + string([]byte{byte(c)}) + "b")
		require.Equal(t, c == ':' || strings.IndexByte(allowed, byte(c)) >= 0, err == nil, "%q", byte(c))
	}
}

func BenchmarkParseTopic(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := message.ParseTopic("user:u1:broker_account_events"); err != nil {
			b.Fatal(err)
		}
	}
}
