package collection_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/trading/collection"
)

const (
	rowOne = "1732000000000,1,2,3\n"
	rowTwo = "1732000000001,4,5,6\n"
)

// crashed makes the directory of a collection as a crash leaves it: a manifest that says running, and knows of rows.
func crashed(t *testing.T, dir, text string, known collection.FileStatus) {
	t.Helper()
	at := filepath.Join(dir, "session_c1")
	s := collection.Status{
		ID: "c1", Owner: "u1", State: collection.Running, Symbols: []string{"A"}, Started: time.Now().Add(-time.Minute).UTC(), DurationMS: 3600_000,
		Rows: known.Rows, Bytes: known.Bytes, BySymbol: map[string]collection.FileStatus{"A": known}, OutOfOrder: 7,
	}
	place(t, at, map[string]string{"A": text})
	manifest, err := json.Marshal(s)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(at, "manifest.json"), manifest, 0o600))
}

func TestWhatACrashLeftHalfWrittenIsCutOffAndCounted(t *testing.T) {
	nothing := collection.FileStatus{Bytes: int64(len(header))}
	first := collection.FileStatus{Rows: 1, Bytes: int64(len(header + rowOne))}
	for _, c := range []struct {
		name, text string
		known      collection.FileStatus
		left       string
		rows, cut  uint64
	}{
		{"nothing is missing", header + rowOne + rowTwo, first, header + rowOne + rowTwo, 2, 0},
		{"only the header", header, nothing, header, 0, 0},
		{"no header yet", "", nothing, header, 0, 0},
		{"half a header", header[:9], nothing, header, 0, 0},
		{"half a row", header + rowOne + rowTwo[:9], first, header + rowOne, 1, 1},
		{"half a row that reads as a whole one", header + rowOne + rowTwo[:len(rowTwo)-1], first, header + rowOne, 1, 1},
		{"half a row that nobody knew of", header + rowOne + rowTwo + rowTwo[:9], nothing, header + rowOne + rowTwo, 2, 1},
		{"zeros, as a file system may leave", header + rowOne + strings.Repeat("\x00", 4096), first, header + rowOne, 1, 1},
		{"zeros before good rows", header + rowOne + strings.Repeat("\x00", 20) + "\n" + rowTwo, first, header + rowOne, 1, 2},
		{"bytes of another file", header + rowOne + "{\"a\":1}\n{\"b\":2}\n{", first, header + rowOne, 1, 3},
		{"a row of an earlier time", header + rowTwo + rowOne, nothing, header + rowTwo, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			crashed(t, dir, c.text, c.known)
			k := open(t, dir, nil)
			s, err := k.Status("c1")
			require.NoError(t, err)
			require.Equal(t, collection.Stopped, s.State)
			require.Equal(t, collection.ReasonRestarted, s.Reason)
			require.Equal(t, c.rows, s.Rows)
			require.Equal(t, c.cut, s.Cut)
			require.EqualValues(t, len(c.left), s.Bytes)
			require.EqualValues(t, 7, s.OutOfOrder, "what was counted stays")
			require.False(t, s.Ended.Before(s.Started))
			require.Equal(t, c.left, k.read("c1", "A"))
			require.Equal(t, s, k.manifest("c1"))
			require.Empty(t, k.warnings)
			r, err := k.Open("c1")
			require.Len(t, ticks(t, r, err), int(c.rows))

			again, err := open(t, dir, nil).Status("c1")
			require.NoError(t, err)
			require.Equal(t, s, again, "the next start finds it in order")
		})
	}
}

