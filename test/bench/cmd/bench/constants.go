package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strconv"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/row"
	"github.com/wse-engine/wse/test/scaling"
)

// constants measures what the capacity model counts with, and puts it into its file; what the plans assume of machines stays.
func constants(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("constants", flag.ContinueOnError)
	binary := flags.String("wse", "../../bin/wse", "the wse program")
	file := flags.String("file", "../scaling/constants.json", "what to put them into")
	repetitions := flags.Int("repetitions", 3, "how often what scatters is measured")
	if err := flags.Parse(args); err != nil {
		return err
	}
	raw, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	var c scaling.Constants
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return fmt.Errorf("%s: %w", *file, err)
	}
	origin, err := figure.Here()
	if err != nil {
		return err
	}
	b, done, err := setUp(*binary, os.Stderr)
	if err != nil {
		return err
	}
	defer done()
	b.Repetitions = *repetitions
	if err := row.Constants(ctx, b, &c); err != nil {
		return err
	}
	c.Origin = origin.String()
	for v, i := reflect.ValueOf(&c).Elem(), 0; i < v.NumField(); i++ { // three digits say all that there is to know
		if f := v.Field(i); f.Kind() == reflect.Float64 && f.Float() > 0 {
			short, err := strconv.ParseFloat(strconv.FormatFloat(f.Float(), 'g', 3, 64), 64)
			if err != nil {
				return err
			}
			f.SetFloat(short)
		}
	}
	text, err := json.MarshalIndent(&c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(*file, append(text, '\n'), 0o644)
}
