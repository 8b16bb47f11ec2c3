package ingest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/wse-engine/wse/engine/broker"
	"github.com/wse-engine/wse/engine/message"
)

// Publisher is the part of a broker that ingest needs; see [broker.Broker] for its contract.
type Publisher interface {
	Publish(ctx context.Context, env *message.Envelope) (broker.Published, error)
}

// Transformer has plugins turn an event's document into one of envelopes.
//
// Transform asks the plugins that are bound to eventType, in their order. doc is only read. With the verdict Data, answer
// has read what the plugin said, without an error; an error of [Answer.Read] is the plugin's fault and Transform fails
// with it. After an error there is no answer: where a plugin is at fault the Decision names it and its policy, else (the
// host is closed, ctx is over) its Plugin is empty. It may block for as long as plugins may run, or until ctx ends, and
// may be called by any number of goroutines.
//
// TransformAll answers each of questions as Transform does, in any order and side by side. It returns when all are
// answered; an Answer may be used by another goroutine until then.
type Transformer interface {
	Transform(ctx context.Context, eventType string, doc []byte, answer *Answer) (Decision, error)
	TransformAll(ctx context.Context, questions []Question)
}

// Verdict is what the plugins say of an event.
type Verdict uint8

// The verdicts.
const (
	NotMine Verdict = iota // no plugin wants it: the default applies
	Drop                   // it goes to nobody
	Data                   // there is an answer
)

// Decision is a verdict and whose it is.
type Decision struct {
	Verdict Verdict
	Plugin  string // who decided or failed; empty with NotMine, and with an error that is no plugin's fault
	Version string
	OnError Policy // what becomes of an event that this plugin fails on
}

// name returns the plugin as errors name it.
func (d Decision) name() string { return "plugin/" + d.Plugin + "@" + d.Version }

// Policy says what becomes of an event whose transform failed.
type Policy uint8

// The policies of a plugin's on_error (PLUGINS §3).
const (
	OnErrorDeadLetter Policy = iota // kept among the dead letters
	OnErrorDrop                     // forgotten, and counted
	OnErrorDeny                     // refused, so that the publisher learns of it
)

// Status says what became of an event or envelope.
type Status uint8

// The states. Whatever is refused is an error instead.
const (
	Published    Status = iota // numbered and on its way
	Duplicate                  // its id was published before, at the position given
	Dropped                    // a plugin dropped it, or failed and its policy is drop
	DeadLettered               // a plugin failed, and the event is among the dead letters

	Statuses // how many there are
)

// String returns the status as the admin API and metrics spell it.
func (s Status) String() string {
	return [Statuses]string{"published", "duplicate", "dropped", "dead_letter"}[s]
}

// Result is what became of one envelope, or of an event that became none.
type Result struct {
	Status Status
	ID     string
	Topic  message.Topic
	Seq    uint64
	Epoch  message.Epoch // 0 where the topic keeps no history
	Reason string        // why nothing was published
	Letter string        // the id of the dead letter that it became
}

// Ingest takes in envelopes and events. Use [New].
type Ingest struct {
	*shared
	broker  Publisher
	abreast int // events of one call that are published at a time
}

// shared is what an Ingest has in common with those made by [Ingest.Through].
type shared struct {
	cfg         Config
	transformer Transformer
	keeper      Keeper // nil: letters keeps what failed
	ids         *message.IDSource
	scratch     sync.Pool // of *scratch
	letters     letters
	counters    counters
}

// Option changes what [New] makes.
type Option func(*Ingest)

// WithKeeper has k keep the dead letters, in place of this process's memory.
func WithKeeper(k Keeper) Option { return func(in *Ingest) { in.keeper = k } }

// New checks cfg and returns an Ingest. Without a transformer every event goes the default way.
func New(cfg Config, transformer Transformer, publisher Publisher, options ...Option) (*Ingest, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if publisher == nil {
		return nil, errors.New("ingest: needs a broker")
	}
	in := &Ingest{&shared{cfg: cfg, transformer: transformer, ids: message.NewIDSource("evt")}, publisher, 1}
	in.letters.init(&in.cfg)
	in.scratch.New = func() any { return &scratch{answer: Answer{cfg: &in.cfg}} }
	for _, o := range options {
		o(in)
	}
	return in, nil
}

// Through returns an Ingest that is in in all but where it publishes to.
func (in *Ingest) Through(p Publisher) *Ingest { return &Ingest{in.shared, p, in.abreast} }

