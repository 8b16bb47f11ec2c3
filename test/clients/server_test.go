package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait; what takes longer has failed.
const patience = time.Minute

// server is a running `wse serve`, and the two web sites whose pages talk to it: only the first one's may.
type server struct {
	addr, admin   string
	config        string // path of its configuration file
	site, foreign string // origins
	cmd           *exec.Cmd
	log           *output
	ended         chan struct{}
}

// output keeps what a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// start runs the program and waits until it is ready. It ends with the test.
func start(t *testing.T) *server {
	t.Helper()
	s := launch(t, pages(t), pages(t))
	if !s.ready() {
		_ = s.cmd.Process.Kill() // it may have ended
		<-s.ended
		t.Fatalf("the server did not become ready:\n%s", s.log)
	}
	t.Cleanup(func() { s.stop(t) })
	return s
}

// pages serves the directory js to browsers, from an origin of its own.
func pages(t *testing.T) string {
	t.Helper()
	site := httptest.NewServer(http.FileServer(http.Dir("js")))
	t.Cleanup(site.Close)
	return site.URL
}

func launch(t *testing.T, site, foreign string) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{config: filepath.Join(dir, "wse.yaml"), site: site, foreign: foreign, log: new(output), ended: make(chan struct{})}
	config := fmt.Sprintf("listen: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\ndata_dir: %s\norigins: [%s]\ndebug: {echo: true}\nlimits: {frame_kib_max: 4096, message_kib_max: 4096}\n",
		filepath.Join(dir, "data"), site)
	require.NoError(t, os.WriteFile(s.config, []byte(config), 0o600))
	s.cmd = exec.Command(program, "serve", "--config", s.config)
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

// stop ends the process as an operator would.
func (s *server) stop(t *testing.T) {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended; then its status tells
	select {
	case <-s.ended:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		t.Errorf("the server did not leave after SIGTERM:\n%s", s.log)
		return
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 || strings.Contains(s.log.String(), "panic") {
		t.Errorf("the server left with status %d:\n%s", code, s.log)
	}
}

// token has the program issue a token, as a user would.
func (s *server) token(t *testing.T, user string) string {
	t.Helper()
	out, err := exec.Command(program, "token", "--sub", user, "--config", s.config).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// event hands in a domain event by the admin API.
func (s *server) event(t *testing.T, kind, user string, payload any) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"type": kind, "user_id": user, "payload": payload})
	require.NoError(t, err)
	resp, err := http.Post("http://"+s.admin+"/api/v1/events", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s", answer)
}

// disconnect closes a connection by the admin API.
func (s *server) disconnect(t *testing.T, id string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodDelete, "http://"+s.admin+"/api/v1/connections/"+id, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
}
