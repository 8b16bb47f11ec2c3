// Package backtest has no code but tests: that what the engine says of a backtest is what an independent program computes from
// the same prices, and that sessions and collections survive the engine being killed.
package backtest
