package conn

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// head is an HTTP request without its body, as far as it matters here. All strings are parts of text.
type head struct {
	text                  string
	method, target, proto string

	host, origin, authorization, userAgent string
	cookie, protocols                      string
	extensions                             []string
	hosts, keys, versions                  int // how often these headers came
	key, version                           string
	upgrade                                bool // Upgrade names websocket
	connection                             bool // Connection names upgrade
	contentLength                          int  // -1: none
	transferEncoding                       bool
	expectContinue                         bool
}

// httpError is a request that is refused before anybody is asked.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

func badRequest(text string) error { return &httpError{http.StatusBadRequest, text} }

// endOfHead returns the length of the head that b begins with, up to and including its empty line; -1 if that is not in
// b. The first from bytes are known not to end it.
func endOfHead(b []byte, from int) int {
	for i := max(0, from-3); i < len(b); {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return -1
		}
		i += n + 1
		switch rest := b[i:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return i + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return i + 2
		}
	}
	return -1
}

// parseHead reads a whole head (RFC 9112 §3–5). Its errors are *httpError.
func parseHead(b []byte) (*head, error) {
	h := &head{text: string(b), contentLength: -1}
	line, rest, _ := strings.Cut(h.text, "\n")
	if err := h.requestLine(strings.TrimSuffix(line, "\r")); err != nil {
		return nil, err
	}
	for {
		line, rest, _ = strings.Cut(rest, "\n")
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) {
			return nil, badRequest("a header line is malformed")
		}
		value = strings.Trim(value, " \t")
		if !isFieldValue(value) {
			return nil, badRequest("a header value has a control character")
		}
		if err := h.header(name, value); err != nil {
			return nil, err
		}
	}
	if h.hosts > 1 || h.hosts == 0 && h.proto == "HTTP/1.1" {
		return nil, badRequest("there must be one Host header")
	}
	return h, nil
}

func (h *head) requestLine(line string) error {
	var ok1, ok2 bool
	var rest string
	h.method, rest, ok1 = strings.Cut(line, " ")
	h.target, h.proto, ok2 = strings.Cut(rest, " ")
	major, minor, ok3 := http.ParseHTTPVersion(h.proto)
	switch {
	case !ok1 || !ok2 || !isToken(h.method) || h.target == "" || !isFieldValue(h.target) || !strings.HasPrefix(h.proto, "HTTP/"):
		return badRequest("the request line is malformed")
	case !ok3 || major != 1 || minor > 1:
		return &httpError{http.StatusHTTPVersionNotSupported, "only HTTP/1.1 is spoken here"}
	}
	return nil
}

func (h *head) header(name, value string) error {
	switch strings.ToLower(name) {
	case "host":
		h.host = value
		h.hosts++
	case "origin":
		h.origin = value
	case "authorization":
		h.authorization = value
	case "user-agent":
		h.userAgent = value
	case "cookie":
		h.cookie = join(h.cookie, "; ", value)
	case "upgrade":
		h.upgrade = h.upgrade || hasToken(value, "websocket")
	case "connection":
		h.connection = h.connection || hasToken(value, "upgrade")
	case "sec-websocket-key":
		h.key = value
		h.keys++
	case "sec-websocket-version":
		h.version = value
		h.versions++
	case "sec-websocket-protocol":
		h.protocols = join(h.protocols, ",", value)
	case "sec-websocket-extensions":
		h.extensions = append(h.extensions, value)
	case "expect":
		h.expectContinue = strings.EqualFold(value, "100-continue")
	case "transfer-encoding":
		h.transferEncoding = true
	case "content-length":
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil || value[0] == '+' || h.contentLength >= 0 && h.contentLength != int(n) {
			return badRequest("Content-Length is not a number")
		}
		h.contentLength = int(n)
	}
	return nil
}

// body returns how many bytes follow the head.
func (h *head) body() int { return max(0, h.contentLength) }

// checkUpgrade checks what the upgrader does not (RFC 6455 §4.2.1, §11.3).
func (h *head) checkUpgrade() error {
	switch {
	case h.keys > 1 || h.versions > 1:
		return badRequest("Sec-WebSocket-Key and Sec-WebSocket-Version must not be repeated")
	case h.body() > 0 || h.transferEncoding:
		return badRequest("a WebSocket handshake has no body")
	}
	if key, err := base64.StdEncoding.DecodeString(h.key); h.keys == 1 && (err != nil || len(key) != 16) {
		return badRequest("Sec-WebSocket-Key is not 16 bytes in base64")
	}
	return nil
}

// canonical returns the head as the upgrader is to read it. It takes neither an Upgrade that is a list nor a Connection on
// several lines, both of which RFC 6455 §4.2.1 allows; what it need not know is left out.
func (h *head) canonical() string {
	var b strings.Builder
	b.WriteString(h.method + " / " + h.proto + "\r\nHost: -\r\n")
	if h.upgrade {
		b.WriteString("Upgrade: websocket\r\n")
	}
	if h.connection {
		b.WriteString("Connection: Upgrade\r\n")
	}
	if h.keys > 0 {
		b.WriteString("Sec-WebSocket-Key: " + h.key + "\r\n")
	}
	if h.versions > 0 {
		b.WriteString("Sec-WebSocket-Version: " + h.version + "\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// offered returns the subprotocols that the client offers.
func (h *head) offered() ([]string, error) {
	var list []string
	for part := range strings.SplitSeq(h.protocols, ",") {
		part = strings.Trim(part, " \t")
		if part == "" {
			continue // RFC 9110 §5.6.1.2
		}
		if !isToken(part) {
			return nil, badRequest("Sec-WebSocket-Protocol is malformed")
		}
		list = append(list, part)
	}
	return list, nil
}

func join(a, separator, b string) string {
	if a == "" {
		return b
	}
	return a + separator + b
}

func hasToken(list, token string) bool {
	for part := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.Trim(part, " \t"), token) {
			return true
		}
	}
	return false
}

// isToken reports whether s is a token of RFC 9110 §5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
