package collection

import (
	"errors"
	"fmt"
	"strings"

	"github.com/wse-engine/wse/engine/trading/market"
)

// Errors that callers compare with.
var (
	// ErrInvalid means that a collection cannot be what was asked for: its symbols or its duration.
	ErrInvalid = errors.New("collection: invalid")
	// ErrLimit means that there are too many collections for another one.
	ErrLimit = errors.New("collection: limit reached")
	// ErrNotFound means that there is no collection of that id.
	ErrNotFound = errors.New("collection: not found")
	// ErrClosed means that the engine stops.
	ErrClosed = errors.New("collection: the engine stops")
	// ErrDamaged means that a file of a collection is not what it should be. The text names file and line.
	ErrDamaged = errors.New("collection: damaged")
)

// checkSymbols checks that each symbol can have a directory of its own, on every file system.
func checkSymbols(symbols []string) error {
	seen := make(map[string]string, len(symbols))
	for _, s := range symbols {
		if err := market.CheckSymbol(s); err != nil {
			return err
		}
		low := strings.ToLower(s)
		switch other, twice := seen[low]; {
		case twice && other == s:
			return fmt.Errorf("symbol %s: is there twice", s)
		case twice:
			return fmt.Errorf("symbols %s and %s: differ only in case, which not every file system tells apart", other, s)
		case low == manifestName:
			return fmt.Errorf("symbol %s: is the name of the manifest", s)
		}
		seen[low] = s
	}
	return nil
}
