package cluster

import "errors"

// Report is what became of a command that every node was given.
type Report struct {
	Done  int          // of what there was to do, on all nodes together
	Nodes []NodeReport // by id; none where a process is alone
	Err   error        // why other nodes could not be asked; then Nodes has this one only
}

// NodeReport is what became of a command on one node.
type NodeReport struct {
	ID, Name string
	Done     int
	Err      error // ErrSilent, or what the node says
}

// Complete reports whether every node did what it was told.
func (r *Report) Complete() bool {
	for i := range r.Nodes {
		if r.Nodes[i].Err != nil {
			return false
		}
	}
	return r.Err == nil
}

// Reported makes a report of the answers to a question and of the error that [Node.Ask] returned with them. Done reads how much was
// done from an answer.
func Reported(answers []Answer, failed error, done func(body []byte) (int, error)) Report {
	r := Report{Nodes: make([]NodeReport, len(answers)), Err: failed}
	for i := range answers {
		a, n := &answers[i], &r.Nodes[i]
		n.ID, n.Name, n.Err = a.Node.ID, a.Node.Name, a.Err
		if a.Err == nil {
			n.Done, n.Err = done(a.Body)
		}
		r.Done += n.Done
	}
	if len(answers) == 0 && failed == nil {
		r.Err = errors.New("cluster: nobody was asked")
	}
	return r
}
