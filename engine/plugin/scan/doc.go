// Package scan admits or refuses a WebAssembly module before any other program looks at it. It walks the binary once,
// checks every count, size and index against a limit, and hands back the module's shape, which is all that the metering
// rewriter needs. It checks structure and index spaces only: operand types are for the compiler, which validates the
// rewritten module whatever this package thought of it.
//
// The reason for a walk of our own is that decoders trust counts: a module of 21 bytes makes one ask for 16 GiB. The
// comment at each field of [Limits] names the attack that the limit stops.
//
// The accepted language is WebAssembly 2.0 without shared or 64-bit memories, garbage collection, exceptions, tail calls
// and extended constant expressions. Where the specification lets an encoder choose (over-long LEB128 forms), the walk
// accepts only what the compiler behind it reads in the same way.
//
// Ownership: a [Module] belongs to the caller and refers to the scanned bytes; nothing is shared between scans.
package scan
