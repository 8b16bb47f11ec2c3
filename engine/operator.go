package engine

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/wse-engine/wse/engine/admin"
	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading"
)

var (
	_ admin.Topics      = operator{}
	_ admin.Connections = operator{}
	_ admin.Members     = operator{}
	_ admin.Engine      = operator{}
)

func (e *Engine) openAdmin() (err error) {
	deps := admin.Deps{
		Version: e.opts.Version, Started: e.started,
		Publisher: e.ingest, Intake: e.ingest, Topics: operator{e}, Members: operator{e}, History: e.broker,
		Sessions: e.sessions(), Connections: operator{e},
		Plugins: e.plugins, Changer: e.plugins, Prover: e.plugins, Engine: operator{e},
		Log: func(msg string, args ...any) { e.log.Warn(msg, args...) },
	}
	e.clusterDeps(&deps)
	e.admin, err = admin.New(e.cfg.Admin, deps)
	return err
}

// sessions are the trading sessions as the admin API sees them.
func (e *Engine) sessions() admin.Sessions {
	if e.trading == nil {
		return noSessions{}
	}
	return e.trading
}

// noSessions is what there is where trading is switched off.
type noSessions struct{}

var _ admin.Sessions = noSessions{}

// List implements [admin.Sessions].
func (noSessions) List(context.Context, string, int) ([]*message.Session, error) { return nil, nil }

// Running implements [admin.Sessions].
func (noSessions) Running(context.Context) []*message.Session { return nil }

// Stats implements [admin.Sessions].
func (noSessions) Stats() trading.Stats { return trading.Stats{} }

// operator is the engine as the admin API sees it.
type operator struct{ engine *Engine }

// Reload implements [admin.Engine].
func (o operator) Reload(ctx context.Context) error { return o.engine.Reload(ctx) }

// Ready implements [admin.Engine].
func (o operator) Ready(context.Context) error {
	return o.engine.notReady()
}

// Topics implements [admin.Topics]: what was published to, and what is subscribed to though nothing was published yet.
func (o operator) Topics(ctx context.Context, prefix string, limit int) ([]admin.Topic, error) {
	e := o.engine
	infos, err := e.broker.topics(ctx, prefix, limit)
	if err != nil {
		return nil, err
	}
	topics := make([]admin.Topic, 0, len(infos))
	known := make(map[message.Topic]bool, len(infos))
	for _, t := range infos {
		known[t.Topic] = true
		topics = append(topics, admin.Topic{
			Topic: t.Topic, Class: t.Class, Seq: t.Seq, Epoch: admin.Epoch(t.Epoch), Publications: t.Publications,
			Snapshots: t.Snapshots, Bytes: t.Bytes, IdleMS: t.Idle.Milliseconds(), Subscribers: e.hub.Subscribers(t.Topic),
		})
	}
	e.hub.Topics(func(topic message.Topic, subscribers int) bool {
		if !known[topic] && strings.HasPrefix(string(topic), prefix) {
			topics = append(topics, admin.Topic{Topic: topic, Class: e.classes.For(topic).Pattern, Subscribers: subscribers})
		}
		return true
	})
	slices.SortFunc(topics, func(a, b admin.Topic) int { return strings.Compare(string(a.Topic), string(b.Topic)) })
	return topics[:min(limit, len(topics))], nil
}

// Members implements [admin.Members].
func (o operator) Members(ctx context.Context, topic message.Topic, limit int) (list admin.Presence, err error) {
	if !o.engine.present.Tracks(topic) {
		return list, message.Errorf(message.CodeNotFound, "%s has no members: presence is not on in its class", topic)
	}
	err = o.engine.present.Members(ctx, topic, func(m *message.Members) {
		list = admin.Presence{Topic: m.Topic, Version: m.Version, Count: len(m.Members)}
		for _, member := range m.Members[:min(limit, len(m.Members))] {
			if member.Data == nil {
				member.Data = []byte("{}")
			}
			list.Members = append(list.Members, admin.Member{
				UserID: member.UserID, Data: member.Data, Connections: member.Connections, SinceMS: member.SinceMS,
			})
		}
	})
	return list, err
}

// presence returns the figures of who is on topics.
func (o operator) presence() admin.PresenceFigures {
	s := o.engine.present.stats()
	return admin.PresenceFigures{
		Topics: s.Topics, Members: s.Members, Bytes: s.Bytes, BytesMax: s.BytesMax,
		Notices: map[string]uint64{
			message.PresenceJoin.String(): s.Joins, message.PresenceLeave.String(): s.Leaves, message.PresenceUpdated.String(): s.Updates,
		},
		Refused: map[string]uint64{"members_max": s.RefusedMembers, "data": s.RefusedData},
	}
}

