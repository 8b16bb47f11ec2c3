package meter

import (
	"sort"

	"github.com/wse-engine/wse/engine/plugin/scan"
)

// Where branches meet — behind an if, behind a block that a branch leaves, at the head of a loop that a branch repeats —
// the compiler must have every local in one place, whichever way was taken. A local that is set on one of the ways may be
// elsewhere on another, so that it is moved, and that costs a run which sets nothing: two instructions that jump over an
// arm with eight thousand assignments cost what eight thousand moves do. A meeting therefore has a price for each local
// that is set between the place where the ways part and the place where they meet, which is the block itself, and for
// each value that a branch carries.

// forget begins a function with that many locals.
func (b *body) forget(locals int) {
	if cap(b.last) < locals {
		b.last = make([]int, locals)
	}
	b.last = b.last[:locals]
	clear(b.last)
}

// set counts a local once for every open block that has not seen it set. Those are the innermost ones, from some block
// on: the count is added to the innermost and taken back from the block around the outermost of them, since the end of
// a block adds its count to the block around it.
func (b *body) set(local uint32) {
	if b.dead {
		return
	}
	seen := b.last[local]
	from := sort.Search(len(b.frames), func(i int) bool { return b.frames[i].since >= seen })
	b.now++
	b.last[local] = b.now
	if from == len(b.frames) {
		return
	}
	b.frames[len(b.frames)-1].sets++
	if from > 0 {
		b.frames[from-1].sets--
	}
}

// meeting is what it costs to get to where a block's branches meet.
func (f *frame) meeting() int64 { return int64(f.sets+f.values) << meetShift }

// pay adds to what piece p costs, which may be closed if it pays for itself.
func (b *body) pay(p int, units int64) {
	if p == b.cur && !b.dead {
		b.pieces[p].cost += units
		return
	}
	b.charges[b.pieces[p].charge].cost += units
}

// branchValues is how many values a branch to the block that in opens carries.
func (w *rewriter) branchValues(in *scan.Instr) int {
	switch first := w.wasm[in.Start+1]; {
	case first == scan.EmptyType:
		return 0
	case first >= scan.V128 && first <= scan.I32, first == scan.FuncRef, first == scan.ExternRef:
		if in.Op == scan.OpLoop {
			return 0
		}
		return 1
	}
	kind := w.m.Types[in.Index]
	if in.Op == scan.OpLoop {
		return len(kind.Params)
	}
	return len(kind.Results)
}
