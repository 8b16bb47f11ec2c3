package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
)

// rollout is what became of a change of a plugin on all nodes, as the engine reports it.
type rollout struct {
	Version string
	Outcome string
	Nodes   []nodeState
}

type nodeState struct{ ID, State string }

// mapping is the stock mapping with a row more, which makes it another version.
func (w *world) mapping(n int) []byte {
	stock, err := os.ReadFile("../../configs/mappings.yaml")
	require.NoError(w.t, err)
	row := fmt.Sprintf("mappings:\n  - {event: Extra%d, type: extra, topic: \"user:{user_id}:extra\"}\n", n)
	return []byte(strings.Replace(string(stock), "mappings:\n", row, 1))
}

// onAll has a node ask for a change of the plugin on all nodes.
func (w *world) onAll(ctx context.Context, a alive, method, what string, body []byte) (r rollout, status int, err error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+a.Admin+"/api/v1/plugins/mapping/"+what, bytes.NewReader(body))
	if err != nil {
		return r, 0, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/yaml")
	}
	response, err := w.http.Do(request)
	if err != nil {
		return r, 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode == http.StatusOK {
		err = json.Unmarshal(text, &r)
	} else if err == nil {
		err = fmt.Errorf("%s", text)
	}
	return r, response.StatusCode, err
}

// swapped has a node swap the plugin on as many nodes as there are, and returns the version. Who has just died is silent at first.
func (w *world) swapped(by *node, n, nodes int) (version string) {
	w.t.Helper()
	a, _ := by.running()
	require.Eventually(w.t, func() bool {
		r, _, err := w.onAll(w.ctx, a, http.MethodPost, "swap?cluster=true", w.mapping(n))
		if err != nil {
			return false
		}
		for _, one := range r.Nodes {
			if one.State != "switched" {
				return false
			}
		}
		version = r.Version
		return len(r.Nodes) == nodes
	}, recoveryMax, pace)
	return version
}

// serving is the version of the plugin that a node serves.
func (w *world) serving(n *node) string {
	a, _ := n.running()
	var p struct{ Version string }
	if said := w.get(a, "/api/v1/plugins/mapping", &p); p.Version == "" {
		return said
	}
	return p.Version
}

// forgetAll has each node go by its own files again.
func (w *world) forgetAll() {
	w.t.Helper()
	a, _ := w.nodes[1].running()
	_, _, err := w.onAll(w.ctx, a, http.MethodDelete, "cluster", nil)
	require.NoError(w.t, err)
}

// swappedOnAll: nobody who reads notices that all nodes make events into something else.
func swappedOnAll(w *world) {
	first := w.swapped(w.nodes[0], 1, 3)
	second := w.swapped(w.nodes[1], 2, 3)
	require.NotEqual(w.t, first, second)
	for _, n := range w.nodes {
		require.Equal(w.t, second, w.serving(n))
	}
	a, _ := w.nodes[2].running()
	r, _, err := w.onAll(w.ctx, a, http.MethodPost, "rollback?cluster=true", nil)
	require.NoError(w.t, err)
	require.Equal(w.t, first, r.Version)
	for _, n := range w.nodes {
		if !slices.ContainsFunc(r.Nodes, func(one nodeState) bool { return one.State != "switched" }) {
			require.Equal(w.t, first, w.serving(n))
		}
		require.Eventually(w.t, func() bool { return w.serving(n) == first }, recoveryMax, pace, "who did not keep up follows")
	}
	w.forgetAll()
}

// swappedWhilePaused: a node that slept through a swap serves the new version before it says that it is ready.
func swappedWhilePaused(w *world) {
	n := w.nodes[1]
	before := w.serving(n)
	n.signal(syscall.SIGSTOP)
	version := w.swapped(w.nodes[0], 3, 2)
	require.NotEqual(w.t, before, version)
	n.resume()
	require.Equal(w.t, version, w.serving(n))
	w.awaitPlugins("mapping", 1)
	w.forgetAll()
}

// swapperKilled: whenever the node dies that was asked for a swap, all others end with one version, and it has that too when it is back.
func swapperKilled(w *world) {
	w.swapped(w.nodes[1], 4, 3)
	n := w.nodes[0]
	a, _ := n.running()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		_, _, _ = w.onAll(w.ctx, a, http.MethodPost, "swap?cluster=true", w.mapping(5))
	}()
	<-time.After(time.Duration(w.rng("swapper", 0).IntN(int(30 * time.Millisecond)))) // anywhere in it
	n.kill()
	<-asked
	w.awaitAccepted(20)
	require.NoError(w.t, n.start())
	w.awaitPlugins("mapping", 1)
	require.Equal(w.t, w.serving(w.nodes[1]), w.serving(n))
	require.Eventually(w.t, func() bool { // what a dead node began holds others up for its lease at most
		a, _ := w.nodes[1].running()
		_, status, err := w.onAll(w.ctx, a, http.MethodDelete, "cluster", nil)
		return err == nil && status == http.StatusOK
	}, 2*time.Minute, pace)
}
