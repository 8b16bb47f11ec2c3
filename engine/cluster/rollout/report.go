package rollout

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/wse-engine/wse/engine/plugin"
)

// Errors that callers compare with. Each comes with a text that says what happened and what to do, and where nodes were asked with a
// [Report].
var (
	// ErrRefused means that a node refused the candidate, or was silent: nothing has changed on any.
	ErrRefused = errors.New("nobody switches")
	// ErrBusy means that another change of the cluster's plugins is under way.
	ErrBusy = errors.New("another change of the cluster's plugins is under way")
	// ErrUnavailable means that Redis could not be asked, or not all nodes: nothing has changed.
	ErrUnavailable = errors.New("the cluster cannot be asked")
	// ErrUnknown means that Redis did not say whether it took the change. It decides: either all nodes make it, or none.
	ErrUnknown = errors.New("whether the change was made is not known")
	// ErrNotGoverned means that the cluster wants no version of the plugin in particular.
	ErrNotGoverned = errors.New("the cluster wants no version of it in particular: each node goes by its own files and changes")
)

var (
	errLease = errors.New("the lease of the change is over: it took longer than prepare_timeout and commit_timeout together, or Redis lost the lease in a failover; try again")
	errGone  = errors.New("what the cluster wants is not in Redis any more")
)

// Outcome is what became of a change.
type Outcome string

// The outcomes.
const (
	OutcomeSwitched Outcome = "switched" // it is the cluster's; nodes that have not made it yet will
	OutcomeRefused  Outcome = "refused"  // nothing has changed
	OutcomeUnknown  Outcome = "unknown"  // Redis did not say; either all nodes will make it, or none
)

// State is how a node stands to a change.
type State string

// The states.
const (
	StateWorking  State = "working"  // it makes the version ready, or is about to switch
	StateReady    State = "ready"    // it holds the version
	StateSwitched State = "switched" // it serves the version
	StateReleased State = "released" // it goes by its own files again
	StateRefused  State = "refused"  // it cannot
	StateSilent   State = "silent"   // it did not answer
	StateGone     State = "gone"     // it died or left; should it come back, it goes by what the cluster wants then
)

// NodeReport is how one node stands to a change.
type NodeReport struct {
	ID      string      `json:"id"`
	State   State       `json:"state"`
	Serving string      `json:"serving,omitempty"` // the version that serves there
	Step    plugin.Step `json:"step,omitempty"`    // where it refused the candidate
	Reason  string      `json:"reason,omitempty"`  // why it refused, or is silent
}

// Report says what became of a change on all nodes.
type Report struct {
	Plugin  string       `json:"plugin"`
	Version string       `json:"version,omitempty"` // that was to serve; empty: none in particular
	How     plugin.How   `json:"how"`               // swap, rollback or forget
	Who     string       `json:"who,omitempty"`
	Change  string       `json:"change"` // its id, which the logs of all nodes name
	Outcome Outcome      `json:"outcome"`
	Reason  string       `json:"reason,omitempty"` // of an outcome that is not switched
	Nodes   []NodeReport `json:"nodes"`
}

// Everywhere tells whether all nodes have made the change.
func (r *Report) Everywhere() bool {
	return r.Outcome == OutcomeSwitched && r.count(r.done()) == len(r.Nodes)
}

// done is the state of a node that has made the change.
func (r *Report) done() State {
	if r.How == howForget {
		return StateReleased
	}
	return StateSwitched
}

func (r *Report) count(s State) (n int) {
	for i := range r.Nodes {
		if r.Nodes[i].State == s {
			n++
		}
	}
	return n
}

// against tells which nodes refused, or are silent.
func (r *Report) against() (list []string) {
	for i := range r.Nodes {
		switch n := &r.Nodes[i]; n.State {
		case StateRefused:
			list = append(list, n.ID+" refused")
		case StateSilent:
			list = append(list, n.ID+" is silent")
		}
	}
	return list
}

// String is the report as operators read it: a line about the change and one for each node.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", r.Plugin, r.headline())
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for i := range r.Nodes {
		n := &r.Nodes[i]
		fmt.Fprintf(table, "  %s\t%s\t%s\n", n.ID, n.State, n.text())
	}
	_ = table.Flush() // to memory
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func (r *Report) headline() string {
	by := ""
	if r.Who != "" {
		by = " by " + r.Who
	}
	change := string(r.How) + by
	if r.Version != "" { // nothing is known of one that could not be proposed
		change = fmt.Sprintf("%s to %s%s", r.How, r.Version, by)
	}
	if r.Outcome != OutcomeSwitched {
		return change + ": " + r.Reason
	}
	text := fmt.Sprintf("%s: done on %d of %d nodes", change, r.count(r.done()), len(r.Nodes))
	if !r.Everywhere() {
		text += "; the others are not ready until they have done it too"
	}
	return text
}

// text is what there is to say of a node.
func (n *NodeReport) text() string {
	var parts []string
	if n.Serving != "" {
		parts = append(parts, "serves "+n.Serving)
	}
	switch {
	case n.Step != "":
		parts = append(parts, fmt.Sprintf("refused at step %s: %s", n.Step, n.Reason))
	case n.Reason != "":
		parts = append(parts, n.Reason)
	}
	return strings.Join(parts, "; ")
}
