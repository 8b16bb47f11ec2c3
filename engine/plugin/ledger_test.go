package plugin_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
	"github.com/wse-engine/wse/engine/store"
)

// lasting is a host whose records are on disk, and which can be closed and opened again.
type lasting struct {
	*plugin.Host
	f     *fixture
	t     *testing.T
	deps  plugin.Deps
	store *store.Store
}

func newLasting(t *testing.T) *lasting {
	l := &lasting{f: newFixture(t), t: t}
	l.deps = l.f.deps()
	l.deps.DecodeYAML = yaml.YAMLToJSON
	require.NoError(t, os.Mkdir(l.deps.DataDir, 0o700))
	t.Cleanup(l.close)
	return l
}

func (l *lasting) close() {
	if l.Host != nil {
		require.NoError(l.t, l.Close())
		l.Host = nil
	}
	if l.store != nil {
		require.NoError(l.t, l.store.Close())
		l.store = nil
	}
}

// open opens the host, after closing it.
func (l *lasting) open(cfgs ...plugin.Config) (err error) {
	l.close()
	l.store, err = store.Open(l.deps.DataDir)
	require.NoError(l.t, err)
	l.deps.Records = l.store.Bucket("plugins")
	l.Host, err = plugin.New(cfgs, l.deps)
	return err
}

func (l *lasting) mustOpen(cfgs ...plugin.Config) { require.NoError(l.t, l.open(cfgs...)) }

func (l *lasting) kept() []plugin.Kept {
	d, err := l.Detail("say")
	require.NoError(l.t, err)
	return d.Kept
}

