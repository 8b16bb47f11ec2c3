// Package redis is the broker of many nodes: topics, their numbers, histories and retained snapshots live in a Redis that the
// nodes share, one server, a primary with Sentinels, or a Cluster.
//
// # A publication
//
// One script call numbers a publication, puts it into the history, retains it where it is a snapshot, remembers its id and
// publishes it on the channel of its topic, all or nothing. Its text is the same on the channel and in the history:
//
//	{"v":2,"seq":N,"epoch":"hhhhhhhh","at":µs,"t":…,"p":…,"id":…,"ts":…,"topic":…,…}
//
// "at" is the time of numbering by Redis's clock. What the topic's class decides is not in it; the node that receives it fills
// it in by its own classes.
//
// # Keys
//
// A topic's keys share the tag {wse:<topic>}, so that they and the channel wse:<topic> lie in one slot of a Cluster:
//
//	{wse:T}:m  hash    e epoch, n number, r replication id, b bytes of the history, c counter of ids, f fence,
//	                   t time of the last publication in µs, x when the keys' lives were last extended, in ms
//	{wse:T}:h  list    the history, consecutive numbers that end with n
//	{wse:T}:s  hash    the retained snapshot of each type
//	{wse:T}:i  hash    =id → "number time counter", #counter → id: the ids that are remembered
//
// All of them expire. A topic whose keys are gone begins a new epoch.
//
// # Epochs
//
// An epoch is bound to the replication id of the server that numbers. A server that may hold other data, after a restart, a
// failover or a change of roles, has another one, and each topic begins a new epoch at its first publication or reading there.
// Its number, history and snapshots go on, so that what survived is still to be read, but nobody recovers over the seam.
//
// # Following
//
// Connections that receive are used once. Where one ends another is made, subscribes to everything in few commands, and with each
// confirmation the topic's position is compared with the last publication that was delivered (the course of a topic): what is missing
// is read from the history and delivered in order, and what cannot be, or another epoch, is told to the sink by one Restart. What
// comes out of order, of another epoch or twice with one number waits for what Redis says; so a foreign program's imitation is dropped,
// or told of where it was delivered because nothing contradicted it yet. Positions are compared again every check_interval.
//
// A pattern is made up for by a scan: topics that were published to since the interruption, and that this node had never heard of,
// begin after what their histories show to be older. What cannot be found out is which topics had been published to, never heard of,
// and then lost with all of Redis's data.
//
// With sharded Pub/Sub each server that has slots has a connection, and topics move with their slots.
//
// A node is ready as long as a probe that it publishes through each primary once a second comes back on each connection, and what
// an interruption may have cost is compared within a few seconds ([Broker.Ready]).
//
// # Ownership
//
// A Broker may be used by any number of goroutines. Each lane belongs to the goroutine that Run starts for it, and so do its
// connections. A call under way belongs to its lane from the moment it was sent until it is answered; see [call]. Each
// connection that receives has a goroutine that reads and one that writes. The sink is called with the lock of a followed topic held.
// Lock order: none of the locks is held while another is taken, but for those of following; see follower.
package redis
