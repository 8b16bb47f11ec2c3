package broker

import (
	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// Fill sets what the class decides of a publication: Category, Level, Overflow, ConflateKey, Linger, and Priority where its
// publisher gave none. Topic, Seq and Epoch are the broker's. It is safe for concurrent use on different envelopes.
func (c *CompiledClass) Fill(env *message.Envelope) {
	env.Category = message.CategoryOf(env.Type)
	env.Level, env.Overflow, env.ConflateKey = c.Level, c.OnOverflow, ""
	env.Linger = c.Linger
	if env.Priority == 0 {
		env.Priority = c.Level.Priority()
	}
	if env.Overflow == message.Conflate {
		env.ConflateKey = conflateKey(env, c.ConflateBy)
		if env.ConflateKey == "" { // nothing says what it replaces
			env.Overflow = message.DropOldest
		}
	}
}

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
