package meter

import (
	"encoding/binary"

	"github.com/wse-engine/wse/engine/plugin/scan"
)

// piece is a straight-line part of a body: control enters only at its start and leaves only at its end.
type piece struct {
	at     int   // offset in the module of its first instruction
	cost   int64 // of its instructions
	dom    int   // piece that dominates it in the same loop turn, or -1 when it must be charged by itself
	charge int   // index of the charge that covers it, once it is closed
	depth  int   // open blocks at its start
}

// charge is a place where fuel is subtracted.
type charge struct {
	at     int
	cost   int64
	folded int64 // of cost, what other pieces brought
	depth  int
}

// frame is an open block, loop or if.
type frame struct {
	op       scan.Op
	piece    int  // piece in which it was opened
	header   int  // of a loop: the piece that its branches lead to
	since    int  // how many locals had been set when it was opened
	sets     int  // locals that are set in it, as far as counted; see body.set
	values   int  // that arrive with a branch to it
	targeted bool // a branch leads to its end
	dead     bool // opened in code that is never reached
}

// bulk is an instruction whose price depends on its last operand.
type bulk struct {
	at    int
	op    scan.Op
	depth int
}

// body is the state of one function's rewriting. Its slices are reused from function to function.
type body struct {
	pieces  []piece
	charges []charge
	frames  []frame
	bulks   []bulk
	last    []int // by local: when it was set last; see body.set
	now     int   // how many locals have been set
	cur     int   // open piece
	dead    bool
}

// analyse cuts body i into pieces and decides where they are charged.
func (b *body) analyse(w *rewriter, i int) error {
	own := w.m.Bodies[i]
	kind := w.m.Type(uint32(w.m.ImportedFuncs + i))
	locals := own.Locals + len(kind.Params)
	*b = body{pieces: b.pieces[:0], charges: b.charges[:0], frames: b.frames[:0], bulks: b.bulks[:0], last: b.last}
	b.forget(locals)
	b.frames = append(b.frames, frame{op: scan.OpBlock})
	b.open(own.Code, -1)
	b.pieces[0].cost = priceEntry + int64(locals+len(kind.Results))/localsPerUnit
	walker := scan.Walk(w.wasm, w.m, w.limits, i)
	var in scan.Instr
	for walker.Next(&in) {
		if w.opt.each && !b.dead {
			b.cut(in.Start, -1)
		}
		if !b.dead {
			b.pieces[b.cur].cost += price(&in, w.m.ImportedFuncs)
		}
		b.step(w, &in)
	}
	return walker.Err()
}

// open begins a piece.
func (b *body) open(at, dom int) {
	b.pieces = append(b.pieces, piece{at: at, dom: dom, depth: len(b.frames)})
	b.cur = len(b.pieces) - 1
}

// close ends the current piece and settles who pays for it.
func (b *body) close() {
	p := &b.pieces[b.cur]
	if p.dom >= 0 {
		p.charge = b.pieces[p.dom].charge
		if c := &b.charges[p.charge]; c.folded+p.cost <= foldMax {
			c.folded += p.cost
			c.cost += p.cost
			return
		}
	}
	b.charges = append(b.charges, charge{at: p.at, cost: p.cost, depth: p.depth})
	p.charge = len(b.charges) - 1
}

// cut ends the current piece and begins another at at.
func (b *body) cut(at, dom int) {
	if !b.dead {
		b.close()
	}
	b.dead = false
	b.open(at, dom)
}

// leave ends the current piece in code after which nothing is reached until a block ends.
func (b *body) leave() {
	if !b.dead {
		b.close()
	}
	b.dead = true
}

func (b *body) target(label uint32) {
	if !b.dead {
		b.frames[len(b.frames)-1-int(label)].targeted = true
	}
}

// step moves the state over one instruction.
func (b *body) step(w *rewriter, in *scan.Instr) {
	switch in.Op {
	case scan.OpBlock, scan.OpLoop, scan.OpIf:
		b.enter(w, in)
	case scan.OpLocalSet, scan.OpLocalTee:
		b.set(in.Index)
	case scan.OpElse:
		if f := b.frames[len(b.frames)-1]; !f.dead {
			b.cut(in.End, f.piece)
		}
	case scan.OpEnd:
		b.end(in)
	case scan.OpBr, scan.OpBrTable, scan.OpReturn, scan.OpUnreachable:
		b.jump(in)
	case scan.OpBrIf:
		b.target(in.Index)
		if !b.dead {
			b.cut(in.End, b.cur)
		}
	case scan.OpMemoryInit, scan.OpMemoryCopy, scan.OpMemoryFill, scan.OpMemoryGrow, scan.OpTableInit,
		scan.OpTableCopy, scan.OpTableFill, scan.OpTableGrow:
		if !b.dead {
			b.bulks = append(b.bulks, bulk{at: in.Start, op: in.Op, depth: len(b.frames)})
		}
	}
}

// enter opens a block, a loop, whose header always pays for itself, or the first arm of an if.
func (b *body) enter(w *rewriter, in *scan.Instr) {
	b.frames = append(b.frames, frame{op: in.Op, piece: b.cur, dead: b.dead, since: b.now, values: w.branchValues(in)})
	switch {
	case b.dead:
	case in.Op == scan.OpLoop:
		b.cut(in.End, -1)
		b.frames[len(b.frames)-1].header = b.cur
	case in.Op == scan.OpIf:
		b.cut(in.End, b.cur)
	}
}

func (b *body) jump(in *scan.Instr) {
	if in.Op == scan.OpBr {
		b.target(in.Index)
	}
	if in.Op == scan.OpBrTable {
		for _, label := range in.Targets {
			b.target(label)
		}
	}
	b.leave()
}

