package engine

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/wse-engine/wse/configs"
	"github.com/wse-engine/wse/engine/admin"
	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/broker/memory"
	redisbroker "github.com/wse-engine/wse/engine/broker/redis"
	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/cluster/rollout"
	"github.com/wse-engine/wse/engine/config"
	"github.com/wse-engine/wse/engine/conn"
	"github.com/wse-engine/wse/engine/feed"
	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/intake"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/presence"
	"github.com/wse-engine/wse/engine/presence/shared"
	"github.com/wse-engine/wse/engine/quota"
	"github.com/wse-engine/wse/engine/router"
	"github.com/wse-engine/wse/engine/trading"
)

// Config is the whole configuration of an engine; configs/wse.yaml explains every field.
type Config struct {
	Listen         string              `yaml:"listen"`
	TLS            TLS                 `yaml:"tls"`
	Admin          admin.Config        `yaml:"admin"`
	DataDir        string              `yaml:"data_dir"`
	Auth           auth.Config         `yaml:"auth"`
	Limits         Limits              `yaml:"limits"`
	Topics         []broker.Class      `yaml:"topics"`
	Plugins        plugin.Configs      `yaml:"plugins"`
	Lifecycle      plugin.Lifecycle    `yaml:"lifecycle"`
	Broker         Broker              `yaml:"broker"`
	Cluster        Cluster             `yaml:"cluster"`
	Trading        trading.Config      `yaml:"trading"`
	Logging        Logging             `yaml:"logging"`
	Debug          Debug               `yaml:"debug"`
	Origins        []string            `yaml:"origins"`
	ClientMessages feed.ClientMessages `yaml:"client_messages"`
	Heartbeat      conn.Heartbeat      `yaml:"heartbeat"`
}

// TLS makes the public listener speak TLS when both files are given.
type TLS struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// Limits holds every limit of connections, requests, topics and events.
type Limits struct {
	conn.Config      `yaml:",inline"`
	Router           router.Config   `yaml:",inline"`
	Feed             feed.Config     `yaml:",inline"`
	Quota            quota.Config    `yaml:",inline"`
	Presence         presence.Config `yaml:",inline"`
	Ingest           ingest.Config   `yaml:",inline"`
	ReviewsPerSecond int             `yaml:"reviews_per_second"` // subscriptions asked about again when an authorize plugin was changed
	DrainTimeout     time.Duration   `yaml:"drain_timeout"`      // a shutdown takes no longer
	DrainJitter      time.Duration   `yaml:"drain_jitter"`       // the time over which a shutdown spreads its closes, and clients their return

	CompressBytesMin int `yaml:"compress_bytes_min"` // messages from this size are compressed, in the form that the connection has
	CompressedMiBMax int `yaml:"compressed_mib_max"` // compressed publications that are kept so that replays do not compress them again; 0: none
}

// Broker chooses what carries publications: Redis, which nodes share, where it has an address, else the memory of this process.
type Broker struct {
	Memory memory.Config `yaml:"memory"`
	Redis  Redis         `yaml:"redis"`
}

// Redis says where nodes meet, and what is taken in there.
type Redis struct {
	redisbroker.Config `yaml:",inline"`
	Intake             intake.Config `yaml:"intake"`
}

// Validate reports every field that is out of range or at odds with another.
func (r *Redis) Validate() error {
	return errors.Join(r.Config.Validate(), config.Prefix("intake", r.Intake.Validate()))
}

// Cluster says how this engine lives among the nodes that share a Redis.
type Cluster struct {
	cluster.Config `yaml:",inline"`
	Presence       shared.Config  `yaml:",inline"`
	Rollout        rollout.Config `yaml:"rollout"`
}

// Validate reports every field that is out of range or at odds with another.
func (c *Cluster) Validate() error {
	return errors.Join(c.Config.Validate(), c.Presence.Validate(), config.Prefix("rollout", c.Rollout.Validate()))
}

// Logging says what is logged, and how.
type Logging struct {
	Level string `yaml:"level"` // trace, debug, info, warn or error
	JSON  bool   `yaml:"json"`  // JSON lines instead of text
}

