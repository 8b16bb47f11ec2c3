package scan

// Op is an instruction's opcode. Those behind the prefixes 0xfc and 0xfd are 0xfc00 and 0xfd00 plus their number.
type Op uint16

// The opcodes that scan and rewriter tell apart.
const (
	OpUnreachable  Op = 0x00
	OpNop          Op = 0x01
	OpBlock        Op = 0x02
	OpLoop         Op = 0x03
	OpIf           Op = 0x04
	OpElse         Op = 0x05
	OpEnd          Op = 0x0b
	OpBr           Op = 0x0c
	OpBrIf         Op = 0x0d
	OpBrTable      Op = 0x0e
	OpReturn       Op = 0x0f
	OpCall         Op = 0x10
	OpCallIndirect Op = 0x11
	OpSelectTyped  Op = 0x1c
	OpLocalGet     Op = 0x20
	OpLocalSet     Op = 0x21
	OpLocalTee     Op = 0x22
	OpGlobalGet    Op = 0x23
	OpGlobalSet    Op = 0x24
	OpTableGet     Op = 0x25
	OpTableSet     Op = 0x26
	OpMemorySize   Op = 0x3f
	OpMemoryGrow   Op = 0x40
	OpI32Const     Op = 0x41
	OpI64Const     Op = 0x42
	OpF32Const     Op = 0x43
	OpF64Const     Op = 0x44
	OpRefNull      Op = 0xd0
	OpRefIsNull    Op = 0xd1
	OpRefFunc      Op = 0xd2
	OpMemoryInit   Op = 0xfc08
	OpDataDrop     Op = 0xfc09
	OpMemoryCopy   Op = 0xfc0a
	OpMemoryFill   Op = 0xfc0b
	OpTableInit    Op = 0xfc0c
	OpElemDrop     Op = 0xfc0d
	OpTableCopy    Op = 0xfc0e
	OpTableGrow    Op = 0xfc0f
	OpTableSize    Op = 0xfc10
	OpTableFill    Op = 0xfc11
	OpV128Const    Op = 0xfd0c
)

// Value types as the binary format spells them.
const (
	I32       byte = 0x7f
	I64       byte = 0x7e
	F32       byte = 0x7d
	F64       byte = 0x7c
	V128      byte = 0x7b
	FuncRef   byte = 0x70
	ExternRef byte = 0x6f
	EmptyType byte = 0x40 // a block without results
)

// Instr is one instruction of a body. Index is its first immediate where that is an index or a label; Targets are a
// br_table's labels, the default last, valid until the next instruction is read.
type Instr struct {
	Op         Op
	Start, End int // offsets in the module
	Index      uint32
	Targets    []uint32
}

// isValueType reports whether b is one of the seven value types.
func isValueType(b byte) bool { return (b >= V128 && b <= I32) || isRefType(b) }

func isRefType(b byte) bool { return b == FuncRef || b == ExternRef }

// space holds what indexes inside a body are checked against.
type space struct {
	m        *Module
	limits   *Limits
	locals   int
	segments int // data segments, as the data count section says
}

// next reads one instruction into in and checks every index of it but labels, which need the nesting.
func (s *space) next(r *reader, in *Instr) {
	in.Start = r.pos
	in.Op = Op(r.byte())
	switch in.Op {
	case 0xfc:
		in.Op = 0xfc00 + Op(r.index("opcode 0xfc", 0x12))
		s.bulk(r, in)
	case 0xfd:
		in.Op = 0xfd00 + Op(r.index("opcode 0xfd", 0x100))
		s.vector(r, in.Op)
	default:
		s.plain(r, in)
	}
	in.End = r.pos
}

