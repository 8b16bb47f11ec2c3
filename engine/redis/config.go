package redis

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Config says where Redis is and how to get in. Without an address there is none, and the engine keeps its topics itself.
type Config struct {
	Addrs      []string `yaml:"addrs"`       // host:port of a server; with master_name of Sentinels, with cluster of some nodes of a Cluster
	MasterName string   `yaml:"master_name"` // what the Sentinels call the primary
	Cluster    bool     `yaml:"cluster"`     // the servers are a Redis Cluster

	Username         string `yaml:"username"` // of an ACL user; empty: the default user
	Password         string `yaml:"password"`
	SentinelUsername string `yaml:"sentinel_username"`
	SentinelPassword string `yaml:"sentinel_password"`
	DB               int    `yaml:"db"` // not with cluster

	TLS TLS `yaml:"tls"`

	DialTimeout    time.Duration `yaml:"dial_timeout"`    // for a connection
	CommandTimeout time.Duration `yaml:"command_timeout"` // for an answer
}

// TLS says how the connections to Redis are encrypted.
type TLS struct {
	Enabled    bool   `yaml:"enabled"`
	CAFile     string `yaml:"ca_file"`     // whom to trust, PEM; empty: whom the system trusts
	CertFile   string `yaml:"cert_file"`   // the engine's own certificate, PEM; empty: it shows none
	KeyFile    string `yaml:"key_file"`    // its private key, PEM
	ServerName string `yaml:"server_name"` // what the servers' certificates must be for; empty: the host of the address
}

// DefaultConfig returns the values that configs/wse.yaml documents: no Redis.
func DefaultConfig() Config {
	return Config{Addrs: []string{}, DialTimeout: 2 * time.Second, CommandTimeout: 2 * time.Second}
}

// Enabled reports whether there is a Redis.
func (c *Config) Enabled() bool { return len(c.Addrs) > 0 }

// addrsMax is how many addresses can be given: they are where to begin, not all that there are.
const addrsMax = 64

// Validate reports every field that is out of range or at odds with another, each fault beginning with its name.
func (c *Config) Validate() error {
	var errs []error
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	add(len(c.Addrs) > addrsMax, "addrs: %d addresses, at most %d are allowed", len(c.Addrs), addrsMax)
	for i, addr := range c.Addrs {
		host, port, err := net.SplitHostPort(addr)
		add(err != nil || host == "" || port == "", "addrs[%d]: %q is not host:port, as in 127.0.0.1:6379", i, addr)
	}
	add(c.MasterName != "" && c.Cluster, "cluster: cannot go with master_name; the addresses are those of Sentinels or of a Cluster's nodes")
	add(len(c.Addrs) > 1 && c.MasterName == "" && !c.Cluster,
		"addrs: several addresses need master_name (they are Sentinels) or cluster: true (they are nodes of a Cluster)")
	add(len(c.Addrs) == 0 && (c.MasterName != "" || c.Cluster), "addrs: must name at least one Sentinel or node of the Cluster")
	add(c.Username != "" && c.Password == "", "password: is empty, but username names a user")
	add(c.SentinelUsername != "" && c.SentinelPassword == "", "sentinel_password: is empty, but sentinel_username names a user")
	add(c.MasterName == "" && c.SentinelPassword != "", "sentinel_password: is set, but master_name is not, so there are no Sentinels")
	add(c.DB < 0 || c.DB > 15, "db: %d is not within 0 to 15", c.DB)
	add(c.Cluster && c.DB != 0, "db: a Cluster has only database 0, is %d", c.DB)
	add((c.TLS.CertFile == "") != (c.TLS.KeyFile == ""), "tls: cert_file and key_file belong together; one of them is missing")
	add(!c.TLS.Enabled && (c.TLS.CAFile != "" || c.TLS.CertFile != "" || c.TLS.ServerName != ""), "tls.enabled: is false, but other fields of tls are set")
	add(c.DialTimeout <= 0, "dial_timeout: must be positive, is %s", c.DialTimeout)
	add(c.CommandTimeout <= 0, "command_timeout: must be positive, is %s", c.CommandTimeout)
	return errors.Join(errs...)
}
