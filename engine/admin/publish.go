package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/wse-engine/wse/engine/ingest"
	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// item is what became of one event or envelope. Of an event that became several envelopes the outer fields are the
// first's, and Envelopes lists all.
type item struct {
	Status    string        `json:"status,omitempty"`
	ID        string        `json:"id,omitempty"`
	Topic     message.Topic `json:"topic,omitempty"`
	Seq       uint64        `json:"seq,omitempty"`
	Epoch     *Epoch        `json:"epoch,omitempty"`  // 00000000, which is no epoch, where the topic keeps no history; nil: nothing was published
	Reason    string        `json:"reason,omitempty"` // why nothing was published
	Letter    string        `json:"letter,omitempty"` // the id of the dead letter that it became
	Envelopes []item        `json:"envelopes,omitempty"`
	Error     *fault        `json:"error,omitempty"`
}

// fault is an error inside an array's answer.
type fault struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Details json.RawMessage `json:"details,omitempty"`
}

// events publishes domain events.
func (s *Server) events() http.HandlerFunc {
	return s.publish(s.deps.Publisher.PublishEventJSON, s.deps.Publisher.PublishEventsJSON)
}

// envelopes publishes envelopes.
func (s *Server) envelopes() http.HandlerFunc {
	one := s.deps.Publisher.PublishJSON
	return s.publish(one, func(ctx context.Context, docs [][]byte) []ingest.Outcome {
		outcomes := make([]ingest.Outcome, len(docs))
		for i, doc := range docs {
			outcomes[i].Results, outcomes[i].Err = one(ctx, doc)
		}
		return outcomes
	})
}

// publish makes the handler that hands a document to one, and those of an array to all. An object is answered with its item
// or a problem; an array with 200 and an array of items, in order, each with its fields or an error. The documents of an
// array are published in their order, and none of them where the array is not sound to its end.
func (s *Server) publish(one func(context.Context, []byte) ([]ingest.Result, error), all func(context.Context, [][]byte) []ingest.Outcome) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, ok := s.body(w, r)
		if !ok {
			return
		}
		if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte{'['}) {
			s.publishOne(w, r, body, one)
			return
		}
		docs, ok := s.split(w, body)
		if !ok {
			return
		}
		items := make([]item, len(docs))
		for i, o := range all(r.Context(), docs) {
			if o.Err == nil {
				items[i] = itemOf(o.Results)
				continue
			}
			e := message.AsError(o.Err)
			s.logCause(r, e)
			items[i] = item{
				Envelopes: itemsOf(o.Results), Error: &fault{Code: spell(e.Code), Message: e.Message, Details: e.Details},
			}
		}
		writeJSON(w, items)
	}
}

func (s *Server) publishOne(w http.ResponseWriter, r *http.Request, doc []byte, one func(context.Context, []byte) ([]ingest.Result, error)) {
	results, err := one(r.Context(), doc)
	if err != nil {
		s.fail(w, r, err, itemsOf(results))
		return
	}
	status := http.StatusOK
	if len(results) > 0 && results[0].Status == ingest.DeadLettered {
		status = http.StatusAccepted // taken, but nobody has it yet
	}
	write(w, status, "application/json", itemOf(results))
}

// body reads a request's body, or answers that it cannot.
func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		refuse(w, http.StatusRequestEntityTooLarge, codeTooLarge, "the body has more than %d KiB, the limit admin.body_kib_max", s.cfg.BodyKiBMax)
	case err != nil:
		refuse(w, http.StatusBadRequest, codeBadRequest, "the body could not be read to its end")
	default:
		return body, true
	}
	return nil, false
}

// split returns the elements of an array, or answers why it cannot.
func (s *Server) split(w http.ResponseWriter, body []byte) (docs [][]byte, ok bool) {
	it := jsonscan.Elements(body)
	for it.Next() {
		if len(docs) == s.cfg.BatchItemsMax {
			refuse(w, http.StatusRequestEntityTooLarge, codeTooLarge, "the array has more than %d elements, the limit admin.batch_items_max", len(docs))
			return nil, false
		}
		docs = append(docs, it.Value())
	}
	if err := it.Err(); err != nil {
		refuse(w, http.StatusBadRequest, spell(message.CodeInvalidMessage), "the body is not a JSON array, and nothing of it was taken: %v", err)
		return nil, false
	}
	return docs, true
}

func itemOf(results []ingest.Result) item {
	if len(results) == 0 {
		return item{}
	}
	all := itemsOf(results)
	first := all[0]
	if len(all) > 1 {
		first.Envelopes = all
	}
	return first
}

func itemsOf(results []ingest.Result) []item {
	items := make([]item, len(results))
	for i, r := range results {
		items[i] = item{
			Status: r.Status.String(), ID: r.ID, Topic: r.Topic, Seq: r.Seq, Reason: r.Reason, Letter: r.Letter,
		}
		if r.Status == ingest.Published || r.Status == ingest.Duplicate {
			epoch := Epoch(r.Epoch)
			items[i].Epoch = &epoch
		}
	}
	return items
}
