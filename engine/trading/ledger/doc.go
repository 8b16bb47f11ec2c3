// Package ledger keeps the one set of books of a trading session: what was ordered, filled and paid, what is held and what
// it is worth. Every number that leaves a session — by WebSocket, by HTTP, as a metric — comes from here. It does no I/O,
// starts no goroutine, reads no clock and knows nothing of plugins or protocols.
//
// # Books
//
// A book is what one strategy does with one symbol. Whatever is booked is posted to four places by one function: the book,
// its strategy, its symbol and the session. So the session is the sum of its symbols, of its strategies and of its books,
// by construction and to the last digit. An entry has four lines: cash, inventory (what the position cost), realized
// profit, and fees; what leaves cash and does not enter inventory was realized or paid as a fee, so that for every book at
// all times
//
//	cash + inventory = realized − fees
//	equity = initial balance + realized − fees + unrealized = initial balance + cash + market value
//
// # Numbers
//
// Money and quantities are an [Amount], exact to eight decimals; a [Price] has up to nineteen digits and nineteen decimals.
// Where a product or a quotient has more, it is rounded half to even, once; quantities bought for an amount are rounded
// down. What does not fit is an [ErrOverflow], and then nothing was booked. A tick's price is the shortest decimal number that
// reads back as the same float64.
//
// # Positions
//
// A position is long (quantity above 0) or short, with average cost: closing a part releases the same part of its cost and of
// the fees that were paid for entering. A fill larger than an opposite position closes it and opens the other
// direction with the rest; its fee is split by quantity. Each fill that closes something makes a trade: its entry price is the average
// of the position's, its exit price that of the fill, its fees are the released part of those for entering and those for
// closing, its net result is what it realized less these fees.
//
// # What the figures mean
//
//   - wins are trades with a net result above 0, losses those below 0, the win rate is wins / trades.
//   - equity is looked at after every accepted tick of any symbol; a fill counts from the next tick on (an execution books
//     fills before the tick at whose price they happen), or from [Ledger.Settle].
//   - max drawdown is the largest fall from a peak of equity to a later value, in money; max drawdown percent is the
//     largest one in percent of the peak before it. They may be different falls. The first peak is the initial balance. That of a part (symbol or
//     strategy) is the drawdown of an account which had the initial balance and that part only.
//   - a daily return is the last equity of a UTC day over that of the day before, less 1; before the first day comes the
//     initial balance, and the last day counts as far as it has come. Days without ticks count and return 0. Sharpe is
//     mean / standard deviation (of a sample, n − 1) × √365, Sortino is mean / √(Σ min(r, 0)² / n) × √365, both with a
//     risk-free rate of 0; they are absent below two days, where the divisor is 0, and once a day ended with an equity of 0 or less.
//   - the equity curve has one point for each interval that had a tick: its last equity, at the time of its last tick. Intervals
//     begin at 1 s; when there are more than EquityPointsMax points the interval doubles and neighbours that now share
//     one become the later of the two.
//
// Times are Unix milliseconds. Days and intervals go by the session's clock, the latest time of any accepted tick.
//
// # Ownership
//
// A [Ledger] belongs to one goroutine at a time; it has no lock. What its methods return is the caller's.
package ledger
