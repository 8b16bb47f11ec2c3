package vector_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin/vector"
)

// one parses a single vector, written without the brackets.
func one(t *testing.T, text string) vector.Vector {
	t.Helper()
	list, err := vector.Parse("v.json", []byte("["+text+"]"))
	require.NoError(t, err)
	require.Len(t, list, 1)
	return list[0]
}

func TestAWrongVectorIsToldWhenItIsRead(t *testing.T) {
	for _, tt := range []struct{ vector, says string }{
		{`{}`, "has no name"},
		{`{"name":"x","nmae":1}`, "unknown field"},
		{`{"name":"x"}`, `hook "" is none of`},
		{`{"name":"x","hook":"wse_transform"}`, `hook "wse_transform" is none of`},
		{`{"name":"x","hook":"transform","want":"yes"}`, "needs one of input, input_text"},
		{`{"name":"x","hook":"transform","input":{},"input_text":"","want":"yes"}`, "needs one of input, input_text"},
		{`{"name":"x","hook":"transform","inputs":[{}],"want":"yes"}`, "are for the hook transform_batch"},
		{`{"name":"x","hook":"configure","config":{},"input":{},"want":"yes"}`, "config is for the other hooks"},
		{`{"name":"x","hook":"transform","input":{},"want":"maybe"}`, `want "maybe" is none of`},
		{`{"name":"x","hook":"transform","input":{}}`, `want "" is none of`},
		{`{"name":"x","hook":"transform","input":{},"want":"yes","data":{}}`, "wants yes, which comes with no data"},
		{`{"name":"x","hook":"transform","input":{},"want":"data"}`, "needs one of data and data_text"},
		{`{"name":"x","hook":"transform","input":{},"want":"data","data":{},"data_text":""}`, "needs one of data and data_text"},
		{`{"name":"x","hook":"transform","input":{},"want":"error"}`, "needs error"},
		{`{"name":"x","hook":"transform","input":{},"want":"trap","data":{}}`, "wants trap, which comes with no data"},
		{`{"name":"x","hook":"transform","input":{},"want":"yes","pad":-1}`, "pad -1"},
		{`{"name":"x","hook":"transform","input":{},"want":"yes","pad":4194305}`, "pad 4194305"},
		{`{"name":"x","hook":"transform","input":{},"want":"yes","fuel_max":-1}`, "fuel_max -1"},
		{`{"name":"x","hook":"transform_batch","inputs":[{},{}],"wants":[{"want":"yes"}]}`, "2 inputs and 1 wants"},
		{`{"name":"x","hook":"transform_batch","inputs":[{}],"wants":[{"want":"yes"}],"want":"yes"}`, "no want, data or error of its own"},
		{`{"name":"x","hook":"transform_batch","inputs":[{}],"wants":[{"want":"data"}]}`, "wants[0]: wants data"},
		{`{"name":"x","hook":"transform","input":{},"want":"yes","steps":[]}`, "steps are for the hook strategy"},
		{`{"name":"x","hook":"strategy"}`, "needs steps"},
		{`{"name":"x","hook":"strategy","steps":[{"open":{},"want":"yes"}],"input":{}}`, "has steps, and therefore no input"},
		{`{"name":"x","hook":"strategy","steps":[{"open":{},"want":"yes"}],"want":"yes"}`, "has steps, and therefore no want"},
		{`{"name":"x","hook":"strategy","steps":[{"open":{},"want":"yes"}],"pad":1}`, "pad is for other hooks"},
		{`{"name":"x","hook":"strategy","steps":[{"open":{},"want":"yes"}],"fuel_max":-1}`, "fuel_max -1"},
		{`{"name":"x","hook":"strategy","steps":[{"want":"yes"}]}`, "steps[0]: needs one of open, ticks and update"},
		{`{"name":"x","hook":"strategy","steps":[{"open":{},"update":{},"want":"yes"}]}`, "steps[0]: needs one of open, ticks and update"},
		{`{"name":"x","hook":"strategy","steps":[{"open":{},"handle":1,"want":"yes"}]}`, "steps[0]: handle is for ticks"},
		{`{"name":"x","hook":"strategy","steps":[{"ticks":[],"want":"no"}]}`, "steps[0]: 0 ticks"},
		{`{"name":"x","hook":"strategy","steps":[{"ticks":[[1]],"want":"no"}]}`, "steps[0]: ticks[0]: 1 numbers"},
		{`{"name":"x","hook":"strategy","steps":[{"ticks":[[1,2,3,4,5]],"want":"no"}]}`, "steps[0]: ticks[0]: 5 numbers"},
		{`{"name":"x","hook":"strategy","steps":[{"ticks":[[1,2]],"want":"yes"}]}`, "steps[0]: wants yes, which is an answer to open only"},
		{`{"name":"x","hook":"strategy","steps":[{"open":{},"want":"data","data":{}}]}`, "steps[0]: wants data, which is no answer to open"},
		{`{"name":"x","hook":"strategy","steps":[{"open":{},"want":"perhaps"}]}`, `steps[0]: want "perhaps" is none of`},
		{`{"name":"x","hook":"strategy","steps":[{"update":{},"want":"error","error":"x"},{"open":{},"want":"yes"}]}`, "steps[0]: wants error, which ends a strategy"},
	} {
		t.Run(tt.says, func(t *testing.T) {
			_, err := vector.Parse("v.json", []byte("["+tt.vector+"]"))
			require.ErrorContains(t, err, tt.says)
			require.ErrorContains(t, err, "v.json: ")
		})
	}
	for _, text := range []string{``, `{}`, `[1]`, `[] []`, `[`, `null x`} {
		_, err := vector.Parse("v.json", []byte(text))
		require.ErrorContains(t, err, "v.json: ", "%q", text)
	}
}

