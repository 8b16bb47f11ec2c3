package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/wse-engine/wse/engine/cluster"
	"github.com/wse-engine/wse/engine/cluster/rollout"
	"github.com/wse-engine/wse/engine/message"
)

// Nodes tells of the engines that serve together. It may block until ctx ends.
type Nodes interface {
	// Nodes returns this engine's id and all that live, itself included; nothing where it is alone.
	Nodes(ctx context.Context) (this string, list []cluster.Info, err error)
}

// Commander does to clients what an operator asks for, on every node there is. Each may block until ctx ends.
type Commander interface {
	// Disconnect closes a connection for good; Done is 1 where there was one with this id. It does not wait for the close.
	Disconnect(ctx context.Context, id string) cluster.Report
	// DisconnectUser closes all connections of a user, of which Done says how many there were.
	DisconnectUser(ctx context.Context, user string) cluster.Report
	// RevokeUser makes every refresh token of a user worthless that was issued up to now.
	RevokeUser(ctx context.Context, user string) cluster.Report
}

// nodes lists the nodes, and what they should have in common and do not.
func (s *Server) nodes(w http.ResponseWriter, r *http.Request) {
	if _, ok := query(w, r); !ok {
		return
	}
	this, list, err := s.deps.Nodes.Nodes(r.Context())
	if err != nil {
		s.fail(w, r, &message.Error{Code: message.CodeUnavailable, Message: "the nodes cannot be listed, since Redis does not answer; try again", Err: err}, nil)
		return
	}
	writeJSON(w, map[string]any{"this": this, "nodes": orEmpty(list), "differences": differences(list)})
}

// differences returns what nodes should have in common and do not: by its name the values, and which nodes have each. A node that
// does not say has "".
func differences(list []cluster.Info) map[string]map[string][]string {
	all := map[string]map[string][]string{"version": {}}
	for i := range list {
		for name := range list[i].About {
			if strings.HasPrefix(name, rollout.AboutPrefix) || strings.HasPrefix(name, cluster.AboutConfig) {
				all[name] = map[string][]string{}
			}
		}
	}
	for name, values := range all {
		for i := range list {
			value := list[i].About[name]
			if name == "version" {
				value = list[i].Version
			}
			values[value] = append(values[value], list[i].ID)
		}
		if len(values) < 2 {
			delete(all, name)
		}
	}
	return all
}

// reported is a [cluster.Report] as the API shows it.
type reported struct {
	Done     int            `json:"done"`
	Complete bool           `json:"complete"` // every node did it
	Nodes    []reportedNode `json:"nodes"`    // none where the engine is alone
}

type reportedNode struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Done  int    `json:"done"`
	Error string `json:"error,omitempty"`
}

const codeIncomplete = "INCOMPLETE"

// report answers with what became of a command: 200 where every node did it, else 502 with the same in the problem's details.
func (s *Server) report(w http.ResponseWriter, r *http.Request, done *cluster.Report) {
	shown := reported{Done: done.Done, Complete: done.Complete(), Nodes: []reportedNode{}}
	var missing []string
	for i := range done.Nodes {
		n := &done.Nodes[i]
		one := reportedNode{ID: n.ID, Name: n.Name, Done: n.Done}
		if n.Err != nil {
			one.Error = n.Err.Error()
			missing = append(missing, n.ID)
		}
		shown.Nodes = append(shown.Nodes, one)
	}
	if shown.Complete {
		writeJSON(w, &shown)
		return
	}
	if len(done.Nodes) == 0 { // it is alone
		s.fail(w, r, done.Err, nil)
		return
	}
	detail := "not every node did it: " + strings.Join(missing, ", ") + "; ask again"
	if done.Err != nil {
		detail = "only this node did it, since the others could not be asked; ask again once Redis answers"
		s.logCause(r, message.AsError(done.Err))
	}
	details, err := json.Marshal(&shown)
	if err != nil { // only for a value that this package made wrong
		panic("admin: a report does not marshal: " + err.Error())
	}
	writeProblem(w, problem{Status: http.StatusBadGateway, Code: codeIncomplete, Detail: detail, Details: details})
}

func (s *Server) disconnect(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	done := s.deps.Commander.Disconnect(r.Context(), id)
	switch {
	case done.Done > 0:
		w.WriteHeader(http.StatusNoContent)
	case !done.Complete():
		s.report(w, r, &done)
	case len(done.Nodes) > 0:
		refuse(w, http.StatusNotFound, codeNotFound, "there is no connection %q on any of the %d nodes", id, len(done.Nodes))
	default:
		refuse(w, http.StatusNotFound, codeNotFound, "there is no connection %q on this node", id)
	}
}

// disconnectUser closes all connections of the user that the query names.
func (s *Server) disconnectUser(w http.ResponseWriter, r *http.Request) {
	s.command(w, r, s.deps.Commander.DisconnectUser)
}

// revokeUser makes all refresh tokens of the user worthless that the query names.
func (s *Server) revokeUser(w http.ResponseWriter, r *http.Request) {
	s.command(w, r, s.deps.Commander.RevokeUser)
}

func (s *Server) command(w http.ResponseWriter, r *http.Request, do func(ctx context.Context, user string) cluster.Report) {
	values, ok := query(w, r, "user")
	if !ok {
		return
	}
	user := values.Get("user")
	if user == "" {
		refuse(w, http.StatusBadRequest, codeBadRequest, "user: name the user that is meant, as in ?user=u1")
		return
	}
	done := do(r.Context(), user)
	s.report(w, r, &done)
}
