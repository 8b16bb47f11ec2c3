// Package sdk holds what `wse plugin new` makes a plugin's directory of: a template for each kind of plugin in each language,
// and the sources of the SDKs, so that neither a checkout nor the network is needed.
//
// Ownership: read-only data inside the program. All functions may be called from any goroutine.
package sdk

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"text/template"
)

//go:embed templates
//go:embed go/*.go go/plugin.mk c/*.h c/plugin.mk rust/src/*.rs rust/plugin.mk wat/*.wat wat/plugin.mk
//go:embed assemblyscript/assembly/*.ts assemblyscript/package.json assemblyscript/package-lock.json assemblyscript/plugin.mk
var files embed.FS // read-only

// Plugin is a plugin to begin.
type Plugin struct {
	// Name is what the engine calls it.
	Name string
	// Language is one of [Languages], Kind one of [Kinds].
	Language, Kind string
}

// Languages lists the languages that have an SDK.
func Languages() []string {
	list := make([]string, 0, len(languages()))
	for _, l := range languages() {
		list = append(list, l.name)
	}
	return list
}

// Kinds lists the kinds of plugin that there are templates for.
func Kinds() []string { return []string{"transform", "authorize", "validate", "strategy"} }

// language is how plugins in a language are laid out.
type language struct {
	name, title string
	extension   string            // of the template
	source      string            // what the plugin's source is called
	needs       string            // to build
	sdk         []string          // its directories
	extra       map[string]string // further files, by name
	parts       map[string]string // for the Makefile, by kind: what the module is put together of
}

func languages() []language {
	return []language{
		{name: "go", title: "Go", extension: ".go.txt", source: "plugin.go", needs: "Go 1.24 or newer", sdk: []string{"go"},
			extra: map[string]string{
				"go.mod": "module {{.Name}}\n\ngo 1.24\n\nrequire github.com/wse-engine/wse/sdk/go v0.0.0\n\n" +
					"replace github.com/wse-engine/wse/sdk/go => ./sdk\n",
				"sdk/go.mod": "module github.com/wse-engine/wse/sdk/go\n\ngo 1.24\n",
			}},
		{name: "assemblyscript", title: "AssemblyScript", extension: ".ts", source: "plugin.ts",
			needs: "Node.js 20 or newer; npm fetches the compiler the first time", sdk: []string{"assemblyscript", "assemblyscript/assembly"}},
		{name: "c", title: "C", extension: ".c", source: "plugin.c", needs: "clang and lld (Debian: apt-get install clang lld)", sdk: []string{"c"}},
		{name: "rust", title: "Rust", extension: ".rs", source: "plugin.rs",
			needs: "rustc with wasm32-unknown-unknown (Debian: apt-get install rustc libstd-rust-dev-wasm32 lld-14)", sdk: []string{"rust", "rust/src"}},
		{name: "wat", title: "the WebAssembly text format", extension: ".wat", source: "plugin.wat",
			needs: "wat2wasm (Debian: apt-get install wabt)", sdk: []string{"wat"}, parts: map[string]string{
				"transform": "PARTS = $(SDK)/wse.wat $(SDK)/batch.wat\n", "strategy": "PARTS = $(SDK)/wse.wat $(SDK)/strategy.wat\n"}},
	}
}

// ignored is what builds leave behind.
const ignored = "plugin.wasm\ntarget/\nnode_modules/\n"

// Files returns the files of the plugin's directory by their paths in it, with slashes. The error says which language or kind
// is not known.
func (p Plugin) Files() (map[string][]byte, error) {
	i := slices.IndexFunc(languages(), func(l language) bool { return l.name == p.Language })
	if i < 0 {
		return nil, fmt.Errorf("language %q is none of %s", p.Language, strings.Join(Languages(), ", "))
	}
	if !slices.Contains(Kinds(), p.Kind) {
		return nil, fmt.Errorf("kind %q is none of %s", p.Kind, strings.Join(Kinds(), ", "))
	}
	l, out := languages()[i], map[string][]byte{}
	out["Makefile"] = []byte("# make builds plugin.wasm.\nSDK ?= sdk\n" + l.parts[p.Kind] + "include $(SDK)/plugin.mk\n")
	out[".gitignore"] = []byte(ignored)
	for name, file := range map[string]string{
		l.source:                      "templates/" + l.name + "/" + p.Kind + l.extension,
		"README.md":                   "templates/README.md",
		"vectors/" + p.Kind + ".json": "templates/vectors/" + p.Kind + ".json",
	} {
		text, err := files.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if out[name], err = p.fill(&l, string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	for name, text := range l.extra {
		var err error
		if out[name], err = p.fill(&l, text); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return out, l.copySDK(out)
}

// copySDK adds the SDK's sources, without its tests.
func (l *language) copySDK(out map[string][]byte) error {
	for _, dir := range l.sdk {
		entries, err := fs.ReadDir(files, dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.IsDir() || strings.HasSuffix(e.Name(), "_test.go") {
				continue
			}
			text, err := files.ReadFile(path.Join(dir, e.Name()))
			if err != nil {
				return err
			}
			out[path.Join("sdk", strings.TrimPrefix(dir, l.sdk[0]), e.Name())] = text
		}
	}
	return nil
}

func (p Plugin) fill(l *language, text string) ([]byte, error) {
	t, err := template.New("").Parse(text)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]string{
		"Name": p.Name, "Kind": p.Kind, "Title": l.title, "Needs": l.needs, "Source": l.source, "Does": p.does(),
		"Binding": p.Binding("\n    "),
	})
	return b.Bytes(), err
}

func (p Plugin) does() string {
	return map[string]string{
		"transform": "it makes an envelope on `public:greetings` of each `Greeting` event",
		"authorize": "it lets everybody use topics that begin with `public:`, and each user the own `user:ID:…`",
		"validate":  "it checks that the configuration of a strategy has a symbol and a quantity",
		"strategy":  "it buys when the price rises above one limit, and sells when it falls below another",
	}[p.Kind]
}

// Binding is what the engine's configuration says about when the plugin is asked, each line after newline.
func (p Plugin) Binding(newline string) string {
	switch p.Kind {
	case "transform":
		return newline + "bind: [Greeting] # the events that it is asked about"
	case "authorize":
		return newline + `bind: ["public:*", "user:*"] # the topics that it is asked about; all plugins bound to one must allow`
	case "strategy":
		return newline + `bind: ["` + p.Name + `*"] # the strategies that it runs, by their names; the first plugin bound to one does`
	}
	return ""
}

// Needs is what must be installed to build plugins in the language.
func (p Plugin) Needs() string {
	for _, l := range languages() {
		if l.name == p.Language {
			return l.needs
		}
	}
	return ""
}