func TestStepsAreReadAndCheckedOneByOne(t *testing.T) {
	v := one(t, `{"name":"x","hook":"strategy","fuel_max":5,"steps":[{"open":{ "handle": 2 },"want":"error","error":"not this"},
		{"ticks":[[1,2],[3,4,5,6]],"handle":2,"want":"data","data":{"consumed":2,"out":[]}},{"update":{},"want":"no"}]}`)
	require.Equal(t, []string{"open", "ticks", "update"}, []string{v.Steps[0].Does(), v.Steps[1].Does(), v.Steps[2].Does()})
	require.Equal(t, `{"handle":2}`, string(v.Steps[0].Document()))
	require.NoError(t, v.CheckStep(0, vector.Got{Said: "error", Error: "it is not this"}))
	require.EqualError(t, v.CheckStep(2, vector.Got{Said: "trap", Error: "x"}), "step 3, update: want no\ngot  trap: x")
	data := vector.Got{Said: "data", Data: []byte(`{"out":[], "consumed":2}`)}
	require.NoError(t, v.CheckStep(1, data))
	exact := v.Exact()
	require.ErrorContains(t, exact.CheckStep(1, data), "the same JSON in other bytes")
	require.NotNil(t, v.Steps[1].Data, "the vector is as it was")
	require.NoError(t, v.Check(vector.Got{Said: "no", Fuel: 5}))
	require.ErrorContains(t, v.Check(vector.Got{Said: "no", Fuel: 6}), "fuel_max is 5")

	steps, err := vector.ParseSteps("s", []byte(`[{"open":{}},{"ticks":[[1,2]]}]`))
	require.NoError(t, err)
	require.Len(t, steps, 2)
	for text, says := range map[string]string{`{}`: "s: is no list of steps", `[]`: "s: holds no steps", `[{}]`: "s: step 1: needs one of", `[{"x":1}]`: "unknown field", `[] x`: "something follows"} {
		_, err := vector.ParseSteps("s", []byte(text))
		require.ErrorContains(t, err, says)
	}
}

