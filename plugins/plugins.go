// Package plugins holds the plugins that come with the engine, as modules ready to be loaded. Each has its source, its
// README and its vectors in a folder beside this file; the bytes are rebuilt from source and compared by
// .ci/build-plugins --check.
//
// Ownership: the modules are read-only data inside the program. All functions may be called from any goroutine.
package plugins

import "embed"

//go:embed mapping/mapping.wasm strategy/strategy.wasm topicauth/topicauth.wasm validator/validator.wasm
var modules embed.FS // read-only

// Names lists the stock plugins.
func Names() []string { return []string{"mapping", "strategy", "topicauth", "validator"} }

// Stock returns a copy of the module of the stock plugin called name, and whether there is one.
func Stock(name string) ([]byte, bool) {
	wasm, err := modules.ReadFile(name + "/" + name + ".wasm")
	return wasm, err == nil
}
