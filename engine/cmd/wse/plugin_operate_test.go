package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// scripted plays an admin API that answers each route with its next answer; the last one is repeated.
type scripted struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string][]string // by "METHOD /path?query": "STATUS BODY"; guarded by mu
	asked   []string            // guarded by mu
	header  http.Header         // of the last request; guarded by mu
	body    []byte              // of the last request; guarded by mu
	on      func(route string)  // called before an answer
}

func script(t *testing.T, answers map[string][]string) *scripted {
	s := &scripted{answers: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route := r.Method + " " + r.URL.RequestURI()
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked, s.header, s.body = append(s.asked, route), r.Header, body
		if s.on != nil {
			s.on(route)
		}
		list := s.answers[route]
		if len(list) == 0 {
			http.Error(w, "nothing is scripted for "+route, http.StatusTeapot)
			return
		}
		if len(list) > 1 {
			s.answers[route] = list[1:]
		}
		var status int
		_, _ = fmt.Sscan(list[0], &status)
		_, text, _ := strings.Cut(list[0], " ")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *scripted) run(args ...string) ran {
	return wse("", append(args, "--admin-url", s.URL, "--who", "tester")...)
}

// file writes a file and returns its path.
func file(t *testing.T, name, text string) string {
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

const (
	comparedSame   = `{"plugin":"mapping","serving":"aaa","candidate":"bbb","compared":2,"same":2,"different":0,"failed":0,"skipped":0,"differences":[]}`
	comparedOthers = `{"plugin":"mapping","serving":"aaa","candidate":"bbb","compared":30,"same":5,"different":24,"failed":1,"skipped":2,"differences":[` +
		`{"hook":"transform","input":"{\"type\":\"A\"}","serving":{"verdict":"data","data":"{}","fuel":10},"candidate":{"verdict":"trap","error":"unreachable\nat f","fuel":11},"diff":"--- aaa\n+++ bbb\n-  \"t\": 1\n"}]}`
	detailText = `"plugin":"mapping","serving":"aaa"`
)

func TestTryPrintsFiguresAndDifferencesAndTellsByItsExitCode(t *testing.T) {
	config := file(t, "m.yaml", "mappings: []\n")
	route := "POST /api/v1/plugins/mapping/try"
	s := script(t, map[string][]string{route: {"200 " + comparedSame, "200 " + comparedOthers, "200 " + comparedOthers}})
	require.Equal(t, ran{exitOK, "mapping: bbb beside aaa, which serves: 2 compared, 2 same, 0 different, 0 failed\n", ""}, s.run("plugin", "try", "mapping", config))
	require.Equal(t, "mappings: []\n", string(s.body))
	require.Equal(t, []string{"application/yaml", "tester"}, []string{s.header.Get("Content-Type"), s.header.Get("X-Wse-Who")})

	got := s.run("plugin", "try", "mapping", config)
	require.Equal(t, ran{exitDiffers, `mapping: bbb beside aaa, which serves: 30 compared, 5 same, 24 different, 1 failed, 2 skipped

1. transform of {"type":"A"}
   serving data (fuel 10), candidate trap (fuel 11): unreachable
   --- aaa
   +++ bbb
   -  "t": 1

24 more are not shown
`, ""}, got)
	got = s.run("plugin", "try", "mapping", config, "--json")
	require.Equal(t, ran{exitDiffers, comparedOthers + "\n", ""}, got)
}

func TestACandidateIsSentAsWhatItsFilesAre(t *testing.T) {
	module, config := file(t, "m.wasm", "\x00asm\x01\x00\x00\x00"), file(t, "c.json", `{"a":1}`)
	kept := `200 {"version":"bbb+ccc"}`
	s := script(t, map[string][]string{"POST /api/v1/plugins/mapping/upload": {kept}, "POST /api/v1/plugins/mapping/upload?version=bbb%2Bccc": {kept}})
	got := s.run("plugin", "upload", "mapping", module)
	require.Equal(t, ran{exitOK, "mapping: bbb+ccc is kept; to let it serve: wse plugin swap mapping --version bbb+ccc\n", ""}, got)
	require.Equal(t, "application/wasm", s.header.Get("Content-Type"))
	require.Equal(t, "\x00asm\x01\x00\x00\x00", string(s.body))

	require.Equal(t, exitOK, s.run("plugin", "upload", "mapping", config, module).code)
	_, params, err := mime.ParseMediaType(s.header.Get("Content-Type"))
	require.NoError(t, err)
	form, err := multipart.NewReader(bytes.NewReader(s.body), params["boundary"]).ReadForm(1 << 20)
	require.NoError(t, err)
	require.Equal(t, []string{`{"a":1}`}, form.Value["config"])
	require.Equal(t, []string{"\x00asm\x01\x00\x00\x00"}, form.Value["module"])

	require.Equal(t, exitOK, s.run("plugin", "upload", "mapping", "--version", "bbb+ccc").code)
	require.Empty(t, s.body)

	require.Equal(t, exitOK, wse(`{"b":2}`, "plugin", "upload", "mapping", "-", "--admin-url", s.URL).code)
	require.Equal(t, `{"b":2}`, string(s.body))
	require.Regexp(t, `^cli [!-~]+@[!-~]+$`, s.header.Get("X-Wse-Who"))
}

func TestFilesThatCannotBeSentAreToldBeforeTheEngineIsAsked(t *testing.T) {
	s := script(t, nil)
	for _, c := range []struct{ path, says string }{
		{"nowhere.yaml", "nowhere.yaml: no such file"}, {file(t, "empty.yaml", ""), "empty.yaml: is empty"}, {t.TempDir(), "is a directory"},
	} {
		got := s.run("plugin", "swap", "mapping", c.path)
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.err, c.says)
	}
	require.Empty(t, s.asked)
}

func TestSwapAndRollbackTellFromWhichVersionToWhich(t *testing.T) {
	s := script(t, map[string][]string{
		"POST /api/v1/plugins/mapping/swap?version=bbb": {
			`200 {"plugin":"mapping","from":"aaa","to":"bbb","how":"swap","who":"tester"}`, `200 {"plugin":"mapping","from":"bbb","to":"bbb","how":"swap"}`,
		},
		"POST /api/v1/plugins/mapping/rollback": {`200 {"plugin":"mapping","from":"bbb","to":"aaa","how":"rollback","who":"tester"}`},
	})
	require.Equal(t, ran{exitOK, "mapping: aaa → bbb (swap tester)\n", ""}, s.run("plugin", "swap", "mapping", "--version", "bbb"))
	require.Equal(t, ran{exitOK, "mapping: bbb serves already, and nothing was changed\n", ""}, s.run("plugin", "swap", "mapping", "--version", "bbb"))
	require.Equal(t, ran{exitOK, "mapping: bbb → aaa (rollback tester)\n", ""}, s.run("plugin", "rollback", "mapping"))
	require.JSONEq(t, `{}`, string(s.body))
	got := s.run("plugin", "rollback", "mapping", "aaa", "--json")
	require.Equal(t, exitOK, got.code)
	require.JSONEq(t, `{"plugin":"mapping","from":"bbb","to":"aaa","how":"rollback","who":"tester"}`, got.out)
	require.JSONEq(t, `{"version":"aaa"}`, string(s.body))
}

func TestARefusalTellsStepAndReasonAndWhatGoesOn(t *testing.T) {
	config := file(t, "m.yaml", "a: 1")
	refused := `422 {"title":"Unprocessable Entity","detail":"plugin/mapping: configure: no","code":"CANDIDATE_REFUSED","details":{"plugin":"mapping","step":"configure","reason":"mappings[0]: no","serving":"aaa"}}`
	nothing := `409 {"title":"Conflict","detail":"plugin/mapping: nothing served before this version","code":"NOTHING_BEFORE","details":{` + detailText + `}}`
	s := script(t, map[string][]string{
		"POST /api/v1/plugins/mapping/upload": {refused}, "POST /api/v1/plugins/mapping/try": {refused}, "POST /api/v1/plugins/mapping/swap": {refused},
		"POST /api/v1/plugins/mapping/swap?shadow_events=5": {refused}, "POST /api/v1/plugins/mapping/rollback": {nothing},
		"POST /api/v1/plugins/mapping/swap?shadow_only=true&shadow_seconds=60": {refused},
	})
	for _, args := range [][]string{
		{"upload", "mapping", config}, {"try", "mapping", config}, {"swap", "mapping", config}, {"swap", "mapping", config, "--shadow-events", "5"},
		{"shadow", "mapping", config, "--for", "1m"}, {"swap", "mapping", config, "--json"},
	} {
		got := s.run(append([]string{"plugin"}, args...)...)
		require.Equal(t, ran{exitFailed, "", "wse: plugin mapping: refused at step configure: mappings[0]: no\nwse: plugin mapping: aaa goes on serving\n"}, got, args)
	}
	require.Equal(t, ran{exitFailed, "", "wse: the engine answered 409 Conflict: plugin/mapping: nothing served before this version\nwse: plugin mapping: aaa goes on serving\n"},
		s.run("plugin", "rollback", "mapping"))
}

// shadowing is a shadow's state as the engine tells it.
func shadowing(phase, reason string, differences int) string {
	one := `{"hook":"transform","input":"{}","serving":{"verdict":"yes","fuel":1},"candidate":{"verdict":"no","fuel":1},"diff":"-yes\n+no\n"}`
	list := strings.TrimSuffix(strings.Repeat(one+",", differences), ",")
	return fmt.Sprintf(`{"candidate":"bbb","phase":%q,"reason":%q,"started":"2025-11-25T10:00:00Z","comparison":{"plugin":"mapping","serving":"aaa","candidate":"bbb","compared":%d,"same":0,"different":%d,"failed":0,"skipped":0,"differences":[%s]}}`,
		phase, reason, differences, differences, list)
}

func begun() string {
	return `202 {"plugin":"mapping","from":"aaa","how":"swap","shadow":` + shadowing("running", "", 0) + `}`
}

func TestASwapWithAShadowShowsDifferencesAsTheyAreFound(t *testing.T) {
	for _, c := range []struct {
		name, end string
		code      int
		out, err  string
	}{
		{"swapped", shadowing("swapped", "", 2), exitOK, "mapping: aaa → bbb (2 compared, 0 same, 2 different, 0 failed)\n", ""},
		{"abandoned", shadowing("abandoned", "2 answers differ", 2), exitFailed, "",
			"wse: plugin mapping: the shadow of bbb was abandoned: 2 answers differ\nwse: plugin mapping: aaa goes on serving\n"},
		{"ended", shadowing("ended", "", 2), exitDiffers, "mapping: bbb beside aaa, which serves: 2 compared, 0 same, 2 different, 0 failed\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := script(t, map[string][]string{
				"POST /api/v1/plugins/mapping/swap?differences_max=7&shadow_events=5&shadow_seconds=60&version=bbb": {begun()},
				"GET /api/v1/plugins/mapping/shadow": {"200 " + shadowing("running", "", 1), "200 " + c.end},
			})
			got := s.run("plugin", "swap", "mapping", "--version", "bbb", "--shadow-events", "5", "--shadow-for", "1m", "--differences-max", "7")
			require.Equal(t, c.code, got.code)
			difference := ". transform of {}\n   serving yes (fuel 1), candidate no (fuel 1)\n   -yes\n   +no\n"
			require.Equal(t, "\n1"+difference+"\n2"+difference+c.out, got.out)
			require.Contains(t, got.err, "wse: mapping: bbb beside aaa: 1 compared, 0 same, 1 different, 0 failed\n")
			require.True(t, strings.HasSuffix(got.err, c.err), got.err)
		})
	}
}

