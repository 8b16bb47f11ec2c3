package engine

import (
	"context"
	"encoding/json"
	"time"

	"github.com/wse-engine/wse/engine/message"
)

// healthTopic is where the engine tells how it is, for the stream system_health of protocol v1.
const healthTopic message.Topic = "stream:system_health:engine"

// healthReport is what is told.
type healthReport struct {
	Status      string         `json:"status"` // healthy or draining
	UptimeMS    int64          `json:"uptime_ms"`
	Connections int            `json:"connections"`
	Sessions    map[string]int `json:"sessions"` // that run, by type
	Timestamp   int64          `json:"timestamp"`
}

// tellHealth publishes how the engine is, every trading.health_interval.
func (e *Engine) tellHealth(ctx context.Context) error {
	tick := time.NewTicker(e.cfg.Trading.HealthInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		h := status{e}.Health()
		payload, err := json.Marshal(healthReport{h.Status, h.UptimeMS, h.Connections, e.trading.Stats().Sessions, h.ServerTimeMS})
		if err == nil {
			_, err = e.broker.Publish(ctx, &message.Envelope{
				Type: message.TypeSystemHealth, Topic: healthTopic, Payload: payload, TimeMS: h.ServerTimeMS,
				Category: message.CategoryOf(message.TypeSystemHealth),
			})
		}
		if err != nil && ctx.Err() == nil {
			e.log.Warn("the engine's health was not published", "error", err)
		}
	}
}
