package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/message"
	client "github.com/wse-engine/wse/sdk/client/go"
)

func newTail(g *globals) *cobra.Command {
	var count int
	var from string
	cmd := &cobra.Command{
		Use:   "tail TOPIC...",
		Short: "Subscribe and print what is published",
		Long: `Subscribe to topics or patterns as a client of protocol v2 and print each envelope as one line on standard
output; what happens beside that goes to standard error. A lost connection is made again and read on from where
it stopped. For an engine on this machine a token is made with the configured key, for the user the first topic
belongs to and with permission admin; any other needs --token. Ends after --count envelopes, with Ctrl-C, or with exit code 1 when the engine refuses.`,
		Example: `  wse tail user:u1:broker_account_events
  wse tail 'stream:market_data:*' --count 10
  wse tail user:u1:order_events --recover-from 5f3a9c01:42
  wse tail user:u1:order_events --url wss://engine.example.com --token "$TOKEN"`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return misused(cmd, "TOPIC is missing")
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&count, "count", 0, "end after `N` envelopes (default: never)")
	cmd.Flags().StringVar(&from, "recover-from", "", "begin after this `EPOCH:OFFSET` of the topic, the e and o of an envelope")
	cmd.RunE = func(cmd *cobra.Command, topics []string) error {
		if count < 0 {
			return misused(cmd, "--count: %d is negative", count)
		}
		positions := make(map[string]client.Position)
		if from != "" {
			p, ok := parsePosition(from)
			if !ok || len(topics) != 1 {
				return misused(cmd, "--recover-from: needs one topic and EPOCH:OFFSET, as in 5f3a9c01:42")
			}
			positions[topics[0]] = p
		}
		return g.tail(cmd.Context(), topics, positions, count)
	}
	return cmd
}

// parsePosition reads EPOCH:OFFSET.
func parsePosition(s string) (client.Position, bool) {
	epoch, offset, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(offset, 10, 64)
	if !ok || err != nil || !regexp.MustCompile(`^[0-9a-f]{8}$`).MatchString(epoch) {
		return client.Position{}, false
	}
	return client.Position{Epoch: epoch, Offset: n}, true
}

// tail prints what is published until count envelopes are printed or ctx ends.
func (g *globals) tail(ctx context.Context, topics []string, from map[string]client.Position, count int) error {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	address, err := g.publicURL(&cfg)
	if err != nil {
		return err
	}
	c, err := client.New(client.Config{
		URL: address, Token: g.tailToken(topics), Topics: topics, From: from,
		OnNotice: func(n client.Notice) { g.note(topics, n) },
	})
	if err != nil {
		return err
	}
	printed := 0
	err = c.Run(ctx, func(p client.Publication) error {
		if err := g.printf("%s\n", p.Raw); err != nil {
			return err
		}
		if printed++; printed == count {
			return client.ErrStop
		}
		return nil
	})
	if errors.Is(err, syscall.ECONNREFUSED) {
		return unreachable(address, err)
	}
	return err
}

// tailToken returns where tail gets its tokens from. Its own are short-lived, and a new one is made whenever one is needed.
func (g *globals) tailToken(topics []string) func(context.Context) (string, error) {
	if g.token != "" || !isLocal(g.url) {
		return client.StaticToken(g.token)
	}
	user := message.Topic(topics[0]).Owner()
	if _, err := message.ParsePattern(topics[0]); user == "" || err != nil { // that it is no topic, the engine tells
		user = "wse-tail"
	}
	return func(context.Context) (string, error) {
		return g.issue(auth.Spec{UserID: user, Level: "admin", TTL: time.Hour})
	}
}

// note tells of what happens beside the publications.
func (g *globals) note(topics []string, n client.Notice) {
	text := ""
	switch n.Kind {
	case client.Connected:
		text = "subscribed to " + strings.Join(topics, ", ")
	case client.Disconnected:
		text = fmt.Sprintf("%v; connecting again", n.Err)
	case client.Gap:
		text = n.Topic + ": what was published meanwhile is not kept any more; going on with what comes"
	case client.Degraded:
		text = "the engine finds this connection slow and leaves out what is less urgent"
	case client.ServerFault:
		text = n.Err.Error()
	}
	_, _ = fmt.Fprintf(g.err, "wse: %s\n", text)
}
