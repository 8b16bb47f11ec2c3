package conformance

import (
	"fmt"
	"slices"
)

// edges are the payload lengths round which the form of the length field changes (RFC 6455 §5.2).
func edges() []int {
	return []int{0, 1, 2, 124, 125, 126, 127, 128, 254, 255, 256, 65534, 65535, 65536, 65537}
}

// framing echoes every edge length, whole and in pieces.
func framing() []scenario {
	var list []exchange
	for _, n := range edges() {
		t, b := text(repeat(n)), binaryFrame(octets(n))
		list = append(list,
			exchange{name: fmt.Sprintf("RFC 6455 §5.6: a text message of %d bytes is echoed", n), send: []frame{t}, want: []frame{t}},
			exchange{name: fmt.Sprintf("RFC 6455 §5.6: a binary message of %d bytes is echoed", n), send: []frame{b}, want: []frame{b}},
		)
		for _, chunk := range []int{1, 3, 997} {
			if n/chunk > 1000 || n < chunk && chunk > 1 {
				continue
			}
			list = append(list, exchange{
				name: fmt.Sprintf("RFC 6455 §5.2: a binary message of %d bytes that comes %d at a time is echoed", n, chunk),
				send: []frame{b}, chunk: chunk, want: []frame{b},
			})
		}
	}
	for _, chunk := range []int{1, 2, 5, 7, 11, 13} {
		messages := []frame{text("first"), binaryFrame(octets(200)), text(""), text("żółw 🐢"), binaryFrame(octets(3))}
		list = append(list, exchange{
			name: fmt.Sprintf("RFC 6455 §5.4: messages one behind another that come %d bytes at a time stay apart and in order", chunk),
			send: messages, chunk: chunk, want: messages,
		})
	}
	many := slices.Repeat([]frame{text("again")}, 2000)
	return scenarios(append(list,
		exchange{name: "RFC 6455 §5.4: 2,000 messages in one write are echoed in order", send: many, want: many},
		exchange{name: "RFC 6455 §5.3: every masking key is undone", send: masks(), want: masks()},
		exchange{name: "RFC 6455 §5.1: an unmasked text frame is refused", send: []frame{text("bare").bare()}, code: 1002},
		exchange{name: "RFC 6455 §5.1: an unmasked empty frame is refused", send: []frame{text("").bare()}, code: 1002},
		exchange{name: "RFC 6455 §5.1: an unmasked ping is refused", send: []frame{ping("bare").bare()}, code: 1002},
		exchange{name: "RFC 6455 §5.1: an unmasked close is refused", send: []frame{closeWith(1000, "").bare()}, code: 1002},
		exchange{name: "RFC 6455 §5.1: what came before an unmasked frame is echoed", send: []frame{text("good"), text("bare").bare()},
			want: []frame{text("good")}, code: 1002},
		exchange{name: "RFC 6455 §7.1.7: what follows a fault is ignored", send: []frame{text("bare").bare()}, after: wire(text("late"), ping("late")), code: 1002},
		exchange{name: "RFC 6455 §7.1.1: the close frame arrives though a megabyte follows the fault", send: []frame{text("bare").bare()},
			after: octets(1 << 20), code: 1002},
	))
}

func masks() []frame {
	var list []frame
	for _, key := range [][4]byte{{}, {0xff, 0xff, 0xff, 0xff}, {1, 2, 3, 4}, {0, 0, 0, 0x80}, {'a', 'b', 'c', 'd'}} {
		for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 1000} {
			list = append(list, text(repeat(n)).masking(key))
		}
	}
	return list
}

// lengths are those that a header must not announce.
func lengths() []scenario {
	var list []exchange
	for _, n := range []int{0, 1, 125} {
		list = append(list, exchange{
			name: fmt.Sprintf("RFC 6455 §5.2: the length %d in 16 bits is not the shortest form and is refused", n),
			send: []frame{text(repeat(n)).written(form16)}, code: 1002,
		})
	}
	for _, n := range []int{0, 1, 125, 126, 65535} {
		list = append(list, exchange{
			name: fmt.Sprintf("RFC 6455 §5.2: the length %d in 64 bits is not the shortest form and is refused", n),
			send: []frame{binaryFrame(octets(n)).written(form64)}, code: 1002,
		})
	}
	for _, n := range []uint64{1 << 63, 1<<63 + 5, 1<<64 - 1} {
		list = append(list, exchange{
			name: fmt.Sprintf("RFC 6455 §5.2: a length of %#x has its highest bit set and is refused", n),
			raw:  binaryFrame(nil).announcing(n).bytes(), code: 1002,
		})
	}
	for _, n := range []uint64{16<<20 + 1, 1 << 31, 1 << 32, 1 << 62, 1<<63 - 1} {
		list = append(list, exchange{
			name: fmt.Sprintf("RFC 6455 §10.4: a length of %d is refused at the header", n),
			raw:  binaryFrame(nil).announcing(n).bytes(), code: 1009,
		})
	}
	return scenarios(list)
}

