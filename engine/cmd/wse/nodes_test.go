package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNodesAreATableAndWhatDiffersIsAFailure(t *testing.T) {
	a := newAdmin(t, 200, `{"this":"a-1","nodes":[
		{"id":"a-1","name":"a","version":"v1","addr":"10.0.0.1:80","started_ms":1700000000000,"beat_ago_ms":250,"about":{"plugin:fills":"0123456789abcdef0123456789abcdef","b":"1"}},
		{"id":"b-1","name":"b","started_ms":1700000000000,"beat_ago_ms":1000}],
		"differences":{"plugin:fills":{"0123456789abcdef0123456789abcdef":["a-1"],"":["b-1"]}}}`)
	got := wse("", "nodes", "--admin-url", a.URL)
	require.Equal(t, ran{exitFailed, `   ID   VERSION  ADDRESS      STARTED               BEAT       ABOUT
*  a-1  v1       10.0.0.1:80  2023-11-14T22:13:20Z  250ms ago  b=1 plugin:fills=0123456789ab…
   b-1  -        -            2023-11-14T22:13:20Z  1s ago     -
plugin:fills is unknown on b-1
plugin:fills is 0123456789ab… on a-1
`, "wse: the nodes differ in plugin:fills\n"}, got)
	require.Equal(t, "/api/v1/nodes", a.path)
}

func TestAnEngineThatIsAloneSaysSo(t *testing.T) {
	a := newAdmin(t, 200, `{"this":"","nodes":[],"differences":{}}`)
	require.Equal(t, ran{exitOK, "the engine is alone: it shares no Redis with others\n", ""}, wse("", "nodes", "--admin-url", a.URL))
	require.Equal(t, ran{exitOK, `{"this":"","nodes":[],"differences":{}}` + "\n", ""}, wse("", "nodes", "--json", "--admin-url", a.URL))
}
