package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	nodeA = `{"id":"a-1","state":"switched","serving":"bbb"}`
	nodeB = `{"id":"b-2","state":"refused","serving":"aaa","step":"digest","reason":"the configuration pins ccc"}`
)

func TestAChangeOfTheClusterPrintsOneLineForEachNode(t *testing.T) {
	module := file(t, "m.wasm", "\x00asm")
	s := script(t, map[string][]string{
		"POST /api/v1/plugins/mapping/swap?cluster=true": {
			`200 {"plugin":"mapping","version":"bbb","how":"swap","who":"tester","outcome":"switched","nodes":[` + nodeA + `]}`,
			`200 {"plugin":"mapping","version":"bbb","how":"swap","who":"tester","outcome":"switched","nodes":[` + nodeA + `,{"id":"b-2","state":"silent","reason":"did not answer"}]}`,
		},
		"POST /api/v1/plugins/mapping/rollback?cluster=true":         {`200 {"plugin":"mapping","version":"bbb","how":"rollback","who":"tester","outcome":"switched","nodes":[` + nodeA + `]}`},
		"DELETE /api/v1/plugins/mapping/cluster":                     {`200 {"plugin":"mapping","how":"forget","who":"tester","outcome":"switched","nodes":[{"id":"a-1","state":"released","serving":"bbb"}]}`},
		"POST /api/v1/plugins/mapping/swap?cluster=true&version=aaa": {`200 {}`},
	})
	require.Equal(t, ran{exitOK, "mapping: swap to bbb by tester: done on 1 of 1 nodes\n  a-1  switched  serves bbb\n", ""}, s.run("plugin", "swap", "mapping", module, "--cluster"))
	require.Equal(t, "\x00asm", string(s.body))
	require.Equal(t, ran{
		exitFailed,
		"mapping: swap to bbb by tester: done on 1 of 2 nodes; the others are not ready until they have done it too\n  a-1  switched  serves bbb\n  b-2  silent    did not answer\n",
		"wse: not all nodes have made the change yet; those that have not are not ready. See how they stand with: wse nodes\n",
	}, s.run("plugin", "swap", "mapping", module, "--cluster"))
	require.Equal(t, ran{exitOK, "mapping: rollback to bbb by tester: done on 1 of 1 nodes\n  a-1  switched  serves bbb\n", ""},
		s.run("plugin", "rollback", "mapping", "bbb", "--cluster"))
	require.JSONEq(t, `{"version":"bbb"}`, string(s.body))
	require.Equal(t, ran{exitOK, "mapping: forget by tester: done on 1 of 1 nodes\n  a-1  released  serves bbb\n", ""}, s.run("plugin", "forget", "mapping", "--cluster"))
	got := s.run("plugin", "rollback", "mapping", "--cluster", "--json")
	require.Equal(t, exitOK, got.code)
	require.JSONEq(t, `{"plugin":"mapping","version":"bbb","how":"rollback","who":"tester","outcome":"switched","nodes":[`+nodeA+`]}`, got.out)
	require.Equal(t, exitFailed, s.run("plugin", "swap", "mapping", "--version", "aaa", "--cluster").code, "an answer that is no report is no success")
}

func TestAChangeOfTheClusterThatIsRefusedNamesTheNodesThatDid(t *testing.T) {
	s := script(t, map[string][]string{
		"POST /api/v1/plugins/mapping/swap?cluster=true&version=bbb": {
			`409 {"title":"Conflict","detail":"x","code":"CLUSTER_REFUSED","details":{"plugin":"mapping","report":{"plugin":"mapping","version":"bbb","how":"swap","who":"tester",` +
				`"outcome":"refused","reason":"nobody switches: b-2 refused","nodes":[{"id":"a-1","state":"ready","serving":"aaa"},` + nodeB + `]}}}`,
			`409 {"title":"Conflict","detail":"this engine is alone","code":"NO_CLUSTER"}`,
		},
	})
	require.Equal(t, ran{exitFailed, "", "wse: mapping: swap to bbb by tester: nobody switches: b-2 refused\nwse:   a-1  ready    serves aaa\n" +
		"wse:   b-2  refused  serves aaa; refused at step digest: the configuration pins ccc\n"}, s.run("plugin", "swap", "mapping", "--version", "bbb", "--cluster"))
	require.Equal(t, ran{exitFailed, "", "wse: the engine answered 409 Conflict: this engine is alone\n"}, s.run("plugin", "swap", "mapping", "--version", "bbb", "--cluster"))
	got := s.run("plugin", "swap", "mapping", "--version", "bbb", "--cluster", "--shadow-events", "5")
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.err, "a shadow runs on one node")
}

func TestShowTellsWhatTheClusterWants(t *testing.T) {
	const route = "GET /api/v1/plugins/mapping"
	s := script(t, map[string][]string{route: {
		`200 {"name":"mapping","version":"aaa"}`,
		`200 {"name":"mapping","version":"aaa","cluster":{"version":"bbb","serves":false,"reason":"the configuration pins ccc","how":"swap","who":"alice","before":["aaa","000"]}}`,
	}})
	show := func() ran { return wse("", "plugin", "show", "mapping", "--admin-url", s.URL) }
	require.NotContains(t, show().out, "cluster")
	require.Contains(t, show().out,
		"cluster       wants bbb, swap alice; it does not serve here: the configuration pins ccc; before: aaa, 000\n")
}
