package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/coder/websocket"
)

// client speaks protocol v1 (the WebSocket API): a request has an id, its answer has the same, and what streams bring in
// between has none. It belongs to one goroutine and starts none.
type client struct {
	conn    *websocket.Conn
	public  string
	token   string
	last    int
	streams []streamed // what came and nobody has asked for yet
}

// streamed is what a stream brings.
type streamed struct {
	Type      string          `json:"type"`
	Stream    string          `json:"stream"`
	SessionID string          `json:"session_id"`
	Event     string          `json:"event"`
	Data      json.RawMessage `json:"data"`
	Alert     json.RawMessage `json:"alert"`
}

// messageBytesMax bounds what is read: an answer with all results.
const messageBytesMax = 16 << 20

// dial connects and takes the greeting. The token goes with the upgrade; a message auth would do the same later.
func dial(ctx context.Context, public, token string) (*client, error) {
	header := http.Header{"Authorization": {"Bearer " + token}}
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(public, "http")+"/ws", &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(messageBytesMax)
	return &client{conn: conn, public: public, token: token}, nil
}

func (c *client) close() error { return c.conn.Close(websocket.StatusNormalClosure, "") }

// ask sends a request and returns its answer. Fields are type's beside id.
func (c *client) ask(ctx context.Context, kind string, fields map[string]any) (json.RawMessage, error) {
	c.last++
	id := strconv.Itoa(c.last)
	request := map[string]any{"type": kind, "id": id}
	for name, value := range fields {
		request[name] = value
	}
	text, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	if err := c.conn.Write(ctx, websocket.MessageText, text); err != nil {
		return nil, err
	}
	for {
		answer, of, err := c.read(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		if of == id {
			return answer, refusalOf(kind, answer)
		}
	}
}

// refusalOf returns the error that an answer is, with all that is wrong.
func refusalOf(kind string, answer json.RawMessage) error {
	var refused struct {
		Type    string `json:"type"`
		Code    string `json:"error_code"`
		Message string `json:"error_message"`
	}
	if err := json.Unmarshal(answer, &refused); err != nil || refused.Type != "error" {
		return err
	}
	return fmt.Errorf("%s was refused: %s: %s", kind, refused.Code, refused.Message)
}

// read reads one message: the answer of a request, or something of a stream, which is kept.
func (c *client) read(ctx context.Context) (answer json.RawMessage, of string, err error) {
	_, text, err := c.conn.Read(ctx)
	if err != nil {
		return nil, "", err
	}
	var head struct {
		ID string `json:"id"`
		streamed
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, "", err
	}
	if head.ID == "" {
		c.streams = append(c.streams, head.streamed)
	}
	return text, head.ID, nil
}

// await returns the first thing streamed, from the one numbered from on, that is wanted, and the number of the next.
func (c *client) await(ctx context.Context, from int, wanted func(*streamed) bool) (*streamed, int, error) {
	for i := from; ; i++ {
		for i >= len(c.streams) {
			if _, _, err := c.read(ctx); err != nil {
				return nil, i, err
			}
		}
		if wanted(&c.streams[i]) {
			return &c.streams[i], i + 1, nil
		}
	}
}

// get asks by HTTP what a request by WebSocket asks.
func (c *client) get(ctx context.Context, path string, query url.Values) (json.RawMessage, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.public+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", path, response.Status, text)
	}
	return text, err
}