// Abreast returns an Ingest that is in but for how many of the events handed in together it publishes at a time, for a broker that
// takes a while to answer. The order within each topic is kept.
func (in *Ingest) Abreast(n int) *Ingest { return &Ingest{in.shared, in.broker, max(1, n)} }

// scratch is the memory of one event under way.
type scratch struct {
	doc    []byte // for the plugin
	answer Answer // of the plugin
	text   []byte // texts of one envelope
}

// scratchBytesMax is how large a buffer may be to be kept for another event.
const scratchBytesMax = 64 << 10

func (in *Ingest) put(s *scratch) {
	s.answer.reset()
	if cap(s.doc)+cap(s.answer.doc)+cap(s.text) <= scratchBytesMax {
		in.scratch.Put(s)
	}
}

// Publish hands env to the broker. Its payload must be a valid JSON object; its time is now where it has none. An error
// is a [*message.Error].
func (in *Ingest) Publish(ctx context.Context, env *message.Envelope) (Result, error) {
	if err := in.checkTyped(env.Type, "t", env.Payload, "p", env.Priority); err != nil {
		in.counters.refused.Add(1)
		return Result{}, err
	}
	if env.TimeMS == 0 {
		env.TimeMS = time.Now().UnixMilli()
	}
	return in.publish(ctx, env)
}

// publish hands over an envelope that is complete.
func (in *Ingest) publish(ctx context.Context, env *message.Envelope) (Result, error) {
	topic, named := env.Topic, env.ID != ""
	p, err := in.broker.Publish(ctx, env)
	if err != nil {
		in.counters.refused.Add(1)
		return Result{}, refusal(topic, named, err)
	}
	status := Published
	if p.Duplicate {
		status = Duplicate
	}
	in.counters.status[status].Add(1)
	return Result{Status: status, ID: p.ID, Topic: topic, Seq: p.Offset, Epoch: p.Epoch}, nil
}

// refusal says to a publisher why the broker took nothing of what has an id of his own, or has none.
func refusal(topic message.Topic, named bool, err error) *message.Error {
	var e *message.Error
	switch {
	case errors.Is(err, message.ErrTopic):
		e = message.Errorf(message.CodeInvalidArgument, "topic: %q is no topic to publish to", topic)
	case errors.Is(err, broker.ErrUnavailable):
		again := "publish it again with the same id"
		if !named {
			again = "it may be published all the same; publish again with an id that stays the same, so that it is published once"
		}
		e = message.Errorf(message.CodeUnavailable,
			"the publication to %q was not accepted in time by what keeps topics; %s: %v", topic, again, err)
	case errors.Is(err, broker.ErrFull):
		e = message.Errorf(message.CodeUnavailable, "the broker has no room for topic %q; see topics_max, and with Redis its maxmemory", topic)
	case errors.Is(err, broker.ErrSpoilt):
		e = message.Errorf(message.CodeInternal, "the publication to %q was not accepted: %v", topic, err)
	case errors.Is(err, broker.ErrFenced):
		e = message.Errorf(message.CodeUnavailable, "another node has taken over publishing to %q", topic)
	case errors.Is(err, broker.ErrClosed):
		e = message.Errorf(message.CodeUnavailable, "the engine is shutting down; publish again elsewhere or later")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e = message.Errorf(message.CodeUnavailable, "the time for publishing to %q was over", topic)
	default:
		return message.AsError(err)
	}
	e.Err = err
	return e
}

// PublishEvent has ev transformed and publishes what it becomes. The results are those of its envelopes, or one with
// [Dropped] or [DeadLettered]. With an error, a [*message.Error], the results are those of the envelopes that were
// published before it: an event with an id of its own may be handed in again and becomes nothing twice.
func (in *Ingest) PublishEvent(ctx context.Context, ev *message.Event) ([]Result, error) {
	if err := in.check(ev); err != nil {
		return nil, err
	}
	s := in.scratch.Get().(*scratch)
	defer in.put(s)
	decision, fault := in.transform(ctx, ev, s)
	return in.settle(ctx, ev, s, decision, fault)
}

// check refuses an event that nobody needs to be asked about.
func (in *Ingest) check(ev *message.Event) error {
	err := in.checkTyped(ev.Type, "type", ev.Payload, "payload", ev.Priority)
	if err != nil {
		in.counters.refused.Add(1)
	}
	return err
}

