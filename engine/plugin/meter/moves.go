package meter

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/wse-engine/wse/engine/plugin/scan"
)

// Moves tells where code went. All places are offsets in the content of the code section, which is how debug information
// counts.
type Moves struct {
	Funcs  []FuncMove
	chunks []chunk
	base   int // of the code section's content in the module
}

// FuncMove is what became of one function's body, Old to OldEnd before: it begins at New, and at Tail stands what the
// rewriter added behind its last instruction, the trap that all its charges share.
type FuncMove struct{ Old, OldEnd, New, Tail uint32 }

// chunk is a run of bytes that was copied.
type chunk struct{ old, new uint32 }

// New returns where the instruction at old is now.
func (m *Moves) New(old uint32) uint32 {
	i, found := slices.BinarySearchFunc(m.chunks, old, func(c chunk, old uint32) int { return cmp.Compare(c.old, old) })
	if !found {
		i--
	}
	if i < 0 {
		return old
	}
	return m.chunks[i].new + old - m.chunks[i].old
}

// Inside reports whether old lies in the body of a function.
func (m *Moves) Inside(old uint32) bool {
	i, found := slices.BinarySearchFunc(m.Funcs, old, func(f FuncMove, old uint32) int { return cmp.Compare(f.Old, old) })
	return found || i > 0 && old < m.Funcs[i-1].OldEnd
}

// moved notes a body: what was copied, chunks counting from the body's start, and where it went.
func (m *Moves) moved(own scan.Body, chunks []chunk, tail, at int) {
	start := uint32(own.Start - m.base)
	m.Funcs = append(m.Funcs, FuncMove{Old: start, OldEnd: uint32(own.End - m.base), New: uint32(at), Tail: uint32(at + tail)})
	m.chunks = append(m.chunks, chunk{start, uint32(at)}) // the declarations of locals
	for _, c := range chunks {
		m.chunks = append(m.chunks, chunk{c.old - uint32(m.base), uint32(at) + c.new})
	}
}

// lineMarker is debug information that says of all code that it is line 1 of a file "wse". It makes wazero write the
// offset of each frame into its traces, and is all that wazero ever sees: what the offsets mean is looked up elsewhere.
func lineMarker() []byte {
	const first, last = 1, 1<<31 - 1                                          // addresses; 0 and the highest ones mean "none"
	abbrev := []byte{1, 0x11, 0, 0x10, 0x17, 0x11, 0x01, 0x12, 0x06, 0, 0, 0} // a unit: stmt_list, low_pc, high_pc
	info := []byte{4, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0}                        // version 4, abbreviations at 0, 4-byte addresses
	info = binary.LittleEndian.AppendUint32(info, first)
	info = binary.LittleEndian.AppendUint32(info, last-first)
	header := []byte{1, 1, 1, 0, 1, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0}
	header = append(append(header, "wse"...), 0, 0, 0, 0, 0)
	line := binary.LittleEndian.AppendUint32([]byte{4, 0}, uint32(len(header)))
	line = append(line, header...)
	line = binary.LittleEndian.AppendUint32(append(line, 0, 5, 2), first) // set_address
	line = append(line, 1, 2)                                             // copy, advance_pc
	line = append(binary.AppendUvarint(line, last-first), 0, 1, 1)        // end_sequence
	out := custom(nil, ".debug_abbrev", abbrev)
	out = custom(out, ".debug_info", append(binary.LittleEndian.AppendUint32(nil, uint32(len(info))), info...))
	return custom(out, ".debug_line", append(binary.LittleEndian.AppendUint32(nil, uint32(len(line))), line...))
}

func custom(out []byte, name string, data []byte) []byte {
	content := append(binary.AppendUvarint(nil, uint64(len(name))), name...)
	content = append(content, data...)
	out = binary.AppendUvarint(append(out, scan.SectionCustom), uint64(len(content)))
	return append(out, content...)
}
