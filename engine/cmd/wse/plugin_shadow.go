package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func newPluginSwap(g *globals) *cobra.Command {
	c := &candidate{operation: operation{globals: g}}
	var shadow shadowFlags
	var all forAll
	cmd := &cobra.Command{
		Use: "swap NAME FILE...", Short: "Let a candidate serve",
		Long: `Let a candidate serve from the next event on. Events under way finish on the version before; none is lost or doubled.

With --shadow-events or --shadow-for the candidate runs beside what serves first, which decides until the end; then the
candidate serves, unless it failed where what serves did not, or differed more often than --differences-max. The
command waits for that and prints differences as they are found. Ctrl-C ends the command, not the shadow.

` + clusterHelp,
		Example: `  wse plugin swap mapping configs/mappings.yaml
  wse plugin swap mapping plugin.wasm mappings.yaml --shadow-events 1000 --differences-max 0
  wse plugin swap mapping --version 4f1c2d9a8b77
  wse plugin swap mapping plugin.wasm --cluster`,
	}
	c.flags(cmd)
	shadow.flags(cmd, "shadow-events", "shadow-for")
	all.flag(cmd, "swap on all nodes, or on none")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q, err := shadow.query(cmd)
		if err != nil {
			return err
		}
		waits := len(q) > 0
		if waits && bool(all) {
			return misused(cmd, "a shadow runs on one node: prove the candidate there (wse plugin shadow), then swap it in with --cluster alone")
		}
		if all {
			q.Set("cluster", "true")
		}
		answer, err := c.hand(cmd, "swap", args, q)
		if err != nil {
			return err
		}
		switch {
		case waits:
			return c.follow(cmd.Context(), args[0], answer)
		case bool(all):
			return c.printReport(answer)
		}
		return c.printChange(answer)
	}
	return cmd
}

func newPluginShadow(g *globals) *cobra.Command {
	c := &candidate{operation: operation{globals: g}}
	var shadow shadowFlags
	var cancel bool
	cmd := &cobra.Command{
		Use: "shadow NAME [FILE...]", Short: "Let a candidate run beside what serves, and only compare",
		Long: `Let a candidate run beside what serves, which decides, and print what differs as it is found; the candidate does not
come to serve. Without a candidate, tell how the last shadow of the plugin stands. Ctrl-C ends the command, not the
shadow; --cancel ends that, whoever began it.

Exit code 0 means that all answers were the same, 3 that some differed, 1 that the shadow was abandoned.`,
		Example: `  wse plugin shadow mapping plugin.wasm --events 1000
  wse plugin shadow mapping
  wse plugin shadow mapping --cancel`,
	}
	c.flags(cmd)
	shadow.flags(cmd, "events", "for")
	cmd.Flags().BoolVar(&cancel, "cancel", false, "end the shadow that runs")
	candidateArgs := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if (len(args) == 1 && c.version == "") || cancel {
			return exactly("NAME")(cmd, args)
		}
		return candidateArgs(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q, err := shadow.query(cmd)
		switch {
		case err != nil:
			return err
		case cancel:
			return c.cancel(cmd.Context(), args[0])
		case len(args) == 1 && c.version == "":
			return c.stand(cmd.Context(), args[0])
		case len(q) == 0:
			return misused(cmd, "--events or --for is missing")
		}
		q.Set("shadow_only", "true")
		answer, err := c.hand(cmd, "swap", args, q)
		if err != nil {
			return err
		}
		return c.follow(cmd.Context(), args[0], answer)
	}
	return cmd
}

// cancel ends the shadow of a plugin.
func (o *operation) cancel(ctx context.Context, name string) error {
	if err := o.open(); err != nil {
		return err
	}
	if _, err := o.api.call(ctx, http.MethodDelete, pluginPath(name, "shadow"), "", nil); err != nil {
		return err
	}
	if o.asJSON {
		return o.globals.printf("{\"cancelled\":true}\n")
	}
	return o.globals.printf("%s: the shadow is cancelled\n", name)
}

// stand tells how the last shadow of a plugin stands.
func (o *operation) stand(ctx context.Context, name string) error {
	if err := o.open(); err != nil {
		return err
	}
	var s shadowState
	answer, err := o.api.get(ctx, pluginPath(name, "shadow"), &s)
	switch {
	case err != nil:
		return err
	case o.asJSON:
		return o.globals.printAnswer(answer)
	}
	return errors.Join(o.globals.printf("shadow %s\n", s.String()), o.globals.printComparison(&s.Comparison, 0))
}

// pollEvery is how often a shadow's state is asked for.
const pollEvery = 500 * time.Millisecond

// follow waits for the end of the shadow that answer tells of, and prints the differences as they are found.
func (o *operation) follow(ctx context.Context, name string, answer []byte) error {
	var begun pluginChange
	if err := understand(answer, &begun); err != nil {
		return err
	}
	state := begun.Shadow
	if state == nil {
		return errors.New("the engine's answer tells of no shadow")
	}
	shown, note := 0, ""
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		if !o.asJSON {
			if err := o.progress(name, state, &shown, &note); err != nil {
				return err
			}
		}
		if state.Phase != phaseRunning {
			return o.ended(name, &begun, state, answer)
		}
		select {
		case <-ctx.Done():
			return goesOn(name)
		case <-poll.C:
		}
		next := new(shadowState)
		var err error
		if answer, err = o.api.call(ctx, http.MethodGet, pluginPath(name, "shadow"), "", nil); ctx.Err() != nil {
			return goesOn(name)
		} else if err != nil {
			return err
		}
		if err := understand(answer, next); err != nil {
			return err
		}
		if next.Candidate != state.Candidate || !next.Started.Equal(begun.Shadow.Started) {
			return fmt.Errorf("plugin %s: another shadow has taken the place of this one; see it with: wse plugin shadow %s", name, name)
		}
		state = next
	}
}

func goesOn(name string) error {
	return fmt.Errorf("plugin %s: the shadow goes on without this command\nsee how it stands with: wse plugin shadow %s\nend it with: wse plugin shadow %s --cancel", name, name, name)
}

// progress prints the differences that were not shown yet, and on standard error how far the shadow is.
func (o *operation) progress(name string, s *shadowState, shown *int, note *string) error {
	c := &s.Comparison
	for i := range c.Differences[*shown:] {
		if err := o.globals.printDifference(*shown+i, &c.Differences[*shown+i]); err != nil {
			return err
		}
	}
	*shown = len(c.Differences)
	if line := fmt.Sprintf("%s: %s beside %s: %s", name, s.Candidate, c.Serving, c.figures()); line != *note {
		*note = line
		_, _ = fmt.Fprintf(o.globals.err, "wse: %s\n", line)
	}
	return nil
}

// ended tells how a shadow ended.
func (o *operation) ended(name string, begun *pluginChange, s *shadowState, answer []byte) error {
	g, err := o.globals, error(nil)
	switch {
	case o.asJSON:
		err = g.printAnswer(answer)
	case s.Phase == phaseSwapped:
		err = g.printf("%s: %s → %s (%s)\n", name, begun.From, s.Candidate, s.Comparison.figures())
	case s.Phase == phaseEnded:
		err = g.printf("%s: %s beside %s, which serves: %s\n", name, s.Candidate, begun.From, s.Comparison.figures())
	}
	switch {
	case err != nil || s.Phase == phaseSwapped:
		return err
	case s.Phase == phaseEnded:
		return s.Comparison.verdict()
	}
	return fmt.Errorf("plugin %s: the shadow of %s was abandoned: %s\nplugin %s: %s goes on serving", name, s.Candidate, s.Reason, name, begun.From)
}
