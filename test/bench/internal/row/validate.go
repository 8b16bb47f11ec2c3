package row

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/native"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// validateWindow is how many requests are timed at a time, one behind the other.
const validateWindow = 300

// asking is one kind of request: what it takes until its answer is there, and of the server's CPU.
type asking struct {
	request, answer []byte
	trip, cpu       figure.Series // µs; of the trip one a request
}

// validation measures a client that has a strategy's configuration validated, beside the same client's pings: what any request costs.
func validation(ctx context.Context, b *Bench) (figures []figure.Figure, err error) {
	server, err := target.StartWSE(b.Binary, b.Dir, tradingConfig)
	if err != nil {
		return nil, err
	}
	defer stopAll([]*target.Server{server}, &err)
	client, err := server.Ask(userName(0))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	validate := &asking{request: []byte(`{"type":"validate_strategy_config","strategy_config":` + native.StrategyConfig + `}`), answer: []byte(`"valid":true`)}
	ping := &asking{request: []byte(`{"type":"ping"}`), answer: []byte(`"status":"pong"`)}
	validate.trip.Name, validate.cpu.Name, ping.trip.Name, ping.cpu.Name = "wse", "wse", "wse, ping", "wse, ping"
	for rep := -1; rep < b.Repetitions; rep++ {
		for _, a := range []*asking{validate, ping} {
			if err := a.measure(ctx, server, client, rep >= 0); err != nil {
				return nil, err
			}
		}
		if rep >= 0 {
			b.logf("validation %d/%d: %.0f µs CPU, so far %.0f µs a round trip; a ping %.0f and %.0f", rep+1, b.Repetitions, validate.cpu.Values[rep],
				figure.Median().Of(validate.trip), ping.cpu.Values[rep], figure.Median().Of(ping.trip))
		}
	}
	name := fmt.Sprintf("validate_strategy_config, %d bytes, one in flight", len(native.StrategyConfig))
	return []figure.Figure{
		{Name: name + ": round trip, p50", Unit: "µs", Ours: validate.trip, Peer: ping.trip, Statistic: figure.Median(), ValueMax: 500},
		{Name: name + ": server CPU a request", Unit: "µs", Ours: validate.cpu, Peer: ping.cpu, Statistic: figure.Minimum(), ValueMax: 500},
	}, nil
}

// measure asks again and again; what is not kept has warmed up what there is to warm up.
func (a *asking) measure(ctx context.Context, server *target.Server, client *target.Asker, keep bool) error {
	before, err := server.CPU()
	if err != nil {
		return err
	}
	trips := make([]float64, 0, validateWindow)
	for range validateWindow {
		begun := time.Now()
		answer, err := client.Request(a.request)
		if err != nil {
			return err
		}
		trips = append(trips, float64(time.Since(begun).Nanoseconds())/1e3)
		if !bytes.Contains(answer, a.answer) {
			return fmt.Errorf("not the expected answer: %.600s", answer)
		}
	}
	after, err := server.CPU()
	if err == nil && keep {
		a.trip.Values = append(a.trip.Values, trips...)
		a.cpu.Values = append(a.cpu.Values, float64(after-before)/1e3/validateWindow)
	}
	return errors.Join(err, ctx.Err())
}
