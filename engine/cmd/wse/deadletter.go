package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// newDeadLetter returns the group of commands for what could not be published.
func newDeadLetter(g *globals) *cobra.Command {
	cmd := group("deadletter", "Look at events that could not be published, and hand them in again")
	cmd.Aliases = []string{"dlq"}
	cmd.Long = `An event whose transform failed is a dead letter, where the plugin's on_error says so. The engine keeps the newest
(limits.dead_letters_max, limits.dead_letters_kib_max) in memory. A replay hands an event in again exactly as it was,
through the plugins that serve now; it leaves the letters once they took it.

With Redis the letters are all nodes' (broker.redis.intake), and those are among them that are no plugin's fault: entries
of the stream wse:events that are no events, and what other programs published on channels wse:… that nobody can take.
Each has its channel; events have the channel events. The command is also called dlq.`
	cmd.Example = `  wse deadletter list --plugin mapping
  wse deadletter show dl_9f3c2a5b7d1e4c60_1
  wse deadletter replay --plugin mapping
  wse dlq list --channel events`
	cmd.AddCommand(newLetterList(g), newLetterShow(g), newLetterReplay(g), newLetterDrop(g))
	return cmd
}

// deadLetter is one as the engine tells of it.
type deadLetter struct {
	ID       string    `json:"id"`
	Channel  string    `json:"channel"`
	From     string    `json:"from"`
	Time     time.Time `json:"time"`
	EventID  string    `json:"event_id"`
	Event    string    `json:"event"`
	Plugin   string    `json:"plugin"`
	Version  string    `json:"version"`
	Reason   string    `json:"reason"`
	Attempts int       `json:"attempts"`
	Last     time.Time `json:"last"`
	Document string    `json:"document"`
	Bytes    int       `json:"bytes"`
	Cut      bool      `json:"cut"`
}

// culprit names the plugin that failed.
func (d *deadLetter) culprit() string {
	if d.Plugin == "" {
		return "-"
	}
	return d.Plugin + "@" + d.Version
}

// letterFilter chooses letters, as flags say.
type letterFilter struct{ plugin, channel string }

func (f *letterFilter) flags(cmd *cobra.Command, which string) {
	cmd.Flags().StringVar(&f.plugin, "plugin", "", which+" of the plugin `NAME`")
	cmd.Flags().StringVar(&f.channel, "channel", "", which+" of the channel `NAME`")
}

// list asks for letters.
func (f *letterFilter) list(ctx context.Context, api *adminAPI, limit int) (list []deadLetter, total int, answer []byte, err error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if f.plugin != "" {
		q.Set("plugin", f.plugin)
	}
	if f.channel != "" {
		q.Set("channel", f.channel)
	}
	var doc struct {
		DeadLetters []deadLetter `json:"dead_letters"`
		Total       int          `json:"total"`
	}
	answer, err = api.get(ctx, lettersPath+"?"+q.Encode(), &doc)
	return doc.DeadLetters, doc.Total, answer, err
}

const lettersPath = "/api/v1/dead-letters"

func newLetterList(g *globals) *cobra.Command {
	var filter letterFilter
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the newest", Args: exactly(),
		Long: "List dead letters, the newest first.",
		Example: `  wse deadletter list
  wse deadletter list --plugin mapping --limit 1000 --json
  wse dlq list --channel 'user:u1:*'`,
	}
	filter.flags(cmd, "only those")
	cmd.Flags().IntVar(&limit, "limit", 100, "at most `N`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the engine's answer as it is")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := g.api()
		if err != nil {
			return err
		}
		list, total, answer, err := filter.list(cmd.Context(), api, limit)
		if err != nil {
			return err
		}
		if asJSON {
			return g.printAnswer(answer)
		}
		return g.printLetters(list, total)
	}
	return cmd
}

func (g *globals) printLetters(list []deadLetter, total int) error {
	if total == 0 {
		return g.printf("there are no dead letters\n")
	}
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tTIME\tCHANNEL\tEVENT\tEVENT ID\tPLUGIN\tATTEMPTS\tREASON")
	for _, d := range list {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", d.ID, moment(d.Time), d.Channel,
			cmp.Or(d.Event, "-"), cmp.Or(d.EventID, "-"), d.culprit(), d.Attempts,
			brief(strings.TrimPrefix(d.Reason, "plugin/"+d.Plugin+"@"+d.Version+": ")))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(list) < total {
		return g.printf("%d of %d; --limit shows more\n", len(list), total)
	}
	return nil
}

// brief is the beginning of a text, for a table.
func brief(text string) string {
	const most = 80
	line, _, _ := strings.Cut(text, "\n")
	if r := []rune(line); len(r) > most {
		line = string(r[:most-1]) + "…"
	}
	return line
}

// moment writes a time as tables show it.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func newLetterShow(g *globals) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show one, with the whole event", Args: exactly("ID"),
		Long:    "Show a dead letter: why it is one, and the whole document that the plugin was given.",
		Example: "  wse deadletter show dl_9f3c2a5b7d1e4c60_1",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the engine's answer as it is")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := g.api()
		if err != nil {
			return err
		}
		var d deadLetter
		answer, err := api.get(cmd.Context(), lettersPath+"/"+url.PathEscape(args[0]), &d)
		if err != nil {
			return err
		}
		if asJSON {
			return g.printAnswer(answer)
		}
		return g.printLetter(&d)
	}
	return cmd
}

