package plugin

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/wse-engine/wse/engine/plugin/lines"
)

// The parts of a trap's text, in bytes.
const (
	reasonBytesMax = 512
	stackBytesMax  = 2048
	saidBytesMax   = 2048 // the last that a guest printed or logged in the call
)

// trapped tells an empty tank, which held budget, from any other trap.
func (in *instance) trapped(err error, budget int64) *fault {
	t := in.trap(err)
	if int64(in.fuel.Get()) < 0 {
		t.reason = fmt.Sprintf("used more than %d units", budget)
		return &fault{OutOfFuel, t.text()}
	}
	return &fault{Trap, t.text()}
}

// initError is trapped for what comes before the first call.
func (in *instance) initError(err error) error {
	t := in.trap(err)
	if in.fuel != nil && int64(in.fuel.Get()) < 0 {
		t.reason = fmt.Sprintf("used more than fuel_init = %d", in.version.cfg.Limits.FuelInit)
	}
	return errors.New(t.text())
}

// trap is what is known of a call that ended badly.
type trap struct {
	reason string
	where  string // the innermost function and its place; empty where the reason says it all
	stack  string // as many lines, each begins with a tab
	said   string // the same, of what the guest printed
}

// text is the reason and where it happened on one line, then the stack, then what the guest said.
func (t trap) text() string {
	out := t.reason
	if t.where != "" {
		out += " in " + t.where
	}
	out += "\n" + t.stack
	if t.said != "" {
		out += "the guest said:\n" + t.said
	}
	return strings.TrimSpace(strings.ToValidUTF8(out, string(utf8.RuneError)))
}

// trap takes the runtime's error apart: its reason, and a stack whose places it looks up in the module's lines. What a
// language's runtime printed before it gave up says more than the instruction it gave up with.
func (in *instance) trap(err error) (t trap) {
	const label = "\nwasm stack trace:\n"
	reason, stack, _ := strings.Cut(err.Error(), label)
	reason = strings.TrimSuffix(strings.TrimPrefix(reason, "wasm error: "), " (recovered by wazero)")
	var stopped *guestStop
	own := errors.As(err, &stopped)
	if own {
		reason = stopped.reason
	}
	t.stack, t.where = in.frames(stack)
	if own {
		t.where = ""
	}
	t.reason = printable([]byte(reason), reasonBytesMax)
	t.said = in.heard()
	if in.dying {
		words, rest, _ := strings.Cut(strings.TrimSpace(t.said), "\n")
		if strings.HasSuffix(words, ":") { // Rust's message stands on a line of its own
			message, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
			words += " " + message
		}
		t.reason, t.where = printable([]byte(words), reasonBytesMax)+" ("+t.reason+")", ""
	}
	return t
}

// frames rewrites a stack: one line a function, innermost first, and under it the lines of its source.
func (in *instance) frames(stack string) (out, where string) {
	stack, _, _ = strings.Cut(stack, "\n\n") // behind it stands the engine's own stack
	var b strings.Builder
	for line := range strings.Lines(stack) {
		line = printable([]byte(strings.TrimLeft(strings.TrimSuffix(line, "\n"), "\t")), reasonBytesMax)
		if b.Len()+len(line) > stackBytesMax {
			b.WriteString("\t…\n")
			break
		}
		places, isPlace := in.places(line)
		switch {
		case !isPlace:
			name := strings.TrimPrefix(line, in.version.compiled.prefix())
			if where == "" {
				where = withoutTypes(name)
			}
			b.WriteString("\t" + name + "\n")
		case len(places) > 0:
			if strings.Count(b.String(), "\n") == 1 {
				where += " at " + places[0].String()
			}
			for _, p := range places {
				b.WriteString("\t\t" + p.String() + "\n")
			}
		}
	}
	return b.String(), where
}

// places looks up the offset that the runtime gives for a frame, a line like "0x1c8: wse:1"; see meter.Options.Offsets.
func (in *instance) places(line string) (found []lines.Place, isPlace bool) {
	offset, isPlace := strings.CutPrefix(line, "0x")
	offset, rest, ok := strings.Cut(offset, ": ")
	if !isPlace || !ok || rest != "wse:1" {
		return nil, false
	}
	pc, err := strconv.ParseUint(offset, 16, 32)
	if err != nil {
		return nil, false
	}
	return in.version.compiled.lines().Find(uint32(pc)), true
}

// withoutTypes cuts the parameters and results off a frame's function.
func withoutTypes(frame string) string {
	if i := strings.LastIndex(frame, ") ("); i > 0 { // more results than one
		frame = frame[:i]
	}
	if i := strings.LastIndexByte(frame, '('); i > 0 {
		frame = frame[:i]
	}
	return frame
}

// hear keeps the last that a guest says in a call, for the case that it ends badly; once it says why it does, that and
// what follows.
func (in *instance) hear(line []byte) {
	line = line[:min(len(line), saidBytesMax/2)]
	if !in.dying && lastWords(line) {
		in.dying, in.said = true, in.said[:0]
	}
	if over := len(in.said) + len(line) + 1 - saidBytesMax; over > 0 {
		if in.dying {
			return
		}
		cut := over + bytes.IndexByte(in.said[over:], '\n') + 1 // to a line's begin
		in.said = append(in.said[:0], in.said[cut:]...)
	}
	in.said = append(append(in.said, line...), '\n')
}

// lastWordsBytes is how far into a line lastWords looks: the guest pays for the line and not for what is searched in it
// (BenchmarkHostWork).
const lastWordsBytes = 256

// lastWords reports whether this is how the runtime of Go, TinyGo or Rust begins to explain why it ends.
func lastWords(line []byte) bool {
	line = line[:min(len(line), lastWordsBytes)]
	return bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: ")) ||
		bytes.HasPrefix(line, []byte("panicked at ")) || bytes.HasPrefix(line, []byte("thread ")) && bytes.Contains(line, []byte(" panicked at "))
}

// heard returns what the guest said in this call, with what it did not end.
func (in *instance) heard() string {
	for _, rest := range in.printed {
		if len(rest) > 0 {
			in.hear(rest)
		}
	}
	var out strings.Builder
	for line := range bytes.Lines(in.said) {
		if text := printable(line, saidBytesMax); text != "" {
			out.WriteString("\t" + text + "\n")
		}
	}
	return out.String()
}