// plain reads the immediates of an instruction without prefix.
func (s *space) plain(r *reader, in *Instr) {
	switch op := in.Op; {
	case op == OpBlock || op == OpLoop || op == OpIf:
		s.blockType(r, in)
	case op == OpBr || op == OpBrIf:
		in.Index = r.uleb()
	case op == OpBrTable:
		s.branchTable(r, in)
	case op == OpCall || op == OpRefFunc:
		in.Index = r.index("function", len(s.m.Funcs))
	case op == OpCallIndirect:
		in.Index = r.index("type", len(s.m.Types))
		r.index("table", len(s.m.Tables))
	case op == OpSelectTyped:
		if n := r.uleb(); r.err == nil && n != 1 {
			r.failf("select with %d types", n)
		}
		s.valueType(r)
	case op >= OpLocalGet && op <= OpLocalTee:
		in.Index = r.index("local", s.locals)
	case op == OpGlobalGet || op == OpGlobalSet:
		in.Index = r.index("global", len(s.m.Globals))
	case op == OpTableGet || op == OpTableSet:
		in.Index = r.index("table", len(s.m.Tables))
	case op >= 0x28 && op <= 0x3e: // loads and stores
		s.memarg(r)
	case op == OpMemorySize || op == OpMemoryGrow:
		s.memory(r)
	case op == OpI32Const:
		r.sleb(32)
	case op == OpI64Const:
		r.sleb(64)
	case op == OpF32Const:
		r.skip(4)
	case op == OpF64Const:
		r.skip(8)
	case op == OpRefNull:
		if t := r.byte(); r.err == nil && !isRefType(t) {
			r.failf("0x%02x is no reference type", t)
		}
	case op == OpEnd || op == OpElse || op <= OpNop || op == OpReturn || op == 0x1a || op == 0x1b || op == OpRefIsNull:
	case op >= 0x45 && op <= 0xc4: // comparisons, arithmetic, conversions
	default:
		r.failf("opcode 0x%02x is not part of WebAssembly 2.0", uint16(op))
	}
}

// bulk reads the immediates of an instruction behind 0xfc.
func (s *space) bulk(r *reader, in *Instr) {
	switch in.Op {
	case OpMemoryInit:
		in.Index = r.index("data segment", s.segments)
		s.memory(r)
	case OpDataDrop:
		in.Index = r.index("data segment", s.segments)
	case OpMemoryCopy:
		s.memory(r)
		s.memory(r)
	case OpMemoryFill:
		s.memory(r)
	case OpTableInit:
		in.Index = r.index("element segment", s.m.ElementSegments)
		r.index("table", len(s.m.Tables))
	case OpElemDrop:
		in.Index = r.index("element segment", s.m.ElementSegments)
	case OpTableCopy:
		in.Index = r.index("table", len(s.m.Tables))
		r.index("table", len(s.m.Tables))
	case OpTableGrow, OpTableSize, OpTableFill:
		in.Index = r.index("table", len(s.m.Tables))
	}
}

// vector reads the immediates of an instruction behind 0xfd. Numbers that the specification leaves free have none; the
// compiler refuses them.
func (s *space) vector(r *reader, op Op) {
	switch n := op - 0xfd00; {
	case n <= 11 || n == 92 || n == 93: // loads and stores
		s.memarg(r)
	case n == 12 || n == 13: // v128.const, i8x16.shuffle
		r.skip(16)
	case n >= 21 && n <= 34: // lane access
		r.skip(1)
	case n >= 84 && n <= 91: // loads and stores of a lane
		s.memarg(r)
		r.skip(1)
	}
}

func (s *space) memarg(r *reader) {
	if s.m.Memories == 0 {
		r.failf("memory access without a memory")
	}
	if align := r.uleb(); r.err == nil && align > 4 {
		r.failf("alignment 2^%d", align)
	}
	r.uleb()
}

// memory reads a memory index of one byte, which must be 0.
func (s *space) memory(r *reader) {
	if b := r.byte(); r.err == nil && (b != 0 || s.m.Memories == 0) {
		r.failf("memory %d of %d", b, s.m.Memories)
	}
}

func (s *space) valueType(r *reader) {
	if t := r.byte(); r.err == nil && !isValueType(t) {
		r.failf("0x%02x is no value type", t)
	}
}

// blockType reads nothing, one value type, or a type index.
func (s *space) blockType(r *reader, in *Instr) {
	if r.pos < r.end {
		if b := r.data[r.pos]; b == EmptyType || isValueType(b) {
			r.pos++
			return
		}
	}
	if t := r.sleb(33); r.err == nil {
		if t < 0 || t >= int64(len(s.m.Types)) {
			r.failf("block type %d of %d", t, len(s.m.Types))
			return
		}
		in.Index = uint32(t)
	}
}

func (s *space) branchTable(r *reader, in *Instr) {
	n := r.count("br_table targets", s.limits.BranchTargetsMax, "branch_targets_max", 1)
	in.Targets = in.Targets[:0]
	for i := 0; i <= n && r.err == nil; i++ {
		in.Targets = append(in.Targets, r.uleb())
	}
}
