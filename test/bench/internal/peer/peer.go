// Package peer holds the servers that wse is measured against. Each runs as a process of its own, takes publications by
// the same HTTP route with the same body, and sends frames of the same size, so that only the way to the sockets differs:
//
//   - bare: accept4, epoll, and one write(2) per subscriber in a loop. No queue, no heartbeat, no protocol: the floor.
//   - gorilla: gorilla/websocket as its own chat example uses it, with a channel and a writing goroutine per connection.
//   - gorilla-direct: gorilla/websocket with WriteMessage called for one connection after the other. It has no queue, so one
//     slow reader stops everybody; it is here to show what the goroutines cost.
//   - fifo: one queue per connection, sent in order, default socket buffers.
//   - echo: gobwas/ws with a goroutine per connection, which sends each message back. It has no topics.
//
// Ownership: a server's topics are guarded by its mutex. Peers run until their standard input ends.
package peer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"strings"
)

// server is a broadcaster.
type server interface {
	// listen opens the public port of 127.0.0.1 and serves it until the process ends.
	listen() (*net.TCPAddr, error)
	// publish sends body as one text message to every subscriber of topic.
	publish(topic string, body []byte)
}

// Announcement is the line a peer prints when it serves.
type Announcement struct {
	Listen string `json:"listen"`
	Admin  string `json:"admin"`
}

// Kinds lists the peers.
func Kinds() []string { return []string{"bare", "gorilla", "gorilla-direct", "fifo", "echo"} }

// Run serves as the peer called kind until in ends. Every message is padded by pad bytes, the size of what wse adds to a
// publication. It prints an [Announcement] to out.
func Run(kind string, pad int, in io.Reader, out io.Writer) error {
	var s server
	switch kind {
	case "bare":
		s = newBare()
	case "gorilla":
		s = newGorilla(false)
	case "gorilla-direct":
		s = newGorilla(true)
	case "fifo":
		s = newFIFO()
	case "echo":
		s = echo{}
	default:
		return fmt.Errorf("peer: there is no peer %q; there are %s", kind, strings.Join(Kinds(), ", "))
	}
	addr, err := s.listen()
	if err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/publish", publishHandler(s, pad))
	mux.Handle("GET /debug/pprof/heap", pprof.Handler("heap"))
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	failed := make(chan error, 1)
	go func() { failed <- http.Serve(admin, mux) }()
	go func() {
		_, err := io.Copy(io.Discard, in) // the parent ends us by closing our input, also when it dies
		failed <- err
	}()
	line, err := json.Marshal(Announcement{Listen: addr.String(), Admin: "http://" + admin.Addr().String()})
	if err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	return <-failed
}

// publication is what the peers understand of a publish request.
type publication struct {
	Topic string          `json:"topic"`
	Type  string          `json:"t"`
	P     json.RawMessage `json:"p"`
}

func publishHandler(s server, pad int) http.HandlerFunc {
	padding := strings.Repeat("x", pad)
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err == nil {
			err = publish(s, body, padding)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	}
}

func publish(s server, body []byte, padding string) error {
	var pubs []publication
	if len(body) > 0 && body[0] != '[' {
		pubs = make([]publication, 1)
		if err := json.Unmarshal(body, &pubs[0]); err != nil {
			return err
		}
	} else if err := json.Unmarshal(body, &pubs); err != nil {
		return err
	}
	for _, p := range pubs {
		if p.Topic == "" || p.Type == "" {
			return errors.New("topic and t are needed")
		}
		s.publish(p.Topic, fmt.Appendf(nil, `{"t":%q,"p":%s,"x":"%s"}`, p.Type, p.P, padding))
	}
	return nil
}

// topicOf returns the topic that an upgrade request asks for, as wse's clients do: with ?topics=.
func topicOf(target string) string {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return ""
	}
	return u.Query().Get("topics")
}
