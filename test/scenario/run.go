package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Runner runs scenarios against one engine.
type Runner struct {
	engine   *Engine
	encoding *encoding // of clients whose connect says nothing about it; nil: they say nothing
	n        int       // scenarios run, which makes user ids unique
	ticks    int       // published so far, which makes their times

	vars    vars
	clients map[string]*client
	aside   []chan error // what meanwhile has started
}

// NewRunner returns a runner for e.
func NewRunner(e *Engine) *Runner { return &Runner{engine: e} }

// Use makes every client whose connect says nothing about compression or format use one of [Encodings], both ways.
func (r *Runner) Use(name string) (err error) {
	r.encoding, err = encodingOf(name)
	return err
}

// Run runs one scenario. The error names the line of the step that failed.
func (r *Runner) Run(file string, s *Scenario) error {
	r.n++
	r.vars, r.clients = vars{"n": json.Number(strconv.Itoa(r.n))}, map[string]*client{}
	defer r.closeAll()
	defer func() { _ = r.join(Step{}) }()
	for _, step := range s.Steps {
		if err := r.step(step); err != nil {
			return fmt.Errorf("%s:%d: %s %s: %w", file, step.Line, step.Verb, step.Rest, err)
		}
	}
	return nil
}

func (r *Runner) closeAll() {
	for _, c := range r.clients {
		c.shut()
	}
}

// handlers are the steps by verb.
func (r *Runner) handlers() map[string]func(Step) error {
	return map[string]func(Step) error{
		"user": r.user, "token": r.token, "connect": r.connect, "open": r.open,
		"send": r.send, "send-binary": r.send, "send-deflated": r.send, "send-as": r.sendAs, "frame": r.frame, "raw": r.raw, "hello": r.hello, "forge": r.forge,
		"expect": r.expect, "expect-as": r.expectAs, "expect-raw": r.expectRaw, "unordered": r.unordered, "no-more": r.noMore,
		"expect-close": r.expectClose, "expect-eof": r.expectEOF, "close": r.close, "drop": r.drop, "mute": r.mute, "lag": r.lag,
		"await": r.await, "await-close": r.expectClose, "stall": r.stall, "resume": r.stall, "pad": r.pad,
		"publish": r.publish, "event": r.publish, "post": r.request, "get": r.request, "delete": r.request, "public": r.public, "hand": r.hand, "run": r.command,
		"reload": r.reload, "signal": r.signal, "exit": r.exit, "repeat": r.repeat, "until": r.until, "write": r.write,
		"meanwhile": r.meanwhile, "join": r.join, "sequence": r.sequence, "ask": r.ask, "tick": r.tick, "restart": r.restart, "file": r.file,
	}
}

func (r *Runner) step(s Step) error { return r.handlers()[s.Verb](s) }

// user makes ids for users: each name stands for one of its own in every scenario.
func (r *Runner) user(s Step) error {
	for _, name := range strings.Fields(s.Rest) {
		r.vars[name] = fmt.Sprintf("%s-%d", name, r.n)
	}
	return nil
}

func (r *Runner) userID(name string) string {
	if _, ok := r.vars[name]; !ok {
		_ = r.user(Step{Rest: name})
	}
	return show(r.vars[name])
}

func (r *Runner) token(s Step) error {
	name, rest, err := r.subject(s.Rest)
	if err != nil {
		return err
	}
	list, err := words(rest)
	if err != nil {
		return err
	}
	o, err := options(list, "for", "life", "alg", "key", "claims")
	if err != nil {
		return err
	}
	life := time.Hour
	if o["life"] != "" {
		if life, err = time.ParseDuration(o["life"]); err != nil {
			return err
		}
	}
	r.vars[name], err = mint(r.userID(o["for"]), life, o)
	return err
}

// subject splits a name off and expands what follows.
func (r *Runner) subject(rest string) (name, text string, err error) {
	name, text, _ = strings.Cut(rest, " ")
	if name == "" {
		return "", "", errors.New("a name is missing")
	}
	text, err = r.vars.expand(strings.TrimSpace(text))
	return name, text, err
}