func TestAShadowsEndAsJSON(t *testing.T) {
	s := script(t, map[string][]string{
		"POST /api/v1/plugins/mapping/swap?shadow_events=5&shadow_only=true&version=bbb": {begun()},
		"GET /api/v1/plugins/mapping/shadow":                                             {"200 " + shadowing("ended", "", 0), "200 " + shadowing("ended", "", 1)},
		"DELETE /api/v1/plugins/mapping/shadow":                                          {"204 "},
	})
	require.Equal(t, ran{exitOK, shadowing("ended", "", 0) + "\n", ""}, s.run("plugin", "shadow", "mapping", "--version", "bbb", "--events", "5", "--json"))
	require.Equal(t, ran{exitOK, shadowing("ended", "", 1) + "\n", ""}, s.run("plugin", "shadow", "mapping", "--json"))
	require.Contains(t, s.run("plugin", "shadow", "mapping").out, "shadow of bbb since 2025-11-25T10:00:00Z: ended\nmapping: bbb beside aaa, which serves: 1 compared")
	require.Equal(t, ran{exitOK, "mapping: the shadow is cancelled\n", ""}, s.run("plugin", "shadow", "mapping", "--cancel"))
}

func TestAnotherShadowIsNotTakenForThisOne(t *testing.T) {
	s := script(t, map[string][]string{
		"POST /api/v1/plugins/mapping/swap?shadow_events=5&version=bbb": {begun()},
		"GET /api/v1/plugins/mapping/shadow":                            {"200 " + strings.ReplaceAll(shadowing("swapped", "", 0), "10:00:00", "10:00:07")},
	})
	got := s.run("plugin", "swap", "mapping", "--version", "bbb", "--shadow-events", "5")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, "another shadow has taken the place of this one")
}

