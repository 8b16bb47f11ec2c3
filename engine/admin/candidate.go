package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wse-engine/wse/engine/plugin"
)

// The parts of a candidate in a multipart body.
const (
	partModule = "module"
	partConfig = "config"
)

// whoBytesMax bounds the header that says who asks.
const whoBytesMax = 128

const headerWho = "X-Wse-Who"

// candidates bounds what requests that hand in a candidate may take: their body may be a module, and what is asked for has
// a module compiled. They have a time of their own, and only so many are worked on at once as places holds.
func (s *Server) candidates(places chan struct{}, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// A body may be large or wait for its turn, and the answer comes late. Only a listener of somebody else's may not know
		// deadlines.
		until := time.Now().Add(s.cfg.CandidateTimeout + s.cfg.WriteTimeout)
		c := http.NewResponseController(w)
		_ = errors.Join(c.SetReadDeadline(until), c.SetWriteDeadline(until))
		ctx, cancel := context.WithTimeout(r.Context(), s.cfg.CandidateTimeout)
		defer cancel()
		if !takePlace(ctx, places) {
			refuse(w, http.StatusServiceUnavailable, codeUnavailable,
				"as many candidates as admin.candidates_max allows (%d) are being worked on; nothing was done", s.cfg.CandidatesMax)
			return
		}
		defer func() { <-places }()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, int64(s.cfg.ModuleKiBMax+s.cfg.BodyKiBMax)<<10)
		next(w, r)
	}
}

// takePlace waits for one of places until ctx ends, and reports whether it has one. Where one is free it is taken though ctx has ended:
// that there was none would be wrong to say.
func takePlace(ctx context.Context, places chan<- struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	default:
	}
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// who returns who asks, or answers that the header is none.
func who(w http.ResponseWriter, r *http.Request) (string, bool) {
	name := r.Header.Get(headerWho)
	if name == "" {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			host = r.RemoteAddr
		}
		return host, true
	}
	if len(name) > whoBytesMax || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c > '~' }) {
		refuse(w, http.StatusBadRequest, codeBadRequest, "%s: must be at most %d printable ASCII characters", headerWho, whoBytesMax)
		return "", false
	}
	return name, true
}

// candidate reads what a request hands in, or answers what is wrong with it.
func (s *Server) candidate(w http.ResponseWriter, r *http.Request, values url.Values) (c plugin.Candidate, ok bool) {
	if c.Who, ok = who(w, r); !ok {
		return c, false
	}
	c.Version = strings.ReplaceAll(values.Get("version"), " ", "+") // a + that nobody escaped; versions have no spaces
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Header.Get("Content-Type") == "" {
		err = nil
	}
	switch {
	case err != nil:
		err = errUnsupported
	case kind == "multipart/form-data":
		err = s.parts(&c, multipart.NewReader(r.Body, params["boundary"]))
	default:
		var body []byte
		if body, err = io.ReadAll(r.Body); err == nil && len(body) > 0 {
			err = s.part(&c, kind, body)
		}
	}
	if err != nil {
		s.refuseCandidate(w, err)
		return c, false
	}
	empty := len(c.Module)+len(c.Config) == 0
	switch {
	case c.Version == "" && empty:
		refuse(w, http.StatusBadRequest, codeBadRequest, "there is no candidate: send a module, a config or both, or name a kept version with ?version=")
	case c.Version != "" && !empty:
		refuse(w, http.StatusBadRequest, codeBadRequest, "version: a kept version comes with its own module and config; send it without a body")
	default:
		return c, true
	}
	return c, false
}

// What can be wrong with a body. They are compared with, never changed.
var (
	errUnsupported = errors.New("the body must be application/wasm (a module), application/yaml or application/json (a config), or multipart/form-data with the parts module and config")
	errTooLarge    = errors.New("is larger than allowed")
)

func (s *Server) refuseCandidate(w http.ResponseWriter, err error) {
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, errUnsupported):
		refuse(w, http.StatusUnsupportedMediaType, codeMediaType, "%v", err)
	case errors.Is(err, errTooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, codeTooLarge, "%v", err)
	case errors.As(err, &large):
		refuse(w, http.StatusRequestEntityTooLarge, codeTooLarge, "the body has more than %d KiB, the limits admin.module_kib_max and admin.body_kib_max together", large.Limit>>10)
	default:
		refuse(w, http.StatusBadRequest, codeBadRequest, "the body could not be read to its end: %v", err)
	}
}

// part takes a body that is a module or a config.
func (s *Server) part(c *plugin.Candidate, kind string, body []byte) error {
	switch kind {
	case "application/wasm":
		return s.set(c, partModule, body)
	case "application/yaml", "application/x-yaml", "text/yaml", "application/json":
		return s.set(c, partConfig, body)
	}
	return errUnsupported
}

func (s *Server) set(c *plugin.Candidate, name string, body []byte) error {
	field, most, limit := &c.Module, s.cfg.ModuleKiBMax, "module_kib_max"
	if name == partConfig {
		field, most, limit = &c.Config, s.cfg.BodyKiBMax, "body_kib_max"
	}
	switch {
	case len(body) > most<<10:
		return fmt.Errorf("the %s %w: more than %d KiB, the limit admin.%s", name, errTooLarge, most, limit)
	case len(body) == 0:
		return fmt.Errorf("the %s is empty", name)
	case *field != nil:
		return fmt.Errorf("the %s is given twice", name)
	}
	*field = body
	return nil
}

// parts takes the parts of a multipart body.
func (s *Server) parts(c *plugin.Candidate, in *multipart.Reader) error {
	for {
		p, err := in.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := p.FormName()
		if name != partModule && name != partConfig {
			return fmt.Errorf("there is a part %q; there may be %s and %s", name, partModule, partConfig)
		}
		body, err := io.ReadAll(p)
		if err != nil {
			return err
		}
		if err := s.set(c, name, body); err != nil {
			return err
		}
	}
}
