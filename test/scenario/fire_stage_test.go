package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// fireKept is how many publications the topics under fire keep: few, so that some who come back are too late. Among any
// fireKept of a topic there is a snapshot: each of its publishers makes one of every fireSnapshot of his.
const (
	fireKept     = 8
	fireSnapshot = 3
)

const fireConfig = `client_messages: {enabled: true}
limits:
  handshake_timeout: 1m
  request_timeout: 1m
  compress_bytes_min: 200
  message_kib_max: 256
  frame_kib_max: 256
  queue_kib_max: 16384
  drain_jitter: 100ms
  presence_grace: 50ms
  presence_notice_delay: 5ms
  user_messages_per_second: 1000
  user_messages_burst: 1000
  refused_messages_per_minute: 200
topics:
  - {pattern: "user:*:order_events", priority: 10, history_size: 8, snapshots: true}
  - {pattern: "user:*", history_size: 8, snapshots: true}
  - {pattern: "stream:*", priority: 8, history_size: 8, snapshots: true}
  - {pattern: "client:*", priority: 3, history_size: 8, snapshots: true}
  - {pattern: "public:room:*", presence: true}
  - {pattern: "public:*"}
`

// The topics under fire. Those of two users, which each sees of himself only, and those that all see.
const (
	fireNews = "public:news" // keeps nothing
	fireRoom = "public:room:lobby"
)

func fireUsers() []string { return []string{"ada", "bob"} }

func fireOwn(user string) []string {
	return []string{"user:" + user + ":events", "user:" + user + ":order_events", "client:" + user + ":messages"}
}

func fireShared() []string {
	return []string{"stream:market_data:A", "stream:market_data:B", fireNews}
}

// firePublished are the topics that are published to over the admin API; clients publish to the others themselves.
func firePublished() (all []string) {
	for _, user := range fireUsers() {
		all = append(all, fireOwn(user)[:2]...)
	}
	return append(all, fireShared()...)
}

// engineRun is one process of the engine.
type engineRun struct {
	*Engine
	n      int           // the how many-th it is
	ending chan struct{} // closed when it is about to be ended: from then on connections may be lost
}

// over reports that the process is being ended.
func (r *engineRun) over() bool {
	select {
	case <-r.ending:
		return true
	default:
		return false
	}
}

// stage is where an engine runs, one process after another.
type stage struct {
	program, dir string
	settings     []string

	mu      sync.Mutex
	up      sync.Cond
	current *engineRun // nil while none serves; guarded by mu
	n       int        // guarded by mu
	gone    bool       // none will serve any more; guarded by mu
	said    string     // by the one that was abandoned; guarded by mu
}

func newStage(t *testing.T, program, poller string) *stage {
	t.Helper()
	s := &stage{program: program, dir: t.TempDir(), settings: []string{"debug.poller=" + poller}}
	s.up.L = &s.mu
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "wse.yaml"), []byte(fireConfig), 0o600))
	require.NoError(t, s.start())
	return s
}

func (s *stage) start() error {
	// Start gives the drain no jitter unless the settings, which come later, do.
	e, err := Start(s.program, s.dir, append(slices.Clone(s.settings), "limits.drain_jitter=100ms"), false)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if s.gone {
		return errors.Join(errAbandoned, e.Stop())
	}
	s.current = &engineRun{Engine: e, n: s.n, ending: make(chan struct{})}
	s.up.Broadcast()
	return nil
}

// errAbandoned says that the engine was ended because something went wrong.
var errAbandoned = errors.New("the engine is gone")

// serving returns the engine that serves, and waits where none does; nil where none ever will.
func (s *stage) serving() *engineRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.current == nil && !s.gone {
		s.up.Wait()
	}
	return s.current
}

// end takes the engine off the stage: from now on connections may be lost.
func (s *stage) end(gone bool) *engineRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	run := s.current
	if s.current = nil; run != nil {
		close(run.ending)
	}
	s.gone = s.gone || gone
	s.up.Broadcast()
	return run
}

// abandon ends the engine for good. It tells what each of its goroutines is doing.
func (s *stage) abandon() {
	if run := s.end(true); run != nil {
		_ = run.Signal(syscall.SIGQUIT)
		if _, err := run.Wait(); err != nil {
			_ = run.Stop()
		}
		s.mu.Lock()
		s.said = run.Output()
		s.mu.Unlock()
	}
}

// lastWords is what an engine that was abandoned said.
func (s *stage) lastWords() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said
}

// stop ends the engine with a signal. It must not have found a race or a panic.
func (s *stage) stop(how syscall.Signal) error {
	run := s.end(false)
	if run == nil {
		return errAbandoned
	}
	if err := run.Signal(how); err != nil {
		return err
	}
	code, err := run.Wait()
	if err == nil && how == syscall.SIGTERM && code != 0 {
		err = fmt.Errorf("the engine ended with %d", code)
	}
	if err == nil && (strings.Contains(run.Output(), "[ERROR]") || strings.Contains(run.Output(), "ended before every client was gone")) {
		err = errors.New("the engine reports errors")
	}
	if err = errors.Join(err, run.Stop()); err != nil {
		return fmt.Errorf("engine %d: %w\n%s", run.n, err, run.Output())
	}
	return nil
}

// restart ends the engine and starts another, which knows nothing of what was published.
func (s *stage) restart(how syscall.Signal) error {
	err := s.stop(how)
	return errors.Join(err, s.start()) // it is started in any case: the others wait for it
}

// post sends a body to the admin API. Whatever comes of it while the engine is ended is errEnded.
func (r *engineRun) post(ctx context.Context, c *http.Client, path string, body []byte, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.Admin+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Idempotency-Key", "") // net/http may send it again, where the engine just gave the connection up: documents have ids
	response, err := c.Do(request)
	if err == nil {
		defer response.Body.Close()
		err = decodeAnswer(response, answer)
	}
	if err != nil && r.over() {
		return errEnded
	}
	return err
}
