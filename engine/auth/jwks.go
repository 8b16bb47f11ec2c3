package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
)

// remote is a JSON Web Key Set behind a URL. It fetches in one goroutine only, that of run; a token that names an unknown
// key asks it to, and may wait.
type remote struct {
	cfg    Config
	client *http.Client
	asked  chan struct{} // capacity 1: one request is as good as many

	mu       sync.Mutex
	last     time.Time     // guarded by mu; when the last fetch began, zero before the first
	inFlight chan struct{} // guarded by mu; closed when the fetch that was asked for is done; nil when none is

	fetched atomic.Bool // a fetch has succeeded
}

func newRemote(cfg Config) *remote {
	return &remote{
		cfg:   cfg,
		asked: make(chan struct{}, 1),
		client: &http.Client{
			Timeout: cfg.JWKSTimeout,
			// Fetches are minutes apart: no connection is worth keeping between them.
			Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
			// A redirect could lead off https, so the operator has to name the final address.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// ask wants a fetch soon. It returns a channel that is closed once that fetch is over, or nil where the last one was less
// than jwks_refresh_min ago: a flood of made-up key ids costs one fetch per interval.
func (r *remote) ask(now time.Time) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inFlight != nil {
		return r.inFlight
	}
	if !r.last.IsZero() && now.Sub(r.last) < r.cfg.JWKSRefreshMin {
		return nil
	}
	r.inFlight = make(chan struct{})
	select {
	case r.asked <- struct{}{}:
	default:
	}
	return r.inFlight
}

// run fetches at once, then at every interval and whenever asked, until ctx ends. A failure is tried again after
// jwks_refresh_min; publish is called with each new set, report after each fetch.
func (r *remote) run(ctx context.Context, publish func(keySet), report func(keys int, err error)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.asked:
		}
		r.begin()
		keys, err := r.fetch(ctx)
		next := r.cfg.JWKSRefresh
		if err != nil {
			next = r.cfg.JWKSRefreshMin
		} else {
			publish(keys)
			r.fetched.Store(true)
		}
		r.end()
		if ctx.Err() == nil {
			report(len(keys), err)
		}
		timer.Reset(next)
	}
}

// begin notes that a fetch is under way; whoever asked by now is served by it.
func (r *remote) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = time.Now()
	if r.inFlight == nil {
		r.inFlight = make(chan struct{})
	}
	select {
	case <-r.asked:
	default:
	}
}

// end wakes those who wait for the fetch.
func (r *remote) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.inFlight)
	r.inFlight = nil
}

// fetch gets the set once.
func (r *remote) fetch(ctx context.Context) (keySet, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.cfg.JWKSURL, nil)
	if err != nil {
		return nil, fmt.Errorf("auth: jwks_url: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("auth: jwks_url: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("auth: jwks_url: %s answered %s", r.cfg.JWKSURL, resp.Status)
	}
	limit := r.cfg.JWKSKiBMax << 10
	text, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("auth: jwks_url: %w", err)
	}
	if len(text) > limit {
		return nil, fmt.Errorf("auth: jwks_url: the key set is larger than jwks_kib_max (%d)", r.cfg.JWKSKiBMax)
	}
	keys, err := parseJWKS(r.cfg.Algorithms, text, false)
	if err != nil {
		return nil, fmt.Errorf("auth: jwks_url: %w", err)
	}
	return keys, nil
}

func loadJWKSFile(cfg Config) (keySet, error) {
	text, err := readLimited(cfg.JWKSFile, cfg.JWKSKiBMax<<10)
	if err != nil {
		return nil, err
	}
	return parseJWKS(cfg.Algorithms, text, true)
}

// parseJWKS reads a JSON Web Key Set (RFC 7517 §5). Keys that are not for signatures or not for one of the algorithms are
// passed over, as the RFC wants it; so are, from a URL, shared secrets, which have no business being served. A set that
// leaves no key is an error: it would lock everybody out.
func parseJWKS(algorithms []string, text []byte, secrets bool) (keySet, error) {
	var doc jwkset.JWKSMarshal
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, errors.New("is not a JSON Web Key Set")
	}
	if len(doc.Keys) > keysMax {
		return nil, fmt.Errorf("holds %d keys; the most is %d", len(doc.Keys), keysMax)
	}
	var set keySet
	var passed error
	for _, m := range doc.Keys {
		alg := algOfJWK(m)
		if !slices.Contains(algorithms, alg) || m.USE != "" && m.USE != jwkset.UseSig || alg == "HS256" && !secrets {
			continue
		}
		k, err := keyOfJWK(alg, m)
		if err != nil {
			passed = fmt.Errorf("key %q: %w", m.KID, err)
			continue
		}
		set = set.merge(keySet{k})
	}
	if len(set) == 0 {
		return nil, errors.Join(fmt.Errorf("holds no usable signature key for %v", algorithms), passed)
	}
	return set, nil
}

// algOfJWK returns the algorithm a JWK is for: the one it names, else the only one of ours its type allows. A shared
// secret has to name it.
func algOfJWK(m jwkset.JWKMarshal) string {
	if m.ALG != "" {
		return m.ALG.String()
	}
	switch {
	case m.KTY == jwkset.KtyRSA:
		return "RS256"
	case m.KTY == jwkset.KtyEC && m.CRV == jwkset.CrvP256:
		return "ES256"
	case m.KTY == jwkset.KtyOKP && m.CRV == jwkset.CrvEd25519:
		return "EdDSA"
	}
	return ""
}

// readLimited reads a file of at most limit bytes.
func readLimited(path string, limit int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(b) > limit {
		return nil, fmt.Errorf("%s is larger than %d KiB", path, limit>>10)
	}
	return b, nil
}
