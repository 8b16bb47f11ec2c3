// Package trading serves what protocol v1 asks about trading sessions, strategies, results and collections
// (engine/dialect/PROTOCOL.md §3.3–3.6). The packages below it do the parts that need no client: ledger keeps the books,
// execution runs strategies on ticks, collection writes and reads ticks, strategies keeps the strategies' files, market reads
// ticks.
//
// A session is known by its id for as long as its document is kept. It runs on a goroutine of its own, which alone touches
// its run: requests about it are handed to that goroutine or answered from what it showed last.
//
// Where there are several nodes, one of them is the home of a user's trading: what he asks of another is passed on to it, so all that
// holds on one node holds for him on many, a repeated start included. Every node knows how the sessions of all stand ([Registry]). One
// that ran on a node that died is in the state error with the reason node_lost, for its status, in lists, and where its results are
// asked for, until the node is back with what it kept; then it is stopped, as after any restart. Where the others cannot be
// seen, what is here is answered, and everything else is refused as unavailable: half a list would look like a whole one.
//
// Ownership: a [Trading] may be used by any number of goroutines. mu of Trading is never held while a plugin, the broker, the
// disk or a session's goroutine is waited for; a session's mu is taken inside it, never the other way round.
package trading
