package auth

import (
	"fmt"
	"strings"

	"github.com/wse-engine/wse/engine/message"
)

// devIdentity is the identity of a test user, whose token is his id. It takes part where dev_tokens is on and a token does not
// look like a JWT: with fewer than two dots. Any other is verified as always.
func (a *Auth) devIdentity(token string) (*Identity, error) {
	if err := checkUserID(token); err != nil {
		return nil, refuse("auth.dev_tokens is on, but it is no user id: %s", message.AsError(err).Message)
	}
	permissions, _ := LevelPermissions(a.cfg.DevLevel)
	level, _ := levelName([]byte(a.cfg.DevLevel))
	return &Identity{
		UserID: strings.Clone(token), Level: level, Permissions: permissions, ExpiresMS: a.now().Add(a.cfg.AccessTTL).UnixMilli(),
		// Neither needs escaping: the one is a user id, the other one of four words.
		Claims: fmt.Appendf(nil, `{"sub":%q,"permission_level":%q}`, token, level),
	}, nil
}
