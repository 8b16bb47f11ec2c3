package row

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/wse-engine/wse/test/bench/internal/figure"
	"github.com/wse-engine/wse/test/bench/internal/swarm"
	"github.com/wse-engine/wse/test/bench/internal/target"
)

// The compressed row: 1,000 subscribers of each form, on a topic of their own, with payloads large enough to be compressed.
const compressedPayloadBytes = 4 << 10

// form is one way a client of wse gets large messages (PROTOCOL §2.6).
type form struct {
	name       string
	query      url.Values
	extensions string
	open       func(body []byte) ([]byte, error) // what the frame carries → JSON as [number] reads it
}

func forms() []form {
	return []form{
		{name: "plain", query: url.Values{"compression": {"false"}}, open: func(b []byte) ([]byte, error) { return bytes.Clone(b), nil }},
		{name: "C:", query: url.Values{"compression": {"true"}}, open: openZlib},
		{name: "cmp", query: url.Values{}, open: openCmp},
		{name: "permessage-deflate", query: url.Values{}, extensions: "permessage-deflate", open: openDeflate},
		{name: "MessagePack", query: url.Values{"format": {"msgpack"}}, open: openPacked},
	}
}

func inflated(body []byte) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func openZlib(body []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(body, []byte("C:"))
	if !ok {
		return nil, errors.New("not compressed as C:")
	}
	return inflated(rest)
}

func openDeflate(body []byte) ([]byte, error) {
	tail := bytes.NewReader([]byte("\x00\x00\xff\xff\x01\x00\x00\xff\xff")) // RFC 7692 §7.2.2
	return io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(body), tail)))
}

func openCmp(body []byte) ([]byte, error) {
	var m struct {
		T   string
		P   []byte
		Cmp bool
	}
	if err := json.Unmarshal(body, &m); err != nil || !m.Cmp {
		return nil, errors.Join(errors.New("not compressed as cmp"), err)
	}
	p, err := inflated(m.P)
	return fmt.Appendf(nil, `{"t":%q,"p":%s}`, m.T, p), err
}

// openPacked knows as much of MessagePack as a publication of this row has of it: t, then p with n, an integer.
func openPacked(body []byte) ([]byte, error) {
	_, rest, ok := bytes.Cut(body, packedType())
	rest, found := bytes.CutPrefix(rest, []byte("\xa1p\x82\xa1n"))
	if body[0]&0xf0 != 0x80 || !ok || !found {
		return nil, errors.New("not MessagePack")
	}
	n := int(rest[0])
	if rest[0] == 0xcc {
		n = int(rest[1])
	}
	return fmt.Appendf(nil, `{"t":%q,"p":{"n":%d}}`, eventType, n), nil
}

// packedType is the t of a publication in MessagePack.
func packedType() []byte { return append([]byte{0xa1, 't', 0xa0 | byte(len(eventType))}, eventType...) }

// formLane is the subscribers of one form with what they measure.
type formLane struct {
	lane
	form  form
	topic string
	// Of the swarm's goroutine: what each body of the window says. All subscribers get the same bytes, so each publication is
	// opened once, and one that was made twice shows.
	opened map[string][]byte
	err    error
}

func (l *formLane) message(c *swarm.Client, body []byte, now int64) {
	if l.form.own(body) {
		return
	}
	opened, known := l.opened[string(body)]
	if !known {
		var err error
		if opened, err = l.form.open(body); err != nil && l.err == nil {
			l.err = fmt.Errorf("%s: %w: %.40q", l.form.name, err, body)
		}
		l.opened[string(body)] = opened
	}
	l.meter.message(c, opened, now)
}

// own tells a message of the server's own, all of which are small, from a publication.
func (f form) own(body []byte) bool {
	if f.query.Get("format") == "msgpack" {
		return !bytes.Contains(body, packedType())
	}
	return bytes.HasPrefix(body, []byte(`{"t":"`)) && !bytes.HasPrefix(body, []byte(published[:len(published)-len(`,"p":{"n":`)]))
}

// ready is subscribed for any form.
func (f form) ready(body []byte) (bool, error) {
	if f.query.Get("format") != "msgpack" {
		return subscribed(body)
	}
	return bytes.Contains(body, []byte("subscription_update")) && bytes.Contains(body, []byte("\xa7success\xc3")), nil
}

// compressed measures the server's CPU per delivery for subscribers of each form, in turn.
func compressed(ctx context.Context, b *Bench) (figures []figure.Figure, err error) {
	s, err := b.wse()
	if err != nil {
		return nil, err
	}
	defer stopAll([]*target.Server{s}, &err)
	sw, err := swarm.New()
	if err != nil {
		return nil, err
	}
	defer sw.Close()
	var lanes []*formLane
	for i, f := range forms() {
		l := &formLane{lane: lane{server: s, meter: newMeter(0, 0)}, form: f, opened: make(map[string][]byte), topic: fmt.Sprintf("%s.%d", fanOutTopic, i)}
		l.cpu.Name = "wse, " + f.name
		lanes = append(lanes, l)
		cfg := swarm.Config{Addr: s.Listen, Message: l.message, Ready: f.ready, Sources: 4,
			Request: func(i int) []byte { return s.RequestForm(userName(i), l.topic, f.query, f.extensions) }}
		if _, err := sw.Dial(ctx, cfg, fanOutSubscribers); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	rounds := fanOutRounds * b.Repetitions
	for rep := range rounds {
		for i := range lanes {
			l := lanes[(i+rep)%len(lanes)]
			v, err := l.measure(ctx, sw)
			if err != nil {
				return nil, err
			}
			l.cpu.Values = append(l.cpu.Values, v)
			b.logf("compressed %d/%d %-18s %.2f µs CPU per delivery", rep+1, rounds, l.form.name, v)
		}
	}
	return compressedFigures(lanes), intact(sw)
}

// measure runs one window and checks that every publication was made once for all subscribers.
func (l *formLane) measure(ctx context.Context, sw *swarm.Swarm) (float64, error) {
	sw.Do(func() { l.opened = make(map[string][]byte) })
	ld := load{l.topic, fanOutPublications, 1, fanOutEvery, compressedPayloadBytes}
	v, err := l.run(ctx, sw, ld)
	if err != nil {
		return 0, errors.Join(err, l.err)
	}
	sw.Do(func() {
		if err = l.err; err == nil && len(l.opened) != ld.count {
			err = fmt.Errorf("%s: %d publications came in %d bodies", l.form.name, ld.count, len(l.opened))
		}
	})
	return v, err
}

func compressedFigures(lanes []*formLane) (figures []figure.Figure) {
	for _, l := range lanes[1:] {
		figures = append(figures, figure.Figure{
			Name: "server CPU per delivery, 1,000 subscribers × 4 KiB, " + l.form.name, Unit: "µs", Ours: l.cpu,
			Peer: named(lanes[0].cpu, "wse, plain"), Statistic: figure.Minimum(), RatioMax: 1.3,
		})
	}
	return figures
}