func TestRowsThatWereSyncedAndAreGoneAreToldAndNothingIsTouched(t *testing.T) {
	for name, text := range map[string]string{"shorter": header + rowOne[:5], "empty": "", "missing": ""} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			crashed(t, dir, text, collection.FileStatus{Rows: 2, Bytes: int64(len(header + rowOne + rowTwo))})
			if name == "missing" {
				require.NoError(t, os.RemoveAll(filepath.Join(dir, "session_c1", "A")))
			}
			k := open(t, dir, nil)
			s, err := k.Status("c1")
			require.NoError(t, err)
			require.Equal(t, collection.Failed, s.State)
			require.Contains(t, s.LastError, filepath.Join("A", "prices.csv"))
			require.Equal(t, s, k.manifest("c1"))
			if name != "missing" {
				require.Equal(t, text, k.read("c1", "A"))
			}
			require.NotContains(t, s.Message().Reason, dir, "clients are not told where the server keeps its files")
		})
	}
}

func TestADirectoryThatTheOperatorPutThereIsACollection(t *testing.T) {
	dir := t.TempDir()
	early := filepath.Join(dir, "session_sp500")
	place(t, early, map[string]string{"MSFT": header + "2000-01-01,39.81,0,\n", "AMZN": header + "2000-01-01,64.56,0,\n2000-02-01,68.87,0,\n"})
	k := open(t, dir, nil)
	s, err := k.Status("sp500")
	require.NoError(t, err)
	require.Equal(t, collection.Stopped, s.State)
	require.Equal(t, collection.ReasonImported, s.Reason)
	require.Empty(t, s.Owner)
	require.EqualValues(t, 3, s.Rows)
	require.EqualValues(t, 2, s.BySymbol["AMZN"].Rows)
	require.Equal(t, s, k.manifest("sp500"))

	place(t, filepath.Join(dir, "session_later"), map[string]string{"A": header + rowOne})
	r, err := k.Open("later")
	require.Len(t, ticks(t, r, err), 1, "while the engine runs, too")
	require.Len(t, k.List(), 2)
	require.Empty(t, k.warnings)
}

func TestADirectoryThatCannotBeReadIsToldAndLeftAsItIs(t *testing.T) {
	for _, c := range []struct {
		name, says string
		make       func(t *testing.T, at string)
	}{
		{"bad row", "prices.csv:2: ", func(t *testing.T, at string) { place(t, at, map[string]string{"A": header + "x\n"}) }},
		{"no files", "there is no <SYMBOL>/prices.csv", func(t *testing.T, at string) { require.NoError(t, os.MkdirAll(at, 0o700)) }},
		{"manifest that is not JSON", "manifest.json: ", manifest("{")},
		{"manifest of another one", "collection_id: ", manifest(`{"collection_id":"other","state":"stopped","symbols":["A"]}`)},
		{"manifest of a state that there is not", "state: ", manifest(`{"collection_id":"c1","state":"paused","symbols":["A"]}`)},
		{"manifest without symbols", "symbols: ", manifest(`{"collection_id":"c1","state":"stopped"}`)},
		{"manifest with a path for a symbol", "bad symbol", manifest(`{"collection_id":"c1","state":"running","symbols":["../../x"]}`)},
		{"manifest that is endless", "manifest.json: ", manifest(strings.Repeat("[", 9<<20))},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.make(t, filepath.Join(dir, "session_c1"))
			k := open(t, dir, nil)
			require.Len(t, k.warnings, 1)
			require.Contains(t, k.warnings[0], "session_c1 is left out: ")
			require.Contains(t, k.warnings[0], c.says)
			_, err := k.Open("c1")
			require.ErrorContains(t, err, c.says)
			require.Empty(t, k.List())
		})
	}
}

func manifest(text string) func(t *testing.T, at string) {
	return func(t *testing.T, at string) {
		require.NoError(t, os.MkdirAll(at, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(at, "manifest.json"), []byte(text), 0o600))
	}
}

func TestWhatIsNoCollectionInTheDirectoryIsPassedOver(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "wse.db"), nil, 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "plugins"), 0o700))
	k := open(t, dir, nil)
	require.Empty(t, k.List())
	require.Empty(t, k.warnings)
}
