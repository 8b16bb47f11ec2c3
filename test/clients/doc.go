// Package clients lets client libraries that others wrote talk to the built program: gorilla/websocket and coder/websocket
// in Go, ws and undici and Node's own WebSocket in JavaScript, and the WebSocket of a headless Chromium, which is driven
// through playwright-core and runs the very file that the JavaScript libraries run (js/scenarios.mjs).
//
// It is a module of its own, so that the product depends on none of them. `go test ./...` in this directory does its own
// set-up: it builds the program, runs `npm ci`, and has .ci/setup install Node and Chromium where it may. Where there is no
// Chromium the test fails, unless WSE_SKIP_BROWSER=1 says that it is known.
//
// Ownership: one server process serves all tests; each library has a user of its own, and so topics of its own.
package clients