func (r *Runner) connect(s Step) error {
	name, rest, err := r.subject(s.Rest)
	if err != nil {
		return err
	}
	list, err := words(rest)
	if err != nil {
		return err
	}
	var extra []string
	list = slices.DeleteFunc(list, func(w string) bool {
		header, ok := strings.CutPrefix(w, "header=")
		if ok {
			extra = append(extra, header)
		}
		return ok
	})
	o, err := options(list, "as", "level", "life", "token", "via", "path", "protocol", "query", "status", "encoding", "encryption")
	if err != nil {
		return err
	}
	c := &client{name: name, v1: isV1(o)}
	c.verbatim = !c.v1 && o["path"] != "" && o["path"] != "/wse"
	if o["protocol"] != "" {
		extra = append(extra, "Sec-WebSocket-Protocol: "+o["protocol"])
	}
	if c.encoding, err = r.encodingFor(o, extra); err != nil {
		return err
	}
	if e := c.encoding; e != nil {
		o["query"] = strings.Trim(o["query"]+"&"+e.query, "&")
		if e.extension != "" {
			extra = append(extra, "Sec-WebSocket-Extensions: "+e.extension)
		}
	}
	if err := c.encryption(o); err != nil {
		return err
	}
	if e := c.encoding; e != nil && c.crypto != nil && e.sealed != "" {
		if c.encoding, err = encodingOf(e.sealed); err != nil {
			return err
		}
	}
	path, header, err := r.upgrade(name, o, extra)
	if err != nil {
		return err
	}
	status := http.StatusSwitchingProtocols
	if o["status"] != "" {
		if status, err = strconv.Atoi(o["status"]); err != nil {
			return err
		}
	}
	if c, err = dial(r.engine, c, path, header, status); err != nil || c == nil {
		return err
	}
	if old := r.clients[name]; old != nil {
		old.shut()
	}
	r.clients[name] = c
	return nil
}

// encodingFor returns what a connect asks for, else the runner's, else nil. A connect that spells its request out has it
// its own way.
func (r *Runner) encodingFor(o map[string]string, headers []string) (*encoding, error) {
	if name, ok := o["encoding"]; ok {
		return encodingOf(name)
	}
	if isV1(o) && len(headers) == 0 && r.encoding != nil && r.encoding.name == "deflate" { // the one form that v1 has besides text
		return r.encoding, nil
	}
	spelled := o["path"] != "" || strings.Contains(o["query"], "compression=") || strings.Contains(o["query"], "format=") ||
		slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(h, "Sec-WebSocket-Extensions") })
	if spelled {
		return nil, nil
	}
	return r.encoding, nil
}

