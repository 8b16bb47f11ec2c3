package lines_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin/lines"
	"github.com/wse-engine/wse/engine/plugin/meter"
	"github.com/wse-engine/wse/engine/plugin/scan"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// module is a file of the host's tests, with its shape and where its code goes.
func module(t testing.TB, name string) (wasm []byte, m *scan.Module, moves *meter.Moves) {
	t.Helper()
	wasm, err := os.ReadFile("../testdata/" + name)
	require.NoError(t, err)
	m, err = scan.Scan(wasm, scan.Limits{})
	require.NoError(t, err)
	moves = new(meter.Moves)
	_, err = meter.Rewrite(wasm, m, scan.Limits{}, meter.Options{Moves: moves})
	require.NoError(t, err)
	return wasm, m, moves
}

func never() bool { return false }

func TestBuild_knows_the_first_line_of_every_function(t *testing.T) {
	wasm, m, moves := module(t, "trap-O0.wasm")
	table, err := lines.Parse(lines.Build(lines.Sections(wasm, m), moves, never))
	require.NoError(t, err)
	var got []string
	for _, f := range moves.Funcs {
		for _, pc := range []uint32{f.New, f.Tail} { // the tail is where a function stops that runs out of fuel
			for _, p := range table.Find(pc) {
				got = append(got, p.String())
			}
		}
	}
	require.Equal(t, []string{
		"trap.c:32:43", "trap.c:32:43", "trap.c:34", "trap.c:34", "trap.c:36", "trap.c:36", "trap.c:12", "trap.c:12", "trap.c:18",
		"trap.c:18", "trap.c:23", "trap.c:23", "trap.c:28", "trap.c:28",
	}, got)
	require.Nil(t, table.Find(0))
	require.Nil(t, (&lines.Table{}).Find(100))
}

func TestBuild_makes_nothing_of_damaged_debug_information(t *testing.T) {
	wasm, m, moves := module(t, "trap-O2.wasm")
	good := lines.Sections(wasm, m)
	require.NotNil(t, lines.Build(good, moves, never))
	for name := range good {
		bad := map[string][]byte{}
		for n, data := range good {
			bad[n] = data
		}
		for cut := range good[name] {
			bad[name] = good[name][:cut]
			if table := lines.Build(bad, moves, never); table != nil {
				_, err := lines.Parse(table)
				require.NoError(t, err)
			}
		}
	}
	require.Nil(t, lines.Build(good, moves, func() bool { return true }), "stopped at once")
	require.Nil(t, lines.Build(nil, moves, never))
}

func TestSections_are_none_where_a_part_is_missing(t *testing.T) {
	for _, names := range [][]string{{}, {".debug_line"}, {".debug_line", ".debug_info"}, {"debug_line", "debug_info", "debug_abbrev"}} {
		var custom []byte
		for _, name := range names {
			custom = append(custom, w.Section(0, append(w.Text(nil, name), 1, 2, 3)...)...)
		}
		wasm := w.Module{Custom: custom}.Bytes()
		m, err := scan.Scan(wasm, scan.Limits{})
		require.NoError(t, err)
		require.Nil(t, lines.Sections(wasm, m))
	}
}

func TestParse_refuses_what_is_no_table(t *testing.T) {
	wasm, m, moves := module(t, "trap-O2.wasm")
	table := lines.Build(lines.Sections(wasm, m), moves, never)
	for cut := range table {
		_, err := lines.Parse(table[:cut])
		require.ErrorIs(t, err, lines.ErrTable)
	}
	_, err := lines.Parse(append(table, 0))
	require.ErrorIs(t, err, lines.ErrTable)
	_, err = lines.Parse(make([]byte, lines.TableBytesMax+1))
	require.ErrorIs(t, err, lines.ErrTable)
}

// FuzzBuild: whatever the debug information, Build comes back with a table that Parse takes, or with none.
func FuzzBuild(f *testing.F) {
	for _, name := range []string{"trap-O0.wasm", "trap-O2.wasm"} {
		wasm, m, _ := module(f, name)
		s := lines.Sections(wasm, m)
		f.Add(s[".debug_abbrev"], s[".debug_info"], s[".debug_line"], s[".debug_str"], s[".debug_ranges"])
	}
	_, _, moves := module(f, "trap-O2.wasm")
	f.Fuzz(func(t *testing.T, abbrev, info, line, str, ranges []byte) {
		late := time.Now().Add(time.Second)
		table := lines.Build(map[string][]byte{".debug_abbrev": abbrev, ".debug_info": info, ".debug_line": line, ".debug_str": str,
			".debug_ranges": ranges, ".debug_rnglists": ranges, ".debug_line_str": str, ".debug_addr": ranges, ".debug_str_offsets": ranges},
			moves, func() bool { return time.Now().After(late) })
		require.Less(t, time.Since(late), time.Minute, "it ends when it is told to")
		if table == nil {
			return
		}
		parsed, err := lines.Parse(table)
		require.NoError(t, err)
		for _, f := range moves.Funcs {
			parsed.Find(f.New)
		}
	})
}

// FuzzParse: whatever the bytes, Parse does not panic, and Find works on what it takes.
func FuzzParse(f *testing.F) {
	wasm, m, moves := module(f, "trap-O2.wasm")
	f.Add(lines.Build(lines.Sections(wasm, m), moves, never))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := lines.Parse(data)
		if err != nil {
			require.ErrorIs(t, err, lines.ErrTable)
			return
		}
		for pc := range uint32(300) {
			for _, p := range table.Find(pc) {
				require.NotPanics(t, func() { _ = p.String() })
			}
		}
	})
}
