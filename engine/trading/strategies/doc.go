// Package strategies keeps strategies, each in a file of its own (PROTOCOL §3.3, §3.5):
//
//	<dir>/<name>.json
//
// holds the strategy's configuration, a JSON object whose strategy_name is the file's name. Names are 1 to 100 of
// A-Z a-z 0-9 _ -, and no two differ only in case, so that a directory means the same on every file system. A file that a
// user's request made names its author in a member _author at its top, which is no part of the configuration; one that the
// operator put there has none. Names that begin with a point are passed over, and so is what does not end in .json.
//
// [Directory] has the strategies in memory and follows the files. A file that is wrong is told, and what it held before
// stays until it is removed. What a configuration means is not this package's business; it takes every JSON object that
// has one name for each member, and asks a function of its user where one is given.
//
// [Canonical] writes a document so that two of the same meaning are the same bytes, and [Digest] is the SHA-256 of that.
//
// # Ownership
//
// A Directory's methods may be called by any number of goroutines. Two mutexes: one is held while files are read and
// written, by one goroutine at a time, and may be held for as long as the disk takes; the other, taken after it, guards
// what is in memory and is a leaf. What is handed out must not be changed. Run has one goroutine besides its own, that of
// the watcher of files.
package strategies
