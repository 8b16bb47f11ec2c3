package trading

import (
	"context"
	"errors"
	"strings"

	"github.com/wse-engine/wse/engine/auth"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/trading/collection"
)

// recorder hands the ticks of a symbol to all collections that want it.
type recorder struct{ collector *collection.Collector }

func (r recorder) take(t *message.Tick) { r.collector.Append(t) }

func (r recorder) interrupted(symbol string) { r.collector.Interrupted(symbol) }

// collect begins a collection of ticks (PROTOCOL §3.6).
func (t *Trading) collect(ctx context.Context, who *auth.Identity, r *message.CollectionStart) (message.ReplyBody, error) {
	status, err := t.deps.Collector.Start(who.UserID, r.Symbols, r.Duration)
	if err != nil {
		return nil, notCollected(err)
	}
	if err := t.record(ctx, status.ID, status.Symbols); err != nil {
		_, stopErr := t.deps.Collector.Stop(context.WithoutCancel(ctx), status.ID)
		return nil, errors.Join(&message.Error{
			Code: message.CodeCollectionStartFailed, Message: "the symbols cannot be followed now; try again", Err: err,
		}, stopErr)
	}
	return &message.CollectionStarted{Collection: status.Message()}, nil
}

// record follows the symbols of a collection until it has ended.
func (t *Trading) record(ctx context.Context, id string, symbols []string) error {
	leave, err := t.quotes.follow(ctx, symbols, recorder{t.deps.Collector})
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.recordings[id] = leave
	t.mu.Unlock()
	if status, err := t.deps.Collector.Status(id); err != nil || status.State != collection.Running {
		t.CollectionEnded(id) // it was told before there was anything to leave
	}
	return nil
}

// CollectionEnded is to be called when a collection has ended, whatever ended it.
func (t *Trading) CollectionEnded(id string) {
	t.mu.Lock()
	leave := t.recordings[id]
	delete(t.recordings, id)
	t.mu.Unlock()
	if leave == nil {
		return
	}
	if err := leave(context.Background()); err != nil {
		t.log.Warn("a collection's symbols are still followed", "collection", id, "error", err)
	}
}

func notCollected(err error) error {
	code := message.CodeCollectionStartFailed
	if errors.Is(err, collection.ErrInvalid) {
		code = message.CodeInvalidArgument
	}
	return &message.Error{Code: code, Message: reasonOf(err), Err: nil}
}

// reasonOf is the text of one of our own errors without its package's name.
func reasonOf(err error) string {
	_, reason, found := strings.Cut(err.Error(), ": ")
	if !found {
		return err.Error()
	}
	return reason
}

// ofCollection returns the status of a collection that somebody may touch.
func (t *Trading) ofCollection(who *auth.Identity, id string) (collection.Status, error) {
	status, err := t.deps.Collector.Status(id)
	switch {
	case errors.Is(err, collection.ErrNotFound) || err == nil && !mayTouch(who, status.Owner):
		return status, message.Errorf(message.CodeSessionNotFound, "you have no collection %q", cut(id))
	case err != nil:
		return status, &message.Error{Code: message.CodeCommandFailed, Message: "the collection cannot be read: " + reasonOf(err), Err: err}
	}
	return status, nil
}

// stopCollection ends a collection; one that has ended is answered as it is.
func (t *Trading) stopCollection(ctx context.Context, who *auth.Identity, r *message.CollectionStop) (message.ReplyBody, error) {
	if _, err := t.ofCollection(who, r.CollectionID); err != nil {
		return nil, err
	}
	status, err := t.deps.Collector.Stop(ctx, r.CollectionID)
	if err != nil {
		return nil, &message.Error{Code: message.CodeCommandFailed, Message: "the collection could not be stopped: " + reasonOf(err), Err: err}
	}
	return &message.CollectionStopped{Collection: status.Message()}, nil
}

// collectionStatus tells of a collection, or of the caller's newest one.
func (t *Trading) collectionStatus(who *auth.Identity, r *message.CollectionQuery) (message.ReplyBody, error) {
	if r.CollectionID == "" {
		if status, ok := t.deps.Collector.Newest(who.UserID); ok {
			return &message.CollectionStatus{Collection: status.Message()}, nil
		}
		return &message.CollectionStatus{}, nil
	}
	status, err := t.ofCollection(who, r.CollectionID)
	if err != nil {
		return nil, err
	}
	return &message.CollectionStatus{Collection: status.Message()}, nil
}
