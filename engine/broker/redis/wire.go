package redis

import (
	"strconv"

	"github.com/wse-engine/wse/engine/jsonscan"
	"github.com/wse-engine/wse/engine/message"
)

// appendPublication writes what the publishing node knows of a publication: all after the number, the epoch and the time, which
// the script adds. The payload is spliced in as it is: whoever made the envelope has checked that it is a JSON object.
func appendPublication(dst []byte, env *message.Envelope) []byte {
	dst = append(dst, `"t":`...)
	dst = jsonscan.AppendQuoted(dst, env.Type)
	dst = append(dst, `,"p":`...)
	if len(env.Payload) == 0 {
		dst = append(dst, "{}"...)
	} else {
		dst = append(dst, env.Payload...)
	}
	dst = append(dst, `,"id":`...)
	dst = jsonscan.AppendQuoted(dst, env.ID)
	dst = append(dst, `,"ms":`...)
	dst = strconv.AppendInt(dst, env.TimeMS, 10)
	dst = append(dst, `,"topic":`...)
	dst = jsonscan.AppendQuoted(dst, string(env.Topic))
	if env.Priority != 0 {
		dst = append(dst, `,"pri":`...)
		dst = strconv.AppendUint(dst, uint64(env.Priority), 10)
	}
	if env.CID != "" {
		dst = append(dst, `,"cid":`...)
		dst = jsonscan.AppendQuoted(dst, env.CID)
	}
	if env.TraceID != "" {
		dst = append(dst, `,"trace_id":`...)
		dst = jsonscan.AppendQuoted(dst, env.TraceID)
	}
	if env.EventVersion != 0 {
		dst = append(dst, `,"event_version":`...)
		dst = strconv.AppendInt(dst, int64(env.EventVersion), 10)
	}
	if env.LatencyMS > 0 {
		dst = append(dst, `,"latency_ms":`...)
		dst = strconv.AppendInt(dst, env.LatencyMS, 10)
	}
	if env.Encrypted {
		dst = append(dst, `,"enc":true`...)
	}
	return append(dst, '}')
}

// slots is how many a Cluster has.
const slots = 1 << 14

// slotOf returns the slot of the name of a topic's channel, which is that of its keys: CRC16 (XMODEM) modulo 16384.
func slotOf(topic message.Topic) uint16 {
	const prefix = "wse:"
	crc := uint16(0)
	for i := range len(prefix) {
		crc = crc<<8 ^ crc16[byte(crc>>8)^prefix[i]]
	}
	for i := range len(topic) {
		crc = crc<<8 ^ crc16[byte(crc>>8)^topic[i]]
	}
	return crc % slots
}

// crc16 is the read-only table of the CRC that Redis Cluster hashes names by.
var crc16 = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		table[i] = crc
	}
	return table
}()

// appendEpoch writes an epoch's eight hexadecimal digits.
func appendEpoch(dst []byte, e message.Epoch) []byte {
	const digits = "0123456789abcdef"
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, digits[e>>shift&15])
	}
	return dst
}
