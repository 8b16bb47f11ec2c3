package conn

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
)

// serveHTTP answers a request that is no upgrade, and closes. It runs on a worker.
func (c *Conn) serveHTTP(ctx context.Context, hs *handshake) {
	hs.mu.Lock()
	body := hs.buf[:hs.head.body()]
	hs.buf = nil
	hs.mu.Unlock()
	response := c.respond(ctx, hs.head, body)
	l := c.lane
	l.mu.Lock()
	if c.out == outOpen {
		l.lastWords(c, response)
	}
	l.mu.Unlock()
	hs.settle(c)
}

// respond has the http.Handler make a response.
func (c *Conn) respond(ctx context.Context, h *head, body []byte) (response []byte) {
	s := c.lane.srv
	if ctx.Err() != nil {
		return refusal(http.StatusServiceUnavailable, "the server has too much to do")
	}
	req, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(h.text), bytes.NewReader(body))))
	if err != nil {
		return refusal(http.StatusBadRequest, "the request is malformed")
	}
	if s.opts.HTTP == nil {
		return refusal(http.StatusNotFound, "not found")
	}
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in an HTTP handler", "connection", c.ID(), "path", req.URL.Path, "panic", p, "stack", string(debug.Stack()))
			response = refusal(http.StatusInternalServerError, "internal error")
		}
	}()
	req.RemoteAddr = c.remote.String()
	rec := &recorder{header: make(http.Header)}
	s.opts.HTTP.ServeHTTP(rec, req.WithContext(ctx))
	return rec.response(req)
}

// notTLS answers who speaks HTTP where TLS is spoken, by the first bytes of his request.
func (s *Server) notTLS(first [5]byte) []byte {
	for _, b := range first {
		if b < ' ' || b > '~' {
			return nil // no text
		}
	}
	if !isTokenByte(first[0]) {
		return nil
	}
	s.refused.Add(1)
	return refusal(http.StatusBadRequest, "TLS is spoken here: connect with wss:// or https://")
}

// recorder is an http.ResponseWriter that keeps the response, so that no handler waits for a client.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

var _ http.ResponseWriter = (*recorder)(nil)

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}

// response puts the whole response together.
func (r *recorder) response(req *http.Request) []byte {
	r.WriteHeader(http.StatusOK)
	if r.header.Get("Content-Type") == "" && r.body.Len() > 0 {
		r.header.Set("Content-Type", http.DetectContentType(r.body.Bytes()))
	}
	r.header.Del("Content-Length")
	resp := &http.Response{
		StatusCode: r.status, ProtoMajor: 1, ProtoMinor: 1, Header: r.header, Request: req, Close: true,
		ContentLength: int64(r.body.Len()), Body: io.NopCloser(&r.body),
	}
	var out bytes.Buffer
	if err := resp.Write(&out); err != nil {
		return refusal(http.StatusInternalServerError, "internal error")
	}
	return out.Bytes()
}
