package feed

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/message"
)

// reviewed subscribes a client to three topics of which the plugin then denies one, cannot decide about one and allows one.
func reviewed(t *testing.T) (w *world, review func(*message.Review) (*message.Subscribed, []string)) {
	w = newWorld(t, DefaultConfig())
	s, c := w.open("u1")
	require.NoError(t, w.subscribe(t, s, message.Subscribe{Topics: []string{"public:denied", "public:undecided", "public:allowed"}}))
	c.take()
	w.allowed = func(a Access) (bool, string, error) {
		switch a.Topic {
		case "public:denied":
			return false, "no", nil
		case "public:undecided":
			return false, "", errors.New("trap")
		}
		return true, "", nil
	}
	return w, func(r *message.Review) (*message.Subscribed, []string) {
		require.NoError(t, w.feed.review(t.Context(), s, &message.Request{Body: r}))
		return c.lastAnswer(), c.take()
	}
}

func TestAReviewEndsWhatIsDeniedAndKeepsWhatNobodyCanDecide(t *testing.T) {
	w, review := reviewed(t)
	undecided := 0
	answer, got := review(&message.Review{Undecided: func() { undecided++ }})
	require.Equal(t, []string{"Subscribed"}, got)
	require.Equal(t, "unsubscribe", answer.Action)
	require.Equal(t, []message.Topic{"public:denied"}, answer.SuccessTopics)
	require.Equal(t, []message.Topic{"public:undecided", "public:allowed"}, answer.Topics)
	require.Equal(t, 1, undecided)
	require.Zero(t, w.hub.Subscribers("public:denied"))
	require.Equal(t, Met{Kept: 1, Ended: 1, Undecided: 1}, w.feed.Met())
}

func TestAFinalReviewEndsWhatNobodyCanDecideToo(t *testing.T) {
	_, review := reviewed(t)
	answer, _ := review(&message.Review{Final: true})
	require.Equal(t, []message.Topic{"public:denied", "public:undecided"}, answer.SuccessTopics)
	require.Equal(t, message.CodePluginUnavailable, answer.FailedTopics[1].Err.Code)
}

func TestAReviewAsksOnlyAboutWhatItCovers(t *testing.T) {
	w, review := reviewed(t)
	_, got := review(&message.Review{Final: true, Covers: func(t message.Topic) bool { return t == "public:allowed" }})
	require.Empty(t, got)
	require.Equal(t, Met{Kept: 1}, w.feed.Met())
}

func TestTheTopicsOfATokenAreAskedForInRequestsOfTheSizeAllowed(t *testing.T) {
	cfg := DefaultConfig()
	cfg.TopicsPerRequest = 2
	w := newWorld(t, cfg)
	requests := w.feed.Assigned(&auth.Identity{Claims: []byte(`{"subs":["a","b","c"]}`)})
	require.Len(t, requests, 2)
	require.Equal(t, []string{"c"}, requests[1].Topics)
	require.Empty(t, w.feed.Assigned(&auth.Identity{Claims: []byte(`{"sub":"u1"}`)}))
}
