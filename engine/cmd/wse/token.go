package main

import (
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/wse-engine/wse/engine/auth"
)

func newToken(g *globals) *cobra.Command {
	var spec auth.Spec
	var claims string
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make a token for a client",
		Long: `Print a signed token (JWT). It is signed with the first key of the configuration that can sign; where none is
configured, with the one in the data directory, which is made if it is not there yet.`,
		Example: `  wse token --sub u1
  wse token --sub u1 --permission trader --ttl 1h
  wse token --sub u1 --permission trader --refresh   # for POST /api/v1/auth/refresh
  wse token --sub u1 --claims '{"wse_topics":{"allow":["stream:*"],"deny":["stream:market_data:XMR"]}}'`,
		Args: exactly(),
	}
	flags := cmd.Flags()
	flags.StringVar(&spec.UserID, "sub", "", "user `ID` the token is for: A-Z a-z 0-9 _ . @ - (required)")
	flags.DurationVar(&spec.TTL, "ttl", 0, "how long it is valid (default auth.access_ttl, 24h; with --refresh auth.refresh_ttl)")
	flags.StringVar(&spec.Level, "permission", "", "`LEVEL`: basic, trader, premium or admin (default none, which counts as basic)")
	flags.StringVar(&claims, "claims", "", "further claims as a `JSON` object, @FILE, or - for standard input")
	flags.BoolVar(&spec.Refresh, "refresh", false, "make a refresh token, which buys one pair of an access token and the next refresh token")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if spec.UserID == "" {
			return misused(cmd, "--sub is missing")
		}
		if cmd.Flags().Changed("ttl") && spec.TTL < time.Second {
			return misused(cmd, "--ttl: %v is less than a second", spec.TTL)
		}
		if _, ok := auth.LevelPermissions(spec.Level); spec.Level != "" && !ok {
			return misused(cmd, "--permission: %q is not one of basic, trader, premium, admin", spec.Level)
		}
		if claims != "" {
			raw, err := g.document(cmd, "--claims", claims)
			if err != nil {
				return err
			}
			spec.Claims = json.RawMessage(raw)
		}
		token, err := g.issue(spec)
		if err != nil {
			return err
		}
		return g.printf("%s\n", token)
	}
	return cmd
}

// issue makes a token with the key of the configuration.
func (g *globals) issue(spec auth.Spec) (string, error) {
	cfg, err := g.load()
	if err != nil {
		return "", err
	}
	a, err := auth.New(cfg.Auth, cfg.DataDir, auth.WithDir(g.dir()))
	if err != nil {
		return "", err
	}
	return a.Issue(spec)
}