func TestAVectorIsSentWithoutWhiteSpaceOrAsItIs(t *testing.T) {
	for _, tt := range []struct{ vector, document string }{
		{`{"name":"x","hook":"transform","want":"yes","input":{ "a" : [1, 2.0, "b c"] }}`, `{"a":[1,2.0,"b c"]}`},
		{`{"name":"x","hook":"transform","want":"yes","input_text":"{ \"a\" : 1 "}`, `{ "a" : 1 `},
		{`{"name":"x","hook":"transform","want":"yes","input_text":""}`, ``},
		{`{"name":"x","hook":"transform","want":"yes","input":{"a":"@pad@.@pad@"},"pad":3}`, `{"a":"xxx.xxx"}`},
		{`{"name":"x","hook":"transform","want":"yes","input":{"a":"@pad@"}}`, `{"a":"@pad@"}`},
		{`{"name":"x","hook":"transform_batch","inputs":[{ }, 1],"wants":[{"want":"yes"},{"want":"no"}]}`,
			"\x02\x00\x00\x00\x02\x00\x00\x00{}\x01\x00\x00\x001"},
		{`{"name":"x","hook":"transform_batch","inputs_text":["{ }",""],"wants":[{"want":"yes"},{"want":"no"}]}`,
			"\x02\x00\x00\x00\x03\x00\x00\x00{ }\x00\x00\x00\x00"},
		{`{"name":"x","hook":"transform_batch","input_text":"\u0000","want":"error","error":"e"}`, "\x00"},
	} {
		v := one(t, tt.vector)
		require.Equal(t, tt.document, string(v.Document()), tt.vector)
	}
	v := one(t, `{"name":"x","hook":"transform","want":"yes","input":{},"config":{ "a" : "@pad@" },"pad":2}`)
	require.Equal(t, `{"a":"xx"}`, string(v.Configuration()))
	v = one(t, `{"name":"x","hook":"transform","want":"yes","input":{}}`)
	require.Nil(t, v.Configuration())
}

func TestADifferenceIsTold(t *testing.T) {
	data := func(s string) vector.Got { return vector.Got{Said: vector.Data, Data: []byte(s)} }
	const head = `{"name":"x","hook":"transform","input":{},`
	for _, tt := range []struct {
		name, vector string
		got          vector.Got
		says         []string // none: no difference
	}{
		{"the same answer", `"want":"yes"}`, vector.Got{Said: "yes"}, nil},
		{"another answer", `"want":"yes"}`, vector.Got{Said: "no"}, []string{"want yes", "got  no"}},
		{"an error instead", `"want":"data","data":{"t":"a"}}`, vector.Got{Said: "error", Error: "no user"},
			[]string{`want data {"t":"a"}`, "got  error: no user"}},
		{"JSON in another order and spacing", `"want":"data","data":{"a":1,"b":[1,2]}}`, data(`{"b":[1, 2.0],"a":1e0}`), nil},
		{"large integers are not rounded", `"want":"data","data":[9007199254740993]}`, data(`[9007199254740992]`), []string{"[0]: want 9007199254740993, got 9007199254740992"}},
		{"minus zero is zero", `"want":"data","data":[-0]}`, data(`[0]`), nil},
		{"a member", `"want":"data","data":{"p":{"status":"filled","x y":1}}}`, data(`{"p":{"status":"open"},"q":null}`),
			[]string{`p.status: want "filled", got "open"`, `p["x y"]: want 1, got nothing`, "q: want nothing, got null"}},
		{"an element", `"want":"data","data":[1,{"a":[]},3]}`, data(`[1,{"a":{}}]`), []string{"[1].a: want [], got {}", "want 3 elements, got 2"}},
		{"kinds", `"want":"data","data":["1",null,true]}`, data(`[1,false,null]`), []string{`[0]: want "1", got 1`, "[1]: want null, got false"}},
		{"no JSON", `"want":"data","data":{"a":1}}`, data(`{"a":1`), []string{"which is not JSON"}},
		{"bytes", `"want":"data","data_text":"{\"a\":1,\"b\":2}"}`, data(`{"b":2,"a":1}`), []string{"the same JSON in other bytes, from byte 2 on"}},
		{"bytes and members", `"want":"data","data_text":"{\"a\":1}"}`, data(`{"a":2}`), []string{"a: want 1, got 2"}},
		{"bytes that are no JSON", `"want":"data","data_text":"a"}`, data("b\x00"), []string{"want a", `got  "b\x00"`}},
		{"a part of an error", `"want":"error","error":"user_id is"}`, vector.Got{Said: "error", Error: "x: user_id is missing"}, nil},
		{"another error", `"want":"error","error":"user_id"}`, vector.Got{Said: "error", Error: "config"}, []string{"want error: …user_id…", "got  error: config"}},
		{"any trap", `"want":"trap"}`, vector.Got{Said: "trap", Error: "unreachable"}, nil},
		{"fuel", `"want":"yes","fuel_max":100}`, vector.Got{Said: "yes", Fuel: 101}, []string{"used 101 units of fuel, fuel_max is 100"}},
		{"fuel just enough", `"want":"yes","fuel_max":100}`, vector.Got{Said: "yes", Fuel: 100}, nil},
		{"log", `"want":"yes","log":["info: a"]}`, vector.Got{Said: "yes", Log: []string{"warn: a"}}, []string{`want logged ["info: a"]`}},
		{"nothing to be logged", `"want":"yes","log":[]}`, vector.Got{Said: "yes", Log: []string{"warn: a"}}, []string{`want logged []`}},
		{"metrics", `"want":"yes","metrics":{"a":1}}`, vector.Got{Said: "yes", Metrics: map[string]float64{"a": 2}}, []string{"want counted map[a:1]"}},
		{"padding", `"want":"data","data_text":"@pad@","pad":1000}`, data(strings.Repeat("x", 1000)), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := one(t, head+tt.vector)
			err := v.Check(tt.got)
			if tt.says == nil {
				require.NoError(t, err)
				return
			}
			for _, part := range tt.says {
				require.ErrorContains(t, err, part)
			}
		})
	}
}

