package lines

import (
	"cmp"
	"debug/dwarf"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wse-engine/wse/engine/plugin/meter"
	"github.com/wse-engine/wse/engine/plugin/scan"
)

// Sections returns the debug sections of a module by their names, or nil where it has none that say anything of lines.
func Sections(wasm []byte, m *scan.Module) map[string][]byte {
	out := map[string][]byte{}
	for _, s := range m.Sections {
		if s.ID == scan.SectionCustom && strings.HasPrefix(s.Name, ".debug_") && out[s.Name] == nil {
			content := wasm[s.Content:s.End]
			at := strings.Index(string(content[:min(len(content), len(s.Name)+5)]), s.Name) // behind its length
			out[s.Name] = content[at+len(s.Name):]
		}
	}
	if len(out[".debug_info"]) == 0 || len(out[".debug_abbrev"]) == 0 || len(out[".debug_line"]) == 0 {
		return nil
	}
	return out
}

// Build reads debug information and returns a table for the code that moves leads to, or nil where there is nothing to
// say. It reads until all is read, a limit is reached or stop says so, which it asks at every unit and row; what it has
// by then counts.
func Build(sections map[string][]byte, moves *meter.Moves, stop func() bool) (table []byte) {
	b := &builder{stop: stop, texts: map[string]uint16{"": 0}, t: Table{texts: []string{""}}, moves: moves}
	defer func() {
		if recover() != nil { // the standard library's reader, on something it did not expect
			table = nil
		}
	}()
	b.read(sections)
	b.place()
	if len(b.t.rows) == 0 {
		return nil
	}
	if table = b.t.bytes(); len(table) > TableBytesMax {
		return nil
	}
	return table
}

// builder collects what units say, at first with the addresses of the original code.
type builder struct {
	t     Table
	texts map[string]uint16
	moves *meter.Moves
	stop  func() bool
	dir   string // of the unit's compilation
	files []*dwarf.LineFile
	depth uint32
}

func (b *builder) read(sections map[string][]byte) {
	d, err := dwarf.New(sections[".debug_abbrev"], nil, nil, sections[".debug_info"], sections[".debug_line"], nil,
		sections[".debug_ranges"], sections[".debug_str"])
	if err != nil {
		return
	}
	for _, name := range []string{".debug_addr", ".debug_line_str", ".debug_str_offsets", ".debug_rnglists"} {
		if data, ok := sections[name]; ok && d.AddSection(name, data) != nil {
			return
		}
	}
	for r := d.Reader(); !b.stop(); {
		e, err := r.Next()
		if err != nil || e == nil {
			return
		}
		switch e.Tag {
		case 0:
			b.depth -= min(b.depth, 1)
		case dwarf.TagCompileUnit:
			b.depth = 0
			b.unit(d, e)
		case dwarf.TagInlinedSubroutine:
			b.call(d, e)
		}
		if e.Children {
			b.depth++
		}
	}
}

// unit reads the line table of a compilation unit.
func (b *builder) unit(d *dwarf.Data, e *dwarf.Entry) {
	b.dir, _ = e.Val(dwarf.AttrCompDir).(string)
	b.files = nil
	lr, err := d.LineReader(e)
	if err != nil || lr == nil {
		return
	}
	b.files = lr.Files()
	var seq []row
	var le dwarf.LineEntry
	for !b.stop() && len(b.t.rows)+len(seq) < rowsMax/2 {
		if err := lr.Next(&le); err != nil {
			if errors.Is(err, io.EOF) {
				b.files = lr.Files()
			}
			return
		}
		r := row{pc: uint32(min(le.Address, 1<<32-1)), line: uint32(max(le.Line, 0)), column: uint16(max(min(le.Column, 1<<16-1), 0))}
		if !le.EndSequence {
			r.file = b.file(le.File)
			seq = append(seq, r)
			continue
		}
		// A linker leaves the lines of functions that it dropped, at address 0 or far outside.
		if len(seq) > 0 && b.moves.Inside(seq[0].pc) {
			b.t.rows = append(append(b.t.rows, row{pc: r.pc}), seq...)
		}
		seq = seq[:0]
	}
}