func TestInterruptedTheShadowGoesOnAndTheCommandSaysHowToCancelIt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := script(t, map[string][]string{
		"POST /api/v1/plugins/mapping/swap?shadow_events=5&version=bbb": {begun()},
		"GET /api/v1/plugins/mapping/shadow":                            {"200 " + shadowing("running", "", 0)},
	})
	s.on = func(route string) {
		if strings.HasPrefix(route, "GET ") {
			cancel()
		}
	}
	var out, said bytes.Buffer
	root := newRoot(streams{strings.NewReader(""), &out, &said})
	root.SetArgs([]string{"plugin", "swap", "mapping", "--version", "bbb", "--shadow-events", "5", "--admin-url", s.URL})
	require.EqualError(t, root.ExecuteContext(ctx), "plugin mapping: the shadow goes on without this command\n"+
		"see how it stands with: wse plugin shadow mapping\nend it with: wse plugin shadow mapping --cancel")
}

func TestPluginsAreListedAndShown(t *testing.T) {
	plugin := `"name":"mapping","version":"aaa","sha256":"a0a0","path":"stock:mapping","kinds":["transform","validate"],"bind":["Order*","*"],"on_error":"drop",` +
		`"bytes":100,"instances":2,"since":"2025-11-25T10:00:00.5Z","how":"swap","who":"alice","breaker":"open","calls":{"yes":1,"data":12},"recorded":7,"dead_letters":3`
	s := script(t, map[string][]string{
		"GET /api/v1/plugins": {`200 {"plugins":[{` + plugin + `}]}`, `200 {"plugins":[]}`},
		"GET /api/v1/plugins/mapping": {`200 {` + plugin + `,"shadow":` + shadowing("running", "", 1) + `,"versions":[` +
			`{"version":"aaa","bytes":100,"time":"2025-11-25T09:00:00Z","who":"alice","how":"upload","serving":true},{"version":"bbb","bytes":90,"time":"2025-11-24T09:00:00Z","who":"","how":"start"}]}`},
	})
	run := func(args ...string) ran { return wse("", append(args, "--admin-url", s.URL)...) }
	require.Equal(t, ran{exitOK, "" +
		"NAME     VERSION  KINDS               BIND      BREAKER  INSTANCES  STRATEGIES  SINCE                 BY\n" +
		"mapping  aaa      transform,validate  Order*,*  open     2          -           2025-11-25T10:00:00Z  swap alice\n", ""}, run("plugin", "list"))
	require.Equal(t, ran{exitOK, "no plugin serves\n", ""}, run("plugin", "list"))
	require.JSONEq(t, `{"plugins":[]}`, run("plugin", "list", "--json").out)
	require.Equal(t, "3, 1 on earlier versions", (&pluginState{Kinds: []string{"strategy"}, Strategies: 2, Earlier: 1}).strategies())
	require.Equal(t, "2", (&pluginState{Kinds: []string{"strategy"}, Strategies: 2}).strategies())
	require.Equal(t, ran{exitOK, `plugin        mapping
serving       aaa since 2025-11-25T10:00:00Z, swap alice
module        stock:mapping, 100 bytes, sha256 a0a0
kinds         transform, validate
bound to      Order*, *
on error      drop
breaker       open
instances     2
strategies    -
calls         data 12, yes 1
recorded      7 events to try a candidate on
dead letters  3 since the start
shadow        of bbb since 2025-11-25T10:00:00Z: running, 1 compared, 0 same, 1 different, 0 failed

  VERSION  TIME                  BY            BYTES
* aaa      2025-11-25T09:00:00Z  upload alice  100
  bbb      2025-11-24T09:00:00Z  start         90
`, ""}, run("plugin", "show", "mapping"))
}