func TestExactComparesBytes(t *testing.T) {
	v := one(t, `{"name":"x","hook":"transform","input":{},"want":"data","data":{ "a" : 1, "b" : 2 }}`)
	swapped := vector.Got{Said: "data", Data: []byte(`{"b":2,"a":1}`)}
	require.NoError(t, v.Check(swapped))
	exact := v.Exact()
	require.ErrorContains(t, exact.Check(swapped), "the same JSON in other bytes")
	require.NoError(t, exact.Check(vector.Got{Said: "data", Data: []byte(`{"a":1,"b":2}`)}))
	require.NoError(t, v.Check(swapped), "the vector itself is as it was")
}

func TestExactKeepsABatchOfNothing(t *testing.T) {
	v := one(t, `{"name":"x","hook":"transform_batch","inputs":[],"wants":[]}`)
	exact := v.Exact()
	require.NoError(t, exact.Check(vector.Got{Said: "data", Data: make([]byte, 4)}))
	require.Error(t, exact.Check(vector.Got{Said: "no"}))
}

func TestABatchIsComparedAnswerByAnswer(t *testing.T) {
	v := one(t, `{"name":"x","hook":"transform_batch","inputs":[1,2,3,4],
		"wants":[{"want":"no"},{"want":"yes"},{"want":"data","data":[1]},{"want":"error","error":"bad"}]}`)
	const good = "\x04\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x01\x00\x00\x00\x00\x00\x00\x00" +
		"\x02\x00\x00\x00\x03\x00\x00\x00[1]" + "\x03\x00\x00\x00\x04\x00\x00\x00bad!"
	data := func(s string) vector.Got { return vector.Got{Said: "data", Data: []byte(s)} }
	require.NoError(t, v.Check(data(good)))
	for _, tt := range []struct {
		name, says string
		got        vector.Got
	}{
		{"no batch", "want 4 answers", vector.Got{Said: "yes"}},
		{"another count", "want 4 answers, got 0", data("\x00\x00\x00\x00")},
		{"another answer", "answer 2:\n[0]: want 1, got 2", data(strings.Replace(good, "[1]", "[2]", 1))},
		{"too short for a count", "is no batch", data("\x01\x00")},
		{"more answers than bytes", "says it has 4294967295 answers", data("\xff\xff\xff\xff")},
		{"cut short", "answer 3 of 4 has 4 bytes, 3 are left", data(good[:len(good)-1])},
		{"an unknown tag", "answer 1 of 4 has tag 4", data(good[:12] + "\x04" + good[13:])},
		{"bytes with a yes", "answer 1 of 4 has tag 1 and 2 bytes", data(good[:16] + "\x02" + good[17:])},
		{"bytes behind the end", "1 bytes follow", data(good + "x")},
	} {
		t.Run(tt.name, func(t *testing.T) { require.ErrorContains(t, v.Check(tt.got), tt.says) })
	}
}

func TestADirectoryIsReadWholeAndInOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[1]*")
	require.NoError(t, os.Mkdir(dir, 0o700))
	_, err := vector.Read(dir)
	require.ErrorContains(t, err, "holds no vectors")
	for _, name := range []string{"b", "a"} {
		text := fmt.Sprintf(`[{"name":%q,"hook":"transform","input":{},"want":"yes"}]`, name)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".json"), []byte(text), 0o600))
	}
	list, err := vector.Read(dir)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "a", list[0].Name)

	list, err = vector.Read(filepath.Join(dir, "b.json"))
	require.NoError(t, err)
	require.Len(t, list, 1)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "c.json"), []byte(`[`), 0o600))
	_, err = vector.Read(dir)
	require.ErrorContains(t, err, filepath.Join(dir, "c.json"))
	_, err = vector.Read(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestWhatIsReadIsBounded(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "big.json")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.Truncate(file, vector.FileMiBMax<<20+1))
	_, err := vector.Read(file)
	require.ErrorContains(t, err, "has more than 16 MiB")
	require.NoError(t, os.Remove(file))

	many := `[` + strings.Repeat(`{"name":"x","hook":"transform","input":1,"want":"yes"},`, vector.VectorsMax) + `{"name":"x","hook":"transform","input":1,"want":"yes"}]`
	_, err = vector.Parse("v.json", []byte(many))
	require.ErrorContains(t, err, "10001 vectors, at most 10000")

	for i := range vector.FilesMax + 1 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.json", i)), []byte("[]"), 0o600))
	}
	_, err = vector.Read(dir)
	require.ErrorContains(t, err, "at most 256 are read")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`[{"name":"x","hook":"transform","input":{"a":1},"want":"data","data":{"b":[1,"x",null]},"pad":3}]`), []byte(`{"b":[1,"y"]}`))
	f.Add([]byte(`[{"name":"x","hook":"transform_batch","inputs":[1],"wants":[{"want":"error","error":"e"}]}]`), []byte("\x01\x00\x00\x00\x03\x00\x00\x00\x01\x00\x00\x00e"))
	f.Fuzz(func(t *testing.T, text, answer []byte) {
		list, err := vector.Parse("f", text)
		if err != nil {
			return
		}
		for _, v := range list {
			if v.Steps != nil {
				for i := range v.Steps {
					_, _ = v.Steps[i].Document(), v.CheckStep(i, vector.Got{Said: vector.Data, Data: answer})
				}
				continue
			}
			_ = v.Document()
			exact := v.Exact()
			got := vector.Got{Said: vector.Data, Data: answer}
			if exact.Check(got) == nil {
				require.NoError(t, v.Check(got), "what is the same to the byte is the same as JSON")
			}
		}
	})
}

func FuzzSplitBatch(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x03\x00\x00\x00\x01\x00\x00\x00e"))
	f.Add([]byte("\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		answers, err := vector.SplitBatch(data)
		if err != nil {
			return
		}
		size := 4
		for _, a := range answers {
			size += 8 + len(a.Data) + len(a.Error)
		}
		require.Equal(t, len(data), size)
	})
}
