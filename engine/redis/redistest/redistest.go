// Package redistest starts real Redis servers for tests, on free ports of the loopback address, with nothing kept on disk
// unless a test asks for it.
//
// Ownership: a server belongs to the test that started it and ends with it.
package redistest
