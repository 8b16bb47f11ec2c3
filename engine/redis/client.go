// Package redis knows how to get into the Redis that nodes share: one server, a primary that Sentinels watch, or a Cluster;
// with TLS and ACL users. What is done there is the business of the packages that use it; they and this one are the only
// ones that know the client library.
//
// Ownership: a [Client] may be used by any number of goroutines until it is closed.
package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Prefix begins every key and every channel of the engine. Keys of a topic begin with "{wse:<topic>}", so that they and the
// topic's channel lie in one slot of a Cluster.
const Prefix = "wse:"

// Client is the way to Redis.
type Client struct {
	cfg       Config
	universal goredis.UniversalClient
	options   goredis.UniversalOptions
}

// Open checks cfg and returns a client. It connects to nothing yet. Relative paths of cfg are relative to dir.
func Open(cfg Config, dir string) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if !cfg.Enabled() {
		return nil, errors.New("redis: no address is configured")
	}
	options := goredis.UniversalOptions{
		Addrs: cfg.Addrs, MasterName: cfg.MasterName, IsClusterMode: cfg.Cluster, DB: cfg.DB,
		Username: cfg.Username, Password: cfg.Password, SentinelUsername: cfg.SentinelUsername, SentinelPassword: cfg.SentinelPassword,
		DialTimeout: cfg.DialTimeout, DialerRetries: 1, ReadTimeout: cfg.CommandTimeout, WriteTimeout: cfg.CommandTimeout,
		ContextTimeoutEnabled: true, ClientName: "wse", DisableIdentity: true, Protocol: 2,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	var err error
	if options.TLSConfig, err = cfg.TLS.load(dir); err != nil {
		return nil, err
	}
	return &Client{cfg: cfg, options: options, universal: goredis.NewUniversalClient(&options)}, nil
}

func (t *TLS) load(dir string) (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	path := func(name string) string {
		if filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(dir, name)
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(path(t.CAFile))
		if err != nil {
			return nil, fmt.Errorf("tls.ca_file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca_file: %s holds no certificate in PEM", t.CAFile)
		}
	}
	if t.CertFile != "" {
		own, err := tls.LoadX509KeyPair(path(t.CertFile), path(t.KeyFile))
		if err != nil {
			return nil, fmt.Errorf("tls.cert_file: %w", err)
		}
		cfg.Certificates = []tls.Certificate{own}
	}
	return cfg, nil
}

// Quiet keeps the library from writing to standard error what its callers are told anyway. It is for a program's main.
func Quiet() { logging.Disable() }

// Do returns the library's client for ordinary commands.
func (c *Client) Do() goredis.UniversalClient { return c.universal }

// Config returns what the client was opened with.
func (c *Client) Config() Config { return c.cfg }

// Options returns a copy of the library's options, for whoever needs connections of his own.
func (c *Client) Options() goredis.UniversalOptions { return c.options }

// EachPrimary calls f with a client of every primary: of one in a Cluster for each shard, all at once, else of the only one. It
// returns when all calls have, with one of their errors if there are any.
func (c *Client) EachPrimary(ctx context.Context, f func(ctx context.Context, primary *goredis.Client) error) error {
	switch client := c.universal.(type) {
	case *goredis.ClusterClient:
		return client.ForEachMaster(ctx, f)
	case *goredis.Client:
		return f(ctx, client)
	}
	return fmt.Errorf("redis: the library made a client of an unknown kind, %T", c.universal)
}

// Close ends all connections of [Client.Do].
func (c *Client) Close() error { return c.universal.Close() }

// Identity is what a server says of its data. Two servers, or one before and after a restart or a failover, that may hold different
// data have different ones.
type Identity struct {
	ReplID   string // master_replid: 40 hexadecimal digits
	Primary  bool
	Replicas int // connected to it
}

// ReadIdentity reads the answer to INFO replication.
func ReadIdentity(info string) (id Identity, err error) {
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "role":
			id.Primary = value == "master"
		case "connected_slaves":
			if _, err := fmt.Sscan(value, &id.Replicas); err != nil {
				return id, fmt.Errorf("redis: connected_slaves:%.32q is no number", value)
			}
		case "master_replid":
			id.ReplID = value
		}
	}
	if len(id.ReplID) != 40 {
		return id, fmt.Errorf("redis: INFO replication tells no master_replid of 40 digits")
	}
	return id, nil
}
