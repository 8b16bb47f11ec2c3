package auth

import (
	"strings"

	"github.com/wse-engine/wse/engine/message"
)

// Need is what a request takes.
type Need struct {
	// Login says that the connection must belong to a user.
	Login bool
	// OneOf are permissions of which he needs one; 0: none.
	OneOf Permissions
}

// NeedOf returns what a request takes (PROTOCOL §3.2). Who a session, a strategy or a collection belongs to is its handler's
// to know, and so is what a stream and a topic take.
func NeedOf(body message.Body) Need {
	switch b := body.(type) {
	case *message.Authenticate, *message.RefreshToken, *message.Heartbeat, *message.Ping, *message.Handshake, *message.Hello,
		*message.Review: // the engine's own
		return Need{}
	case *message.SessionStart:
		return Need{true, startNeeds(b.SessionType)}
	case *message.StrategyConfig:
		if b.Save {
			return Need{true, ExecuteBacktest | ExecutePaperTrading}
		}
		return Need{true, ReadMarketData}
	case *message.StrategyActivation, *message.CollectionStart, *message.CollectionStop:
		return Need{true, ExecuteBacktest | ExecutePaperTrading}
	case *message.StrategiesRequest, *message.StrategyQuery, *message.SessionQuery, *message.ResultsRequest, *message.CollectionQuery,
		*message.SessionChange: // who could start it and no longer may is let stop it
		return Need{true, ReadMarketData}
	}
	return Need{Login: true}
}

// startNeeds is what a session of a type takes. One that does not exist takes as little as any, so that it is refused as such.
func startNeeds(sessionType string) Permissions {
	switch strings.ToLower(sessionType) {
	case "backtest":
		return ExecuteBacktest
	case "paper":
		return ExecutePaperTrading
	case "live":
		return ExecuteLiveTrading
	}
	return ReadMarketData
}

// forbidden are the details of a refusal for want of a permission.
type forbidden struct {
	OneOf       []string `json:"one_of"`
	Permissions []string `json:"permissions"`
}

// Permit returns nil where an identity may ask for what a request asks for. The error is a *message.Error: CodeAuthRequired
// where it is nobody's, CodeForbidden where a permission is missing.
func (i *Identity) Permit(body message.Body) error {
	need := NeedOf(body)
	switch {
	case need.Login && i.Anonymous():
		return message.Errorf(message.CodeAuthRequired, "log in first: send auth with a token")
	case need.OneOf == 0 || i.Permissions&need.OneOf != 0:
		return nil
	}
	names := need.OneOf.AppendNames(nil)
	return message.Errorf(message.CodeForbidden, "this needs the permission %s, which the token does not give", strings.Join(names, " or ")).
		WithDetails(forbidden{names, i.Permissions.AppendNames([]string{})})
}
