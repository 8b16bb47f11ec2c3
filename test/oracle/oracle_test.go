package oracle

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// seen is a step of a made-up connection: a publication's number and type, or, with seq 0, the end mark, or being told.
type seen struct {
	seq  uint64
	kind string
	told *Recovery
}

var mark = seen{}

func update(seq uint64) seen   { return seen{seq: seq, kind: "update"} }
func snapshot(seq uint64) seen { return seen{seq: seq, kind: "a_snapshot"} }
func told(epoch string, seq uint64) seen {
	return seen{told: &Recovery{Epoch: epoch, Offset: seq}}
}

// follow plays a connection to an engine.
func follow(run int, asked *Place, r *Recovery, steps ...seen) error {
	f := &Follower{Topic: "t", Kept: 5, Asked: asked}
	if err := f.Answered(run, r); err != nil {
		return err
	}
	epoch := "e"
	for _, s := range steps {
		var err error
		switch {
		case s.told != nil:
			epoch = s.told.Epoch
			err = f.Restarted(*s.told)
		case s.seq == 0:
			err = f.Complete()
		default:
			err = f.Publication(Place{run, epoch, s.seq}, s.kind)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestTheFollowerOfATopicToldFromOneThatLostItsWay keeps the oracle honest: it has to find each kind of fault, where an engine keeps
// the topic and where it is kept elsewhere.
func TestTheFollowerOfATopicToldFromOneThatLostItsWay(t *testing.T) {
	for kept, n := range map[string]int{"elsewhere": 0, "by an engine": 1} {
		t.Run(kept, func(t *testing.T) {
			run := func(asked *Place, r *Recovery, steps ...seen) error { return follow(n, asked, r, steps...) }
			at := func(seq uint64) *Place { return &Place{n, "e", seq} }

			yes := &Recovery{"e", 3, true, 2}
			require.NoError(t, run(at(1), yes, update(2), update(3), mark, update(4)))
			require.ErrorContains(t, run(at(1), yes, update(3)), at(3).String()+" came after "+at(1).String(), "one was left out of the replay")
			require.ErrorContains(t, run(at(1), yes, update(2), update(2)), "came after", "one came twice")
			require.ErrorContains(t, run(at(1), yes, update(2), mark), "the end mark came at e:2")
			require.ErrorContains(t, run(at(1), yes, update(2), update(3), update(4)), "before the end mark")
			require.ErrorContains(t, run(at(1), yes, update(2), update(3), mark, update(5)), "came after", "a gap between replay and live")
			require.ErrorContains(t, run(at(1), yes, update(2), update(3), mark, update(3)), "came after", "doubled between replay and live")
			require.ErrorContains(t, run(at(1), &Recovery{"e", 4, true, 2}), "recovered from")
			require.ErrorContains(t, run(&Place{n, "d", 1}, yes), "recovered from", "of another epoch")
			require.ErrorContains(t, run(&Place{n + 1, "e", 1}, yes), "recovered from", "of another engine")
			require.ErrorContains(t, run(&Place{n, NoEpoch, 1}, &Recovery{NoEpoch, 3, true, 2}), "recovered from", "there is no history")

			no := &Recovery{"e", 9, false, 0}
			require.NoError(t, run(at(1), no, snapshot(8), update(9), mark, update(10)))
			require.NoError(t, run(at(1), no, mark, update(10)), "nothing is retained")
			require.NoError(t, run(&Place{n + 1, "d", 8}, no, mark, update(10)), "the engine was started again")
			require.ErrorContains(t, run(at(1), no, update(8)), "begins with")
			require.ErrorContains(t, run(at(1), no, snapshot(7), update(9)), "came after", "a gap behind the snapshot")
			require.ErrorContains(t, run(at(1), no, snapshot(8), mark), "the end mark came at")
			require.ErrorContains(t, run(at(1), no, mark, update(11)), "came after", "a gap where nothing was sent")
			require.ErrorContains(t, run(at(5), no), "could be recovered from")
			require.ErrorContains(t, run(at(10), no), "could be recovered from", "the numbering went back")
			require.ErrorContains(t, run(nil, no), "recovery asked for: false")

			require.NoError(t, run(nil, nil, snapshot(2), update(3), mark, update(4)))
			require.NoError(t, run(nil, nil, mark, update(7), update(8)))
			require.ErrorContains(t, run(nil, nil, mark, update(7), update(9)), "came after")
			require.ErrorContains(t, (&Follower{}).Publication(*at(1), "update"), "before the answer")
			require.ErrorContains(t, (&Follower{}).Complete(), "before the answer")
		})
	}
	no := &Recovery{"e", 9, false, 0}
	require.ErrorContains(t, follow(1, &Place{1, "d", 8}, no), "the epoch changed")
	require.NoError(t, follow(0, &Place{0, "d", 8}, no, mark, update(10)), "another epoch, of what is kept elsewhere")
}

func TestAFollowerMayBeToldThatTheTopicBeginsAnew(t *testing.T) {
	run := func(steps ...seen) error {
		before := []seen{update(2), update(3), mark}
		return follow(0, &Place{0, "e", 1}, &Recovery{"e", 3, true, 2}, append(before, steps...)...)
	}
	require.NoError(t, run(told("e", 9), snapshot(9), mark, update(10)), "told of a gap")
	require.NoError(t, run(told("f", 1), mark, update(2)), "told of another epoch")
	require.ErrorContains(t, run(told("e", 2)), "went back")
	require.ErrorContains(t, run(told("e", 9), mark, update(11)), "came after")
	require.ErrorContains(t, run(told("e", 9), update(10)), "begins with")
	require.ErrorContains(t, run(seen{told: &Recovery{"e", 4, true, 1}}), "nothing is missing")
	require.ErrorContains(t, (&Follower{}).Restarted(Recovery{"e", 9, false, 0}), "before the subscription")

	f := Joined("t", 5)
	require.NoError(t, f.Publication(Place{0, "e", 7}, "update"), "a pattern says nothing of where it begins")
	require.Error(t, f.Publication(Place{0, "e", 9}, "update"))
	require.NoError(t, f.Restarted(Recovery{Epoch: "e", Offset: 9}))
	require.Equal(t, 1, f.Told)
	require.False(t, f.Live())
	require.NoError(t, f.Complete())
	require.True(t, f.Live())
	require.Equal(t, Place{0, "e", 9}, f.At)
}

// TestTheLedgerTellsWhatNobodyMayContradict does the same for what all of them see together.
func TestTheLedgerTellsWhatNobodyMayContradict(t *testing.T) {
	l := NewLedger()
	record := func(p Place, id string) (bool, error) { return l.Record("t", p, id) }
	for kept, n := range map[string]int{"elsewhere": 0, "by an engine": 1} {
		isNew, err := record(Place{n, "e", 1}, "a")
		require.NoError(t, err)
		require.True(t, isNew, kept)
		isNew, err = record(Place{n, "e", 1}, "a")
		require.NoError(t, err)
		require.False(t, isNew)
		_, err = record(Place{n, "e", 1}, "b")
		require.ErrorContains(t, err, "to another", "two at one place")
		_, err = record(Place{n, "e", 2}, "a")
		require.ErrorContains(t, err, "published twice", "one at two places")
	}
	_, err := record(Place{1, "f", 2}, "a")
	require.ErrorContains(t, err, "published twice", "an engine knows it as long as it lives")
	_, err = record(Place{0, "f", 2}, "a")
	require.NoError(t, err, "in another epoch")
	_, err = record(Place{2, "f", 2}, "a")
	require.NoError(t, err, "in another engine")
	require.ErrorContains(t, l.Holes(2), "before f:2 of engine 2")
	_, err = record(Place{2, "f", 1}, "c")
	require.NoError(t, err)
	require.NoError(t, l.Holes(2))

	l.Forge("x")
	_, err = record(Place{2, "f", 2}, "x")
	require.NoError(t, err)
	require.True(t, l.Knows("t", "c"))
	require.False(t, l.Knows("t", "x"))
	isNew, err := record(Place{0, NoEpoch, 1}, "d")
	require.NoError(t, err)
	require.False(t, isNew, "the numbers begin anew, and nothing tells when")
}
