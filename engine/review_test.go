package engine

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
)

// reviewing runs a reviewer of the plugins that serve, which asks nobody and is told that somebody was undecided as long as
// undecided is above zero. It returns what it asked, one line for each review.
func reviewing(t *testing.T, serve *[]plugin.Info, undecided int) (r *reviewer, asked func() []string) {
	var lines []string
	r = &reviewer{list: func() []plugin.Info { return *serve }, nudge: make(chan struct{}, 1)}
	r.seen = r.authorizers()
	began := time.Now()
	r.ask = func(_ context.Context, bind []string, final bool) error {
		lines = append(lines, fmt.Sprintf("%v %v %v", time.Since(began), bind, final))
		if undecided--; undecided >= 0 {
			r.undecided.Store(true)
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	return r, func() []string { synctest.Wait(); return lines }
}

func authorizing(name, version string, bind ...string) plugin.Info {
	return plugin.Info{Name: name, Version: version, Kinds: []plugin.Kind{plugin.Authorize}, Bind: bind}
}

func TestOnlyWhatAChangedAuthorizerIsBoundToIsAskedAboutAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mapping := plugin.Info{Name: "mapping", Version: "m1", Kinds: []plugin.Kind{plugin.Transform}, Bind: []string{"*"}}
		serve := []plugin.Info{mapping, authorizing("a", "a1", "user:*"), authorizing("b", "b1", "system:*")}
		r, asked := reviewing(t, &serve, 0)
		step := func(now ...plugin.Info) []string {
			before := len(asked())
			serve = now
			r.look()
			return asked()[before:]
		}
		mapping.Version = "m2"
		require.Empty(t, step(mapping, serve[1], serve[2]), "a transform plugin allows nothing")
		require.Equal(t, []string{"0s [user:* user:*] false"}, step(serve[0], authorizing("a", "a2", "user:*"), serve[2]))
		require.Empty(t, step(serve...), "once")
		require.Equal(t, []string{"0s [system:* public:*] false"}, step(serve[0], serve[1], authorizing("b", "b1", "public:*")), "another bind")
		require.Equal(t, []string{"0s [public:*] false"}, step(serve[0], serve[1]), "one less")
		require.Equal(t, []string{"0s [stream:*] false"}, step(serve[0], serve[1], authorizing("c", "c1", "stream:*")), "one more")
		time.Sleep(time.Hour)
		require.Len(t, asked(), 4, "and never without a change")
	})
}

func TestWhatNobodyCouldDecideIsAskedAgainTwiceAndThenRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		serve := []plugin.Info{authorizing("a", "a1", "user:*")}
		r, asked := reviewing(t, &serve, 100)
		require.Empty(t, asked())
		serve = []plugin.Info{authorizing("a", "a2", "user:*")}
		r.look()
		time.Sleep(25 * time.Second)
		want := []string{"0s [user:* user:*] false", "10s [user:* user:*] false", "20s [user:* user:*] true"}
		require.Equal(t, want, asked())
	})
}

func TestWhatWasDecidedAtTheSecondTimeIsNotAskedAThird(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		serve := []plugin.Info{authorizing("a", "a1", "user:*"), authorizing("b", "b1", "system:*")}
		r, asked := reviewing(t, &serve, 1)
		require.Empty(t, asked())
		serve = []plugin.Info{authorizing("a", "a2", "user:*"), serve[1]}
		r.look()
		time.Sleep(5 * time.Second)
		require.Len(t, asked(), 1)
		serve = []plugin.Info{serve[0], authorizing("b", "b2", "system:*")}
		r.look()
		time.Sleep(time.Hour)
		require.Equal(t, []string{"0s [user:* user:*] false", "5s [user:* user:* system:* system:*] false"}, asked(),
			"another change asks about what is undecided, too")
	})
}
