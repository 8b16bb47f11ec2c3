package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/wse-engine/wse/engine/cluster/rollout"
)

// noEpoch is the epoch of a topic that keeps no history (PROTOCOL §2.5).
const noEpoch = "00000000"

// adminTimeout bounds one call of the admin API.
const adminTimeout = 30 * time.Second

// adminAPI is the admin API of one engine.
type adminAPI struct {
	base, token string
	who         string        // is shown as X-Wse-Who where it is not empty
	timeout     time.Duration // for one call
}

// api returns the admin API of the engine that the flags and the configuration name.
func (g *globals) api() (*adminAPI, error) {
	cfg, err := g.load()
	if err != nil {
		return nil, err
	}
	a := &adminAPI{token: g.token, timeout: adminTimeout}
	if a.base, err = g.adminBase(&cfg); err != nil {
		return nil, err
	}
	if a.token == "" && isLocal(g.adminURL) {
		a.token = cfg.Admin.Token.Reveal()
	}
	return a, nil
}

// call sends a request and returns the answer's body. An error that the engine answers with is a [*refusal].
func (a *adminAPI) call(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	address := a.base + path
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("--admin-url: %w", err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if a.who != "" {
		req.Header.Set("X-Wse-Who", a.who)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, unreachable(address, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := readAll(ctx, resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, refused(resp, answer)
	}
	return answer, nil
}

// get asks for a document and reads it into out. It returns the document as well.
func (a *adminAPI) get(ctx context.Context, path string, out any) ([]byte, error) {
	answer, err := a.call(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return nil, err
	}
	return answer, understand(answer, out)
}

// post sends a document and returns the answer's body.
func (a *adminAPI) post(ctx context.Context, path string, document any) ([]byte, error) {
	body, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	return a.call(ctx, http.MethodPost, path, "application/json", body)
}

// understand reads an answer.
func understand(answer []byte, out any) error {
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("the engine's answer is not understood: %w", err)
	}
	return nil
}

// result is what became of one message.
type result struct {
	Status string `json:"status"`
	Topic  string `json:"topic"`
	Seq    uint64 `json:"seq"`
	Epoch  string `json:"epoch"`
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// send hands a document to the admin API and prints the answer.
func (g *globals) send(ctx context.Context, path string, document any, asJSON bool) error {
	api, err := g.api()
	if err != nil {
		return err
	}
	answer, err := api.post(ctx, path, document)
	if err != nil {
		return err
	}
	results, err := parseResults(answer)
	if asJSON {
		return errors.Join(g.printAnswer(answer), err, unpublished(results))
	}
	if err != nil {
		return err
	}
	return errors.Join(g.printResults(results), unpublished(results))
}

// printAnswer prints the engine's answer as it is.
func (g *globals) printAnswer(answer []byte) error { return g.printf("%s\n", bytes.TrimSpace(answer)) }

// unreachable words the error of an engine that does not answer.
func unreachable(address string, err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no engine answers at %s; start one with: wse serve", address)
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer in time", address)
	}
	return fmt.Errorf("%s: %w", address, err)
}

// refusal is an error that the engine answered with, a problem document (RFC 9457).
type refusal struct {
	Status  string `json:"-"` // as HTTP says it
	Title   string `json:"title"`
	Detail  string `json:"detail"`
	Code    string `json:"code"`
	Details struct {
		Plugin  string          `json:"plugin"`
		Step    string          `json:"step"`
		Reason  string          `json:"reason"`
		Serving string          `json:"serving"`
		Report  *rollout.Report `json:"report"` // of a change on all nodes
	} `json:"details"`
}

// Error implements error. A refused change of a plugin says in further lines what goes on.
func (r *refusal) Error() string {
	text := r.Detail
	if text == "" {
		text = r.Title
	}
	d := &r.Details
	if d.Report != nil && d.Report.Plugin != "" {
		return strings.TrimSuffix(d.Report.String(), "\n")
	}
	if d.Step != "" {
		text = fmt.Sprintf("plugin %s: refused at step %s: %s", d.Plugin, d.Step, d.Reason)
	} else {
		text = "the engine answered " + r.Status + ": " + text
	}
	if d.Serving != "" {
		text += "\nplugin " + d.Plugin + ": " + d.Serving + " goes on serving"
	}
	return text
}

// refused reads a problem document, or what stands in its place.
func refused(resp *http.Response, body []byte) error {
	r := &refusal{Status: resp.Status}
	if err := json.Unmarshal(body, r); err != nil || r.Title == "" && r.Detail == "" {
		return &refusal{Status: resp.Status, Detail: firstLine(body)}
	}
	return r
}

// passing reports whether the same request may be answered otherwise later.
func (r *refusal) passing() bool {
	return strings.HasPrefix(r.Status, "5") || strings.HasPrefix(r.Status, "429")
}

func firstLine(body []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	return line[:min(len(line), 200)]
}

// unpublished says which messages were not published, nil for none. One that a plugin dropped is no failure: it decided so.
func unpublished(results []result) error {
	var failed []error
	for _, r := range results {
		if r.Seq == 0 && r.Status != "dropped" {
			failed = append(failed, errors.New(strings.TrimSuffix("not published: "+r.Status+": "+r.Reason, ": ")))
		}
	}
	return errors.Join(failed...)
}

// String returns a line about a message that was published or dropped.
func (r *result) String() string {
	if r.Status == "dropped" {
		return "dropped: " + r.Reason
	}
	line := fmt.Sprintf("%s seq=%d", r.Topic, r.Seq)
	if r.Epoch != "" && r.Epoch != noEpoch {
		line += " epoch=" + r.Epoch
	}
	line += " id=" + r.ID
	if r.Status != "" && r.Status != "published" {
		line += " (" + r.Status + ")"
	}
	return line
}

// printResults prints one line for each message that was published or dropped.
func (g *globals) printResults(results []result) error {
	for _, r := range results {
		if r.Seq == 0 && r.Status != "dropped" {
			continue
		}
		if err := g.printf("%s\n", r.String()); err != nil {
			return err
		}
	}
	return nil
}

// parseResults reads an answer: what became of one message, or for an event that became several envelopes of each.
func parseResults(answer []byte) ([]result, error) {
	var doc struct {
		result
		Envelopes []result `json:"envelopes"`
	}
	if err := understand(answer, &doc); err != nil {
		return nil, err
	}
	if len(doc.Envelopes) > 0 {
		return doc.Envelopes, nil
	}
	return []result{doc.result}, nil
}
