package redistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

	"github.com/wse-engine/wse/engine/redis"
)

// Server is a redis-server of its own.
type Server struct {
	Port int
	Dir  string

	t        testing.TB
	access   *access
	sentinel bool
	args     []string // of its command line, after where it listens; of a Sentinel its file
	mu       sync.Mutex
	process  *process // guarded by mu; nil: it does not run
}

// process is one life of a server.
type process struct {
	cmd   *exec.Cmd
	out   bytes.Buffer // read after ended
	ended chan struct{}
}

// Single starts one server with more arguments of redis-server's command line, and waits until it answers.
func Single(t testing.TB, args ...string) *Server {
	t.Helper()
	return SingleWith(t, Options{Args: args})
}

// SingleWith starts one server.
func SingleWith(t testing.TB, o Options) *Server {
	t.Helper()
	access := newAccess(t, o)
	s := newServer(t, access, access.args())
	s.Start()
	return s
}

// newServer returns one that does not run yet. It ends with the test.
func newServer(t testing.TB, access *access, args []string) *Server {
	s := &Server{t: t, Dir: t.TempDir(), Port: FreePort(t), access: access, args: args}
	t.Cleanup(s.Kill)
	return s
}

// Addr returns host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// Config returns what an engine needs to use this server alone.
func (s *Server) Config() redis.Config { return s.access.config(s.Addr()) }

// Start starts the server, again on its port if it ran before, and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	require.NoError(s.t, s.start())
}

// startMax is how long a server may take until it answers. It takes some milliseconds; the rest is for a busy machine.
const startMax = time.Minute

// pollEvery is how often a state is asked for that nobody tells of.
const pollEvery = 5 * time.Millisecond

func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		return fmt.Errorf("redis-server on port %d runs already", s.Port)
	}
	p := &process{cmd: exec.Command("redis-server", s.commandLine()...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("redis-server cannot be started; install it (Debian: apt-get install redis-server): %w", err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	client := goredis.NewClient(s.options())
	defer client.Close()
	var err error
	for deadline := time.Now().Add(startMax); time.Now().Before(deadline); {
		if !s.listens() { // the library would log every try
			err = errors.New("it does not listen")
		} else if err = client.Do(context.Background(), "PING").Err(); err == nil || goredis.HasErrorPrefix(err, "LOADING") || goredis.HasErrorPrefix(err, "MASTERDOWN") || goredis.HasErrorPrefix(err, "NOAUTH") {
			s.process = p
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("redis-server on port %d: %v: %s", s.Port, p.cmd.ProcessState, &p.out)
		case <-time.After(pollEvery):
		}
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
	return fmt.Errorf("redis-server on port %d: %w: %s", s.Port, err, &p.out)
}

func (s *Server) listens() bool {
	c, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

func (s *Server) commandLine() []string {
	if s.sentinel {
		return append(append([]string{}, s.args...), "--sentinel")
	}
	args := []string{"--bind", "127.0.0.1", "--dir", s.Dir}
	if c := s.access.certificates; c != nil {
		args = append(args, "--port", "0", "--tls-port", strconv.Itoa(s.Port))
		args = append(args, c.args()...)
	} else {
		args = append(args, "--port", strconv.Itoa(s.Port))
	}
	return append(args, s.args...)
}

// Kill ends the server at once, as kill -9 does, and waits until it is gone. Nothing happens where it does not run.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return
	}
	_ = s.process.cmd.Process.Kill()
	<-s.process.ended
	s.process = nil
}

// Running reports whether the server was started and not killed since.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process != nil
}

// Pause stops the server's process without ending it, as SIGSTOP does. It returns when the process stands still.
func (s *Server) Pause() {
	s.signal(syscall.SIGSTOP)
	for s.moves() {
		<-time.After(time.Millisecond)
	}
}

// moves reports whether the server's process is there and neither stopped nor ended.
func (s *Server) moves() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.cmd.Process.Pid))
	return err == nil && !bytes.Contains(status, []byte("State:\tT")) && !bytes.Contains(status, []byte("State:\tZ"))
}

