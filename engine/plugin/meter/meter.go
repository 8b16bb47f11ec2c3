// Package meter rewrites a WebAssembly module so that it pays for what it executes. The rewritten module has one more
// global, the fuel, exported as [Export]; every straight-line piece of code subtracts its price before it runs, and a
// subtraction that ends below zero traps. The host sets the fuel before a call and reads it afterwards. Nothing else
// that runs changes: function, type, table and global indexes stay what they were, so that the name section of the
// original still fits. Custom sections other than that one are left out: debug information speaks of places in the code
// that are elsewhere now, and of the rest nobody reads anything.
//
// Where pieces are charged. A body is cut into straight-line pieces at its branches. Paying for a piece earlier than it
// runs is always sound as long as the paying place is passed at least as often: it dominates the piece and lies in the
// same loop turn. So a piece is added to the charge of the piece that dominates it while the pieces that ride along
// like this cost no more than foldMax together; beyond that, at every loop header, and at a function's entry, a charge
// of its own is made. A guest never pays less than it executes, and at most foldMax more for each charge it passes.
// The price of a run is therefore a function of the module and its input alone.
//
// Why not a deadline: with one, the runtime checks the context only at function entries and loop headers, at a price of
// a microsecond and allocations per call and of many times that in loops, and recursion escapes it; without one, a
// looping guest cannot be stopped at all, and the next garbage collection hangs the process.
//
// Ownership: Rewrite is a pure function.
package meter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/wse-engine/wse/engine/plugin/scan"
)

// Export is the name under which the fuel global leaves the module. Guests may not export a name with this prefix.
const Export = "wse:fuel"

// ErrExport is returned for a module that exports a name which the host keeps for itself.
var ErrExport = errors.New("exports a name that begins with wse:, which the host keeps for itself")

// Options are what the host clamps while it rewrites.
type Options struct {
	// Fuel is the global's initial value: what the start function may use, before the host can set anything.
	Fuel int64
	// MemoryPagesMax and TableElementsMax replace larger or missing maxima. Minima above them are for the scan to
	// refuse.
	MemoryPagesMax   uint32
	TableElementsMax uint32
	// Offsets makes wazero tell the place of each frame of a trap, as an offset in the rewritten code section. It costs
	// loading the module eight bytes, and two reads of a file, for each instruction that can trap.
	Offsets bool
	// Moves, where it is not nil, is told where all code went.
	Moves *Moves

	trapInPlace bool // for BenchmarkTrapForm: "if unreachable end" at each charge
	each        bool // for tests: every instruction pays for itself, when it runs
}

// Rewrite returns the metered form of wasm, whose shape m is. The same input gives the same bytes.
func Rewrite(wasm []byte, m *scan.Module, limits scan.Limits, opt Options) ([]byte, error) {
	for _, e := range m.Exports {
		if strings.HasPrefix(e.Name, "wse:") {
			return nil, fmt.Errorf("%w: %q", ErrExport, e.Name)
		}
	}
	w := &rewriter{wasm: wasm, m: m, limits: limits, opt: opt, fuel: uint32(len(m.Globals))}
	w.out = append(make([]byte, 0, len(wasm)+len(wasm)/2), wasm[:8]...)
	for _, s := range m.Sections {
		w.before(s)
		if err := w.section(s); err != nil {
			return nil, err
		}
	}
	w.before(scan.Section{ID: scan.SectionData}) // where no section follows
	if opt.Offsets {
		w.out = append(w.out, lineMarker()...)
	}
	return w.out, nil
}

type rewriter struct {
	wasm   []byte
	m      *scan.Module
	limits scan.Limits
	opt    Options
	fuel   uint32 // the global's index: behind all of the module's own
	out    []byte
	body   body

	globals, exports bool // written already
}

// before writes the sections that must exist and are missing, as soon as their place has come.
func (w *rewriter) before(s scan.Section) {
	if s.ID == scan.SectionCustom {
		return
	}
	late := s.ID == scan.SectionDataCount || s.ID > scan.SectionGlobal
	if late && !w.globals {
		w.emit(scan.SectionGlobal, w.globalSection(nil, 0))
	}
	if (late && s.ID != scan.SectionExport) && !w.exports {
		w.emit(scan.SectionExport, w.exportSection(nil, 0))
	}
}

