package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wse-engine/wse/engine"
	"github.com/wse-engine/wse/engine/config"
)

// globals are the flags that every command has.
type globals struct {
	streams
	file     string
	sets     []string
	url      string
	adminURL string
	token    string
}

// newRoot returns the whole command line.
func newRoot(std streams) *cobra.Command {
	g := &globals{streams: std}
	root := &cobra.Command{
		Use:   "wse",
		Short: "A WebSocket engine whose rules are WebAssembly plugins",
		Long: `wse serves real-time topics over WebSocket. Publishers hand in envelopes or domain events; what an event
becomes and who may read a topic is decided by sandboxed WebAssembly plugins.

Every command reads the same configuration: the defaults, then --config FILE, then environment variables
(WSE_ADMIN__LISTEN is admin.listen), then --set. So all other commands find the engine that serve
runs with the same flags, and its key. --url, --admin-url and --token name another engine.`,
		Example: `  wse serve
  wse token --sub u1
  wse tail user:u1:broker_account_events
  wse event BrokerAccountLinked --user u1 --payload '{"broker_account_id":"acc_123","status":"linked"}'
  wse publish user:u1:order_events --type order_update --payload '{"order_id":"ord_1"}' --pri 10
  wse plugin try mapping configs/mappings.yaml`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return misused(cmd, "there is no command %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(g.err)
			return errors.Join(cmd.Help(), misused(cmd, "name a command"))
		},
	}
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{cmd.CommandPath(), err} })
	flags := root.PersistentFlags()
	flags.StringVar(&g.file, "config", "", "configuration `FILE`; none: the defaults of configs/wse.yaml")
	flags.StringArrayVar(&g.sets, "set", nil, "set one field, as in `path=value`: listen=127.0.0.1:18080, plugins[0].limits.fuel=1000; may be repeated")
	flags.StringVar(&g.url, "url", "", "public `URL` of the engine to use (default: what the configuration listens on)")
	flags.StringVar(&g.adminURL, "admin-url", "", "admin `URL` of the engine to use (default: what the configuration listens on)")
	flags.StringVar(&g.token, "token", "", "`TOKEN` to show: a client's for tail, the admin token for all commands that use the admin API")
	root.AddCommand(newServe(g), newToken(g), newTail(g), newEvent(g), newPublish(g), newFeed(g), newPlugin(g), newDeadLetter(g), newNodes(g), newConfig(g), newVersion(g))
	return root
}

// mappingsFile is the table of the stock mapping plugin in a checkout.
const mappingsFile = "configs/mappings.yaml"

// load reads the configuration. Without a file the stock mapping's table is configs/mappings.yaml of the working directory
// where there is one, so that it can be edited and reloaded, and else the copy of it inside the program.
func (g *globals) load() (engine.Config, error) { return g.loadBy(config.Load) }

func (g *globals) loadBy(read func(file string, env, sets []string, into any) error) (engine.Config, error) {
	cfg := engine.DefaultConfig()
	if info, err := os.Stat(mappingsFile); g.file == "" && err == nil && info.Mode().IsRegular() {
		cfg.Plugins[0].Config, cfg.Plugins[0].ConfigFile = nil, mappingsFile
	}
	err := read(g.file, os.Environ(), g.sets, &cfg)
	return cfg, err
}

// printf writes to standard output.
func (g *globals) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(g.out, format, args...)
	return err
}

// publicURL returns where the engine's public listener is.
func (g *globals) publicURL(cfg *engine.Config) (string, error) {
	if g.url != "" {
		return g.url, nil
	}
	scheme := "http"
	if cfg.TLS.CertFile != "" {
		scheme = "https"
	}
	return urlOf(scheme, "listen", "--url", cfg.Listen)
}

// adminBase returns where the engine's admin listener is, without a slash at the end.
func (g *globals) adminBase(cfg *engine.Config) (string, error) {
	if g.adminURL != "" {
		return strings.TrimRight(g.adminURL, "/"), nil
	}
	return urlOf("http", "admin.listen", "--admin-url", cfg.Admin.Listen)
}

// urlOf makes a URL of an address that is listened on.
func urlOf(scheme, field, flag, address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "0" {
		return "", fmt.Errorf("%s is %q, which does not say where the engine is; give %s", field, address, flag)
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}

// isLocal reports whether address, a flag's value or "" for none, means this machine. Only there does a command show what
// it takes from the local configuration: keys made for this engine are no other's business.
func isLocal(address string) bool {
	if address == "" {
		return true
	}
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// exactly returns an argument check that names what is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return misused(cmd, "%s is missing", names[len(args)])
		}
		if len(args) > len(names) {
			return misused(cmd, "%q is one argument too many", args[len(names)])
		}
		return nil
	}
}
