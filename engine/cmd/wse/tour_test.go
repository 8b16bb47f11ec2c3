package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// once runs the program to its end.
func once(t *testing.T, stdin string, args ...string) ran {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, err strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &err
	_ = cmd.Run()
	return ran{cmd.ProcessState.ExitCode(), out.String(), err.String()}
}

// envelope is what the tests look at in an envelope.
type envelope struct {
	T, Cat, Tp, E, ID string
	P                 map[string]any
	Seq, O            uint64
	Pri, V            int
}

func decode(t *testing.T, line string) (e envelope) {
	var cat struct {
		Cat string `json:"_msg_cat"`
	}
	require.NoError(t, json.Unmarshal([]byte(line), &e), line)
	require.NoError(t, json.Unmarshal([]byte(line), &cat))
	e.Cat = cat.Cat
	return e
}

const linked = `{"broker_account_id":"acc_123","status":"linked"}`

func TestTheTour(t *testing.T) {
	e := serve(t)
	tail := start(t, e.with("tail", "user:u1:broker_account_events", "user:u1:order_events", "--count", "2")...)
	tail.until("subscribed")

	event := once(t, "", e.with("event", "BrokerAccountLinked", "--user", "u1", "--payload", linked)...)
	require.Equal(t, exitOK, event.code, event.err)
	require.Regexp(t, `^user:u1:broker_account_events seq=1 epoch=[0-9a-f]{8} id=\S+\n$`, event.out)
	line := tail.until(`"t":`)
	require.True(t, strings.HasPrefix(line, `{"t":"broker_account_update"`) && strings.HasSuffix(line, `"v":2}`), line)
	got := decode(t, line)
	require.Equal(t, map[string]any{"original_event_type": "BrokerAccountLinked", "broker_account_id": "acc_123", "status": "linked"}, got.P)
	require.Equal(t, envelope{T: "broker_account_update", Cat: "U", Tp: "user:u1:broker_account_events", E: got.E, ID: got.ID,
		P: got.P, Seq: 1, O: 1, Pri: 8, V: 2}, got)

	publish := once(t, `{"order_id":"ord_1","status":"filled"}`, e.with("publish", "user:u1:order_events", "--type", "order_update",
		"--payload", "-", "--pri", "10", "--id", "mine")...)
	require.Equal(t, exitOK, publish.code, publish.err)
	require.Regexp(t, `^user:u1:order_events seq=1 epoch=[0-9a-f]{8} id=mine\n$`, publish.out)
	got = decode(t, tail.until(`"t":`))
	require.Equal(t, "order_update", got.T)
	require.Equal(t, 10, got.Pri)
	require.Equal(t, exitOK, tail.end(), "tail ends after --count")

	again := once(t, "", e.with("publish", "user:u1:order_events", "--type", "order_update", "--id", "mine")...)
	require.Equal(t, exitOK, again.code, again.err)
	require.Contains(t, again.out, "seq=1 ")
	require.Contains(t, again.out, "(duplicate)")

	refused := once(t, "", e.with("publish", "user::x", "--type", "t")...)
	require.Equal(t, exitFailed, refused.code)
	require.Equal(t, 1, strings.Count(refused.err, "\n"), refused.err)
}

func TestTailReadsOnFromAPosition(t *testing.T) {
	e := serve(t)
	for range 3 {
		require.Equal(t, exitOK, once(t, "", e.with("publish", "user:u1:order_events", "--type", "t")...).code)
	}
	fourth := once(t, "", e.with("publish", "user:u1:order_events", "--type", "t", "--json")...)
	var at struct{ Epoch string }
	require.NoError(t, json.Unmarshal([]byte(fourth.out), &at), fourth.out)

	got := once(t, "", e.with("tail", "user:u1:order_events", "--recover-from", at.Epoch+":2", "--count", "2")...)
	require.Equal(t, exitOK, got.code, got.err)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	require.Len(t, lines, 2)
	require.EqualValues(t, 3, decode(t, lines[0]).O)
	require.EqualValues(t, 4, decode(t, lines[1]).O)
}

func TestAChangedMappingCountsFromTheNextEventAfterSIGHUP(t *testing.T) {
	table := filepath.Join(t.TempDir(), "mappings.yaml")
	write := func(typ string) {
		text := "mappings:\n  - {event: Thing, type: " + typ + ", topic: \"user:{user_id}:events\"}\n"
		require.NoError(t, os.WriteFile(table, []byte(text), 0o600))
	}
	write("one")
	e := serve(t, "--set", "plugins[0].config=null", "--set", "plugins[0].config_file="+table)
	tail := start(t, e.with("tail", "user:u1:events")...)
	tail.until("subscribed")
	thing := e.with("event", "Thing", "--user", "u1")
	require.Equal(t, exitOK, once(t, "", thing...).code)
	require.Equal(t, "one", decode(t, tail.until(`"t":`)).T)

	write("two")
	e.signal(syscall.SIGHUP)
	e.until("plugin swapped")
	require.Equal(t, exitOK, once(t, "", thing...).code)
	require.Equal(t, "two", decode(t, tail.until(`"t":`)).T, "on the same connection")

	require.NoError(t, os.WriteFile(table, []byte("mappings: ["), 0o600))
	e.signal(syscall.SIGHUP)
	e.until("reload refused")
	require.Equal(t, exitOK, once(t, "", thing...).code)
	require.Equal(t, "two", decode(t, tail.until(`"t":`)).T, "a broken table changes nothing")
}

func TestACommandThatIsInterruptedLeavesItsShadowToTheEngine(t *testing.T) {
	table := filepath.Join(t.TempDir(), "new.yaml")
	require.NoError(t, os.WriteFile(table, []byte("mappings:\n  - {event: Thing, type: two, topic: \"user:{user_id}:events\"}\n"), 0o600))
	e := serve(t)
	swap := start(t, e.with("plugin", "swap", "mapping", table, "--shadow-events", "1")...)
	swap.until("0 compared")
	swap.signal(os.Interrupt)
	require.Equal(t, exitFailed, swap.end())
	said := strings.Join(swap.seen, "\n")
	require.Contains(t, said, "the shadow goes on without this command")
	require.Contains(t, said, "wse plugin shadow mapping --cancel")

	require.Equal(t, exitOK, once(t, "", e.with("event", "Thing", "--user", "u1")...).code)
	e.until("shadow swapped after 1 events")
	shown := once(t, "", e.with("plugin", "show", "mapping")...)
	require.Contains(t, shown.out, "swapped, 1 compared, 0 same, 1 different")
	require.Equal(t, exitOK, once(t, "", e.with("plugin", "rollback", "mapping")...).code)
}

func TestASecondSignalLeavesAtOnce(t *testing.T) {
	e := serve(t, "--set", "limits.drain_timeout=10m", "--set", "limits.drain_jitter=10m")
	for range 2 { // the second of them is only sent away after a while
		start(t, e.with("tail", "user:u1:events")...).until("subscribed")
	}
	e.signal(syscall.SIGTERM)
	e.until("draining")
	e.signal(syscall.SIGTERM)
	require.Equal(t, exitFailed, e.end())
}

func TestTheAdminPortTakenIsOneLineToo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	got := once(t, "", "serve", "--set", "listen=127.0.0.1:0", "--set", "admin.listen="+l.Addr().String(), "--set", "data_dir="+t.TempDir())
	require.Equal(t, exitFailed, got.code)
	require.Equal(t, 1, strings.Count(got.err, "\n"), got.err)
	require.Contains(t, got.err, "address already in use")
}
