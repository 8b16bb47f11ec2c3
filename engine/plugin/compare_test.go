package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestAppendNormal_is_the_same_for_texts_that_mean_the_same(t *testing.T) {
	for _, c := range []struct{ name, in, out string }{
		{"white space", " { \"a\" : [ 1 , 2 ] } \n", `{"a":[1,2]}`},
		{"the order of members", `{"b":1,"a":{"d":1,"c":2}}`, `{"a":{"c":2,"d":1},"b":1}`},
		{"not the order of elements", `[2,1]`, `[2,1]`},
		{"escapes", `{"\u0061":"\u00e4\/\ud83d\ude00\n"}`, `{"a":"ä/😀\n"}`},
		{"a member twice", `{"a":1,"b":2,"\u0061":3}`, `{"a":3,"b":2}`},
		{"decimals", `[1.0,100,1e2,1.50,0.10,-0.0,12.34e1,0.001,1E-3]`, `[1,100,100,1.5,0.1,0,123.4,0.001,0.001]`},
		{"amounts that one float64 stands for", `[9007199254740993,9007199254740992.0]`, `[9007199254740993,9007199254740992]`},
		{"large and small", `[1e30,12e40,1e-30,1.5e-40]`, `[1e30,12e40,1e-30,15e-41]`},
		{"an exponent nobody can write out", `[1e99999999999]`, `[1e99999999999]`},
		{"the rest", `[true,false,null,"",{},[]]`, `[true,false,null,"",{},[]]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, ok := appendNormal([]byte("x"), []byte(c.in))
			require.True(t, ok)
			require.Equal(t, "x"+c.out, string(out))
			again, ok := appendNormal(nil, out[1:])
			require.True(t, ok)
			require.Equal(t, c.out, string(again))
		})
	}
	_, ok := appendNormal(nil, []byte(`{"a":1}}`))
	require.False(t, ok)
}

// FuzzNormal: the normal form is JSON, stands for the same values, and is its own normal form.
func FuzzNormal(f *testing.F) {
	for _, s := range []string{`{"b":[1.50,{"a":"\u0000"}],"a":1e-7}`, `-0`, `"\ud800"`, `[1e20,1e21,123456789e-20]`, `{"a":1,"a":{}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		out, ok := appendNormal(nil, doc)
		if !ok {
			return
		}
		var a, b any
		if json.Unmarshal(doc, &a) != nil { // a number out of range
			return
		}
		require.NoError(t, json.Unmarshal(out, &b), "%s", out)
		require.Equal(t, a, b)
		again, ok := appendNormal(nil, out)
		require.True(t, ok)
		require.Equal(t, string(out), string(again))
	})
}

func data(text string) *heard               { return &heard{outcome: OutcomeData, data: []byte(text)} }
func saying(o Outcome) *heard               { return &heard{outcome: o} }
func failure(o Outcome, text string) *heard { return &heard{outcome: o, text: text} }

