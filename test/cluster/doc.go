// Package cluster tests several nodes on one Redis from outside: three processes of the program, each with its own proxies before
// every server of a real topology, subscribers and publishers over the public surface, and an oracle that knows what each of
// them may be shown. Faults are done to servers, to nodes and to the network between them.
//
// Ownership: a world belongs to the test that made it. Each subscriber, publisher and watcher is one goroutine, which ends
// before the world does.
package cluster
