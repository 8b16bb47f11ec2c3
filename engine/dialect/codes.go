package dialect

import "github.com/wse-engine/wse/engine/message"

// Close codes of both protocols (RFC 6455 §7.4.1, PROTOCOL §2.2). Known clients do not come back after 1000, 1001, 1008,
// 4401 and 4403.
const (
	CloseNormal          = 1000
	CloseGoingAway       = 1001
	CloseProtocolError   = 1002
	CloseUnsupportedData = 1003
	CloseInvalidPayload  = 1007
	ClosePolicy          = 1008
	CloseTooBig          = 1009
	CloseInternal        = 1011
	CloseRestart         = 1012 // the server drains: come back
	CloseBadMessages     = 4400
	CloseUnauthorized    = 4401
	CloseOrigin          = 4403
	CloseSilent          = 4408
	CloseRateLimited     = 4429
	CloseOverloaded      = 4503
)

// Spelling is what one internal code becomes on the wire.
type Spelling struct {
	WSE         string // protocol v2, PROTOCOL §2.7
	API         string // protocol v1, PROTOCOL §3.1–3.3
	Recoverable bool   // the client may go on, or come back and try again
	Severity    string // "critical", "error" or "warning"
	// Close is the code a connection is closed with when it is closed for this reason; 0 where it never is.
	Close uint16
}

// SpellingOf returns the spelling of c. It is the one table that maps codes to both protocols; an unknown code is spelled
// like [message.CodeInternal].
func SpellingOf(c message.Code) Spelling {
	if c >= message.Codes {
		c = message.CodeInternal
	}
	return spellings[c]
}

// spellings is read-only.
var spellings = [message.Codes]Spelling{
	message.CodeInternal:            {"SERVER_ERROR", "handler_error", true, "error", CloseInternal},
	message.CodeAuthRequired:        {"AUTH_REQUIRED", "authentication_required", false, "critical", CloseUnauthorized},
	message.CodeAuthFailed:          {"AUTH_FAILED", "invalid_token", false, "critical", CloseUnauthorized},
	message.CodeAuthExpired:         {"AUTH_EXPIRED", "token_expired", true, "error", CloseUnauthorized},
	message.CodeOriginNotAllowed:    {"ORIGIN_NOT_ALLOWED", "insufficient_permissions", false, "critical", CloseOrigin},
	message.CodeInvalidMessage:      {"INVALID_MESSAGE", "invalid_json", true, "error", CloseBadMessages},
	message.CodeMessageTooLarge:     {"MESSAGE_TOO_LARGE", "rate_limit_exceeded", true, "error", CloseTooBig},
	message.CodeUnknownType:         {"UNKNOWN_TYPE", "validation_error", true, "warning", 0},
	message.CodeInvalidSubscription: {"INVALID_SUBSCRIPTION", "validation_error", true, "error", 0},
	message.CodeInvalidAction:       {"INVALID_ACTION", "validation_error", true, "error", 0},
	message.CodeSubscriptionFailed:  {"SUBSCRIPTION_FAILED", "subscription_failed", true, "error", 0},
	message.CodeSubscriptionLimit:   {"SUBSCRIPTION_LIMIT", "subscription_failed", true, "error", 0},
	message.CodeRateLimited:         {"RATE_LIMITED", "rate_limit_exceeded", true, "warning", CloseRateLimited},
	message.CodeSyncFailed:          {"SYNC_ERROR", "command_failed", true, "error", 0},
	message.CodeKeyExchangeFailed:   {"KEY_EXCHANGE_FAILED", "command_failed", true, "error", 0},
	message.CodePluginUnavailable:   {"PLUGIN_UNAVAILABLE", "service_unavailable", true, "error", 0},
	message.CodeForbidden:           {"SUBSCRIPTION_FAILED", "insufficient_permissions", true, "error", 0},
	message.CodeNotFound:            {"INVALID_MESSAGE", "command_failed", true, "error", 0},
	message.CodeUnavailable:         {"SERVER_ERROR", "service_unavailable", true, "error", CloseOverloaded},
	message.CodeInvalidArgument:     {"INVALID_MESSAGE", "validation_error", true, "error", 0},

	message.CodeUnsubscriptionFailed:     {"SUBSCRIPTION_FAILED", "unsubscription_failed", true, "error", 0},
	message.CodeInvalidSessionType:       {"INVALID_MESSAGE", "invalid_session_type", true, "error", 0},
	message.CodeMissingStrategyConfig:    {"INVALID_MESSAGE", "missing_strategy_config", true, "error", 0},
	message.CodeSessionConflict:          {"INVALID_MESSAGE", "session_conflict", true, "error", 0},
	message.CodeSessionNotFound:          {"INVALID_MESSAGE", "session_not_found", true, "error", 0},
	message.CodeStrategyActivationFailed: {"SERVER_ERROR", "strategy_activation_failed", true, "error", 0},
	message.CodeStrategyNotFound:         {"INVALID_MESSAGE", "strategy_not_found", true, "error", 0},
	message.CodeDeactivationFailed:       {"INVALID_MESSAGE", "deactivation_failed", true, "error", 0},
	message.CodeBudgetCapExceeded:        {"INVALID_MESSAGE", "budget_cap_exceeded", true, "error", 0},
	message.CodeInvalidRequestType:       {"INVALID_MESSAGE", "invalid_request_type", true, "error", 0},
	message.CodeCollectionStartFailed:    {"SERVER_ERROR", "collection_start_failed", true, "error", 0},
	message.CodeCommandFailed:            {"SERVER_ERROR", "command_failed", true, "error", 0},
	message.CodeRoutingError:             {"UNKNOWN_TYPE", "routing_error", true, "error", 0},
	message.CodeProcessingError:          {"SERVER_ERROR", "message_processing_error", true, "error", 0},
}
