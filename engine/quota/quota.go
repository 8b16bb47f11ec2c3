// Package quota bounds how much clients ask for: how many messages and bytes a connection and a user send, how many
// connections a user and an address have, how often an address connects, and, in [Failures], how often it fails to log in. It
// decides and counts; what a client is told and which connection is closed is its caller's.
//
// A connection's own rates are two numbers in its [Meter]. Users and addresses have limiters of golang.org/x/time/rate, in
// maps that hold those only that have lately sent something, and no more than senders_max of them.
//
// Ownership: a Meter belongs to its connection's reading goroutine. All methods of a Quota may be called by any goroutine;
// each takes the lock of at most one part of a map at a time, and Enter that of an address's part within that of a user's.
// Run owns the one goroutine that forgets the quiet.
package quota

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/wse-engine/wse/engine/message"
)

// WarnPercent is the part of a limit from which a client is warned.
const WarnPercent = 80

// sweepInterval is how often what is quiet is forgotten.
const sweepInterval = 10 * time.Second

// Limit names one of the limits.
type Limit uint8

// The limits.
const (
	None Limit = iota
	Messages
	Bytes
	UserMessages
	UserBytes
	Keys
	UserConnections
	AddressConnections
	AddressUpgrades

	limits // how many there are
)

// Action is what becomes of a message.
type Action uint8

// The actions. Warn and Refuse are to be told to the client; a refusal is told once a second and the others are silent.
const (
	Pass         Action = iota
	Warn                // it passes, and its sender uses more than [WarnPercent] of the limit
	Refuse              // it is passed over
	RefuseSilent        // the same, and its sender was told so within this second
	Close               // the same, and it was one too many
)

// Verdict is the answer about a message, and the limit that it is about.
type Verdict struct {
	Action Action
	Limit  Limit
}

// Result is how a limit was met.
type Result uint8

// The results.
const (
	Warned Result = iota
	Refused
	Closed

	results
)

// String returns the result's name in metrics.
func (r Result) String() string { return [...]string{"warned", "refused", "closed"}[r] }

// Count is how often a limit was met with a result.
type Count struct {
	Limit  string // the field of the configuration
	Result Result
	N      uint64
}

// Quota holds the limits of one engine.
type Quota struct {
	cfg      Config
	start    time.Time
	messages pace // of a connection
	bytes    pace
	keys     pace
	users    senders[string]     // what they send
	upgrades senders[netip.Addr] // how often they connect

	userConnections    tally[string]
	addressConnections tally[netip.Addr]

	met [limits][results]atomic.Uint64
}

// New makes a Quota. It forgets nothing before Run.
func New(cfg Config) (*Quota, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	q := &Quota{
		cfg: cfg, start: time.Now(),
		messages: newPace(cfg.MessagesPerSecond, time.Second, cfg.MessagesBurst),
		bytes:    newPace(cfg.ReceiveKiBPerSecond<<10, time.Second, cfg.ReceiveKiBBurst<<10),
		keys:     newPace(cfg.EncryptedKeysPerMinute, time.Minute, cfg.EncryptedKeysPerMinute),
	}
	q.users.init(cfg.SendersMax, [2]rule{
		{rate.Limit(cfg.UserMessagesPerSecond), cfg.UserMessagesBurst},
		{rate.Limit(cfg.UserReceiveKiBPerSecond << 10), cfg.UserReceiveKiBBurst << 10},
	})
	q.upgrades.init(cfg.SendersMax, [2]rule{{rate.Limit(float64(cfg.AddressUpgradesPerMinute) / 60), cfg.AddressUpgradesBurst}})
	q.userConnections.init(cfg.UserConnectionsMax)
	q.addressConnections.init(cfg.AddressConnectionsMax)
	return q, nil
}

// Run forgets users and addresses that have been quiet long enough to be as good as new, until ctx is done.
func (q *Quota) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			q.users.sweep(now)
			q.upgrades.sweep(now)
		}
	}
}

// Upgrade asks whether an address may open one more connection now. None means yes.
func (q *Quota) Upgrade(addr netip.Addr) (refused Limit) {
	if q.cfg.AddressUpgradesPerMinute == 0 {
		return None
	}
	refusedAt, _ := q.upgrades.take(network(addr), time.Now(), [2]int{1, 0})
	if refusedAt < 0 {
		return None
	}
	q.Count(AddressUpgrades, Refused)
	return AddressUpgrades
}

// Enter counts a connection of a user from an address, for whom [Quota.Leave] is to be called when it is gone. Where it is
// one too many nothing is counted and the limit is returned; else those limits are, or None, that are nearly reached. A user
// of "" is nobody yet, and only the address is counted.
func (q *Quota) Enter(user string, addr netip.Addr) (near [2]Limit, refused Limit) {
	nearAddress, addressOK := false, false
	near[0], refused = q.login(user, func() bool {
		nearAddress, addressOK = q.addressConnections.add(network(addr), anyway)
		return addressOK
	})
	switch {
	case refused != None:
		return near, refused
	case !addressOK:
		q.Count(AddressConnections, Refused)
		return [2]Limit{}, AddressConnections
	}
	if near[0] != None {
		q.Count(near[0], Warned)
	}
	if nearAddress {
		near[1] = AddressConnections
		q.Count(AddressConnections, Warned)
	}
	return near, None
}

