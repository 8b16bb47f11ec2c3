// Package store keeps what must outlive the process: documents under keys, in named buckets, in one file of the data
// directory. What a bucket holds and how it is written is its user's business.
//
// The file is locked for as long as the store is open, which also keeps a second engine off the directory. Every write is
// a transaction that is safe on disk when the call returns, or was none.
//
// Ownership: a [Store] and its buckets are safe for concurrent use and start no goroutine. Writes are serialised, reads go
// on beside them. Nothing may be called after Close.
package store

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// Errors that callers compare with.
var (
	// ErrInUse means that another process has the store open.
	ErrInUse = errors.New("store: in use")
	// ErrDamaged means that the file is not what this package wrote.
	ErrDamaged = errors.New("store: damaged")
)

const (
	// FileName is the store's file in the data directory.
	FileName = "wse.db"
	// lockWait covers an engine that is just letting go; one that goes on serving is told of at once.
	lockWait = time.Second
)

// Store is an open file of buckets.
type Store struct {
	db   *bbolt.DB
	path string
}

// Open opens the store in dir, which must exist, and makes the file where there is none. It blocks for at most a second. The
// error is [ErrInUse] or [ErrDamaged], or what the system says. A damaged file may stay locked until the process ends.
func Open(dir string) (s *Store, err error) {
	path := filepath.Join(dir, FileName)
	defer contain(path, &err)()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: lockWait, FreelistType: bbolt.FreelistMapType, NoStatistics: true,
	})
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: another engine uses %s; stop it, or give each a data_dir of its own", ErrInUse, dir)
	case isFault(err):
		return nil, damaged(path, err)
	case err != nil:
		return nil, fmt.Errorf("store: %w", err)
	}
	return &Store{db: db, path: path}, nil
}

func isFault(err error) bool {
	return errors.Is(err, bbolterrors.ErrInvalid) || errors.Is(err, bbolterrors.ErrChecksum) || errors.Is(err, bbolterrors.ErrVersionMismatch)
}

func damaged(path string, why any) error {
	return fmt.Errorf("%w: %s: %v; put a copy of it back, or move it away to begin without what it kept", ErrDamaged, path, why)
}

// contain makes what a broken file does to the library an error: it panics, or reads memory beyond the file's end. The
// function that it returns is to be deferred.
func contain(path string, err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		if why := recover(); why != nil {
			*err = damaged(path, why)
		}
		debug.SetPanicOnFault(before)
	}
}

// Close lets go of the file and its lock.
func (s *Store) Close() error { return s.db.Close() }

// Bucket returns the bucket of that name. It exists once something is in it.
func (s *Store) Bucket(name string) *Bucket { return &Bucket{store: s, name: []byte(name)} }

// Bucket is a named set of documents.
type Bucket struct {
	store *Store
	name  []byte
}

// Get returns a copy of the document under key, or nil where there is none.
func (b *Bucket) Get(key string) (value []byte, err error) {
	defer contain(b.store.path, &err)()
	err = b.store.db.View(func(tx *bbolt.Tx) error {
		if in := tx.Bucket(b.name); in != nil {
			value = slices.Clone(in.Get([]byte(key)))
		}
		return nil
	})
	return value, err
}

// Each calls f with every document in the order of the keys, until f returns an error, which Each returns. Value is good
// until f returns. F must not write to the store.
func (b *Bucket) Each(f func(key string, value []byte) error) (err error) {
	defer contain(b.store.path, &err)()
	return b.store.db.View(func(tx *bbolt.Tx) error {
		in := tx.Bucket(b.name)
		if in == nil {
			return nil
		}
		return in.ForEach(func(key, value []byte) error { return f(string(key), value) })
	})
}

// Put writes one document.
func (b *Bucket) Put(key string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	return b.Apply(map[string][]byte{key: value})
}

// Delete removes one document, if it is there.
func (b *Bucket) Delete(key string) error { return b.Apply(map[string][]byte{key: nil}) }

// Apply makes all changes in one transaction, or none: a document is written, or removed where its value is nil. Keys have
// 1 to 32768 bytes.
func (b *Bucket) Apply(changes map[string][]byte) (err error) {
	defer contain(b.store.path, &err)()
	err = b.store.db.Update(func(tx *bbolt.Tx) error {
		in, err := tx.CreateBucketIfNotExists(b.name)
		if err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(changes)) {
			if value := changes[key]; value == nil {
				err = in.Delete([]byte(key))
			} else {
				err = in.Put([]byte(key), value)
			}
			if err != nil {
				return fmt.Errorf("%s/%.64s: %w", b.name, key, err)
			}
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("store: %w", err)
	}
	return err
}
