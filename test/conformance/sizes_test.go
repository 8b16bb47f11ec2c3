package conformance

import "fmt"

// sizes are large messages, whole, in frames and in pieces (RFC 6455 §5.4, §10.4).
func sizes() []scenario {
	var list []exchange
	for _, kib := range []int{128, 256, 1 << 10, 4 << 10, 16 << 10} {
		t, b := text(repeat(kib<<10)), binaryFrame(octets(kib<<10))
		list = append(list,
			exchange{name: fmt.Sprintf("RFC 6455 §5.6: a text message of %d KiB is echoed", kib), send: []frame{t}, want: []frame{t}},
			exchange{name: fmt.Sprintf("RFC 6455 §5.6: a binary message of %d KiB is echoed", kib), send: []frame{b}, want: []frame{b}},
		)
	}
	for _, size := range []int{64, 256, 1 << 10, 4 << 10, 64 << 10, 256 << 10, 1 << 20} {
		b := octets(4 << 20)
		list = append(list, exchange{name: fmt.Sprintf("RFC 6455 §5.4: 4 MiB in fragments of %d bytes are echoed", size),
			send: split(b, size), want: []frame{binaryFrame(b)}})
	}
	for _, chunk := range []int{64, 997, 4096, 65_537} {
		t := text(repeat(1 << 20))
		list = append(list, exchange{name: fmt.Sprintf("RFC 6455 §5.2: a text message of 1 MiB that comes %d bytes at a time is echoed", chunk),
			send: []frame{t}, chunk: chunk, want: []frame{t}})
	}
	for _, n := range []int{0, 16, 256, 4096, 65_536} {
		count := min(1000, max(16, 4<<20/max(1, n)))
		var messages []frame
		for range count {
			messages = append(messages, binaryFrame(octets(n)))
		}
		list = append(list, exchange{name: fmt.Sprintf("RFC 6455 §5.4: %d messages of %d bytes without a pause are echoed in order", count, n),
			send: messages, want: messages})
	}
	whole := octets(16<<20 + 1)
	return scenarios(append(list, exchange{
		name: "RFC 6455 §10.4: fragments that add up to more than 16 MiB are refused", send: split(whole, 1<<20), after: []byte{}, code: 1009,
	}))
}

// split makes a binary message of frames of n bytes.
func split(b []byte, n int) []frame {
	list := []frame{binaryFrame(b[:n]).more()}
	for b = b[n:]; len(b) > n; b = b[n:] {
		list = append(list, frame{op: opContinuation, payload: b[:n], notFinal: true})
	}
	return append(list, frame{op: opContinuation, payload: b})
}
