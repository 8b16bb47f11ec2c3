package frame

import (
	"strings"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws/wsflate"
)

// NegotiateDeflate answers the values of a request's Sec-WebSocket-Extensions header lines. If one of the offers is a
// permessage-deflate that can be accepted, it returns the value of the response's header line and true; the first such
// offer counts, since a client lists them in its order of preference (RFC 7692 §5). Everything else is declined, which is
// no error: other extensions, faulty parameters, a server_max_window_bits below 15, a header that does not parse.
//
// Whatever was offered, the answer asks for server_no_context_takeover and client_no_context_takeover: a message is
// deflated once for all subscribers, and no connection keeps a window (PROTOCOL §2.6).
func NegotiateDeflate(offers ...string) (response string, accepted bool) {
	options, ok := httphead.ParseOptions([]byte(strings.Join(offers, ",")), nil)
	if !ok {
		return "", false
	}
	for _, offer := range options {
		if answer, ok := AcceptDeflate(offer); ok {
			return formatOption(answer), true
		}
	}
	return "", false
}

// AcceptDeflate answers one parsed offer, for a caller that has a parser of headers already.
func AcceptDeflate(offer httphead.Option) (answer httphead.Option, accepted bool) {
	var params wsflate.Parameters
	if string(offer.Name) != wsflate.ExtensionName || !offerSound(offer) || params.Parse(offer) != nil {
		return httphead.Option{}, false
	}
	// Deflating for a smaller window would need bytes of its own for each subscriber. wsflate's own negotiation would
	// accept such an offer and answer 15, which RFC 7692 §7.1.2.1 forbids.
	if params.ServerMaxWindowBits != 0 && params.ServerMaxWindowBits != windowBitsMax {
		return httphead.Option{}, false
	}
	// client_max_window_bits needs no answer: an inflater with the largest window reads any (§7.1.2.2).
	return wsflate.Parameters{
		ServerNoContextTakeover: true,
		ClientNoContextTakeover: true,
		ServerMaxWindowBits:     params.ServerMaxWindowBits,
	}.Option(), true
}

// windowBitsMax is the largest LZ77 window, 32 KiB, as RFC 7692 §7.1.2 writes it.
const windowBitsMax = 15

// offerSound refuses what wsflate's parser lets through: a client_max_window_bits without value twice, a number with
// leading zeros, an empty string as the value of a parameter that takes none (RFC 7692 §7.1).
func offerSound(offer httphead.Option) bool {
	sound := true
	bare := 0
	offer.Parameters.ForEach(func(name, value []byte) bool {
		switch {
		case value == nil && string(name) == "client_max_window_bits":
			bare++
		case value != nil && (len(value) == 0 || value[0] == '0'):
			sound = false
		}
		return sound
	})
	if bare == 0 {
		return sound
	}
	total := 0
	offer.Parameters.ForEach(func(name, _ []byte) bool {
		if string(name) == "client_max_window_bits" {
			total++
		}
		return true
	})
	return sound && total == 1
}

// formatOption writes an option as a header value.
func formatOption(o httphead.Option) string {
	var b strings.Builder
	b.Write(o.Name)
	o.Parameters.ForEach(func(name, value []byte) bool {
		b.WriteString("; ")
		b.Write(name)
		if len(value) > 0 {
			b.WriteByte('=')
			b.Write(value)
		}
		return true
	})
	return b.String()
}
