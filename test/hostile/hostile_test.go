package hostile

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
	client "github.com/wse-engine/wse/sdk/client/go"
)

// residentMiBMax is what the engine may come to, whatever it is given. A run of the whole corpus prints what it came to.
const residentMiBMax = 512

// TestCorpus puts every module of the corpus in the place of a plugin that serves, as an operator would, and calls what
// was admitted. All the while a subscriber must receive, in order and without a gap, what a publisher hands in.
func TestCorpus(t *testing.T) {
	s := start(t)
	bystanders := s.bystand(t)
	var slowest time.Duration
	var slowestName string
	refused, contained := 0, 0
	for _, a := range corpus() {
		t.Run(a.name, func(t *testing.T) {
			begin := time.Now()
			if a.refused() {
				a.expectRefusal(t, s)
				refused++
			} else {
				a.expectContainment(t, s)
				contained++
			}
			took := time.Since(begin)
			if took > slowest {
				slowest, slowestName = took, a.name
			}
			require.Less(t, took, patience/2)
			require.Equal(t, fate{Status: "published"}, s.event(t, "Innocent", 0), "others are served")
		})
	}
	bystanders(t)
	now, peak := s.resident(t)
	require.Less(t, peak, residentMiBMax)
	t.Logf("%d modules refused, %d contained; slowest %v (%s); resident %d MiB, at most %d MiB", refused, contained, slowest.Round(time.Millisecond), slowestName, now, peak)
}

// refused reports whether the attack must not be admitted. Some steps depend on the compiler: those attacks name none.
func (a *attack) refused() bool { return a.kind == "" && a.calls == nil && a.event == 0 }

func (a *attack) expectRefusal(t *testing.T, s *server) {
	refusal := s.swap(t, "victim", a.module)
	require.NotEmpty(t, refusal, "the module was admitted")
	switch a.step {
	case "-": // refused before it is a plugin's
	case "":
		require.Regexp(t, `plugin/victim: (scan|exports|compile): `, refusal)
	default:
		require.Contains(t, refusal, "plugin/victim: "+a.step+": ")
	}
	require.Contains(t, refusal, a.says)
	require.Equal(t, "published", s.event(t, "VictimHappened", 0).Status, "what served before goes on")
}

func (a *attack) expectContainment(t *testing.T, s *server) {
	require.Empty(t, s.swap(t, "victim", a.module), "the module must be admitted")
	calls := a.calls
	if calls == nil {
		calls = []string{"dead_letter"}
	}
	for i, want := range calls {
		f := s.event(t, "VictimHappened", a.event)
		require.Equal(t, want, f.Status, "event %d: %s %s", i, f.Reason, f.Detail)
		if want == "dead_letter" {
			require.Contains(t, f.Reason, "plugin/victim@")
			require.Contains(t, f.Reason, ": "+a.kind)
			require.Contains(t, f.Reason, a.says)
		}
	}
	require.Empty(t, s.swap(t, "victim", good()))
	require.Equal(t, "published", s.event(t, "VictimHappened", 0).Status)
}

// TestInspect has the author's tool look at every module of the corpus: what the engine would refuse it refuses too, with
// the same step and reason, and with nothing worse happening to it than to the engine.
func TestInspect(t *testing.T) {
	dir := t.TempDir()
	for i, a := range corpus() {
		t.Run(a.name, func(t *testing.T) {
			file := filepath.Join(dir, itoa(i)+".wasm")
			require.NoError(t, os.WriteFile(file, a.module, 0o600))
			cmd := exec.Command(program, "plugin", "inspect", file)
			cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+dir)
			out, err := cmd.CombinedOutput()
			if a.refused() {
				var exit *exec.ExitError
				require.ErrorAs(t, err, &exit, "%s", out)
				require.Equal(t, 1, exit.ExitCode(), "%s", out)
				require.Regexp(t, `(?m)^verdict +refused at step [a-z]+: .`, string(out))
				if a.step != "" && a.step != "-" {
					require.Contains(t, string(out), "refused at step "+a.step+": ")
				}
			} else {
				require.NoError(t, err, "%s", out)
			}
		})
	}
}

