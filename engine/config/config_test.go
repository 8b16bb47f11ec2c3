package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/config"
)

// level reads its own text.
type level int

func (l *level) UnmarshalText(text []byte) error {
	switch string(text) {
	case "low":
		*l = 1
	case "high":
		*l = 2
	default:
		return errors.New("is neither low nor high")
	}
	return nil
}

type secret string

func (secret) String() string { return "[redacted]" }

type limits struct {
	Fuel int64   `yaml:"fuel"`
	Tiny uint8   `yaml:"tiny"`
	Rate float64 `yaml:"rate"`
}

type shared struct {
	Extra int `yaml:"extra"`
}

// class has defaults of its own.
type class struct {
	Pattern string        `yaml:"pattern"`
	TTL     time.Duration `yaml:"ttl"`
}

func (c *class) UnmarshalYAML(unmarshal func(any) error) error {
	type plain class
	p := plain{Pattern: "*", TTL: time.Hour}
	if err := unmarshal(&p); err != nil {
		return err
	}
	*c = class(p)
	return nil
}

type plugin struct {
	Name   string        `yaml:"name"`
	Wait   time.Duration `yaml:"wait"`
	Limits limits        `yaml:"limits"`
	Config any           `yaml:"config"`
}

type sample struct {
	Listen  string            `yaml:"listen"`
	Secret  secret            `yaml:"secret"`
	Debug   *bool             `yaml:"debug"`
	Level   level             `yaml:"level"`
	Origins []string          `yaml:"origins"`
	Plugins []plugin          `yaml:"plugins"`
	Labels  map[string]string `yaml:"labels"`
	Classes []class           `yaml:"classes"`
	Admin   struct {
		Token string `yaml:"token"`
	} `yaml:"admin"`
	shared  `yaml:"-"`
	Shared  shared `yaml:",inline"`
	Skipped int    `yaml:"-"`

	invalid error
}

func (s *sample) Validate() error { return s.invalid }

func defaults() *sample {
	s := &sample{Listen: ":8080", Origins: []string{"a", "b"}, Plugins: []plugin{{Name: "stock", Limits: limits{Fuel: 7}}}}
	s.Shared.Extra = 3
	return s
}

// load writes text to a file called c.yaml and loads it; the error shows the file without its directory.
func load(t testing.TB, text string, env, sets []string, into any) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	err := config.Load(file, env, sets, into)
	if err == nil {
		return nil
	}
	return errors.New(strings.ReplaceAll(err.Error(), file, "c.yaml"))
}

func TestWhatIsNotMentionedKeepsItsDefault(t *testing.T) {
	for _, text := range []string{"", "# only a comment\n", "---\n", "admin:\n  # nothing\n", "labels: {}\n"} {
		s := defaults()
		require.NoError(t, load(t, text, nil, nil, s))
		s.Labels = nil
		require.Equal(t, defaults(), s, "%q", text)
	}
	s := defaults()
	require.NoError(t, config.Load("", nil, nil, s))
	require.Equal(t, defaults(), s)
}

func TestEveryKindOfValueIsRead(t *testing.T) {
	s := defaults()
	require.NoError(t, load(t, `
listen: 127.0.0.1:80
secret: 'a: b'
debug: true
level: high
origins: []
extra: 0x10
labels: {a: "1", b.c: x}
admin:
  token: |
    two
    lines
plugins:
  - name: one
    wait: 1m30s
    limits:
      fuel: -5
      tiny: 255
      rate: 2
    config:
      table: [1, 2.5, true, null, "x", {y: z}]
  - {name: two, wait: 0}
`, nil, nil, s))
	require.Equal(t, "127.0.0.1:80", s.Listen)
	require.Equal(t, secret("a: b"), s.Secret)
	require.True(t, *s.Debug)
	require.Equal(t, level(2), s.Level)
	require.Empty(t, s.Origins)
	require.Equal(t, 16, s.Shared.Extra)
	require.Equal(t, map[string]string{"a": "1", "b.c": "x"}, s.Labels)
	require.Equal(t, "two\nlines\n", s.Admin.Token)
	require.Len(t, s.Plugins, 2, "a list replaces the default one")
	require.Equal(t, plugin{Name: "one", Wait: 90 * time.Second, Limits: limits{Fuel: -5, Tiny: 255, Rate: 2},
		Config: map[string]any{"table": []any{uint64(1), 2.5, true, nil, "x", map[string]any{"y": "z"}}}}, s.Plugins[0])
}

