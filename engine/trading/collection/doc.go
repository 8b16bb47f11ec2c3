// Package collection writes ticks to files and reads them back (PROTOCOL §3.6). A collection is a directory,
//
//	<dir>/session_<id>/manifest.json
//	<dir>/session_<id>/<SYMBOL>/prices.csv
//
// in which every file begins with the line timestamp,price,volume,quote_volume and has a row per tick, in the order of
// time. The manifest is a [Status]. The operator may put such directories there, with or without a manifest, and any
// program may read them.
//
// [Collector] runs collections. Ticks are checked as they come and wait in a queue of bounded length; nobody who hands
// one in waits for a disk. Rows are written in batches, and a batch is synced before it is counted. What is not written is
// counted by its reason: rejected for what it is, or dropped because there was no room. A disk that is full is tried again
// until the collection ends; any other error of the disk ends it, since after a failed sync nobody knows what is there.
// Rows that were counted stay readable in both cases. After a crash what follows the last whole row is cut off, and the
// collection is stopped.
//
// [Reader] hands out the ticks of a collection in the order of time, merged over its symbols.
//
// # Ownership
//
// A Collector's methods may be called by any number of goroutines. Run has one goroutine for each collection that runs,
// which alone writes its files and its manifest; ticks reach it through the queue, under the collection's mutex. That
// mutex is a leaf; the Collector's own is taken before it, and neither is held while a file is touched. A Reader belongs to
// one goroutine.
package collection
