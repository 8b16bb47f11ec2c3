package redistest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// Server is a redis-server of its own.
type Server struct {
	Port int
	Dir  string

	t    testing.TB
	args []string
	mu   sync.Mutex
	cmd  *exec.Cmd     // guarded by mu; nil: it does not run
	out  *bytes.Buffer // guarded by the process: read after it ended
}

// Single starts one server with more arguments of redis-server's command line, and waits until it answers.
func Single(t testing.TB, args ...string) *Server {
	t.Helper()
	s := &Server{t: t, Dir: t.TempDir(), args: args}
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// Addr returns host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// startTries is how many ports are tried: another process may take a free one before the server does.
const startTries = 5

// Start starts the server, again on its port if it ran before.
func (s *Server) Start() {
	s.t.Helper()
	var err error
	for range startTries {
		if err = s.start(); err == nil {
			return
		}
	}
	require.NoError(s.t, err)
}

func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	port := s.Port
	if port == 0 {
		port = freePort(s.t)
	}
	args := append([]string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", s.Dir, "--save", "", "--daemonize", "no"}, s.args...)
	cmd, out := exec.Command("redis-server", args...), &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("redis-server cannot be started; install it (Debian: apt-get install redis-server): %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	client := goredis.NewClient(&goredis.Options{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), MaxRetries: -1, DialerRetries: 1})
	defer client.Close()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		select {
		case err := <-ended:
			return fmt.Errorf("redis-server on port %d: %v: %s", port, err, out)
		case <-time.After(5 * time.Millisecond):
		}
		if err := client.Do(context.Background(), "PING").Err(); err == nil || goredis.HasErrorPrefix(err, "NOAUTH") || goredis.HasErrorPrefix(err, "LOADING") {
			s.Port, s.cmd, s.out = port, cmd, out
			return nil
		}
	}
	_ = cmd.Process.Kill()
	return fmt.Errorf("redis-server on port %d does not answer", port)
}

// Kill ends the server at once, as kill -9 does. Nothing happens where it does not run.
func (s *Server) Kill() { s.signal(syscall.SIGKILL, true) }

// Pause stops the server's process without ending it, as SIGSTOP does.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP, false) }

// Resume lets a paused server go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT, false) }

func (s *Server) signal(sig os.Signal, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig)
	if gone {
		client, deadline := s.Addr(), time.Now().Add(10*time.Second)
		for time.Now().Before(deadline) { // the port is free again when nobody answers there
			c, err := net.DialTimeout("tcp", client, time.Second)
			if err != nil {
				break
			}
			_ = c.Close()
			time.Sleep(time.Millisecond)
		}
		s.cmd = nil
	}
}

// Client returns a client of the server, closed when the test ends.
func (s *Server) Client() *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: s.Addr()})
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
