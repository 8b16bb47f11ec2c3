package trading

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

func TestTicksAreDueAFactorFasterThanTheyCame(t *testing.T) {
	now := time.Unix(1000, 0)
	batch := []message.Tick{{TimeMS: 5000}, {TimeMS: 6000}, {TimeMS: 6000}, {TimeMS: 9000}}
	p := newPace(2)
	n, _ := p.due(batch, now)
	require.Equal(t, 1, n)
	n, wait := p.due(batch[1:], now)
	require.Zero(t, n)
	require.Equal(t, 500*time.Millisecond, wait)
	n, _ = p.due(batch[1:], now.Add(500*time.Millisecond))
	require.Equal(t, 2, n)
	p.rest(now.Add(time.Second))
	p.rest(now.Add(time.Minute))
	n, wait = p.due(batch[3:], now.Add(time.Hour))
	require.Zero(t, n)
	require.Equal(t, time.Second, wait, "after a rest what was left to wait is waited")
	n, _ = p.due(batch[3:], now.Add(time.Hour+time.Second))
	require.Equal(t, 1, n)
	newPace(1).rest(now)
	n, wait = p.due([]message.Tick{{TimeMS: 1 << 50}}, now.Add(time.Hour))
	require.Zero(t, n)
	require.Equal(t, maxWaitMS*time.Millisecond, wait)
	n, _ = newPace(0).due(batch, now)
	require.Equal(t, 4, n, "0 is as fast as it goes")
}

func TestAnInboxDropsWhatItHasNoRoomForAndTellsHowMuch(t *testing.T) {
	i := newInbox(2)
	for n := range 5 {
		i.take(&message.Tick{TimeMS: int64(n)})
	}
	i.Deliver(&message.Envelope{Type: message.TypeOrderPlaced})
	i.Deliver(&message.Envelope{Type: message.TypeExecutionReport})
	<-i.ready
	ticks, reports := i.empty(nil)
	require.Len(t, ticks, 2)
	require.Len(t, reports, 1)
	require.EqualValues(t, 3, i.lost())
	i.take(&message.Tick{TimeMS: 9})
	again, _ := i.empty(ticks)
	require.Equal(t, []message.Tick{{TimeMS: 9}}, again)
}
