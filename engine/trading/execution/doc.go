// Package execution runs the strategies of one trading session: ticks go in, strategies say what they want, orders are checked
// against the budget and filled, and everything is booked in the session's [ledger.Ledger]. It does no I/O, starts no
// goroutine and reads no clock; time is the ticks'.
//
// # A run
//
// [New] makes a [Run] on a ledger. [Run.Add] gives it the instance of a strategy, [Run.Activate] opens a handle of it for a
// symbol; then [Run.Ticks] feeds batches of ticks of one symbol at a time. [Run.End] cancels what is pending. What happens in between goes to a
// [Sink] as it happens; what it came to is asked of the ledger.
//
// A tick is dropped and counted when it is older than its symbol's last one, or when it is none. What a run does depends on
// the sequence of ticks alone, and not on how they are cut into batches: of 1, of 7 or of 4096, events, fills and figures are the
// same, also where several strategies share a symbol and run ahead of each other inside a batch. For each tick of a symbol, in this order:
//
//  1. Orders from earlier ticks that this tick fills are filled, in the order in which they were given.
//  2. The ledger takes the tick: positions are valued, equity is looked at.
//  3. Strategies that something happened to are told (update) before they see the tick.
//  4. Strategies see the tick (ticks).
//  5. What they said to it takes effect, strategy by strategy in the order of activation: signals are counted, orders checked and accepted or
//     refused. What is refused or cancelled here is told before the symbol's next tick.
//
// A strategy on one symbol that has nothing to be told learns of equity that others moved — by a fill of another strategy or symbol —
// before the first tick of the next minute (UTC) of its symbol. It hears of its own fills, with the equity then, at once.
//
// # Fills
//
// In [Simulate], an order given at one tick of a symbol is filled at a later one, never at the same: a market order at the
// next, at its price moved by the slippage to the disadvantage of the order; a limit order at the first whose price is the
// limit or better, at that price. The fee is so many basis points of what the fill came to. An order by notional becomes the quantity that this buys at the fill's
// price, rounded down. Orders are filled whole.
//
// In [External], orders are handed to Config.Intents, and what becomes of them is told by [Run.Report], each execution
// once. In [Observe], every order is refused with [ReasonNoSession].
//
// # Budget
//
// What a strategy has committed is, over all symbols, what its positions cost to enter and what its pending orders would
// add: for each, the part by which it opens or enlarges a position, at its limit or at the last price. An order that opens
// or enlarges a position, less the cost of what it closes first, is refused with [ReasonBudget] if it would take its strategy over its allocation, or all strategies together over the global
// cap; without a budget, with [ReasonEquity] if all would be over the session's equity times LeverageMax. Orders that only close pass always. One that
// passed because it closed a position which is gone when it is filled is checked again then.
//
// # Failures
//
// A strategy that fails stops the run: the call returns a [Failure], which says which strategy, on which plugin, and why, and every later call
// of Ticks returns it again. The ledger is as of the last tick before the call that failed, and everything in it can still be read.
//
// # Ownership
//
// A [Run], its ledger and its strategies belong to one goroutine at a time. Sinks and Intents are called on it and must not
// call back; what they are given is good until they return, unless it says otherwise.
package execution
