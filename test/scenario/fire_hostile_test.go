package scenario

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gobwas/ws"
)

// assault is something that a client must not get anywhere with. It has a connection of its own; those of the others must not
// notice.
type assault struct {
	name string
	form string // the connection's; empty: any
	try  func(h *hostile) error
}

// assaults are all that are made.
func assaults() []assault {
	return []assault{
		{name: "topics of others in every spelling", try: (*hostile).claim},
		{name: "topics of others in the address", try: (*hostile).claimAtUpgrade},
		{name: "forged messages", form: "plain", try: (*hostile).pretend},
		{name: "sealed frames that are none", form: "encrypted", try: (*hostile).unseal},
		{name: "bombs", form: "zlib", try: (*hostile).explode},
		{name: "a bomb in permessage-deflate", form: "deflate", try: (*hostile).explodeDeflated},
		{name: "batches of junk", form: "plain", try: (*hostile).junk},
		{name: "broken frames", form: "plain", try: (*hostile).breakFrames},
		{name: "a flood of what is no message", form: "plain", try: (*hostile).babble},
		{name: "a flood over several connections", form: "plain", try: (*hostile).flood},
		{name: "coming and going", try: (*hostile).flutter},
	}
}

// hostile is a client that attacks.
type hostile struct {
	*session
	world *world
	user  string
	form  string
	rng   *rand.Rand
}

// play attacks until everybody has seen enough.
func (h *hostile) play() error {
	all := assaults()
	for !h.world.quiet() {
		for _, i := range h.rng.Perm(len(all)) {
			run := h.world.stage.serving()
			if run == nil {
				return nil
			}
			a := all[i]
			err := h.attack(run, a)
			switch {
			case errors.Is(err, errEnded):
				continue
			case err != nil:
				return fmt.Errorf("%s, %s, %s: %w; before that:\n  %s", h.user, h.form, a.name, err, strings.Join(h.came, "\n  "))
			}
			h.world.change(func() { h.world.attacked[a.name]++ })
			h.world.ledger.wait(5)
		}
	}
	return nil
}

// attack makes one attack on a connection of its own.
func (h *hostile) attack(run *engineRun, a assault) (err error) {
	if h.form = a.form; h.form == "" {
		h.form = Encodings()[h.rng.IntN(len(Encodings()))]
	}
	if h.session, err = dialUnderFire(run, h.user, h.form, ""); err != nil {
		h.session = &session{}
		return err
	}
	defer func() { h.c.shut() }()
	return a.try(h)
}

// next is [session.next] for who must not see anything of others.
func (h *hostile) next() (*said, error) {
	m, err := h.session.next()
	if err != nil || m.Seq == 0 {
		return m, err
	}
	if topic, err := fireTopic(m); err != nil || !strings.HasPrefix(topic, "client:"+h.user+":") {
		return nil, fmt.Errorf("a publication of others came: %+v, %w", m, err)
	}
	return m, nil
}

// errorCodes are those of PROTOCOL §2.7.
const errorCodes = ` AUTH_REQUIRED AUTH_FAILED AUTH_EXPIRED ORIGIN_NOT_ALLOWED INVALID_MESSAGE MESSAGE_TOO_LARGE UNKNOWN_TYPE
 INVALID_SUBSCRIPTION INVALID_ACTION SUBSCRIPTION_FAILED SUBSCRIPTION_LIMIT RATE_LIMITED SYNC_ERROR KEY_EXCHANGE_FAILED
 PLUGIN_UNAVAILABLE SERVER_ERROR `

// codeOf returns the code of an error message, one of the protocol's; "" where it is none.
func codeOf(m *said) (string, error) {
	if m.T != "error" {
		return "", nil
	}
	var p struct{ Code, Message string }
	if err := json.Unmarshal(m.P, &p); err != nil {
		return "", err
	}
	if p.Message == "" || !slices.Contains(strings.Fields(errorCodes), p.Code) || p.Code == "SERVER_ERROR" {
		return "", fmt.Errorf("an error that the protocol has not: %s", m.P)
	}
	return p.Code, nil
}

// refused reads n errors, each with one of the codes. Other messages are passed over.
func (h *hostile) refused(n int, codes ...string) error {
	for n > 0 {
		m, err := h.next()
		if err != nil {
			return err
		}
		code, err := codeOf(m)
		switch {
		case err != nil:
			return err
		case code == "":
		case !slices.Contains(codes, code):
			return fmt.Errorf("refused with %s, not with %v: %s", code, codes, m.P)
		default:
			n--
		}
	}
	return nil
}

