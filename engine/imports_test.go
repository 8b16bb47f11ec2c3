package engine_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/wse-engine/wse"

// rule is a row of the import table in ARCHITECTURE.md: what a package may import, of our own and from outside. An entry
// that ends in /... stands for a whole tree.
type rule struct {
	path    string
	own     []string
	outside []string
}

// table is the import table. A package that is not listed fails the test, and so does an import that its row does not
// allow; a change belongs to the commit that needs it.
func table() []rule {
	all := []string{"engine/..."}
	return append(append(clusterTable(), testTable()...), []rule{
		{path: "engine/message"},
		{path: "engine/jsonscan"},
		{path: "engine/bounded"},
		{path: "engine/dialect", own: []string{"engine/message", "engine/jsonscan"}},
		{path: "engine/msgpack", own: []string{"engine/jsonscan"}},
		{path: "engine/dialect/wse", own: []string{"engine/message", "engine/dialect", "engine/jsonscan", "engine/msgpack"},
			outside: []string{"github.com/klauspost/compress/zlib"}},
		{path: "engine/dialect/wsapi", own: []string{"engine/message", "engine/dialect", "engine/jsonscan"}},
		{path: "engine/frame", own: []string{"engine/bounded"}, outside: []string{"github.com/gobwas/ws", "github.com/gobwas/ws/wsflate", "github.com/gobwas/httphead", "github.com/klauspost/compress/flate"}},
		{path: "engine/seal"},
		{path: "engine/netpoll", outside: []string{"golang.org/x/sys/unix"}},
		{path: "engine/auth", own: []string{"engine/message", "engine/jsonscan"},
			outside: []string{"github.com/golang-jwt/jwt/v5", "github.com/MicahParks/jwkset"}},
		{path: "engine/quota", own: []string{"engine/message"}, outside: []string{"golang.org/x/time/rate"}},
		{path: "engine/store", outside: []string{"go.etcd.io/bbolt/..."}},
		{path: "engine/config", outside: []string{"github.com/goccy/go-yaml/..."}},
		{path: "engine/conn", own: []string{"engine/bounded", "engine/auth", "engine/dialect", "engine/frame", "engine/message", "engine/netpoll", "engine/seal"},
			outside: []string{"github.com/hashicorp/go-hclog", "github.com/gobwas/ws", "github.com/gobwas/httphead"}},
		{path: "engine/hub", own: []string{"engine/dialect", "engine/frame", "engine/message"}},
		{path: "engine/broker", own: []string{"engine/message", "engine/jsonscan"}},
		{path: "engine/broker/memory", own: []string{"engine/bounded", "engine/broker", "engine/message"}},
		{path: "engine/broker/brokertest", own: []string{"engine/broker", "engine/message"}, outside: []string{"github.com/stretchr/testify/require"}},
		{path: "engine/redis", outside: []string{"github.com/redis/go-redis/v9/..."}},
		{path: "engine/redis/redistest", own: []string{"engine/redis"}, outside: []string{"github.com/redis/go-redis/v9/...", "github.com/stretchr/testify/require", "go.uber.org/goleak"}},
		{path: "engine/broker/redis", own: []string{"engine/bounded", "engine/broker", "engine/message", "engine/jsonscan", "engine/redis"},
			outside: []string{"github.com/redis/go-redis/v9/..."}},
		{path: "engine/router", own: []string{"engine/auth", "engine/dialect", "engine/frame", "engine/hub", "engine/message"},
			outside: []string{"github.com/hashicorp/go-hclog"}},
		{path: "engine/presence", own: []string{"engine/bounded", "engine/broker", "engine/message"}},
		{path: "engine/presence/shared", own: []string{"engine/bounded", "engine/broker", "engine/jsonscan", "engine/message", "engine/presence", "engine/redis"},
			outside: []string{"github.com/redis/go-redis/v9/..."}},
		{path: "engine/presence/presencetest", own: []string{"engine/broker", "engine/message", "engine/presence"}, outside: []string{"github.com/stretchr/testify/require"}},
		{path: "engine/feed", own: []string{"engine/auth", "engine/broker", "engine/hub", "engine/message", "engine/presence", "engine/router"}},
		{path: "engine/ingest", own: []string{"engine/broker", "engine/message", "engine/jsonscan"}},
		{path: "engine/intake", own: []string{"engine/broker", "engine/ingest", "engine/jsonscan", "engine/message", "engine/redis"},
			outside: []string{"github.com/redis/go-redis/v9/..."}},
		{path: "engine/trading", own: []string{"engine/auth", "engine/broker", "engine/jsonscan", "engine/message", "engine/router", "engine/trading/..."},
			outside: []string{"github.com/hashicorp/go-hclog"}},
		{path: "engine/plugin", own: []string{"engine/bounded", "engine/message", "engine/auth", "engine/jsonscan", "engine/plugin/...", "sdk/abi"},
			outside: []string{"github.com/tetratelabs/wazero/...", "golang.org/x/sys/unix"}},
		{path: "engine/plugin/scan", own: []string{"sdk/abi"}},
		{path: "engine/plugin/meter", own: []string{"engine/plugin/scan", "sdk/abi"}},
		{path: "engine/plugin/vector"},
		{path: "engine/plugin/lines", own: []string{"engine/plugin/scan", "engine/plugin/meter"}},
		{path: "engine/plugin/wasmtest"},
		{path: "engine/trading/market", own: []string{"engine/message", "engine/jsonscan"}},
		{path: "engine/trading/execution", own: []string{"engine/message", "engine/trading/ledger"}},
		{path: "engine/trading/ledger", own: []string{"engine/message"}, outside: []string{"github.com/govalues/decimal"}},
		{path: "engine/trading/strategies", own: []string{"engine/message", "engine/jsonscan"}, outside: []string{"github.com/fsnotify/fsnotify"}},
		{path: "engine/trading/collection", own: []string{"engine/message", "engine/trading/market"}},
		{path: "engine/admin", own: all, outside: []string{"github.com/prometheus/client_golang/...", "github.com/prometheus/client_model/..."}},
		{path: "engine", own: append(all, "plugins", "configs"), outside: []string{"github.com/hashicorp/go-hclog", "github.com/fsnotify/fsnotify", "golang.org/x/time/rate"}},
		{path: "engine/cmd/wse", own: []string{"engine/...", "sdk/...", "plugins"}, outside: []string{"github.com/spf13/cobra", "github.com/spf13/pflag"}},
		{path: "sdk"},
		{path: "sdk/abi"},
		{path: "sdk/tck", own: []string{"engine/message", "engine/plugin", "engine/plugin/vector"}},
		{path: "sdk/tck/cmd/wse-tck", own: []string{"engine/ingest", "engine/plugin", "sdk/tck"}},
		{path: "sdk/go"},
		{path: "sdk/go/tck", own: []string{"sdk/go"}},
		{path: "examples/plugins/fills/go", own: []string{"sdk/go"}},
		{path: "examples/plugins/desk/go", own: []string{"sdk/go"}},
		{path: "sdk/client/go", outside: []string{"github.com/gobwas/ws", "github.com/gobwas/ws/wsutil"}},
		{path: "configs"},
		{path: "plugins", own: []string{"sdk/abi"}},
	}...)
}

