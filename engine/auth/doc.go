// Package auth turns a token into an [Identity], and issues the tokens it would accept.
//
// Verification is strict. The algorithms are the configuration's, never the token's; a key belongs to one algorithm; the
// signature is checked before a single claim is read; expiry is required; what the configuration names (issuer, audience)
// must be there; a header with `crit` is refused (RFC 7515 §4.1.11: nothing it could name is understood here), and so is
// any JSON in which a name occurs twice. There is no default secret: without a configured key [New] makes one in the data
// directory.
//
// A refresh token buys one access token and one more refresh token, and is spent. One that comes again was stolen, or its
// successor was: nobody can tell which of the two who hold it is the client, so all tokens of its family, those that come from
// the same login, are worthless from then on (RFC 9700 §4.14.2). A client that did not get the answer has to log in again
// too: a time in which a spent token were still good would be there for the thief as well.
//
// Processes that share their records, and have the same keys, are to a token one: a record is only ever put in the place of the one
// that was judged, so of two that get a token at once one spends it. Clocks of processes may differ: a user is revoked up to
// the latest of the times that those who revoke him read, so whoever revokes has all of them do it. Records that were
// lost are taken for spent: a token from before that is worthless, and its user logs in again.
//
// Ownership: an [Auth] may be used by any number of goroutines. Its keys are an immutable set behind an atomic pointer;
// only the goroutine in [Auth.Run] replaces it. Own records of refresh tokens are changed by one goroutine at a time, which
// has the turn, and are read beside it; shared ones by whoever swaps first. An [Identity] is immutable once Verify has returned it.
package auth