func TestDeadLettersAreListedShownReplayedAndDropped(t *testing.T) {
	letter := `{"id":"dl_1","channel":"events","time":"2025-11-25T10:00:00Z","event_id":"e1","event":"A","plugin":"mapping","version":"aaa","reason":"plugin/mapping@aaa: trap: unreachable\nat f","attempts":2,"last":"2025-11-25T10:01:00Z","document":"{\"type\":\"A\"}","bytes":12}`
	s := script(t, map[string][]string{
		"GET /api/v1/dead-letters?limit=100":              {`200 {"dead_letters":[` + letter + `],"total":3}`, `200 {"dead_letters":[],"total":0}`},
		"GET /api/v1/dead-letters?limit=5&plugin=mapping": {`200 {"dead_letters":[` + letter + `],"total":1}`},
		"GET /api/v1/dead-letters/dl_1":                   {"200 " + letter},
		"GET /api/v1/dead-letters/dl_2":                   {`404 {"title":"Not Found","detail":"there is no dead letter \"dl_2\""}`},
		"DELETE /api/v1/dead-letters/dl_1":                {"204 "},
		"DELETE /api/v1/dead-letters/dl_2":                {`409 {"title":"Conflict","detail":"it is being replayed"}`},
		"POST /api/v1/dead-letters/replay": {
			`200 {"replayed":1,"failed":1,"left":0,"letters":[{"id":"dl_1","status":"replayed","envelopes":[{"status":"published","topic":"user:u1:events","seq":4,"epoch":"0000beef","id":"e1"}]},{"id":"dl_2","status":"failed","error":{"message":"trap: unreachable\nat f"}}]}`,
			`200 {"replayed":0,"failed":0,"left":0,"letters":[]}`, `200 {"replayed":1,"failed":3,"left":4,"stopped":"3 letters failed in a row","letters":[]}`,
			`200 {"replayed":0,"failed":0,"left":0,"letters":[{"id":"dl_3","status":"not_found"}]}`,
		},
	})
	run := func(args ...string) ran {
		return wse("", append(append([]string{"deadletter"}, args...), "--admin-url", s.URL)...)
	}
	table := "ID    TIME                  CHANNEL  EVENT  EVENT ID  PLUGIN       ATTEMPTS  REASON\ndl_1  2025-11-25T10:00:00Z  events   A      e1        mapping@aaa  2         trap: unreachable\n"
	require.Equal(t, ran{exitOK, table + "1 of 3; --limit shows more\n", ""}, run("list"))
	require.Equal(t, ran{exitOK, "there are no dead letters\n", ""}, run("list"))
	require.Equal(t, ran{exitOK, table, ""}, run("list", "--plugin", "mapping", "--limit", "5"))
	require.Contains(t, run("show", "dl_1").out, "reason    plugin/mapping@aaa: trap: unreachable\n          at f\ndocument  12 bytes\n{\"type\":\"A\"}\n")
	require.JSONEq(t, letter, run("show", "dl_1", "--json").out)
	require.Equal(t, exitFailed, run("show", "dl_2").code)

	require.Equal(t, ran{exitFailed, "dl_1 replayed: user:u1:events seq=4 epoch=0000beef id=e1\ndl_2 failed: trap: unreachable\n1 replayed, 1 failed, 0 left\n",
		"wse: 1 of the dead letters could not be replayed\n"}, run("replay", "dl_1", "dl_2"))
	require.JSONEq(t, `{"ids":["dl_1","dl_2"]}`, string(s.body))
	require.Equal(t, ran{exitOK, "0 replayed, 0 failed, 0 left\n", ""}, run("replay", "--plugin", "mapping"))
	require.JSONEq(t, `{"plugin":"mapping"}`, string(s.body))
	require.Equal(t, ran{exitFailed, "1 replayed, 3 failed, 4 left\n", "wse: the replay ended early: 3 letters failed in a row\n"}, run("replay", "--all"))
	require.JSONEq(t, `{"all":true}`, string(s.body))
	require.Equal(t, ran{exitFailed, `{"replayed":0,"failed":0,"left":0,"letters":[{"id":"dl_3","status":"not_found"}]}` + "\n", "wse: 1 of the dead letters could not be replayed\n"},
		run("replay", "dl_3", "--json"))

	require.Equal(t, ran{exitFailed, "dl_1 dropped\n", "wse: the engine answered 409 Conflict: it is being replayed\n"}, run("drop", "dl_2", "dl_1"))
}

