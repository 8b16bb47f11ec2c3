package scenario

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFileHoldsSettingsFilesAndScenarios(t *testing.T) {
	f, err := Parse("x.txt", strings.NewReader(`
# a comment
set limits.message_kib_max=4
once
write wse.yaml
listen: a
  b: c
end
scenario the first
  open alice
  unordered alice
    {"a":1}
  end
scenario the second
  send alice {"t":"ping"}
`))
	require.NoError(t, err)
	require.Equal(t, &File{Name: "x.txt", Settings: []string{"limits.message_kib_max=4"}, Forms: []string{"none"},
		Files: map[string]string{"wse.yaml": "listen: a\n  b: c\n"},
		Scenarios: []*Scenario{
			{Title: "the first", Line: 9, Steps: []Step{{Line: 10, Verb: "open", Rest: "alice"},
				{Line: 11, Verb: "unordered", Rest: "alice", Body: "    {\"a\":1}\n"}}},
			{Title: "the second", Line: 14, Steps: []Step{{Line: 15, Verb: "send", Rest: `alice {"t":"ping"}`}}},
		}}, f)
}

func TestAFileThatIsWrongIsRefusedWithItsLine(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no scenario", "set a=b\n", "x.txt: holds no scenario"},
		{"an unknown step", "scenario s\nfly alice\n", `x.txt:2: no step is called "fly"`},
		{"a step too early", "open alice\n", "x.txt:1: open stands before the first scenario"},
		{"a setting too late", "scenario s\nset a=b\n", "x.txt:2: set belongs before the first scenario"},
		{"once too late", "scenario s\nonce\n", "x.txt:2: once belongs before the first scenario"},
		{"TLS too late", "scenario s\ntls\n", "x.txt:2: tls belongs before the first scenario"},
		{"no title", "scenario\n", "x.txt:1: a scenario needs a title"},
		{"a block without an end", "scenario s\nunordered alice\n{}\n", "x.txt:2: unordered has no end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("x.txt", strings.NewReader(c.text))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestWordsMayHoldQuotedParts(t *testing.T) {
	list, err := words(`a payload="x y\x00" "b"c`)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "payload=x y\x00", "bc"}, list)
	_, err = words(`a "b`)
	require.Error(t, err)
}

func TestEveryVerbHasAHandler(t *testing.T) {
	handlers := (&Runner{}).handlers()
	for _, verb := range verbs {
		require.Contains(t, handlers, verb)
	}
	require.Len(t, handlers, len(verbs))
}

func FuzzParse(f *testing.F) {
	f.Add("set a=b\nscenario s\n open a\n write f\nend\n")
	f.Add("scenario s\nunordered a\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("x", strings.NewReader(text))
		require.Equal(t, err == nil, file != nil)
	})
}
