// Package auth turns a token into an [Identity], and issues the tokens it would accept.
//
// Verification is strict. The algorithms are the configuration's, never the token's; a key belongs to one algorithm; the
// signature is checked before a single claim is read; expiry is required; what the configuration names (issuer, audience)
// must be there; a header with `crit` is refused (RFC 7515 §4.1.11: nothing it could name is understood here), and so is
// any JSON in which a name occurs twice. There is no default secret: without a configured key [New] makes one in the data
// directory.
//
// Ownership: an [Auth] may be used by any number of goroutines. Its keys are an immutable set behind an atomic pointer;
// only the goroutine in [Auth.Run] replaces it. An [Identity] is immutable once Verify has returned it.
package auth
