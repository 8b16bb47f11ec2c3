package quota

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/wse-engine/wse/engine/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes a Quota of a configuration that is the default but for what change does.
func open(t testing.TB, change func(*Config)) *Quota {
	t.Helper()
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	q, err := New(cfg)
	require.NoError(t, err)
	return q
}

// send takes n messages of so many bytes, one by one, and returns how often each verdict was given.
func send(q *Quota, m *Meter, user string, n, bytes int) map[Verdict]int {
	got := map[Verdict]int{}
	for range n {
		got[m.Take(q, user, 1, bytes)]++
	}
	return got
}

func TestAConnectionIsWarnedAt80PercentOfEachRateOnceThenRefused(t *testing.T) {
	for name, c := range map[string]struct {
		limit  Limit
		bytes  int
		change func(*Config)
	}{
		"messages": {Messages, 1, func(c *Config) { c.MessagesPerSecond, c.MessagesBurst = 1, 10 }},
		"bytes":    {Bytes, 1 << 10, func(c *Config) { c.ReceiveKiBPerSecond, c.ReceiveKiBBurst = 1, 10 }},
		"messages of a user": {UserMessages, 1, func(c *Config) {
			c.UserMessagesPerSecond, c.UserMessagesBurst = 1, 10
		}},
		"bytes of a user": {UserBytes, 1 << 10, func(c *Config) {
			c.UserReceiveKiBPerSecond, c.UserReceiveKiBBurst = 1, 10
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, m := open(t, c.change), &Meter{}
				require.Equal(t, map[Verdict]int{{}: 9, {Warn, c.limit}: 1}, send(q, m, "u1", 10, c.bytes))
				require.Equal(t, map[Verdict]int{{Refuse, c.limit}: 1, {RefuseSilent, c.limit}: 4}, send(q, m, "u1", 5, c.bytes))
				require.EqualValues(t, 5, m.Refused())
				require.Zero(t, m.Refused(), "it was told")
				time.Sleep(time.Second)
				require.Equal(t, map[Verdict]int{{}: 1, {Refuse, c.limit}: 1}, send(q, m, "u1", 2, c.bytes), "one came back, and no second warning")
				time.Sleep(time.Minute)
				require.Equal(t, map[Verdict]int{{}: 9, {Warn, c.limit}: 1, {Refuse, c.limit}: 1}, send(q, m, "u1", 11, c.bytes))
			})
		})
	}
}

func TestAConnectionAgreesOnSoManyKeysAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, m := open(t, func(c *Config) { c.EncryptedKeysPerMinute = 10 }), &Meter{}
		take := func(n int) map[Verdict]int {
			got := map[Verdict]int{}
			for range n {
				got[m.TakeKeys(q, 1)]++
			}
			return got
		}
		require.Equal(t, map[Verdict]int{{}: 8, {Warn, Keys}: 1}, take(9))
		require.Equal(t, Verdict{Refuse, Keys}, m.TakeKeys(q, 2), "a batch asks for all of its keys at once")
		require.Equal(t, Verdict{}, m.TakeKeys(q, 1))
		require.Equal(t, Verdict{RefuseSilent, Keys}, m.TakeKeys(q, 1))
		require.Equal(t, Verdict{}, m.Take(q, "u1", 1, 1), "messages are another matter")
		<-time.After(6 * time.Second)
		require.Equal(t, map[Verdict]int{{}: 1, {Refuse, Keys}: 1}, take(2), "one came back, and no second warning")

		free := open(t, func(c *Config) { c.EncryptedKeysPerMinute = 0 })
		m = &Meter{}
		for range 1000 {
			require.Equal(t, Verdict{}, m.TakeKeys(free, 1))
		}
	})
}

func TestARateOfZeroIsNoLimit(t *testing.T) {
	q, m := open(t, func(c *Config) { c.MessagesPerSecond, c.ReceiveKiBPerSecond = 0, 0 }), &Meter{}
	require.Equal(t, map[Verdict]int{{}: 20_000}, send(q, m, "u1", 20_000, 1<<30))
	for range 1000 {
		near, refused := q.Enter("u1", netip.MustParseAddr("192.0.2.1"))
		require.Zero(t, near)
		require.Zero(t, refused)
		require.Zero(t, q.Upgrade(netip.MustParseAddr("192.0.2.1")))
	}
	require.Zero(t, q.users.size()+q.upgrades.size(), "nothing is remembered either")
	require.Empty(t, q.userConnections.shards[0].of)
}