// bystand has somebody publish and somebody read, through the stock plugins, until the returned function is called, which
// checks that nothing was lost, doubled or out of order.
func (s *server) bystand(t *testing.T) (check func(t *testing.T)) {
	t.Helper()
	const topic = "user:u1:quiet_events"
	ctx, stop := context.WithCancel(t.Context())
	var received, sent atomic.Uint64
	connected, problem := make(chan struct{}, 1), make(chan error, 1)
	tell := func(err error) {
		select {
		case problem <- err:
		default: // the first one is enough
		}
	}
	c, err := client.New(client.Config{
		URL: "ws://" + s.Public, Token: client.StaticToken(s.token(t)), Topics: []string{topic},
		OnNotice: func(n client.Notice) {
			if n.Kind == client.Connected {
				connected <- struct{}{}
			} else {
				tell(fmt.Errorf("%s: %w", n.Kind, n.Err))
			}
		},
	})
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Run(ctx, func(p client.Publication) error { // ends when ctx does
			if next := received.Load() + 1; p.Seq != next {
				tell(fmt.Errorf("publication %d came where %d was due", p.Seq, next))
			}
			received.Add(1)
			return nil
		})
	}()
	select {
	case <-connected:
	case <-time.After(patience):
		t.Fatal("the bystander did not connect")
	}
	publishing := make(chan struct{})
	go func() {
		defer close(publishing)
		s.publish(ctx, topic, &sent, tell)
	}()
	return func(t *testing.T) {
		require.Eventually(t, func() bool { return received.Load() >= sent.Load() && sent.Load() > 0 }, patience, time.Millisecond)
		stop()
		<-publishing
		<-ended
		select {
		case err := <-problem:
			require.NoError(t, err)
		default:
		}
	}
}

// publish publishes every few milliseconds until ctx ends, and counts.
func (s *server) publish(ctx context.Context, topic string, sent *atomic.Uint64, tell func(error)) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		resp, err := http.Post("http://"+s.Admin+"/api/v1/publish", "application/json", strings.NewReader(`{"topic":"`+topic+`","t":"quiet","p":{}}`))
		if err != nil {
			tell(err)
			return
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			tell(fmt.Errorf("a publication was answered %s", resp.Status))
			return
		}
		sent.Add(1)
	}
}

// token has the program issue a token, as a user would.
func (s *server) token(t *testing.T) string {
	t.Helper()
	token, said, _, err := s.Command("token", "--sub", "u1")
	require.NoError(t, err, said)
	return strings.TrimSpace(token)
}

// guarding is an authorizer that allows.
func guarding() w.Module {
	return w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_authorize", w.I64Const(1))}})
}

// TestGuard puts authorizers that fail in every way in the place of one that allows. A topic of theirs must be refused, for
// that is the safe answer, and other topics must not notice.
func TestGuard(t *testing.T) {
	s := start(t)
	require.NoError(t, s.subscribe(t, "stream:market_data:guarded"))
	for _, c := range []struct {
		name string
		code []byte
		data string
	}{
		{name: "loops", code: w.Cat(forever(), w.I64Const(1))},
		{name: "traps", code: []byte{0x00}},
		{name: "answers from outside its memory", code: w.Pack(4<<16, 8)},
		{name: "answers a result of no form", code: w.I64Const(2)},
		{name: "reports an error", code: w.I64Const(-1<<63 | 7)},
		{name: "answers no JSON", data: `yes`},
		{name: "answers no verdict", data: `{}`},
		{name: "answers a verdict of the wrong type", data: `{"allow":"true"}`},
		{name: "answers two verdicts", data: `{"allow":false,"allow":true}`},
		{name: "answers an unknown field", data: `{"allow":true,"admin":true}`},
		{name: "says no", code: w.I64Const(0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_authorize", c.code)}})
			if c.data != "" {
				m.Funcs[0] = w.Hook("wse_authorize", w.Pack(4096, len(c.data)))
				m.Data = []w.Data{{At: 4096, Bytes: []byte(c.data)}}
			}
			require.Empty(t, s.swap(t, "guard", m.Bytes()))
			require.Error(t, s.subscribe(t, "stream:market_data:guarded"), "what cannot be decided is denied")
			require.NoError(t, s.subscribe(t, "user:u1:order_events"), "others are served")
		})
	}
	require.Empty(t, s.swap(t, "guard", guarding().Bytes()))
	require.NoError(t, s.subscribe(t, "stream:market_data:guarded"))
}

// subscribe connects as u1, subscribes and leaves, and returns why that did not succeed.
func (s *server) subscribe(t *testing.T, topic string) error {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	subscribed := false
	c, err := client.New(client.Config{
		URL: "ws://" + s.Public, Token: client.StaticToken(s.token(t)), Topics: []string{topic},
		OnNotice: func(n client.Notice) {
			if n.Kind == client.Connected {
				subscribed = true
				stop()
			}
		},
	})
	require.NoError(t, err)
	err = c.Run(ctx, func(client.Publication) error { return nil })
	if err == nil && !subscribed {
		return ctx.Err()
	}
	return err
}
