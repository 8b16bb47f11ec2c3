// Package admin serves the operators' and publishers' HTTP API (PROTOCOL §1): publishing, topics, connections, history,
// plugins, dead letters, reload, health, Prometheus metrics, pprof, and a status page. It has a listener of its own, never
// the clients'.
//
// # Who may use it
//
// With a token set, everything but /metrics needs "Authorization: Bearer TOKEN", and a listener that is not loopback is
// refused without one. Without a token whoever reaches the loopback listener may use it, except web pages: a request that
// names another host than a loopback one (DNS rebinding) or comes from another origin is refused.
//
// Errors are application/problem+json (RFC 9457) with a code, the one that WebSocket clients would see.
//
// # Ownership
//
// A Server is run once. Handlers run on net/http's goroutines, any number at a time, and hold no lock of their own; what
// they call through the interfaces below has to be safe for that. Run waits for them, for at most shutdown_timeout.
package admin
