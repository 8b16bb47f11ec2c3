package plugin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// blobs keeps modules by their SHA-256.
type blobs interface {
	put(digest string, module []byte) error
	// get returns a module, which the caller must not change. It has been checked to be what its name says.
	get(digest string) ([]byte, error)
	// retain forgets all others. What cannot be removed is tried again the next time.
	retain(named map[string]bool)
}

var (
	_ blobs = dirBlobs("")
	_ blobs = (*memoryBlobs)(nil)
)

// dirBlobs is a directory with a file for each module, written whole or not at all.
type dirBlobs string

const blobSuffix = ".wasm"

func (d dirBlobs) path(digest string) string { return filepath.Join(string(d), digest+blobSuffix) }

func (d dirBlobs) put(digest string, module []byte) error {
	if old, err := d.get(digest); err == nil && len(old) == len(module) {
		return nil
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(string(d), ".new-*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(module)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), d.path(digest))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return syncDir(string(d))
}

// syncDir makes a rename in dir outlive a loss of power.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d dirBlobs) get(digest string) ([]byte, error) {
	module, err := os.ReadFile(d.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is gone", d.path(digest))
	}
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(module); hex.EncodeToString(sum[:]) != digest {
		return nil, fmt.Errorf("%s is damaged: its SHA-256 is %x", d.path(digest), sum)
	}
	return module, nil
}

func (d dirBlobs) retain(named map[string]bool) {
	files, err := os.ReadDir(string(d))
	if err != nil {
		return
	}
	for _, f := range files {
		digest, isModule := strings.CutSuffix(f.Name(), blobSuffix)
		if !named[digest] && (isModule && isDigest(digest) || strings.HasPrefix(f.Name(), ".new-")) {
			_ = os.Remove(filepath.Join(string(d), f.Name()))
		}
	}
}

func isDigest(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == sha256.Size
}

// memoryBlobs is for a host that keeps nothing beyond its own life.
type memoryBlobs struct {
	mu      sync.Mutex
	modules map[string][]byte // guarded by mu
}

func (m *memoryBlobs) put(digest string, module []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.modules[digest] == nil {
		m.modules[digest] = bytes.Clone(module)
	}
	return nil
}

func (m *memoryBlobs) get(digest string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if module, ok := m.modules[digest]; ok {
		return module, nil
	}
	return nil, errors.New("it is not kept")
}

func (m *memoryBlobs) retain(named map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for digest := range m.modules {
		if !named[digest] {
			delete(m.modules, digest)
		}
	}
}
