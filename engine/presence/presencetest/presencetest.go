// Package presencetest states the promises of presence (PROTOCOL §2.3) as tests that every implementation passes, one for a
// node by itself and one for nodes that share a Redis alike.
//
// Ownership: a case owns its store and ends it. The deliverer it gives the store may be called by any goroutine.
package presencetest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/presence"
)

// Crowd is told who is on which topic; feed.Presence has the contract.
type Crowd interface {
	Enter(ctx context.Context, topic message.Topic, user, conn string) error
	Update(ctx context.Context, topic message.Topic, user, conn string, data []byte) error
	Leave(ctx context.Context, topic message.Topic, conn string, lost bool) error
}

// Roster tells who is on a topic; feed.Roster has the contract.
type Roster interface {
	Tracks(topic message.Topic) bool
	Members(ctx context.Context, topic message.Topic, show func(*message.Members)) error
	Stats() presence.Stats
}

// Store is what the promises are about.
type Store interface {
	Crowd
	Roster
}

// Open makes a store that nobody is in yet and runs it until the end of the case, by t.Cleanup.
type Open func(t *testing.T, cfg presence.Config, classes *broker.Classes, out presence.Deliverer) Store

// Run runs every case in real time, side by side with others since most of it is waiting: for stores whose state is outside the
// process.
func Run(t *testing.T, open Open) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open)
		})
	}
}

// RunInBubble is Run in virtual time (testing/synctest), for stores that live inside the process.
func RunInBubble(t *testing.T, open Open) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.run(t, open) })
		})
	}
}

type promise struct {
	name string
	run  func(t *testing.T, open Open)
}

func cases() []promise {
	var all []promise
	for _, part := range [][]promise{coming(), lost(), lostBefore(), telling(), numbers(), asking(), limits(), moments()} {
		all = append(all, part...)
	}
	return all
}

// Times of the cases. What has to happen within a time has a multiple of it, so that a busy machine fails no case.
const (
	patience = time.Minute            // how long a case waits for what is to come
	delay    = 20 * time.Millisecond  // of notices, where a case wants them soon
	window   = 3 * time.Second        // of notices, where a case wants several changes within one
	grace    = 3 * time.Second        // for who lost his last connection
	quiet    = 150 * time.Millisecond // how long a case listens for what must not come
)

// Room is a topic of a class with presence, the one that a [Stage] is about; corner is another, and news one of a class without.
const (
	Room   = message.Topic("public:room:a")
	corner = message.Topic("public:room:b")
	news   = message.Topic("public:news")
)

// Classes are those the cases work with: public:room:* has presence, at a low level and shed when slow; public:* has none.
func Classes(t testing.TB) *broker.Classes {
	t.Helper()
	class := broker.DefaultClass("public:room:*")
	class.Presence, class.Priority, class.Overflow = true, 3, "drop_oldest"
	classes, err := broker.CompileClasses([]broker.Class{class, broker.DefaultClass("public:*")})
	require.NoError(t, err)
	return classes
}

// Board is a [presence.Deliverer] that writes down the notices that are handed to it.
type Board struct {
	mu   sync.Mutex
	all  []Notice      // guarded by mu
	read int           // how many of them were taken; guarded by mu
	more chan struct{} // closed and replaced with each notice; guarded by mu
}

var _ presence.Deliverer = (*Board)(nil)

// Notice is what a board wrote down.
type Notice struct {
	*message.PresenceNotice
	Envelope *message.Envelope
	At       time.Time
}

// String returns the notice as "join alice {"a":1}".
func (n Notice) String() string {
	text := strings.TrimPrefix(n.Kind.String(), "presence_") + " " + n.Member.UserID
	if n.Member.Data != nil {
		text += " " + string(n.Member.Data)
	}
	return text
}

// NewBoard returns an empty board.
func NewBoard() *Board { return &Board{more: make(chan struct{})} }

// Deliver implements [presence.Deliverer].
func (b *Board) Deliver(env *message.Envelope) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, Notice{PresenceNotice: env.Notice.(*message.PresenceNotice), Envelope: env, At: time.Now()})
	close(b.more)
	b.more = make(chan struct{})
}

// All returns every notice up to now, taken or not.
func (b *Board) All() []Notice {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all[:len(b.all):len(b.all)]
}

// Next waits for the next n notices and takes them; fewer where they do not come.
func (b *Board) Next(n int) []Notice { return b.within(patience, n) }

func (b *Board) within(d time.Duration, n int) []Notice {
	deadline := time.After(d)
	for {
		b.mu.Lock()
		more, left := b.more, len(b.all)-b.read
		if left >= n {
			out := b.all[b.read : b.read+n]
			b.read += n
			b.mu.Unlock()
			return out
		}
		b.mu.Unlock()
		select {
		case <-more:
		case <-deadline:
			return b.Rest()
		}
	}
}

// Rest takes the notices that are there and were not taken.
func (b *Board) Rest() []Notice {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.all[b.read:]
	b.read = len(b.all)
	return out
}

// Texts returns what the notices say.
func Texts(notices []Notice) (out []string) {
	for _, n := range notices {
		out = append(out, n.String())
	}
	return out
}

// start opens a store with the times of the cases, as change makes them.
func start(t *testing.T, open Open, change func(*presence.Config)) *Stage {
	t.Helper()
	cfg := presence.DefaultConfig()
	cfg.Grace, cfg.NoticeDelay = grace, delay
	if change != nil {
		change(&cfg)
	}
	board := NewBoard()
	return NewStage(t, "", open(t, cfg, Classes(t), board), board)
}

// slowly has several changes fall into one delay.
func slowly(cfg *presence.Config) { cfg.NoticeDelay = window }