// Connections implements [admin.Connections].
func (o operator) Connections(user string, limit int) (list []admin.Connection, total int) {
	o.engine.conns.Each(func(cn *conn.Conn) bool {
		c, ok := cn.Handler().(*client)
		if !ok {
			return true
		}
		identity := c.protocol.Identity()
		if identity == nil || user != "" && identity.UserID != user { // nil: it is just being opened
			return true
		}
		if total++; len(list) < limit {
			list = append(list, describe(cn, c))
		}
		return true
	})
	return list, total
}

func describe(cn *conn.Conn, c *client) admin.Connection {
	counters := cn.Counters()
	topics := 0
	c.protocol.Member.Do(func() { topics = c.protocol.Member.Len() })
	return admin.Connection{
		ID: cn.ID(), UserID: c.protocol.Identity().UserID, Dialect: cn.DialectName(), RemoteIP: cn.Remote().Addr().String(),
		State: cn.State(), ConnectedMS: cn.Since().UnixMilli(), Topics: topics,
		MessagesSent: counters.MessagesSent, MessagesReceived: counters.MessagesReceived,
		BytesSent: counters.BytesSent, BytesReceived: counters.BytesReceived,
		Dropped: counters.Dropped, QueuedBytes: counters.QueuedBytes,
	}
}

// Measure implements [admin.Engine].
func (o operator) Measure() admin.Measurements {
	e := o.engine
	totals, gauges := e.conns.Stats()
	stats := e.broker.stats()
	topics := 0
	e.hub.Topics(func(message.Topic, int) bool { topics++; return true })
	return admin.Measurements{
		Connections: gauges.Connections, Handshakes: gauges.Handshakes, Stalled: gauges.Stalled,
		Accepted: totals.Accepted, Upgraded: totals.Upgraded, HandshakesRefused: e.refusals.counts(totals.Refused),
		Closed: map[string]uint64{
			"queue_full": totals.Overloaded.Own, "queues_full": totals.Overloaded.All, "stalled": totals.Overloaded.Stalled,
			"silent": totals.Silent, "lost": totals.Lost, "rate_limited": e.quota.Closed(),
		},
		Limits: e.limitsMet(), Reviewed: e.reviews(),
		Degraded: totals.Degraded, MessagesReceived: totals.MessagesReceived, MessagesSent: totals.MessagesSent,
		BytesReceived: totals.BytesReceived, BytesSent: totals.BytesSent, Writes: totals.Writes,
		QueuedBytes: gauges.QueuedBytes, PartialBytes: gauges.PartialBytes,
		Dropped: map[string]uint64{
			"oldest": totals.Dropped.Oldest, "conflated": totals.Dropped.Conflated, "closed": totals.Dropped.Closed,
		},
		Deliveries: e.hub.Delivered(), SubscribedTopics: topics,
		Presence:   o.presence(),
		Encryption: encryption(&totals, &gauges), Logins: e.login.figures(),
		Cluster: e.clusterFigures(), Intake: e.cluster.taken(),
		Broker: admin.BrokerFigures{
			Topics: stats.Topics, BytesKept: stats.BytesKept, BytesKeptMax: stats.BytesKeptMax, Published: stats.Published,
			Duplicates: stats.Duplicates, Refused: stats.Refused, Expired: stats.Expired, Evicted: stats.Evicted,
		},
	}
}

// encryption puts the figures of encrypted connections together.
func encryption(t *conn.Totals, g *conn.Gauges) admin.Encryption {
	return admin.Encryption{
		Connections: g.Encrypted, RememberedBytes: g.EncryptedBytes,
		Keys:     map[string]uint64{"agreed": t.KeysAgreed, "refused": t.KeysRefused},
		Messages: map[string]uint64{"in": t.Opened, "out": t.Sealed},
		Refused: map[string]uint64{
			"not_encrypted": t.NotSealed, "unreadable": t.Unreadable, "replayed": t.Replayed, "worn_out": t.WornOut,
		},
	}
}

// refusals counts upgrades that the gate refused, by reason.
type refusals struct {
	mu       sync.Mutex
	byReason map[string]uint64 // guarded by mu
}

// The reasons an upgrade is refused for.
const (
	refusedNoToken = "auth_required"
	refusedToken   = "auth_failed"
	refusedOrigin  = "origin"
	refusedPath    = "path"
	refusedHTTP    = "http"
	refusedQuota   = "rate_limited"
)

func (r *refusals) add(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byReason == nil {
		r.byReason = make(map[string]uint64)
	}
	r.byReason[reason]++
}

// counts returns the figures; http are those that never came as far as the gate.
func (r *refusals) counts(http uint64) map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]uint64{refusedNoToken: 0, refusedToken: 0, refusedOrigin: 0, refusedPath: 0, refusedQuota: 0, refusedHTTP: http}
	for reason, n := range r.byReason {
		out[reason] = n
	}
	return out
}
