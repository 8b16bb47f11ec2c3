// Package guests builds every guest of the repository from its source, as an author would, and runs it as the engine does:
// the example plugins in all languages against their vectors and against each other, and the guests of the compatibility
// kit.
//
// Ownership: every guest belongs to the test that opened it.
package guests
