package redis

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAConnectionIsToBlameOnlyForWhatTheServerTook(t *testing.T) {
	p := newProbe(&follower{b: &Broker{}})
	began := time.Now()
	at := func(s float64) time.Time { return began.Add(time.Duration(s * float64(time.Second))) }
	s := &subscriber{index: 0, made: began}
	took := func(when float64, ok bool) way {
		var err error
		if !ok {
			err = errRole
		}
		p.count(map[round]error{{"a", plainOnes}: err}, err, at(when), at(when))
		ways := p.ways([]*subscriber{s}, at(when))
		require.Len(t, ways, 1)
		return ways[0]
	}
	require.Zero(t, took(0, true).age)
	p.rounds[round{"a", 0}] = at(0)
	w := took(4, false)
	require.Equal(t, 4*time.Second, w.age, "nothing came back")
	require.Zero(t, w.unheard, "since the server took nothing")
	w = took(5, true)
	require.Equal(t, 5*time.Second, w.age)
	require.Zero(t, w.unheard, "what it took now is on its way")
	w = took(8.5, true)
	require.Greater(t, w.unheard, roundMax, "what it took does not come")
	p.rounds[round{"a", 0}] = at(8)
	require.Equal(t, time.Second, took(9, true).unheard)
}

func TestANodeIsReadyWhileNewConnectionsMayStillBringTheirFirstProbes(t *testing.T) {
	f := &follower{b: &Broker{}}
	p := newProbe(f)
	began := time.Now()
	f.shards.byAddr = map[string]*subscriber{"a": {addr: "a", index: 1, made: began}}
	require.ErrorContains(t, p.ready(began), "no probe has come back yet", "the node has just begun")
	p.rounds[round{"a", 1}] = began
	require.NoError(t, p.ready(began))
	f.shards.byAddr = map[string]*subscriber{"b": {addr: "b", index: 2, made: began.Add(time.Minute)}}
	require.NoError(t, p.ready(began.Add(time.Minute+roundMax)), "another server has the slots now")
	require.ErrorContains(t, p.ready(began.Add(time.Minute+roundMax+time.Second)), "through b has come back on connection 2 for 4s")
	f.shards.byAddr = nil
	require.ErrorContains(t, p.ready(began), "no probe has come back yet", "nobody has any slots")
}