func (g *globals) printLetter(d *deadLetter) error {
	from, size := "handed in", fmt.Sprintf("%d bytes", d.Bytes)
	if d.From != "" {
		from = d.From
	}
	if d.Cut {
		size += ", of which the beginning is kept"
	}
	return g.printf("id        %s\nchannel   %s\nfrom      %s\nevent     %s %s\nplugin    %s\nhanded in %s\nattempts  %d, the last at %s\nreason    %s\ndocument  %s\n%s\n",
		d.ID, d.Channel, from, cmp.Or(d.Event, "-"), d.EventID, d.culprit(), moment(d.Time), d.Attempts, moment(d.Last),
		strings.ReplaceAll(d.Reason, "\n", "\n          "), size, d.Document)
}

func newLetterReplay(g *globals) *cobra.Command {
	var ask struct {
		IDs     []string `json:"ids,omitempty"`
		Plugin  string   `json:"plugin,omitempty"`
		Channel string   `json:"channel,omitempty"`
		All     bool     `json:"all,omitempty"`
	}
	var filter letterFilter
	var asJSON bool
	cmd := &cobra.Command{
		Use: "replay [ID...]", Short: "Hand events in again",
		Long: `Hand the events of dead letters in again, each exactly as it was: those that are named, those of one plugin or
channel, or all. A line is printed for each. Those that fail again stay, with the new reason. Where none is named those that failed least often come first, the oldest of them first of all, and three failures in a row end it. Exit code 1
means that a letter is still there.`,
		Example: `  wse deadletter replay dl_9f3c2a5b7d1e4c60_1
  wse deadletter replay --plugin mapping
  wse dlq replay --channel events
  wse deadletter replay --all`,
	}
	filter.flags(cmd, "those")
	cmd.Flags().BoolVar(&ask.All, "all", false, "all of them")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the engine's answer as it is")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := oneWay(cmd, args, &filter, ask.All); err != nil {
			return err
		}
		ask.IDs, ask.Plugin, ask.Channel = args, filter.plugin, filter.channel
		api, err := g.api()
		if err != nil {
			return err
		}
		answer, err := api.post(cmd.Context(), lettersPath+"/replay", &ask)
		if err != nil {
			return err
		}
		return g.printReplay(answer, asJSON)
	}
	return cmd
}

// oneWay requires that letters are chosen in one way.
func oneWay(cmd *cobra.Command, ids []string, f *letterFilter, all bool) error {
	if ways := btoi(len(ids) > 0) + btoi(f.plugin != "") + btoi(f.channel != "") + btoi(all); ways != 1 {
		return misused(cmd, "give either ID..., --plugin NAME, --channel NAME or --all")
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// printReplay prints what became of each letter, and fails where one is left.
func (g *globals) printReplay(answer []byte, asJSON bool) error {
	var done struct {
		Replayed, Failed, Left int
		Stopped                string
		Letters                []struct {
			ID, Status string
			Envelopes  []result
			Error      struct{ Message string }
		}
	}
	err := understand(answer, &done)
	if asJSON {
		err = errors.Join(g.printAnswer(answer), err)
	}
	gone := 0
	for _, l := range done.Letters {
		gone += btoi(l.Status == "not_found" || l.Status == "busy")
		what := l.Status
		if l.Error.Message != "" {
			what += ": " + brief(l.Error.Message)
		}
		for _, e := range l.Envelopes {
			what += ": " + e.String()
		}
		if !asJSON && err == nil {
			err = g.printf("%s %s\n", l.ID, what)
		}
	}
	if !asJSON && err == nil {
		err = g.printf("%d replayed, %d failed, %d left\n", done.Replayed, done.Failed, done.Left)
	}
	switch {
	case err != nil:
		return err
	case done.Stopped != "":
		return fmt.Errorf("the replay ended early: %s", firstLine([]byte(done.Stopped)))
	case done.Failed+gone > 0:
		return fmt.Errorf("%d of the dead letters could not be replayed", done.Failed+gone)
	}
	return nil
}

func newLetterDrop(g *globals) *cobra.Command {
	var filter letterFilter
	var all bool
	cmd := &cobra.Command{
		Use: "drop [ID...]", Short: "Forget some for good",
		Long: "Forget dead letters, and the events with them: those that are named, those of one plugin or channel, or all.",
		Example: `  wse deadletter drop dl_9f3c2a5b7d1e4c60_1
  wse dlq drop --channel 'user:u1:*'`,
	}
	filter.flags(cmd, "those")
	cmd.Flags().BoolVar(&all, "all", false, "all of them")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := oneWay(cmd, args, &filter, all); err != nil {
			return err
		}
		api, err := g.api()
		if err != nil {
			return err
		}
		if len(args) > 0 {
			return g.dropLetters(cmd.Context(), api, args)
		}
		return g.dropChosen(cmd.Context(), api, &filter)
	}
	return cmd
}

// dropChosen drops what a filter chooses, some at a time, until nothing is left or can be dropped.
func (g *globals) dropChosen(ctx context.Context, api *adminAPI, filter *letterFilter) error {
	const atATime = 100
	for {
		list, total, _, err := filter.list(ctx, api, atATime)
		if err != nil || len(list) == 0 {
			return err
		}
		ids := make([]string, len(list))
		for i := range list {
			ids[i] = list[i].ID
		}
		if err := g.dropLetters(ctx, api, ids); err != nil {
			return err
		}
		if total <= len(list) {
			return nil
		}
	}
}

func (g *globals) dropLetters(ctx context.Context, api *adminAPI, ids []string) error {
	var errs []error
	for _, id := range ids {
		if _, err := api.call(ctx, http.MethodDelete, lettersPath+"/"+url.PathEscape(id), "", nil); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, g.printf("%s dropped\n", id))
	}
	return errors.Join(errs...)
}
