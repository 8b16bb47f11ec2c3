package memory

import (
	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// conflateKey returns what env replaces older pending publications by: its type and the value of the payload's member
// field, so that a quote never replaces a trade of the same symbol. It is "" where the payload has no such member or
// the member is null, an object or an array.
func conflateKey(env *message.Envelope, field string) string {
	it := jsonscan.Members(env.Payload)
	for it.Next() {
		if string(it.Key()) != field {
			continue
		}
		switch value := it.Value(); jsonscan.KindOf(value) {
		case jsonscan.KindString, jsonscan.KindNumber, jsonscan.KindBool:
			return env.Type + "\x00" + string(value)
		}
		return ""
	}
	return ""
}