// testTable is the part of the import table for what tests from outside are made of.
func testTable() []rule {
	return []rule{
		{path: "test/oracle"},
		{path: "test/scaling"},
		{path: "test/scenario", outside: []string{"github.com/gobwas/ws", "github.com/gobwas/ws/wsutil", "github.com/vmihailenco/msgpack/v5/..."}},
	}
}

// clusterTable is the part of the import table for what nodes do together.
func clusterTable() []rule {
	return []rule{
		{path: "engine/cluster/rollout", own: []string{"engine/cluster", "engine/plugin", "engine/redis"},
			outside: []string{"github.com/hashicorp/go-hclog", "github.com/redis/go-redis/v9/..."}},
		{path: "engine/cluster", own: []string{"engine/message", "engine/redis"},
			outside: []string{"github.com/hashicorp/go-hclog", "github.com/redis/go-redis/v9/..."}},
		{path: "engine/cluster/sessions", own: []string{"engine/cluster", "engine/message", "engine/redis", "engine/trading"},
			outside: []string{"github.com/redis/go-redis/v9/..."}},
		{path: "engine/cluster/clients", own: []string{"engine/cluster"}},
		{path: "engine/cluster/families", own: []string{"engine/auth", "engine/redis"}, outside: []string{"github.com/redis/go-redis/v9/..."}},
	}
}

// listed is what go list tells of a package.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

func TestImportsFollowTheTable(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Standard,Imports", module+"/...").Output()
	require.NoError(t, err)
	rules := make(map[string]rule)
	for _, r := range table() {
		rules[r.path] = r
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var p listed
		require.NoError(t, decoder.Decode(&p))
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		r, ok := rules[name]
		if !ok {
			if len(p.Imports) > 0 || !strings.HasPrefix(name, "test/") {
				t.Errorf("package %s is not in the import table", name)
			}
			continue
		}
		for _, imported := range p.Imports {
			if !allowed(r, imported) {
				t.Errorf("%s imports %s, which the import table does not allow", name, imported)
			}
		}
	}
}

func allowed(r rule, imported string) bool {
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		return slices.ContainsFunc(r.own, func(pattern string) bool { return matches(pattern, own) })
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(r.outside, func(pattern string) bool { return matches(pattern, imported) })
}

func matches(pattern, name string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == tree || strings.HasPrefix(name, tree+"/")
	}
	return path.Clean(pattern) == name
}