func TestConnectionsOfAUserShareHisRateAndThoseOfOthersDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, func(c *Config) { c.UserMessagesPerSecond, c.UserMessagesBurst = 1, 10 })
		var a, b, other Meter
		send(q, &a, "u1", 5, 0)
		require.Equal(t, map[Verdict]int{{}: 4, {Warn, UserMessages}: 1, {Refuse, UserMessages}: 1}, send(q, &b, "u1", 6, 0))
		require.Equal(t, Verdict{Refuse, UserMessages}, a.Take(q, "u1", 1, 0))
		require.Equal(t, Verdict{}, other.Take(q, "u2", 1, 0))
	})
}

func TestReconnectingDoesNotRefillAUsersRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, func(c *Config) { c.UserMessagesPerSecond, c.UserMessagesBurst = 1, 100 })
		send(q, &Meter{}, "u1", 100, 0)
		q.users.sweep(time.Now())
		require.Equal(t, Verdict{Refuse, UserMessages}, (&Meter{}).Take(q, "u1", 1, 0))
	})
}

func TestMoreRefusalsInAMinuteThanAllowedAreTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, func(c *Config) { c.MessagesPerSecond, c.MessagesBurst, c.RefusedMessagesPerMinute = 1, 100, 3 })
		m := &Meter{}
		send(q, m, "u1", 103, 0)
		time.Sleep(time.Minute)
		require.Equal(t, map[Verdict]int{{}: 59, {Warn, Messages}: 1, {Refuse, Messages}: 1, {RefuseSilent, Messages}: 2, {Close, Messages}: 1},
			send(q, m, "u1", 64, 0), "the count begins anew each minute")
		require.EqualValues(t, 1, q.Closed())

		forgiving := open(t, func(c *Config) { c.MessagesPerSecond, c.MessagesBurst, c.RefusedMessagesPerMinute = 1, 1, 0 })
		require.Zero(t, send(forgiving, &Meter{}, "u1", 10_000, 0)[Verdict{Close, Messages}])
	})
}

func TestAUserAndAnAddressHaveOnlySoManyConnections(t *testing.T) {
	q := open(t, func(c *Config) { c.UserConnectionsMax, c.AddressConnectionsMax = 5, 6 })
	one, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.2")
	for i := range 4 {
		near, refused := q.Enter("u1", one)
		require.Zero(t, near, i)
		require.Zero(t, refused)
	}
	near, refused := q.Enter("u1", one)
	require.Equal(t, [2]Limit{UserConnections, AddressConnections}, near)
	require.Zero(t, refused)
	_, refused = q.Enter("u1", other)
	require.Equal(t, UserConnections, refused, "he has five")
	_, refused = q.Enter("u2", one)
	require.Zero(t, refused)
	_, refused = q.Enter("u2", one)
	require.Equal(t, AddressConnections, refused, "it has six")
	for range 5 {
		q.Leave("u1", one)
	}
	for range 4 {
		_, refused = q.Enter("u2", one)
		require.Zero(t, refused, "what was refused is not counted, and what left no more")
	}
	_, refused = q.Enter("u2", other)
	require.Equal(t, UserConnections, refused)
}

func TestWhatTheAddressRefusesIsNotCountedForTheUserForAMoment(t *testing.T) {
	q := open(t, func(c *Config) { c.UserConnectionsMax, c.AddressConnectionsMax = 1, 1 })
	full, free := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	_, refused := q.Enter("somebody", full)
	require.Equal(t, None, refused)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				_, _ = q.Enter("u1", full) // whether he has his one connection just then or not
			}
		}
	}()
	wrong := 0
	for range 20_000 {
		if _, refused := q.Enter("u1", free); refused != None {
			wrong++
			continue
		}
		q.Leave("u1", free)
	}
	close(done)
	<-ended
	require.Zero(t, wrong, "he has no other connection")
}