// Login counts a connection that entered for nobody as the user's, with whom [Quota.Leave] is to be called then. Where it is
// one too many it is not counted, and refused is the limit; near is it where it is nearly reached. It does not block.
func (q *Quota) Login(user string) (near, refused Limit) {
	if near, refused = q.login(user, anyway); near != None {
		q.Count(near, Warned)
	}
	return near, refused
}

// anyway agrees.
func anyway() bool { return true }

// login counts a connection for a user, where he may have one more and agreed says yes. What it refuses was never
// counted, not for a moment: it must not have others refused.
func (q *Quota) login(user string, agreed func() bool) (near, refused Limit) {
	if user == "" {
		agreed()
		return None, None
	}
	isNear, ok := q.userConnections.add(user, agreed)
	switch {
	case !ok:
		q.Count(UserConnections, Refused)
		return None, UserConnections
	case isNear:
		return UserConnections, None
	}
	return None, None
}

func (q *Quota) logout(user string) {
	if user != "" {
		q.userConnections.remove(user)
	}
}

// Leave ends what Enter and Login began: user is who the connection belonged to in the end.
func (q *Quota) Leave(user string, addr netip.Addr) {
	q.logout(user)
	q.addressConnections.remove(network(addr))
}

// Count counts that a limit was met.
func (q *Quota) Count(l Limit, r Result) { q.met[l][r].Add(1) }

// Counts returns how often each limit was met since the start, those that never were included.
func (q *Quota) Counts() []Count {
	counts := make([]Count, 0, (limits-1)*Limit(results))
	for l := None + 1; l < limits; l++ {
		for r := range results {
			if r == Closed && l > Keys {
				continue // who is over these was never let in
			}
			counts = append(counts, Count{q.rule(l).field, r, q.met[l][r].Load()})
		}
	}
	return counts
}

// Closed returns how many connections were to be closed for what they sent.
func (q *Quota) Closed() (n uint64) {
	for l := range limits {
		n += q.met[l][Closed].Load()
	}
	return n
}

// told is a limit in a client's words.
type told struct {
	field string // of the configuration
	scope string // what it is counted for
	what  string // what there is too much of
	max   int
	burst int // 0: there is none
}

// rule returns what is told about a limit.
func (q *Quota) rule(l Limit) told {
	c := &q.cfg
	switch l {
	case Messages:
		return told{"messages_per_second", "connection", "messages a second from a connection", c.MessagesPerSecond, c.MessagesBurst}
	case Bytes:
		return told{"receive_kib_per_second", "connection", "KiB a second from a connection", c.ReceiveKiBPerSecond, c.ReceiveKiBBurst}
	case UserMessages:
		return told{"user_messages_per_second", "user", "messages a second from all connections of a user", c.UserMessagesPerSecond, c.UserMessagesBurst}
	case UserBytes:
		return told{"user_receive_kib_per_second", "user", "KiB a second from all connections of a user", c.UserReceiveKiBPerSecond, c.UserReceiveKiBBurst}
	case Keys:
		return told{"encrypted_keys_per_minute", "connection", "keys a minute agreed on by a connection", c.EncryptedKeysPerMinute, 0}
	case UserConnections:
		return told{"user_connections_max", "user", "connections of a user", c.UserConnectionsMax, 0}
	case AddressConnections:
		return told{"address_connections_max", "address", "connections from an address", c.AddressConnectionsMax, 0}
	case AddressUpgrades:
		return told{"address_upgrades_per_minute", "address", "new connections a minute from an address", c.AddressUpgradesPerMinute, c.AddressUpgradesBurst}
	}
	return told{field: "none"}
}

// details are the details of an error about a limit.
type details struct {
	Limit   string `json:"limit"`
	Scope   string `json:"scope"`
	Max     int    `json:"max"`
	Burst   int    `json:"burst,omitempty"`
	Refused uint32 `json:"refused"`
}

// Refusal says that a limit is reached. refused is how many messages were passed over lately, this one included.
func (q *Quota) Refusal(l Limit, refused uint32) *message.Error {
	t := q.rule(l)
	return message.Errorf(message.CodeRateLimited, "too many %s: %d are allowed%s", t.what, t.max, t.rest()).
		WithDetails(details{t.field, t.scope, t.max, t.burst, refused})
}

// Warning says that a limit is near.
func (q *Quota) Warning(l Limit) *message.Error {
	t := q.rule(l)
	return message.Errorf(message.CodeRateLimited, "over %d%% of the %s that are allowed, %d%s", WarnPercent, t.what, t.max, t.rest()).
		WithDetails(details{t.field, t.scope, t.max, t.burst, 0})
}

func (t *told) rest() string {
	if t.burst == 0 {
		return ""
	}
	return fmt.Sprintf(", and %d at once after a rest", t.burst)
}

// network is what stands for an address: of IPv6 the first 64 bits, since who has one address of those has them all.
func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if addr.Is4() {
		return addr
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return netip.Addr{} // no address at all
	}
	return prefix.Addr()
}
