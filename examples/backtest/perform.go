package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"
)

// report is everything that the engine answered.
type report struct {
	SessionID  string                     `json:"session_id"`
	Config     json.RawMessage            `json:"config"`     // of the session
	Collection json.RawMessage            `json:"collection"` // its last status
	Session    json.RawMessage            `json:"session_results"`
	Symbols    map[string]json.RawMessage `json:"symbol_results"`
	Strategies map[string]json.RawMessage `json:"strategy_results"`
	Fills      []json.RawMessage          `json:"fills"` // as the stream of orders told them
}

// timeout is how long all of it may take.
const timeout = 5 * time.Minute

// perform does what the example is about.
func perform(ctx context.Context, o *options, e *engine) (r *report, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := dial(ctx, e.public, e.token)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()

	name, err := upsert(ctx, c, o.strategy)
	if err != nil {
		return nil, err
	}
	r = &report{Symbols: map[string]json.RawMessage{}, Strategies: map[string]json.RawMessage{}}
	collection, err := r.record(ctx, c, e, &o.prices)
	if err != nil {
		return nil, err
	}
	if err := r.replay(ctx, c, name, collection, o.prices.symbols); err != nil {
		return nil, err
	}
	return r, r.ask(ctx, c, name, o.prices.symbols)
}

// upsert has the engine keep a strategy's configuration, if that is valid, and returns its name.
func upsert(ctx context.Context, c *client, file string) (name string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if !json.Valid(text) {
		return "", fmt.Errorf("%s is not JSON", file)
	}
	answer, err := c.ask(ctx, "upsert_strategy", map[string]any{"strategy_config": json.RawMessage(text)})
	if err != nil {
		return "", err
	}
	var kept struct {
		Name string `json:"strategy_name"`
	}
	return kept.Name, json.Unmarshal(answer, &kept)
}

// collectionStatus is what the engine says of a collection, as far as it is of interest here.
type collectionStatus struct {
	ID        string `json:"collection_id"`
	Collected int    `json:"records_collected"`
	Rejected  int    `json:"records_rejected"`
	Dropped   int    `json:"records_dropped"`
}

// record has the engine collect what the feed publishes meanwhile, and returns the collection's id.
func (r *report) record(ctx context.Context, c *client, e *engine, prices *source) (id string, err error) {
	answer, err := c.ask(ctx, "collection_start", map[string]any{"symbols": prices.symbols})
	if err != nil {
		return "", err
	}
	var status collectionStatus
	if err := json.Unmarshal(answer, &status); err != nil {
		return "", err
	}
	if _, err := e.run(ctx, append(prices.feed(), "--admin-url", e.admin)...); err != nil {
		return "", err
	}
	if r.Collection, err = c.ask(ctx, "collection_stop", map[string]any{"collection_id": status.ID}); err != nil {
		return "", err
	}
	if err := json.Unmarshal(r.Collection, &status); err != nil {
		return "", err
	}
	if status.Collected != prices.rows {
		return "", fmt.Errorf("%d prices were published, but %d collected, %d rejected and %d dropped", prices.rows, status.Collected, status.Rejected, status.Dropped)
	}
	return status.ID, nil
}

// replay runs the backtest and waits for its end. Who wants to hear of a session subscribes before it starts: this one is over
// in a moment.
func (r *report) replay(ctx context.Context, c *client, strategy, collection string, symbols []string) (err error) {
	for _, stream := range []string{"orders", "execution_status"} {
		if _, err := c.ask(ctx, "subscribe", map[string]any{"stream": stream}); err != nil {
			return err
		}
	}
	r.Config, err = json.Marshal(map[string]any{
		"collection_id": collection, "acceleration_factor": 0, "initial_balance": 10_000, "fee_bps": 10, "slippage_bps": 5,
	})
	if err != nil {
		return err
	}
	before := len(c.streams)
	answer, err := c.ask(ctx, "session_start", map[string]any{
		"session_type": "backtest", "strategy_config": map[string][]string{strategy: symbols}, "config": r.Config,
	})
	if err != nil {
		return err
	}
	var started struct {
		SessionID string `json:"session_id"`
	}
	if err := json.Unmarshal(answer, &started); err != nil {
		return err
	}
	r.SessionID = started.SessionID
	var status struct {
		State  string `json:"session_state"`
		Reason string `json:"reason"`
	}
	_, _, err = c.await(ctx, before, func(s *streamed) bool {
		return s.Stream == "execution_status" && s.SessionID == r.SessionID && json.Unmarshal(s.Data, &status) == nil &&
			(status.State == "stopped" || status.State == "error")
	})
	if err == nil && status.State != "stopped" {
		err = fmt.Errorf("the session ended in the state %s: %s", status.State, status.Reason)
	}
	return err
}

// ask asks for the three kinds of results, each by WebSocket and by HTTP.
func (r *report) ask(ctx context.Context, c *client, strategy string, symbols []string) (err error) {
	if r.Session, err = r.results(ctx, c, "session_results", "", ""); err != nil {
		return err
	}
	if r.Strategies[strategy], err = r.results(ctx, c, "strategy_results", "strategy", strategy); err != nil {
		return err
	}
	for _, symbol := range symbols {
		if r.Symbols[symbol], err = r.results(ctx, c, "symbol_results", "symbol", symbol); err != nil {
			return err
		}
	}
	return r.fills(ctx, c)
}

// results asks for results and returns the member data of the answer, which is the same both ways.
func (r *report) results(ctx context.Context, c *client, kind, of, name string) (json.RawMessage, error) {
	query := map[string]any{"request_type": kind, "session_id": r.SessionID}
	values := url.Values{"request_type": {kind}}
	if of != "" {
		query[of] = name
		values.Set(of, name)
	}
	told, err := c.ask(ctx, "results_request", query)
	if err != nil {
		return nil, err
	}
	got, err := c.get(ctx, "/api/v1/sessions/"+r.SessionID+"/results", values)
	if err != nil {
		return nil, err
	}
	var byWebSocket, byHTTP struct {
		Data json.RawMessage `json:"data"`
	}
	if err := errors.Join(json.Unmarshal(told, &byWebSocket), json.Unmarshal(got, &byHTTP)); err != nil {
		return nil, err
	}
	if !bytes.Equal(byWebSocket.Data, byHTTP.Data) {
		return nil, fmt.Errorf("%s by WebSocket and by HTTP differ:\n%s\n%s", kind, byWebSocket.Data, byHTTP.Data)
	}
	return byWebSocket.Data, nil
}

// fills takes the fills from the stream of orders: as many as the results count, since the last ones may still be on their way.
func (r *report) fills(ctx context.Context, c *client) error {
	var results results
	if err := json.Unmarshal(r.Session, &results); err != nil {
		return err
	}
	next := 0
	for range results.Metrics.OrdersFilled {
		fill, after, err := c.await(ctx, next, func(s *streamed) bool { return s.Event == "order_filled" && s.SessionID == r.SessionID })
		if err != nil {
			return fmt.Errorf("%d of %d fills came: %w", len(r.Fills), results.Metrics.OrdersFilled, err)
		}
		next = after
		r.Fills = append(r.Fills, fill.Data)
	}
	return nil
}

// write writes the report as JSON.
func (r *report) write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