func TestAConnectionOfNobodyCountsForItsAddressUntilSomebodyLogsIn(t *testing.T) {
	q := open(t, func(c *Config) {
		c.UserConnectionsMax, c.AddressConnectionsMax, c.UserMessagesPerSecond, c.UserMessagesBurst = 1, 3, 1, 1
	})
	addr := netip.MustParseAddr("192.0.2.1")
	for range 3 {
		_, refused := q.Enter("", addr)
		require.Zero(t, refused)
	}
	_, refused := q.Enter("", addr)
	require.Equal(t, AddressConnections, refused)
	require.Zero(t, send(q, &Meter{}, "", 100, 0)[Verdict{Refuse, UserMessages}], "nobody shares nobody's rate")

	near, refused := q.Login("u1")
	require.Equal(t, UserConnections, near)
	require.Zero(t, refused)
	_, refused = q.Login("u1")
	require.Equal(t, UserConnections, refused)
	q.Leave("", addr) // the one that was refused
	_, refused = q.Login("u1")
	require.Equal(t, UserConnections, refused, "what nobody leaves is nobody's")
	q.Leave("u1", addr)
	_, refused = q.Login("u1")
	require.Zero(t, refused)
}

func TestAddressesOfOneIPv6NetworkAreOneAddress(t *testing.T) {
	q := open(t, func(c *Config) { c.AddressUpgradesPerMinute, c.AddressUpgradesBurst = 1, 2 })
	for i := range 2 {
		require.Zero(t, q.Upgrade(netip.MustParseAddr(fmt.Sprintf("2001:db8:0:1:%d::1%%eth0", i))))
	}
	require.Equal(t, AddressUpgrades, q.Upgrade(netip.MustParseAddr("2001:db8:0:1::ffff")))
	require.Zero(t, q.Upgrade(netip.MustParseAddr("2001:db8:0:2::1")))
	require.Zero(t, q.Upgrade(netip.MustParseAddr("192.0.2.1")))
	require.Zero(t, q.Upgrade(netip.MustParseAddr("::ffff:192.0.2.1")))
	require.Equal(t, AddressUpgrades, q.Upgrade(netip.MustParseAddr("192.0.2.1")), "however it is written")
	require.Zero(t, q.Upgrade(netip.Addr{}), "a listener without addresses is one address")
}

func TestWhoIsQuietIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, func(c *Config) { c.UserMessagesPerSecond, c.UserMessagesBurst = 1, 100 })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- q.Run(ctx) }()
		for i := range 50 {
			(&Meter{}).Take(q, fmt.Sprint("u", i), 1, 1)
		}
		send(q, &Meter{}, "busy", 50, 1)
		require.Equal(t, 51, q.users.size())
		time.Sleep(sweepInterval + time.Second)
		require.Equal(t, 1, q.users.size(), "only who has not yet got everything back")
		time.Sleep(time.Minute)
		require.Zero(t, q.users.size())
		cancel()
		require.NoError(t, <-done)
	})
}

func TestNoMoreSendersAreRememberedThanAllowedAndTheBusiestAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, func(c *Config) {
			c.UserMessagesPerSecond, c.UserMessagesBurst, c.SendersMax = 1, 100, 8*shards
		})
		send(q, &Meter{}, "busy", 100, 1)
		for i := range 10_000 {
			(&Meter{}).Take(q, fmt.Sprint("u", i), 1, 1)
		}
		require.LessOrEqual(t, q.users.size(), 8*shards)
		require.Equal(t, Verdict{Refuse, UserMessages}, (&Meter{}).Take(q, "busy", 1, 1))
	})
}

func TestEveryLimitSaysWhichItIsAndHowMuchIsAllowed(t *testing.T) {
	q := open(t, func(c *Config) {
		c.UserMessagesPerSecond, c.UserReceiveKiBPerSecond, c.UserConnectionsMax, c.AddressConnectionsMax = 1, 2, 3, 4
		c.AddressUpgradesPerMinute = 5
	})
	want := map[string]int{"messages_per_second": 1000, "receive_kib_per_second": 4096, "user_messages_per_second": 1,
		"user_receive_kib_per_second": 2, "user_connections_max": 3, "address_connections_max": 4, "address_upgrades_per_minute": 5, "encrypted_keys_per_minute": 60}
	for l := None + 1; l < limits; l++ {
		for _, e := range []*message.Error{q.Refusal(l, 7), q.Warning(l)} {
			var d details
			require.NoError(t, json.Unmarshal(e.Details, &d))
			require.Equal(t, want[d.Limit], d.Max, e.Message)
			require.Contains(t, e.Message, fmt.Sprint(d.Max))
			require.Equal(t, message.CodeRateLimited, e.Code)
			require.Equal(t, strings.HasPrefix(e.Message, "too many"), d.Refused == 7)
		}
		delete(want, q.rule(l).field)
	}
	require.Empty(t, want)
}

func TestCountsTellOfEveryLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, func(c *Config) { c.MessagesPerSecond, c.MessagesBurst = 1, 10 })
		send(q, &Meter{}, "u1", 12, 1)
		got := map[string]uint64{}
		for _, c := range q.Counts() {
			got[c.Limit+" "+c.Result.String()] = c.N
		}
		require.Len(t, got, 5*3+3*2)
		require.EqualValues(t, 1, got["messages_per_second warned"])
		require.EqualValues(t, 2, got["messages_per_second refused"])
		require.EqualValues(t, 0, got["messages_per_second closed"])
		require.Contains(t, got, "address_upgrades_per_minute refused")
	})
}

func TestConfigNamesEveryFieldThatIsOutOfRange(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	err := Config{MessagesPerSecond: -1, EncryptedKeysPerMinute: -1, RefusedMessagesPerMinute: -1, UserReceiveKiBPerSecond: 1 << 30}.Validate()
	for _, field := range []string{"messages_per_second", "messages_burst", "receive_kib_burst", "user_messages_burst", "user_receive_kib_per_second",
		"refused_messages_per_minute", "encrypted_keys_per_minute", "address_upgrades_burst", "senders_max"} {
		require.ErrorContains(t, err, field+": ")
	}
	_, err = New(Config{})
	require.Error(t, err)
	cfg := DefaultConfig()
	require.NoError(t, cfg.Covers(16384, 5000))
	require.ErrorContains(t, cfg.Covers(16385, 1), "receive_kib_burst: 16384 is less than message_kib_max, 16385")
	require.ErrorContains(t, cfg.Covers(1, 5001), "messages_burst: 5000 is less than batch_messages_max, 5001")
	cfg.ReceiveKiBPerSecond = 0
	require.NoError(t, cfg.Covers(16385, 1), "there is no limit that it would meet")
}

func TestThatWhichAConnectionSendsCostsNoMemory(t *testing.T) {
	q := open(t, func(c *Config) {
		c.UserMessagesPerSecond, c.UserReceiveKiBPerSecond, c.UserMessagesBurst = 1<<20, 1<<20, 1<<20
	})
	m := &Meter{}
	m.Take(q, "u1", 1, 100)
	require.Zero(t, testing.AllocsPerRun(1000, func() { m.Take(q, "u1", 1, 100) }))
}

// size returns how many are remembered.
func (s *senders[K]) size() (n int) {
	for i := range s.shards {
		s.shards[i].mu.Lock()
		n += len(s.shards[i].of)
		s.shards[i].mu.Unlock()
	}
	return n
}

// BenchmarkTake is what a message costs: with the limits of its connection only, as by default, with its user's too, and when
// it is refused.
func BenchmarkTake(b *testing.B) {
	const plenty = 1 << 40
	for _, c := range []struct {
		name   string
		change func(*Quota)
	}{
		{"connection", func(q *Quota) {
			q.messages, q.bytes = newPace(plenty, time.Second, plenty), newPace(plenty, time.Second, plenty)
		}},
		{"connection and user", func(q *Quota) {
			q.messages, q.bytes = newPace(plenty, time.Second, plenty), newPace(plenty, time.Second, plenty)
			q.users.init(1000, [2]rule{{plenty, plenty}, {plenty, plenty}})
		}},
		{"refused", func(q *Quota) { q.messages, q.cfg.RefusedMessagesPerMinute = newPace(1, time.Second, 1), 0 }},
	} {
		b.Run(c.name, func(b *testing.B) {
			q, m := open(b, nil), &Meter{}
			c.change(q)
			b.ReportAllocs()
			for b.Loop() {
				m.Take(q, "u1", 1, 100)
			}
		})
	}
}
