// Package intake takes in what reaches Redis without the engine's own interfaces: entries of streams of domain events, and what
// programs that are no nodes publish on the channels of topics. What cannot be taken, and what plugins failed on, it keeps as
// dead letters that all nodes share.
//
// # Streams
//
// A stream ([Config.Streams], wse:events) is read through the consumer group wse. One node at a time reads it, the holder of the
// lease {<stream>}:lease, so that its order is kept: each entry goes through package ingest, in batches, and is acknowledged once
// it is published or a dead letter. Entries are read by a script that looks at the lease first, so that a node which slept
// through the end of its turn reads nothing; what it had read before is claimed by the next holder, one entry after the other,
// before anything new. Every event has an id, its own or <stream>-<entry>, so that the broker takes it once however often it is
// handed in: at least once in, and once out for as long as the class of its topic remembers ids. While nothing can be published
// entries wait; they become no dead letters for that.
//
// {wse:events}:done is the last entry of which all before it are done too: a group that another program deletes begins anew behind it,
// not with what was published long ago.
//
// An entry has one field, event (or data), with the event as JSON; or one field for each of the event's members, of which payload
// is JSON.
//
// # Ingress
//
// The holder of wse:{_ingress}:lease hears all channels wse:*. What nodes published is known by its first bytes and passed over;
// what a foreign program published is read by [ingest.Ingest.ParseForeign] and published with the holder's fence, a number that
// rises with each turn: a holder that wakes up after its turn is refused by the broker wherever the next one has published. As
// long as Redis or the holder is away nobody hears: who needs a guarantee uses the stream or the admin API.
//
// # Dead letters
//
// A letter of channel C is an entry of the stream wse:dlq:C, where C is the name behind wse: of the stream or channel it came from;
// events that a plugin failed on, however they came, are of channel events. The newest of each channel are kept for a time. Beside it the hash
// {wse:dlq:C}:m holds what changes: attempts, the last reason, who replays it. [Letters] keeps and [Intake] replays.
//
// # Ownership
//
// [Letters] and [Intake] may be used by any number of goroutines. [Intake.Run] owns every goroutine: per stream one for the lease
// and, while it is held, one that reads; for the ingress one for the lease and, while it is held, one that hears and
// [Config.IngressWorkers] that publish, each channel always by the same one. A term belongs to its lease's goroutine; others ask
// it whether it lasts.
package intake
