package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

func (r *Runner) client(rest string) (*client, string, error) {
	name, text, err := r.subject(rest)
	if err != nil {
		return nil, "", err
	}
	c := r.clients[name]
	if c == nil {
		return nil, "", fmt.Errorf("no client is called %s", name)
	}
	return c, text, nil
}

func (r *Runner) send(s Step) error {
	c, text, err := r.client(s.Rest)
	if err != nil {
		return err
	}
	switch s.Verb {
	case "send-binary":
		return c.send(ws.OpBinary, []byte(text))
	case "send-deflated":
		return c.sendDeflated([]byte(text))
	}
	return c.request([]byte(text))
}

// sendAs sends a message in a form of its own: text, cmp, zlib or msgpack.
func (r *Runner) sendAs(s Step) error {
	c, rest, err := r.client(s.Rest)
	if err != nil {
		return err
	}
	form, text, _ := strings.Cut(rest, " ")
	data, err := packForm(form, []byte(text))
	if err != nil {
		return err
	}
	if c.crypto != nil && c.crypto.started {
		return c.sendSealed(data)
	}
	if form == formZlib || form == formMsgpack {
		return c.send(ws.OpBinary, data)
	}
	return c.send(ws.OpText, data)
}

// frame sends one frame that may break any rule.
func (r *Runner) frame(s Step) error {
	c, rest, err := r.client(s.Rest)
	if err != nil {
		return err
	}
	list, err := words(rest)
	if err != nil {
		return err
	}
	o, err := options(list, "op", "fin", "rsv", "mask", "payload", "size", "length")
	if err != nil {
		return err
	}
	number := map[string]int64{"op": 1, "fin": 1, "mask": 1}
	for key := range o {
		if key == "payload" {
			continue
		}
		if number[key], err = strconv.ParseInt(o[key], 0, 64); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	payload := []byte(o["payload"])
	if n := number["size"]; n > 0 {
		payload = bytes.Repeat([]byte("x"), int(n))
	}
	return c.frame(ws.Header{Fin: number["fin"] == 1, Rsv: byte(number["rsv"]), OpCode: ws.OpCode(number["op"]),
		Masked: number["mask"] == 1, Length: number["length"]}, payload)
}

func (r *Runner) raw(s Step) error {
	c, rest, err := r.client(s.Rest)
	if err != nil {
		return err
	}
	list, err := words(rest)
	if err != nil {
		return err
	}
	return c.raw([]byte(strings.Join(list, "")))
}

// pattern reads a pattern. Names in it stay as they are until they are matched.
func pattern(text string) (any, error) {
	value, err := decode([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("the pattern is no JSON: %w", err)
	}
	return value, nil
}

func (r *Runner) expect(s Step) error {
	name, text, _ := strings.Cut(s.Rest, " ")
	want, err := pattern(text)
	if err != nil {
		return err
	}
	c, _, err := r.client(name)
	if err != nil {
		return err
	}
	object, _ := want.(map[string]any)
	raw, have, err := c.message(isHeartbeat(object))
	if err != nil {
		return err
	}
	if err := r.vars.match(want, have, "$"); err != nil {
		return fmt.Errorf("%w\n  in %s", err, raw)
	}
	return nil
}

// expectAs is expect for a message that has to come in a form.
func (r *Runner) expectAs(s Step) error {
	name, rest, _ := strings.Cut(s.Rest, " ")
	form, text, _ := strings.Cut(rest, " ")
	want, err := pattern(text)
	if err != nil {
		return err
	}
	c, _, err := r.client(name)
	if err != nil {
		return err
	}
	got, have, err := c.received(false)
	if err != nil {
		return err
	}
	if err := r.vars.match(want, have, "$"); err != nil {
		return fmt.Errorf("%w\n  in %s", err, got.text)
	}
	if got.form != form {
		return fmt.Errorf("it came in the form %s: %s", got.form, got.text)
	}
	return nil
}

// await passes over messages until one fits.
func (r *Runner) await(s Step) error {
	name, text, _ := strings.Cut(s.Rest, " ")
	want, err := pattern(text)
	if err != nil {
		return err
	}
	c, _, err := r.client(name)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; {
		_, have, err := c.message(false)
		if err != nil {
			return err
		}
		trial := maps.Clone(r.vars)
		if trial.match(want, have, "$") == nil {
			r.vars = trial
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it did not come for %s", patience)
		}
	}
}

func (r *Runner) stall(s Step) error {
	c, _, err := r.client(s.Rest)
	if err != nil {
		return err
	}
	if s.Verb == "resume" {
		c.resume()
	} else {
		c.stall()
	}
	return nil
}

// pad gives a name to a text of so many bytes: letters and digits that do not compress, or what is given, repeated.
func (r *Runner) pad(s Step) error {
	name, rest, err := r.subject(s.Rest)
	if err != nil {
		return err
	}
	size, repeated, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(size)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is no number of bytes", size)
	}
	if repeated != "" {
		r.vars[name] = strings.Repeat(repeated, n/len(repeated)+1)[:n]
		return nil
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	random := rand.New(rand.NewPCG(1, uint64(n)))
	text := make([]byte, n)
	for i := range text {
		text[i] = letters[random.IntN(len(letters))]
	}
	r.vars[name] = string(text)
	return nil
}

func (r *Runner) expectRaw(s Step) error {
	c, text, err := r.client(s.Rest)
	if err != nil {
		return err
	}
	expr, err := regexp.Compile(text)
	if err != nil {
		return err
	}
	raw, _, err := c.message(false)
	if err == nil && !expr.Match(raw) {
		return fmt.Errorf("it does not match: %s", raw)
	}
	return err
}

// unordered takes as many messages as the block has patterns, in any order.
func (r *Runner) unordered(s Step) error {
	c, _, err := r.client(s.Rest)
	if err != nil {
		return err
	}
	var patterns []any
	for line := range strings.Lines(s.Body) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		want, err := pattern(line)
		if err != nil {
			return err
		}
		patterns = append(patterns, want)
	}
	for len(patterns) > 0 {
		raw, have, err := c.message(false)
		if err != nil {
			return fmt.Errorf("%w; still missing: %s", err, show(patterns))
		}
		i := slices.IndexFunc(patterns, func(want any) bool {
			trial := maps.Clone(r.vars)
			if trial.match(want, have, "$") != nil {
				return false
			}
			r.vars = trial
			return true
		})
		if i < 0 {
			return fmt.Errorf("nothing expected this: %s", raw)
		}
		patterns = slices.Delete(patterns, i, i+1)
	}
	return nil
}

// sequence takes publications and asserts that their numbers run from one to the other, each once and in order. The
// engine's own messages are passed over.
func (r *Runner) sequence(s Step) error {
	c, rest, err := r.client(s.Rest)
	if err != nil {
		return err
	}
	var from, to int
	if _, err := fmt.Sscanf(rest, "%d %d", &from, &to); err != nil {
		return fmt.Errorf("FROM TO is missing: %w", err)
	}
	for seq := from; seq <= to; {
		raw, have, err := c.message(false)
		if err != nil {
			return fmt.Errorf("waiting for %d: %w", seq, err)
		}
		number, ok := have["seq"].(json.Number)
		if !ok {
			continue
		}
		if number.String() != strconv.Itoa(seq) {
			return fmt.Errorf("want number %d, have %s", seq, raw)
		}
		seq++
	}
	return nil
}

// noMore asserts that nothing is on its way: what the server sends next is the answer to a ping, three times over.
func (r *Runner) noMore(s Step) error {
	for name := range strings.FieldsSeq(s.Rest) {
		c, _, err := r.client(name)
		if err != nil {
			return err
		}
		for range 3 {
			c.ping++
			number := json.Number(strconv.FormatInt(c.ping, 10))
			ping := fmt.Sprintf(`{"t":"ping","p":{"timestamp":%s}}`, number)
			want := map[string]any{"t": "PONG", "p": map[string]any{"client_timestamp": number}}
			if c.v1 {
				ping = fmt.Sprintf(`{"type":"ping","id":%s}`, number)
				want = map[string]any{"type": "status", "status": "pong", "id": number}
			}
			if err := c.request([]byte(ping)); err != nil {
				return err
			}
			raw, have, err := c.message(false)
			if err != nil {
				return err
			}
			if err := r.vars.match(want, have, "$"); err != nil {
				return fmt.Errorf("%s should get nothing, got %s", name, raw)
			}
		}
	}
	return nil
}

func (r *Runner) expectClose(s Step) error {
	c, rest, err := r.client(s.Rest)
	if err != nil {
		return err
	}
	code, reason, _ := strings.Cut(rest, " ")
	deadline := time.Now().Add(patience)
	for {
		got, err := c.next(deadline)
		switch {
		case err != nil:
			return err
		case got.err != nil:
			return fmt.Errorf("the connection ended without a close frame: %w", got.err)
		case !got.close && (bytes.HasPrefix(got.text, []byte(`{"t":"heartbeat"`)) || bytes.Contains(got.text, []byte(`"status":"heartbeat"`))):
			continue
		case !got.close && s.Verb == "await-close":
			continue
		case !got.close:
			return fmt.Errorf("a message came: %s", got.text)
		case strconv.Itoa(int(got.code)) != code:
			return fmt.Errorf("it closed with %d %q", got.code, got.reason)
		case !strings.Contains(got.reason, reason):
			return fmt.Errorf("the reason is %q", got.reason)
		}
		return nil
	}
}

func (r *Runner) expectEOF(s Step) error {
	c, _, err := r.client(s.Rest)
	if err != nil {
		return err
	}
	got, err := c.next(time.Now().Add(patience))
	if err != nil {
		return err
	}
	if got.err == nil {
		return fmt.Errorf("something came: %q", got.text)
	}
	return nil
}

func (r *Runner) close(s Step) error {
	c, code, err := r.client(s.Rest)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(code, 10, 16)
	if err != nil {
		return fmt.Errorf("%q is no close code", code)
	}
	return c.close(uint16(n))
}

func (r *Runner) drop(s Step) error {
	c, _, err := r.client(s.Rest)
	if err == nil {
		c.shut()
	}
	return err
}

func (r *Runner) mute(s Step) error {
	c, _, err := r.client(s.Rest)
	if err == nil {
		c.mute.Store(true)
	}
	return err
}

// lag makes a client answer pings later from now on, as over a network with that round trip.
func (r *Runner) lag(s Step) error {
	c, rest, err := r.client(s.Rest)
	if err != nil {
		return err
	}
	late, err := time.ParseDuration(rest)
	if err == nil {
		c.lag.Store(int64(late))
	}
	return err
}
