package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/auth"
)

// ran is what a command line did.
type ran struct {
	code     int
	out, err string
}

// wse runs a command line in this process.
func wse(stdin string, args ...string) ran {
	var out, err bytes.Buffer
	code := run(args, streams{strings.NewReader(stdin), &out, &err})
	return ran{code, out.String(), err.String()}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	var visit func(cmd *cobra.Command, path []string)
	visit = func(cmd *cobra.Command, path []string) {
		for _, sub := range cmd.Commands() {
			if sub.Name() != "help" {
				visit(sub, append(path[:len(path):len(path)], sub.Name()))
			}
		}
		got := wse("", append(path, "--help")...)
		require.Equal(t, exitOK, got.code, "%v: %s", path, got.err)
		require.Contains(t, got.out, "Examples:\n  wse ", "%v", path)
		require.Empty(t, got.err)
	}
	visit(newRoot(streams{}), nil)
}

func TestTheCommandsAreTheseAndNoOthers(t *testing.T) {
	var names []string
	for _, cmd := range newRoot(streams{}).Commands() {
		names = append(names, cmd.Name())
	}
	require.Equal(t, []string{"config", "deadletter", "event", "feed", "nodes", "plugin", "publish", "serve", "tail", "token", "version"}, names)
}

func TestAMisusedCommandLineExitsWith2AndSaysHow(t *testing.T) {
	for _, tt := range []struct {
		args string
		says string
	}{
		{"", "name a command"},
		{"nope", `there is no command "nope"`},
		{"--nope", "unknown flag: --nope"},
		{"serve extra", `"extra" is one argument too many`},
		{"config", "name a command: check"},
		{"config check", "FILE is missing"},
		{"plugin", "name a command: "},
		{"plugin list x", `"x" is one argument too many`},
		{"plugin show", "NAME is missing"},
		{"plugin try", "NAME is missing"},
		{"plugin try mapping", "FILE or --version is missing"},
		{"plugin swap mapping x --version y", "a kept version comes with its own module and config"},
		{"plugin swap mapping x --shadow-for 1500ms", "whole seconds only"},
		{"plugin swap mapping x --shadow-events -1", "cannot be negative"},
		{"plugin swap mapping x --differences-max 3", "say how long it runs"},
		{"plugin swap mapping ../../../configs/mappings.yaml ../../../configs/mappings.yaml", "a config is given already"},
		{"plugin shadow", "NAME is missing"},
		{"plugin shadow mapping x", "--events or --for is missing"},
		{"plugin shadow mapping x --cancel", `"x" is one argument too many`},
		{"plugin rollback", "NAME is missing"},
		{"plugin rollback a b c", "too many"},
		{"deadletter", "name a command: drop, list, replay, show"},
		{"deadletter show", "ID is missing"},
		{"deadletter drop", "give either ID..., --plugin NAME, --channel NAME or --all"},
		{"deadletter replay", "give either ID..., --plugin NAME, --channel NAME or --all"},
		{"deadletter replay x --all", "give either ID..., --plugin NAME, --channel NAME or --all"},
		{"plugin nope", `there is no command "nope"`},
		{"token", "--sub is missing"},
		{"token --sub u1 --ttl soon", "invalid argument"},
		{"token --sub u1 --ttl 0s", "less than a second"},
		{"token --sub u1 --permission root", "not one of basic"},
		{"token --sub u1 --claims [1]", "not a JSON object"},
		{"token --sub u1 --claims {", "not JSON"},
		{"tail", "TOPIC is missing"},
		{"tail t --count -1", "negative"},
		{"tail t --recover-from 12", "EPOCH:OFFSET"},
		{"tail t --recover-from XYZ:1", "EPOCH:OFFSET"},
		{"tail a b --recover-from 0000beef:1", "needs one topic"},
		{"event", "TYPE is missing"},
		{"event X", "--user or --topic is missing"},
		{"event X --user u1 --pri 11", "--pri: 11"},
		{"event X --user u1 --payload null", "not a JSON object"},
		{"publish", "TOPIC is missing"},
		{"publish t", "--type is missing"},
		{"publish t --type x --pri 0", "--pri: 0"},
	} {
		t.Run(tt.args, func(t *testing.T) { misuse(t, tt.args, tt.says) })
	}
}

// misuse runs a command line that cannot be understood.
func misuse(t *testing.T, args, says string) {
	got := wse("", strings.Fields(args)...)
	require.Equal(t, exitUsage, got.code)
	require.Empty(t, got.out)
	require.Contains(t, got.err, "wse: ")
	require.Contains(t, got.err, says)
	require.Contains(t, got.err, "See: wse")
}

func TestATokenIsMadeWithTheKeyOfTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	dataDir := "data_dir=" + dir
	got := wse(`{"tier":"gold"}`, "token", "--sub", "u1", "--ttl", "1h", "--permission", "trader", "--claims", "-", "--set", dataDir)
	require.Equal(t, exitOK, got.code, got.err)
	a, err := auth.New(auth.DefaultConfig(), dir)
	require.NoError(t, err)
	id, err := a.Verify(t.Context(), strings.TrimSpace(got.out))
	require.NoError(t, err)
	require.Equal(t, "u1", id.UserID)
	require.Equal(t, "trader", id.Level)
	require.Contains(t, string(id.Claims), `"tier":"gold"`)

	got = wse("", "token", "--sub", "u1", "--refresh", "--set", dataDir)
	require.Equal(t, exitOK, got.code, got.err)
	_, err = a.Verify(t.Context(), strings.TrimSpace(got.out))
	require.ErrorContains(t, err, "refresh token")
}

func TestACommandThatFailsExitsWith1AndOneLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	nobody := "127.0.0.1:1"
	for _, tt := range []struct {
		name string
		args []string
		says string
	}{
		{"a user id that cannot be one", []string{"token", "--sub", "a/b", "--set", "data_dir=" + t.TempDir()}, "position 2"},
		{"a data directory that is a file", []string{"token", "--sub", "u1", "--set", "data_dir=" + file}, "data_dir"},
		{"a configuration that is not there", []string{"token", "--sub", "u1", "--config", file + "x"}, "cannot be read"},
		{"a setting that is none", []string{"token", "--sub", "u1", "--set", "lisen=x"}, "did you mean listen?"},
		{"an engine that is not there", []string{"publish", "public:x", "--type", "x", "--set", "admin.listen=" + nobody}, "no engine answers at http://127.0.0.1:1"},
		{"an engine that cannot be tailed", []string{"tail", "public:x", "--set", "listen=" + nobody, "--set", "data_dir=" + t.TempDir()}, "no engine answers at http://127.0.0.1:1"},
		{"a port that is not known", []string{"event", "X", "--user", "u1", "--set", "admin.listen=127.0.0.1:0"}, "give --admin-url"},
		{"a payload file that is not there", []string{"event", "X", "--user", "u1", "--payload", "@" + file + "x"}, "no such file"},
		{"a refused file", []string{"config", "check", file + "x"}, "cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := wse("", tt.args...)
			require.Equal(t, exitFailed, got.code)
			require.Empty(t, got.out)
			require.Contains(t, got.err, tt.says)
			require.Equal(t, 1, strings.Count(got.err, "\n"), got.err)
		})
	}
}

func TestConfigCheckTellsEveryFaultWithItsPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	require.NoError(t, os.WriteFile(file, []byte("listen: ':1'\nauth:\n  secret: short\n  leeway: 1h\nheartbeat: 5\n"), 0o600))
	got := wse("", "config", "check", file)
	require.Equal(t, exitFailed, got.code)
	require.Empty(t, got.out)
	lines := strings.Split(strings.TrimSpace(got.err), "\n")
	require.Len(t, lines, 3)
	require.Contains(t, lines[0], file+":3: config: auth.secret: ")
	require.Contains(t, lines[1], file+":4: config: auth.leeway: ")
	require.Contains(t, lines[2], file+":5: config: heartbeat: ")

	got = wse("", "config", "check", file, "--json")
	require.Equal(t, exitFailed, got.code)
	var answer struct {
		OK     bool
		Faults []struct{ Source, Path, Text string }
	}
	require.NoError(t, json.Unmarshal([]byte(got.out), &answer))
	require.False(t, answer.OK)
	require.Len(t, answer.Faults, 3)
	require.Equal(t, "heartbeat", answer.Faults[2].Path)

	require.NoError(t, os.WriteFile(file, []byte("listen: ':1'\n"), 0o600))
	require.Equal(t, ran{exitOK, file + ": ok\n", ""}, wse("", "config", "check", file))
	require.JSONEq(t, `{"file":"`+file+`","ok":true,"faults":[]}`, wse("", "config", "check", file, "--json").out)
}

func TestVersionTellsWhatThisIs(t *testing.T) {
	got := wse("", "version")
	require.Equal(t, exitOK, got.code)
	require.Regexp(t, `^wse \S+\ncommit +\S+\ngo +go1\.\S+\nplatform +\w+/\w+\n$`, got.out)
	var b build
	require.NoError(t, json.Unmarshal([]byte(wse("", "version", "--json").out), &b))
	require.NotEmpty(t, b.Go)
}

// admin plays the admin API: it answers every request with a status and a body, and keeps what was asked.
type admin struct {
	*httptest.Server
	path, token, body string
}

