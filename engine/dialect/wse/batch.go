package wse

import (
	"fmt"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// decodeBatch reads a batch, which came as so many bytes, and tells how many bytes longer inflating made what is in it. The
// messages are counted before they are read, so that one of too many costs no memory.
func (d Dialect) decodeBatch(r *reader, p []byte, came int) (_ message.Body, inflated int) {
	var list []byte
	for it := jsonscan.Members(p); it.Next(); {
		if string(it.Key()) == "messages" {
			list = it.Value()
		}
	}
	if jsonscan.KindOf(list) != jsonscan.KindArray {
		r.fail("p.messages", "must be an array of messages, not "+jsonscan.KindOf(list).String())
		return nil, 0
	}
	cfg := &d.bounds().cfg
	n := 0
	for it := jsonscan.Elements(list); it.Next(); n++ {
		if n < cfg.BatchMessagesMax && jsonscan.KindOf(it.Value()) != jsonscan.KindObject {
			r.fail(fmt.Sprintf("p.messages[%d]", n), "must be an object, not "+jsonscan.KindOf(it.Value()).String())
			return nil, 0
		}
	}
	switch {
	case n > cfg.BatchMessagesMax:
		return &message.Batch{TooMany: n}, 0
	case n == 0:
		return &message.Batch{}, 0
	}
	b := &message.Batch{Messages: make([]message.Batched, 0, n)}
	for it := jsonscan.Elements(list); it.Next(); {
		one := message.Batched{Request: &message.Request{}}
		if inflated > cfg.InflatedBytesMax { // a batch is one message: what is in it together is no longer than one may be
			one.Err = message.Errorf(message.CodeMessageTooLarge,
				"the compressed payloads of the batch hold more than %d bytes together; send them in several", cfg.InflatedBytesMax)
		} else {
			one.Request, one.Err = d.decodeObject(it.Value(), "", origin{bytes: min(came, len(it.Value())), batch: true})
			inflated += one.Request.Inflated
		}
		b.Messages = append(b.Messages, one)
	}
	return b, inflated
}