func TestEveryFaultIsToldAtOnceWithItsLine(t *testing.T) {
	err := load(t, `listen: 8080
lisen: x
nothing_like_it: 1
debug: yes please
level: medium
origins: a
labels: [a]
extra: 1.5
admin:
  token:
plugins:
  - name: one
    name: two
    wait: 15
    limits:
      fuel: many
      tiny: 256
      rate: .inf
  - two
  - limits: {fuel: 9223372036854775808, tiny: -1}
`, []string{"WSE_ADMIN__TOCKEN=hidden"}, []string{"plugins[9].name=hidden", "hidden", "a..b=hidden", "listen.port=hidden"}, defaults())
	require.EqualError(t, err, strings.TrimSpace(`
c.yaml:1: config: listen: is a number, not text; put it in quotes
c.yaml:2: config: lisen: is not a field; did you mean listen?
c.yaml:3: config: nothing_like_it: is not a field; the fields here are listen, secret, debug, level, origins, plugins, labels, classes, admin, extra
c.yaml:4: config: debug: is text, not true or false
c.yaml:5: config: level: is neither low nor high
c.yaml:6: config: origins: is text, not a list
c.yaml:7: config: labels: is a list, not a mapping (name: value)
c.yaml:8: config: extra: is a number, not a whole number
c.yaml:10: config: admin.token: has no value; give one or remove the line
c.yaml:13: config: plugins[0].name: is given twice, first on line 12
c.yaml:14: config: plugins[0].wait: is not a length of time with its unit, as in "15s", "500ms" or "1h30m"
c.yaml:16: config: plugins[0].limits.fuel: is text, not a whole number
c.yaml:17: config: plugins[0].limits.tiny: is 256, which is too large or too small
c.yaml:18: config: plugins[0].limits.rate: is not a finite number, not a number
c.yaml:19: config: plugins[1]: is text, not a mapping (name: value)
c.yaml:20: config: plugins[2].limits.fuel: is 9223372036854775808, which is too large or too small
c.yaml:20: config: plugins[2].limits.tiny: is -1, which is too large or too small
environment WSE_ADMIN__TOCKEN: config: admin.tocken: is not a field; did you mean token?
--set plugins[9].name: config: plugins: has 3 elements, so [9] can't be set; the next one is [3]
--set: config: needs the form path=value, for example listen=127.0.0.1:8080
--set a..b: config: the path is not of the form a.b[0].c
--set listen.port: config: listen: has no field port inside`))
}

