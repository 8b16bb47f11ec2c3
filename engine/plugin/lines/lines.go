// Package lines tells the source line of a place in a rewritten module's code, for the traces of traps.
//
// A module's own debug information speaks of the code as its compiler made it, and the rewriter moves every instruction;
// nor may it come near the engine, since reading DWARF is work that a hostile module can make large. So [Build] reads it
// where a module is compiled, in a process of its own under limits, and makes of it a table of its own form that knows
// the rewritten code: an address, a file, a line. The engine reads that table when there is a trap to tell of, and not
// before. Debug information that is damaged, or too much, gives no table or a shorter one, and refuses nothing.
//
// Ownership: Build and Parse are pure functions; a [Table] is immutable and safe for concurrent use.
package lines

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
)

// The limits of a table, which bound what a trace costs: a search of rows and a walk over the inlined calls for each of
// its frames.
const (
	rowsMax      = 1 << 18
	inlinedMax   = 1 << 15
	textsMax     = 1<<16 - 1
	textBytesMax = 256 // of one path or name
	// TableBytesMax bounds a table as [Build] writes it.
	TableBytesMax = 8 << 20
)

const magic = "wse lines 1\n"

// ErrTable is returned by [Parse] for what is no table.
var ErrTable = errors.New("no table of lines")

// Place is a place in a source file. Function is the name of the inlined function it lies in, or empty where it is the
// one that the frame names.
type Place struct {
	Function     string
	File         string
	Line, Column int
}

// String writes the place as compilers do.
func (p Place) String() string {
	out := p.File
	if p.Line > 0 {
		out += fmt.Sprintf(":%d", p.Line)
		if p.Column > 0 {
			out += fmt.Sprintf(":%d", p.Column)
		}
	}
	if p.Function != "" {
		out += " (" + p.Function + ", inlined)"
	}
	return out
}

// row says where the code from pc on comes from; file 0 is nowhere.
type row struct {
	pc, line     uint32
	file, column uint16
}

// inlined is a call that the compiler replaced by the function called. depth orders calls inside each other.
type inlined struct {
	from, to   uint32
	depth      uint32
	name, file uint16
	line       uint32
	column     uint16
}

// Table finds the source of code. The zero Table knows nothing.
type Table struct {
	texts   []string // the first is empty
	rows    []row
	inlined []inlined
}

// Find returns the place of the instruction at pc, an offset in the code section's content, and behind it the calls that
// led there as far as they were inlined, innermost first. Nil where nothing is known.
func (t *Table) Find(pc uint32) []Place {
	i := sort.Search(len(t.rows), func(i int) bool { return t.rows[i].pc > pc }) - 1
	if i < 0 || t.rows[i].file == 0 {
		return nil
	}
	var calls []inlined
	for _, c := range t.inlined {
		if c.from <= pc && pc < c.to {
			calls = append(calls, c)
		}
	}
	slices.SortFunc(calls, func(a, b inlined) int { return int(b.depth) - int(a.depth) })
	r := t.rows[i]
	out := []Place{{File: t.texts[r.file], Line: int(r.line), Column: int(r.column)}}
	for _, c := range calls {
		out[len(out)-1].Function = t.texts[c.name]
		out = append(out, Place{File: t.texts[c.file], Line: int(c.line), Column: int(c.column)})
	}
	return out
}

// bytes writes the table.
func (t *Table) bytes() []byte {
	out := binary.AppendUvarint([]byte(magic), uint64(len(t.texts)))
	for _, s := range t.texts {
		out = append(binary.AppendUvarint(out, uint64(len(s))), s...)
	}
	out = binary.AppendUvarint(out, uint64(len(t.rows)))
	for _, r := range t.rows {
		out = appendAll(out, r.pc, uint32(r.file), r.line, uint32(r.column))
	}
	out = binary.AppendUvarint(out, uint64(len(t.inlined)))
	for _, c := range t.inlined {
		out = appendAll(out, c.from, c.to, c.depth, uint32(c.name), uint32(c.file), c.line, uint32(c.column))
	}
	return out
}

func appendAll(out []byte, values ...uint32) []byte {
	for _, v := range values {
		out = binary.AppendUvarint(out, uint64(v))
	}
	return out
}

// Parse reads what [Build] wrote. Of anything else it makes an error that wraps [ErrTable].
func Parse(data []byte) (*Table, error) {
	if len(data) < len(magic) || string(data[:len(magic)]) != magic || len(data) > TableBytesMax {
		return nil, ErrTable
	}
	p := parser{rest: data[len(magic):]}
	t := &Table{}
	for range p.number(textsMax + 1) {
		n := p.number(textBytesMax)
		if int(n) > len(p.rest) {
			p.bad = true
			break
		}
		t.texts = append(t.texts, string(p.rest[:n]))
		p.rest = p.rest[n:]
	}
	known := uint64(max(len(t.texts), 1) - 1)
	for i := p.number(rowsMax); i > 0 && !p.bad; i-- {
		t.rows = append(t.rows, row{pc: p.word(), file: uint16(p.number(known)), line: p.word(), column: uint16(p.number(1<<16 - 1))})
	}
	for i := p.number(inlinedMax); i > 0 && !p.bad; i-- {
		t.inlined = append(t.inlined, inlined{from: p.word(), to: p.word(), depth: p.word(), name: uint16(p.number(known)),
			file: uint16(p.number(known)), line: p.word(), column: uint16(p.number(1<<16 - 1))})
	}
	sorted := slices.IsSortedFunc(t.rows, func(a, b row) int { return int(int64(a.pc) - int64(b.pc)) })
	if p.bad || len(p.rest) > 0 || !sorted {
		return nil, ErrTable
	}
	return t, nil
}

// parser reads numbers. The first fault turns all further ones into zeros.
type parser struct {
	rest []byte
	bad  bool
}

func (p *parser) number(most uint64) uint64 {
	v, n := binary.Uvarint(p.rest)
	if p.bad || n <= 0 || v > most {
		p.bad = true
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *parser) word() uint32 { return uint32(p.number(1<<32 - 1)) }
