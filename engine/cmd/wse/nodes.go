package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// nodesAnswer is what the engine tells of the engines that serve together.
type nodesAnswer struct {
	This        string                         `json:"this"`
	Nodes       []nodeInfo                     `json:"nodes"`
	Differences map[string]map[string][]string `json:"differences"` // by name, by value, who has it
}

type nodeInfo struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Version   string            `json:"version"`
	Addr      string            `json:"addr"`
	StartedMS int64             `json:"started_ms"`
	BeatAgoMS int64             `json:"beat_ago_ms"`
	About     map[string]string `json:"about"`
}

// newNodes returns the command that lists the engines that serve together.
func newNodes(g *globals) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "nodes", Short: "List the engines that share a Redis", Args: exactly(),
		Long: `List the engines that serve together, those that live by Redis's clock. The one that was asked is marked with *. What
they should have in common and do not, such as a plugin's digest, is told of below; exit code 1 means that there is such a thing.`,
		Example: `  wse nodes
  wse nodes --json`,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the engine's answer as it is")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := g.api()
		if err != nil {
			return err
		}
		var list nodesAnswer
		answer, err := api.get(cmd.Context(), "/api/v1/nodes", &list)
		if err != nil {
			return err
		}
		if asJSON {
			return errors.Join(g.printAnswer(answer), list.disagree())
		}
		return errors.Join(g.printNodes(&list), list.disagree())
	}
	return cmd
}

func (g *globals) printNodes(list *nodesAnswer) error {
	if len(list.Nodes) == 0 {
		return g.printf("the engine is alone: it shares no Redis with others\n")
	}
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\tID\tVERSION\tADDRESS\tSTARTED\tBEAT\tABOUT")
	for i := range list.Nodes {
		n := &list.Nodes[i]
		mark := ""
		if n.ID == list.This {
			mark = "*"
		}
		var about []string
		for _, name := range slices.Sorted(maps.Keys(n.About)) {
			about = append(about, name+"="+short(n.About[name]))
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s ago\t%s\n", mark, n.ID, cmp.Or(n.Version, "-"), cmp.Or(n.Addr, "-"),
			moment(time.UnixMilli(n.StartedMS)), time.Duration(n.BeatAgoMS)*time.Millisecond, cmp.Or(strings.Join(about, " "), "-"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(list.Differences)) {
		for _, value := range slices.Sorted(maps.Keys(list.Differences[name])) {
			who := strings.Join(list.Differences[name][value], ", ")
			if err := g.printf("%s is %s on %s\n", name, cmp.Or(short(value), "unknown"), who); err != nil {
				return err
			}
		}
	}
	return nil
}

// short cuts what is as long as a digest. A plugin's version, of which two may differ at their ends alone, is not.
func short(value string) string {
	const most, shown = 24, 12
	if len(value) <= most {
		return value
	}
	return value[:shown] + "…"
}

// disagree is the error of nodes that do not have in common what they should.
func (l *nodesAnswer) disagree() error {
	if len(l.Differences) == 0 {
		return nil
	}
	return fmt.Errorf("the nodes differ in %s", strings.Join(slices.Sorted(maps.Keys(l.Differences)), ", "))
}