func TestWhatIsNoYAMLIsOneFaultThatShowsNoContent(t *testing.T) {
	for _, tt := range []struct{ name, text, says string }{
		{"a bracket left open", "secret: hidden\norigins: [a\n", "c.yaml:2: config: is not YAML: "},
		{"a tab", "admin:\n\ttoken: hidden\n", "c.yaml:2: config: is not YAML: "},
		{"an anchor", "a: &x 1\n", "c.yaml:1: config: has an anchor"},
		{"an alias", "a: 1\nb: *x\n", "c.yaml:2: config: has an anchor"},
		{"a merge key", "a:\n  <<: {b: 1}\n", "c.yaml:2: config: has an anchor"},
		{"a tag", "a: !!binary hidden\n", "c.yaml:1: config: has a tag"},
		{"a second document", "listen: a\n---\nlisten: b\n", "c.yaml:3: config: has a second document"},
		{"brackets without end", strings.Repeat("[", 100000), "c.yaml:1: config: is nested more than 64 deep"},
		{"braces without end", strings.Repeat("{a: ", 100000), "c.yaml:1: config: is nested more than 64 deep"},
		{"dashes without end", strings.Repeat("- ", 100000), "c.yaml:1: config: is nested more than 64 deep"},
		{"indentation without end", indented(1000), "config: is nested more than 64 deep"},
		{"too large", strings.Repeat("#", config.FileKiBMax<<10+1), "c.yaml: config: is larger than 512 KiB"},
		{"no mapping", "hello", "c.yaml:1: config: is text, not a mapping"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := load(t, tt.text, nil, nil, defaults())
			require.ErrorContains(t, err, tt.says)
			require.NotContains(t, err.Error(), "hidden")
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func indented(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestAByteOrderMarkBeforeTheTextIsNoPartOfIt(t *testing.T) {
	s := defaults()
	require.NoError(t, load(t, "\ufefflisten: marked\r\n", nil, nil, s))
	require.Equal(t, "marked", s.Listen)
}

func TestAFileThatCannotBeReadIsNamedOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "none.yaml")
	require.EqualError(t, config.Load(file, nil, nil, defaults()), file+": config: cannot be read: no such file or directory")
}

func TestTheEnvironmentOverridesTheFileAndSetsOverrideBoth(t *testing.T) {
	s := defaults()
	require.NoError(t, load(t, "listen: file\norigins: [x]\nadmin: {token: file}\n",
		[]string{"WSE_LISTEN=env", "WSE_ADMIN__TOKEN=env", "WSE_PLUGINS__0__LIMITS__FUEL=9", "HOME=/", "LISTEN=other", "WSE_SERVICE_HOST=10.0.0.1", "WSE_PORT=tcp://10.0.0.1:80"},
		[]string{"listen=set=with=signs", "plugins[1].name=new", "plugins.1.wait=2s", "origins=[p, q]", "origins[2]=r", "debug=true", "labels.k=v",
			"level=low", "secret= 1 ", "plugins[0].config={a: [1]}", "extra=5"}, s))
	require.Equal(t, "set=with=signs", s.Listen)
	require.Equal(t, "env", s.Admin.Token)
	require.Equal(t, []string{"p", "q", "r"}, s.Origins)
	require.Equal(t, secret(" 1 "), s.Secret, "text is taken as it is")
	require.Equal(t, map[string]string{"k": "v"}, s.Labels)
	require.Equal(t, level(1), s.Level)
	require.Equal(t, 5, s.Shared.Extra)
	require.Equal(t, []plugin{
		{Name: "stock", Limits: limits{Fuel: 9}, Config: map[string]any{"a": []any{uint64(1)}}},
		{Name: "new", Wait: 2 * time.Second},
	}, s.Plugins)
}

func TestElementsOfListsHaveDefaultsOfTheirOwn(t *testing.T) {
	s := defaults()
	require.NoError(t, load(t, "classes:\n- pattern: a\n- ttl: 1s\n- {}\n", nil, []string{"classes[3].ttl=2s", "classes[0].ttl=3s"}, s))
	require.Equal(t, []class{{"a", 3 * time.Second}, {"*", time.Second}, {"*", time.Hour}, {"*", 2 * time.Second}}, s.Classes)

	err := load(t, "classes:\n- patern: a\n- ttl: soon\n", nil, nil, defaults())
	require.ErrorContains(t, err, "c.yaml:2: config: classes[0].patern: is not a field; did you mean pattern?")
	require.ErrorContains(t, err, "c.yaml:3: config: classes[1].ttl: ")
}

func TestOverridesDoNotTouchTheDefaultsTheyWereMadeFrom(t *testing.T) {
	original := []string{"a", "b"}
	s := defaults()
	s.Origins = original
	require.NoError(t, config.Load("", nil, []string{"origins[0]=z"}, s))
	require.Equal(t, []string{"z", "b"}, s.Origins)
	require.Equal(t, []string{"a", "b"}, original)
}

func TestValidationFaultsAreTracedToTheirSource(t *testing.T) {
	s := defaults()
	s.invalid = config.Prefix("plugins", errors.Join(
		errors.New("[1].limits.fuel: is negative"),
		errors.New("[1].name: is needed"),
		errors.New("[0].wait: is odd"),
	))
	s.invalid = errors.Join(s.invalid, errors.New("listen: is taken"), errors.New("admin.token: is short"),
		errors.New("level: is unknown"), errors.New("extra: is strange"), errors.New("all in all it is wrong: really"))
	err := load(t, "plugins:\n- wait: 1s\n- limits:\n    fuel: -1\nlevel: nope\n", []string{"WSE_ADMIN__TOKEN=x"}, []string{"listen=x"}, s)
	require.EqualError(t, err, strings.TrimSpace(`
c.yaml:2: config: plugins[0].wait: is odd
c.yaml:3: config: plugins[1].name: is needed
c.yaml:4: config: plugins[1].limits.fuel: is negative
c.yaml:5: config: level: is neither low nor high
--set listen: config: listen: is taken
environment WSE_ADMIN__TOKEN: config: admin.token: is short
config: extra: is strange
config: all in all it is wrong: really`), "a field that could not be read is not complained about twice")
}

func TestFaultsCanBeHandledAsValues(t *testing.T) {
	err := config.Load("", nil, []string{"extra=x"}, defaults())
	var f *config.Fault
	require.ErrorAs(t, err, &f)
	require.Equal(t, config.Fault{Source: "--set extra", Path: "extra", Text: "is text, not a whole number"}, *f)
}

func TestAThousandFaultsAreCutShort(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "k%d: 1\n", i)
	}
	err := load(t, b.String(), nil, nil, defaults())
	require.Len(t, strings.Split(err.Error(), "\n"), 101)
	require.ErrorContains(t, err, "config: and 900 more faults")
}

