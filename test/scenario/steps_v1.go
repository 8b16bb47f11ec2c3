package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// ask sends a request of protocol v1 with an id of its own, unless it has one, and expects its answer: C REQUEST => PATTERN.
// What comes before the answer and has not its id is kept for the steps that follow.
func (r *Runner) ask(s Step) error {
	call, want, ok := strings.Cut(s.Rest, " => ")
	if !ok {
		return errors.New("=> PATTERN is missing")
	}
	c, text, err := r.client(call)
	if err != nil {
		return err
	}
	p, err := pattern(want)
	if err != nil {
		return err
	}
	raw, have, err := c.ask(text)
	if err != nil {
		return err
	}
	if err := r.vars.match(p, have, "$"); err != nil {
		return fmt.Errorf("%w\n  in %s", err, raw)
	}
	return nil
}

// ask sends a request and returns its answer.
func (c *client) ask(text string) (raw []byte, answer map[string]any, err error) {
	value, err := decode([]byte(text))
	object, isObject := value.(map[string]any)
	if err != nil || !isObject {
		return nil, nil, fmt.Errorf("only an object can be asked (%w): %s", err, text)
	}
	id := object["id"]
	if id == nil {
		c.asked++
		id = fmt.Sprintf("ask-%d", c.asked)
		text = strings.TrimRight(strings.TrimSuffix(strings.TrimSpace(text), "}"), " ") + fmt.Sprintf(`,"id":%q}`, id)
	}
	before := c.kept
	c.kept = nil
	defer func() { c.kept = before }()
	if err := c.request([]byte(text)); err != nil {
		return nil, nil, err
	}
	for {
		got, have, err := c.received(true)
		if err != nil {
			return nil, nil, err
		}
		if fmt.Sprint(have["id"]) == fmt.Sprint(id) {
			return got.text, have, nil
		}
		before = append(before, got)
	}
}

// firstTick is the time of the first tick without one of its own, in Unix milliseconds.
const firstTick = 1_764_000_000_000

// tick publishes a tick of a symbol: SYMBOL PRICE [volume=1] [quote=N] [time=MS]. Without a time it is a second after the
// last one.
func (r *Runner) tick(s Step) error {
	symbol, rest, err := r.subject(s.Rest)
	if err != nil {
		return err
	}
	if symbol, err = r.vars.expand(symbol); err != nil {
		return err
	}
	price, rest, _ := strings.Cut(rest, " ")
	list, err := words(rest)
	if err != nil {
		return err
	}
	o, err := options(list, "volume", "quote", "time")
	if err != nil {
		return err
	}
	payload := map[string]any{"symbol": symbol, "price": json.Number(price), "volume": json.Number("1")}
	for option, member := range map[string]string{"volume": "volume", "quote": "quote_volume", "time": "timestamp"} {
		if o[option] != "" {
			payload[member] = json.Number(o[option])
		}
	}
	if o["time"] == "" {
		payload["timestamp"] = firstTick + 1000*r.ticks
		r.ticks++
	}
	body, err := json.Marshal(map[string]any{"topic": "stream:market_data:" + symbol, "t": "market_data_update", "p": payload})
	if err != nil {
		return err
	}
	return r.request(Step{Verb: "post", Rest: "/api/v1/publish " + string(body) + " => 200"})
}

// public sends a request to the public port: [METHOD] PATH [as=USER] [level=L] [token=T] [header="K: V"]... [BODY] => STATUS
// [PATTERN]. The token of a user who is named, or one that is given, goes into its header.
func (r *Runner) public(s Step) error {
	call, answer, ok := strings.Cut(s.Rest, " => ")
	if !ok {
		return errors.New("=> STATUS is missing")
	}
	call, err := r.vars.expand(call)
	if err != nil {
		return err
	}
	method, path := http.MethodGet, ""
	if path, call = nextWord(call); !strings.HasPrefix(path, "/") {
		method = path
		path, call = nextWord(call)
	}
	o, header := map[string]string{}, http.Header{}
	for {
		word, rest := nextWord(call)
		key, value, given := strings.Cut(word, "=")
		if !given || key != "as" && key != "level" && key != "token" && key != "header" {
			break
		}
		if key == "header" {
			list, err := words(call)
			if err != nil {
				return err
			}
			name, text, _ := strings.Cut(strings.TrimPrefix(list[0], "header="), ":")
			header.Set(name, strings.TrimSpace(text))
			call = strings.TrimSpace(call[strings.LastIndexByte(call, '"')+1:])
			continue
		}
		o[key], call = value, rest
	}
	if o["as"] != "" {
		if o["token"], err = r.good(o["as"], o["level"], ""); err != nil {
			return err
		}
	}
	req, err := http.NewRequest(method, r.engine.publicURL()+path, strings.NewReader(call))
	if err != nil {
		return err
	}
	req.Header = header
	if o["token"] != "" {
		req.Header.Set("Authorization", "Bearer "+o["token"])
	}
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return r.exchange(req, answer)
}

// nextWord splits the first word off a text.
func nextWord(text string) (word, rest string) {
	word, rest, _ = strings.Cut(strings.TrimSpace(text), " ")
	return word, strings.TrimSpace(rest)
}
