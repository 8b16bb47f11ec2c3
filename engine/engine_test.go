package engine_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine"
	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
	"github.com/wse-engine/wse/sdk/client/go"
)

// TestMain lets the test binary stand in for wse where the plugin host starts it again to compile a module.
func TestMain(m *testing.M) {
	plugin.CompileChildMain()
	redis.Quiet()
	os.Exit(m.Run())
}

// soon is how long a test waits for what must come.
const soon = time.Minute

// running is an engine that serves on loopback, and a way to stop it.
type running struct {
	*engine.Engine
	cfg  engine.Config
	stop func() error
}

func start(t *testing.T, change func(*engine.Config)) *running {
	t.Helper()
	return startLogging(t, os.Stderr, change)
}

// startLogging is start with the log written to a place of the test's own.
func startLogging(t *testing.T, log io.Writer, change func(*engine.Config)) *running {
	t.Helper()
	cfg := engine.DefaultConfig()
	cfg.Listen, cfg.Admin.Listen, cfg.DataDir = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	cfg.Limits.DrainJitter, cfg.Limits.DrainTimeout = 0, 5*time.Second
	if change != nil {
		change(&cfg)
	}
	e, err := engine.New(cfg, engine.Options{Log: hclog.New(&hclog.LoggerOptions{Output: log, Level: hclog.Warn}), Version: "test"})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	r := &running{Engine: e, cfg: cfg}
	r.stop = func() error { cancel(); err := <-done; done <- err; return err }
	t.Cleanup(func() { require.NoError(t, r.stop()) })
	return r
}

// token issues a token the way wse token does: with the key of the data directory.
func (r *running) token(t *testing.T, user string) string {
	t.Helper()
	a, err := auth.New(r.cfg.Auth, r.cfg.DataDir)
	require.NoError(t, err)
	token, err := a.Issue(auth.Spec{UserID: user})
	require.NoError(t, err)
	return token
}

// tail follows topics and passes on what comes; it returns once it is subscribed.
func (r *running) tail(t *testing.T, user string, topics ...string) <-chan client.Publication {
	t.Helper()
	connected := make(chan struct{}, 1)
	c, err := client.New(client.Config{
		URL: "ws://" + r.Addr().String() + "/wse", Token: client.StaticToken(r.token(t, user)), Topics: topics,
		OnNotice: func(n client.Notice) {
			if n.Kind == client.Connected {
				select {
				case connected <- struct{}{}:
				default: // once more, after the connection was lost
				}
			}
		},
	})
	require.NoError(t, err)
	out := make(chan client.Publication, 1024)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Run(ctx, func(p client.Publication) error { out <- p; return nil })
	}()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case <-connected:
	case <-time.After(soon):
		t.Fatal("not subscribed in time")
	}
	return out
}

func next(t *testing.T, from <-chan client.Publication) client.Publication {
	t.Helper()
	select {
	case p := <-from:
		return p
	case <-time.After(soon):
		t.Fatal("nothing came")
		return client.Publication{}
	}
}

func TestADomainEventReachesItsSubscriberAsANumberedEnvelope(t *testing.T) {
	r := start(t, nil)
	tail := r.tail(t, "u1", "user:u1:broker_account_events")
	results, err := r.PublishEvent(t.Context(), &message.Event{
		Type: "BrokerAccountLinked", UserID: "u1", Payload: []byte(`{"broker_account_id":"acc_123","status":"linked"}`),
	})
	require.NoError(t, err)
	require.Len(t, results, 1)

	var got struct {
		T      string          `json:"t"`
		P      json.RawMessage `json:"p"`
		Seq, O int
		Cat    string `json:"_msg_cat"`
		TP     string
		E      string
		Pri, V int
	}
	raw := next(t, tail).Raw
	require.NoError(t, json.Unmarshal(raw, &got))
	require.Regexp(t, `^\{"t":"broker_account_update","p":\{"original_event_type":"BrokerAccountLinked","broker_account_id":"acc_123","status":"linked"\},"id":"[^"]+","ts":"[^"]+Z","seq":1,"_msg_cat":"U","tp":"user:u1:broker_account_events","e":"[0-9a-f]{8}","o":1,.*"pri":8,.*"v":2\}$`, string(raw))
	require.Equal(t, 1, got.Seq)
	require.Equal(t, 2, got.V)
}

func TestAReloadChangesWhatTheNextEventBecomesAndABrokenOneChangesNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mappings.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	write("mappings: [{event: Ping, type: first, topic: 'user:{user_id}:events'}]")
	r := start(t, func(cfg *engine.Config) {
		cfg.Plugins[0].Config, cfg.Plugins[0].ConfigFile = nil, file
	})
	tail := r.tail(t, "u1", "events")
	event := func() string {
		_, err := r.PublishEvent(t.Context(), &message.Event{Type: "Ping", UserID: "u1", Payload: []byte(`{}`)})
		require.NoError(t, err)
		return next(t, tail).Type
	}
	require.Equal(t, "first", event())
	write("mappings: [{event: Ping, type: second, topic: 'user:{user_id}:events'}]")
	require.NoError(t, r.Reload(t.Context()))
	require.Equal(t, "second", event())
	write("mappings: [{event: Ping, typo: third}]")
	require.ErrorContains(t, r.Reload(t.Context()), "mapping")
	require.Equal(t, "second", event())
	write(" \n")
	require.ErrorContains(t, r.Reload(t.Context()), "is empty", "an editor may be writing it")
	require.Equal(t, "second", event())
}

func TestShutdownTellsClientsToComeBackAndLeavesNothingBehind(t *testing.T) {
	r := start(t, nil)
	tail := r.tail(t, "u1", "events")
	_, err := r.Publish(t.Context(), &message.Envelope{Topic: "user:u1:events", Type: "last", Payload: []byte(`{}`)})
	require.NoError(t, err)
	require.NoError(t, r.stop())
	require.Equal(t, "last", next(t, tail).Type, "what was accepted is delivered before the close")
}

func TestEveryFaultOfAConfigurationIsToldWithItsPath(t *testing.T) {
	cfg := engine.DefaultConfig()
	cfg.Listen, cfg.DataDir, cfg.Logging.Level, cfg.Debug.Poller, cfg.Debug.Echo = "nonsense", "", "loud", "kqueue", true
	cfg.TLS.CertFile, cfg.Limits.DrainTimeout, cfg.Limits.QueueKiBMax = "x", -1, 0
	err := cfg.Validate()
	for _, path := range []string{"listen: ", "data_dir: ", "logging.level: ", "debug.poller: ", "debug.echo: ", "tls: ", "limits.drain_timeout: ", "limits.queue_kib_max: "} {
		require.ErrorContains(t, err, path)
	}
}

func TestWhenAPortIsTakenNothingStaysOpen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	addr := redistest.FreeAddr(t) // which nobody is given meanwhile

	cfg := engine.DefaultConfig()
	cfg.Listen, cfg.Admin.Listen, cfg.DataDir = addr, taken.Addr().String(), t.TempDir()
	_, err = engine.New(cfg, engine.Options{})
	require.ErrorContains(t, err, taken.Addr().String(), "the error names what is taken")

	cfg.Admin.Listen = "127.0.0.1:0"
	e, err := engine.New(cfg, engine.Options{})
	require.NoError(t, err, "the public port was let go")
	require.NoError(t, e.Close())
	again, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	require.NoError(t, again.Close())
}
