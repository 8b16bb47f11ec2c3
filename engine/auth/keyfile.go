package auth

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KeyFileName is the file in the data directory that holds the generated key.
const KeyFileName = "auth.key"

// generatedKey returns the key in dir, making it first where there is none. Several processes may do so at once (an
// engine and `wse token`): all end up with the same key, and nobody ever reads half of one.
func generatedKey(dir string) ([]byte, error) {
	if dir == "" {
		return nil, errors.New("auth: no key is configured and there is no data_dir to keep a generated one in")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("auth: data_dir: %w", err)
	}
	path := filepath.Join(dir, KeyFileName)
	secret, err := readKeyFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	if err := createKeyFile(dir, path); err != nil {
		return nil, err
	}
	return readKeyFile(path)
}

// createKeyFile writes a new key under a name of its own and links it to path, which fails where path exists: the file
// appears whole or not at all, and the first one stays.
func createKeyFile(dir, path string) error {
	f, err := os.CreateTemp(dir, KeyFileName+".new-*") // created with O_EXCL and mode 0600
	if err != nil {
		return fmt.Errorf("auth: cannot keep a generated key: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	var secret [secretBytesMin]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return fmt.Errorf("auth: %w", errors.Join(err, f.Close()))
	}
	_, err = f.WriteString(base64.RawURLEncoding.EncodeToString(secret[:]) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("auth: cannot keep a generated key: %w", err)
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("auth: cannot keep a generated key: %w", err)
	}
	return nil
}

// readKeyFile reads a generated key. A file that others may read is refused: whoever read it can make tokens.
func readKeyFile(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("auth: %s is not a regular file; move it away and a key is generated", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("auth: %s is open to other users (mode %04o); run: chmod 600 %s", path, mode, path)
	}
	text, err := readLimited(path, 1<<10)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) < secretBytesMin {
		return nil, fmt.Errorf("auth: %s does not hold a key of %d bytes in base64url; remove it to have one generated "+
			"(tokens issued before stop being valid)", path, secretBytesMin)
	}
	return secret, nil
}
