package plugin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wse-engine/wse/engine/plugin/vector"
	"github.com/wse-engine/wse/sdk/abi"
)

// ErrNoHook is returned where a module is asked for a hook that it does not export.
var ErrNoHook = errors.New("plugin: the module does not export this hook")

// Workbench runs modules outside of an engine, one at a time and one call at a time, with everything that an engine does to
// them: admission, metering, the compiling child process, limits, and the check of answers. It is for the tools of authors.
//
// A Workbench and its Workpieces belong to one goroutine. A program that uses them calls [CompileChildMain] first thing in
// main.
type Workbench struct {
	host  *Host
	lines []string // logged since the last call began
}

// NewWorkbench returns a workbench that keeps compiled modules under dir, as an engine does under its data_dir. Nothing is
// opened before it is used.
func NewWorkbench(dir string) *Workbench {
	w := &Workbench{}
	w.host = &Host{deps: Deps{DataDir: dir, Log: w.log, Lifecycle: DefaultLifecycle()}}
	return w
}

func (w *Workbench) log(_, _ string, level int, text string) {
	w.lines = append(w.lines, levelName(level)+": "+text)
}

func levelName(level int) string {
	return [...]string{"trace", "debug", "info", "warn", "error"}[min(max(level, 0), 4)]
}

// Specimen is a module to be tried, with what an engine's configuration says about a plugin.
type Specimen struct {
	// Name is what errors call the module.
	Name string
	// Module is its bytes.
	Module []byte
	// Config is the JSON for wse_configure; nil: none.
	Config []byte
	// Limits bounds what it may use. Zero fields take the value of [DefaultLimits]. Instances and log_lines_per_second do not
	// count here.
	Limits Limits
	// Answer reads what transform answers; nil takes any bytes for an answer.
	Answer Answer
}

// linesPerSecond is what a workbench lets a guest log: there, many calls a second are nobody's flood.
const linesPerSecond = 1 << 20

func (s Specimen) source() *source {
	c := Config{Name: s.Name, Limits: s.Limits}.withDefaults()
	c.Limits.Instances, c.Limits.LogLinesPerSecond = 1, linesPerSecond
	return &source{cfg: c, wasm: s.Module, json: s.Config, digest: sha256.Sum256(s.Module)}
}

// Workpiece is a module that is ready to be called. It is to be closed.
type Workpiece struct {
	bench   *Workbench
	version *version
	in      *instance // nil: the next call makes one
	answer  Answer
	batches bool   // it exports the batch hook
	config  []byte // as opened
	start   int64  // fuel that the last start of an instance took
}

// Called is what came of a call.
type Called struct {
	vector.Got
	// Time is what the call took, with copying the document in, without reading the answer.
	Time time.Duration
	// MemoryBytes is the size of the instance's linear memory after the call.
	MemoryBytes int
}

