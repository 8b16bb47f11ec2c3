// Package memory is the broker of one process: topics, their numbers, histories and retained snapshots live in memory
// and are gone with it.
//
// # What is kept, and for how long
//
// A topic exists from its first publication until it has been idle for topic_idle_ttl with nothing kept and no
// subscriber; the next publication then begins a new epoch. Its history is bounded by its class (count, bytes, age) and,
// together with everything else, by history_mib_total: beyond that the oldest publications of the topic that was
// published to least recently go first, and only when no history is left anywhere do retained snapshots and remembered
// ids go, again the coldest topic's first. Coldness is known to the second. At topics_max the coldest topic that has
// been idle for topic_idle_ttl and has no history makes room, retained snapshots and all; where there is none, the
// publication is refused with broker.ErrFull.
//
// # Ownership
//
// A Broker may be used by any number of goroutines. topic.mu guards a topic and is held while its Sink is called, which
// is what keeps deliveries in order. Lock order: topic.mu, shard.mu, coldness.mu; whoever holds one of the last two only
// ever tries a topic.mu. An envelope is written to only before the Sink has it.
package memory