// upgrade makes the request of an upgrade. Without a token option the client's user gets a good one, in the query.
func (r *Runner) upgrade(name string, o map[string]string, extra []string) (path string, header http.Header, err error) {
	as := o["as"]
	if as == "" {
		as = name
	}
	token, given := o["token"]
	if !given {
		if token, err = r.good(as, o["level"], o["life"]); err != nil {
			return "", nil, err
		}
	}
	if path = o["path"]; path == "" {
		path = "/wse"
	}
	header = http.Header{"Host": {r.engine.Public}, "Upgrade": {"websocket"}, "Connection": {"Upgrade"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	query := o["query"]
	switch o["via"] {
	case "header":
		header.Set("Authorization", "Bearer "+token)
	case "cookie":
		header.Set("Cookie", "a=b; access_token="+token)
	default:
		if token != "none" {
			query = strings.TrimPrefix(query+"&token="+token, "&")
		}
	}
	if query != "" {
		path += "?" + query
	}
	for _, line := range extra {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return "", nil, fmt.Errorf("header=%q has no colon", line)
		}
		header.Set(key, strings.TrimSpace(value))
	}
	return path, header, nil
}

// isV1 reports whether a connect is to speak protocol v1: what it offers decides, then its path (PROTOCOL §1).
func isV1(o map[string]string) bool {
	if o["protocol"] != "" {
		return o["protocol"] == "wsapi.v1"
	}
	return o["path"] == "/" || o["path"] == "/ws"
}

// good makes a token of a user that is as it should be, with the permissions of a level and the life where those are named.
func (r *Runner) good(user, level, life string) (string, error) {
	o, lasts := map[string]string{}, time.Hour
	if life != "" {
		var err error
		if lasts, err = time.ParseDuration(life); err != nil {
			return "", err
		}
	}
	if level != "" {
		o["claims"] = fmt.Sprintf(`{"permission_level":%q}`, level)
	}
	return mint(r.userID(user), lasts, o)
}

// open connects and takes the greeting.
func (r *Runner) open(s Step) error {
	if err := r.connect(s); err != nil {
		return err
	}
	name, _, _ := strings.Cut(s.Rest, " ")
	if r.clients[name].v1 {
		return r.expect(Step{Rest: name + ` {"type":"status","status":"connected"}`})
	}
	return r.expect(Step{Rest: name + ` {"t":"server_ready"}`})
}

// repeat runs a step n times, with $i counting from 1.
func (r *Runner) repeat(s Step) error {
	count, rest, _ := strings.Cut(s.Rest, " ")
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	inner := Step{Line: s.Line}
	inner.Verb, inner.Rest, _ = strings.Cut(rest, " ")
	if !slices.Contains(verbs, inner.Verb) || isBlock(inner.Verb) {
		return fmt.Errorf("%q cannot be repeated", inner.Verb)
	}
	for i := range n {
		r.vars["i"] = json.Number(strconv.Itoa(i + 1))
		if err := r.step(inner); err != nil {
			return fmt.Errorf("time %d: %w", i+1, err)
		}
	}
	return nil
}

// meanwhile runs a step n times on the side. It sees the names that are known when it starts.
func (r *Runner) meanwhile(s Step) error {
	other := &Runner{engine: r.engine, encoding: r.encoding, n: r.n, vars: maps.Clone(r.vars)}
	done := make(chan error, 1)
	r.aside = append(r.aside, done)
	go func() { done <- other.repeat(s) }()
	return nil
}

// join waits for what meanwhile has started.
func (r *Runner) join(Step) error {
	var errs []error
	for _, done := range r.aside {
		errs = append(errs, <-done)
	}
	r.aside = nil
	return errors.Join(errs...)
}

// until runs a step again and again until it succeeds. It is for what happens some time after a signal, which nothing
// answers.
func (r *Runner) until(s Step) error {
	inner := Step{Line: s.Line}
	inner.Verb, inner.Rest, _ = strings.Cut(s.Rest, " ")
	if !slices.Contains(verbs, inner.Verb) || isBlock(inner.Verb) {
		return fmt.Errorf("%q cannot be repeated", inner.Verb)
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for i := 1; ; i++ {
		r.vars["i"] = json.Number(strconv.Itoa(i))
		err := r.step(inner)
		if err == nil {
			return nil
		}
		select {
		case <-timeout.C:
			return fmt.Errorf("after %d times: %w", i, err)
		case <-again.C:
		}
	}
}

// file compares a file of the engine's directory with a pattern, which may be a regular expression.
func (r *Runner) file(s Step) error {
	name, want, _ := strings.Cut(s.Rest, " ")
	name, err := r.vars.expand(name)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(r.engine.Dir, name))
	if err != nil {
		return err
	}
	return r.matchBody(want, text)
}

// write puts a file into the engine's directory, whole: nobody finds half of it.
func (r *Runner) write(s Step) error {
	text, err := contents(s.Rest, s.Body)
	if err != nil {
		return err
	}
	path := filepath.Join(r.engine.Dir, filepath.Base(s.Rest))
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