func TestDeadLettersOfAChannelAreListedAndDropped(t *testing.T) {
	letter := `{"id":"1-0@user:u1:*","channel":"user:u1:*","from":"wse:user:u1:*","time":"2025-11-25T10:00:00Z","event_id":"","event":"","plugin":"",` +
		`"version":"","reason":"a wildcard is no topic","attempts":1,"last":"2025-11-25T10:00:00Z","document":"hell","bytes":5,"cut":true}`
	s := script(t, map[string][]string{
		"GET /api/v1/dead-letters?channel=user%3Au1%3A%2A&limit=100": {
			`200 {"dead_letters":[` + letter + `],"total":1}`, `200 {"dead_letters":[` + letter + `],"total":1}`, `200 {"dead_letters":[],"total":0}`,
		},
		"GET /api/v1/dead-letters/1-0@user:u1:%2A":    {"200 " + letter},
		"DELETE /api/v1/dead-letters/1-0@user:u1:%2A": {"204 "},
		"POST /api/v1/dead-letters/replay":            {`200 {"replayed":0,"failed":0,"left":0,"letters":[]}`},
	})
	run := func(args ...string) ran {
		return wse("", append(append([]string{"dlq"}, args...), "--admin-url", s.URL)...)
	}
	require.Equal(t, ran{exitOK, "ID             TIME                  CHANNEL    EVENT  EVENT ID  PLUGIN  ATTEMPTS  REASON\n" +
		"1-0@user:u1:*  2025-11-25T10:00:00Z  user:u1:*  -      -         -       1         a wildcard is no topic\n", ""}, run("list", "--channel", "user:u1:*"))
	shown := run("show", "1-0@user:u1:*").out
	require.Contains(t, shown, "channel   user:u1:*\nfrom      wse:user:u1:*\n")
	require.Contains(t, shown, "document  5 bytes, of which the beginning is kept\nhell\n")
	require.Equal(t, exitOK, run("replay", "--channel", "user:u1:*").code)
	require.JSONEq(t, `{"channel":"user:u1:*"}`, string(s.body))
	require.Equal(t, ran{exitOK, "1-0@user:u1:* dropped\n", ""}, run("drop", "--channel", "user:u1:*"))
	require.Equal(t, ran{exitOK, "", ""}, run("drop", "--channel", "user:u1:*"), "nothing is left")
}
