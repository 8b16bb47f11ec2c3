// Package market reads and writes ticks: the payload of a market_data_update, and the numbers, times and symbols that a
// payload and a row of a collection share (PROTOCOL §3.3, §3.6).
//
// A tick has a symbol, a price, a volume and a time. Its quote volume may be left out; it is price × volume then. A time
// is a number of seconds since 1970 where it is below 1e11 and of milliseconds from there on, or ISO 8601, in UTC where it
// names no zone. Seconds may have a fraction; what is finer than a millisecond is rounded, and in ISO 8601 cut off.
//
// # Ownership
//
// The package has no state; its functions may be called by any number of goroutines. They keep nothing of what they are
// given.
package market
