package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/wse-engine/wse/engine/cluster/rollout"
	"github.com/wse-engine/wse/engine/plugin"
)

const (
	codeNoCluster = "NO_CLUSTER"
	paramCluster  = "cluster"
)

// rolloutFailures is read-only.
var rolloutFailures = []failure{
	{rollout.ErrUnknown, http.StatusGatewayTimeout, "OUTCOME_UNKNOWN"},
	{rollout.ErrRefused, http.StatusConflict, "CLUSTER_REFUSED"},
	{rollout.ErrBusy, http.StatusConflict, "CLUSTER_BUSY"},
	{rollout.ErrUnavailable, http.StatusServiceUnavailable, codeUnavailable},
	{rollout.ErrNotGoverned, http.StatusNotFound, "NOT_GOVERNED"},
}

// wantedVersion is what the cluster wants of a plugin.
type wantedVersion struct {
	Version string     `json:"version"`
	Serves  bool       `json:"serves"` // here
	Reason  string     `json:"reason,omitempty"`
	Since   time.Time  `json:"since"`
	How     plugin.How `json:"how"`
	Who     string     `json:"who,omitempty"`
	Change  string     `json:"change"`
	Before  []string   `json:"before"` // that can be gone back to, the latest first
}

// wanted is nil where there is no cluster, or it wants nothing in particular.
func (s *Server) wanted(name string) *wantedVersion {
	if s.deps.Wants == nil {
		return nil
	}
	w, ok := s.deps.Wants.Wanted(name)
	if !ok {
		return nil
	}
	return &wantedVersion{
		Version: w.Version, Serves: w.Serves, Reason: w.Reason, Since: w.Since.UTC(), How: w.How, Who: w.Who, Change: w.Change,
		Before: append([]string{}, w.Before...),
	}
}

// forAll reads the parameter that makes a change one of all nodes, or answers what is wrong with it.
func (s *Server) forAll(w http.ResponseWriter, values url.Values) (all, ok bool) {
	if !values.Has(paramCluster) {
		return false, true
	}
	all, err := strconv.ParseBool(values.Get(paramCluster))
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, codeBadRequest, "%s: %q is neither true nor false", paramCluster, values.Get(paramCluster))
	case all && s.deps.Rollout == nil:
		s.noCluster(w)
	default:
		return all, true
	}
	return false, false
}

func (s *Server) noCluster(w http.ResponseWriter) {
	refuse(w, http.StatusConflict, codeNoCluster, "this engine is alone: it has no Redis (broker.redis.addrs), so there are no other nodes; ask for the change without %s", paramCluster)
}

// told answers with what became of a change on all nodes.
func (s *Server) told(w http.ResponseWriter, r *http.Request, report rollout.Report, err error) {
	if err == nil {
		writeJSON(w, report)
		return
	}
	i := slices.IndexFunc(rolloutFailures, func(f failure) bool { return errors.Is(err, f.err) })
	if i < 0 {
		s.failPlugin(w, r, err)
		return
	}
	details, err2 := json.Marshal(map[string]any{"plugin": report.Plugin, "report": report})
	if err2 != nil { // texts alone
		panic(fmt.Sprintf("admin: a report does not marshal: %v", err2))
	}
	writeProblem(w, problem{Status: rolloutFailures[i].status, Code: rolloutFailures[i].code, Detail: err.Error(), Details: details})
}

// forget has the cluster want no version of a plugin in particular.
func (s *Server) forget(w http.ResponseWriter, r *http.Request) {
	if _, ok := query(w, r); !ok {
		return
	}
	asker, ok := who(w, r)
	if !ok {
		return
	}
	if s.deps.Rollout == nil {
		s.noCluster(w)
		return
	}
	report, err := s.deps.Rollout.Forget(r.Context(), r.PathValue("name"), asker)
	s.told(w, r, report, err)
}

// rollout makes the metrics of what the cluster wants.
func (e emitter) rollout(s rollout.Stats) {
	const changes = "wse_cluster_plugin_changes_total"
	for _, c := range []struct {
		outcome rollout.Outcome
		n       uint64
	}{{rollout.OutcomeSwitched, s.Changed}, {rollout.OutcomeRefused, s.Refused}, {rollout.OutcomeUnknown, s.Unknown}} {
		e.counter(changes, "Changes of plugins on all nodes that this one was asked for.", c.n, label{"outcome", string(c.outcome)})
	}
	const followed = "wse_cluster_plugin_follows_total"
	e.counter(followed, "Times that a plugin was to follow what the cluster wants.", s.Followed, label{"result", "serves"})
	e.counter(followed, "Times that a plugin was to follow what the cluster wants.", s.Failed, label{"result", "failed"})
	e.counter("wse_cluster_plugin_restored_total", "Times that what Redis had lost of a plugin was put back.", s.Restored)
	for _, w := range s.Wanted {
		e.gauge("wse_cluster_plugin_serves", "1 where the version that the cluster wants serves here.", oneIf(w.Serves), label{"plugin", w.Plugin}, label{"version", w.Version})
	}
	for name, n := range s.Differing {
		e.gauge("wse_cluster_plugin_differing_nodes", "Nodes that serve another version than this one; there is no figure where none does.", float64(n), label{"plugin", name})
	}
}
