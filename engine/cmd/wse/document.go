package main

import (
	"bytes"
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
		text, err := readAll(g.in)
		if err != nil {
			return nil, fmt.Errorf("%s: standard input: %w", flag, err)
		}
		raw = text
	case isFile:
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		text, err := readAll(file)
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

func readAll(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, documentBytesMax+1))
	if err == nil && len(raw) > documentBytesMax {
		err = fmt.Errorf("is larger than %d MiB", documentBytesMax>>20)
	}
	return raw, err
}
