package cluster

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "{}\n", `{"kind":"ask","id":"1","from":"a-1","subject":"s","left_ms":5}` + "\nbody",
		`{"kind":"answer","id":"1","from":"a-1","err":{"code":-2,"message":"x"}}` + "\n", `{"kind":"answer","id":"1","from":"a-1","err":{"code":99999}}` + "\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, body, err := decode(raw, 64)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(body), 64)
		require.True(t, validID(h.From))
		if h.Err != nil {
			require.Error(t, h.Err.err())
		}
		again, err := encode(&h, body)
		require.NoError(t, err)
		h2, body2, err := decode(again, 64)
		if err == nil { // what is escaped may make the head too long
			require.Equal(t, h, h2)
			require.Equal(t, string(body), string(body2))
		}
	})
}

func TestAnErrorThatCrossesTheBusKeepsItsCodeAndNoCause(t *testing.T) {
	err := faultOf(&message.Error{Code: message.CodeNotFound, Message: "no such thing", Err: ErrSilent}).err()
	require.Equal(t, &message.Error{Code: message.CodeNotFound, Message: "no such thing"}, err)
	require.EqualError(t, (&fault{Code: int(message.Codes), Message: "of a newer version"}).err(), "of a newer version")
}