func (l *lasting) modules() []string {
	files, err := os.ReadDir(filepath.Join(l.deps.DataDir, "plugins", "modules"))
	require.NoError(l.t, err)
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

// configured is a module that takes a config and whose answers have that topic.
func configured(user string) w.Module {
	m := saying(user)
	m.Funcs = append(m.Funcs, w.Hook("wse_configure", w.I64Const(1)))
	return m
}

func TestARestartServesWhatWasSwappedInOrRolledBackTo(t *testing.T) {
	l := newLasting(t)
	cfg := l.f.add(t, "say", saying("u1"))
	l.mustOpen(cfg)
	l.f.swap(t, l.Host, "u2")
	before := l.kept()

	l.mustOpen(cfg)
	require.Equal(t, "u2", said(t, l.Host))
	require.Equal(t, before, l.kept())
	require.Equal(t, []string{"alice", "swap", "start"}, []string{before[0].Who, string(before[0].How), string(before[1].How)})

	_, err := l.Rollback(t.Context(), "say", "", "bob")
	require.NoError(t, err)
	l.mustOpen(cfg)
	require.Equal(t, "u1", said(t, l.Host))
	require.True(t, l.kept()[1].Serving)
	_, err = l.Rollback(t.Context(), "say", "", "bob")
	require.ErrorIs(t, err, plugin.ErrNothingBefore)
}

func TestAFileThatChangedSinceIsNewerThanWhatWasSwappedIn(t *testing.T) {
	l := newLasting(t)
	cfg := l.f.add(t, "say", saying("u1"))
	l.mustOpen(cfg)
	l.f.swap(t, l.Host, "u2")
	l.close()
	l.f.add(t, "say", saying("u3"))
	l.mustOpen(cfg)
	require.Equal(t, "u3", said(t, l.Host))
	_, err := l.Rollback(t.Context(), "say", "", "")
	require.NoError(t, err)
	require.Equal(t, "u2", said(t, l.Host), "what served before the file")
	l.mustOpen(cfg)
	require.Equal(t, "u2", said(t, l.Host), "the file has not changed since it was last seen")
	l.f.add(t, "say", saying("u1"))
	require.NoError(t, l.Reload(t.Context(), plugin.Configs{cfg}))
	require.Equal(t, "u1", said(t, l.Host), "back to what it was is a change, too")
	require.Equal(t, []plugin.How{plugin.HowStart, plugin.HowStart, plugin.HowSwap}, []plugin.How{l.kept()[0].How, l.kept()[1].How, l.kept()[2].How},
		"a version that was kept stays as it came about")
}

func TestAReloadKeepsWhatWasSwappedInWhateverElseItChanges(t *testing.T) {
	l := newLasting(t)
	cfg, other := l.f.add(t, "say", saying("u1")), l.f.add(t, "other", returning("wse_transform", 1))
	l.mustOpen(cfg)
	l.f.swap(t, l.Host, "u2")
	cfg.OnError, cfg.Limits.Instances = plugin.Drop, 1
	require.NoError(t, l.Reload(t.Context(), plugin.Configs{other, cfg}))
	require.Equal(t, "u2", said(t, l.Host))
	require.Equal(t, []any{plugin.Drop, 1}, []any{l.List()[1].OnError, l.List()[1].Instances})
}

func TestAConfigIsAVersionAndCanBeRolledBackAlone(t *testing.T) {
	l := newLasting(t)
	require.NoError(t, os.WriteFile(filepath.Join(l.f.dir, "c.yaml"), []byte("a: 1\n"), 0o600))
	cfg := l.f.add(t, "say", configured("u1"))
	cfg.ConfigFile = "c.yaml"
	l.mustOpen(cfg)
	first := l.List()[0].Version
	require.Regexp(t, `^[0-9a-f]{12}\+[0-9a-f]{8}$`, first)

	c, err := l.Swap(t.Context(), "say", plugin.Candidate{Config: []byte("a: 2\n")}, plugin.Shadow{})
	require.NoError(t, err)
	require.Equal(t, first[:13], c.To[:13], "the same module")
	require.NotEqual(t, first, c.To)
	require.Equal(t, l.kept()[0].SHA256, l.kept()[1].SHA256)
	require.NotEqual(t, l.kept()[0].ConfigSHA256, l.kept()[1].ConfigSHA256)
	require.Len(t, l.modules(), 1)

	l.mustOpen(cfg)
	require.Equal(t, c.To, l.List()[0].Version)
	_, err = l.Swap(t.Context(), "say", l.f.candidate(t, configured("u2")), plugin.Shadow{})
	require.NoError(t, err)
	require.Equal(t, c.To[12:], l.List()[0].Version[12:], "a new module gets the config that serves")
	for range 2 {
		_, err = l.Rollback(t.Context(), "say", "", "")
		require.NoError(t, err)
	}
	require.Equal(t, first, l.List()[0].Version)
	_, err = l.Rollback(t.Context(), "say", first[:12], "")
	require.ErrorContains(t, err, "2 versions begin with it")
}

func TestOnlySoManyVersionsAreKeptAndNoModuleThatNothingNames(t *testing.T) {
	l := newLasting(t)
	l.deps.Lifecycle = plugin.DefaultLifecycle()
	l.deps.Lifecycle.VersionsMax = 3
	cfg := l.f.add(t, "say", saying("u0"))
	l.mustOpen(cfg)
	for i := range 6 {
		l.f.swap(t, l.Host, fmt.Sprint("v", i))
	}
	require.Len(t, l.kept(), 3)
	require.Len(t, l.modules(), 3)
	_, err := l.Rollback(t.Context(), "say", "", "")
	require.NoError(t, err)
	require.Equal(t, "v4", said(t, l.Host))
	for i := range 6 { // nothing that is only uploaded drives out what serves and what served before
		_, err := l.Upload(t.Context(), "say", l.f.candidate(t, saying(fmt.Sprint("w", i))))
		require.NoError(t, err)
	}
	require.Len(t, l.kept(), 3)
	require.Len(t, l.modules(), 3)
	stray := filepath.Join(l.deps.DataDir, "plugins", "modules", ".new-1")
	require.NoError(t, os.WriteFile(stray, nil, 0o600))
	l.mustOpen(cfg)
	require.Equal(t, "v4", said(t, l.Host))
	require.NoFileExists(t, stray, "what a crash left behind")
	_, err = l.Rollback(t.Context(), "say", "", "")
	require.NoError(t, err)
	require.Equal(t, "v3", said(t, l.Host))
}

func TestAVersionThatCanNoLongerBeLoadedRefusesTheStartAndSaysTheWayOut(t *testing.T) {
	swapped := func(t *testing.T) (*lasting, plugin.Config, string) {
		l := newLasting(t)
		cfg := l.f.add(t, "say", saying("u1"))
		l.mustOpen(cfg)
		l.f.swap(t, l.Host, "u2")
		file := filepath.Join(l.deps.DataDir, "plugins", "modules", l.List()[0].SHA256+".wasm")
		l.close()
		return l, cfg, file
	}
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, l *lasting, cfg *plugin.Config, file string)
		want   string
	}{
		{"its module is gone", func(t *testing.T, _ *lasting, _ *plugin.Config, file string) {
			require.NoError(t, os.Remove(file))
		}, "plugin/say: read: the module of version "},
		{"its module is damaged", func(t *testing.T, _ *lasting, _ *plugin.Config, file string) {
			require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
		}, "is damaged: its SHA-256 is "},
		{"it is not the one that is pinned", func(t *testing.T, _ *lasting, cfg *plugin.Config, _ string) {
			cfg.SHA256 = fmt.Sprintf("%x", sum(saying("u1")))
		}, "plugin/say: digest: "},
		{"the record is no JSON", func(t *testing.T, l *lasting, _ *plugin.Config, _ string) {
			l.record(t, "say", []byte(`{"base":`))
		}, "plugin/say: read: the record of its versions is damaged: "},
		{"the record names nothing", func(t *testing.T, l *lasting, _ *plugin.Config, _ string) {
			l.record(t, "say", []byte(`{}`))
		}, "it names no version that serves"},
		{"the record names what is not kept", func(t *testing.T, l *lasting, _ *plugin.Config, _ string) {
			l.record(t, "say", []byte(`{"served":["abc"]}`))
		}, "version abc is named and not kept"},
		{"the record's config was changed", func(t *testing.T, l *lasting, _ *plugin.Config, file string) {
			var doc map[string]any
			require.NoError(t, json.Unmarshal(l.recorded(t, "say"), &doc))
			doc["versions"].([]any)[0].(map[string]any)["config"] = `{"a":1}`
			raw, err := json.Marshal(doc)
			require.NoError(t, err)
			l.record(t, "say", raw)
		}, "it was changed in data_dir"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, cfg, file := swapped(t)
			c.damage(t, l, &cfg, file)
			err := l.open(cfg)
			var le *plugin.LoadError
			require.ErrorAs(t, err, &le)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "wse plugin forget say")

			require.NoError(t, plugin.Forget(l.deps.Records, "say"))
			l.mustOpen(cfg)
			require.Equal(t, "u1", said(t, l.Host))
		})
	}
}

