package plugin

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/wse-engine/wse/engine/jsonscan"
)

// Bounds of a diff. A plugin may answer megabytes; what an operator reads is this much of them.
const (
	diffBytes     = 16 << 10
	diffLines     = 4000 // of one side, compared
	diffTable     = 600  // lines of one side that are matched with those of the other; more are shown as replaced
	diffLineBytes = 400  // of one line, shown
	diffContext   = 3    // lines that are the same round those that are not
)

// line is a line of a document as it is compared: a member, an element, or a bracket.
type line struct {
	text string
	in   string // the path of the object or array that it belongs to
}

// unified is the difference between what two versions said to hook h, as a unified diff. Documents are compared by their
// meaning, a line for each member.
func unified(from, to string, h hook, serving, candidate *heard) string {
	a, b := printed(h, serving), printed(h, candidate)
	if h == hookTransform {
		a, b = unwrap(a, b)
	}
	w := diffWriter{}
	w.out.WriteString("--- " + from + "\n+++ " + to + "\n")
	w.hunks(changes(a.lines(), b.lines()))
	return w.out.String()
}

// printable form of an answer: a JSON document in normal form, or a text.
type printing struct {
	doc  []byte
	text string
}

func printed(h hook, s *heard) printing {
	switch {
	case !s.answered():
		return printing{text: s.outcome.String() + ": " + s.text}
	case h == hookTransform && s.outcome == OutcomeNo:
		return printing{text: "no: the event is dropped"}
	case h == hookTransform && s.outcome == OutcomeYes:
		return printing{text: "yes: left to the next plugin"}
	}
	doc := meaning(h, s)
	if jsonscan.Valid(doc, jsonscan.DepthMax) != nil {
		return printing{text: string(doc)}
	}
	return printing{doc: doc}
}

// unwrap takes single envelopes out of their arrays, unless the other side has several.
func unwrap(a, b printing) (printing, printing) {
	single := func(p printing) []byte {
		it := jsonscan.Elements(p.doc)
		if !it.Next() {
			return nil
		}
		only := it.Value()
		if it.Next() {
			return nil
		}
		return only
	}
	one, other := single(a), single(b)
	if (one != nil || a.doc == nil) && (other != nil || b.doc == nil) {
		a.doc, b.doc = one, other
	}
	return a, b
}

func (p printing) lines() []line {
	l := lister{}
	if p.doc == nil {
		for text := range strings.SplitSeq(p.text, "\n") {
			l.add("", text)
		}
		return l.lines
	}
	if jsonscan.KindOf(p.doc) == jsonscan.KindObject && len(p.doc) > len("{}") {
		l.members(p.doc, "", 0)
	} else {
		l.value("", p.doc, "", "", 0)
	}
	return l.lines
}

// lister writes JSON in normal form as lines, without commas: they would be differences of their own.
type lister struct{ lines []line }

func (l *lister) add(in, text string) {
	switch n := len(l.lines); {
	case n < diffLines:
		l.lines = append(l.lines, line{text, in})
	case n == diffLines:
		l.lines = append(l.lines, line{text: "… and more"})
	}
}

func (l *lister) full() bool { return len(l.lines) > diffLines }

func (l *lister) members(raw []byte, path string, depth int) {
	it := jsonscan.Members(raw)
	for !l.full() && it.Next() {
		name := string(jsonscan.AppendQuoted(nil, string(it.Key()))) + ": "
		inner := string(it.Key())
		if path != "" {
			inner = path + "." + inner
		}
		l.value(name, it.Value(), path, inner, depth)
	}
}

// value adds a value that is called name and lies in the object or array of path in; path is its own.
func (l *lister) value(name string, raw []byte, in, path string, depth int) {
	indent := strings.Repeat("  ", depth)
	kind := jsonscan.KindOf(raw)
	if kind != jsonscan.KindObject && kind != jsonscan.KindArray || len(raw) == len("{}") {
		l.add(in, indent+name+string(raw))
		return
	}
	l.add(in, indent+name+string(raw[0]))
	if kind == jsonscan.KindObject {
		l.members(raw, path, depth+1)
	} else {
		it := jsonscan.Elements(raw)
		for i := 0; !l.full() && it.Next(); i++ {
			l.value("", it.Value(), path, path+"["+strconv.Itoa(i)+"]", depth+1)
		}
	}
	l.add(in, indent+string(raw[len(raw)-1]))
}

// change is a line of a diff: of both sides, of the first only (-) or of the second only (+).
type change struct {
	sign byte // ' ', '-' or '+'
	line
}

