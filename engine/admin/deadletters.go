package admin

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/message"
)

// deadLetter is one as the API shows it.
type deadLetter struct {
	ID       string    `json:"id"`
	Channel  string    `json:"channel"`
	From     string    `json:"from,omitempty"`
	Time     time.Time `json:"time"`
	EventID  string    `json:"event_id"`
	Event    string    `json:"event"`
	Plugin   string    `json:"plugin"`
	Version  string    `json:"version"`
	Reason   string    `json:"reason"`
	Attempts int       `json:"attempts"`
	Last     time.Time `json:"last"`
	Document string    `json:"document"` // in a list the first 512 bytes
	Bytes    int       `json:"bytes"`    // of all of it
	Cut      bool      `json:"cut,omitempty"`
}

func letterOf(d ingest.DeadLetter) deadLetter {
	d.Time, d.Last = d.Time.UTC(), d.Last.UTC()
	return deadLetter(d)
}

func (s *Server) deadLetters(w http.ResponseWriter, r *http.Request) {
	values, limit, ok := s.listing(w, r, "plugin", "channel")
	if !ok {
		return
	}
	q := ingest.LetterQuery{Plugin: values.Get("plugin"), Channel: values.Get("channel")}
	newest, total, err := s.deps.Letters.DeadLetters(r.Context(), q, limit)
	if err != nil {
		s.fail(w, r, err, nil)
		return
	}
	list := make([]deadLetter, len(newest))
	for i, d := range newest {
		list[i] = letterOf(d)
	}
	writeJSON(w, map[string]any{"dead_letters": list, "total": total})
}

func (s *Server) deadLetter(w http.ResponseWriter, r *http.Request) {
	if _, ok := query(w, r); !ok {
		return
	}
	d, err := s.deps.Letters.DeadLetter(r.Context(), r.PathValue("id"))
	if err != nil {
		s.letterFault(w, r, err)
		return
	}
	writeJSON(w, letterOf(d))
}

func (s *Server) dropDeadLetter(w http.ResponseWriter, r *http.Request) {
	if err := s.deps.Letters.DropDeadLetter(r.Context(), r.PathValue("id")); err != nil {
		s.letterFault(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// letterFault says why there is nothing to show or to drop.
func (s *Server) letterFault(w http.ResponseWriter, r *http.Request, err error) {
	id := r.PathValue("id")
	switch {
	case errors.Is(err, ingest.ErrReplaying):
		refuse(w, http.StatusConflict, codeConflict, "the dead letter %q is being replayed", id)
	case errors.Is(err, ingest.ErrNoLetter):
		refuse(w, http.StatusNotFound, codeNotFound, "there is no dead letter %q: it was replayed, dropped, or pushed out by newer ones", id)
	default:
		s.fail(w, r, err, nil)
	}
}

// replayFailuresMax in a row by one plugin end a replay of all letters. It is below the default of breaker_traps, so that
// handing in what a plugin fails on does not silence the plugin for everybody else.
const replayFailuresMax = 3

// replayRequest says which letters to hand in again: one of its fields.
type replayRequest struct {
	IDs     []string `json:"ids"`
	Plugin  string   `json:"plugin"`
	Channel string   `json:"channel"`
	All     bool     `json:"all"`
}

// The outcomes of a letter's replay.
const (
	replayed     = "replayed"      // it was published or dropped by decision, and is a dead letter no more
	replayFailed = "failed"        // it stays, with the new reason
	replayBusy   = "busy"          // somebody else is replaying it
	replayGone   = "not_found"     // it is no dead letter any more
	replayCut    = "not_attempted" // the replay ended before it
)

// replayedLetter is what became of a letter.
type replayedLetter struct {
	ID        string `json:"id"`
	Status    string `json:"status"`
	Envelopes []item `json:"envelopes,omitempty"` // what it became, or became before it failed
	Error     *fault `json:"error,omitempty"`
}

// replayAnswer is the answer to a replay. Its letters are those that were attempted, and with ids all that were named.
type replayAnswer struct {
	Replayed int              `json:"replayed"`
	Failed   int              `json:"failed"`
	Left     int              `json:"left"`              // asked for and not attempted
	Stopped  string           `json:"stopped,omitempty"` // why, where any are left
	Letters  []replayedLetter `json:"letters"`
}

func (s *Server) replay(w http.ResponseWriter, r *http.Request) {
	if _, ok := query(w, r); !ok {
		return
	}
	body, ok := s.body(w, r)
	if !ok {
		return
	}
	var ask replayRequest
	err := decodeStrictly(body, &ask)
	given := 0
	for _, is := range []bool{len(ask.IDs) > 0, ask.Plugin != "", ask.Channel != "", ask.All} {
		if is {
			given++
		}
	}
	switch {
	case err != nil || given != 1:
		refuse(w, http.StatusBadRequest, codeBadRequest, `the body must be one of {"ids":["…"]}, {"plugin":"…"}, {"channel":"…"} and {"all":true}`)
	case len(ask.IDs) > s.cfg.BatchItemsMax:
		refuse(w, http.StatusRequestEntityTooLarge, codeTooLarge, "there are more than %d ids, the limit admin.batch_items_max", s.cfg.BatchItemsMax)
	default:
		ids := ask.IDs
		if len(ids) == 0 {
			if ids, err = s.deps.Replayer.DeadLetterIDs(r.Context(), ingest.LetterQuery{Plugin: ask.Plugin, Channel: ask.Channel}); err != nil {
				s.fail(w, r, err, nil)
				return
			}
		}
		writeJSON(w, s.replayLetters(r, ids, len(ask.IDs) > 0))
	}
}

// replayLetters hands letters in, one after the other. Those that are named are all attempted.
func (s *Server) replayLetters(r *http.Request, ids []string, named bool) replayAnswer {
	out := replayAnswer{Letters: []replayedLetter{}}
	inRow, why := 0, ""
	for i, id := range ids {
		switch {
		case r.Context().Err() != nil:
			out.Stopped = "the time for a request, admin.request_timeout, is over; what is left can be replayed with another"
		case i == s.cfg.BatchItemsMax:
			out.Stopped = fmt.Sprintf("%d letters, the limit admin.batch_items_max, were attempted; what is left can be replayed with another request", i)
		case inRow == replayFailuresMax && !named:
			out.Stopped = fmt.Sprintf("%d letters failed in a row; the last: %s", inRow, why)
		}
		if out.Stopped != "" {
			out.Left = len(ids) - i
			break
		}
		l := s.replayOne(r, id)
		switch l.Status {
		case replayed:
			out.Replayed++
			inRow = 0
		case replayFailed:
			out.Failed++
			inRow, why = inRow+1, l.Error.Message
		}
		out.Letters = append(out.Letters, l)
	}
	for _, id := range ids[len(ids)-out.Left:] {
		if named {
			out.Letters = append(out.Letters, replayedLetter{ID: id, Status: replayCut})
		}
	}
	return out
}

func (s *Server) replayOne(r *http.Request, id string) replayedLetter {
	results, err := s.deps.Replayer.ReplayDeadLetter(r.Context(), id)
	l := replayedLetter{ID: id, Status: replayed, Envelopes: itemsOf(results)}
	switch {
	case errors.Is(err, ingest.ErrReplaying):
		l.Status = replayBusy
	case errors.Is(err, ingest.ErrNoLetter):
		l.Status = replayGone
	case err != nil:
		e := message.AsError(err)
		s.logCause(r, e)
		l.Status, l.Error = replayFailed, &fault{Code: spell(e.Code), Message: e.Message, Details: e.Details}
	}
	return l
}
