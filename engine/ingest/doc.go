// Package ingest takes in what publishers hand over: envelopes, which go to the broker as they are, and domain events,
// which a transform plugin turns into envelopes first (PROTOCOL §2.8, sdk/ABI.md).
//
// An event is asked about once, whatever the number of its subscribers. A plugin's answer is checked to the letter: an
// answer that is none is the plugin's fault, named as such, and the plugin's own policy says what becomes of the event.
//
// # Order
//
// The envelopes of one event, the events of one caller who waits for each, and those handed in together, reach the broker in
// order. Events handed in together are transformed side by side, in parts; a part is published when all before it are. Between
// concurrent callers the order is that in which their envelopes reach the broker.
//
// # Dead letters
//
// An event that a plugin failed on, where the plugin's policy says so, is kept whole among the newest dead letters, in
// memory. Handed in again it goes through the plugins that serve then, and leaves when they took it. Its envelopes have the
// ids and the time that they would have had, so that nothing is published twice and nothing looks newer than it is.
//
// # Ownership
//
// An Ingest may be used by any number of goroutines. The events and documents handed to it stay the caller's and may be
// used again as soon as a call returns; an envelope handed to Publish belongs to the broker from then on.
package ingest
