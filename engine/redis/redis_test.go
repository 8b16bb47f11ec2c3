package redis_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/redis"
	"github.com/wse-engine/wse/engine/redis/redistest"
)

func TestAClientOfOneServerFindsItsIdentity(t *testing.T) {
	server := redistest.Single(t)
	client := redistest.Open(t, server.Config())
	info, err := client.Do().Info(t.Context(), "replication").Result()
	require.NoError(t, err)
	id, err := redis.ReadIdentity(info)
	require.NoError(t, err)
	require.True(t, id.Primary)
	require.Zero(t, id.Replicas)
	server.Kill()
	require.Error(t, client.Do().Ping(t.Context()).Err())
	server.Start()
	info, err = client.Do().Info(t.Context(), "replication").Result()
	require.NoError(t, err)
	again, err := redis.ReadIdentity(info)
	require.NoError(t, err)
	require.NotEqual(t, id.ReplID, again.ReplID, "after a restart its data may be others")
}

func TestAFaultyConfigurationIsRefusedByField(t *testing.T) {
	for want, change := range map[string]func(*redis.Config){
		"addrs[0]: ":         func(c *redis.Config) { c.Addrs = []string{"nowhere"} },
		"addrs: several":     func(c *redis.Config) { c.Addrs = []string{"a:1", "b:1"} },
		"cluster: ":          func(c *redis.Config) { c.Addrs, c.MasterName, c.Cluster = []string{"a:1"}, "m", true },
		"password: ":         func(c *redis.Config) { c.Addrs, c.Username = []string{"a:1"}, "u" },
		"sentinel_password:": func(c *redis.Config) { c.Addrs, c.SentinelPassword = []string{"a:1"}, "u" },
		"db: ":               func(c *redis.Config) { c.Addrs, c.DB = []string{"a:1"}, 16 },
		"db: a Cluster":      func(c *redis.Config) { c.Addrs, c.DB, c.Cluster = []string{"a:1"}, 1, true },
		"tls: ":              func(c *redis.Config) { c.Addrs, c.TLS = []string{"a:1"}, redis.TLS{Enabled: true, CertFile: "x"} },
		"tls.enabled: ":      func(c *redis.Config) { c.Addrs, c.TLS = []string{"a:1"}, redis.TLS{CAFile: "x"} },
		"dial_timeout: ":     func(c *redis.Config) { c.DialTimeout = 0 },
		"command_timeout: ":  func(c *redis.Config) { c.CommandTimeout = 0 },
	} {
		cfg := redis.DefaultConfig()
		change(&cfg)
		require.ErrorContains(t, cfg.Validate(), want)
	}
	none := redis.DefaultConfig()
	require.NoError(t, none.Validate())
	_, err := redis.Open(none, "")
	require.ErrorContains(t, err, "no address")
}
