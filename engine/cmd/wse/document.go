package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// documentBytesMax bounds what a command sends or signs.
const documentBytesMax = 16 << 20

// document returns the JSON object that a flag gives: the text itself, @FILE, or - for standard input.
func (g *globals) document(cmd *cobra.Command, flag, value string) ([]byte, error) {
	raw := []byte(value)
	name, isFile := strings.CutPrefix(value, "@")
	switch {
	case value == "-":
		text, err := readAll(cmd.Context(), g.in)
		if err != nil {
			return nil, fmt.Errorf("%s: standard input: %w", flag, err)
		}
		raw = text
	case isFile:
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		text, err := readAll(cmd.Context(), file)
		if err = errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", flag, name, err)
		}
		raw = text
	}
	raw = bytes.TrimSpace(raw)
	var syntax *json.SyntaxError
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); errors.As(err, &syntax) {
		return nil, misused(cmd, "%s: is not JSON: %v at byte %d", flag, err, syntax.Offset)
	} else if err != nil || object == nil {
		return nil, misused(cmd, "%s: is not a JSON object", flag)
	}
	return raw, nil
}

// readAll reads r to its end, or until ctx ends. A read of a terminal or a pipe cannot be interrupted; it is left behind for
// the end of the process, which comes next.
func readAll(ctx context.Context, r io.Reader) ([]byte, error) {
	type outcome struct {
		raw []byte
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		raw, err := io.ReadAll(io.LimitReader(r, documentBytesMax+1))
		done <- outcome{raw, err}
	}()
	select {
	case <-ctx.Done():
		return nil, errors.New("interrupted")
	case o := <-done:
		if o.err == nil && len(o.raw) > documentBytesMax {
			o.err = fmt.Errorf("is larger than %d MiB", documentBytesMax>>20)
		}
		return o.raw, o.err
	}
}
