package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wse-engine/wse/engine/cluster/rollout"
)

// clusterHelp is what --cluster does, for the help of the commands that have it.
const clusterHelp = `With --cluster the change is one of all nodes: bytes and configuration travel through Redis, each node makes the version
ready, and only when all are ready they switch. One that refuses, or is silent, and nobody switches. The report has a
line for each node. From then on the plugin is the cluster's: nodes that come later follow, and files and changes of one
node do not count for it, until wse plugin forget NAME --cluster.`

// forAll is the flag --cluster.
type forAll bool

func (f *forAll) flag(cmd *cobra.Command, what string) {
	cmd.Flags().BoolVar((*bool)(f), "cluster", false, what)
}

// errNotEverywhere means that a change is the cluster's, and that some nodes have not made it yet.
var errNotEverywhere = errors.New("not all nodes have made the change yet; those that have not are not ready. See how they stand with: wse nodes")

// printReport prints what became of a change on all nodes.
func (o *operation) printReport(answer []byte) error {
	var r rollout.Report
	err := understand(answer, &r)
	if err == nil && !r.Everywhere() {
		err = errNotEverywhere
	}
	if o.asJSON || r.Plugin == "" {
		return errors.Join(o.globals.printAnswer(answer), err)
	}
	return errors.Join(o.globals.printf("%s", r.String()), err)
}

// forgetCluster has all nodes go by their own files again.
func (o *operation) forgetCluster(cmd *cobra.Command, name string) error {
	if err := o.open(); err != nil {
		return err
	}
	answer, err := o.api.call(cmd.Context(), http.MethodDelete, pluginPath(name, "cluster"), "", nil)
	if err != nil {
		return err
	}
	return o.printReport(answer)
}

// clusterVersion is what the cluster wants of a plugin, as an engine shows it.
type clusterVersion struct {
	Version string   `json:"version"`
	Serves  bool     `json:"serves"`
	Reason  string   `json:"reason"`
	How     string   `json:"how"`
	Who     string   `json:"who"`
	Before  []string `json:"before"`
}

// String tells what the cluster wants in one line.
func (c *clusterVersion) String() string {
	text := fmt.Sprintf("wants %s, %s", c.Version, by(c.How, c.Who))
	if !c.Serves {
		text += "; it does not serve here: " + c.Reason
	}
	if len(c.Before) > 0 {
		text += "; before: " + strings.Join(c.Before, ", ")
	}
	return text
}
