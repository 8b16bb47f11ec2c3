// Package scenario runs the black-box scenarios in test/scenarios against a built engine: it starts the program as a child
// process, connects real WebSocket clients to its public port and publishes through its admin API. It knows nothing of
// the engine's packages. The language is described in test/README.md.
//
// Ownership: a Runner belongs to one goroutine. Each client has a goroutine that reads its socket and hands messages over
// through a channel; it ends when the socket does, and Runner.Close waits for it.
package scenario