// Resume lets a paused server go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		_ = s.process.cmd.Process.Signal(sig)
	}
}

// Client returns a client of the server who may do everything, closed when the test ends.
func (s *Server) Client() *goredis.Client {
	c := goredis.NewClient(s.options())
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// options are those of the test's own connections. Nothing is tried again: the test wants to see what happens.
func (s *Server) options() *goredis.Options {
	o := &goredis.Options{Addr: s.Addr(), Protocol: 2, DisableIdentity: true, MaxRetries: -1, DialerRetries: 1, DialTimeout: 10 * time.Second, ContextTimeoutEnabled: true}
	if s.access.Username != "" {
		if s.sentinel {
			o.Password = sentinelPassword
		} else {
			o.Username, o.Password = operatorName, operatorPassword
		}
	}
	if c := s.access.certificates; c != nil {
		o.TLSConfig = c.client()
	}
	return o
}

// once does one thing on a connection of its own.
func (s *Server) once(f func(ctx context.Context, c *goredis.Client) error) error {
	client := goredis.NewClient(s.options())
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startMax)
	defer cancel()
	return f(ctx, client)
}

// Ports are taken below those that systems give to connections, since a server must find its own again after it was killed.
const portMin, portMax = 10000, 32000

// FreePort returns a port that nobody listens on, and that no other test takes before this one ends, be it of another process: a
// server does not listen yet, or is killed for some time. What keeps the others away is the name of a socket that is no file.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(portMin + rand.IntN(portMax-portMin))
		taken, err := take(port)
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			require.NoError(t, taken.Close())
			continue
		}
		require.NoError(t, l.Close())
		t.Cleanup(func() { _ = taken.Close() })
		number, err := strconv.Atoi(port)
		require.NoError(t, err)
		return number
	}
	require.FailNow(t, "no port is free")
	return 0
}

// FreeAddr returns a loopback address with a port of [FreePort].
func FreeAddr(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
}

// take takes the name that stands for a port.
func take(port string) (net.Listener, error) { return net.Listen("unix", "@wse-redistest-"+port) }

// claimMax is how long a test may have a port that another one claims.
const claimMax = 10 * time.Minute

// ClaimPort waits until no other test has a port, and keeps it from all of them until this one ends. It is for ports that are not to be
// chosen, because they are written somewhere.
func ClaimPort(t testing.TB, port int) {
	t.Helper()
	for deadline := time.Now().Add(claimMax); ; <-time.After(pollEvery) {
		taken, err := take(strconv.Itoa(port))
		if err == nil {
			t.Cleanup(func() { _ = taken.Close() })
			return
		}
		require.True(t, time.Now().Before(deadline), "the port %d is another test's for too long: %v", port, err)
	}
}

// await asks again and again until what reports nil, and fails the test when that takes too long.
func await(t testing.TB, what string, f func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(2 * startMax); time.Now().Before(deadline); <-time.After(pollEvery) {
		if err = f(); err == nil {
			return
		}
	}
	require.NoError(t, err, what)
}

// giveUp is after how long servers that are told to change roles, and were too slow at it, have given up.
const giveUp = 10 * time.Second

// again returns a function that has servers begin something when it is called first, and again after they must have given up. It
// returns an error each time, since that they took the order says nothing.
func again(begin func() error) func() error {
	var next time.Time
	return func() error {
		if time.Now().Before(next) {
			return errors.New("it does not come about")
		}
		if err := begin(); err != nil {
			return err
		}
		next = time.Now().Add(giveUp)
		return errors.New("it has just begun")
	}
}

// all starts servers at once.
func all(t testing.TB, servers []*Server) {
	t.Helper()
	errs := make(chan error, len(servers))
	for _, s := range servers {
		go func() { errs <- s.start() }()
	}
	for range servers {
		require.NoError(t, <-errs)
	}
}