func TestYAMLBecomesJSONInItsOwnOrder(t *testing.T) {
	for _, tt := range []struct{ name, yaml, json string }{
		{"nothing", "# nothing", "null"},
		{"order", "b: 1\na: 2", `{"b":1,"a":2}`},
		{"one member", "b: 1", `{"b":1}`},
		{"everything", "a: [1, -2, 1.5, true, null, ~, 'x', \"y\\n\", 18446744073709551615]\nb:\n  - c: {}\n  - []\n",
			`{"a":[1,-2,1.5,true,null,null,"x","y\n",18446744073709551615],"b":[{"c":{}},[]]}`},
		{"hexadecimal and octal", "a: 0x1F\nb: 0o17", `{"a":31,"b":15}`},
		{"keys that look like numbers", "1: a\ntrue: b", `{"1":"a","true":"b"}`},
		{"text that needs quotes in JSON", "a: say \"hi\" \\ <", `{"a":"say \"hi\" \\ \u003c"}`},
		{"a block", "a: |\n  x\n  y\n", `{"a":"x\ny\n"}`},
		{"JSON itself", `{"a": [1, {"b": "c"}]}`, `{"a":[1,{"b":"c"}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := config.YAMLToJSON([]byte(tt.yaml))
			require.NoError(t, err)
			require.Equal(t, tt.json, string(got))
		})
	}
}

func TestYAMLThatJSONCannotSayIsRefused(t *testing.T) {
	for _, tt := range []struct{ name, yaml, says string }{
		{"a name twice", "a: 1\nb: 2\na: 3", `config: line 3: gives "a" twice`},
		{"infinity", "a: 1\nb: .inf", "config: line 2: holds not a finite number"},
		{"no number", "a: .nan", "config: line 1"},
		{"an alias bomb", "a: &a [x]\nb: [*a, *a]", "config: line 1: has an anchor"},
		{"a list as a key", "[1]: 2", "config: line 1"},
		{"no YAML", "a: [", "config: line 1: is not YAML"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.YAMLToJSON([]byte(tt.yaml))
			require.ErrorContains(t, err, tt.says)
		})
	}
}

// Whatever is in the file, loading ends with values or with faults that name the file.
func FuzzLoad(f *testing.F) {
	for _, text := range []string{"listen: a\norigins: [b, 'c']\nplugins:\n- name: x\n  limits: {fuel: 1}\n", "a: &b [*b]", "? x\n: y",
		"a:\n - b\n -  c:\n d", "|\n x", "'", "\"\\x", "%YAML 1.2\n---\na: b\n...\n", "{a: [}", "!!x y", "- - -", "a: >-\n  b\n\n c: d"} {
		f.Add(text, "listen=x")
	}
	f.Add("", "plugins[0].limits.fuel=0x7f")
	f.Fuzz(func(t *testing.T, text, set string) {
		err := load(t, text, nil, []string{set}, defaults())
		if err != nil && err.Error() == "" {
			t.Fatal("an error without a text")
		}
	})
}

func FuzzYAMLToJSON(f *testing.F) {
	for _, text := range []string{"a: 1", "- a\n- {b: c}", "1e400", "a: .inf", "0b11", "a: 'b'\n'c': d", "{\"a\":[1,null]}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := config.YAMLToJSON(text)
		if err == nil && !json.Valid(got) {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

func TestReload_takes_an_empty_file_for_one_that_is_being_written(t *testing.T) {
	file := filepath.Join(t.TempDir(), "wse.yaml")
	for _, text := range []string{"", " \n\t\n"} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		var into struct {
			A int `yaml:"a"`
		}
		require.NoError(t, config.Load(file, nil, nil, &into))
		require.ErrorContains(t, config.Reload(file, nil, nil, &into), "is empty; to run on the defaults, write {}")
	}
}