// settle does what the plugins decided about ev, or what is to be done where they failed on it.
func (in *Ingest) settle(ctx context.Context, ev *message.Event, s *scratch, decision Decision, fault error) ([]Result, error) {
	switch {
	case fault != nil && decision.Plugin == "":
		return nil, in.unasked(ev, fault)
	case fault != nil:
		return in.failed(ctx, ev, s.doc, decision, fault)
	}
	return in.decided(ctx, ev, &Attempt{}, decision, s)
}

// decided does what the plugins decided.
func (in *Ingest) decided(ctx context.Context, ev *message.Event, a *Attempt, d Decision, s *scratch) ([]Result, error) {
	switch d.Verdict {
	case Data:
		return in.publishAll(ctx, ev, a, s)
	case Drop:
		return []Result{in.unpublished(ev, a.ID, Dropped, d.name()+" dropped it")}, nil
	default:
		return in.publishDefault(ctx, ev, a)
	}
}

// errUnasked says that no plugin could be asked.
var errUnasked = errors.New("ingest: no plugin could be asked")

// Passing reports whether an error of an Ingest is one of the moment, so that the same event or envelope may be taken later.
func Passing(err error) bool {
	var e *message.Error
	return errors.As(err, &e) && (e.Code == message.CodeUnavailable || errors.Is(e.Err, errUnasked))
}

// unasked refuses an event because no plugin could be asked, which is no plugin's fault.
func (in *Ingest) unasked(ev *message.Event, err error) *message.Error {
	in.counters.refused.Add(1)
	e := message.Errorf(message.CodePluginUnavailable, "event %q could not be transformed now; publish it again", ev.Type)
	e.Err = fmt.Errorf("%w: %w", errUnasked, err)
	return e
}

// transform asks the plugins, whose answer s reads. A fault is that of the plugin that the decision names.
func (in *Ingest) transform(ctx context.Context, ev *message.Event, s *scratch) (Decision, error) {
	if in.transformer == nil {
		return Decision{}, nil
	}
	s.doc = appendEvent(s.doc[:0], ev)
	return in.transformer.Transform(ctx, ev.Type, s.doc, &s.answer)
}

// publishAll publishes the envelopes in s, in order.
func (in *Ingest) publishAll(ctx context.Context, ev *message.Event, a *Attempt, s *scratch) ([]Result, error) {
	results := make([]Result, 0, len(s.answer.drafts))
	base := cmp.Or(ev.ID, a.ID)
	if base == "" && len(s.answer.drafts) > 1 {
		base = in.ids.Next() // one envelope alone gets its id from the broker, which then need not remember it
	}
	for i := range s.answer.drafts {
		r, err := in.publishOf(ctx, ev, a, s.envelope(ev, base, i))
		if err != nil {
			return results, err
		}
		results = append(results, r)
	}
	return results, nil
}

// publishOf publishes an envelope of an event, unless an earlier attempt did.
func (in *Ingest) publishOf(ctx context.Context, ev *message.Event, a *Attempt, env *message.Envelope) (Result, error) {
	if r, done := a.before(env); done {
		in.counters.status[Duplicate].Add(1)
		return r, nil
	}
	if ev.TimeMS == 0 && a.TimeMS != 0 {
		env.TimeMS = a.TimeMS
	}
	return in.publish(ctx, env)
}

// publishDefault publishes an event that no plugin wants: its name in snake case, to its topic or user:{id}:events.
func (in *Ingest) publishDefault(ctx context.Context, ev *message.Event, a *Attempt) ([]Result, error) {
	env, err := defaultEnvelope(ev)
	if err != nil {
		in.counters.refused.Add(1)
		return nil, err
	}
	in.counters.defaulted.Add(1)
	env.ID = cmp.Or(env.ID, a.ID)
	r, err := in.publishOf(ctx, ev, a, env)
	if err != nil {
		return nil, err
	}
	return []Result{r}, nil
}

// failed does with an event what the policy of the plugin that failed on it says.
func (in *Ingest) failed(ctx context.Context, ev *message.Event, doc []byte, d Decision, fault error) ([]Result, error) {
	switch d.OnError {
	case OnErrorDeny:
		in.counters.refused.Add(1)
		e := message.Errorf(message.CodePluginUnavailable, "event %q could not be transformed: %s", ev.Type, fault)
		return nil, e
	case OnErrorDrop:
		return []Result{in.unpublished(ev, "", Dropped, fault.Error())}, nil
	default:
		return in.bury(ctx, ev, doc, d, fault)
	}
}

