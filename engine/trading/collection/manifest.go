package collection

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	manifestName     = "manifest.json"
	manifestBytesMax = 8 << 20
	pricesName       = "prices.csv"
	dirPrefix        = "session_"
	idBytesMax       = 100

	header = "timestamp,price,volume,quote_volume\n"
)

// Dir returns the directory of the collection id under the directory that a Collector has. It is an error where id is not
// 1 to 100 of A-Z a-z 0-9 _ -, so that no id leads anywhere else.
func Dir(under, id string) (string, error) {
	if !isID(id) {
		return "", fmt.Errorf("%w: %.120q: an id has 1 to %d of A-Z a-z 0-9 _ -", ErrNotFound, id, idBytesMax)
	}
	return filepath.Join(under, dirPrefix+id), nil
}

func isID(id string) bool {
	return id != "" && len(id) <= idBytesMax && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

func parent(path string) string { return filepath.Dir(path) }

func pricesPath(dir, symbol string) string { return filepath.Join(dir, symbol, pricesName) }

// writeManifest puts s into place whole, or leaves what is there.
func writeManifest(dir string, s *Status) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	temp := filepath.Join(dir, "."+manifestName)
	if err := writeSynced(temp, append(text, '\n')); err != nil {
		return errors.Join(err, removeIfThere(temp))
	}
	if err := os.Rename(temp, filepath.Join(dir, manifestName)); err != nil {
		return err
	}
	return syncDir(dir)
}

func writeSynced(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes the names in a directory outlive a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readManifest reads a manifest and checks that it can be one of the collection id.
func readManifest(dir, id string) (*Status, error) {
	f, err := os.Open(filepath.Join(dir, manifestName))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, manifestBytesMax+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	s := &Status{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, f.Name(), err)
	}
	if err := s.check(id); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, f.Name(), err)
	}
	return s, nil
}

// check finds what a manifest cannot say.
func (s *Status) check(id string) error {
	if s.ID != id {
		return fmt.Errorf("collection_id: %.120q, in the directory of %s", s.ID, id)
	}
	switch s.State {
	case Running, Stopped, Completed, Failed:
	default:
		return fmt.Errorf("state: %.40q is none", s.State)
	}
	if len(s.Symbols) == 0 {
		return errors.New("symbols: there are none")
	}
	if err := checkSymbols(s.Symbols); err != nil {
		return err
	}
	if s.BySymbol == nil {
		s.BySymbol = map[string]FileStatus{}
	}
	return nil
}
