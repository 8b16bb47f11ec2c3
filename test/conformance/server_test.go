package conformance

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait for the server; what takes longer has failed.
const patience = time.Minute

// server is a running `wse serve`.
type server struct {
	addr  string
	admin string
	data  string // its data directory
	cmd   *exec.Cmd
	log   *tail
	told  sync.Once     // to leave: a second signal would not wait for the connections
	ended chan struct{} // closed when the process is gone
}

// tail keeps the last bytes of what a process prints.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.buf.Len() > 256<<10 {
		t.buf.Reset()
	}
	return t.buf.Write(p)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// start runs the program with /echo served and 16 MiB messages allowed, on free ports of the loopback address, and waits
// until it is ready. It ends with the test.
func start(t *testing.T, poller string, set ...string) *server {
	t.Helper()
	s := launch(t, poller, set)
	if !s.ready() {
		s.kill()
		t.Fatalf("the server did not become ready:\n%s", s.log)
	}
	t.Cleanup(func() { s.stop(t) })
	return s
}

func launch(t *testing.T, poller string, set []string) *server {
	t.Helper()
	s := &server{data: t.TempDir(), log: new(tail), ended: make(chan struct{})}
	args := []string{"serve"}
	for _, kv := range append([]string{
		"listen=127.0.0.1:0", "admin.listen=127.0.0.1:0", "data_dir=" + s.data, "debug.echo=true", "debug.poller=" + poller,
		"limits.frame_kib_max=16384", "limits.message_kib_max=16384", "limits.handshake_timeout=30s",
		"heartbeat.interval=10m", "heartbeat.idle_timeout=20m", // peers answer no pings
	}, set...) {
		args = append(args, "--set", kv)
	}
	s.cmd = exec.Command(program, args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	require.NoError(t, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait() // the exit status is asked for in stop
		close(s.ended)
	}()
	return s
}

// serving is the line by which the program says where it listens. It is read-only.
var serving = regexp.MustCompile(`serving: listen=(\S+) admin=(\S+)`)

// ready waits until the process says where it listens, and /readyz 200, and returns false if it ended before, or never does.
func (s *server) ready() bool {
	deadline := time.After(3 * patience) // the first start compiles the stock plugins
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.ended:
			return false
		case <-deadline:
			return false
		case <-tick.C:
		}
		where := serving.FindStringSubmatch(s.log.String())
		if where == nil {
			continue
		}
		s.addr, s.admin = where[1], where[2]
		resp, err := http.Get("http://" + s.addr + "/readyz")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return true
		}
	}
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended already
	<-s.ended
}

// leave tells the process to drain and end.
func (s *server) leave() {
	s.told.Do(func() { _ = s.cmd.Process.Signal(syscall.SIGTERM) }) // it may have ended: stop looks at how
}

// stop ends the process as an operator would and fails the test if it had crashed, does not leave or says why not.
func (s *server) stop(t *testing.T) {
	s.leave()
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.kill()
		t.Errorf("the server did not leave after SIGTERM:\n%s", s.log)
		return
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the server left with status %d:\n%s", code, s.log)
	}
	for _, trace := range []string{"panic:", "goroutine 1 [", "DATA RACE"} {
		if strings.Contains(s.log.String(), trace) {
			t.Errorf("the server printed %q:\n%s", trace, s.log)
		}
	}
}

// requireRunning fails unless the process lives and still echoes.
func (s *server) requireRunning(t *testing.T) {
	t.Helper()
	select {
	case <-s.ended:
		t.Fatalf("the server is gone:\n%s", s.log)
	default:
	}
	p := s.connect(t)
	p.send(text("still there?"))
	p.expect(text("still there?"))
	p.closeNormally()
}

// residentBytes returns the resident memory of the process.
func (s *server) residentBytes(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(t, err)
			return kib << 10
		}
	}
	t.Fatal("no VmRSS in /proc")
	return 0
}
