package wse

import (
	"strconv"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// AppendPublication writes a numbered envelope: t first, because a published client looks for it only in the first 25
// bytes, then the other fields in the order of PROTOCOL §2.1, v last. The payload is spliced in as it is: whoever made the
// envelope has checked that it is a JSON object. It is written by hand because every publication passes here once per
// encoding: BenchmarkAppendPublication shows it beside encoding/json. A notice is written as the reply that it is.
func (d Dialect) AppendPublication(dst []byte, env *message.Envelope) []byte {
	if env.Notice != nil {
		return d.AppendReply(dst, &message.Reply{ID: env.ID, TimeMS: env.TimeMS, Body: env.Notice})
	}
	dst = append(dst, `{"t":`...)
	dst = jsonscan.AppendQuoted(dst, env.Type)
	dst = append(dst, `,"p":`...)
	from, compressed := len(dst), false
	dst = appendObject(dst, env.Payload)
	if d.compress {
		dst, compressed = d.tools.compressPayload(dst, from)
	}
	dst = append(dst, `,"id":`...)
	dst = jsonscan.AppendQuoted(dst, env.ID)
	dst = append(dst, `,"ts":"`...)
	dst = dialect.AppendTime(dst, env.TimeMS)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, env.Seq, 10)
	dst = append(dst, `,"_msg_cat":"`...)
	dst = append(dst, env.Category.String()...)
	dst = append(dst, '"')
	if env.HasHistory() {
		dst = append(dst, `,"tp":`...)
		dst = jsonscan.AppendQuoted(dst, string(env.Topic))
		dst = append(dst, `,"e":"`...)
		dst = appendEpoch(dst, env.Epoch)
		dst = append(dst, `","o":`...)
		dst = strconv.AppendUint(dst, env.Seq, 10)
	}
	return append(appendOptional(dst, env, compressed), `,"v":2}`...)
}

// compressedMark says that the payload is compressed.
const compressedMark = `,"cmp":true`

// appendOptional writes the fields that most publications do not have.
func appendOptional(dst []byte, env *message.Envelope, compressed bool) []byte {
	if env.CID != "" {
		dst = append(dst, `,"cid":`...)
		dst = jsonscan.AppendQuoted(dst, env.CID)
	}
	if env.Priority != 0 {
		dst = append(dst, `,"pri":`...)
		dst = strconv.AppendUint(dst, uint64(env.Priority), 10)
	}
	if compressed {
		dst = append(dst, compressedMark...)
	}
	if env.Encrypted {
		dst = append(dst, `,"enc":true`...)
	}
	if env.EventVersion != 0 {
		dst = append(dst, `,"event_version":`...)
		dst = strconv.AppendInt(dst, int64(env.EventVersion), 10)
	}
	if env.TraceID != "" {
		dst = append(dst, `,"trace_id":`...)
		dst = jsonscan.AppendQuoted(dst, env.TraceID)
	}
	if env.LatencyMS > 0 {
		dst = append(dst, `,"latency_ms":`...)
		dst = strconv.AppendInt(dst, env.LatencyMS, 10)
	}
	return dst
}

// appendObject splices a JSON object in; none at all is the empty one.
func appendObject(dst, object []byte) []byte {
	if len(object) == 0 {
		return append(dst, "{}"...)
	}
	return append(dst, object...)
}

// appendEpoch writes an epoch's eight hexadecimal digits.
func appendEpoch(dst []byte, e message.Epoch) []byte {
	const digits = "0123456789abcdef"
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, digits[e>>shift&15])
	}
	return dst
}
