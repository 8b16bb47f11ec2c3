// Package plugin is the WebAssembly host: it loads plugins, checks and meters them, keeps their instances, and calls
// their hooks. The contract with a guest is sdk/ABI.md; package sdk/abi holds its names.
//
// Nothing that a module does may harm the engine. A file goes through the admission scan (package scan), is rewritten so
// that it pays for what it executes (package meter), is compiled in a child process, and runs in a memory of limited
// size with the few imports of ABI.md. An instance that trapped, ran out of fuel or broke the contract is closed and
// replaced; after several such calls in a row a breaker keeps the plugin quiet for a while.
//
// What serves is changed one plugin at a time, or all at once by a reload: a version is made ready aside, recorded, and put
// into a copy of the table of what serves. The record of each plugin says which versions are kept and in which order they
// served; it outlives the process where [Deps] has a place for it.
//
// Ownership: a [Host] is safe for concurrent use. It starts one goroutine for each shadow that runs, which Close waits for.
// The plugins that serve are a table behind one atomic pointer; every call holds a reference to the table it began with, and
// whoever replaced that waits for them and closes what only that table used. A version is held by the tables it is in, by a
// candidate, a trial, a shadow or a strategy; the last to let go of it closes it. An instance is out of its pool while it is called and
// belongs to the calling goroutine for that time; that goroutine may ask about the events of others too, who wait for it and
// whose documents and answers are its own until then. A [Strategy] has an instance of its own, beside the pool, and holds its
// version until it is closed; it belongs to one goroutine at a time. Changes of what serves and of what is kept are serialised
// by Host.mu; no hook is called under it, and nothing is compiled.
package plugin