func sum(m w.Module) [sha256.Size]byte { return sha256.Sum256(m.Bytes()) }

// record replaces a record of a host that is closed.
func (l *lasting) record(t *testing.T, name string, doc []byte) {
	s, err := store.Open(l.deps.DataDir)
	require.NoError(t, err)
	require.NoError(t, s.Bucket("plugins").Put(name, doc))
	require.NoError(t, s.Close())
}

func (l *lasting) recorded(t *testing.T, name string) []byte {
	s, err := store.Open(l.deps.DataDir)
	require.NoError(t, err)
	doc, err := s.Bucket("plugins").Get(name)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	return doc
}

func TestForgetKnowsOnlyWhatIsKept(t *testing.T) {
	l := newLasting(t)
	l.mustOpen()
	require.ErrorIs(t, plugin.Forget(l.deps.Records, "say"), plugin.ErrUnknownPlugin)
}

func TestAPinHoldsForWhateverIsToServe(t *testing.T) {
	l := newLasting(t)
	cfg := l.f.add(t, "say", saying("u1"))
	l.mustOpen(cfg)
	l.f.swap(t, l.Host, "u2")
	_, err := l.Rollback(t.Context(), "say", "", "")
	require.NoError(t, err)
	second := l.kept()[0].Version
	cfg.SHA256 = strings.ToUpper(fmt.Sprintf("%x", sum(saying("u1"))))
	require.NoError(t, l.Reload(t.Context(), plugin.Configs{cfg}))
	for name, err := range map[string]error{
		"swap":     errorOf(l.Swap(t.Context(), "say", plugin.Candidate{Module: saying("u3").Bytes()}, plugin.Shadow{})),
		"upload":   errorOf(l.Upload(t.Context(), "say", plugin.Candidate{Module: saying("u3").Bytes()})),
		"rollback": errorOf(l.Rollback(t.Context(), "say", second, "")),
	} {
		require.ErrorContains(t, err, "plugin/say: digest: the module's SHA-256 is ", name)
	}
	require.Equal(t, "u1", said(t, l.Host))
}