// bits sets what is reserved: RSV bits and opcodes.
func bits() []scenario {
	var list []exchange
	for rsv := byte(1); rsv <= 7; rsv++ {
		for _, f := range []frame{text("reserved"), binaryFrame(octets(3)), text(""), ping("reserved"), pong("reserved"), closeWith(1000, "")} {
			list = append(list, exchange{
				name: fmt.Sprintf("RFC 6455 §5.2: RSV bits %03b on %s are refused without an extension", rsv, f),
				send: []frame{text("before"), f.with(rsv << 4), text("behind")}, want: []frame{text("before")}, code: 1002,
			})
		}
		list = append(list, exchange{
			name: fmt.Sprintf("RFC 6455 §5.2: RSV bits %03b on a frame that comes an octet at a time are refused", rsv),
			send: []frame{text("before"), text("reserved").with(rsv << 4)}, chunk: 1, want: []frame{text("before")}, code: 1002,
		}, exchange{
			name: fmt.Sprintf("RFC 6455 §5.2: RSV bits %03b on a continuation are refused", rsv),
			send: []frame{text("one").more(), continuation("two").with(rsv << 4)}, code: 1002,
		})
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		reserved := frame{op: op}
		full := frame{op: op, payload: []byte("reserved")}
		list = append(list,
			exchange{name: fmt.Sprintf("RFC 6455 §5.2: the reserved opcode %d is refused", op), send: []frame{reserved}, code: 1002},
			exchange{name: fmt.Sprintf("RFC 6455 §5.2: the reserved opcode %d with a payload is refused", op), send: []frame{full}, code: 1002},
			exchange{name: fmt.Sprintf("RFC 6455 §5.2: the reserved opcode %d behind a message is refused and the message echoed", op),
				send: []frame{text("before"), full, ping("behind")}, want: []frame{text("before")}, code: 1002},
			exchange{name: fmt.Sprintf("RFC 6455 §5.2: the reserved opcode %d inside a message is refused", op),
				send: []frame{text("one").more(), full, continuation("two")}, code: 1002},
			exchange{name: fmt.Sprintf("RFC 6455 §5.2: the reserved opcode %d is refused an octet at a time", op),
				send: []frame{text("before"), full}, chunk: 1, want: []frame{text("before")}, code: 1002},
		)
	}
	return scenarios(list)
}

// controls are pings and pongs.
func controls() []scenario {
	var list []exchange
	for _, n := range []int{0, 1, 124, 125} {
		list = append(list,
			exchange{name: fmt.Sprintf("RFC 6455 §5.5.3: a ping of %d bytes is answered by a pong with the same bytes", n),
				send: []frame{ping(repeat(n))}, want: []frame{pong(repeat(n))}},
			exchange{name: fmt.Sprintf("RFC 6455 §5.5.3: a ping of %d bytes that comes an octet at a time is answered", n),
				send: []frame{ping(repeat(n))}, chunk: 1, want: []frame{pong(repeat(n))}},
			exchange{name: fmt.Sprintf("RFC 6455 §5.5.3: an unsolicited pong of %d bytes is ignored", n),
				send: []frame{pong(repeat(n)), text("go on")}, want: []frame{text("go on")}},
		)
	}
	for _, n := range []int{126, 127, 65535, 65536} {
		for _, f := range []frame{{op: opPing, payload: octets(n)}, {op: opPong, payload: octets(n)}} {
			list = append(list, exchange{name: fmt.Sprintf("RFC 6455 §5.5: %s is over 125 bytes and refused", f), send: []frame{f}, code: 1002})
		}
	}
	for _, f := range []frame{ping(""), ping("part"), pong("part"), closeWith(1000, "part")} {
		list = append(list, exchange{name: fmt.Sprintf("RFC 6455 §5.5: %s without FIN is refused", f), send: []frame{f.more()}, code: 1002})
	}
	ten, answers := make([]frame, 10), make([]frame, 10)
	for i := range ten {
		ten[i], answers[i] = ping(fmt.Sprint("ping ", i)), pong(fmt.Sprint("ping ", i))
	}
	list = append(list,
		exchange{name: "RFC 6455 §5.5.2: ten pings are answered in order", send: ten, want: answers},
		exchange{name: "RFC 6455 §5.5.2: ten pings that come an octet at a time are answered in order", send: ten, chunk: 1, want: answers},
		exchange{name: "RFC 6455 §5.5.3: a ping's bytes need not be text", send: []frame{{op: opPing, payload: octets(125)}},
			want: []frame{{op: opPong, payload: octets(125)}}},
		exchange{name: "RFC 6455 §5.5.3: a ping of 0x00 0xff 0xfe is answered", send: []frame{ping("\x00\xff\xfe\xfd\xfc\xfb\x00\xff")},
			want: []frame{pong("\x00\xff\xfe\xfd\xfc\xfb\x00\xff")}},
		exchange{name: "RFC 6455 §5.5.3: unsolicited pongs and pings mixed", send: []frame{pong("a"), ping("b"), pong("c"), pong(""), ping("d")},
			want: []frame{pong("b"), pong("d")}},
		exchange{name: "RFC 6455 §5.5.2: pings between messages keep their place", send: []frame{text("1"), ping("2"), text("3"), ping("4")},
			want: []frame{text("1"), pong("2"), text("3"), pong("4")}},
	)
	return append(scenarios(list), scenario{"RFC 6455 §5.5.3: of 2,000 pings at once the last is answered, and the answered ones in order", floodOfPings})
}

