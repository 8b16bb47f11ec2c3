// Package target starts the servers under measurement as processes of their own and reads what they use: CPU from the
// process's clock, resident memory from the kernel.
//
// Ownership: a [Server] may be used by any goroutine; Stop is called once.
package target

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wse-engine/wse/test/bench/internal/peer"
)

// startWait is how long a server may take until it serves.
const startWait = 2 * time.Minute

// Server is a running server.
type Server struct {
	Name   string
	Listen netip.AddrPort // where clients connect
	Admin  string         // base URL of the publish route
	Secret []byte         // what tokens are signed with, for wse
	Data   string         // its data directory, for wse

	cmd    *exec.Cmd
	stdin  io.Closer
	output *bytes.Buffer
	exited chan error
	client *http.Client
}

// StartPeer starts the peer called kind: this program again, as `peer kind`.
func StartPeer(kind string, pad int) (*Server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	s := &Server{Name: kind, cmd: exec.Command(self, "peer", "-pad", strconv.Itoa(pad), kind)}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	var said peer.Announcement
	if err == nil {
		err = json.Unmarshal(line, &said)
	}
	if err == nil {
		s.Listen, err = netip.ParseAddrPort(said.Listen)
	}
	if err != nil {
		_ = s.ended(time.Second) // its last words are in the error of Stop
		return nil, errors.Join(fmt.Errorf("target: peer %s did not say where it listens: %w", kind, err), s.Stop())
	}
	s.Admin = said.Admin
	return s, nil
}

// start runs the command with its input held open, so that a peer ends when we do.
func (s *Server) start() error {
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	s.stdin, s.output, s.exited = stdin, &bytes.Buffer{}, make(chan error, 1)
	s.cmd.Stderr = s.output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.client = &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("target: %s: %w", s.Name, err)
	}
	go func() { s.exited <- s.cmd.Wait() }()
	return nil
}

// Stop ends the server and returns an error when it had ended by itself before.
func (s *Server) Stop() error {
	s.client.CloseIdleConnections()
	if err := s.ended(0); err != nil {
		return err
	}
	_ = s.stdin.Close()
	_ = s.cmd.Process.Kill()
	s.exited <- <-s.exited
	return nil
}

// ended returns an error that says why the server ended by itself, nil if it has not within wait.
func (s *Server) ended(wait time.Duration) error {
	deadline := time.Now().Add(wait)
	for len(s.exited) == 0 {
		if time.Now().After(deadline) {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	err := <-s.exited
	s.exited <- err
	return fmt.Errorf("target: %s ended by itself: %v: %s", s.Name, err, tail(s.output.String()))
}

// tail is the last few lines a server wrote, which say why it ended.
func tail(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// CPU returns the CPU time the process has used, user and system, in all its threads.
func (s *Server) CPU() (time.Duration, error) {
	// The clock of another process, as clock_getcpuclockid(3) spells it: ~pid << 3 | CPUCLOCK_SCHED. It counts in
	// nanoseconds, where /proc/PID/stat counts in hundredths of a second.
	clock := int32(^s.cmd.Process.Pid<<3 | 2)
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("target: CPU clock of %s: %w", s.Name, err)
	}
	return time.Duration(ts.Nano()), nil
}

// Memory returns the resident bytes of the process.
func (s *Server) Memory() (int64, error) {
	// smaps_rollup walks the pages and is exact; the counters of /proc/PID/statm may be off by hundreds of KiB.
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", s.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("target: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Rss:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("target: no Rss in smaps_rollup of %s", s.Name)
}

// Descriptors returns how many descriptors the process has open.
func (s *Server) Descriptors() (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("target: %w", err)
	}
	return len(entries), nil
}

// Collect runs the server's garbage collector, which its runtime does by itself every two minutes, and returns the bytes
// of the heap that are in use after it. It runs twice, since what lies in a sync.Pool survives the first time.
func (s *Server) Collect(ctx context.Context) (int64, error) {
	var body []byte
	for range 2 {
		var err error
		if body, err = s.get(ctx, "/debug/pprof/heap?gc=1&debug=1"); err != nil {
			return 0, err
		}
	}
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, "# HeapAlloc = "); ok {
			return strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
		}
	}
	return 0, fmt.Errorf("target: %s does not tell its HeapAlloc", s.Name)
}

// Profile takes a CPU profile of the server.
func (s *Server) Profile(ctx context.Context, seconds int) ([]byte, error) {
	return s.get(ctx, "/debug/pprof/profile?seconds="+strconv.Itoa(seconds))
}

func (s *Server) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Admin+path, nil)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	return s.do(req)
}

func (s *Server) do(req *http.Request) ([]byte, error) {
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("target: %s: %w", s.Name, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("target: %s: %w", s.Name, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("target: %s: %s %s: %s: %s", s.Name, req.Method, req.URL.Path, resp.Status, tail(string(body)))
	}
	return body, nil
}