// Debug holds what is for tests and diagnosis.
type Debug struct {
	Echo   bool   `yaml:"echo"`   // serve /echo; the listener must be loopback
	Poller string `yaml:"poller"` // auto, epoll or goroutine
}

// The values of Debug.Poller.
const (
	PollerAuto      = "auto"
	PollerEpoll     = "epoll"
	PollerGoroutine = "goroutine"
)

// DefaultConfig returns what holds where no configuration says otherwise. configs/wse.yaml says the same.
func DefaultConfig() Config {
	mapping := stock("mapping", plugin.Transform)
	mapping.Config = defaultMapping(configs.Mappings())
	return Config{
		Listen:  ":8080",
		Admin:   admin.DefaultConfig(),
		DataDir: "data",
		Auth:    auth.DefaultConfig(),
		Limits: Limits{
			Config: conn.DefaultConfig(), Router: router.DefaultConfig(), Feed: feed.DefaultConfig(), Ingest: ingest.DefaultConfig(),
			Quota: quota.DefaultConfig(), Presence: presence.DefaultConfig(), ReviewsPerSecond: 5000, DrainTimeout: 30 * time.Second, DrainJitter: 5 * time.Second,
			CompressBytesMin: 1024, CompressedMiBMax: 8,
		},
		Topics: broker.DefaultClasses(),
		Plugins: plugin.Configs{
			mapping, stock("topicauth", plugin.Authorize), stock("validator", plugin.Validate), stock("strategy", plugin.KindStrategy),
		},
		Lifecycle:      plugin.DefaultLifecycle(),
		Broker:         Broker{Memory: memory.DefaultConfig(), Redis: Redis{Config: redisbroker.DefaultConfig(), Intake: intake.DefaultConfig()}},
		Cluster:        Cluster{Config: cluster.DefaultConfig(), Presence: shared.DefaultConfig(), Rollout: rollout.DefaultConfig()},
		Trading:        trading.DefaultConfig(),
		Logging:        Logging{Level: "info"},
		Debug:          Debug{Poller: PollerAuto},
		ClientMessages: feed.DefaultClientMessages(),
		Heartbeat:      conn.DefaultHeartbeat(),
	}
}

// stock is a plugin that comes with the program, used for one kind.
func stock(name string, kind plugin.Kind) plugin.Config {
	c := plugin.DefaultConfig()
	c.Name, c.Path, c.Kinds = name, "stock:"+name, []plugin.Kind{kind}
	return c
}

// Validate reports every field that is out of range or at odds with another, each fault beginning with its path.
func (c *Config) Validate() error {
	return errors.Join(
		checkListen("listen", c.Listen),
		c.checkTLS(),
		config.Prefix("admin", c.Admin.Validate()),
		c.checkDataDir(),
		config.Prefix("auth", c.Auth.Validate()),
		config.Prefix("limits", c.Limits.validate()),
		broker.ValidateClasses(c.Topics),
		c.checkPresence(),
		config.Prefix("plugins", c.Plugins.Validate()),
		config.Prefix("lifecycle", c.Lifecycle.Validate()),
		config.Prefix("broker.memory", c.Broker.Memory.Validate()),
		config.Prefix("broker.redis", c.Broker.Redis.Validate()),
		config.Prefix("cluster", c.Cluster.Validate()),
		config.Prefix("trading", c.Trading.Validate()),
		c.Logging.validate(),
		c.checkDebug(),
		c.checkDevTokens(),
		conn.CheckOrigins(c.Origins),
		config.Prefix("client_messages", c.ClientMessages.Validate()),
		config.Prefix("heartbeat", c.Heartbeat.Validate()),
	)
}

// What an answer about the members of a topic takes at most, in any form (TestAnAnswerAboutMembersFitsWhatTheConfigurationAllows).
const (
	answerBytes = 4 << 10 // the message without its members
	memberBytes = 256     // a member without his data
)