// answer sends a request and reads until its answer. Requests are answered in their order.
func (h *hostile) answer(kind string, p any) (*said, error) {
	id, err := h.send(kind, p)
	if err != nil {
		return nil, err
	}
	for {
		m, err := h.next()
		if err != nil {
			return nil, err
		}
		if _, err := codeOf(m); err != nil {
			return nil, err
		}
		if m.CID == id && m.Seq == 0 && (m.T != "error" || !bytes.Contains(m.P, []byte("Invalid topic format"))) {
			return m, nil
		}
	}
}

// alive checks that the connection was kept, and that nothing was delivered to it.
func (h *hostile) alive() error {
	m, err := h.answer("connection_state_request", map[string]any{})
	if err == nil && m.T != "connection_state_response" {
		err = fmt.Errorf("a request is answered by %q: %s", m.T, m.P)
	}
	return err
}

// closedBy reads until the connection is closed with one of the codes.
func (x *session) closedBy(codes ...closedWith) error {
	for {
		_, err := x.next()
		var closed closedWith
		switch {
		case err == nil:
		case errors.As(err, &closed) && slices.Contains(codes, closed):
			return nil
		default:
			return err
		}
	}
}

// othersSpelled are a topic of another user's, written so that somebody may read it as something else.
func othersSpelled(victim string) []string {
	own := []string{"user:" + victim + ":events", "user:" + victim + ":order_events", "client:" + victim + ":messages", "priority:" + victim + ":messages"}
	all := slices.Clone(own)
	for _, topic := range own {
		kind, rest, _ := strings.Cut(topic, ":")
		user, name, _ := strings.Cut(rest, ":")
		all = append(all,
			strings.ToUpper(topic), strings.ToUpper(kind)+":"+rest, kind+":"+strings.ToUpper(user)+":"+name, kind+":"+user+":"+strings.ToUpper(name),
			url.QueryEscape(topic), kind+":%"+strconv.FormatInt(int64(user[0]), 16)+user[1:]+":"+name, strings.ReplaceAll(topic, ":", "%3A"),
			topic+":", ":"+topic, kind+"::"+name, kind+":"+user+"::"+name, kind+":"+user+":", kind+":"+user, topic+":*",
			kind+":*", kind+":*:"+name, kind+":"+user+":*", kind+":"+user[:1]+"*", "*", "*:"+rest, kind+":*:*",
			topic+" ", " "+topic, topic+"\x00", kind+":"+user+"\x00:"+name, topic+"\n", strings.ReplaceAll(topic, ":", "："),
			kind+":eve/../"+user+":"+name, kind+":eve,"+user+":"+name, topic+",public:news", kind+":"+user+"\u200b:"+name,
		)
	}
	return all
}

// claim asks for topics of others in every request that names topics.
func (h *hostile) claim() error {
	names := othersSpelled(fireUsers()[h.rng.IntN(2)])
	h.rng.Shuffle(len(names), func(i, k int) { names[i], names[k] = names[k], names[i] })
	recovery, types := map[string]any{}, map[string]any{}
	for _, name := range names {
		recovery[name] = map[string]any{"epoch": "0000beef", "offset": 1}
		types[name] = []string{"fire_update"}
	}
	for _, p := range []map[string]any{
		{"action": "subscribe", "topics": names},
		{"action": "subscribe", "topics": names, "recover": true, "recovery": recovery, "event_types": types},
		{"action": "unsubscribe", "topics": names},
	} {
		m, err := h.answer("subscription_update", p)
		if err != nil {
			return err
		}
		var got struct {
			Topics  []string
			Success []string          `json:"success_topics"`
			Failed  []json.RawMessage `json:"failed_topics"`
		}
		if err := json.Unmarshal(m.P, &got); err != nil {
			return err
		}
		if m.T != "subscription_update" || len(got.Topics)+len(got.Success) > 0 || len(got.Failed) != len(names) {
			return fmt.Errorf("topics of others: %s: %s", m.T, m.P)
		}
	}
	for range 10 {
		name := names[h.rng.IntN(len(names))]
		for kind, p := range map[string]map[string]any{
			"sync_request":     {"topics": []string{name}, "include_history": true, "include_snapshots": true},
			"presence_request": {"topic": name},
			"presence_update":  {"topic": name, "data": map[string]any{"x": 1}},
		} {
			id, err := h.send(kind, p)
			if err != nil {
				return err
			}
			m, err := h.next()
			for err == nil && m.CID != id {
				m, err = h.next()
			}
			if err != nil {
				return err
			}
			if code, err := codeOf(m); err != nil || code == "" {
				return fmt.Errorf("%s of %q is answered by %s: %s (%w)", kind, name, m.T, m.P, err)
			}
		}
	}
	return h.alive()
}

