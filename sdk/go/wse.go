// Package wse is the Go SDK for plugins of the engine: the exports of ABI v1, a JSON reader and writer that allocate
// nothing per call, logging and metrics.
//
// A plugin is a main package that exports its hooks and nothing else. Each is one line, and only what is written there
// is in the module:
//
//	//go:wasmexport wse_transform
//	func wseTransform(n int32) wse.Result { return wse.Call(n, transform) }
//
//	//go:wasmexport wse_transform_batch
//	func wseTransformBatch(n int32) wse.Result { return wse.Batch(n, transform) }
//
//	func main() {}
//
// What the plugin does is an ordinary function that reads one document and writes one answer. It knows nothing of
// WebAssembly and can be tested with go test, by Try:
//
//	func transform(in *wse.Reader, out *wse.Writer) wse.Result {
//		in.Object()
//		for in.Member() {
//			in.Skip()
//		}
//		if !in.Close() {
//			return out.Error("not an event")
//		}
//		return wse.Yes
//	}
//
// The package needs no reflection, no maps and no garbage collector at work, so that it serves both the Go toolchain
// (1.24 or newer, GOOS=wasip1 GOARCH=wasm, -buildmode=c-shared) and TinyGo.
//
// # Ownership
//
// A module has one Reader and one Writer; Call and Batch lend them to the hook until it returns. A document, and every
// slice that the Reader gives of it, is good until the hook returns; what Key and Text had to decode, until they are called
// again. Copy what must live longer. Nothing here may be used from two goroutines.
package wse

import "runtime"

// Result is what a hook returns to the engine (sdk/ABI.md §2). It is made by No, Yes, ErrorCode and by the Writer.
type Result uint64

// The results without an answer. No is zero: a half-written plugin drops and denies.
const (
	No  Result = 0 // transform: drop; authorize: deny; validate: invalid
	Yes Result = 1 // transform: not mine, ask the next plugin; authorize: allow; validate: valid; configure: ready
)

// The error numbers that the SDK itself returns.
const (
	ErrorTooLong  = 1 // the answer did not fit OutputMax bytes
	ErrorNoBuffer = 2 // the document is longer than the buffer that the engine was given
)

// InputMax bounds a document in bytes. The engine has a limit of its own, usually lower.
const InputMax = 4 << 20

const errorBit Result = 1 << 63

// ErrorCode is the result for an error that has a number and no text.
func ErrorCode(code uint32) Result { return errorBit | Result(code) }

// kind takes a result apart as far as a batch needs it.
func (r Result) kind() (tag uint32, isText bool, code uint32) {
	text := r&^errorBit>>32 != 0
	switch {
	case r&errorBit != 0:
		return tagError, text, uint32(r)
	case text:
		return tagData, true, 0
	}
	return uint32(r), false, 0
}

// Hook is what a plugin's author writes: it reads a document and returns a result, which out makes where there is an
// answer or an error text. For wse_configure the document is the plugin's configuration, and the result Yes or an error.
type Hook func(in *Reader, out *Writer) Result

// state is all that one instance of a module keeps between calls.
type state struct {
	input []byte
	in    Reader
	out   Writer
}

// guest is the guest state: a module's exports are functions without a receiver, and share it. An instance is called by
// one thread at a time.
var guest state

// buffer makes room for a document of n bytes and reports whether there is.
func (s *state) buffer(n int32) bool {
	if n < 0 || n > InputMax {
		return false
	}
	if int(n) > len(s.input) {
		s.input = nil
		s.input = newBuffer(int(n))
	}
	s.out.prepare()
	return len(s.input) > 0
}

// newBuffer is where large blocks come from. A module's memory has a limit that the collector does not know of, and
// running into it is a trap; so what is no longer needed goes first.
func newBuffer(n int) []byte {
	if n >= 2<<20 {
		runtime.GC()
	}
	return make([]byte, n)
}

// document is the first n bytes of the input buffer.
func (s *state) document(n int32) (doc []byte, ok bool) {
	if n < 0 || int(n) > len(s.input) {
		return nil, false
	}
	return s.input[:n], true
}

// Call runs a hook on the document of n bytes that the engine has written. It is the body of every export but
// wse_transform_batch.
func Call(n int32, hook Hook) Result { return guest.call(n, hook) }

func (s *state) call(n int32, hook Hook) Result {
	doc, ok := s.document(n)
	if !ok {
		return ErrorCode(ErrorNoBuffer)
	}
	s.in.Open(doc)
	s.out.start = 0
	s.out.Begin()
	return hook(&s.in, &s.out)
}