func (w *rewriter) section(s scan.Section) error {
	content := w.wasm[s.Content:s.End]
	switch s.ID {
	case scan.SectionCustom:
		if s.Name == "name" {
			w.out = append(w.out, w.wasm[s.Start:s.End]...)
		}
	case scan.SectionTable:
		w.emit(s.ID, w.tableSection())
	case scan.SectionMemory:
		w.emit(s.ID, w.memorySection())
	case scan.SectionGlobal:
		n, size := binary.Uvarint(content)
		w.emit(s.ID, w.globalSection(content[size:], n))
	case scan.SectionExport:
		n, size := binary.Uvarint(content)
		w.emit(s.ID, w.exportSection(content[size:], n))
	case scan.SectionCode:
		if w.opt.Moves != nil {
			*w.opt.Moves = Moves{base: s.Content}
		}
		code, err := w.codeSection()
		if err != nil {
			return err
		}
		w.emit(s.ID, code)
	default:
		w.out = append(w.out, w.wasm[s.Start:s.End]...)
	}
	return nil
}

func (w *rewriter) emit(id byte, content []byte) {
	w.out = append(w.out, id)
	w.out = binary.AppendUvarint(w.out, uint64(len(content)))
	w.out = append(w.out, content...)
}

func (w *rewriter) globalSection(content []byte, n uint64) []byte {
	w.globals = true
	out := binary.AppendUvarint(nil, n+1)
	out = append(out, content...)
	out = append(out, scan.I64, 1, byte(scan.OpI64Const))
	return append(appendSLEB(out, w.opt.Fuel), byte(scan.OpEnd))
}

func (w *rewriter) exportSection(content []byte, n uint64) []byte {
	w.exports = true
	out := binary.AppendUvarint(nil, n+1)
	out = append(out, content...)
	out = append(out, byte(len(Export)))
	out = append(append(out, Export...), scan.KindGlobal)
	return binary.AppendUvarint(out, uint64(w.fuel))
}

func (w *rewriter) memorySection() []byte {
	if w.m.Memories == 0 || w.m.ImportedMemory {
		return []byte{0}
	}
	return appendLimit([]byte{1}, w.m.Memory, w.opt.MemoryPagesMax)
}

func (w *rewriter) tableSection() []byte {
	own := w.m.Tables[w.m.ImportedTables:]
	out := binary.AppendUvarint(nil, uint64(len(own)))
	for _, t := range own {
		out = appendLimit(append(out, t.Elem), t.Limit, w.opt.TableElementsMax)
	}
	return out
}

// appendLimit writes l with a maximum of at most most, which the growing instructions then answer for. Zero leaves l.
func appendLimit(out []byte, l scan.Limit, most uint32) []byte {
	if most > 0 && (!l.HasMax || l.Max > most) {
		l.HasMax, l.Max = true, max(most, l.Min)
	}
	if !l.HasMax {
		return binary.AppendUvarint(append(out, 0), uint64(l.Min))
	}
	out = binary.AppendUvarint(append(out, 1), uint64(l.Min))
	return binary.AppendUvarint(out, uint64(l.Max))
}

func appendSLEB(out []byte, v int64) []byte {
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && b&0x40 == 0) || (v == -1 && b&0x40 != 0) {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

func (w *rewriter) codeSection() ([]byte, error) {
	out := binary.AppendUvarint(nil, uint64(len(w.m.Bodies)))
	for i := range w.m.Bodies {
		e, err := w.rewriteBody(i)
		if err != nil {
			return nil, fmt.Errorf("function %d: %w", w.m.ImportedFuncs+i, err)
		}
		out = binary.AppendUvarint(out, uint64(len(e.out)))
		if w.opt.Moves != nil {
			w.opt.Moves.moved(w.m.Bodies[i], e.chunks, e.tail, len(out))
		}
		out = append(out, e.out...)
	}
	return out, nil
}
