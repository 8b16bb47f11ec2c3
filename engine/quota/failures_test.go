package quota

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/message"
)

func newFailures(t testing.TB, perMinute, addresses int) *Failures {
	t.Helper()
	f, err := NewFailures(FailuresConfig{
		Name: "auth.failures_per_minute", What: "failed logins", PerMinute: perMinute, Block: 2 * time.Minute, AddressesMax: addresses,
	})
	require.NoError(t, err)
	return f
}

// fail lets addr fail n times and returns which of them blocked it, from 1 on.
func fail(f *Failures, addr netip.Addr, n int) (blocks []int) {
	for i := range n {
		if f.Failed(addr) {
			blocks = append(blocks, i+1)
		}
	}
	return blocks
}

func TestAnAddressThatFailsTooOftenIsBlockedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailures(t, 3, 1000)
		one, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		require.Empty(t, fail(f, one, 2))
		require.Zero(t, f.Wait(one))
		<-time.After(time.Minute)
		require.Empty(t, fail(f, one, 2), "a minute later it counts anew")
		require.Equal(t, []int{1}, fail(f, one, 5), "what was under way does not prolong it")
		wait := f.Wait(one)
		require.Equal(t, 2*time.Minute, wait)
		require.Zero(t, f.Wait(other))
		<-time.After(wait - time.Millisecond)
		require.Equal(t, time.Millisecond, f.Wait(one))
		<-time.After(time.Millisecond)
		require.Zero(t, f.Wait(one))
		require.Equal(t, []int{3}, fail(f, one, 3))
		require.Equal(t, FailureStats{Failed: 12, Refused: 2, Blocked: 2, Addresses: 1}, f.Stats())
	})
}

func TestFailuresOfAnIPv6NetworkAreOnes(t *testing.T) {
	f := newFailures(t, 3, 1000)
	for i := range 3 {
		f.Failed(netip.MustParseAddr(fmt.Sprintf("2001:db8:0:1:%d::1", i)))
	}
	require.NotZero(t, f.Wait(netip.MustParseAddr("2001:db8:0:1::ffff")))
	require.Zero(t, f.Wait(netip.MustParseAddr("2001:db8:0:2::1")))
	fail(f, netip.MustParseAddr("::ffff:192.0.2.1"), 3)
	require.NotZero(t, f.Wait(netip.MustParseAddr("192.0.2.1")))
}

func TestAFailureLimitOfZeroIsNone(t *testing.T) {
	f := newFailures(t, 0, 1)
	require.Empty(t, fail(f, netip.MustParseAddr("192.0.2.1"), 1000))
	require.Zero(t, f.Wait(netip.MustParseAddr("192.0.2.1")))
	require.Equal(t, FailureStats{Failed: 1000}, f.Stats())
}

func TestNoMoreFailingAddressesAreRememberedThanAllowedAndTheBlockedAreKept(t *testing.T) {
	f := newFailures(t, 3, 8*shards)
	blocked := netip.MustParseAddr("192.0.2.1")
	fail(f, blocked, 3)
	for i := range 20_000 {
		f.Failed(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	require.LessOrEqual(t, f.Stats().Addresses, 8*shards)
	require.NotZero(t, f.Wait(blocked))
}

func TestAddressesWhoseFailuresAreOverAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailures(t, 2, 1000)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.Run(ctx) }()
		f.Failed(netip.MustParseAddr("192.0.2.1"))
		fail(f, netip.MustParseAddr("192.0.2.2"), 2)
		begun := time.Now()
		for left := range 2 {
			require.Eventually(t, func() bool { return f.Stats().Addresses == 1-left }, time.Minute+sweepInterval+time.Second, time.Second)
			require.GreaterOrEqual(t, time.Since(begun), time.Duration(left+1)*time.Minute, "not while it counts")
		}
		cancel()
		require.NoError(t, <-done)
	})
}

func TestABlockSaysWhenToComeBack(t *testing.T) {
	f := newFailures(t, 3, 1)
	e := f.Refusal(1500 * time.Millisecond)
	require.Equal(t, message.CodeRateLimited, e.Code)
	require.Contains(t, e.Message, "too many failed logins from this address: 3 a minute are allowed; try again in 2 s")
	var d map[string]any
	require.NoError(t, json.Unmarshal(e.Details, &d))
	require.Equal(t, map[string]any{"limit": "auth.failures_per_minute", "scope": "address", "max": 3.0, "retry_after_s": 2.0}, d)
}

func TestLimitsOfFailuresThatAreOutOfRangeAreRefused(t *testing.T) {
	_, err := NewFailures(FailuresConfig{PerMinute: -1})
	for _, field := range []string{"per minute", "block", "addresses"} {
		require.ErrorContains(t, err, field+": ")
	}
}

func TestWaitingForNothingCostsNoMemory(t *testing.T) {
	f := newFailures(t, 3, 1000)
	addr := netip.MustParseAddr("192.0.2.1")
	f.Failed(addr)
	require.Zero(t, testing.AllocsPerRun(1000, func() { f.Wait(addr) }))
}
