package engine

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/quota"
)

// problem is the body of an error of the public port (RFC 9457). Code is spelled as protocol v1 spells it.
type problem struct {
	Type    string          `json:"type"` // always about:blank, so that Title is the status's own text
	Title   string          `json:"title"`
	Status  int             `json:"status"`
	Detail  string          `json:"detail"`
	Code    string          `json:"code"`
	Details json.RawMessage `json:"details,omitempty"`
}

// statusOf is the HTTP status of a refusal on the public port.
func statusOf(c message.Code) int {
	switch c {
	case message.CodeInternal:
		return http.StatusInternalServerError
	case message.CodeAuthRequired, message.CodeAuthFailed, message.CodeAuthExpired:
		return http.StatusUnauthorized
	case message.CodeForbidden, message.CodeOriginNotAllowed:
		return http.StatusForbidden
	case message.CodeNotFound, message.CodeSessionNotFound, message.CodeStrategyNotFound:
		return http.StatusNotFound
	case message.CodeMessageTooLarge:
		return http.StatusRequestEntityTooLarge
	case message.CodeRateLimited:
		return http.StatusTooManyRequests
	case message.CodeUnavailable, message.CodePluginUnavailable, message.CodeSyncFailed:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// failHTTP answers a request of the public port with err, and logs what the client is not told. after is when it may be
// tried again; 0: that is not known.
func (e *Engine) failHTTP(w http.ResponseWriter, r *http.Request, err error, after time.Duration) {
	m := message.AsError(err)
	if m.Err != nil {
		e.log.Warn("a request failed", "path", r.URL.Path, "error", m)
	}
	status := statusOf(m.Code)
	if after > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(quota.Seconds(after), 10))
	}
	if status == http.StatusUnauthorized { // RFC 9110 §11.6.1, RFC 6750 §3
		challenge := `Bearer realm="wse"`
		if m.Code != message.CodeAuthRequired {
			challenge += `, error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	writeProblem(w, problem{Status: status, Code: dialect.SpellingOf(m.Code).API, Detail: m.Message, Details: m.Details})
}

func writeProblem(w http.ResponseWriter, p problem) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	writeBody(w, p.Status, "application/problem+json", p)
}