// end closes a block. What follows is dominated by the piece in which the block was opened.
func (b *body) end(in *scan.Instr) {
	f := b.frames[len(b.frames)-1]
	b.frames = b.frames[:len(b.frames)-1]
	switch {
	case len(b.frames) == 0: // of the function
		b.leave()
		return
	case f.dead:
	case f.op == scan.OpIf, f.op == scan.OpBlock && f.targeted:
		b.cut(in.End, f.piece)
		b.pay(b.cur, f.meeting())
	case f.op == scan.OpLoop:
		if f.targeted {
			b.pay(f.header, f.meeting())
		}
		if !b.dead {
			b.cut(in.End, f.piece)
		}
	}
	b.frames[len(b.frames)-1].sets += f.sets
}

// rewriteBody returns function i with its charges. The body is wrapped in two blocks, so that all charges share one
// trap at its end:
//
//	block                 ;; the trap
//	  block (results)     ;; takes the place of the function's own label
//	    body
//	  end
//	  return
//	end
//	unreachable
//	end
//
// BenchmarkTrapForm compares this with an "if unreachable end" at each charge.
func (w *rewriter) rewriteBody(i int) (*emitter, error) {
	if err := w.body.analyse(w, i); err != nil {
		return nil, err
	}
	own := w.m.Bodies[i]
	e := &emitter{w: w, scratch: uint32(len(w.m.Type(uint32(w.m.ImportedFuncs+i)).Params) + own.Locals)}
	results := w.m.Type(uint32(w.m.ImportedFuncs + i)).Results
	e.wrapped = len(results) <= 1 && !w.opt.trapInPlace
	e.locals(w.wasm[own.Start:own.Code], len(w.body.bulks) > 0)
	if e.wrapped {
		blockType := scan.EmptyType
		if len(results) == 1 {
			blockType = results[0]
		}
		e.out = append(e.out, byte(scan.OpBlock), scan.EmptyType, byte(scan.OpBlock), blockType)
	}
	e.code(own)
	e.tail = len(e.out)
	if e.wrapped {
		e.out = append(e.out, byte(scan.OpReturn), byte(scan.OpEnd), byte(scan.OpUnreachable), byte(scan.OpEnd))
	}
	return e, nil
}

type emitter struct {
	w       *rewriter
	out     []byte
	wrapped bool
	scratch uint32 // local of type i32 that holds a bulk operation's operand
	chunks  []chunk
	tail    int // where the body's own code ends
}

// locals copies the declarations and adds the scratch local behind all others, so that none changes its index.
func (e *emitter) locals(declared []byte, scratch bool) {
	n, size := binary.Uvarint(declared)
	if scratch {
		n++
	}
	e.out = binary.AppendUvarint(e.out, n)
	e.out = append(e.out, declared[size:]...)
	if scratch {
		e.out = append(e.out, 1, scan.I32)
	}
}

// code copies the instructions and puts charges between them.
func (e *emitter) code(own scan.Body) {
	b, pos := &e.w.body, own.Code
	bulks := b.bulks
	for _, c := range append(b.charges, charge{at: own.End}) {
		for len(bulks) > 0 && bulks[0].at < c.at {
			e.copy(pos, bulks[0].at)
			pos = bulks[0].at
			e.dynamic(bulks[0])
			bulks = bulks[1:]
		}
		e.copy(pos, c.at)
		pos = c.at
		if c.cost > 0 {
			e.get()
			e.out = appendSLEB(append(e.out, byte(scan.OpI64Const)), c.cost)
			e.subtract(c.depth)
		}
	}
}

func (e *emitter) copy(from, to int) {
	if e.w.opt.Moves != nil && from < to {
		e.chunks = append(e.chunks, chunk{uint32(from), uint32(len(e.out))})
	}
	e.out = append(e.out, e.w.wasm[from:to]...)
}

func (e *emitter) get() {
	e.out = binary.AppendUvarint(append(e.out, byte(scan.OpGlobalGet)), uint64(e.w.fuel))
}

// subtract takes the two operands on the stack, fuel and price, and traps when nothing is left.
func (e *emitter) subtract(depth int) {
	const i64Sub, i64LtS = 0x7d, 0x53
	e.out = binary.AppendUvarint(append(e.out, i64Sub, byte(scan.OpGlobalSet)), uint64(e.w.fuel))
	e.get()
	e.out = append(e.out, byte(scan.OpI64Const), 0, i64LtS)
	if e.wrapped {
		e.out = binary.AppendUvarint(append(e.out, byte(scan.OpBrIf)), uint64(depth))
		return
	}
	e.out = append(e.out, byte(scan.OpIf), scan.EmptyType, byte(scan.OpUnreachable), byte(scan.OpEnd))
}

// dynamic charges for the operand on top of the stack and leaves it there.
func (e *emitter) dynamic(op bulk) {
	const i64ExtendI32U, i64ShrU, i64Shl = 0xad, 0x88, 0x86
	e.out = binary.AppendUvarint(append(e.out, byte(scan.OpLocalTee)), uint64(e.scratch))
	e.get()
	e.out = binary.AppendUvarint(append(e.out, byte(scan.OpLocalGet)), uint64(e.scratch))
	e.out = append(e.out, i64ExtendI32U, byte(scan.OpI64Const))
	switch op.op {
	case scan.OpMemoryGrow:
		e.out = append(appendSLEB(e.out, pageShift), i64Shl)
	case scan.OpMemoryInit, scan.OpMemoryCopy, scan.OpMemoryFill:
		e.out = append(appendSLEB(e.out, bulkBytesShift), i64ShrU)
	default:
		e.out = append(appendSLEB(e.out, elementShift), i64Shl)
	}
	e.subtract(op.depth)
}
