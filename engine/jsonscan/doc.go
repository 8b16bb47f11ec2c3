// Package jsonscan reads JSON (RFC 8259) without building anything from it. It walks objects and arrays, handing out the
// raw bytes of each value, and is strict about all it passes over: when an iteration ends without an error, the whole text
// was one valid value in valid UTF-8. It exists because a request is read for every frame and encoding/json takes four
// to five times as long and fourteen allocations (BenchmarkSubscribe).
//
// What lies in the bytes is never copied: keys and values are parts of the given data, except a key or text that holds
// escapes. Nothing is allocated otherwise, errors apart.
//
// Duplicate keys are handed out as often as they come; the caller decides between them. A switch over the keys that
// assigns what it finds keeps the last, as encoding/json does.
//
// # Ownership
//
// The package has no state. An Iterator belongs to one goroutine; the data must not change while it and its results are
// in use.
package jsonscan
