package hostile

import (
	"strconv"
	"strings"

	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

func itoa(n int) string { return strconv.Itoa(n) }

// endless modules never come back.
func endless() []attack {
	log := w.Import{Module: "wse", Name: "log", Params: i32s(3)}
	metric := w.Import{Module: "wse", Name: "metric", Params: []byte{w.I32, w.I32, w.F64}}
	wasi := func(name string, params int) w.Import {
		return w.Import{Module: "wasi_snapshot_preview1", Name: name, Params: i32s(params), Results: i32s(1)}
	}
	drop := []byte{0x1a}
	straight := make([]byte, 0, 300_000)
	for len(straight) < 300_000 {
		straight = append(straight, 0x20, 0, 0x1a) // local.get 0, drop
	}
	table := transform(w.LocalGet(0), w.I32Const(0), []byte{0x11, 0, 0})
	table.Table = 3
	grown := transform(w.Loop([]byte{0xd2, 0}, w.I32Const(1), []byte{0xfc, 15, 0, 0x1a}, w.Br(0)), w.I64Const(1))
	grown.Table = 1
	return []attack{
		failsWith("fuel", "an endless loop", "used more than", transform(forever(), w.I64Const(1))),
		failsWith("fuel", "a loop whose body is 300 KB of straight code", "used more than", transform(w.Loop(straight, w.Br(0)), w.I64Const(1))),
		failsWith("fuel", "recursion", "used more than", transform(w.LocalGet(0), w.Call(0))),
		failsWith("fuel", "recursion through a table", "used more than", table),
		failsWith("fuel", "a memory that grows for ever", "used more than", transform(w.Loop(w.I32Const(1), []byte{0x40, 0, 0x1a}, w.Br(0)), w.I64Const(1))),
		failsWith("fuel", "a table that grows for ever", "used more than", grown),
		failsWith("fuel", "bulk fills for ever", "used more than", transform(w.Loop(w.I32Const(0), w.I32Const(7), w.I32Const(4<<16), []byte{0xfc, 11, 0}, w.Br(0)), w.I64Const(1))),
		failsWith("fuel", "logs for ever", "used more than", calling(log, w.Loop(w.I32Const(4), w.I32Const(0), w.I32Const(60_000), w.Call(0), w.Br(0)), w.I64Const(1))),
		failsWith("fuel", "counts for ever", "used more than", calling(metric, w.Loop(w.I32Const(0), w.I32Const(3), []byte{0x44, 0, 0, 0, 0, 0, 0, 0, 0}, w.Call(0), w.Br(0)), w.I64Const(1))),
		failsWith("fuel", "random numbers for ever", "used more than", calling(wasi("random_get", 2), w.Loop(w.I32Const(0), w.I32Const(200_000), w.Call(0), drop, w.Br(0)), w.I64Const(1))),
		failsWith("fuel", "prints for ever", "used more than", calling(wasi("fd_write", 4), w.Loop(w.I32Const(1), w.I32Const(0), w.I32Const(1000), w.I32Const(0), w.Call(0), drop, w.Br(0)), w.I64Const(1))),
		failsWith("fuel", "yields for ever", "used more than", calling(wasi("sched_yield", 0), w.Loop(w.Call(0), drop, w.Br(0)), w.I64Const(1))),
		failsWith("fuel", "sleeps for ever", "used more than", calling(wasi("poll_oneoff", 4), w.Loop(w.I32Const(0), w.I32Const(1024), w.I32Const(1), w.I32Const(2048), w.Call(0), drop, w.Br(0)), w.I64Const(1))),
	}
}

// trapping modules stop where they should not.
func trapping() []attack {
	void := func(module, name string, params int) w.Import {
		return w.Import{Module: module, Name: name, Params: i32s(params)}
	}
	return []attack{
		failsWith("trap", "unreachable", "unreachable", transform([]byte{0x00})),
		failsWith("trap", "a division by zero", "integer divide by zero", transform(w.I64Const(1), w.I64Const(0), []byte{0x7f})),
		failsWith("trap", "an address outside", "out of bounds memory access", transform(w.I32Const(-1), []byte{0x29, 0, 0})),
		failsWith("trap", "an exit", "proc_exit(3)", calling(void("wasi_snapshot_preview1", "proc_exit", 1), w.I32Const(3), w.Call(0), w.I64Const(1))),
		failsWith("trap", "an abort with wild pointers", "abort", calling(void("env", "abort", 4), w.I32Const(-5), w.I32Const(-6), w.I32Const(7), w.I32Const(8), w.Call(0), w.I64Const(1))),
		failsWith("trap", "a log line from outside", "wse.log", calling(void("wse", "log", 3), w.I32Const(2), w.I32Const(-9), w.I32Const(9), w.Call(0), w.I64Const(1))),
	}
}

// lying modules return addresses and lengths that are not theirs.
func lying() []attack {
	return []attack{
		failsWith("violation", "an answer outside the memory", "outside the memory", transform(w.Pack(4<<16, 1))),
		failsWith("violation", "an answer that ends outside", "outside the memory", transform(w.Pack(4<<16-1, 2))),
		failsWith("violation", "an answer at the last address there is", "outside the memory", transform(w.Pack(1<<31-1, 5))),
		failsWith("violation", "an answer of four thousand million bytes", "out_kib", transform(w.Pack(16, most))),
		failsWith("violation", "an answer of nothing", "", transform(w.Pack(16, 0))),
		failsWith("violation", "a result of no form", "no result", transform(w.I64Const(2))),
		failsWith("guest", "an error text outside the memory", "without a text", transform(w.I64Const(-1<<63|4<<48|5))),
		failsWith("guest", "an error text of four thousand million bytes", "error", transform(w.I64Const(-1<<63|1<<32|most))),
	}
}

const envelope = `{"t":"hello","topic":"user:u1:victim","p":{}}`

// answers are documents that no transform may give.
func answers() []attack {
	deep := `{"t":"a","topic":"user:u1:victim","p":{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}}`
	var attacks []attack
	for _, c := range []struct{ name, answer, says string }{
		{"plain text", `hello`, ""},
		{"a number", `42`, "neither an object nor an array"},
		{"an object that does not end", `{"t":"a"`, ""},
		{"two objects", envelope + envelope, ""},
		{"no t", `{"topic":"user:u1:victim","p":{}}`, "t"},
		{"no topic", `{"t":"a","p":{}}`, "topic"},
		{"no p", `{"t":"a","topic":"user:u1:victim"}`, "p"},
		{"t as a number", `{"t":5,"topic":"user:u1:victim","p":{}}`, "t"},
		{"p as a text", `{"t":"a","topic":"user:u1:victim","p":"x"}`, "p"},
		{"a wildcard topic", `{"t":"a","topic":"user:*","p":{}}`, "topic"},
		{"a topic of no form", `{"t":"a","topic":"::","p":{}}`, "topic"},
		{"a priority of 11", `{"t":"a","topic":"user:u1:victim","p":{},"pri":11}`, "pri"},
		{"a field that the contract does not have", `{"t":"a","topic":"user:u1:victim","p":{},"seq":1}`, "seq"},
		{"a field twice", `{"t":"a","t":"b","topic":"user:u1:victim","p":{}}`, "t"},
		{"an empty array", `[]`, "without an envelope"},
		{"65 envelopes", "[" + strings.Repeat(envelope+",", 64) + envelope + "]", "envelopes_per_event_max"},
		{"one envelope that is wrong among good ones", "[" + envelope + "," + envelope + `,{"t":"a"}]`, "[2]"},
		{"text that is not UTF-8", "{\"t\":\"\xff\xfe\",\"topic\":\"user:u1:victim\",\"p\":{}}", ""},
		{"a control character", "{\"t\":\"a\\u0000\",\"topic\":\"user:u1:victim\",\"p\":{}}", "t"},
		{"brackets five thousand deep", deep, ""},
		{"NaN", `{"t":"a","topic":"user:u1:victim","p":{"a":NaN}}`, ""},
		{"more than a megabyte", `{"t":"a","topic":"user:u1:victim","p":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`, "out_kib"},
	} {
		attacks = append(attacks, failsWith("violation", "answers "+c.name, c.says, saying(c.answer)))
	}
	return attacks
}

// patient modules behave for a while.
func patient() []attack {
	const at = 1 << 12
	counted := func(limit int64) []byte { // true once the counter at 1024 has passed limit
		return w.Cat(w.I32Const(1024), w.I32Const(1024), []byte{0x28, 2, 0}, w.I32Const(1), []byte{0x6a, 0x36, 2, 0},
			w.I32Const(1024), []byte{0x28, 2, 0}, w.I32Const(limit), []byte{0x4a})
	}
	later := transform(counted(3), []byte{0x04, 0x40, 0x00, 0x0b}, w.Pack(at, len(envelope)))
	later.Data = []w.Data{{At: at, Bytes: []byte(envelope)}}
	spoiler := transform(w.I32Const(0), w.I32Const('x'), w.I32Const(4<<16), []byte{0xfc, 11, 0}, w.I64Const(1))
	hungry := transform(w.I32Const(100), []byte{0x40, 0, 0x1a}, w.Pack(at, len(envelope)))
	hungry.Data = []w.Data{{At: at, Bytes: []byte(envelope)}}
	// The buffer is good when the instance is made, and elsewhere when a larger one is asked for.
	moving := transform(w.I64Const(1))
	moving.Funcs[2].Code = w.Cat(w.LocalGet(0), w.I32Const(65_536), []byte{0x4b, 0x04, w.I32}, w.I32Const(-8), []byte{0x05}, w.I32Const(w.Buffer), []byte{0x0b})
	shrinking := transform(w.I64Const(1))
	shrinking.Funcs[2].Code = w.Cat(w.LocalGet(0), w.I32Const(65_536), []byte{0x4b, 0x04, w.I32, 0x00, 0x05}, w.I32Const(w.Buffer), []byte{0x0b})
	return []attack{
		{name: "answers three times and then traps, in every instance", module: later.Bytes(), kind: "trap", says: "unreachable",
			calls: []string{"published", "published", "published", "dead_letter", "published", "published", "published", "dead_letter"}},
		{name: "fills its own memory, input included, and passes on", module: spoiler.Bytes(), calls: []string{"published", "published"}},
		{name: "takes all the memory it may have", module: hungry.Bytes(), calls: []string{"published", "published"}},
		{name: "has its larger buffer outside the memory", module: moving.Bytes(), kind: "", says: "wse_buffer", event: 100_000},
		{name: "traps when asked for a larger buffer", module: shrinking.Bytes(), kind: "trap", says: "", event: 100_000},
	}
}
