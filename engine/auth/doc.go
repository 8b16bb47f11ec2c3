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
// Ownership: an [Auth] may be used by any number of goroutines. Its keys are an immutable set behind an atomic pointer;
// only the goroutine in [Auth.Run] replaces it. Records of refresh tokens are changed by one goroutine at a time, which has
// the turn, and are read beside it. An [Identity] is immutable once Verify has returned it.
package auth