// checkPresence refuses limits under which a client that asks who is on a topic would be closed for the size of the answer. In
// MessagePack data may be 9/4 as long as it came: a number of three characters and a comma becomes nine bytes.
func (c *Config) checkPresence() error {
	l := &c.Limits.Presence
	data := min(l.TopicKiBMax, l.MembersMax*l.DataKiBMax)
	kib := (answerBytes+l.MembersMax*memberBytes)>>10 + data*9/4 + 1
	if kib <= c.Limits.QueueKiBMax || !slices.ContainsFunc(c.Topics, func(class broker.Class) bool { return class.Presence }) {
		return nil
	}
	return fmt.Errorf("limits.presence_topic_kib_max: with %d and a presence_members_max of %d an answer about the members of a topic may take %d KiB, "+
		"more than queue_kib_max, %d, lets wait for a client: who asks would be closed", l.TopicKiBMax, l.MembersMax, kib, c.Limits.QueueKiBMax)
}

// compressedMiBLimit is the largest compressed_mib_max.
const compressedMiBLimit = 1 << 10

func (l *Limits) validate() error {
	errs := []error{l.Config.Validate(), l.Router.Validate(), l.Feed.Validate(), l.Presence.Validate(), l.Ingest.Validate(), l.Quota.Validate()}
	errs = append(errs, l.Quota.Covers(l.MessageKiBMax, l.Router.BatchMessagesMax))
	if l.ReviewsPerSecond < 1 {
		errs = append(errs, fmt.Errorf("reviews_per_second: must be at least 1, is %d", l.ReviewsPerSecond))
	}
	if l.DrainTimeout <= 0 {
		errs = append(errs, fmt.Errorf("drain_timeout: must be positive, is %s", l.DrainTimeout))
	}
	if l.DrainJitter < 0 || l.DrainJitter > l.DrainTimeout {
		errs = append(errs, fmt.Errorf("drain_jitter: must lie within 0 and drain_timeout (%s), is %s", l.DrainTimeout, l.DrainJitter))
	}
	if l.CompressBytesMin < 0 {
		errs = append(errs, fmt.Errorf("compress_bytes_min: must not be negative, is %d", l.CompressBytesMin))
	}
	if l.CompressedMiBMax < 0 || l.CompressedMiBMax > compressedMiBLimit {
		errs = append(errs, fmt.Errorf("compressed_mib_max: must lie within 0 and %d, is %d", compressedMiBLimit, l.CompressedMiBMax))
	}
	return errors.Join(errs...)
}

func (l *Logging) validate() error {
	switch l.Level {
	case "trace", "debug", "info", "warn", "error":
		return nil
	}
	return fmt.Errorf("logging.level: must be trace, debug, info, warn or error, is %q", l.Level)
}

func checkListen(path, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if _, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil {
		return fmt.Errorf("%s: %q is not host:port, as in 127.0.0.1:8080 or :8080", path, addr)
	}
	return nil
}

func (c *Config) checkTLS() error {
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		return errors.New("tls: cert_file and key_file belong together; one of them is missing")
	}
	return nil
}

func (c *Config) checkDataDir() error {
	if c.DataDir == "" {
		return errors.New("data_dir: must name a directory the engine may write to")
	}
	return nil
}

func (c *Config) checkDebug() error {
	var errs []error
	switch c.Debug.Poller {
	case PollerAuto, PollerEpoll, PollerGoroutine:
	default:
		errs = append(errs, fmt.Errorf("debug.poller: must be auto, epoll or goroutine, is %q", c.Debug.Poller))
	}
	if c.Debug.Poller == PollerEpoll && c.TLS.CertFile != "" {
		errs = append(errs, errors.New("debug.poller: epoll does not serve TLS; leave it at auto"))
	}
	if c.Debug.Echo && !loopback(c.Listen) {
		errs = append(errs, fmt.Errorf("debug.echo: needs a loopback address under listen, as in 127.0.0.1:8080; it is %q", c.Listen))
	}
	return errors.Join(errs...)
}

// checkDevTokens keeps test users, who have no secret, from whoever is not on this machine.
func (c *Config) checkDevTokens() error {
	if c.Auth.DevTokens && !loopback(c.Listen) {
		return fmt.Errorf("auth.dev_tokens: anybody could be any user; it needs a loopback address under listen, as in 127.0.0.1:8080; it is %q", c.Listen)
	}
	return nil
}

// loopback reports whether an address to listen on is reachable from this machine only.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
