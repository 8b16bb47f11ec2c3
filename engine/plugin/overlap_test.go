package plugin

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPatternConcernsEveryPluginBoundToATopicItStandsFor(t *testing.T) {
	for _, tt := range []struct {
		bind, topic string
		want        bool
	}{
		{"*", "user:u1:*", true},
		{"user:u1:secret", "user:u1:*", true},
		{"user:u1:secret", "user:u2:*", false},
		{"user:u1:secret", "user:u1:open", false},
		{"user:u1:", "user:u1:*", false},
		{"user:*", "user:u1:*", true},
		{"user:u1:sec*", "user:u1:*", true},
		{"user:u10:*", "user:u1:*", false},
		{"user:*:order_events", "user:u1:*", true},
		{"*:order_events", "user:u1:*", true},
		{"stream:*:BTC", "user:u1:*", false},
		{"user:?1:secret", "user:u1:*", true},
		{"user:?2:secret", "user:u1:*", false},
		{"*order*", "public:*", true},
		{"public:news", "public:*", true},
		{"public", "public:*", false},
	} {
		t.Run(tt.bind+" and "+tt.topic, func(t *testing.T) {
			require.Equal(t, tt.want, overlapsAny([]glob{newGlob(tt.bind)}, tt.topic))
		})
	}
}

// FuzzBound checks overlaps against globMatch: where some topic under the pattern matches, the plugin must be asked.
func FuzzBound(f *testing.F) {
	f.Add("user:*:x", "user:u1:", "x")
	f.Add("*?", "public:", "a")
	f.Fuzz(func(t *testing.T, bind, prefix, rest string) {
		if !strings.HasSuffix(prefix, ":") || rest == "" || len(bind) > 64 || len(prefix) > 64 {
			return
		}
		g := newGlob(bind)
		if g.match(prefix+rest) && !overlapsAny([]glob{g}, prefix+"*") {
			t.Fatalf("%q matches %q but is not asked about %q", bind, prefix+rest, prefix+"*")
		}
	})
}
