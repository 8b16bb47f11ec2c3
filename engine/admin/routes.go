package admin

import (
	"context"
	"maps"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// methods are a path's handlers.
type methods map[string]http.HandlerFunc

// routes is every path there is.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	table := map[string]methods{
		"/{$}":                          {"GET": func(w http.ResponseWriter, _ *http.Request) { s.page.serve(w, http.StatusOK) }},
		"/healthz":                      {"GET": s.health},
		"/readyz":                       {"GET": s.ready},
		"/metrics":                      {"GET": promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}).ServeHTTP},
		"/api/v1/status":                {"GET": s.status},
		"/api/v1/publish":               {"POST": s.envelopes()},
		"/api/v1/events":                {"POST": s.events()},
		"/api/v1/topics":                {"GET": s.topics},
		"/api/v1/history":               {"GET": s.history},
		"/api/v1/presence":              {"GET": s.presence},
		"/api/v1/sessions":              {"GET": s.sessions},
		"/api/v1/connections":           {"GET": s.connections, "DELETE": s.disconnectUser},
		"/api/v1/connections/{id}":      {"DELETE": s.disconnect},
		"/api/v1/refresh-tokens":        {"DELETE": s.revokeUser},
		"/api/v1/nodes":                 {"GET": s.nodes},
		"/api/v1/plugins":               {"GET": s.plugins},
		"/api/v1/plugins/{name}":        {"GET": s.plugin},
		"/api/v1/plugins/{name}/shadow": {"GET": s.shadow, "DELETE": s.cancelShadow},
		"/api/v1/dead-letters":          {"GET": s.deadLetters},
		"/api/v1/dead-letters/{id}":     {"GET": s.deadLetter, "DELETE": s.dropDeadLetter},
		"/api/v1/dead-letters/replay":   {"POST": s.replay},
		"/debug/pprof/":                 {"GET": pprof.Index},
		"/debug/pprof/cmdline":          {"GET": pprof.Cmdline},
		"/debug/pprof/profile":          {"GET": pprof.Profile},
		"/debug/pprof/symbol":           {"GET": pprof.Symbol, "POST": pprof.Symbol},
		"/debug/pprof/trace":            {"GET": pprof.Trace},
	}
	for pattern, m := range table {
		mux.Handle(pattern, s.metrics.counted(pattern, s.limited(pattern, m)))
	}
	for pattern, handler := range map[string]http.HandlerFunc{
		"/api/v1/plugins/{name}/upload": s.upload, "/api/v1/plugins/{name}/try": s.try, "/api/v1/plugins/{name}/swap": s.swap,
	} {
		mux.Handle(pattern, s.metrics.counted(pattern, http.HandlerFunc(methods{"POST": s.candidates(s.working, handler)}.serve)))
	}
	for pattern, handler := range map[string]http.HandlerFunc{
		"/api/v1/plugins/{name}/rollback": s.rollback, "/api/v1/reload": s.reload,
	} {
		mux.Handle(pattern, s.metrics.counted(pattern, http.HandlerFunc(methods{"POST": s.candidates(s.restoring, handler)}.serve)))
	}
	const ofAll = "/api/v1/plugins/{name}/cluster"
	mux.Handle(ofAll, s.metrics.counted(ofAll, http.HandlerFunc(methods{"DELETE": s.candidates(s.restoring, s.forget)}.serve)))
	mux.Handle("/", s.metrics.counted("none", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, codeNotFound, "there is nothing at %s", r.URL.Path)
	})))
	return mux
}

// limited bounds what a request of the API may take, and hands it to the handler of its method.
func (s *Server) limited(pattern string, m methods) http.Handler {
	api := strings.HasPrefix(pattern, "/api/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, int64(s.cfg.BodyKiBMax)<<10)
		if api {
			ctx, cancel := context.WithTimeout(r.Context(), s.cfg.RequestTimeout)
			defer cancel()
			r = r.WithContext(ctx)
		}
		m.serve(w, r)
	})
}

func (m methods) serve(w http.ResponseWriter, r *http.Request) {
	handler, ok := m[r.Method]
	if !ok && r.Method == http.MethodHead {
		handler, ok = m[http.MethodGet] // net/http leaves the body out
	}
	if !ok {
		allowed := slices.Sorted(maps.Keys(m))
		if m[http.MethodGet] != nil {
			allowed = append(allowed, http.MethodHead)
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		refuse(w, http.StatusMethodNotAllowed, codeMethod, "%s takes %s, not %s", r.URL.Path, strings.Join(allowed, " or "), r.Method)
		return
	}
	handler(w, r)
}
