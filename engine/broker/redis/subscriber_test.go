package redis

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

func TestThePlaceOfAPublicationIsReadFromItsBeginning(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		want      place
	}{
		{"the first", `{"v":2,"seq":1,"epoch":"00000001","t":"x"}`, place{1, 1}},
		{"a large one", `{"v":2,"seq":9007199254740992,"epoch":"ffffffff",`, place{math.MaxUint32, 1 << 53}},
		{"number zero", `{"v":2,"seq":0,"epoch":"00000001",`, place{}},
		{"a leading zero", `{"v":2,"seq":01,"epoch":"00000001",`, place{}},
		{"a negative number", `{"v":2,"seq":-1,"epoch":"00000001",`, place{}},
		{"too large a number", `{"v":2,"seq":9007199254740993,"epoch":"00000001",`, place{}},
		{"digits without end", `{"v":2,"seq":` + strings.Repeat("9", 400), place{}},
		{"no number", `{"v":2,"seq":"1","epoch":"00000001",`, place{}},
		{"no epoch", `{"v":2,"seq":1,"t":"x"}`, place{}},
		{"epoch zero", `{"v":2,"seq":1,"epoch":"00000000",`, place{}},
		{"an epoch that is no number", `{"v":2,"seq":1,"epoch":"0000000g",`, place{}},
		{"a short epoch", `{"v":2,"seq":1,"epoch":"0001","t":"x"}`, place{}},
		{"a long epoch", `{"v":2,"seq":1,"epoch":"000000001","t":"x"}`, place{}},
		{"a space", `{"v":2,"seq":1, "epoch":"00000001",`, place{}},
		{"nothing more", head, place{}},
	} {
		at, ok := readPlace(c.raw)
		require.Equal(t, c.want != place{}, ok, c.name)
		if ok {
			require.Equal(t, c.want, at, c.name)
		}
	}
}

// FuzzReadPlace asserts that what is told of a publication before it is decoded is what decoding tells.
func FuzzReadPlace(f *testing.F) {
	f.Add(`{"v":2,"seq":7,"epoch":"0000abcd","t":"x","p":{},"id":"i"}`)
	f.Add(`{"v":2,"seq":7,"epoch":"0000abcd","seq":8,"t":"x","p":{}}`)
	f.Add(`{"v":2,"seq":`)
	f.Fuzz(func(t *testing.T, raw string) {
		if !strings.HasPrefix(raw, head) {
			return
		}
		at, ok := readPlace(raw)
		env := &message.Envelope{}
		if epoch, err := readPublication(env, []byte(raw)); err == nil && ok && strings.Count(raw, "seq") == 1 && strings.Count(raw, "epoch") == 1 && !strings.Contains(raw, `\`) {
			require.Equal(t, at, place{epoch, env.Seq})
		}
	})
}
