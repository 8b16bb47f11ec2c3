// Package conformance holds the cases of RFC 6455 (WebSocket) and RFC 7692 (permessage-deflate) that the engine has to
// pass, in the manner of the Autobahn test suite: a raw TCP peer, which shares no code with the engine, talks to the built
// program. Every case is named after the section it tests and runs against both pollers.
//
// The peer of most cases is /echo (debug.echo), which returns each data message through the same read and write path that
// every other message takes.
//
// Ownership: each case has a connection of its own and runs on one goroutine, with one more that writes; all cases of a
// poller share one server process.
package conformance
