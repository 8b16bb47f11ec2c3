package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
)

// A message on the bus is one line of JSON, a head, and after its line feed the body as it is.
//
// All nodes hear channelAll; each hears its own channel besides. Questions come on both, answers on the asker's own.
const channelAll = redis.Prefix + "_bus"

func channelOf(id string) string { return channelAll + ":" + id }

// head is the first line of a message.
type head struct {
	Kind    string `json:"kind"`              // kindQuestion or kindAnswer
	ID      string `json:"id"`                // of the question
	From    string `json:"from"`              // the id of the node that sends this
	DB      int    `json:"db,omitempty"`      // of that node: channels have no databases, and who uses another one is another wse
	Subject string `json:"subject,omitempty"` // of a question
	LeftMS  int64  `json:"left_ms,omitempty"` // of a question: how long its asker still waits
	Err     *fault `json:"err,omitempty"`     // of an answer that is an error
}

const (
	kindQuestion = "ask"
	kindAnswer   = "answer"
)

// fault is an error that crosses the bus.
type fault struct {
	Code    int    `json:"code"` // a message.Code, or codeNone, or codeUnknown
	Message string `json:"message"`
	// Details are those of a *message.Error.
	Details json.RawMessage `json:"details,omitempty"`
}

const (
	codeNone    = -1 // the error had no code
	codeUnknown = -2 // the node does not know the subject
)

// faultBytesMax is what an error may say.
const faultBytesMax = 4 << 10

func faultOf(err error) *fault {
	switch coded := (*message.Error)(nil); {
	case errors.Is(err, ErrUnknownSubject):
		return &fault{Code: codeUnknown}
	case errors.As(err, &coded):
		f := &fault{Code: int(coded.Code), Message: message.Cut(coded.Message, faultBytesMax)}
		if len(coded.Details) <= faultBytesMax {
			f.Details = coded.Details
		}
		return f
	}
	return &fault{Code: codeNone, Message: message.Cut(err.Error(), faultBytesMax)}
}

func (f *fault) err() error {
	switch {
	case f.Code == codeUnknown:
		return ErrUnknownSubject
	case f.Code >= 0 && f.Code < int(message.Codes):
		return &message.Error{Code: message.Code(f.Code), Message: f.Message, Details: f.Details}
	}
	return errors.New(f.Message)
}

// encode puts a message together.
func encode(h *head, body []byte) ([]byte, error) {
	line, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	return append(append(line, '\n'), body...), nil
}

// headBytesMax is what a head may have: an error's text, escaped at its worst, and the names.
const headBytesMax = 7*faultBytesMax + 4<<10

// decode takes a message apart. The body is a part of raw.
func decode(raw []byte, bodyMax int) (h head, body []byte, err error) {
	end := bytes.IndexByte(raw[:min(len(raw), headBytesMax)], '\n')
	if end < 0 {
		return h, nil, errors.New("cluster: a message on the bus without a head")
	}
	if err := json.Unmarshal(raw[:end], &h); err != nil {
		return h, nil, fmt.Errorf("cluster: the head of a message on the bus is no JSON: %w", err)
	}
	if body = raw[end+1:]; len(body) > bodyMax {
		return h, nil, fmt.Errorf("cluster: a message on the bus of %d bytes, at most %d are taken", len(body), bodyMax)
	}
	if h.ID == "" || !validID(h.From) {
		return h, nil, errors.New("cluster: a message on the bus from nobody")
	}
	return h, body, nil
}
