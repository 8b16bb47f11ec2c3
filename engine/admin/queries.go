package admin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/dialect/wse"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/message"
)

const listDefault = 100

// query reads a request's parameters, of which only the named ones may be there, each once: a misspelt filter would
// otherwise answer with everything.
func query(w http.ResponseWriter, r *http.Request, names ...string) (url.Values, bool) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		refuse(w, http.StatusBadRequest, codeBadRequest, "the query cannot be read: %v", err)
		return nil, false
	}
	for name, v := range values {
		if !slices.Contains(names, name) || len(v) != 1 {
			refuse(w, http.StatusBadRequest, codeBadRequest, "query parameter %q is unknown here or given twice; there are: %s", name, strings.Join(names, ", "))
			return nil, false
		}
	}
	return values, true
}

// listing reads the parameters of a list: the named ones and limit.
func (s *Server) listing(w http.ResponseWriter, r *http.Request, names ...string) (url.Values, int, bool) {
	values, ok := query(w, r, append(names, "limit")...)
	if !ok {
		return nil, 0, false
	}
	limit := min(listDefault, s.cfg.ListMax)
	if text := values.Get("limit"); values.Has("limit") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > s.cfg.ListMax {
			refuse(w, http.StatusBadRequest, codeBadRequest, "limit: %q is not a number from 0 to %d", text, s.cfg.ListMax)
			return nil, 0, false
		}
		limit = n
	}
	return values, limit, true
}

func (s *Server) topics(w http.ResponseWriter, r *http.Request) {
	values, limit, ok := s.listing(w, r, "prefix")
	if !ok {
		return
	}
	list, err := s.deps.Topics.Topics(r.Context(), values.Get("prefix"), limit)
	if err != nil {
		s.fail(w, r, err, nil)
		return
	}
	writeJSON(w, map[string]any{"topics": orEmpty(list), "total": s.deps.Engine.Measure().Broker.Topics})
}

func (s *Server) connections(w http.ResponseWriter, r *http.Request) {
	values, limit, ok := s.listing(w, r, "user")
	if !ok {
		return
	}
	list, total := s.deps.Connections.Connections(values.Get("user"), limit)
	writeJSON(w, map[string]any{"connections": orEmpty(list), "total": total})
}

// kept is a topic's history as the API shows it. Publications and snapshots are as v2 clients get them.
type kept struct {
	Topic        message.Topic     `json:"topic"`
	Epoch        Epoch             `json:"epoch,omitempty"`
	Offset       uint64            `json:"offset"`
	Snapshots    []json.RawMessage `json:"snapshots"`
	Publications []json.RawMessage `json:"publications"`
}

func (s *Server) history(w http.ResponseWriter, r *http.Request) {
	values, limit, ok := s.listing(w, r, "topic")
	if !ok {
		return
	}
	topic, err := message.ParseTopic(values.Get("topic"))
	if err != nil {
		refuse(w, http.StatusBadRequest, spell(message.CodeInvalidArgument), "topic: %v", err)
		return
	}
	snapshots, err := s.deps.History.History(r.Context(), topic, broker.Query{Snapshots: true})
	if err != nil {
		s.fail(w, r, err, nil)
		return
	}
	h, err := s.deps.History.History(r.Context(), topic, broker.Query{Limit: limit})
	if err != nil {
		s.fail(w, r, err, nil)
		return
	}
	writeJSON(w, kept{
		Topic: topic, Epoch: Epoch(h.Position.Epoch), Offset: h.Position.Offset,
		Snapshots: onTheWire(snapshots.Snapshots), Publications: onTheWire(h.Publications),
	})
}

func (s *Server) presence(w http.ResponseWriter, r *http.Request) {
	values, limit, ok := s.listing(w, r, "topic")
	if !ok {
		return
	}
	topic, err := message.ParseTopic(values.Get("topic"))
	if err != nil {
		refuse(w, http.StatusBadRequest, spell(message.CodeInvalidArgument), "topic: %v", err)
		return
	}
	list, err := s.deps.Members.Members(r.Context(), topic, limit)
	if err != nil {
		s.fail(w, r, err, nil)
		return
	}
	list.Members = orEmpty(list.Members)
	writeJSON(w, list)
}

func onTheWire(envs []*message.Envelope) []json.RawMessage {
	out := make([]json.RawMessage, len(envs))
	for i, env := range envs {
		out[i] = wse.Dialect{}.AppendPublication(nil, env)
	}
	return out
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	if err := s.deps.Engine.Reload(r.Context()); err != nil {
		refuse(w, http.StatusUnprocessableEntity, codeReload, "nothing was changed: %v", err)
		return
	}
	writeJSON(w, map[string]any{"reloaded": true})
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]any{"status": "ok"})
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if err := s.deps.Engine.Ready(r.Context()); err != nil {
		refuse(w, http.StatusServiceUnavailable, codeNotReady, "%v", err)
		return
	}
	writeJSON(w, map[string]any{"status": "ready"})
}

// status is the engine at a glance, for the page.
func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	in := s.deps.Intake.Stats()
	answer := map[string]any{
		"version": s.deps.Version, "go": runtime.Version(), "goroutines": runtime.NumGoroutine(),
		"uptime_s": int64(time.Since(s.deps.Started).Seconds()), "ready": true, "engine": s.deps.Engine.Measure(),
		"ingest": map[string]uint64{
			ingest.Published.String(): in.Published, ingest.Duplicate.String(): in.Duplicates, ingest.Dropped.String(): in.Dropped,
			ingest.DeadLettered.String(): in.DeadLettered, "refused": in.Refused, "default": in.Defaulted,
		},
	}
	if err := s.deps.Engine.Ready(r.Context()); err != nil {
		answer["ready"], answer["not_ready"] = false, err.Error()
	}
	writeJSON(w, answer)
}

// orEmpty returns list, and an empty one instead of nil, which JSON would write as null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