// fragmentation is RFC 6455 §5.4.
func fragmentation() []scenario {
	list := append(slices.Clone(goodFragments()), badFragments()...)
	for _, chunk := range []int{1, 2, 3, 7} {
		list = append(list, exchange{
			name: fmt.Sprintf("RFC 6455 §5.4: fragments with pings between them, %d bytes at a time", chunk),
			send: []frame{text("frag").more(), ping("1"), continuation("ment").more(), ping("2"), pong("3"), continuation("ed")},
			want: []frame{pong("1"), pong("2"), text("fragmented")}, chunk: chunk,
		})
	}
	for _, n := range []int{2, 10, 100, 1000, 10_000} {
		fragments := []frame{text("x").more()}
		for range n - 2 {
			fragments = append(fragments, continuation("x").more())
		}
		whole := text("")
		for range n {
			whole.payload = append(whole.payload, 'x')
		}
		list = append(list, exchange{name: fmt.Sprintf("RFC 6455 §5.4: a message of %d fragments of one byte is put together", n),
			send: append(fragments, continuation("x")), want: []frame{whole}})
	}
	return scenarios(list)
}

func goodFragments() []exchange {
	return []exchange{
		{name: "RFC 6455 §5.4: a text message of two fragments", send: []frame{text("frag").more(), continuation("ment")}, want: []frame{text("fragment")}},
		{name: "RFC 6455 §5.4: a binary message of three fragments",
			send: []frame{binaryFrame(octets(300)).more(), {op: opContinuation, payload: octets(70_000), notFinal: true}, {op: opContinuation, payload: octets(5)}},
			want: []frame{binaryFrame(slices.Concat(octets(300), octets(70_000), octets(5)))}},
		{name: "RFC 6455 §5.4: fragments without a byte make an empty message", send: []frame{text("").more(), continuation("").more(), continuation("")},
			want: []frame{text("")}},
		{name: "RFC 6455 §5.4: only the middle fragment has bytes", send: []frame{text("").more(), continuation("middle").more(), continuation("")},
			want: []frame{text("middle")}},
		{name: "RFC 6455 §5.4: only the last fragment has bytes", send: []frame{binaryFrame(nil).more(), continuation("last")},
			want: []frame{binaryFrame([]byte("last"))}},
		{name: "RFC 6455 §5.4: a ping between fragments is answered before the message ends", send: []frame{text("frag").more(), ping("now"), continuation("ment")},
			want: []frame{pong("now"), text("fragment")}},
		{name: "RFC 6455 §5.4: a pong between fragments is ignored", send: []frame{text("frag").more(), pong("hm"), continuation("ment")},
			want: []frame{text("fragment")}},
		{name: "RFC 6455 §5.4: fragmented messages one behind another",
			send: []frame{text("a").more(), continuation("b"), binaryFrame([]byte("c")).more(), continuation("d"), text("e")},
			want: []frame{text("ab"), binaryFrame([]byte("cd")), text("e")}},
		{name: "RFC 6455 §5.5.1: a close between fragments is answered, the message is lost", send: []frame{text("frag").more(), closeWith(1000, ""), continuation("ment")},
			after: []byte{}, code: 1000},
	}
}

func badFragments() []exchange {
	var list []exchange
	for _, f := range []frame{continuation("stray"), continuation("stray").more(), continuation(""), continuation("").more()} {
		list = append(list,
			exchange{name: fmt.Sprintf("RFC 6455 §5.4: %s that continues nothing is refused", f), send: []frame{f}, code: 1002},
			exchange{name: fmt.Sprintf("RFC 6455 §5.4: %s behind a whole message is refused", f), send: []frame{text("whole"), f, text("x")},
				want: []frame{text("whole")}, code: 1002},
			exchange{name: fmt.Sprintf("RFC 6455 §5.4: %s behind a fragmented message is refused", f),
				send: []frame{text("wh").more(), continuation("ole"), f}, want: []frame{text("whole")}, code: 1002},
		)
	}
	for _, f := range []frame{text("second"), binaryFrame([]byte("second")), text(""), text("second").more(), binaryFrame(nil).more()} {
		list = append(list,
			exchange{name: fmt.Sprintf("RFC 6455 §5.4: %s inside a text message is refused", f), send: []frame{text("first").more(), f}, code: 1002},
			exchange{name: fmt.Sprintf("RFC 6455 §5.4: %s inside a binary message, behind a ping, is refused", f),
				send: []frame{binaryFrame([]byte("first")).more(), ping("x"), f}, want: []frame{pong("x")}, code: 1002},
		)
	}
	return list
}
