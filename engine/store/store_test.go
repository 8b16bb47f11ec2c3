package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/wse-engine/wse/engine/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir)
	require.NoError(t, err)
	return s
}

func all(t testing.TB, b *store.Bucket) map[string]string {
	t.Helper()
	got := map[string]string{}
	require.NoError(t, b.Each(func(key string, value []byte) error { got[key] = string(value); return nil }))
	return got
}

func TestWhatIsWrittenIsThereAfterTheStoreWasClosed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	b := s.Bucket("plugins")
	require.Empty(t, all(t, b), "a bucket that nothing is in yet")
	require.NoError(t, b.Apply(map[string][]byte{"a": []byte("1"), "b": []byte("2"), "c": []byte("3")}))
	require.NoError(t, b.Put("empty", nil))
	require.NoError(t, b.Delete("b"))
	require.NoError(t, b.Delete("never"))
	require.NoError(t, s.Bucket("other").Put("a", []byte("x")))
	require.NoError(t, s.Close())

	s = open(t, dir)
	defer func() { require.NoError(t, s.Close()) }()
	require.Equal(t, map[string]string{"a": "1", "c": "3", "empty": ""}, all(t, s.Bucket("plugins")))
	value, err := s.Bucket("plugins").Get("c")
	require.NoError(t, err)
	require.Equal(t, "3", string(value))
	value, err = s.Bucket("plugins").Get("b")
	require.NoError(t, err)
	require.Nil(t, value)
	info, err := os.Stat(filepath.Join(dir, store.FileName))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestAChangeThatCannotBeMadeLeavesAllOthersUndone(t *testing.T) {
	s := open(t, t.TempDir())
	defer func() { require.NoError(t, s.Close()) }()
	b := s.Bucket("plugins")
	require.NoError(t, b.Put("a", []byte("1")))
	require.ErrorContains(t, b.Apply(map[string][]byte{"a": []byte("2"), "": []byte("no key")}), "store: plugins/")
	require.Equal(t, map[string]string{"a": "1"}, all(t, b))
}

func TestASecondStoreInADirectoryIsRefusedUntilTheFirstIsClosed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := store.Open(dir)
	require.ErrorIs(t, err, store.ErrInUse)
	require.ErrorContains(t, err, "another engine uses "+dir)
	require.NoError(t, s.Close())
	require.NoError(t, open(t, dir).Close())
}

func TestAnErrorOfAVisitorEndsTheVisit(t *testing.T) {
	s := open(t, t.TempDir())
	defer func() { require.NoError(t, s.Close()) }()
	b := s.Bucket("plugins")
	require.NoError(t, b.Apply(map[string][]byte{"a": {}, "b": {}}))
	enough, visits := errors.New("enough"), 0
	require.ErrorIs(t, b.Each(func(string, []byte) error { visits++; return enough }), enough)
	require.Equal(t, 1, visits)
}

func TestWritersAndReadersDoNotDisturbEachOther(t *testing.T) {
	s := open(t, t.TempDir())
	defer func() { require.NoError(t, s.Close()) }()
	var wg sync.WaitGroup
	for i := range 4 {
		b := s.Bucket(fmt.Sprint("bucket", i%2))
		wg.Go(func() {
			for j := range 20 {
				if err := b.Put(fmt.Sprint(i, j), []byte("x")); err != nil {
					t.Error(err)
				}
				if err := b.Each(func(string, []byte) error { return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, all(t, s.Bucket("bucket0")), 40)
}

func TestADamagedFileIsAnErrorThatSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, store.FileName)
	s := open(t, dir)
	changes := map[string][]byte{}
	for i := range 500 {
		changes[fmt.Sprintf("key-%03d", i)] = make([]byte, 500)
	}
	require.NoError(t, s.Bucket("plugins").Apply(changes))
	require.NoError(t, s.Close())
	whole, err := os.ReadFile(path)
	require.NoError(t, err)

	for name, damage := range map[string][]byte{
		"another kind of file": []byte("this is no store\n"),
		"cut to two pages":     whole[:8192],
		"cut in the middle":    whole[:len(whole)/4],
		"zeros behind":         append(append([]byte(nil), whole[:8192]...), make([]byte, len(whole)-8192)...),
		"garbage in the pages": append(append([]byte(nil), whole[:8192]...), []byte(fmt.Sprintf("%0*d", len(whole)-8192, 7))...),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, store.FileName)
			require.NoError(t, os.WriteFile(path, damage, 0o600))
			s, err := store.Open(dir)
			if err == nil {
				err = s.Bucket("plugins").Each(func(string, []byte) error { return nil })
				require.NoError(t, s.Close())
			}
			require.ErrorIs(t, err, store.ErrDamaged)
			require.ErrorContains(t, err, path)
		})
	}
}
