package meter

import "github.com/wse-engine/wse/engine/plugin/scan"

// Prices. The unit is one cheap instruction. Compilers merge many of those, so that ordinary code runs at 0.05 to 0.1
// ns a unit; what costs the machine more is priced so that nothing in the cache exceeds about 0.7 ns. BenchmarkWorst
// measures the nanoseconds per unit that each kind reaches. Two things escape any static price, and stay an order above
// it: a chain of loads that all miss the cache, and the first growth of the guest's stack, which the runtime bounds.
const (
	priceEntry     = 12  // of a function, for the frame it needs: recursion makes the host grow and copy the stack
	localsPerUnit  = 2   // locals a unit: they are set to zero at entry, and may be spilled into the frame
	priceImport    = 100 // of calling the host: leaving compiled code and coming back, beside what the host does
	priceIndirect  = 8   // of call_indirect: bounds, signature
	priceDivide    = 16  // integer division
	priceRoot      = 12  // square roots and floating-point division
	priceLoad      = 2   // memory access that may miss a cache
	priceBulk      = 24  // of a bulk operation before its first byte
	priceGrow      = 100 // of memory.grow and table.grow before the first page
	pageShift      = 14  // units a page that memory.grow adds, as a power of two: 64 KiB to be handed out and cleared
	bulkBytesShift = 3   // bytes of a bulk operation a unit, as a power of two
	elementShift   = 0   // units an element of a table operation, as a power of two
	meetShift      = 0   // units for each local and value where branches meet, as a power of two; see meet.go
	foldMax        = 64  // what may ride along with one charge, see the package's comment
)

// price is what one instruction costs, dynamic parts excluded. imported is the number of imported functions.
func price(in *scan.Instr, imported int) int64 {
	switch op := in.Op; {
	case op == scan.OpBlock, op == scan.OpLoop, op == scan.OpEnd, op == scan.OpElse, op == scan.OpNop:
		return 0 // no code of their own
	case op == scan.OpBrTable:
		return 4
	case op == scan.OpCall:
		if int(in.Index) < imported {
			return priceImport
		}
		return 2
	case op == scan.OpCallIndirect:
		return priceIndirect
	case op >= 0x28 && op <= 0x3e: // loads and stores
		return priceLoad
	case op >= 0x6d && op <= 0x70, op >= 0x7f && op <= 0x82: // i32 and i64 div and rem
		return priceDivide
	case op == 0x91, op == 0x95, op == 0x9f, op == 0xa3: // f32, f64 sqrt and div
		return priceRoot
	case op >= 0xfd00:
		return vectorPrice(op - 0xfd00)
	}
	return bulkPrice(in.Op)
}

func bulkPrice(op scan.Op) int64 {
	switch op {
	case scan.OpMemoryInit, scan.OpMemoryCopy, scan.OpMemoryFill, scan.OpTableInit, scan.OpTableCopy, scan.OpTableFill:
		return priceBulk
	case scan.OpMemoryGrow, scan.OpTableGrow:
		return priceGrow
	case scan.OpRefFunc:
		return 400 // leaves compiled code
	}
	return 1
}

// vectorPrice charges memory access as elsewhere, the four square roots and divisions of whole vectors by lane, and
// every other vector operation for the two or three instructions that one of them becomes.
func vectorPrice(n scan.Op) int64 {
	switch {
	case n <= 11 || (n >= 84 && n <= 93):
		return 3
	case n == 227 || n == 231 || n == 239 || n == 243: // f32x4, f64x2 sqrt and div
		return 4 * priceRoot
	}
	return 3
}