// changes turns a into b. What the beginnings and the ends share is set aside; what remains is matched by the longest common
// subsequence, if it is not too much.
func changes(a, b []line) []change {
	var head, tail []change
	for len(a) > 0 && len(b) > 0 && a[0].text == b[0].text {
		head = append(head, change{' ', b[0]})
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1].text == b[len(b)-1].text {
		tail = append(tail, change{' ', b[len(b)-1]})
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	out := head
	if len(a) <= diffTable && len(b) <= diffTable {
		out = matched(out, a, b)
	} else {
		out = replaced(out, a, b)
	}
	for i := len(tail) - 1; i >= 0; i-- {
		out = append(out, tail[i])
	}
	return out
}

func replaced(out []change, a, b []line) []change {
	for _, l := range a {
		out = append(out, change{'-', l})
	}
	for _, l := range b {
		out = append(out, change{'+', l})
	}
	return out
}

// matched appends the fewest changes that turn a into b.
func matched(out []change, a, b []line) []change {
	width := len(b) + 1
	longest := make([]uint16, (len(a)+1)*width) // [i*width+j]: lines that a[i:] and b[j:] have in common
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i].text == b[j].text {
				longest[i*width+j] = longest[(i+1)*width+j+1] + 1
			} else {
				longest[i*width+j] = max(longest[(i+1)*width+j], longest[i*width+j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i].text == b[j].text:
			out = append(out, change{' ', b[j]})
			i, j = i+1, j+1
		case longest[(i+1)*width+j] >= longest[i*width+j+1]:
			out = append(out, change{'-', a[i]})
			i++
		default:
			out = append(out, change{'+', b[j]})
			j++
		}
	}
	return replaced(out, a[i:], b[j:])
}

// diffWriter writes changes as hunks.
type diffWriter struct {
	out  strings.Builder
	a, b int // lines of each side that were passed
}

func (w *diffWriter) hunks(all []change) {
	for i := 0; i < len(all); {
		if all[i].sign == ' ' {
			w.pass(all[i])
			i++
			continue
		}
		begin, end := max(i-diffContext, 0), i
		for quiet := 0; end < len(all) && quiet <= 2*diffContext; end++ {
			if quiet++; all[end].sign != ' ' {
				quiet = 0
			}
		}
		for end > i && all[end-1].sign == ' ' {
			end--
		}
		hunk := all[begin:min(end+diffContext, len(all))]
		w.a, w.b = w.a-(i-begin), w.b-(i-begin)
		if !w.hunk(hunk) {
			return
		}
		i = begin + len(hunk)
	}
}

func (w *diffWriter) pass(c change) {
	if c.sign != '+' {
		w.a++
	}
	if c.sign != '-' {
		w.b++
	}
}

// hunk writes lines that stand together, and returns false where there is no more room.
func (w *diffWriter) hunk(hunk []change) bool {
	a, b := w.a, w.b
	for _, c := range hunk {
		w.pass(c)
	}
	fmt.Fprintf(&w.out, "@@ -%s +%s @@%s\n", span(a, w.a), span(b, w.b), where(hunk))
	for i, c := range hunk {
		text := fit(c.text, apart(hunk, i))
		if w.out.Len()+len(text) > diffBytes {
			fmt.Fprintf(&w.out, "… and more, at most %d KiB are shown\n", diffBytes>>10)
			return false
		}
		w.out.WriteString(string(c.sign) + " " + text + "\n")
	}
	return true
}

// span is the lines from a to b as a hunk's heading names them.
func span(a, b int) string {
	if a == b {
		return strconv.Itoa(a) + ",0"
	}
	return strconv.Itoa(a+1) + "," + strconv.Itoa(b-a)
}

// where names the object or array that a hunk's first change lies in.
func where(hunk []change) string {
	for _, c := range hunk {
		if c.sign != ' ' && c.in != "" {
			return " " + fit(c.in, 0)
		} else if c.sign != ' ' {
			break
		}
	}
	return ""
}

// apart returns where line i of a hunk begins to differ from the one that it replaces or that replaces it: the line of the
// other sign next to it.
func apart(hunk []change, i int) int {
	other := 0
	switch {
	case hunk[i].sign == '-' && i+1 < len(hunk) && hunk[i+1].sign == '+':
		other = i + 1
	case hunk[i].sign == '+' && i > 0 && hunk[i-1].sign == '-':
		other = i - 1
	default:
		return 0
	}
	x, y := hunk[i].text, hunk[other].text
	n := 0
	for n < min(len(x), len(y)) && x[n] == y[n] {
		n++
	}
	return n
}

// fit cuts a long line so that what stands at index at can be seen.
func fit(text string, at int) string {
	if len(text) <= diffLineBytes {
		return clean(text)
	}
	head, tail := "", ""
	if at > diffLineBytes/2 {
		cut := min(at-diffLineBytes/8, len(text)-diffLineBytes/2)
		head, text = text[:diffLineBytes/4]+"…", text[cut:]
	}
	if room := diffLineBytes - len(head); len(text) > room {
		tail = fmt.Sprintf("… (%d bytes more)", len(text)-room)
		text = text[:room]
	}
	return clean(head + text + tail)
}
