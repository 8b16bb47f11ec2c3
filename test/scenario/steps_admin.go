package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
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

// request sends an HTTP request to the admin API: PATH [BODY] => STATUS [PATTERN].
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
	req, err := http.NewRequest(strings.ToUpper(s.Verb), "http://"+r.engine.Admin+path, strings.NewReader(strings.TrimSpace(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	return r.exchange(req, answer)
}

// call reads WORDS => ANSWER, in which an answer begins with what is called result.
func (r *Runner) call(s Step, result string) (list []string, answer string, err error) {
	text, answer, ok := strings.Cut(s.Rest, " => ")
	if !ok {
		return nil, "", fmt.Errorf("=> %s is missing", result)
	}
	if text, err = r.vars.expand(text); err != nil {
		return nil, "", err
	}
	list, err = words(text)
	return list, answer, err
}

// hand posts files of the engine's directory to the admin API: PATH [FILE...] [header="K: V"]... => STATUS [PATTERN]. One is
// sent as what its name says it is, two as the parts module and config of a form.
func (r *Runner) hand(s Step) error {
	list, answer, err := r.call(s, "STATUS")
	if err != nil {
		return err
	}
	var files, headers []string
	for _, word := range list[min(1, len(list)):] {
		if header, ok := strings.CutPrefix(word, "header="); ok {
			headers = append(headers, header)
		} else {
			files = append(files, word)
		}
	}
	body, kind, err := r.candidate(files)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+r.engine.Admin+list[0], bytes.NewReader(body))
	if err != nil {
		return err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for _, header := range headers {
		key, value, _ := strings.Cut(header, ":")
		req.Header.Set(key, strings.TrimSpace(value))
	}
	return r.exchange(req, answer)
}

// candidate makes the body of a request from files.
func (r *Runner) candidate(files []string) (body []byte, kind string, err error) {
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	for _, name := range files {
		part := "config"
		if kind = "application/yaml"; strings.HasSuffix(name, ".wasm") {
			part, kind = "module", "application/wasm"
		}
		if body, err = os.ReadFile(filepath.Join(r.engine.Dir, filepath.Base(name))); err != nil {
			return nil, "", err
		}
		w, err := parts.CreateFormFile(part, name)
		if err != nil {
			return nil, "", err
		}
		if _, err := w.Write(body); err != nil {
			return nil, "", err
		}
	}
	if len(files) < 2 {
		return body, kind, nil
	}
	if err := parts.Close(); err != nil {
		return nil, "", err
	}
	return form.Bytes(), parts.FormDataContentType(), nil
}

// command runs a command of the program: ARGS => EXIT [PATTERN]. A regular expression is matched with all that it printed, standard error last,
// any other pattern with its standard output.
func (r *Runner) command(s Step) error {
	args, answer, err := r.call(s, "EXIT")
	if err != nil {
		return err
	}
	stdout, stderr, code, err := r.engine.Command(args...)
	if err != nil {
		return err
	}
	exit, want, _ := strings.Cut(strings.TrimSpace(answer), " ")
	if strconv.Itoa(code) != exit {
		return fmt.Errorf("it exited with %d: %s%s", code, stdout, stderr)
	}
	if strings.HasPrefix(want, "~") {
		return r.matchBody(want, []byte(stdout+stderr))
	}
	return r.matchBody(want, []byte(stdout))
}

// exchange sends a request and compares the answer with STATUS [PATTERN].
func (r *Runner) exchange(req *http.Request, answer string) error {
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
			return fmt.Errorf("the answer does not match (%v): %.4000s", err, got)
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
	sig, err := signalOf(s.Rest)
	if err != nil {
		return err
	}
	return r.engine.Signal(sig)
}

func signalOf(name string) (syscall.Signal, error) {
	signals := map[string]syscall.Signal{
		"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL,
	}
	sig, ok := signals[name]
	if !ok {
		return 0, fmt.Errorf("%q is no signal known here", name)
	}
	return sig, nil
}

// restart ends the process with a signal, TERM unless another is named, and starts it again on what it left behind.
func (r *Runner) restart(s Step) error {
	name := s.Rest
	if name == "" {
		name = "TERM"
	}
	sig, err := signalOf(name)
	if err != nil {
		return err
	}
	r.closeAll()
	r.clients = map[string]*client{}
	return r.engine.Restart(sig)
}

func (r *Runner) exit(s Step) error {
	code, err := r.engine.Wait()
	if err == nil && strconv.Itoa(code) != s.Rest {
		return fmt.Errorf("it exited with %d:\n%s", code, r.engine.Output())
	}
	return err
}
