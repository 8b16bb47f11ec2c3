package engine

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/wse-engine/wse/engine/dialect"
	"github.com/wse-engine/wse/engine/dialect/wsapi"
	"github.com/wse-engine/wse/engine/dialect/wse"
)

// The encodings, as indexes of the list that hub and connections share.
const (
	encodingWSE            = iota // JSON, nothing compressed
	encodingWSEDeflate            // JSON, permessage-deflate
	encodingWSECmp                // JSON, large payloads compressed (cmp:true)
	encodingWSEZlib               // JSON, large messages compressed whole (C:)
	encodingMsgpack               // MessagePack
	encodingMsgpackDeflate        // MessagePack, permessage-deflate
	encodingAPI                   // protocol v1, nothing compressed
	encodingAPIDeflate            // protocol v1, permessage-deflate
)

// encodings makes the list.
func encodings(l *Limits) []dialect.Encoding {
	v2 := wse.New(wse.Config{
		CompressBytesMin: l.CompressBytesMin, InflatedBytesMax: l.MessageKiBMax << 10, InflateRatioMax: l.InflateRatioMax,
		BatchMessagesMax: l.Router.BatchMessagesMax,
	})
	list := []dialect.Encoding{
		encodingWSE:            {Name: "wse", Dialect: v2},
		encodingWSEDeflate:     {Name: "wse+deflate", Dialect: v2, Deflate: true, DeflateBytesMin: l.CompressBytesMin},
		encodingWSECmp:         {Name: "wse+cmp", Dialect: v2.CompressPayloads()},
		encodingWSEZlib:        {Name: "wse+zlib", Dialect: v2, Wrapper: v2.Zlib()},
		encodingMsgpack:        {Name: "wse+msgpack", Dialect: v2, Wrapper: v2.MessagePack()},
		encodingMsgpackDeflate: {Name: "wse+msgpack+deflate", Dialect: v2, Wrapper: v2.MessagePack(), Deflate: true, DeflateBytesMin: l.CompressBytesMin},
		encodingAPI:            {Name: "wsapi", Dialect: wsapi.Dialect{}, Unnumbered: true},
		encodingAPIDeflate:     {Name: "wsapi+deflate", Dialect: wsapi.Dialect{}, Unnumbered: true, Deflate: true, DeflateBytesMin: l.CompressBytesMin},
	}
	for i := range list {
		if compresses(i) {
			list[i].KeepBytesMin = max(1, l.CompressBytesMin)
		}
	}
	return list
}

// chooseEncoding reads what the query of an upgrade says about the form of messages (PROTOCOL §2.6): the encoding to use,
// and the one to use instead where permessage-deflate is negotiated. A client that says nothing gets the form that every
// client of the protocol reads.
func chooseEncoding(query url.Values) (plain, deflate int, err error) {
	switch format := query.Get("format"); strings.ToLower(format) {
	case "msgpack":
		return encodingMsgpack, encodingMsgpackDeflate, nil
	case "", "json":
	default:
		return 0, 0, fmt.Errorf("format: must be json or msgpack, is %q", cut(format))
	}
	switch strings.ToLower(query.Get("compression")) {
	case "true", "1":
		return encodingWSEZlib, encodingWSEDeflate, nil
	case "false", "0":
		return encodingWSE, encodingWSEDeflate, nil
	}
	return encodingWSECmp, encodingWSEDeflate, nil
}

// encrypts tells whether the query of an upgrade asks for encryption.
func encrypts(query url.Values) bool {
	switch strings.ToLower(query.Get("encryption")) {
	case "true", "1":
		return true
	}
	return false
}

// compresses tells whether large messages of an encoding are compressed.
func compresses(encoding int) bool {
	return encoding != encodingWSE && encoding != encodingMsgpack && encoding != encodingAPI
}

// packs tells whether the messages of an encoding are MessagePack.
func packs(encoding int) bool {
	return encoding == encodingMsgpack || encoding == encodingMsgpackDeflate
}