func errorOf[T any](_ T, err error) error { return err }

func TestWhatCannotBeKeptDoesNotServe(t *testing.T) {
	l := newLasting(t)
	cfg := l.f.add(t, "say", saying("u1"))
	l.mustOpen(cfg)
	dir := filepath.Join(l.deps.DataDir, "plugins", "modules")
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.WriteFile(dir, nil, 0o600))
	_, err := l.Swap(t.Context(), "say", l.f.candidate(t, saying("u2")), plugin.Shadow{})
	require.ErrorContains(t, err, "plugin/say: keep: ")
	require.Equal(t, "u1", said(t, l.Host))
	require.Len(t, l.kept(), 1)
	require.NoError(t, os.Remove(dir))
	l.f.swap(t, l.Host, "u2")
	require.Equal(t, "u2", said(t, l.Host))
}

func TestPluginsOutOfTheConfigurationAreRememberedForAWhile(t *testing.T) {
	l := newLasting(t)
	cfg := l.f.add(t, "say", saying("u1"))
	l.mustOpen(cfg)
	l.f.swap(t, l.Host, "u2")
	l.mustOpen()
	require.Empty(t, l.List())
	l.mustOpen(cfg)
	require.Equal(t, "u2", said(t, l.Host))

	for i := range 20 {
		l.mustOpen(l.f.add(t, fmt.Sprint("p", i), saying(fmt.Sprint("p", i))))
	}
	l.mustOpen(cfg)
	require.Equal(t, "u1", said(t, l.Host), "too many came after it")
	require.Len(t, l.modules(), 17)
}

// oneRecord holds the same document for good.
type oneRecord []byte

func (r oneRecord) Each(f func(string, []byte) error) error { return f("say", r) }
func (r oneRecord) Apply(map[string][]byte) error           { return nil }

func FuzzRecord(f *testing.F) {
	x := newFixture(f)
	cfg := x.add(f, "say", saying("u1"))
	digest := fmt.Sprintf("%x", sum(saying("u1")))
	for _, doc := range []string{
		`{"base":{"module":"` + digest + `"},"served":["` + digest[:12] + `"],"versions":[{"id":"` + digest[:12] + `","module":"` + digest + `","bytes":1,"how":"start"}]}`,
		`{"base":{"module":"` + digest + `"},"served":["a","` + digest[:12] + `"],"versions":[{"id":"a","module":"` + strings.Repeat("0", 64) + `","config":"{}"}]}`,
		`{}`, `null`, `[]`, `{"served":[""],"versions":[{"id":""}]}`, ``,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		deps := x.deps()
		deps.Records = oneRecord(doc)
		h, err := plugin.New(plugin.Configs{cfg}, deps)
		if err != nil {
			var le *plugin.LoadError
			require.ErrorAs(t, err, &le)
			require.ErrorContains(t, err, "wse plugin forget say")
			return
		}
		require.Equal(t, "u1", said(t, h), "nothing else is kept")
		_, err = h.Rollback(t.Context(), "say", "", "")
		require.Error(t, err)
		require.NoError(t, h.Close())
	})
}
