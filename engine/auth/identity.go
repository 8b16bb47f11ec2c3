package auth

import (
	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// Identity is who a connection belongs to, as its token says. It is immutable, and small: one is kept per connection.
type Identity struct {
	// UserID is the token's sub or user_id; it can stand as a segment of a topic. It is empty where nobody has logged in.
	UserID string
	// Level is the token's permission_level: basic, trader, premium or admin. A token with neither a level nor
	// permissions is basic; one with permissions alone has no level, "".
	Level string
	// Permissions are what the level and the permissions claim allow together.
	Permissions Permissions
	// ExpiresMS is the Unix time in milliseconds from which the token is refused, the leeway included.
	ExpiresMS int64
	// Claims is the token's claims object as raw JSON, for authorize plugins. No name occurs twice in it.
	Claims []byte
}

// Anonymous returns the identity of a connection that nobody has logged in on yet. It may do nothing, and does not run out.
func Anonymous() *Identity { return &Identity{} }

// Anonymous reports whether nobody has logged in.
func (i *Identity) Anonymous() bool { return i.UserID == "" }

// Subs returns the topics that the token's claim subs names, in its order: those that its holder gets without asking. It reads
// the claims, since keeping them apart would cost every connection what few have.
func (i *Identity) Subs() (topics []string) {
	for it := jsonscan.Members(i.Claims); it.Next(); {
		if string(it.Key()) == "subs" {
			_ = eachTopic(it.Value(), func(topic []byte) { topics = append(topics, string(topic)) }) // Verify has checked it
		}
	}
	return topics
}

// Permissions is a set of permissions (PROTOCOL §3.2).
type Permissions uint8

// The permissions, as bits of a set.
const (
	ReadMarketData Permissions = 1 << iota
	ReadIndicators
	ExecuteBacktest
	ExecutePaperTrading
	ReadSignals
	ExecuteLiveTrading
	Admin // everything, and other users' things too
)

// What the levels allow; each has all of the one before.
const (
	basic   = ReadMarketData
	trader  = basic | ReadIndicators | ExecuteBacktest | ExecutePaperTrading
	premium = trader | ReadSignals | ExecuteLiveTrading
	admin   = premium | Admin
)

// permissionNames returns the names in the order of their bits.
func permissionNames() [7]string {
	return [...]string{"read_market_data", "read_indicators", "execute_backtest", "execute_paper_trading", "read_signals",
		"execute_live_trading", "admin"}
}

// Has reports whether all permissions of want are in p.
func (p Permissions) Has(want Permissions) bool { return p&want == want }

// AppendNames appends the names of the permissions in p to dst, in a fixed order, and returns the extended slice.
func (p Permissions) AppendNames(dst []string) []string {
	for i, name := range permissionNames() {
		if p&(1<<i) != 0 {
			dst = append(dst, name)
		}
	}
	return dst
}

// LevelPermissions returns what a permission_level allows, and whether there is such a level.
func LevelPermissions(level string) (Permissions, bool) {
	switch level {
	case "basic":
		return basic, true
	case "trader":
		return trader, true
	case "premium":
		return premium, true
	case "admin":
		return admin, true
	}
	return 0, false
}

// levelName returns the constant for a level's name, so that an identity does not keep a copy of the token's text.
func levelName(level []byte) (string, bool) {
	for _, name := range [...]string{"basic", "trader", "premium", "admin"} {
		if string(level) == name {
			return name, true
		}
	}
	return "", false
}

// permissionOf returns the permission of a name, and 0 for a name that is not one of the engine's: it may mean something
// to a plugin, which sees all claims. The name "admin" stands for everything.
func permissionOf(name []byte) Permissions {
	if string(name) == "admin" {
		return admin
	}
	for i, n := range permissionNames() {
		if string(name) == n {
			return 1 << i
		}
	}
	return 0
}

// checkUserID refuses a user id that cannot stand as one segment of a topic (PROTOCOL §2.4).
func checkUserID(id string) error {
	if id == "" || len(id) > message.TopicSegmentBytesMax {
		return message.Errorf(message.CodeAuthFailed, "a user id has 1 to %d characters; the token's has %d",
			message.TopicSegmentBytesMax, len(id))
	}
	for i := range len(id) {
		c := id[i]
		if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '@' || c == '-') {
			return message.Errorf(message.CodeAuthFailed,
				"a user id may hold the characters A-Z a-z 0-9 _ . @ - only; the token's has another at position %d", i+1)
		}
	}
	return nil
}