func newAdmin(t *testing.T, status int, answer string) *admin {
	a := &admin{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a.path, a.token, a.body = r.URL.Path, r.Header.Get("Authorization"), string(body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(a.Close)
	return a
}

func TestEventAndPublishSendWhatTheyAreTold(t *testing.T) {
	a := newAdmin(t, 200, `{"status":"published","topic":"user:u1:x","seq":7,"epoch":"0000beef","id":"i1"}`)
	file := filepath.Join(t.TempDir(), "p.json")
	require.NoError(t, os.WriteFile(file, []byte(" {\"a\":1}\n"), 0o600))

	got := wse("", "event", "OrderPlaced", "--user", "u1", "--payload", "@"+file, "--id", "i1", "--cid", "c1", "--pri", "8", "--admin-url", a.URL+"/")
	require.Equal(t, ran{exitOK, "user:u1:x seq=7 epoch=0000beef id=i1\n", ""}, got)
	require.Equal(t, "/api/v1/events", a.path)
	require.JSONEq(t, `{"type":"OrderPlaced","user_id":"u1","payload":{"a":1},"id":"i1","cid":"c1","pri":8}`, a.body)
	require.Empty(t, a.token)

	got = wse(`{"b":2}`, "publish", "user:u1:x", "--type", "t1", "--payload", "-", "--token", "secret", "--admin-url", a.URL, "--json")
	require.Equal(t, exitOK, got.code, got.err)
	require.JSONEq(t, `{"status":"published","topic":"user:u1:x","seq":7,"epoch":"0000beef","id":"i1"}`, got.out)
	require.Equal(t, "/api/v1/publish", a.path)
	require.Equal(t, "Bearer secret", a.token)
	require.JSONEq(t, `{"topic":"user:u1:x","t":"t1","p":{"b":2}}`, a.body)
}

func TestTheAdminTokenOfTheConfigurationStaysOnThisMachine(t *testing.T) {
	a := newAdmin(t, 200, `{"topic":"public:x","seq":1,"id":"i"}`)
	address := strings.TrimPrefix(a.URL, "http://")
	token := strings.Repeat("s", 32)
	got := wse("", "publish", "public:x", "--type", "x", "--set", "admin.listen="+address, "--set", "admin.token="+token)
	require.Equal(t, ran{exitOK, "public:x seq=1 id=i\n", ""}, got)
	require.Equal(t, "Bearer "+token, a.token)

	require.True(t, isLocal("http://localhost:1") && isLocal("ws://[::1]/x") && isLocal(""))
	require.False(t, isLocal("https://engine.example.com") || isLocal("http://127.0.0.1.example.com") || isLocal("://"))
}

func TestWhatTheEngineRefusesIsToldAndFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		answer string
		says   string
	}{
		{"a problem", 400, `{"type":"about:blank","title":"Bad Request","status":400,"detail":"topic: has an empty segment"}`, "wse: the engine answered 400 Bad Request: topic: has an empty segment\n"},
		{"a problem without detail", 401, `{"title":"Unauthorized"}`, "401 Unauthorized: Unauthorized"},
		{"something else", 502, "<html>\nbad gateway", "502 Bad Gateway: <html>"},
		{"an answer that is none", 200, "hello", "not understood"},
		{"nothing published", 200, `{"status":"dead_letter","reason":"mapping trapped"}`, "not published: dead_letter: mapping trapped"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := wse("", "event", "X", "--user", "u1", "--admin-url", newAdmin(t, tt.status, tt.answer).URL)
			require.Equal(t, exitFailed, got.code)
			require.Contains(t, got.err, tt.says)

			got = wse("", "event", "X", "--user", "u1", "--json", "--admin-url", newAdmin(t, tt.status, tt.answer).URL)
			require.Equal(t, exitFailed, got.code, "a script goes by the exit code")
			require.Contains(t, got.err, tt.says)
		})
	}
}

func TestAnEventThatBecomesSeveralEnvelopesIsSeveralLines(t *testing.T) {
	a := newAdmin(t, 200, `{"topic":"a:b","seq":1,"epoch":"0000beef","id":"i","envelopes":[{"topic":"a:b","seq":1,"epoch":"0000beef","id":"i"},{"topic":"a:c","seq":9,"epoch":"0000cafe","id":"i.1","status":"duplicate"}]}`)
	got := wse("", "event", "X", "--user", "u1", "--admin-url", a.URL)
	require.Equal(t, ran{exitOK, "a:b seq=1 epoch=0000beef id=i\na:c seq=9 epoch=0000cafe id=i.1 (duplicate)\n", ""}, got)
}

func TestAnEventThatAPluginDropsIsNoFailure(t *testing.T) {
	got := wse("", "event", "X", "--user", "u1", "--admin-url", newAdmin(t, 200, `{"status":"dropped","id":"i","reason":"plugin mapping drops it"}`).URL)
	require.Equal(t, ran{exitOK, "dropped: plugin mapping drops it\n", ""}, got)
}

func TestASignalEndsACommandThatReadsStandardInput(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, never, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, errors.Join(never.Close(), in.Close())) })
	var out, said bytes.Buffer
	root := newRoot(streams{in, &out, &said})
	root.SetArgs([]string{"event", "X", "--user", "u1", "--payload", "-"})
	cancel()
	require.EqualError(t, root.ExecuteContext(ctx), "--payload: standard input: interrupted")
}
