package scenario

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/test/oracle"
)

// checkSync checks the history that a sync_request was answered with: everything after last, as far as it is kept, up to
// where the client was when it asked, at least.
func checkSync(topic string, size, last uint64, asked oracle.Place, got []oracle.Place) error {
	if len(got) == 0 {
		if asked.Seq > last {
			return fmt.Errorf("%s: nothing came for what follows %d, and the client is at %v", topic, last, asked)
		}
		return nil
	}
	for i, p := range got[1:] {
		if p != got[i].Next() {
			return fmt.Errorf("%s: %v came after %v in what was asked for", topic, p, got[i])
		}
	}
	switch first, end := got[0], got[len(got)-1]; {
	case first.Run != asked.Run || first.Epoch != asked.Epoch:
		return fmt.Errorf("%s: %v came for %v", topic, first, asked)
	case first.Seq <= last, first.Seq > last+1 && uint64(len(got)) < size:
		return fmt.Errorf("%s: %d publications came from %v on for what follows %d", topic, len(got), first, last)
	case end.Seq < asked.Seq:
		return fmt.Errorf("%s: history ends at %v, and the client was at %v", topic, end, asked)
	}
	return nil
}

// ledger is the one of all, and tells how much is published.
type ledger struct {
	*oracle.Ledger

	mu    sync.Mutex
	moved sync.Cond
	total int  // publications known; guarded by mu
	over  bool // nobody publishes any more; guarded by mu
}

func newLedger() *ledger {
	l := &ledger{Ledger: oracle.NewLedger()}
	l.moved.L = &l.mu
	return l
}

// record says that the publication with an id has a place, which nobody may contradict.
func (l *ledger) record(topic string, p oracle.Place, id string) error {
	isNew, err := l.Record(topic, p, id)
	if !isNew {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total++
	l.moved.Broadcast()
	return nil
}

// wait returns when n publications more are known, or nobody publishes any more.
func (l *ledger) wait(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n += l.total; l.total < n && !l.over; {
		l.moved.Wait()
	}
}

// close says that nobody publishes any more.
func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.moved.Broadcast()
}

// TestTheAnswerToASyncRequestToldFromAWrongOne does the same for what a sync_request is answered with.
func TestTheAnswerToASyncRequestToldFromAWrongOne(t *testing.T) {
	places := func(seqs ...uint64) (all []oracle.Place) {
		for _, seq := range seqs {
			all = append(all, oracle.Place{Run: 1, Epoch: "e", Seq: seq})
		}
		return all
	}
	at := oracle.Place{Run: 1, Epoch: "e", Seq: 7}
	require.NoError(t, checkSync("t", 5, 5, at, places(6, 7, 8)))
	require.NoError(t, checkSync("t", 5, 1, at, places(4, 5, 6, 7, 8)), "the rest is not kept any more")
	require.NoError(t, checkSync("t", 5, 7, at, nil))
	require.Error(t, checkSync("t", 5, 6, at, nil))
	require.Error(t, checkSync("t", 5, 5, at, places(6, 8)))
	require.Error(t, checkSync("t", 5, 5, at, places(6)))
	require.Error(t, checkSync("t", 5, 5, at, places(5, 6, 7)))
	require.Error(t, checkSync("t", 5, 4, at, places(6, 7, 8)))
	require.Error(t, checkSync("t", 5, 5, oracle.Place{Run: 2, Epoch: "f", Seq: 7}, places(6, 7)))
}
