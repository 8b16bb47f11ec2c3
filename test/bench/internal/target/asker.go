package target

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
)

// askWait is how long an answer may take.
const askWait = 30 * time.Second

// Asker is one client of protocol v1 that asks and waits for the answer. It belongs to one goroutine.
type Asker struct {
	conn  *websocket.Conn
	asked int
	text  []byte
}

// Ask connects a client called user.
func (s *Server) Ask(user string) (*Asker, error) {
	conn, resp, err := websocket.DefaultDialer.Dial("ws://"+s.Listen.String()+s.pathV1(user), nil)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	return &Asker{conn: conn}, resp.Body.Close()
}

// Request asks for what body says, a JSON object without an id, and returns the answer, which must be none of type error. It
// passes over what comes before.
func (a *Asker) Request(body []byte) ([]byte, error) {
	a.asked++
	id := strconv.AppendInt([]byte(`"id":`), int64(a.asked), 10)
	a.text = append(append(append(a.text[:0], body[:len(body)-1]...), ','), append(id, '}')...)
	if err := errors.Join(a.conn.SetReadDeadline(time.Now().Add(askWait)), a.conn.WriteMessage(websocket.TextMessage, a.text)); err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	for {
		_, answer, err := a.conn.ReadMessage()
		if err != nil {
			return nil, fmt.Errorf("target: the answer to %.80s: %w", body, err)
		}
		if !bytes.Contains(answer[:min(len(answer), 200)], append(id, ',')) {
			continue
		}
		if bytes.HasPrefix(answer, []byte(`{"type":"error"`)) {
			return nil, fmt.Errorf("target: %.80s is refused: %.600s", body, answer)
		}
		return answer, nil
	}
}

// Close ends the connection.
func (a *Asker) Close() error { return a.conn.Close() }
