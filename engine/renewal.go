package engine

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"time"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

const (
	pathRefresh = "/api/v1/auth/refresh"
	// refreshBodyRoom is what a body may have besides the token.
	refreshBodyRoom = 1 << 10
	// unavailableAfter is when who is told that the engine cannot do it now may come back.
	unavailableAfter = 2 * time.Second
)

// renewed is the answer to a refresh token (RFC 6749 §5.1).
type renewed struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	TokenType    string `json:"token_type"`
}

// refresh answers POST /api/v1/auth/refresh: a pair of tokens for a refresh token.
func (e *Engine) refresh(w http.ResponseWriter, r *http.Request) {
	if !e.crossOrigin(w, r, http.MethodPost, "Content-Type") {
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST, OPTIONS")
		writeProblem(w, problem{Status: http.StatusMethodNotAllowed, Code: "validation_error", Detail: "use POST"})
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		writeProblem(w, problem{
			Status: http.StatusUnsupportedMediaType, Code: "validation_error", Detail: "the body must be JSON, with Content-Type: application/json",
		})
		return
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		e.failHTTP(w, r, err, 0)
		return
	}
	if wait := e.login.failures.Wait(from.Addr()); wait > 0 {
		e.failHTTP(w, r, e.login.failures.Refusal(wait), wait)
		return
	}
	token, err := e.readRefreshBody(r)
	if err != nil {
		e.failHTTP(w, r, err, 0)
		return
	}
	select {
	case e.renewals <- struct{}{}:
		defer func() { <-e.renewals }()
	default: // each waits for the disk, and upgrades wait for the same workers
		e.failHTTP(w, r, message.Errorf(message.CodeUnavailable, "too many tokens are being renewed; try again in a few seconds"), unavailableAfter)
		return
	}
	access, refresh, expiresIn, err := e.login.Refresh(r.Context(), from.Addr(), token)
	if err != nil {
		after := time.Duration(0)
		if message.AsError(err).Code == message.CodeUnavailable {
			after = unavailableAfter
		}
		e.failHTTP(w, r, err, after)
		return
	}
	w.Header().Set("Pragma", "no-cache") // RFC 6749 §5.1, besides Cache-Control
	writeJSON(w, http.StatusOK, renewed{access, refresh, int64(expiresIn / time.Second), "Bearer"})
}

// readRefreshBody reads the refresh token in a request's body.
func (e *Engine) readRefreshBody(r *http.Request) (string, error) {
	most := e.cfg.Auth.TokenKiBMax<<10 + refreshBodyRoom
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(most)+1))
	if err != nil {
		return "", message.Errorf(message.CodeInvalidMessage, "the body cannot be read")
	}
	if len(body) > most {
		return "", message.Errorf(message.CodeMessageTooLarge, "the body has more than %d bytes", most)
	}
	return refreshTokenIn(body)
}

// refreshTokenIn returns the member refresh_token of a JSON object. Others are passed over, for clients that send the
// grant_type of RFC 6749 §6 too; its error is fit for the client.
func refreshTokenIn(body []byte) (token string, err error) {
	found := false
	it := jsonscan.Members(body)
	for it.Next() {
		if string(it.Key()) != "refresh_token" {
			continue
		}
		if found {
			return "", message.Errorf(message.CodeInvalidArgument, "refresh_token is there twice")
		}
		found = true
		text, err := jsonscan.Text(it.Value())
		if err != nil || len(text) == 0 {
			return "", message.Errorf(message.CodeInvalidArgument, "refresh_token must be a string that is not empty")
		}
		token = string(text)
	}
	var at *jsonscan.SyntaxError
	switch err := it.Err(); {
	case errors.As(err, &at):
		return "", message.Errorf(message.CodeInvalidMessage, "the body is no JSON object: %s at byte %d", at.Reason, at.Offset)
	case err != nil:
		return "", message.Errorf(message.CodeInvalidMessage, "the body is no JSON object")
	case !found:
		return "", message.Errorf(message.CodeInvalidArgument, `refresh_token is missing; send {"refresh_token":"…"}`)
	}
	return token, nil
}

// crossOrigin lets pages from the origins that may connect read the answer to requests with a method and a header (Fetch, "CORS
// protocol"), and reports whether the request is to be answered still.
func (e *Engine) crossOrigin(w http.ResponseWriter, r *http.Request, method, header string) bool {
	h := w.Header()
	h.Set("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !e.conns.OriginAllowed(origin, r.Host) {
		e.failHTTP(w, r, message.Errorf(message.CodeOriginNotAllowed,
			"pages from %s may not ask; the operator lists allowed origins under origins", cut(origin)), 0)
		return false
	}
	if origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "Retry-After")
	}
	if r.Method != http.MethodOptions {
		return true
	}
	h.Set("Access-Control-Allow-Methods", method)
	h.Set("Access-Control-Allow-Headers", header)
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return false
}
