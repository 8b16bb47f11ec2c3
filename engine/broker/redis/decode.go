package redis

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// head begins every numbered publication, on the channel and in the history, and nothing else.
const head = `{"v":2,"seq":`

// placeBytesMax is what the script puts before what the publishing node wrote takes at most: the head, the number, the epoch and the
// time.
const placeBytesMax = 96

// errForeign says that a text is no numbered publication.
var errForeign = errors.New("broker/redis: no numbered publication")

// numbered reports whether raw begins as a numbered publication does.
func numbered(raw []byte) bool { return len(raw) > len(head) && string(raw[:len(head)]) == head }

// decode reads a numbered publication of topic, whose class is given. The envelope's Epoch is 0 where the class keeps no history;
// the second result is the epoch of the text. The envelope points into raw, which nobody may write to any more. An error wraps
// errForeign: the text was not written by a node.
func decode(class *broker.CompiledClass, topic message.Topic, raw []byte) (*message.Envelope, message.Epoch, error) {
	if !numbered(raw) {
		return nil, 0, errForeign
	}
	env := &message.Envelope{Topic: topic, LatencyMS: -1}
	epoch, err := readPublication(env, raw)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %s: %w", errForeign, topic, err)
	}
	class.Fill(env)
	if class.KeepsHistory() {
		env.Epoch = epoch
	}
	return env, epoch, nil
}

// readPublication fills env with what raw says.
func readPublication(env *message.Envelope, raw []byte) (message.Epoch, error) {
	var epoch message.Epoch
	it := jsonscan.Members(raw)
	for it.Next() {
		if err := readMember(env, &epoch, string(it.Key()), it.Value()); err != nil {
			return 0, fmt.Errorf("%q: %w", it.Key(), err)
		}
	}
	if err := it.Err(); err != nil {
		return 0, err
	}
	switch {
	case epoch == 0:
		return 0, errors.New("epoch: is missing")
	case env.Seq == 0:
		return 0, errors.New("seq: is missing")
	case env.Type == "":
		return 0, errors.New("t: is missing")
	case env.Payload == nil:
		return 0, errors.New("p: is missing")
	}
	return epoch, nil
}

func readMember(env *message.Envelope, epoch *message.Epoch, key string, value []byte) (err error) {
	switch key {
	case "seq":
		env.Seq, err = jsonscan.Uint(value)
	case "epoch":
		*epoch, err = readEpoch(value)
	case "t":
		env.Type, err = jsonscan.String(value)
	case "p":
		if jsonscan.KindOf(value) != jsonscan.KindObject {
			return errors.New("is no object")
		}
		env.Payload = value
	case "id":
		env.ID, err = jsonscan.String(value)
	case "ms":
		env.TimeMS, err = jsonscan.Int(value)
	case "pri":
		var n int64
		n, err = jsonscan.Int(value)
		if env.Priority = message.Priority(n); err == nil && (n < 1 || n > 10) {
			err = errors.New("is not within 1 to 10")
		}
	case "cid":
		env.CID, err = jsonscan.String(value)
	case "trace_id":
		env.TraceID, err = jsonscan.String(value)
	case "event_version":
		var n int64
		n, err = jsonscan.Int(value)
		env.EventVersion = int(n)
	case "latency_ms":
		env.LatencyMS, err = jsonscan.Int(value)
	case "enc":
		env.Encrypted, err = jsonscan.Bool(value)
	}
	return err
}

// readEpoch reads an epoch as the script writes it, eight hexadecimal digits that are not all zero.
func readEpoch(value []byte) (message.Epoch, error) {
	if len(value) != 10 || value[0] != '"' {
		return 0, errors.New("is not eight hexadecimal digits")
	}
	n, err := strconv.ParseUint(string(value[1:9]), 16, 32)
	if err != nil || n == 0 {
		return 0, errors.New("is not eight hexadecimal digits, one of which is not 0")
	}
	return message.Epoch(n), nil
}
