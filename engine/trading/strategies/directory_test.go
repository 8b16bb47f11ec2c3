package strategies_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/strategies"
)

// directory is a Directory and what it told.
type directory struct {
	*strategies.Directory
	t        *testing.T
	dir      string
	changes  chan string // name, or -name for one that is gone
	warnings chan string
}

// open opens a Directory on dir, which is read only when it is told to.
func open(t *testing.T, dir string, change func(*strategies.Config, *strategies.Options)) *directory {
	t.Helper()
	d := &directory{t: t, dir: dir, changes: make(chan string, 1000), warnings: make(chan string, 1000)}
	cfg := strategies.DefaultConfig()
	opts := strategies.Options{
		Changed: func(s message.Strategy, removed bool) {
			if removed {
				d.changes <- "-" + s.Name
			} else {
				d.changes <- s.Name
			}
		},
		Warn: func(err error) { d.warnings <- err.Error() },
	}
	if change != nil {
		change(&cfg, &opts)
	}
	var err error
	d.Directory, err = strategies.New(dir, cfg, opts)
	require.NoError(t, err)
	return d
}

// follow opens a Directory on dir that follows the files until the test ends.
func follow(t *testing.T, dir string) *directory {
	t.Helper()
	d := open(t, dir, func(_ *strategies.Config, o *strategies.Options) { o.Debounce = 10 * time.Millisecond })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	return d
}

// next returns what comes next on one of the channels.
func (d *directory) next(from chan string) string {
	d.t.Helper()
	select {
	case text := <-from:
		return text
	case <-time.After(2 * time.Minute):
		d.t.Fatal("nothing was told")
		return ""
	}
}

func (d *directory) path(name string) string { return filepath.Join(d.dir, name) }

func (d *directory) write(name, text string) {
	d.t.Helper()
	require.NoError(d.t, os.WriteFile(d.path(name), []byte(text), 0o600))
}

func (d *directory) names() (names []string) {
	for _, s := range d.List() {
		names = append(names, s.Name)
	}
	return names
}

// config is a configuration of that name, which differs by value.
func config(name string, value int) string {
	return fmt.Sprintf(`{"strategy_name":%q,"value":%d}`, name, value)
}

