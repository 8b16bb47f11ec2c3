package intake

import (
	"strings"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/redis"
)

// entry is one of a stream.
type entry struct {
	id     string
	values []string // names and values, by turns
}

// readEntries reads entries as Redis answers them. One that is not of that form is left out.
func readEntries(answer any) []entry {
	list, _ := answer.([]any)
	entries := make([]entry, 0, len(list))
	for _, one := range list {
		pair, _ := one.([]any)
		if len(pair) != 2 {
			continue
		}
		id, _ := pair[0].(string)
		values, _ := pair[1].([]any)
		e := entry{id: id, values: make([]string, len(values))}
		for i, v := range values {
			e.values[i], _ = v.(string)
		}
		entries = append(entries, e)
	}
	return entries
}

// readStreams reads what XREADGROUP answers for one stream.
func readStreams(answer any) []entry {
	streams, _ := answer.([]any)
	if len(streams) != 1 {
		return nil
	}
	stream, _ := streams[0].([]any)
	if len(stream) != 2 {
		return nil
	}
	return readEntries(stream[1])
}

// document returns the event that an entry holds, as JSON. What of it is none shows when it is parsed.
func (e *entry) document() ([]byte, *message.Error) {
	if len(e.values) == 2 && (e.values[0] == "event" || e.values[0] == "data") {
		return []byte(e.values[1]), nil
	}
	doc := []byte{'{'}
	for i := 0; i+1 < len(e.values); i += 2 {
		name, value := e.values[i], e.values[i+1]
		if i > 0 {
			doc = append(doc, ',')
		}
		doc = append(jsonscan.AppendQuoted(doc, name), ':')
		if name == "payload" && jsonscan.Valid([]byte(value), payloadDepthMax) != nil {
			doc = jsonscan.AppendQuoted(doc, value) // so that what is kept shows all of it; it is no object, which is told
			continue
		}
		if name == "payload" || (name == "pri" || name == "event_version" || name == "ts") && isNumber(value) {
			doc = append(doc, value...)
		} else {
			doc = jsonscan.AppendQuoted(doc, value)
		}
	}
	doc = append(doc, '}')
	if len(e.values) == 0 || e.values[0] != "type" && !e.has("type") && !e.has("payload") {
		return doc, message.Errorf(message.CodeInvalidArgument, "the entry has neither one field, event, with an event as JSON, nor the fields type and payload")
	}
	return doc, nil
}

// payloadDepthMax is how deep a payload in a field of its own may be nested; parsing has its own limit.
const payloadDepthMax = 128

func (e *entry) has(name string) bool {
	for i := 0; i < len(e.values); i += 2 {
		if e.values[i] == name {
			return true
		}
	}
	return false
}

// isNumber reports whether a field's value is a whole number.
func isNumber(value string) bool {
	_, err := jsonscan.Int([]byte(value))
	return err == nil && value != ""
}

// idOf returns the id that an event without one gets: always the same for an entry.
func idOf(stream, entry string) string { return strings.TrimPrefix(stream, redis.Prefix) + "-" + entry }
