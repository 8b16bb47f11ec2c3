package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Config says where to connect and what to subscribe to. URL and Topics have no default; New fills the others.
type Config struct {
	// URL is the engine's public address: http, https, ws or wss. Without a path it is /wse.
	URL string
	// Token returns the token to show, as Authorization: Bearer; nil or "" shows none. It is called for each connection, and
	// when the server says that the token has run out, to go on with a new one in place. See [StaticToken].
	Token func(context.Context) (string, error)
	// Topics are the topics, or patterns of topics, to subscribe to.
	Topics []string
	// From gives topics to be read from a position on, the first publication after it being the first to come.
	From map[string]Position
	// DialTimeout bounds connecting and the upgrade; 10 s.
	DialTimeout time.Duration
	// IdleTimeout is how long nothing may come from the server, which sends a heartbeat every 15 s; 60 s.
	IdleTimeout time.Duration
	// MessageBytesMax bounds one message; 16 MiB.
	MessageBytesMax int64
	// RetryMin and RetryMax bound the pause before a lost connection is made again; it doubles from the one to the other
	// and is random between half of it and all; 250 ms and 10 s.
	RetryMin time.Duration
	// RetryMax is explained at RetryMin.
	RetryMax time.Duration
	// OnNotice is told of what happens beside the publications.
	OnNotice func(Notice)
}

// StaticToken returns the function for a token that stays the same.
func StaticToken(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

// Position is a place in a topic: after the publication with that offset.
type Position struct {
	Epoch  string // eight hexadecimal digits; offsets of different epochs cannot be compared
	Offset uint64
}

// Publication is one message that was published to a topic.
type Publication struct {
	Topic    string
	Type     string
	ID       string
	Position Position // Epoch is "" where the topic keeps no history
	Seq      uint64
	Raw      []byte // the whole message as it came, without a line break
}

// NoticeKind says what a [Notice] is about.
type NoticeKind string

// The kinds of notices.
const (
	Connected    NoticeKind = "connected"    // subscribed; publications come
	Disconnected NoticeKind = "disconnected" // Err says why; another attempt follows
	Gap          NoticeKind = "gap"          // publications of Topic were missed and are not kept any more
	Degraded     NoticeKind = "degraded"     // the server sheds: it finds this client slow
	ServerFault  NoticeKind = "error"        // Err is an error message of the server that ends nothing
)

// Notice tells of something beside the publications.
type Notice struct {
	Kind  NoticeKind
	Topic string
	Err   error
}

// ErrStop, returned by a handler, makes Run close the connection and return nil.
var ErrStop = errors.New("client: stop")

// ServerError is an error message of the server.
type ServerError struct {
	Code    string // as in PROTOCOL §2.7, for example AUTH_FAILED
	Message string
	Topic   string // the topic that was refused, or ""
}

// Error implements error.
func (e *ServerError) Error() string {
	if e.Topic != "" {
		return fmt.Sprintf("client: %s: %s (%s)", e.Topic, e.Message, e.Code)
	}
	return fmt.Sprintf("client: %s (%s)", e.Message, e.Code)
}

// Client is one subscriber.
type Client struct {
	cfg Config
	url string

	mu        sync.Mutex
	positions map[string]Position // guarded by mu; by topic as the server names it
}

// New checks cfg. It does not connect.
func New(cfg Config) (*Client, error) {
	address, err := socketURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	if len(cfg.Topics) == 0 {
		return nil, errors.New("client: no topic to subscribe to")
	}
	setDefault(&cfg.DialTimeout, 10*time.Second)
	setDefault(&cfg.IdleTimeout, time.Minute)
	setDefault(&cfg.MessageBytesMax, 16<<20)
	setDefault(&cfg.RetryMin, 250*time.Millisecond)
	setDefault(&cfg.RetryMax, 10*time.Second)
	if cfg.Token == nil {
		cfg.Token = StaticToken("")
	}
	if cfg.OnNotice == nil {
		cfg.OnNotice = func(Notice) {}
	}
	c := &Client{cfg: cfg, url: address, positions: make(map[string]Position)}
	for topic, p := range cfg.From {
		c.positions[topic] = p
	}
	return c, nil
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// socketURL turns the engine's address into that of its WebSocket endpoint.
func socketURL(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("client: %q is not the address of an engine, as in http://127.0.0.1:8080", address)
	}
	switch u.Scheme {
	case "http", "ws":
		u.Scheme = "ws"
	case "https", "wss":
		u.Scheme = "wss"
	default:
		return "", fmt.Errorf("client: %q: the scheme must be http, https, ws or wss", address)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/wse"
	}
	query := u.Query()
	query.Set("compression", "false") // messages are read as they are; without this large payloads would come compressed
	query.Del("format")
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// Position returns where a topic was last read to, and whether that is known. It may be called from any goroutine.
func (c *Client) Position(topic string) (Position, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.positions[topic]
	return p, ok
}

func (c *Client) setPosition(topic string, p Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.positions[topic] = p
}

// Run connects, subscribes and calls handle for each publication until ctx ends or handle returns an error, which it
// returns unless it is [ErrStop]. A connection that is lost is made again; the first one must succeed, and so must every
// subscription. What cannot get better by trying again (a refused token or topic, a close code that says so) ends it with a
// [*ServerError] or an error that names the code. When ctx ends, Run returns nil.
func (c *Client) Run(ctx context.Context, handle func(Publication) error) error {
	pause := c.cfg.RetryMin
	for connected := false; ; {
		s, err := c.connect(ctx)
		if err == nil {
			err = s.run(ctx, handle)
			if s.subscribed {
				connected, pause = true, c.cfg.RetryMin
			}
		}
		var final *finalError
		switch {
		case errors.Is(err, ErrStop), ctx.Err() != nil:
			return nil
		case errors.As(err, &final):
			return final.err
		case !connected:
			return err
		}
		c.cfg.OnNotice(Notice{Kind: Disconnected, Err: err})
		wait := pause/2 + rand.N(pause/2+1)
		if s != nil && s.retryAfter > 0 {
			wait = rand.N(s.retryAfter) // the server asked its clients to spread their return
		}
		pause = min(2*pause, c.cfg.RetryMax)
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

// finalError is an error after which another attempt is useless.
type finalError struct{ err error }

// Error implements error.
func (e *finalError) Error() string { return e.err.Error() }

// Unwrap returns the error itself.
func (e *finalError) Unwrap() error { return e.err }

// sleep waits for d, and returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
