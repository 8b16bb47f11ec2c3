package wasmtest

// Where [Letters] writes the answer to a batch.
const lettersOut = 8 << 16

// SlowTurns is how many turns of a loop an event that begins with s takes, at 5 units of fuel or more each.
const SlowTurns = 1 << 20

// Letters is a plugin that does what the first letter of an event says: n NO, y YES, d DATA (the event itself), e ERROR (the
// same), t a trap, l a loop without end, v what is no result, s DATA after a long time, b DATA where it is asked about one
// event and a trap where it is asked about several. It has the hooks transform and, if batch is set, transform_batch.
func Letters(batch bool) Module {
	m := Module{Pages: 32, Funcs: []Func{
		{Name: "letter", Params: []byte{I32, I32, I32}, Results: []byte{I64}, Locals: []byte{I32, I32}, Code: letter()},
		Hook("wse_transform", I32Const(Buffer), LocalGet(0), I32Const(0), Call(0)),
	}}
	if batch {
		hook := Hook("wse_transform_batch", letters())
		hook.Locals = []byte{I32, I32, I32, I32, I32, I64}
		m.Funcs = append(m.Funcs, hook)
	}
	return Plugin(m)
}

// Opcodes that have no helper.
const (
	opUnreachable = 0x00
	opIf          = 0x04
	opEnd         = 0x0b
	opReturn      = 0x0f
	opI32Eq       = 0x46
	opI32LtU      = 0x49
	opI64Eq       = 0x51
	opI64LeU      = 0x58
	opI32Add      = 0x6a
	opI32Sub      = 0x6b
	opI64Add      = 0x7c
	opI64Or       = 0x84
	opI64Shl      = 0x86
	opI64ShrU     = 0x88
	opI32Wrap     = 0xa7
	opI64Extend   = 0xad
)

func op(b ...byte) []byte { return b }

// when runs body where the condition before it holds.
func when(cond []byte, body ...[]byte) []byte {
	return Cat(cond, op(opIf, 0x40), Cat(body...), op(opEnd))
}

// letter is the body of letter(ptr, len, batch i32) -> i64. Locals: 3 the letter, 4 a counter.
func letter() []byte {
	is := func(c byte) []byte { return Cat(LocalGet(3), I32Const(int64(c)), op(opI32Eq)) }
	data := Cat(LocalGet(0), op(opI64Extend), I64Const(32), op(opI64Shl), LocalGet(1), op(opI64Extend, opI64Or))
	return Cat(
		LocalGet(0), op(0x2d, 0, 0), LocalSet(3),
		when(is('y'), I64Const(1), op(opReturn)),
		when(is('e'), data, I64Const(-1<<63), op(opI64Or, opReturn)),
		when(is('t'), op(opUnreachable)),
		when(is('l'), Loop(Br(0))),
		when(is('v'), I64Const(2), op(opReturn)),
		when(is('s'), Loop(LocalGet(4), I32Const(1), op(opI32Add), U([]byte{0x22}, 4), I32Const(SlowTurns), op(opI32LtU), BrIf(0)), data, op(opReturn)),
		when(is('b'), when(LocalGet(2), op(opUnreachable)), data, op(opReturn)),
		when(is('d'), data, op(opReturn)),
		I64Const(0),
	)
}

// letters is the body of wse_transform_batch(len i32) -> i64. Locals: 1 where it reads, 2 events left, 3 where it writes, 4 the
// size of an event and then of its answer, 5 the tag, 6 the result.
func letters() []byte {
	load := op(0x28, 2, 0)
	store := func(offset byte) []byte { return op(0x36, 0, offset) }
	advance := func(local int, by ...[]byte) []byte {
		return Cat(LocalGet(local), Cat(by...), op(opI32Add), LocalSet(local))
	}
	result := LocalGet(6)
	return Cat(
		I32Const(Buffer), load, LocalSet(2), I32Const(Buffer+4), LocalSet(1),
		I32Const(lettersOut), LocalGet(2), store(0), I32Const(lettersOut+4), LocalSet(3),
		Block(Loop(
			LocalGet(2), op(0x45), BrIf(1),
			LocalGet(1), load, LocalSet(4), advance(1, I32Const(4)),
			LocalGet(1), LocalGet(4), I32Const(1), Call(0), LocalSet(6),
			when(Cat(result, I64Const(2), op(opI64Eq)), result, op(opReturn)),
			// The next event is behind this one, of which local 4 is the size until here.
			LocalGet(1), LocalGet(4), op(opI32Add),
			result, I64Const(63), op(opI64ShrU), I64Const(2), op(opI64Add, opI32Wrap), LocalSet(5),
			when(Cat(result, I64Const(1), op(opI64LeU)), result, op(opI32Wrap), LocalSet(5), I32Const(0), LocalSet(4)),
			LocalGet(3), LocalGet(5), store(0), LocalGet(3), LocalGet(4), store(4),
			LocalGet(3), I32Const(8), op(opI32Add), LocalGet(1), LocalGet(4), op(0xfc, 10, 0, 0),
			advance(3, LocalGet(4), I32Const(8), op(opI32Add)),
			LocalSet(1),
			LocalGet(2), I32Const(1), op(opI32Sub), LocalSet(2),
			Br(0))),
		I64Const(lettersOut<<32), LocalGet(3), I32Const(lettersOut), op(opI32Sub, opI64Extend, opI64Or),
	)
}
