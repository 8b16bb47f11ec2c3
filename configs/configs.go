// Package configs holds the configuration files that come with the engine, and inside the program the one it needs when
// it runs without any.
//
// Ownership: read-only data. Every function may be called from any goroutine.
package configs

import _ "embed"

//go:embed mappings.yaml
var mappings []byte // read-only

// Mappings returns a copy of mappings.yaml, the configuration of the stock plugin mapping.
func Mappings() []byte { return append([]byte(nil), mappings...) }