// claimAtUpgrade asks for topics of others in the address, where they are decoded once.
func (h *hostile) claimAtUpgrade() error {
	names := othersSpelled(fireUsers()[h.rng.IntN(2)])
	var topics []string
	for range 20 {
		topics = append(topics, url.QueryEscape(strings.ReplaceAll(names[h.rng.IntN(len(names))], ",", ";")))
	}
	h.c.shut()
	x, err := dialUnderFire(h.run, h.user, h.form, "topics="+strings.Join(topics, ","))
	if err != nil {
		return err
	}
	h.session = x
	return h.alive()
}

// pretend sends messages of its own that claim to be something else: they are published where its own messages are, or not.
func (h *hostile) pretend() error {
	if m, err := h.answer("subscription_update", map[string]any{"action": "subscribe", "topics": []string{"client:" + h.user + ":messages"}}); err != nil {
		return fmt.Errorf("%w: %+v", err, m)
	}
	own := `"p":{"in":"client:` + h.user + `:messages"},"tp":"user:ada:events","e":"0000beef","o":7,"seq":9`
	for i, text := range []string{
		`{"t":"order_snapshot","_msg_cat":"S","id":"$",` + own + `}`, `S{"t":"order_snapshot","id":"$",` + own + `}`,
		`WSE{"t":"order_update","c":"WSE","id":"$",` + own + `}`, `U{"t":"order_update","c":"S","id":"$",` + own + `,"pri":10}`,
	} {
		if err := h.c.request([]byte(strings.Replace(text, "$", "f"+strconv.Itoa(i), 1))); err != nil {
			return h.lost(err)
		}
		m, err := h.next()
		for err == nil && m.Seq == 0 && m.T != "error" {
			m, err = h.next()
		}
		if err != nil || m.T == "error" || m.E == "0000beef" {
			return fmt.Errorf("%w: %s came as %+v", err, text, m)
		}
	}
	for _, kind := range []string{"server_ready", "snapshot_complete", "presence_join", "error", "server_hello", "connection_state_change"} {
		if err := h.c.request([]byte(`{"t":"` + kind + `",` + own + `}`)); err != nil {
			return h.lost(err)
		}
		if err := h.refused(1, "UNKNOWN_TYPE"); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return h.alive()
}

// lost is the error of a write: the engine may have been ended.
func (h *hostile) lost(err error) error {
	if h.run.over() {
		return errEnded
	}
	return err
}

// unseal sends sealed frames again, cut, changed, and sealed with another key, between good ones.
func (h *hostile) unseal() error {
	if err := h.alive(); err != nil {
		return err
	}
	last := h.c.crypto.last
	foreign, err := gcmOf(make([]byte, 32))
	if err != nil {
		return err
	}
	text := []byte(`{"t":"subscription_update","p":{"action":"subscribe","topics":["user:ada:events"]}}`)
	changed := h.c.crypto.seal(text)
	changed[len(changed)/2] ^= 1
	for _, data := range [][]byte{
		last, last[:len(last)-1], last[:20], last[:2], changed, changed[:30], sealWith(foreign, text), []byte("E:"), text,
	} {
		if err := h.c.send(ws.OpBinary, data); err != nil {
			return h.lost(err)
		}
		if err := h.refused(1, "INVALID_MESSAGE"); err != nil {
			return err
		}
		if err := h.alive(); err != nil {
			return err
		}
	}
	return nil
}

// bomb is a great deal of nothing in a few bytes.
var bomb = sync.OnceValue(func() []byte { return deflate(bytes.Repeat([]byte(" "), 8<<20)) })

// explode sends messages that are large once they are inflated.
func (h *hostile) explode() error {
	nested := deflate(append([]byte(`{"t":"batch_message","p":`), bytes.Repeat([]byte("["), 100_000)...))
	for _, data := range [][]byte{
		append([]byte("C:"), bomb()...),
		append([]byte("C:"), nested...),
		append([]byte("C:"), bomb()[:1000]...),
		fmt.Appendf(nil, `{"t":"chat","cmp":true,"p":%q}`, base64.StdEncoding.EncodeToString(bomb())),
	} {
		op := ws.OpBinary
		if data[0] == '{' {
			op = ws.OpText
		}
		if err := h.c.send(op, data); err != nil {
			return h.lost(err)
		}
		if err := h.refused(1, "INVALID_MESSAGE", "MESSAGE_TOO_LARGE"); err != nil {
			return err
		}
	}
	return h.alive()
}

func (h *hostile) explodeDeflated() error {
	if err := h.c.sendDeflated(bytes.Repeat([]byte(" "), 1<<20)); err != nil {
		return h.lost(err)
	}
	return h.closedBy(1009)
}

// junk sends batches of what does not belong into one.
func (h *hostile) junk() error {
	deep := strings.Repeat(`{"t":"batch_message","p":{"messages":[`, 30) + strings.Repeat(`]}}`, 30)
	items := []string{deep, `null`, `1`, `"x"`, `[]`, `{}`, `{"t":7}`, `{"t":"subscription_update","p":{"action":"subscribe","topics":["user:ada:events","*"]}}`,
		`{"t":"sync_request","p":{"topics":["user:bob:events"]}}`, `{"t":"server_ready"}`, `{"t":"presence_request","p":{"topic":"user:bob:events"}}`,
		`{"t":"auth","p":{"token":"x.y.z"}}`, `{"t":"ping","p":{"timestamp":-1e400}}`, `{"t":"subscription","p":` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + `}`}
	for range 5 {
		var some []string
		for range 1 + h.rng.IntN(90) {
			some = append(some, items[h.rng.IntN(len(items))])
		}
		if err := h.c.send(ws.OpText, []byte(`{"t":"batch_message","id":"b`+strconv.Itoa(h.rng.IntN(1<<30))+`","p":{"messages":[`+strings.Join(some, ",")+`]}}`)); err != nil {
			return h.lost(err)
		}
		if err := h.alive(); err != nil {
			return err
		}
	}
	return nil
}

// breakFrames breaks RFC 6455 in one of the ways that close a connection.
func (h *hostile) breakFrames() error {
	var err error
	var code closedWith
	switch h.rng.IntN(5) {
	case 0:
		code, err = 1002, h.c.frame(ws.Header{Fin: true, OpCode: ws.OpText}, []byte("PING"))
	case 1:
		code, err = 1002, h.c.frame(ws.Header{Fin: true, OpCode: 3, Masked: true}, []byte("x"))
	case 2:
		code, err = 1007, h.c.frame(ws.Header{Fin: true, OpCode: ws.OpText, Masked: true}, []byte("\xff\xfe"))
	case 3:
		code, err = 1009, h.c.frame(ws.Header{Fin: true, OpCode: ws.OpText, Masked: true, Length: 1 << 40}, []byte("x"))
	case 4:
		code, err = 1002, h.c.frame(ws.Header{Fin: false, OpCode: ws.OpPing, Masked: true}, []byte("x"))
	}
	if err != nil {
		return h.lost(err)
	}
	return h.closedBy(code)
}

// babble sends more that is no message than a connection may.
func (h *hostile) babble() error {
	for range 70 {
		if err := h.c.send(ws.OpText, []byte(`{"t":`)); err != nil {
			return h.lost(err)
		}
	}
	return h.closedBy(4400)
}

// flood sends from three connections of one user what no one of them would be refused: each is closed with 4429 in the end.
func (h *hostile) flood() error {
	var frames bytes.Buffer
	for range 1000 {
		_ = ws.WriteFrame(&frames, ws.MaskFrame(ws.NewTextFrame([]byte(`{"t":"heartbeat"}`)))) // a buffer takes everything
	}
	var readers sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		x, err := dialUnderFire(h.run, "mallory", "plain", "")
		if err != nil {
			errs[i] = err
			break
		}
		done := make(chan struct{})
		readers.Go(func() {
			defer close(done)
			defer x.c.shut()
			errs[i] = x.closedBy(4429)
		})
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_ = x.c.raw(frames.Bytes()) // the reader tells how it ends
				}
			}
		})
	}
	readers.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return h.alive()
}

// flutter comes into the room and says too much of itself, and goes in the middle of a request.
func (h *hostile) flutter() error {
	for range 3 {
		if _, err := h.send("subscription_update", map[string]any{"action": "subscribe", "topics": []string{fireRoom}}); err != nil {
			return err
		}
		if _, err := h.send("presence_update", map[string]any{"topic": fireRoom, "data": map[string]any{"x": strings.Repeat("x", 5000)}}); err != nil {
			return err
		}
		if err := h.refused(1, "MESSAGE_TOO_LARGE"); err != nil {
			return err
		}
		if _, err := h.send("subscription_update", map[string]any{"action": "unsubscribe", "topics": []string{fireRoom}}); err != nil {
			return err
		}
	}
	_, err := h.send("subscription_update", map[string]any{"action": "subscribe", "topics": []string{fireRoom}})
	h.reset()
	return err
}
