package admin

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/message"
)

// problem is the body of an error (RFC 9457). Its type is always about:blank, so that Title is the status's own text.
type problem struct {
	Type      string          `json:"type"`
	Title     string          `json:"title"`
	Status    int             `json:"status"`
	Detail    string          `json:"detail,omitempty"`
	Code      string          `json:"code"`
	Details   json.RawMessage `json:"details,omitempty"`
	Envelopes []item          `json:"envelopes,omitempty"` // published before the error
}

// Codes of the HTTP layer itself, which no WebSocket client sees.
const (
	codeUnauthorized = "UNAUTHORIZED"
	codeBadRequest   = "BAD_REQUEST"
	codeNotFound     = "NOT_FOUND"
	codeMethod       = "METHOD_NOT_ALLOWED"
	codeForeign      = "FOREIGN_REQUEST"
	codeReload       = "RELOAD_FAILED"
	codeTooLarge     = "MESSAGE_TOO_LARGE"
	codeNotReady     = "NOT_READY"
	codeConflict     = "CONFLICT"
	codeUnavailable  = "UNAVAILABLE"
	codeMediaType    = "UNSUPPORTED_MEDIA_TYPE"
	codeCandidate    = "CANDIDATE_REFUSED"
)

func writeProblem(w http.ResponseWriter, p problem) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	write(w, p.Status, "application/problem+json", p)
}

// refuse answers with a problem of the HTTP layer.
func refuse(w http.ResponseWriter, status int, code, format string, args ...any) {
	writeProblem(w, problem{Status: status, Code: code, Detail: fmt.Sprintf(format, args...)})
}

// fail answers with err, and logs what the client is not told.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error, published []item) {
	e := message.AsError(err)
	s.logCause(r, e)
	writeProblem(w, problem{
		Status: statusOf(e.Code), Code: spell(e.Code), Detail: e.Message, Details: e.Details, Envelopes: published,
	})
}

func (s *Server) logCause(r *http.Request, e *message.Error) {
	if e.Err != nil && s.deps.Log != nil {
		s.deps.Log("admin: a request failed", "path", r.URL.Path, "error", e)
	}
}

// spell returns a code as protocol v2 spells it; where that has none of its own the name is this API's.
func spell(c message.Code) string {
	switch c {
	case message.CodeNotFound:
		return codeNotFound
	case message.CodeInvalidArgument:
		return "INVALID_ARGUMENT"
	case message.CodeUnavailable:
		return codeUnavailable
	case message.CodeForbidden:
		return "FORBIDDEN"
	}
	return dialect.SpellingOf(c).WSE
}

func statusOf(c message.Code) int {
	switch c {
	case message.CodeInternal:
		return http.StatusInternalServerError
	case message.CodeMessageTooLarge:
		return http.StatusRequestEntityTooLarge
	case message.CodeForbidden:
		return http.StatusForbidden
	case message.CodeNotFound:
		return http.StatusNotFound
	case message.CodeRateLimited:
		return http.StatusTooManyRequests
	case message.CodeUnavailable, message.CodePluginUnavailable, message.CodeSyncFailed:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// MarshalText implements encoding.TextMarshaler.
func (e Epoch) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%08x", uint32(e)), nil }

// writeJSON answers 200 with v.
func writeJSON(w http.ResponseWriter, v any) { write(w, http.StatusOK, "application/json", v) }

// write answers with v as JSON, all of which is made before the first byte leaves.
func write(w http.ResponseWriter, status int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil { // only for a value that this package made wrong
		panic(fmt.Sprintf("admin: answer does not marshal: %v", err))
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that has gone is nobody's error
}