// bury makes ev a dead letter.
func (in *Ingest) bury(ctx context.Context, ev *message.Event, doc []byte, d Decision, fault error) ([]Result, error) {
	if in.keeper == nil {
		r := in.unpublished(ev, "", DeadLettered, fault.Error())
		r.Letter = in.letters.add(ev, r.ID, doc, d, r.Reason)
		return []Result{r}, nil
	}
	id := cmp.Or(ev.ID, in.ids.Next())
	letter, err := in.keeper.Keep(ctx, Letter{
		EventID: id, Named: ev.ID != "", Event: ev.Type, Plugin: d.Plugin, Version: d.Version, Reason: fault.Error(), Document: doc,
	})
	if err != nil {
		in.counters.refused.Add(1)
		e := message.Errorf(message.CodeUnavailable, "event %q could be neither transformed nor kept as a dead letter; publish it again", ev.Type)
		e.Err = err
		return nil, e
	}
	r := in.unpublished(ev, id, DeadLettered, fault.Error())
	r.Letter = letter
	return []Result{r}, nil
}

// unpublished counts an event that became nothing. It has an id of its own, one of an earlier attempt, or a new one.
func (in *Ingest) unpublished(ev *message.Event, id string, status Status, reason string) Result {
	in.counters.status[status].Add(1)
	if id = cmp.Or(ev.ID, id); id == "" {
		id = in.ids.Next()
	}
	return Result{Status: status, ID: id, Topic: ev.Topic, Reason: reason}
}

// checkTyped checks what events and envelopes have in common.
func (in *Ingest) checkTyped(name, nameField string, payload []byte, payloadField string, p message.Priority) error {
	switch {
	case name == "" || len(name) > in.cfg.TypeBytesMax:
		return invalid("%s: must be a text of 1 to %d bytes", nameField, in.cfg.TypeBytesMax)
	case len(payload) == 0 || payload[0] != '{':
		return invalid("%s: must be a JSON object", payloadField)
	case p != 0 && !p.Valid():
		return invalid("pri: %d is not within 1 to 10", p)
	}
	return nil
}

func invalid(format string, args ...any) *message.Error {
	return message.Errorf(message.CodeInvalidArgument, format, args...)
}

// envelope makes the i-th draft in s an envelope of ev. What the plugin leaves out comes from the event. It copies what
// the answer points at: one allocation for all texts, one for the payload.
func (s *scratch) envelope(ev *message.Event, base string, i int) *message.Envelope {
	a := &s.answer.drafts[i]
	text := append(append(s.text[:0], a.kind...), a.topic...)
	idAt := len(text)
	text = s.appendID(text, base, i)
	cidAt := len(text)
	text = append(text, a.cid...)
	s.text = text
	all := string(text)
	now := time.Now().UnixMilli()
	env := &message.Envelope{
		Type: all[:len(a.kind)], Topic: message.Topic(all[len(a.kind):idAt]), ID: all[idAt:cidAt], CID: all[cidAt:],
		Payload: append([]byte(nil), a.payload...), Priority: a.priority, EventVersion: a.version,
		TimeMS: now, LatencyMS: -1, TraceID: ev.TraceID,
	}
	inherit(env, ev, now)
	return env
}

// appendID appends the id of the i-th draft: the plugin's own or the event's, with .i behind it where an earlier one
// has the same, because the broker takes an id once.
func (s *scratch) appendID(dst []byte, base string, i int) []byte {
	own := s.answer.drafts[i].id
	taken := i > 0 && len(own) == 0
	for _, earlier := range s.answer.drafts[:i] {
		taken = taken || len(own) > 0 && (bytes.Equal(own, earlier.id) || len(earlier.id) == 0 && string(own) == base)
	}
	if len(own) > 0 {
		dst = append(dst, own...)
	} else {
		dst = append(dst, base...)
	}
	if taken {
		dst = strconv.AppendInt(append(dst, '.'), int64(i), 10)
	}
	return dst
}

// inherit gives env what it lacks and ev has.
func inherit(env *message.Envelope, ev *message.Event, now int64) {
	if ev.TimeMS != 0 {
		env.TimeMS, env.LatencyMS = ev.TimeMS, max(0, now-ev.TimeMS)
	}
	if env.CID == "" {
		env.CID = ev.CID
	}
	if env.Priority == 0 {
		env.Priority = ev.Priority
	}
	if env.EventVersion == 0 {
		env.EventVersion = ev.EventVersion
	}
}
