// Package hub knows which connections are subscribed to which topics and hands each publication to them: encoded once per
// encoding, framed once, shared by all.
//
// Ownership: the index (topic → entry → part) is guarded by its shard's mutex. A part is what one topic has on one lane;
// its list of subscriptions, and everything in a Subscription but its fixed fields, is guarded by that lane's lock and
// touched only inside [Lane.Do] or [Work]. A lane's inbox has a mutex of its own. Lock order: a lane's lock, then an
// inbox; a shard's mutex is never held together with a lane's lock.
//
// Order: for one topic the broker calls Deliver in order, Deliver appends to inboxes in order, and a lane takes its inbox
// in order; a topic's class decides which of a lane's two inboxes it uses, so it always uses the same one.
package hub