func TestAStrategyThatIsPutIsAFileAndComesBack(t *testing.T) {
	d := open(t, t.TempDir(), nil)
	text := " {\n  \"strategy_name\": \"pump_1\",\n  \"value\": 1.50\n}\n"
	s, created, err := d.Put("u1", false, []byte(text))
	require.NoError(t, err)
	require.True(t, created)
	require.Equal(t, "pump_1", s.Name)
	require.Equal(t, "u1", s.Author)
	require.JSONEq(t, text, string(s.Config))
	digest, err := strategies.Digest([]byte(`{"value":1.5,"strategy_name":"pump_1"}`))
	require.NoError(t, err)
	require.Equal(t, digest, s.SHA256)
	require.NotZero(t, s.UpdatedMS)
	require.Equal(t, "pump_1", d.next(d.changes))

	file, err := os.ReadFile(d.path("pump_1.json"))
	require.NoError(t, err)
	require.Equal(t, "{\"_author\":\"u1\",\n  \"strategy_name\": \"pump_1\",\n  \"value\": 1.50\n}\n", string(file))
	again, ok := open(t, d.dir, nil).Get("pump_1")
	require.True(t, ok)
	require.Equal(t, s, again)
	entries, err := os.ReadDir(d.dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing else is left behind")
}

func TestAStrategyIsOverwrittenByItsAuthorOrAnAdminAndKeepsItsAuthor(t *testing.T) {
	d := open(t, t.TempDir(), nil)
	d.write("operators.json", config("operators", 1))
	d.Reload()
	put := func(author string, admin bool, name string, value int) (message.Strategy, error) {
		s, created, err := d.Put(author, admin, []byte(config(name, value)))
		require.False(t, err == nil && created && name == "operators")
		return s, err
	}
	_, err := put("u1", false, "mine", 1)
	require.NoError(t, err)
	_, err = put("u2", false, "mine", 2)
	require.ErrorIs(t, err, strategies.ErrNotAuthor)
	_, err = put("u1", false, "mine", 3)
	require.NoError(t, err)
	s, err := put("admin", true, "mine", 4)
	require.NoError(t, err)
	require.Equal(t, "u1", s.Author)
	s, err = put("u1", false, "mine", 5)
	require.NoError(t, err)
	require.Contains(t, string(s.Config), `"value":5`)

	_, err = put("u1", false, "operators", 2)
	require.ErrorIs(t, err, strategies.ErrNotAuthor)
	_, err = put("", false, "operators", 2)
	require.ErrorIs(t, err, strategies.ErrNotAuthor, "nobody is not the operator")
	s, err = put("admin", true, "operators", 3)
	require.NoError(t, err)
	require.Empty(t, s.Author)
	_, err = put("admin", false, "operators", 4)
	require.ErrorIs(t, err, strategies.ErrNotAuthor)

	d.write("mine.json", config("mine", 6)) // the operator replaces it, and nobody has looked yet
	_, err = put("u1", false, "mine", 7)
	require.ErrorIs(t, err, strategies.ErrNotAuthor)
	d.write("broken.json", "{")
	_, err = put("u1", false, "broken", 1)
	require.ErrorIs(t, err, strategies.ErrNotAuthor, "nobody knows whose it is")
	s, err = put("admin", true, "broken", 1)
	require.NoError(t, err)
	require.Empty(t, s.Author)
	require.Empty(t, d.Problems())
}

func TestAConfigurationThatCannotBeKeptIsRefusedAndTouchesNothing(t *testing.T) {
	d := open(t, t.TempDir(), func(c *strategies.Config, _ *strategies.Options) { c.KiBMax = 1 })
	for _, c := range []struct{ name, config, says string }{
		{"nothing", ``, "not a document"},
		{"no JSON", `{`, "not a document"},
		{"no object", `[]`, "not a JSON object"},
		{"null", `null`, "not a JSON object"},
		{"no name", `{}`, "a name has 1 to 100"},
		{"a name that is no string", `{"strategy_name":7}`, "strategy_name: not a string"},
		{"an empty name", `{"strategy_name":""}`, "a name has 1 to 100"},
		{"a path", `{"strategy_name":"../x"}`, "a name has 1 to 100"},
		{"a path behind an escape", `{"strategy_name":"\u002e\u002e\u002fx"}`, "a name has 1 to 100"},
		{"a zero byte", `{"strategy_name":"x\u0000"}`, "a name has 1 to 100"},
		{"a point", `{"strategy_name":".x"}`, "a name has 1 to 100"},
		{"a letter beyond ASCII", `{"strategy_name":"ż"}`, "a name has 1 to 100"},
		{"a long name", `{"strategy_name":"` + strings.Repeat("x", 101) + `"}`, "a name has 1 to 100"},
		{"a member twice", `{"strategy_name":"x","a":1,"a":2}`, `"a" is there twice`},
		{"two names", `{"strategy_name":"x","strategy_name":"y"}`, `"strategy_name" is there twice`},
		{"an author", `{"strategy_name":"x","_author":"u2"}`, "_author: is the server's to set"},
		{"an author behind an escape", `{"strategy_name":"x","\u005fauthor":"u2"}`, "_author: is the server's to set"},
		{"an author that is none", `{"strategy_name":"x","_author":null}`, "_author: not the id of a user"},
		{"too deep", `{"strategy_name":"x","a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, "nested too deep"},
		{"too large", `{"strategy_name":"x","a":"` + strings.Repeat("x", 1024) + `"}`, "at most 1 KiB (strategy_kib_max)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := d.Put("u1", true, []byte(c.config))
			require.ErrorIs(t, err, strategies.ErrInvalid)
			require.ErrorContains(t, err, c.says)
		})
	}
	entries, err := os.ReadDir(d.dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestNamesThatDifferOnlyInCaseAreNotBothThere(t *testing.T) {
	d := open(t, t.TempDir(), nil)
	_, _, err := d.Put("u1", false, []byte(config("Pump", 1)))
	require.NoError(t, err)
	_, _, err = d.Put("u1", false, []byte(config("PUMP", 1)))
	require.ErrorIs(t, err, strategies.ErrCollision)
	require.ErrorContains(t, err, "there is Pump")

	d.write("PUMP.json", config("PUMP", 2)) // which sorts before Pump
	d.Reload()
	require.Equal(t, []string{"Pump"}, d.names(), "what is loaded stays")
	require.Equal(t, []strategies.Problem{{File: "PUMP.json",
		Reason: "strategies: name taken: Pump.json is there as well, and not every file system tells the two apart"}}, d.Problems())
	_, _, err = d.Put("u1", true, []byte(config("PUMP", 3)))
	require.ErrorIs(t, err, strategies.ErrCollision)
	require.NoError(t, os.Remove(d.path("Pump.json")))
	d.Reload()
	require.Equal(t, []string{"PUMP"}, d.names())
	require.Empty(t, d.Problems())
}

func TestThereAreNoMoreStrategiesThanTheLimit(t *testing.T) {
	d := open(t, t.TempDir(), func(c *strategies.Config, _ *strategies.Options) { c.Max = 2 })
	for _, name := range []string{"b", "c"} {
		_, _, err := d.Put("u1", false, []byte(config(name, 1)))
		require.NoError(t, err)
	}
	_, _, err := d.Put("u1", true, []byte(config("d", 1)))
	require.ErrorIs(t, err, strategies.ErrLimit)
	_, _, err = d.Put("u1", false, []byte(config("c", 2)))
	require.NoError(t, err, "one that is there can be overwritten")
	d.write("a.json", config("a", 1))
	d.Reload()
	d.Reload()
	require.Equal(t, []string{"b", "c"}, d.names())
	require.Len(t, d.warnings, 1, "told once")
	require.Contains(t, d.next(d.warnings), "there are 3 files, and only 2 are read (strategies_max)")
	require.NoError(t, os.Remove(d.path("b.json")))
	d.Reload()
	require.Equal(t, []string{"a", "c"}, d.names())
	require.Empty(t, d.Problems())
}

func TestFilesThatAreWrongAreToldAndLeftOut(t *testing.T) {
	dir := t.TempDir()
	d := &directory{t: t, dir: dir}
	d.write("good.json", config("good", 1))
	d.write("half.json", `{"strategy_name":"ha`)
	d.write("other.json", config("another", 1))
	d.write("bad name.json", config("bad name", 1))
	d.write("large.json", `{"strategy_name":"large","x":"`+strings.Repeat("x", 3000)+`"}`)
	d.write("large_by_a_little.json", `{"strategy_name":"large_by_a_little","x":"`+strings.Repeat("x", 1000)+`"}`)
	d.write("rejected.json", config("rejected", 1))
	d.write("ignored.txt", "x")
	d.write(".hidden.json", "x")
	require.NoError(t, os.Mkdir(d.path("directory.json"), 0o700))
	require.NoError(t, os.Symlink("nowhere", d.path("dangling.json")))
	d = open(t, dir, func(c *strategies.Config, o *strategies.Options) {
		c.KiBMax = 1
		o.Check = func(name string, config []byte) error {
			if name == "rejected" {
				return errors.New("z1_entry: is missing")
			}
			return nil
		}
	})
	require.Equal(t, []string{"good"}, d.names())
	reasons := map[string]string{}
	for _, p := range d.Problems() {
		reasons[p.File] = p.Reason
	}
	require.Len(t, reasons, 8)
	for file, says := range map[string]string{
		"half.json": "not a document", "other.json": "is another, which belongs into another.json", "bad name.json": "a name has 1 to 100",
		"large.json": "more than 1 KiB", "large_by_a_little.json": "more than 1 KiB", "rejected.json": "z1_entry: is missing",
		"directory.json": "not a regular file", "dangling.json": "no such file",
	} {
		require.Contains(t, reasons[file], says, file)
	}
	require.Len(t, d.warnings, 8)
	d.Reload()
	require.Len(t, d.warnings, 8, "each is told once")
	d.write("half.json", config("half", 1))
	d.Reload()
	require.Equal(t, []string{"good", "half"}, d.names())
	require.Len(t, d.Problems(), 7)
}

func TestWhatAFileHeldStaysWhileItIsWrongAndGoesWithIt(t *testing.T) {
	d := open(t, t.TempDir(), nil)
	d.write("a.json", config("a", 1))
	d.Reload()
	before, ok := d.Get("a")
	require.True(t, ok)
	d.write("a.json", `{"strategy_name":"a",`)
	d.Reload()
	after, ok := d.Get("a")
	require.True(t, ok)
	require.Equal(t, before, after)
	require.Len(t, d.Problems(), 1)
	require.NoError(t, os.Remove(d.path("a.json")))
	d.Reload()
	_, ok = d.Get("a")
	require.False(t, ok)
	require.Empty(t, d.Problems())
	require.Equal(t, "a", d.next(d.changes))
	require.Equal(t, "-a", d.next(d.changes))

	d.write("b.json", config("b", 1))
	d.Reload()
	require.NoError(t, os.Rename(d.dir, d.dir+".old"))
	d.Reload()
	require.Equal(t, []string{"b"}, d.names(), "a directory that is being replaced takes nothing away")
	require.Contains(t, d.Problems()[0].Reason, "what was read before stays")
	_, _, err := d.Put("u1", false, []byte(config("c", 1)))
	require.Error(t, err)
	require.NoError(t, os.Rename(d.dir+".old", d.dir))
	d.Reload()
	require.Empty(t, d.Problems())
}

func TestFilesAreFollowedHoweverTheyAreReplaced(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("followed", func(t *testing.T) {
		d := follow(t, filepath.Join(t.TempDir(), "strategies"))
		d.write("a.json", config("a", 1))
		require.Equal(t, "a", d.next(d.changes))
		d.write("a.json", config("a", 2))
		require.Equal(t, "a", d.next(d.changes))
		d.write(".a.json.swp", config("a", 3))
		require.NoError(t, os.Rename(d.path(".a.json.swp"), d.path("a.json")))
		require.Equal(t, "a", d.next(d.changes))
		s, _ := d.Get("a")
		require.JSONEq(t, config("a", 3), string(s.Config))
		d.write("a.json", "{")
		require.Contains(t, d.next(d.warnings), "a.json: ")
		require.NoError(t, os.Remove(d.path("a.json")))
		require.Equal(t, "-a", d.next(d.changes))

		fresh := d.dir + ".new"
		require.NoError(t, os.Mkdir(fresh, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(fresh, "b.json"), []byte(config("b", 1)), 0o600))
		require.NoError(t, os.Rename(d.dir, d.dir+".old"))
		require.NoError(t, os.Rename(fresh, d.dir))
		require.Equal(t, "b", d.next(d.changes), "its directory replaced")
		d.write("b.json", config("b", 2))
		require.Equal(t, "b", d.next(d.changes), "what came in its place is followed, too")

		_, _, err := d.Put("u1", false, []byte(config("c", 1)))
		require.NoError(t, err)
		require.Equal(t, "c", d.next(d.changes))
		require.NoError(t, os.Remove(d.path("b.json")))
		require.Equal(t, "-b", d.next(d.changes), "what was put is told once")
	})
}

func TestALinkThatIsTurnedIsFollowed(t *testing.T) {
	dir := t.TempDir()
	for i, release := range []string{"1", "2"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, release), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, release, "a.json"), []byte(config("a", i)), 0o600))
	}
	link := filepath.Join(dir, "strategies")
	require.NoError(t, os.Symlink("1", link))
	d := follow(t, link)
	require.Equal(t, "a", d.next(d.changes))
	require.NoError(t, os.Symlink("2", link+".new"))
	require.NoError(t, os.Rename(link+".new", link))
	require.Equal(t, "a", d.next(d.changes))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "2", "a.json"), []byte(config("a", 7)), 0o600))
	require.Equal(t, "a", d.next(d.changes))
}

