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
)

// noEpoch is the epoch of a topic that keeps no history (PROTOCOL §2.5).
const noEpoch = "00000000"

// adminTimeout bounds one call of the admin API.
const adminTimeout = 30 * time.Second

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
	cfg, err := g.load()
	if err != nil {
		return err
	}
	base, err := g.adminBase(&cfg)
	if err != nil {
		return err
	}
	token := g.token
	if token == "" && isLocal(g.adminURL) {
		token = cfg.Admin.Token.Reveal()
	}
	answer, err := post(ctx, base+path, token, document)
	if err != nil {
		return err
	}
	results, err := parseResults(answer)
	if asJSON {
		return errors.Join(g.printf("%s\n", bytes.TrimSpace(answer)), err, unpublished(results))
	}
	if err != nil {
		return err
	}
	return errors.Join(g.printResults(results), unpublished(results))
}

// post sends a document and returns the answer's body.
func post(ctx context.Context, address, token string, document any) ([]byte, error) {
	body, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("--admin-url: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
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

// unreachable words the error of an engine that does not answer.
func unreachable(address string, err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("no engine answers at %s; start one with: wse serve", address)
	}
	return fmt.Errorf("%s: %w", address, err)
}

// refused words a problem document (RFC 9457).
func refused(resp *http.Response, body []byte) error {
	var problem struct{ Title, Detail string }
	if err := json.Unmarshal(body, &problem); err != nil || problem.Title == "" && problem.Detail == "" {
		return fmt.Errorf("the engine answered %s: %s", resp.Status, firstLine(body))
	}
	if problem.Detail == "" {
		return fmt.Errorf("the engine answered %s: %s", resp.Status, problem.Title)
	}
	return fmt.Errorf("the engine answered %s: %s", resp.Status, problem.Detail)
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

// printResults prints one line for each message that was published or dropped.
func (g *globals) printResults(results []result) error {
	for _, r := range results {
		line := ""
		switch {
		case r.Status == "dropped":
			line = "dropped: " + r.Reason
		case r.Seq == 0:
			continue
		default:
			line = fmt.Sprintf("%s seq=%d", r.Topic, r.Seq)
			if r.Epoch != "" && r.Epoch != noEpoch {
				line += " epoch=" + r.Epoch
			}
			line += " id=" + r.ID
			if r.Status != "" && r.Status != "published" {
				line += " (" + r.Status + ")"
			}
		}
		if err := g.printf("%s\n", line); err != nil {
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
	if err := json.Unmarshal(answer, &doc); err != nil {
		return nil, fmt.Errorf("the engine's answer is not understood: %w", err)
	}
	if len(doc.Envelopes) > 0 {
		return doc.Envelopes, nil
	}
	return []result{doc.result}, nil
}
