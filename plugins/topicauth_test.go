package plugins_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/sdk/abi"
)

// matcher is a glob as a regular expression, written from its definition: the last segment * is one or more segments, any
// other star is any characters of its segment.
func matcher(glob string) *regexp.Regexp {
	head, wild := strings.CutSuffix(glob, ":*")
	if glob == "*" {
		return regexp.MustCompile(`^.+$`)
	}
	expr := strings.ReplaceAll(regexp.QuoteMeta(head), `\*`, `[^:]*`)
	if wild {
		expr += `:.+`
	}
	return regexp.MustCompile(`^` + expr + `$`)
}

// everyTopic lists the topics of one to four segments that can be written with a few names.
func everyTopic() []string {
	names := []string{"a", "b", "ab", "aab"}
	all, last := []string(nil), []string{""}
	for range 4 {
		var longer []string
		for _, head := range last {
			for _, name := range names {
				longer = append(longer, strings.TrimPrefix(head+":"+name, ":"))
			}
		}
		all, last = append(all, longer...), longer
	}
	return all
}

// TestAPatternIsAllowedOnlyWholeAndDeniedWherePartOfItIs compares every verdict with one found by trying all topics that a
// pattern stands for.
func TestAPatternIsAllowedOnlyWholeAndDeniedWherePartOfItIs(t *testing.T) {
	nothing := stock(t, "topicauth", `{"public":[],"authenticated":[],"permissions":{}}`)
	everything := stock(t, "topicauth", `{"public":["*"]}`)
	topics := everyTopic()
	r := deterministic()
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	counts := map[string]int{}
	for range 3000 {
		glob := pick("a", "b", "a*", "*", "*b")
		for range r.IntN(3) {
			glob += ":" + pick("a", "ab", "*", "a*", "*b", "a*b", "*a*")
		}
		topic := topics[r.IntN(84)] // one to three segments
		if r.IntN(2) == 0 {
			topic += ":*"
		}
		all, some := true, false
		match, stands := matcher(glob), matcher(topic)
		for _, one := range topics {
			if stands.MatchString(one) {
				matched := match.MatchString(one)
				all, some = all && matched, some || matched
			}
		}
		allowed := authorize(t, nothing, topic, "allow", glob).kind == abi.Yes
		require.Equal(t, all, allowed, "allow %s, topic %s", glob, topic)
		denied := authorize(t, everything, topic, "deny", glob).kind != abi.Yes
		require.Equal(t, some, denied, "deny %s, topic %s", glob, topic)
		for name, is := range map[string]bool{"all": all, "some": some && !all, "none": !some} {
			if is {
				counts[name]++
			}
		}
	}
	for _, name := range []string{"all", "some", "none"} {
		require.Greater(t, counts[name], 30, "too few cases of %s", name)
	}
}

func authorize(t *testing.T, g *guest, topic, list, glob string) answer {
	doc, err := json.Marshal(map[string]any{"action": "subscribe", "topic": topic, "identity": map[string]any{
		"user_id": "u1", "claims": map[string]any{"wse_topics": map[string]any{list: []string{glob}}},
	}})
	require.NoError(t, err)
	return g.call(t, abi.ExportAuthorize, doc)
}

// FuzzTopicAuth holds the plugin to what must be true of any request: no trap, a refusal is JSON with a reason, what is no
// JSON is an error, and a yes for another user's topic is never given without a permission or a claim.
func FuzzTopicAuth(f *testing.F) {
	for _, v := range vectors(f, "topicauth") {
		if v.Hook == "authorize" {
			f.Add(v.Document())
		}
	}
	g := stock(f, "topicauth", "")
	f.Fuzz(func(t *testing.T, doc []byte) {
		if len(doc) > abi.BufferBytes {
			return
		}
		switch got := g.call(t, abi.ExportAuthorize, doc); got.kind {
		case abi.Data:
			var refusal struct {
				Allow  *bool
				Reason string
			}
			require.NoError(t, json.Unmarshal([]byte(got.text), &refusal), got.text)
			require.NotNil(t, refusal.Allow)
			require.False(t, *refusal.Allow)
			require.NotEmpty(t, refusal.Reason)
		case abi.Yes:
			require.True(t, json.Valid(doc), "%q", doc)
			lower := strings.ToLower(string(doc))
			if !strings.ContainsAny(lower, `\`) && !strings.Contains(lower, "wse_topics") && !strings.Contains(lower, "admin") {
				require.NotContains(t, lower, `"topic":"user:u2:`, "%q", doc)
			}
		default:
			require.Equal(t, abi.ErrorText, got.kind)
		}
	})
}
