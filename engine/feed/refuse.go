package feed

import (
	"context"
	"errors"
	"fmt"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// notFollowed says why a topic or pattern cannot be subscribed to, as its broker says.
func notFollowed(topic message.Topic, err error) *message.Error {
	if errors.Is(err, broker.ErrPattern) {
		return &message.Error{
			Code: message.CodeSubscriptionFailed, Err: err,
			Message: fmt.Sprintf("patterns cannot be subscribed to here, since each topic's publications come by a way of their own; name the topics that %s is to cover", topic),
		}
	}
	return &message.Error{Code: message.CodeUnavailable, Message: "the topic cannot be followed now; try again", Err: err}
}

// syncFailed says that the history of a topic cannot be read.
func syncFailed(topic message.Topic, err error) error {
	code := message.CodeSyncFailed
	if errors.Is(err, broker.ErrUnavailable) {
		code = message.CodeUnavailable
	}
	return &message.Error{Code: code, Message: fmt.Sprintf("the history of %s could not be read; try again", topic), Err: err}
}

// notPublished says why a client's own message was not taken; nil where it was.
func notPublished(err error) error {
	switch {
	case errors.Is(err, broker.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return &message.Error{Code: message.CodeUnavailable, Err: err,
			Message: "the message was not accepted in time, and may still be published; send it again, with an id inside it where it must not count twice"}
	case errors.Is(err, broker.ErrFull):
		return &message.Error{Code: message.CodeUnavailable, Message: "there is no room for the message now; send it again later", Err: err}
	}
	return err
}
