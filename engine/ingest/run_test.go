package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// failingAt is a Publisher that takes everything but the n-th publication, counted from 1.
type failingAt struct {
	n, called int
	err       error
	took      []string
}

var _ Publisher = (*failingAt)(nil)

func (p *failingAt) Publish(_ context.Context, env *message.Envelope) (broker.Published, error) {
	if p.called++; p.called == p.n {
		return broker.Published{}, p.err
	}
	p.took = append(p.took, env.ID)
	return broker.Published{ID: env.ID, Position: broker.Position{Offset: uint64(len(p.took))}}, nil
}

// numbered provides events with ids.
func numbered() func(i int) (*message.Event, error) {
	return func(i int) (*message.Event, error) {
		return &message.Event{Type: "X", UserID: "u1", ID: fmt.Sprint("e", i), Payload: []byte(`{}`)}, nil
	}
}

func TestARunEndsAtAFailureOfTheMoment(t *testing.T) {
	for _, err := range []error{broker.ErrUnavailable, broker.ErrFull, broker.ErrClosed, broker.ErrFenced, context.DeadlineExceeded} {
		p := &failingAt{n: 151, err: err} // in the second part, so that a third one is under way
		in, e := New(DefaultConfig(), &echoing{}, p)
		require.NoError(t, e)
		outcomes := in.PublishRun(t.Context(), 400, numbered())
		require.Len(t, outcomes, 400)
		for i, o := range outcomes {
			switch {
			case i < 150:
				require.NoError(t, o.Err)
				require.Equal(t, fmt.Sprint("e", i), o.Results[0].ID)
			case i == 150:
				require.ErrorIs(t, o.Err, err)
				require.True(t, Passing(o.Err))
			default:
				require.ErrorIs(t, o.Err, ErrHeld)
				require.False(t, Passing(o.Err))
			}
		}
		require.Len(t, p.took, 150)
	}
}

func TestARunGoesOnBehindWhatFailsForGood(t *testing.T) {
	p := &failingAt{n: 2, err: errors.New("wrong type of key")}
	in, err := New(DefaultConfig(), &echoing{}, p)
	require.NoError(t, err)
	outcomes := in.PublishRun(t.Context(), 6, func(i int) (*message.Event, error) {
		ev, _ := numbered()(i)
		switch i {
		case 2:
			ev.Type = "Deny"
		case 3:
			return nil, errors.New("no event")
		case 4:
			ev.Type = ""
		}
		return ev, nil
	})
	require.Equal(t, []string{"e0", "e5"}, p.took)
	for i := 1; i < 5; i++ {
		require.Error(t, outcomes[i].Err)
		require.False(t, Passing(outcomes[i].Err), "%d: %v", i, outcomes[i].Err)
	}
}

func TestThatNoPluginCanBeAskedIsOfTheMoment(t *testing.T) {
	p := &failingAt{}
	in, err := New(DefaultConfig(), &echoing{}, p)
	require.NoError(t, err)
	outcomes := in.PublishRun(t.Context(), 3, func(i int) (*message.Event, error) {
		ev, _ := numbered()(i)
		if i == 1 {
			ev.Type = "Closed"
		}
		return ev, nil
	})
	require.True(t, Passing(outcomes[1].Err))
	require.ErrorIs(t, outcomes[2].Err, ErrHeld)
	require.Equal(t, []string{"e0"}, p.took)
}

// keeping is a Keeper.
type keeping struct {
	mu   sync.Mutex
	kept []Letter
	err  error
}

var _ Keeper = (*keeping)(nil)

func (k *keeping) Keep(_ context.Context, l Letter) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return "", k.err
	}
	l.Document = []byte(string(l.Document))
	k.kept = append(k.kept, l)
	return fmt.Sprint("kept", len(k.kept)), nil
}

func (k *keeping) LetterStats() LetterStats { return LetterStats{Kept: len(k.kept)} }

func TestAKeeperKeepsTheDeadLettersInPlaceOfTheMemory(t *testing.T) {
	k := new(keeping)
	in, err := New(DefaultConfig(), &echoing{}, new(failingAt), WithKeeper(k))
	require.NoError(t, err)
	results, err := in.PublishEvent(t.Context(), &message.Event{Type: "Fail", ID: "e1", Payload: []byte(`{"n":1}`)})
	require.NoError(t, err)
	require.Equal(t, Result{Status: DeadLettered, ID: "e1", Reason: "no such luck", Letter: "kept1"}, results[0])
	require.Equal(t, Letter{
		EventID: "e1", Named: true, Event: "Fail", Plugin: "echo", Version: "abc", Reason: "no such luck",
		Document: []byte(`{"type":"Fail","payload":{"n":1},"id":"e1"}`),
	}, k.kept[0])
	results, err = in.PublishEvent(t.Context(), &message.Event{Type: "Fail", Payload: []byte(`{}`)})
	require.NoError(t, err)
	require.Equal(t, results[0].ID, k.kept[1].EventID)
	require.False(t, k.kept[1].Named)
	list, total, err := in.DeadLetters(t.Context(), LetterQuery{}, 10)
	require.NoError(t, err)
	require.Empty(t, list)
	require.Zero(t, total)
	require.Equal(t, uint64(2), in.Stats().DeadLettered)
	require.Equal(t, 2, in.LetterStats().Kept)
}

func TestWhatCannotBeKeptIsRefusedSoThatItsPublisherHasItStill(t *testing.T) {
	in, err := New(DefaultConfig(), &echoing{}, new(failingAt), WithKeeper(&keeping{err: errors.New("down")}))
	require.NoError(t, err)
	_, err = in.PublishEvent(t.Context(), &message.Event{Type: "Fail", ID: "e1", Payload: []byte(`{}`)})
	refused(t, err, message.CodeUnavailable, "neither transformed nor kept")
	require.True(t, Passing(err))
	require.Equal(t, Stats{Refused: 1}, in.Stats())
}

func TestAnotherWayToTheBrokerSharesAllElse(t *testing.T) {
	first, second := new(failingAt), new(failingAt)
	in, err := New(DefaultConfig(), &echoing{}, first)
	require.NoError(t, err)
	_, err = in.Through(second).PublishEvent(t.Context(), &message.Event{Type: "X", UserID: "u1", ID: "e1", Payload: []byte(`{}`)})
	require.NoError(t, err)
	require.Empty(t, first.took)
	require.Equal(t, []string{"e1"}, second.took)
	require.Equal(t, uint64(1), in.Stats().Published)
}
