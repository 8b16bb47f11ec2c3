package scenario

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// File is one scenario file: what the engine is started with, and the scenarios that are run against it in order.
type File struct {
	Name      string
	Settings  []string          // key=value, for --set
	TLS       bool              // the engine serves TLS, with a certificate made for it
	Forms     []string          // of messages, in which it is played; nil: in all
	Files     map[string]string // by name, put into the engine's directory before it starts; wse.yaml is its config
	Fixtures  []string          // files of the scenarios' testdata that are put there too
	Alone     bool              // what it shows is of one node that keeps its topics itself
	Scenarios []*Scenario
}

// silent is the form of clients that ask for none: they get text, and large payloads compressed.
const silent = "none"

// In reports whether the file is played in a form.
func (f *File) In(form string) bool { return f.Forms == nil || slices.Contains(f.Forms, form) }

// Scenario is a list of steps with a title.
type Scenario struct {
	Title string
	Line  int
	Steps []Step
}

// Step is one line.
type Step struct {
	Line int
	Verb string
	Rest string // what follows the verb
	Body string // the lines of a here-document or block
}

// verbs are what a step may begin with. It is read-only.
var verbs = []string{"user", "token", "connect", "open", "send", "send-binary", "send-deflated", "send-as",
	"frame", "raw", "hello", "forge", "expect", "expect-as", "expect-raw", "expect-close", "await", "await-close", "stall",
	"resume", "pad", "expect-eof", "no-more", "close", "drop", "mute", "lag", "publish", "event", "post", "get",
	"delete", "public", "hand", "run", "reload", "signal", "exit", "repeat", "until", "meanwhile", "join",
	"sequence", "write", "unordered", "ask", "tick", "restart", "file"}

// directives are what is said of a whole file. It is read-only.
var directives = []string{"set", "tls", "once", "forms", "fixture", "alone"}

// isBlock reports whether lines up to "end" belong to a step.
func isBlock(verb string) bool { return verb == "write" || verb == "unordered" }

// contents is a file as it is written from its lines: as they are, or where its name ends in .wasm the bytes that they hold
// in hexadecimal, with # before comments.
func contents(name, body string) ([]byte, error) {
	if !strings.HasSuffix(name, ".wasm") {
		return []byte(body), nil
	}
	var digits strings.Builder
	for line := range strings.Lines(body) {
		line, _, _ = strings.Cut(line, "#")
		for _, part := range strings.Fields(line) {
			digits.WriteString(part)
		}
	}
	return hex.DecodeString(digits.String())
}

// Parse reads a scenario file. The error names the file and the line.
func Parse(name string, r io.Reader) (*File, error) {
	f := &File{Name: name, Files: map[string]string{}}
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for line := 1; in.Scan(); line++ {
		text := strings.TrimSpace(in.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		step := Step{Line: line}
		step.Verb, step.Rest, _ = strings.Cut(text, " ")
		step.Rest = strings.TrimSpace(step.Rest)
		if isBlock(step.Verb) {
			body, lines, ok := block(in)
			if !ok {
				return nil, fmt.Errorf("scenario: %s:%d: %s has no end", name, line, step.Verb)
			}
			step.Body = body
			line += lines
		}
		if err := f.add(step); err != nil {
			return nil, fmt.Errorf("scenario: %s:%d: %w", name, step.Line, err)
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("scenario: %s: %w", name, err)
	}
	if len(f.Scenarios) == 0 {
		return nil, fmt.Errorf("scenario: %s: holds no scenario", name)
	}
	return f, nil
}

// block reads lines up to one that says end.
func block(in *bufio.Scanner) (body string, lines int, ok bool) {
	var b strings.Builder
	for in.Scan() {
		lines++
		if strings.TrimSpace(in.Text()) == "end" {
			return b.String(), lines, true
		}
		b.WriteString(in.Text())
		b.WriteByte('\n')
	}
	return "", lines, false
}

func (f *File) add(s Step) error {
	switch {
	case slices.Contains(directives, s.Verb) && len(f.Scenarios) > 0:
		return fmt.Errorf("%s belongs before the first scenario", s.Verb)
	case s.Verb == "set":
		f.Settings = append(f.Settings, s.Rest)
		return nil
	case s.Verb == "tls":
		f.TLS = true
		return nil
	case s.Verb == "once":
		f.Forms = []string{silent}
		return nil
	case s.Verb == "alone":
		f.Alone = true
		return nil
	case s.Verb == "forms":
		f.Forms = strings.Fields(s.Rest)
		return nil
	case s.Verb == "fixture":
		f.Fixtures = append(f.Fixtures, strings.Fields(s.Rest)...)
		return nil
	case s.Verb == "scenario":
		if s.Rest == "" {
			return fmt.Errorf("a scenario needs a title")
		}
		f.Scenarios = append(f.Scenarios, &Scenario{Title: s.Rest, Line: s.Line})
		return nil
	case s.Verb == "write" && len(f.Scenarios) == 0:
		f.Files[s.Rest] = s.Body
		return nil
	case !slices.Contains(verbs, s.Verb):
		return fmt.Errorf("no step is called %q", s.Verb)
	case len(f.Scenarios) == 0:
		return fmt.Errorf("%s stands before the first scenario", s.Verb)
	}
	last := f.Scenarios[len(f.Scenarios)-1]
	last.Steps = append(last.Steps, s)
	return nil
}

// words splits text at spaces. A word may hold a part in double quotes, written as in Go, as in payload="a\x00 b".
func words(text string) (out []string, err error) {
	for text = strings.TrimLeft(text, " "); text != ""; text = strings.TrimLeft(text, " ") {
		var word strings.Builder
		for text != "" && text[0] != ' ' {
			if text[0] != '"' {
				word.WriteByte(text[0])
				text = text[1:]
				continue
			}
			quoted, err := strconv.QuotedPrefix(text)
			if err != nil {
				return nil, fmt.Errorf("a quoted part does not end: %s", text)
			}
			part, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, err
			}
			word.WriteString(part)
			text = text[len(quoted):]
		}
		out = append(out, word.String())
	}
	return out, nil
}

// options reads words of the form key=value. Only the keys named are allowed.
func options(list []string, allowed ...string) (map[string]string, error) {
	out := make(map[string]string)
	for _, word := range list {
		key, value, ok := strings.Cut(word, "=")
		if !ok || !slices.Contains(allowed, key) {
			return nil, fmt.Errorf("%q is not one of %s=…", word, strings.Join(allowed, "=… "))
		}
		out[key] = value
	}
	return out, nil
}
