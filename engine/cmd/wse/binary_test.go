package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/redis/redistest"
)

// patience is how long a test waits for what has to happen; it is only ever reached where something is broken.
const patience = 3 * time.Minute

// binary is the path of the program under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "wse-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "wse")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		return 1
	}
	return m.Run()
}

// process is a running program whose lines can be waited for.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of standard output and error, closed at the end
	seen  []string
}

// start runs the program.
func start(t *testing.T, args ...string) *process {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	p := &process{t: t, cmd: exec.CommandContext(ctx, binary, args...), lines: make(chan string, 1024)}
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.lines)
		for scan := bufio.NewScanner(r); scan.Scan(); {
			p.lines <- scan.Text()
		}
	}()
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		_ = p.cmd.Wait()
		_ = w.Close()
	}()
	t.Cleanup(func() {
		cancel()
		<-waited
	})
	return p
}

// until returns the first line that contains text.
func (p *process) until(text string) string {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("%v ended without %q; it said:\n%s", p.cmd.Args, text, strings.Join(p.seen, "\n"))
			}
			p.seen = append(p.seen, line)
			if strings.Contains(line, text) {
				return line
			}
		case <-timeout:
			p.t.Fatalf("%v did not say %q in time; it said:\n%s", p.cmd.Args, text, strings.Join(p.seen, "\n"))
		}
	}
}

// end waits until the program has ended and returns its exit code.
func (p *process) end() int {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return p.cmd.ProcessState.ExitCode()
			}
			p.seen = append(p.seen, line)
		case <-timeout:
			p.t.Fatalf("%v did not end; it said:\n%s", p.cmd.Args, strings.Join(p.seen, "\n"))
		}
	}
}

func (p *process) signal(s os.Signal) { require.NoError(p.t, p.cmd.Process.Signal(s)) }

// served is an engine that serves, and the settings by which other commands find it.
type served struct {
	*process
	sets []string
}

// serve starts an engine and waits until it listens, where the system lets it.
func serve(t *testing.T, more ...string) *served {
	t.Helper()
	return serveAt(t, "127.0.0.1:0", "127.0.0.1:0", more...)
}

// serveAt is serve on addresses that are given.
func serveAt(t *testing.T, listen, admin string, more ...string) *served {
	t.Helper()
	at := func(listen, admin string) []string {
		return []string{"--set", "listen=" + listen, "--set", "admin.listen=" + admin}
	}
	rest := []string{"--set", "data_dir=" + t.TempDir(), "--set", "limits.drain_jitter=0s"}
	p := start(t, slices.Concat([]string{"serve"}, at(listen, admin), rest, more)...)
	_, line, _ := strings.Cut(p.until("serving: listen="), "serving: ")
	_, err := fmt.Sscanf(line, "listen=%s admin=%s", &listen, &admin)
	require.NoError(t, err, line)
	return &served{p, slices.Concat(at(listen, admin), rest)}
}

// with returns a command line that uses the engine.
func (e *served) with(args ...string) []string { return append(args, e.sets...) }

func TestServeEndsAtSIGTERMAndTailComesBack(t *testing.T) {
	e := serveAt(t, redistest.FreeAddr(t), "127.0.0.1:0") // to be found again
	tail := start(t, e.with("tail", "user:u1:order_events")...)
	tail.until("subscribed to user:u1:order_events")
	e.signal(syscall.SIGHUP)
	e.signal(syscall.SIGTERM)
	require.Equal(t, exitOK, e.end(), strings.Join(e.seen, "\n"))
	tail.until("connecting again")
	again := start(t, append(append([]string{"serve"}, e.sets...), "--set", "admin.listen=127.0.0.1:0")...)
	tail.until("subscribed to user:u1:order_events")
	tail.signal(os.Interrupt)
	require.Equal(t, exitOK, tail.end())
	again.signal(os.Interrupt)
	require.Equal(t, exitOK, again.end())
}

func TestTailOfARefusedTopicFails(t *testing.T) {
	e := serve(t)
	token := wse("", e.with("token", "--sub", "u1")...)
	require.Equal(t, exitOK, token.code, token.err)
	tail := start(t, e.with("tail", "user:u2:order_events", "--token", strings.TrimSpace(token.out))...)
	require.Equal(t, exitFailed, tail.end())
	require.Contains(t, strings.Join(tail.seen, "\n"), "user:u2:order_events: ")

	tail = start(t, e.with("tail", "user:u2:order_events", "--token", "no.good.token")...)
	require.Equal(t, exitFailed, tail.end())
	require.Equal(t, 1, strings.Count(strings.Join(tail.seen, "\n"), "AUTH_FAILED"), "once is enough")

	tail = start(t, e.with("tail", "user:*")...)
	require.Equal(t, exitFailed, tail.end())
	require.Contains(t, strings.Join(tail.seen, "\n"), "user:*: Invalid topic format", "it is the topic that is wrong, and no token")
}

func TestServeThatCannotStartSaysWhyInOneLine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	open := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(open, "auth.key"), nil, 0o600))
	require.NoError(t, os.Chmod(filepath.Join(open, "auth.key"), 0o644))
	for _, tt := range []struct {
		name string
		sets []string
		says string
	}{
		{"others can read the key", []string{"data_dir=" + open}, "wse: auth: " + open + "/auth.key is open to other users (mode 0644); run: chmod 600"},
		{"the port is taken", []string{"listen=" + l.Addr().String()}, "address already in use"},
		{"the data directory is a file", []string{"data_dir=" + file}, "data_dir"},
		{"a plugin is not there", []string{"plugins[0].path=" + file + ".wasm"}, file + ".wasm"},
		{"a certificate is not there", []string{"tls.cert_file=" + file + ".pem", "tls.key_file=" + file}, file + ".pem"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"serve", "--set", "listen=127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0", "--set", "data_dir=" + t.TempDir()}
			for _, s := range tt.sets {
				args = append(args, "--set", s)
			}
			p := start(t, args...)
			require.Equal(t, exitFailed, p.end())
			require.Len(t, p.seen, 1, strings.Join(p.seen, "\n"))
			require.Contains(t, p.seen[0], "wse: ")
			require.Contains(t, p.seen[0], tt.says)
		})
	}
}
