// Package cluster makes processes that share a Redis know each other: who is alive by Redis's clock, who died, and a bus on which one
// asks all and gets an answer, or the silence, of each.
//
// A node says every beat_interval that it lives. One that has not for node_timeout is dead; the first beat after that declares it
// so, and each node hears of it with its own next beat. Only Redis's clock counts, and time during which nobody could reach Redis is
// held against nobody: after an outage, a pause, or a clock that was set ahead all nodes have a whole node_timeout to come back.
//
// The bus is Pub/Sub: a question goes out on one channel for all, and again to each who has not answered yet, until he has, or the
// time of the question is over. So a handler may be called twice for one question.
//
// Keys and channels: everything is under "wse:{_cluster}:" and "wse:_bus". What a message on the bus looks like is in wire.go.
//
// Ownership: [New] checks and starts nothing; Handle, Dead and Returned come before [Node.Run], which owns every goroutine and ends
// them all before it returns. Everything else may be called by any goroutine at any time. The client belongs to who made it.
package cluster
