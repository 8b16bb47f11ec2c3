package plugin

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// steps counts.
type steps struct{ aside, back chan struct{} }

func (s steps) StepAside() { s.aside <- struct{}{} }
func (s steps) StepBack()  { s.back <- struct{}{} }

func TestAuthorize_tells_of_a_wait_for_a_slow_plugin_and_of_no_other(t *testing.T) {
	yes := w.Plugin(w.Module{Funcs: []w.Func{w.Hook("wse_authorize", w.I64Const(1))}})
	h, err := New(Configs{{Name: "x", Path: "stock:x", Limits: Limits{Instances: 1, InstanceWait: time.Minute}}},
		Deps{DataDir: t.TempDir(), Stock: func(string) ([]byte, bool) { return yes.Bytes(), true }})
	require.NoError(t, err)
	defer h.Close()
	v := h.only()
	tell := steps{make(chan struct{}, 9), make(chan struct{}, 9)}
	ask := func() chan error {
		done := make(chan error)
		go func() {
			_, err := h.Authorize(t.Context(), AuthorizeRequest{Action: "subscribe", Topic: "t", Waiter: tell})
			done <- err
		}()
		return done
	}
	require.NoError(t, <-ask())
	release := occupy(t, v)
	done := ask()
	until(t, func() bool { return v.pool.waits() == 1 })
	release()
	require.NoError(t, <-done)
	require.Empty(t, tell.aside, "a plugin that is only busy is soon free")

	v.costs[hookAuthorize].fuel.Store(1 << 40)
	require.NoError(t, <-ask())
	require.Empty(t, tell.aside, "nobody has to be waited for")
	release = occupy(t, v)
	done = ask()
	<-tell.aside
	require.Empty(t, tell.back)
	release()
	require.NoError(t, <-done)
	<-tell.back

	v.costs[hookAuthorize].fuel.Store(1 << 40)
	for range cap(h.gate) {
		require.True(t, h.gate.free())
	}
	done = ask()
	<-tell.aside
	for range cap(h.gate) {
		h.gate.leave()
	}
	require.NoError(t, <-done)
	<-tell.back
	require.Empty(t, tell.aside)
}
