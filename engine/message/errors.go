package message

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Code names a refusal inside the engine. The table in package dialect gives each its spelling in both protocols.
type Code uint8

// The codes. Their comments say when a client sees one.
const (
	CodeInternal            Code = iota // anything foreign: the client learns no detail, the log all of it
	CodeAuthRequired                    // no token
	CodeAuthFailed                      // a token that does not verify
	CodeAuthExpired                     // a token that has run out
	CodeOriginNotAllowed                // the Origin header is not on the list
	CodeInvalidMessage                  // not a message of the protocol
	CodeMessageTooLarge                 // over limits.message_kib
	CodeUnknownType                     // nobody handles this type
	CodeInvalidSubscription             // a subscription request without usable topics
	CodeInvalidAction                   // neither subscribe nor unsubscribe
	CodeSubscriptionFailed              // a topic that was refused or is no topic
	CodeSubscriptionLimit               // more topics than a connection may have
	CodeRateLimited                     // too many requests
	CodeSyncFailed                      // history or snapshots could not be read
	CodeKeyExchangeFailed               // encryption was asked for and could not be agreed
	CodePluginUnavailable               // the plugin that has to decide cannot
	CodeForbidden                       // the identity may not do this
	CodeNotFound                        // no such thing
	CodeUnavailable                     // the engine cannot take it now; try again
	CodeInvalidArgument                 // a field of an otherwise good request is wrong

	// Those of protocol v1's actions (PROTOCOL §3.3).
	CodeUnsubscriptionFailed     // a stream the connection is not subscribed to
	CodeInvalidSessionType       // neither backtest nor paper nor live
	CodeMissingStrategyConfig    // a session without strategies or symbols
	CodeSessionConflict          // another session has the symbols
	CodeSessionNotFound          // no such session or collection, or another owner's
	CodeStrategyActivationFailed // a strategy that cannot be started
	CodeStrategyNotFound         // no strategy of that name
	CodeDeactivationFailed       // a strategy that does not run, or whose session needs it
	CodeBudgetCapExceeded        // allocations over the cap
	CodeInvalidRequestType       // results of a kind that there is not
	CodeCollectionStartFailed    // a collection that cannot be started
	CodeCommandFailed            // what was asked for did not work out
	CodeRoutingError             // a known request that is switched off here
	CodeProcessingError          // a failure before anybody could handle the request

	Codes // how many there are
)

// Error is a refusal with a code, the one error type that leaves the engine. Message tells its reader what was wrong,
// where, and what to do about it; it is shown to clients, so it never holds a secret or a foreign error's text. Err is
// for the log only.
type Error struct {
	Code    Code
	Message string
	Details json.RawMessage // a JSON object with more, or nil
	Err     error           // the cause, never shown to a client
}

// Error implements error.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Message, e.Err)
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error with a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithDetails returns a copy of e whose Details are the JSON form of details, which must marshal.
func (e *Error) WithDetails(details any) *Error {
	raw, err := json.Marshal(details)
	if err != nil {
		panic(fmt.Sprintf("message: error details do not marshal: %v", err))
	}
	c := *e
	c.Details = raw
	return &c
}

// AsError returns err's *Error, or one with CodeInternal that shows the client nothing of err.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeInternal, Message: "internal error; the server's log has the details", Err: err}
}

// Cut returns text, or where it has more than bytesMax bytes its beginning and an ellipsis: an error tells somebody's own words
// back without becoming as long as they are. What is not UTF-8 at the cut, or in what is left, is left out.
func Cut(text string, bytesMax int) string {
	if len(text) <= bytesMax {
		return text
	}
	return strings.ToValidUTF8(text[:bytesMax], "") + "…"
}
