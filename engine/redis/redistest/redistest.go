// Package redistest starts real Redis servers for tests: one ([Single]), a primary with replicas that Sentinels watch
// ([Sentinel]), a Cluster ([Cluster]); on free ports of the loopback address, with nothing kept on disk unless a test asks for
// it. And it does to them what happens to servers: they are killed, stopped, emptied, full, slow, and change roles.
//
// Whatever fails here fails the test at once, so methods that do so must be called by the test's own goroutine.
//
// Ownership: servers belong to the test that started them and end with it. A [Server] may be used by any number of goroutines.
package redistest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/redis"
)

// Options say how servers are started. The zero value is what a Redis has that nobody configured.
type Options struct {
	// TLS: the servers take encrypted connections only.
	TLS bool
	// Username of an ACL user for the engine, who may touch nothing but what begins with wse: and do what is not dangerous.
	// The default user is off then, and Sentinels ask for a password too.
	Username string
	// Replicas: in a Cluster each primary has one. Sentinels always have two.
	Replicas bool
	// Args are more of redis-server's command line.
	Args []string
}

// Open returns the way of an engine to servers, which ends with the test.
func Open(t testing.TB, cfg redis.Config) *redis.Client {
	t.Helper()
	client, err := redis.Open(cfg, "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// NoSharded makes a server refuse the sharded Pub/Sub, as one before 7.0 does.
func NoSharded() []string {
	return []string{"--rename-command", "SPUBLISH", "", "--rename-command", "SSUBSCRIBE", "", "--rename-command", "SUNSUBSCRIBE", ""}
}

// The passwords of servers with an ACL user: what is tested is that they are needed, not that nobody knows them.
const (
	userPassword     = "the-engines-own"
	operatorName     = "operator"
	operatorPassword = "for-tests-only"
	sentinelPassword = "of-the-sentinels"
)

// access is how a group of servers is got into.
type access struct {
	Options
	certificates *certificates // nil: no TLS
}

func newAccess(t testing.TB, o Options) *access {
	t.Helper()
	a := &access{Options: o}
	if o.TLS {
		a.certificates = newCertificates(t)
	}
	return a
}

// args are those of a server that keeps data.
func (a *access) args() []string {
	args := []string{"--save", "", "--daemonize", "no", "--enable-debug-command", "local", "--repl-diskless-sync-delay", "0", "--repl-diskless-load", "swapdb"}
	if a.Username != "" {
		args = append(args,
			"--user", "default", "off",
			"--user", operatorName, "on", ">"+operatorPassword, "~*", "&*", "+@all",
			"--user", a.Username, "on", ">"+userPassword, "~wse:*", "~{wse:*", "&*", "+@all", "-@admin", "-@dangerous", "+info",
			"--masteruser", operatorName, "--masterauth", operatorPassword)
	}
	return append(args, a.Args...)
}

// config is what an engine needs to get in.
func (a *access) config(addrs ...string) redis.Config {
	cfg := redis.DefaultConfig()
	cfg.Addrs = addrs
	if a.Username != "" {
		cfg.Username, cfg.Password = a.Username, userPassword
	}
	if a.certificates != nil {
		cfg.TLS = redis.TLS{Enabled: true, CAFile: a.certificates.ca}
	}
	return cfg
}
