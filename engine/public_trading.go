package engine

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/dialect/wsapi"
	"github.com/wse-engine/wse/engine/message"
)

// sessionsListed is how many sessions GET /api/v1/sessions tells of at most, the newest ones.
const sessionsListed = 100

// ask is one of the questions that protocol v1 answers by HTTP too.
type ask func(ctx context.Context, who *auth.Identity, r *http.Request) (message.ReplyBody, error)

// tradingHTTP adds the routes on which protocol v1 tells the same as by WebSocket (PROTOCOL §1).
func (e *Engine) tradingHTTP(mux *http.ServeMux) {
	for path, f := range map[string]ask{
		"/api/v1/strategies": func(ctx context.Context, who *auth.Identity, _ *http.Request) (message.ReplyBody, error) {
			return e.trading.Answer(ctx, who, &message.StrategiesRequest{})
		},
		"/api/v1/strategies/{name}": func(_ context.Context, who *auth.Identity, r *http.Request) (message.ReplyBody, error) {
			return e.trading.Strategy(who, r.PathValue("name"))
		},
		"/api/v1/sessions": func(ctx context.Context, who *auth.Identity, _ *http.Request) (message.ReplyBody, error) {
			return e.trading.ListFor(ctx, who, sessionsListed)
		},
		"/api/v1/sessions/{id}": func(ctx context.Context, who *auth.Identity, r *http.Request) (message.ReplyBody, error) {
			return e.trading.Answer(ctx, who, &message.SessionQuery{SessionID: r.PathValue("id")})
		},
		"/api/v1/sessions/{id}/results": func(ctx context.Context, who *auth.Identity, r *http.Request) (message.ReplyBody, error) {
			q := r.URL.Query()
			kind := q.Get("request_type")
			if kind == "" {
				kind = "session_results"
			}
			return e.trading.Answer(ctx, who, &message.ResultsRequest{
				RequestType: kind, SessionID: r.PathValue("id"), Symbol: q.Get("symbol"), Strategy: q.Get("strategy"),
			})
		},
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { e.answerHTTP(w, r, f) })
	}
}

// answerHTTP answers a GET of somebody who proves with an access token who he is, in the words of protocol v1.
func (e *Engine) answerHTTP(w http.ResponseWriter, r *http.Request, f ask) {
	if !e.crossOrigin(w, r, http.MethodGet, "Authorization") {
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		writeProblem(w, problem{Status: http.StatusMethodNotAllowed, Code: "validation_error", Detail: "use GET"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), e.cfg.Limits.Router.RequestTimeout)
	defer cancel()
	who, err := e.bearer(ctx, r)
	if err == nil {
		err = who.Permit(&message.SessionQuery{})
	}
	var answer message.ReplyBody
	if err == nil {
		answer, err = f(ctx, who, r)
	}
	if err != nil {
		e.failHTTP(w, r, err, 0)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(wsapi.Dialect{}.AppendReply(nil, &message.Reply{TimeMS: time.Now().UnixMilli(), Body: answer})) // the client may be gone
}

// bearer returns who sent a request. The token has to come in its header: an address ends up in logs.
func (e *Engine) bearer(ctx context.Context, r *http.Request) (*auth.Identity, error) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return nil, err
	}
	token := auth.TokenFrom("", r.Header.Get("Authorization"), "")
	if token == "" {
		return nil, message.Errorf(message.CodeAuthRequired, "send an access token in the header Authorization: Bearer …")
	}
	return e.login.Verify(ctx, from.Addr(), token)
}