func TestRelate_tells_answers_apart_by_what_they_mean(t *testing.T) {
	no, yes := saying(OutcomeNo), saying(OutcomeYes)
	for _, c := range []struct {
		name string
		h    hook
		a, b *heard
		want relation
	}{
		{"members in another order", hookTransform, data(`{"t":"a","p":{"x":1.0}}`), data(` {"p": {"x":1}, "t":"a"}`), same},
		{"one envelope, and an array of it", hookTransform, data(`{"t":"a"}`), data(`[{"t":"a"}]`), same},
		{"envelopes in another order", hookTransform, data(`[{"t":"a"},{"t":"b"}]`), data(`[{"t":"b"},{"t":"a"}]`), different},
		{"another value", hookTransform, data(`{"t":"a"}`), data(`{"t":"b"}`), different},
		{"one more envelope", hookTransform, data(`{"t":"a"}`), data(`[{"t":"a"},{"t":"a"}]`), different},
		{"dropped, both", hookTransform, no, no, same},
		{"dropped or passed on", hookTransform, no, yes, different},
		{"dropped or answered", hookTransform, data(`{"t":"a"}`), no, different},
		{"allowed in two ways", hookAuthorize, yes, data(`{"allow":true}`), same},
		{"denied in two ways", hookAuthorize, no, data(`{"allow":false}`), same},
		{"allowed or denied", hookAuthorize, yes, no, different},
		{"another reason", hookAuthorize, data(`{"allow":false,"reason":"a"}`), data(`{"allow":false,"reason":"b"}`), different},
		{"another ttl", hookAuthorize, data(`{"allow":true,"ttl_s":1}`), data(`{"allow":true,"ttl_s":2}`), different},
		{"the same ttl", hookAuthorize, data(`{"allow":true,"ttl_s":30}`), data(`{"ttl_s":30.0,"allow":true}`), same},
		{"valid in two ways", hookValidate, yes, data(`{"warnings":[],"valid":true}`), same},
		{"other findings", hookValidate, no, data(`{"valid":false,"errors":[{"path":"a","message":"b"}]}`), different},
		{"a failure where the other answers", hookTransform, yes, failure(OutcomeTrap, "unreachable"), failing},
		{"an error where the other answers", hookTransform, no, failure(OutcomeError, "bad"), failing},
		{"an answer where the other fails", hookTransform, failure(OutcomeTrap, "unreachable"), no, different},
		{"traps in two places", hookTransform, failure(OutcomeTrap, "in a"), failure(OutcomeTrap, "in b"), same},
		{"the same error", hookTransform, failure(OutcomeError, "bad"), failure(OutcomeError, "bad"), same},
		{"two errors", hookTransform, failure(OutcomeError, "bad"), failure(OutcomeError, "worse"), different},
		{"two failures", hookTransform, failure(OutcomeError, "bad"), failure(OutcomeFuel, "bad"), different},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, relate(c.h, c.a, c.b)) })
	}
}

func TestComparison_counts_all_and_shows_the_first_differences(t *testing.T) {
	var c Comparison
	shownNow := 0
	show := func() Difference { shownNow++; return Difference{Input: strings.Repeat("x", shownNow)} }
	for range 30 {
		c.add(same, show)
		c.add(different, show)
		c.add(failing, show)
	}
	require.Equal(t, [4]int{90, 30, 30, 30}, [4]int{c.Compared, c.Same, c.Different, c.Failed})
	require.Len(t, c.Differences, DifferencesShown)
	require.Equal(t, DifferencesShown, shownNow, "the rest is not even made")
	require.Equal(t, "x", c.Differences[0].Input)
}

func TestSaid_shows_four_kibibytes_at_most_and_only_utf8(t *testing.T) {
	long := data(strings.Repeat("ä", 5000)).said()
	require.LessOrEqual(t, len(long.Data), shownBytes)
	require.True(t, strings.HasSuffix(long.Data, "ä… (10000 bytes)"), long.Data[len(long.Data)-30:])
	require.Equal(t, "data", long.Verdict)
	full := strings.Repeat("x", shownBytes)
	require.Equal(t, full, data(full).said().Data)
	bad := failure(OutcomeTrap, strings.Repeat("\xff", 5000)).said()
	require.LessOrEqual(t, len(bad.Error), shownBytes)
	require.Equal(t, "?", failure(OutcomeError, "\xff").said().Error)
}

func TestDifferences_cannot_talk_to_a_terminal(t *testing.T) {
	a, b := data("{\"t\":\"\u007f\u009b2J\"}"), failure(OutcomeTrap, "in \x1b[2Jf\r\nin g\tx")
	require.Equal(t, `{"t":"??2J"}`, a.said().Data)
	require.Equal(t, "in ?[2Jf?\nin g\tx", b.said().Error)
	require.Equal(t, "--- old\n+++ new\n@@ -1,1 +1,2 @@\n- \"t\": \"??2J\"\n+ trap: in ?[2Jf?\n+ in g\tx\n", unified("old", "new", hookTransform, a, b))
}

