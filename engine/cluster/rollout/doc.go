// Package rollout has all nodes of a cluster serve the same version of a plugin: a change made by one of them is made by all or by
// none.
//
// What the cluster wants of a plugin is a record in Redis, and nothing else decides: every node reads it each check_interval and does
// what it says, so whoever was paused, cut off or not there when it changed follows when it is back, and is not ready until it has. The
// two phases before make sure that it can be followed: the node that is asked for a change, the coordinator, puts the bytes into Redis
// and asks each node that is alive to make the version ready and hold it. One that refuses or is silent ends the change, and nobody has
// switched. When all are ready the coordinator writes the record, in one step that only takes it while the coordinator's lease runs; that
// is the commit. Then it tells the nodes, which need only switch, and reports what each did.
//
// So whatever dies in between, nobody is left half switched for good: before the record is written nothing has changed, and what is
// held is given up in time; after it all nodes go by it. Where Redis does not say whether it took the record, the report says so.
//
// A plugin that has a record is governed: a node's own swaps, rollbacks and files do not count for it until [Rollout.Forget]. Records
// are numbered; a node that knows a newer one than Redis has, because Redis was emptied or a failover lost it, puts it back with its
// bytes.
//
// Keys: "wse:{_plugins}:wanted" is a hash of the records by plugin, "wse:{_plugins}:change" the lease of the change under way,
// "wse:{_plugins}:blob:PLUGIN:SHA256" a module or a config. The scripts *.lua say in their first lines what they take and return.
//
// Ownership: [New] checks, registers its handlers with the bus, and starts nothing. [Rollout.Run] owns every goroutine and ends them all
// before it returns. Everything else may be called by any goroutine at any time. Host, bus and client belong to who made them.
package rollout
