// Package indicators compares the indicators of the stock strategy plugin with those of an independent library, npm's
// technicalindicators, on the same prices. `go test ./test/indicators` does its own set-up: .ci/setup installs Node where it
// may, and npm ci the library as package-lock.json pins it. What that library does not have is compared in plugins with a
// computation from the definitions.
//
// Ownership: tests only.
package indicators
