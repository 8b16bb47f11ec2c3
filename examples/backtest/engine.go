package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// engine is the engine that is used: one that runs, or one that was started for this.
type engine struct {
	program string
	public  string // its URL
	admin   string
	token   string

	dir     string // "": it was not started here
	command *exec.Cmd
	log     *bytes.Buffer
	ended   chan error
}

// startTimeout is how long an engine may take to start: the first time it compiles its plugins.
const startTimeout = time.Minute

// serving is the line by which the program says where it listens. It is read-only.
var serving = regexp.MustCompile(`serving: listen=(\S+) admin=(\S+)`)

// reach returns an engine: the one that is named, or else one that is started in a new directory on free ports.
func reach(ctx context.Context, o *options) (*engine, error) {
	e := &engine{program: o.program, public: strings.TrimRight(o.public, "/"), admin: strings.TrimRight(o.admin, "/"), token: o.token}
	if e.public != "" {
		return e, nil
	}
	if err := e.start(ctx); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (e *engine) start(ctx context.Context) (err error) {
	if e.dir, err = os.MkdirTemp("", "wse-backtest-"); err != nil {
		return err
	}
	where := []string{"--set", "listen=127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0", "--set", "data_dir=" + e.dir}
	e.command = exec.Command(e.program, append([]string{"serve"}, where...)...)
	said, err := e.command.StderrPipe()
	if err != nil {
		return err
	}
	if err := e.command.Start(); err != nil {
		e.command = nil
		return fmt.Errorf("%w (make build makes the program)", err)
	}
	serves := make(chan []string, 1)
	e.log, e.ended = &bytes.Buffer{}, make(chan error, 1)
	go e.listen(said, serves)
	select {
	case addresses := <-serves:
		e.public, e.admin = "http://"+addresses[1], "http://"+addresses[2]
	case err := <-e.ended:
		e.command = nil
		return fmt.Errorf("the engine did not start: %w\n%s", err, e.log)
	case <-time.After(startTimeout):
		return errors.New("the engine did not start in time")
	case <-ctx.Done():
		return ctx.Err()
	}
	token, err := e.run(ctx, append([]string{"token", "--sub", "investor", "--permission", "trader"}, where...)...)
	e.token = strings.TrimSpace(string(token))
	return err
}

// listen reads the engine's log to its end, so that the engine never waits for its reader, and says once where it serves.
func (e *engine) listen(said io.Reader, serves chan<- []string) {
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if found := serving.FindStringSubmatch(lines.Text()); found != nil {
			serves <- found
		}
		e.log.Write(append(lines.Bytes(), '\n'))
	}
	e.ended <- e.command.Wait()
}

// run runs another command of the program and returns what it printed.
func (e *engine) run(ctx context.Context, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, e.program, args...)
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", e.program, args[0], err, bytes.TrimSpace(said.Bytes()))
	}
	return out, err
}

// close ends the engine, if it was started here, and removes its directory.
func (e *engine) close() error {
	if e.dir == "" {
		return nil
	}
	if e.command != nil {
		for range 2 { // the second one does not wait for clients
			_ = e.command.Process.Signal(syscall.SIGTERM)
		}
		<-e.ended // what it came to does not matter any more
	}
	return os.RemoveAll(e.dir)
}