// call reads one inlined call.
func (b *builder) call(d *dwarf.Data, e *dwarf.Entry) {
	ranges, err := d.Ranges(e)
	if err != nil {
		return
	}
	index, _ := e.Val(dwarf.AttrCallFile).(int64)
	if index < 0 || index >= int64(len(b.files)) {
		return
	}
	line, _ := e.Val(dwarf.AttrCallLine).(int64)
	column, _ := e.Val(dwarf.AttrCallColumn).(int64)
	c := inlined{depth: b.depth, name: b.text(nameOf(d, e)), file: b.file(b.files[index]), line: uint32(line), column: uint16(column)}
	for _, r := range ranges {
		if len(b.t.inlined) < inlinedMax && r[0] < r[1] && r[1] < 1<<32 && b.moves.Inside(uint32(r[0])) {
			c.from, c.to = uint32(r[0]), uint32(r[1])
			b.t.inlined = append(b.t.inlined, c)
		}
	}
}

// nameOf follows an inlined call to the function that it is of.
func nameOf(d *dwarf.Data, e *dwarf.Entry) string {
	for range 4 {
		if name, ok := e.Val(dwarf.AttrName).(string); ok {
			return name
		}
		at, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset)
		if !ok {
			if at, ok = e.Val(dwarf.AttrSpecification).(dwarf.Offset); !ok {
				break
			}
		}
		r := d.Reader()
		r.Seek(at)
		next, err := r.Next()
		if err != nil || next == nil {
			break
		}
		e = next
	}
	return "?"
}

// file is the text of a path, relative to where the unit was compiled if it lies there.
func (b *builder) file(f *dwarf.LineFile) uint16 {
	if f == nil {
		return 0
	}
	name := path.Clean(strings.ReplaceAll(f.Name, `\`, "/"))
	if b.dir != "" {
		if rest, ok := strings.CutPrefix(name, path.Clean(b.dir)+"/"); ok {
			name = rest
		}
	}
	return b.text(name)
}

// text returns the number of a text, of which it keeps what can be printed, and at most the end.
func (b *builder) text(s string) uint16 {
	if n, ok := b.texts[s]; ok {
		return n
	}
	if len(b.t.texts) > textsMax {
		return 0
	}
	clean := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(clean) > textBytesMax {
		clean = "…" + strings.ToValidUTF8(clean[len(clean)-textBytesMax+len("…"):], "")
	}
	b.t.texts = append(b.t.texts, clean)
	n := uint16(len(b.t.texts) - 1)
	b.texts[s] = n
	return n
}

// place turns the addresses of rows and calls into those of the rewritten code, function by function, so that no
// function takes the lines of the one before it. The shared trap at a function's end, which is where one that runs out
// of fuel stops, gets the function's first line.
func (b *builder) place() {
	old := b.t.rows
	b.t.rows = nil
	slices.SortStableFunc(old, func(a, b row) int { // the end of one run of lines before the begin of another
		return cmp.Or(cmp.Compare(a.pc, b.pc), cmp.Compare(min(a.file, 1), min(b.file, 1)))
	})
	for _, f := range b.moves.Funcs {
		from, _ := slices.BinarySearchFunc(old, f.Old, func(r row, pc uint32) int { return cmp.Compare(r.pc, pc) })
		to, _ := slices.BinarySearchFunc(old, f.OldEnd, func(r row, pc uint32) int { return cmp.Compare(r.pc, pc) })
		b.function(f, old[from:to])
	}
	if len(b.t.rows) > rowsMax || len(old) == 0 {
		b.t.rows = nil
	}
	for i := range b.t.inlined {
		c := &b.t.inlined[i]
		c.from, c.to = b.moves.New(c.from), b.moves.New(c.to)
	}
}

// function places the rows of one function; what stands before its first row, the charge at its entry, belongs to that.
func (b *builder) function(f meter.FuncMove, old []row) {
	first, at := row{}, len(b.t.rows)
	b.t.rows = append(b.t.rows, first)
	for _, r := range old {
		if r.pc = b.moves.New(r.pc); r.pc >= f.Tail {
			continue
		}
		b.t.rows = append(b.t.rows, r)
		if first.file == 0 {
			first = r
		}
	}
	b.t.rows[at], b.t.rows[at].pc = first, f.New
	first.pc = f.Tail
	b.t.rows = append(b.t.rows, first)
}
