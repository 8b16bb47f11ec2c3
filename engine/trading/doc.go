// Package trading serves what protocol v1 asks about trading sessions, strategies, results and collections
// (engine/dialect/PROTOCOL.md §3.3–3.6). The packages below it do the parts that need no client: ledger keeps the books,
// execution runs strategies on ticks, collection writes and reads ticks, strategies keeps the strategies' files, market reads
// ticks.
//
// A session is known by its id for as long as its document is kept. It runs on a goroutine of its own, which alone touches
// its run: requests about it are handed to that goroutine or answered from what it showed last.
//
// Ownership: a [Trading] may be used by any number of goroutines. mu of Trading is never held while a plugin, the broker, the
// disk or a session's goroutine is waited for; a session's mu is taken inside it, never the other way round.
package trading