type diffCase struct {
	name string
	h    hook
	a, b *heard
	want string
}

func TestUnified_shows_a_line_for_each_member(t *testing.T) {
	for _, c := range append(envelopeDiffs(), otherDiffs()...) {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, "--- old\n+++ new"+c.want, unified("old", "new", c.h, c.a, c.b))
		})
	}
}

func envelopeDiffs() []diffCase {
	return []diffCase{
		{"one envelope", hookTransform,
			data(`{"t":"broker_account_update","topic":"user:u1:broker","p":{"id":"a","status":"linked","list":[1,2]}}`),
			data(`{"topic":"user:u1:broker","t":"account_linked","p":{"id":"a","status":"LINKED","list":[1,2,3]},"pri":8}`), `
@@ -3,8 +3,10 @@ p.list
    "list": [
      1
      2
+     3
    ]
-   "status": "linked"
+   "status": "LINKED"
  }
- "t": "broker_account_update"
+ "pri": 8
+ "t": "account_linked"
  "topic": "user:u1:broker"
`},
		{"one envelope more, in front", hookTransform,
			data(`[{"t":"b","p":{}},{"t":"c","p":{}}]`), data(`[{"t":"a","p":{}},{"t":"b","p":{}},{"t":"c","p":{}}]`), `
@@ -1,6 +1,10 @@ [0]
  [
    {
      "p": {}
+     "t": "a"
+   }
+   {
+     "p": {}
      "t": "b"
    }
    {
`},
		{"one and two envelopes", hookTransform, data(`{"t":"a"}`), data(`[{"t":"a"},{"t":"b"}]`), `
@@ -2,4 +2,7 @@
    {
      "t": "a"
    }
+   {
+     "t": "b"
+   }
  ]
`},
	}
}

func otherDiffs() []diffCase {
	return []diffCase{
		{"an event that is dropped", hookTransform, data(`{"t":"a","p":{}}`), saying(OutcomeNo), `
@@ -1,2 +1,1 @@
- "p": {}
- "t": "a"
+ no: the event is dropped
`},
		{"a trap with its stack", hookTransform, saying(OutcomeYes), failure(OutcomeTrap, "unreachable\nin f\nin g"), `
@@ -1,1 +1,3 @@
- yes: left to the next plugin
+ trap: unreachable
+ in f
+ in g
`},
		{"a verdict", hookAuthorize, saying(OutcomeYes), data(`{"allow":false,"reason":"closed"}`), `
@@ -1,1 +1,2 @@
- "allow": true
+ "allow": false
+ "reason": "closed"
`},
		{"findings", hookValidate, saying(OutcomeYes), data(`{"valid":false,"errors":[{"path":"a","message":"b"}]}`), `
@@ -1,3 +1,8 @@
- "errors": []
- "valid": true
+ "errors": [
+   {
+     "message": "b"
+     "path": "a"
+   }
+ ]
+ "valid": false
  "warnings": []
`},
	}
}

func TestUnified_shows_changes_far_apart_in_hunks(t *testing.T) {
	doc := func(b, y string) *heard {
		return data(`{"a":1,"b":` + b + `,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"x":1,"y":` + y + `,"z":1}`)
	}
	require.Equal(t, `--- old
+++ new
@@ -1,5 +1,5 @@
  "a": 1
- "b": 1
+ "b": 2
  "c": 1
  "d": 1
  "e": 1
@@ -8,5 +8,5 @@
  "h": 1
  "i": 1
  "x": 1
- "y": 1
+ "y": 3
  "z": 1
`, unified("old", "new", hookTransform, doc("1", "1"), doc("2", "3")))
}

