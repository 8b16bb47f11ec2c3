// Package hub knows which connections are subscribed to which topics and hands each publication to them: encoded once per
// encoding, framed once, shared by all.
package hub
