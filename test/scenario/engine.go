package scenario

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Engine is the program under test, running as a child process.
type Engine struct {
	Public, Admin string         // addresses
	Dir           string         // its working and data directory
	trust         *x509.CertPool // set where it serves TLS
	http          *http.Client
	cmd           *exec.Cmd
	exited        chan struct{}
	code          int // valid once exited is closed
	said          int // how long the output was when the process started
	binary        string
	args          []string
	output        output
}

// output keeps what the child prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// String returns what was printed so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Start runs binary with its own directory and loopback ports of its choice, and returns when /readyz says that it serves.
// Settings are key=value, for --set. With withTLS it serves TLS, whatever poller the settings name.
func Start(binary, dir string, settings []string, withTLS bool) (*Engine, error) {
	// The program says which ports it got. Ports that were free a moment ago may be another engine's by now, which is
	// ready too and has the same secret.
	e := &Engine{Public: "127.0.0.1:0", Admin: "127.0.0.1:0", Dir: dir}
	if withTLS {
		var err error
		if e.trust, err = certify(dir); err != nil {
			return nil, err
		}
		settings = append(settings, "debug.poller=auto", "tls.cert_file="+filepath.Join(dir, certFile), "tls.key_file="+filepath.Join(dir, keyFile))
	}
	// What the program gives up for being idle, after half a minute, was given up here before: it cannot be asked on meanwhile.
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: e.trust, ServerName: "localhost"}, IdleConnTimeout: 10 * time.Second}
	e.http = &http.Client{Timeout: patience, Transport: transport}
	args := []string{"serve"}
	if config := filepath.Join(dir, "wse.yaml"); exists(config) {
		args = append(args, "--config", config)
	}
	for _, s := range append(append(e.where(), "limits.drain_jitter=0s"), settings...) {
		args = append(args, "--set", s)
	}
	e.binary, e.args = binary, args
	return e, e.launch()
}

// launch starts the process and returns when it serves.
func (e *Engine) launch() error {
	e.exited, e.said = make(chan struct{}), len(e.Output())
	e.cmd = exec.Command(e.binary, e.args...)
	e.cmd.Dir, e.cmd.Env = e.Dir, environment()
	e.cmd.Stdout, e.cmd.Stderr = &e.output, &e.output
	if err := e.cmd.Start(); err != nil {
		return err
	}
	cmd, exited := e.cmd, e.exited
	go func() {
		defer close(exited)
		err := cmd.Wait()
		var exit *exec.ExitError
		e.code = 0
		if errors.As(err, &exit) {
			e.code = exit.ExitCode()
		}
	}()
	if err := e.ready(); err != nil {
		return errors.Join(fmt.Errorf("scenario: the engine did not start: %w\n%s", err, e.Output()), e.Stop())
	}
	return nil
}

// Restart ends the process with a signal and starts it again, with the same settings and directory. Its ports are others
// then.
func (e *Engine) Restart(sig syscall.Signal) error {
	if err := e.Signal(sig); err != nil {
		return err
	}
	if _, err := e.Wait(); err != nil {
		return err
	}
	return e.launch()
}

// environment is what programs under test are started with. The race detector has them wait a second at their end for what may
// still be found, which is much for hundreds of programs that have nothing left to do.
func environment() []string {
	return append(os.Environ(), "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=20")
}

// where are the settings by which every command of the program finds the engine.
func (e *Engine) where() []string {
	return []string{"listen=" + e.Public, "admin.listen=" + e.Admin, "data_dir=" + filepath.Join(e.Dir, "data"), "auth.secret=" + secret}
}

// Command runs another command of the program beside the engine, in its directory and with what it needs to find it, and
// returns what it printed and its exit code.
func (e *Engine) Command(args ...string) (stdout, stderr string, code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	for _, s := range e.where() {
		args = append(args, "--set", s)
	}
	cmd := exec.CommandContext(ctx, e.cmd.Path, args...)
	cmd.Dir, cmd.Env = e.Dir, environment()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	var exit *exec.ExitError
	if err = cmd.Run(); errors.As(err, &exit) && exit.Exited() {
		err = nil
	}
	return out.String(), said.String(), cmd.ProcessState.ExitCode(), err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// serving is the line by which the program says where it listens. It is read-only.
var serving = regexp.MustCompile(`serving: listen=(\S+) admin=(\S+)`)

// ready waits until the program says where it listens, and asks /readyz there until it says 200.
func (e *Engine) ready() error {
	deadline := time.NewTimer(3 * patience) // the first start compiles the stock plugins
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if addrs := serving.FindStringSubmatch(e.Output()[e.said:]); addrs != nil {
			e.Public, e.Admin = addrs[1], addrs[2]
			if e.answers() {
				return nil
			}
		}
		select {
		case <-e.exited:
			return fmt.Errorf("it exited with %d", e.code)
		case <-deadline.C:
			return errors.New("/readyz did not answer 200")
		case <-again.C:
		}
	}
}

// answers reports whether /readyz says 200.
func (e *Engine) answers() bool {
	response, err := e.http.Get(e.publicURL() + "/readyz")
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func (e *Engine) publicURL() string {
	if e.trust != nil {
		return "https://" + e.Public
	}
	return "http://" + e.Public
}

// PID returns the number of the process.
func (e *Engine) PID() int { return e.cmd.Process.Pid }

// Signal sends the process a signal.
func (e *Engine) Signal(s syscall.Signal) error { return e.cmd.Process.Signal(s) }

// Wait returns the exit code once the process has ended.
func (e *Engine) Wait() (int, error) {
	timeout := time.NewTimer(2 * patience)
	defer timeout.Stop()
	select {
	case <-e.exited:
		return e.code, nil
	case <-timeout.C:
		return 0, errors.New("the engine did not exit")
	}
}

// Output returns what the process has printed.
func (e *Engine) Output() string { return e.output.String() }

// Stop ends the process, if it runs, and waits for it. What the race detector found is an error.
func (e *Engine) Stop() error {
	e.http.CloseIdleConnections()
	_ = e.cmd.Process.Signal(syscall.SIGTERM)
	_ = e.cmd.Process.Signal(syscall.SIGTERM) // the second one does not drain
	if _, err := e.Wait(); err != nil {
		_ = e.cmd.Process.Kill()
		<-e.exited
		return err
	}
	for _, sign := range []string{"WARNING: DATA RACE", "panic:", "fatal error:"} {
		if strings.Contains(e.Output(), sign) {
			return fmt.Errorf("scenario: the engine's output has %q:\n%s", sign, e.Output())
		}
	}
	return nil
}