func TestChanges_turn_one_side_into_the_other(t *testing.T) {
	sides := func(all []change) (a, b string) {
		for _, c := range all {
			if c.sign != '+' {
				a += c.text + "\n"
			}
			if c.sign != '-' {
				b += c.text + "\n"
			}
		}
		return a, b
	}
	for _, c := range [][2]string{
		{"", ""}, {"a", ""}, {"", "a"}, {"abc", "abc"}, {"abcabba", "cbabac"}, {"xaxbxcx", "abc"}, {"abc", "xaxbxcx"},
		{strings.Repeat("ab", 700), strings.Repeat("ba", 700)},
	} {
		list := func(s string) (out []line, text string) {
			for _, r := range s {
				out, text = append(out, line{text: string(r)}), text+string(r)+"\n"
			}
			return out, text
		}
		a, wantA := list(c[0])
		b, wantB := list(c[1])
		gotA, gotB := sides(changes(a, b))
		require.Equal(t, wantA, gotA)
		require.Equal(t, wantB, gotB)
	}
	require.Len(t, changes([]line{{text: "a"}, {text: "b"}, {text: "c"}}, []line{{text: "a"}, {text: "c"}}), 3)
}

func TestUnified_is_bounded_and_still_shows_where_long_values_part(t *testing.T) {
	many := func(v string) *heard { return data(`{"p":[` + strings.Repeat(v+",", 50_000) + `0]}`) }
	out := unified("old", "new", hookTransform, many("1"), many("2"))
	require.LessOrEqual(t, len(out), diffBytes+200)
	require.Contains(t, out, "and more, at most 16 KiB are shown")

	long := func(v string) *heard {
		return data(`{"p":"` + strings.Repeat("x", 3000) + v + strings.Repeat("y", 3000) + `"}`)
	}
	out = unified("old", "new", hookTransform, long("ONE"), long("TWO"))
	require.Contains(t, out, "xONEy")
	require.Contains(t, out, "xTWOy")
	require.Less(t, len(out), 4*diffLineBytes)
}

func TestTester_waits_where_others_need_the_processors(t *testing.T) {
	full := make(gate, 1)
	full <- struct{}{}
	v := &version{host: &Host{gate: full}, has: [hookCount]bool{true}, cfg: Config{}.withDefaults()}
	ctx, cancel := context.WithCancelCause(t.Context())
	go cancel(errors.New("over"))
	s, err := (&tester{v: v}).say(ctx, hookTransform, []byte("{}"))
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, s)
}

// FuzzUnified: whatever two versions say, the diff is text of limited size, and it is empty of changes only where they say
// the same.
func FuzzUnified(f *testing.F) {
	f.Add(uint8(0), []byte(`[{"t":"a","p":{}}]`), uint8(2), []byte(`{"t":"b","p":{"x":[1,2,{}]}}`))
	f.Add(uint8(1), []byte(`{"allow":true}`), uint8(0), []byte(``))
	f.Add(uint8(2), []byte(`{"valid":false,"errors":[{"path":"a","message":"b"}]}`), uint8(4), []byte("trap\nin f"))
	f.Fuzz(func(t *testing.T, first uint8, a []byte, second uint8, b []byte) {
		h := hook(first % uint8(hookCount))
		said := func(which uint8, text []byte) *heard {
			s := &heard{outcome: Outcome(which) % OutcomeBusy}
			if s.outcome == OutcomeData {
				s.data = text
			} else if !s.answered() {
				s.text = string(text)
			}
			return s
		}
		x, y := said(first/uint8(hookCount), a), said(second, b)
		r := relate(h, x, y)
		d := unified("old", "new", h, x, y)
		require.True(t, utf8.ValidString(d))
		require.LessOrEqual(t, len(d), diffBytes+2*diffLineBytes+1000)
		if r == same && x.answered() {
			require.Equal(t, "--- old\n+++ new\n", d)
		}
		require.Equal(t, same, relate(h, x, x))
	})
}
