package brokertest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// numbering: +1 per publication and topic, one epoch, order under concurrency.
func numbering() []promise {
	return []promise{
		{"a topic's numbers begin at one and grow by one", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			topic := f.topic()
			for want := uint64(1); want <= 5; want++ {
				require.Equal(t, want, f.publish(update(topic)).Offset)
			}
			require.Equal(t, upTo(1, 5), numbers(f.deliveries(topic, 5)))
		}},
		{"topics are numbered each on their own", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			one, other := f.topic(), f.topic()
			f.fill(one, 3)
			require.Equal(t, uint64(1), f.publish(update(other)).Offset)
			require.Equal(t, uint64(4), f.publish(update(one)).Offset)
		}},
		{"where history is kept every publication carries one epoch that is not zero", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			topic := f.topic()
			epoch := f.publish(update(topic)).Epoch
			require.NotZero(t, epoch)
			require.Equal(t, broker.Position{Epoch: epoch, Offset: 2}, f.publish(update(topic)).Position)
			for _, env := range f.deliveries(topic, 2) {
				require.Equal(t, epoch, env.Epoch)
				require.True(t, env.HasHistory())
			}
			require.Equal(t, broker.Position{Epoch: epoch, Offset: 2}, f.history(topic, broker.Query{}).Position)
		}},
		{"where no history is kept there is a number and no epoch", func(t *testing.T, open Open) {
			f := start(t, open, func(c *broker.Class) { c.HistorySize = 0 })
			topic := f.topic()
			require.Equal(t, broker.Position{Offset: 1}, f.publish(update(topic)).Position)
			require.Zero(t, f.deliveries(topic, 1)[0].Epoch)
			h := f.history(topic, broker.Query{Limit: -1})
			require.Equal(t, broker.Position{Offset: 1}, h.Position)
			require.Empty(t, h.Publications)
		}},
		{"two topics do not share an epoch", func(t *testing.T, open Open) {
			f := start(t, open, nil)
			seen := make(map[message.Epoch]bool)
			for range 8 {
				seen[f.publish(update(f.topic())).Epoch] = true
			}
			require.Len(t, seen, 8)
		}},
		{"concurrent publishers of one topic are delivered in the order of their numbers", concurrentPublishers},
		{"a reader that joins live delivery by Position misses nothing and sees nothing twice", joiningReaders},
	}
}

// start many goroutines and wait for them; t.Fatal is not for them, so work reports by an error.
func together(t *testing.T, n int, work func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() { errs[i] = work(i) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func concurrentPublishers(t *testing.T, open Open) {
	const publishers, each = 8, 200
	f := start(t, open, func(c *broker.Class) { c.HistorySize = publishers * each })
	topics := []message.Topic{f.topic(), f.topic()}
	together(t, publishers, func(i int) error {
		last := uint64(0)
		for range each {
			p, err := f.broker.Publish(t.Context(), update(topics[i%2]))
			if err != nil {
				return err
			}
			if p.Offset <= last {
				return fmt.Errorf("publisher %d got number %d after %d", i, p.Offset, last)
			}
			last = p.Offset
		}
		return nil
	})
	for _, topic := range topics {
		all := upTo(1, publishers/2*each)
		require.Equal(t, all, numbers(f.deliveries(topic, len(all))))
		require.Equal(t, all, numbers(f.history(topic, broker.Query{Limit: -1}).Publications))
	}
}

// joiningReaders asks for the history while publications go on and later joins what was delivered to it: history up to
// Position, deliveries after it.
func joiningReaders(t *testing.T, open Open) {
	const publishers, each, readers = 4, 150, 20
	f := start(t, open, func(c *broker.Class) { c.HistorySize = publishers * each })
	topic := f.topic()
	answers := make([]broker.History, readers)
	together(t, publishers+readers, func(i int) error {
		if i >= publishers {
			var err error
			answers[i-publishers], err = f.broker.History(t.Context(), topic, broker.Query{Limit: -1})
			return err
		}
		for range each {
			if _, err := f.broker.Publish(t.Context(), update(topic)); err != nil {
				return err
			}
		}
		return nil
	})
	live := f.deliveries(topic, publishers*each)
	for i, h := range answers {
		joined := numbers(h.Publications)
		for _, env := range live {
			if env.Seq > h.Position.Offset {
				joined = append(joined, env.Seq)
			}
		}
		require.Equal(t, upTo(1, publishers*each), joined, "reader %d, who joined at %d", i, h.Position.Offset)
	}
}
