package scenario

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// publish and event post to the admin API and expect success.
func (r *Runner) publish(s Step) error {
	path := "/api/v1/publish "
	if s.Verb == "event" {
		path = "/api/v1/events "
	}
	body, want, ok := strings.Cut(s.Rest, " => ")
	if !ok {
		want = "{}"
	}
	return r.request(Step{Verb: "post", Rest: path + body + " => 200 " + want})
}

// request sends an HTTP request: PATH [BODY] => STATUS [PATTERN]. "public" is a get from the public port.
func (r *Runner) request(s Step) error {
	call, answer, ok := strings.Cut(s.Rest, " => ")
	if !ok {
		return errors.New("=> STATUS is missing")
	}
	call, err := r.vars.expand(call)
	if err != nil {
		return err
	}
	path, body, _ := strings.Cut(strings.TrimSpace(call), " ")
	method, base := strings.ToUpper(s.Verb), "http://"+r.engine.Admin
	if s.Verb == "public" {
		method, base = http.MethodGet, r.engine.publicURL()
	}
	req, err := http.NewRequest(method, base+path, strings.NewReader(strings.TrimSpace(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	response, err := r.engine.http.Do(req)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	status, want, _ := strings.Cut(strings.TrimSpace(answer), " ")
	if strconv.Itoa(response.StatusCode) != status {
		return fmt.Errorf("the answer is %s: %s", response.Status, got)
	}
	return r.matchBody(want, got)
}

func (r *Runner) matchBody(want string, got []byte) error {
	if want == "" {
		return nil
	}
	if expr, ok := strings.CutPrefix(want, "~"); ok {
		expr, err := r.vars.expand(expr)
		if err != nil {
			return err
		}
		if matched, err := regexp.Match(expr, got); err != nil || !matched {
			return fmt.Errorf("the answer does not match (%v): %s", err, got)
		}
		return nil
	}
	p, err := pattern(want)
	if err != nil {
		return err
	}
	have, err := decode(got)
	if err != nil {
		return fmt.Errorf("the answer is no JSON: %w: %s", err, got)
	}
	if err := r.vars.match(p, have, "$"); err != nil {
		return fmt.Errorf("%w\n  in %s", err, got)
	}
	return nil
}

func (r *Runner) reload(Step) error {
	return r.request(Step{Verb: "post", Rest: "/api/v1/reload => 200"})
}

func (r *Runner) signal(s Step) error {
	signals := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "INT": syscall.SIGINT}
	sig, ok := signals[s.Rest]
	if !ok {
		return fmt.Errorf("%q is no signal known here", s.Rest)
	}
	return r.engine.Signal(sig)
}

func (r *Runner) exit(s Step) error {
	code, err := r.engine.Wait()
	if err == nil && strconv.Itoa(code) != s.Rest {
		return fmt.Errorf("it exited with %d:\n%s", code, r.engine.Output())
	}
	return err
}