func TestManyWhoPutAndLookSeeWholeStrategies(t *testing.T) {
	d := follow(t, t.TempDir())
	var all sync.WaitGroup
	for user := range 4 {
		all.Go(func() {
			for i := range 25 {
				name := fmt.Sprintf("s%d", i%5)
				_, _, err := d.Put(fmt.Sprintf("u%d", user), true, []byte(config(name, i)))
				require.NoError(t, err)
				for _, s := range d.List() {
					digest, err := strategies.Digest(s.Config)
					require.NoError(t, err)
					require.Equal(t, digest, s.SHA256)
				}
			}
		})
	}
	all.Go(func() {
		for range 20 {
			d.Reload()
		}
	})
	all.Wait()
	require.Len(t, d.List(), 5)
	require.Empty(t, d.Problems())
	require.Equal(t, d.List(), open(t, d.dir, nil).List())
}

func TestADirectoryThatCannotBeReadIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := strategies.New(file, strategies.DefaultConfig(), strategies.Options{})
	require.Error(t, err)
	err = strategies.Config{}.Validate()
	require.ErrorContains(t, err, "strategies_max: ")
	require.ErrorContains(t, err, "strategy_kib_max: ")
	_, err = strategies.New(t.TempDir(), strategies.Config{}, strategies.Options{})
	require.Error(t, err)
}
