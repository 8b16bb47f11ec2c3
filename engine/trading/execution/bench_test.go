package execution

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/ledger"
)

// idle is a strategy that does nothing, but for one order at its first tick where it is to hold something.
type idle struct {
	holds bool
	first [1]message.StrategyAction
}

func (s *idle) Open(context.Context, []byte) error { return nil }

func (s *idle) Ticks(_ context.Context, _ uint32, ticks []message.StrategyTick) (int, []message.StrategyAction, error) {
	if s.holds {
		s.holds = false
		s.first[0] = buy("e", 0.02314567)
		return 1, s.first[:], nil
	}
	return len(ticks), nil, nil
}

func (s *idle) Update(context.Context, []byte) ([]message.StrategyAction, error) { return nil, nil }

// nobody wants to hear anything.
type nobody struct{}

func (nobody) Wants() Kinds { return 0 }
func (nobody) Emit(*Event)  {}

func idleRun(t testing.TB, strategies int, holds bool) *Run {
	books, err := ledger.New(ledger.DefaultConfig())
	require.NoError(t, err)
	r, err := New(DefaultConfig(), books, nobody{})
	require.NoError(t, err)
	for i := range strategies {
		name := fmt.Sprint(i)
		require.NoError(t, r.Add(name, nil, &idle{holds: holds}, name))
		require.NoError(t, r.Activate(context.Background(), name, "X"))
	}
	return r
}

// tape is some ticks whose price changes with each, with two decimals, everyMS apart.
func tape(n int, everyMS float64) []message.StrategyTick {
	random := rand.New(rand.NewPCG(1, 2))
	cents := 4321012.0
	ticks := make([]message.StrategyTick, n)
	for i := range ticks {
		cents += float64(random.IntN(201) - 100)
		ticks[i] = message.StrategyTick{TimeMS: float64(i) * everyMS, Price: cents / 100, Volume: 1, QuoteVolume: cents / 100}
	}
	return ticks
}

func BenchmarkTicks(b *testing.B) {
	for _, c := range []struct {
		name       string
		strategies int
		holds      bool
		batch      int
	}{{"nothing held, 4096 a batch", 1, false, 4096}, {"one position, 4096 a batch", 1, true, 4096}, {"one position, 1 a batch", 1, true, 1},
		{"four strategies with positions, 4096 a batch", 4, true, 4096}} {
		b.Run(c.name, func(b *testing.B) {
			r := idleRun(b, c.strategies, c.holds)
			ticks := tape(c.batch, 50)
			span := float64(c.batch) * 50
			require.NoError(b, r.Ticks(b.Context(), "X", ticks))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				for i := range ticks {
					ticks[i].TimeMS += span
				}
				if err := r.Ticks(b.Context(), "X", ticks); err != nil {
					b.Fatal(err)
				}
				n += len(ticks)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/tick")
		})
	}
}

// BenchmarkTrading is a strategy that buys and sells at every other tick: what an order costs from the strategy to the books.
func BenchmarkTrading(b *testing.B) {
	for _, wants := range []Kinds{0, AllKinds} {
		b.Run(fmt.Sprintf("wants %x", wants), func(b *testing.B) {
			books, err := ledger.New(ledger.DefaultConfig())
			require.NoError(b, err)
			r, err := New(plain(), books, deaf(wants))
			require.NoError(b, err)
			require.NoError(b, r.Add("s", nil, &busy{}, ""))
			require.NoError(b, r.Activate(b.Context(), "s", "X"))
			ticks := tape(4096, 50)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				for i := range ticks {
					ticks[i].TimeMS += 4096 * 50
				}
				if err := r.Ticks(b.Context(), "X", ticks); err != nil {
					b.Fatal(err)
				}
				n += len(ticks) / 2
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/order")
		})
	}
}

// deaf wants to hear of some kinds, and forgets them.
type deaf Kinds

func (d deaf) Wants() Kinds { return Kinds(d) }
func (deaf) Emit(*Event)    {}

type busy struct {
	n   int
	out [1]message.StrategyAction
}

func (s *busy) Open(context.Context, []byte) error { return nil }

func (s *busy) Ticks(_ context.Context, _ uint32, ticks []message.StrategyTick) (int, []message.StrategyAction, error) {
	for i := range ticks {
		if s.n++; s.n%2 == 0 {
			s.out[0] = buy("e", 0.1)
			if s.n%4 == 0 {
				s.out[0] = sell("x", 0.1)
			}
			s.out[0].At = i
			return i + 1, s.out[:], nil
		}
	}
	return len(ticks), nil, nil
}

func (s *busy) Update(context.Context, []byte) ([]message.StrategyAction, error) { return nil, nil }

func TestATickOfAStrategyWithNothingToSayAllocatesNothing(t *testing.T) {
	for _, holds := range []bool{false, true} {
		r := idleRun(t, 2, holds)
		ticks := tape(4096, 50)
		feed := func() {
			for i := range ticks {
				ticks[i].TimeMS += 4096 * 50
			}
			if err := r.Ticks(context.Background(), "X", ticks); err != nil {
				t.Fatal(err)
			}
		}
		feed()
		require.Zero(t, testing.AllocsPerRun(20, feed))
	}
}