// Open makes a module ready, exactly as an engine would. The error is a *[LoadError].
func (w *Workbench) Open(ctx context.Context, s Specimen) (*Workpiece, error) {
	w.lines = nil
	v, err := w.host.load(ctx, s.source())
	if err != nil {
		return nil, err
	}
	p := &Workpiece{bench: w, version: v, answer: s.Answer, config: v.config}
	if err := p.begin(s.Config); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Close ends the module's instances and lets go of its code.
func (p *Workpiece) Close() {
	p.drop()
	p.version.close()
}

// drop closes the instance, and the next call has a new one.
func (p *Workpiece) drop() {
	if p.in != nil {
		p.in.close()
		p.in = nil
	}
}

// begin makes a new instance with a configuration. The error is a *[LoadError].
func (p *Workpiece) begin(config []byte) error {
	p.drop()
	p.bench.lines = nil
	p.version.config = config
	in, err := p.version.newInstance()
	if err != nil {
		return err
	}
	p.in = in
	p.batches = in.mod.ExportedFunction(abi.ExportTransformBatch) != nil
	p.start = p.version.cfg.Limits.FuelInit - int64(in.fuel.Get())
	return nil
}

// Configure makes a new instance with a configuration, JSON for wse_configure; nil: none. The error is a *[LoadError].
func (p *Workpiece) Configure(config []byte) error {
	if p.in != nil && bytes.Equal(config, p.version.config) {
		return nil
	}
	return p.begin(config)
}

// Restart makes a new instance, which knows nothing of what the one before was told. The error is a *[LoadError].
func (p *Workpiece) Restart() error { return p.begin(p.version.config) }

// Hooks lists what can be called, as [Workpiece.Call] names it, and strategy, which takes a [Workpiece.Step].
func (p *Workpiece) Hooks() []string {
	var names []string
	for h := range hookCount {
		switch {
		case !p.version.has[h]:
		case !h.stateful():
			names = append(names, h.name())
		case h == hookOpen: // for all three
			names = append(names, vector.Strategy)
		}
	}
	if p.batches {
		names = append(names, vector.TransformBatch)
	}
	return names
}

// hookBatch stands for the batch hook, which an engine calls by a way of its own.
const hookBatch = hookCount

func (p *Workpiece) hook(name string) (hook, error) {
	for h := range hookCount {
		if p.version.has[h] && h.name() == name {
			return h, nil
		}
	}
	if p.batches && name == vector.TransformBatch {
		return hookBatch, nil
	}
	return 0, fmt.Errorf("%w: %s; it has %s", ErrNoHook, name, strings.Join(p.Hooks(), ", "))
}

// Call calls a hook, one of [Workpiece.Hooks], with a document. A call that fails is no error: it is told in what is
// returned, and where an engine would replace the instance, so does the next call. The error is [ErrNoHook], or a *[LoadError]
// where a new instance does not start.
func (p *Workpiece) Call(name string, doc []byte) (Called, error) {
	h, err := p.hook(name)
	if err != nil {
		return Called{}, err
	}
	if err := p.instance(); err != nil {
		return Called{}, err
	}
	if most := p.version.cfg.Limits.InKiB; len(doc) > most<<10 {
		return Called{Got: vector.Got{Said: string(TooLarge),
			Error: fmt.Sprintf("a document of %d bytes, at most %d KiB are allowed (in_kib)", len(doc), most)}}, nil
	}
	in := p.in
	p.bench.lines = nil
	p.version.metrics = guestMetrics{}
	in.used = 0
	begin := time.Now()
	view, kind, f := p.call(h, doc)
	got := Called{Time: time.Since(begin)}
	got.Fuel, got.MemoryBytes = in.used, int(in.mem.Size())
	if f == nil {
		got.Said, got.Data = kind.String(), bytes.Clone(view)
		if err := p.read(h, kind, doc, view); err != nil {
			f = &fault{Violation, "the answer of wse_" + name + ": " + err.Error()}
		}
	}
	if f != nil {
		got.Said, got.Error = said(f.kind), f.text
		if f.kind != Guest || h == hookTicks || h == hookUpdate {
			p.drop() // which may log what the guest had begun to print
		}
	}
	got.Log, got.Metrics = slices.Clone(p.bench.lines), p.version.metrics.snapshot()
	return got, nil
}

// instance sees to it that there is one.
func (p *Workpiece) instance() error {
	if p.in != nil {
		return nil
	}
	return p.begin(p.version.config)
}

// call calls the instance. A batch of n has the fuel, the log lines and the answer's size of n calls.
func (p *Workpiece) call(h hook, doc []byte) ([]byte, abi.Kind, *fault) {
	in := p.in
	if h != hookBatch {
		return in.call(h, doc)
	}
	limits, single := &p.version.cfg.Limits, in.hooks[hookTransform]
	defer func(saved Limits) { *limits, in.hooks[hookTransform] = saved, single }(*limits)
	n := batchSize(doc)
	limits.Fuel = min(limits.Fuel*int64(n), fuelMax)
	limits.OutKiB *= n
	limits.LogLinesPerCall *= n
	in.hooks[hookTransform] = in.mod.ExportedFunction(abi.ExportTransformBatch)
	return in.call(hookTransform, doc)
}

// batchSize is the number of documents in a batch, as far as there is room for them in it: tests send batches that are cut
// short. It is never below one.
func batchSize(doc []byte) int {
	if len(doc) < 8 {
		return 1
	}
	n := uint64(binary.LittleEndian.Uint32(doc))
	return int(max(1, min(n, uint64(len(doc)/4))))
}

func said(kind Failure) string {
	if kind == Guest {
		return vector.Error
	}
	return string(kind)
}

// read checks an answer as an engine does.
func (p *Workpiece) read(h hook, kind abi.Kind, in, doc []byte) error {
	if h != hookBatch && h.stateful() {
		return p.readTicks(h, kind, in, doc)
	}
	if kind != abi.Data {
		return nil
	}
	answer := p.answer
	switch h {
	case hookAuthorize:
		answer = &Verdict{}
	case hookValidate:
		answer = &Validation{}
	case hookBatch:
		return p.readBatch(doc)
	}
	if answer == nil {
		return nil
	}
	return answer.Read(doc)
}

func (p *Workpiece) readBatch(doc []byte) error {
	answers, err := vector.SplitBatch(doc)
	if err != nil || p.answer == nil {
		return err
	}
	for i, a := range answers {
		if a.Said != vector.Data {
			continue
		}
		if err := p.answer.Read(a.Data); err != nil {
			return fmt.Errorf("answer %d: %w", i, err)
		}
	}
	return nil
}

// Check runs a vector, in an instance with the vector's configuration, or where it has none with the one that the module was
// opened with. The error tells what differs from what the vector wants.
func (p *Workpiece) Check(v *vector.Vector) (Called, error) {
	if v.Hook == vector.Configure {
		got := p.configured(v.Document())
		return got, v.Check(got.Got)
	}
	config := p.config
	if v.Config != nil {
		config = v.Configuration()
	}
	if v.Hook == vector.Strategy {
		return p.checkSteps(v, config)
	}
	if err := p.Configure(config); err != nil {
		return Called{}, fmt.Errorf("its config is refused: %w", err)
	}
	got, err := p.Call(v.Hook, v.Document())
	if err != nil {
		return got, err
	}
	return got, v.Check(got.Got)
}

// configured tells what a guest says to a configuration: yes, or why it refuses it.
func (p *Workpiece) configured(config []byte) Called {
	begin := time.Now()
	err := p.begin(config)
	got := Called{Got: vector.Got{Said: vector.Yes, Log: slices.Clone(p.bench.lines)}, Time: time.Since(begin)}
	var refused *LoadError
	switch {
	case errors.As(err, &refused):
		got.Said, got.Error = vector.Error, refused.Err.Error()
	case err != nil:
		got.Said, got.Error = vector.Error, err.Error()
	default:
		got.Fuel, got.MemoryBytes = p.start, int(p.in.mem.Size())
		p.drop() // a vector that follows has its own
	}
	return got
}

// Buffer asks the guest for an input buffer of n bytes, in an instance that is not used further, and returns the address: 0
// where it refuses. The error is a trap.
func (p *Workpiece) Buffer(n uint32) (uint32, error) {
	if err := p.instance(); err != nil {
		return 0, err
	}
	defer p.drop()
	in := p.in
	in.fuel.Set(uint64(p.version.cfg.Limits.FuelInit))
	in.stack[0] = uint64(n)
	if err := in.buffer.CallWithStack(in, in.stack[:]); err != nil {
		return 0, in.initError(err)
	}
	return uint32(in.stack[0]), nil
}

// Time calls a hook n times with the same document and returns what that took, and the fuel of one call. Answers are not
// read. It is for documents that [Workpiece.Call] gets an answer for; a call that fails is an error.
func (p *Workpiece) Time(name string, doc []byte, n int) (time.Duration, int64, error) {
	h, err := p.hook(name)
	if err != nil {
		return 0, 0, err
	}
	if err := p.instance(); err != nil {
		return 0, 0, err
	}
	in := p.in
	begin := time.Now()
	for range n {
		if _, _, f := p.call(h, doc); f != nil {
			p.drop()
			return 0, 0, fmt.Errorf("%s: %s", f.kind, f.text)
		}
	}
	took := time.Since(begin)
	p.bench.lines = nil
	return took, in.used, nil
}
