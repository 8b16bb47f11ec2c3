// Package tck is the compatibility kit for SDKs: the cases that the guest of an SDK must pass, and what runs them. README.md
// says what that guest does.
//
// Ownership: the cases are read-only data inside the program. [Run] belongs to the goroutine that its workbench belongs to.
package tck

import (
	"context"
	"embed"
	"fmt"
	"path"
	"slices"

	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/plugin/vector"
)

//go:embed cases/*.json
var cases embed.FS // read-only

// Cases returns all cases in the order of their files. Data is compared byte by byte.
func Cases() ([]vector.Vector, error) {
	files, err := cases.ReadDir("cases")
	if err != nil {
		return nil, err
	}
	var all []vector.Vector
	for _, f := range files {
		raw, err := cases.ReadFile(path.Join("cases", f.Name()))
		if err != nil {
			return nil, err
		}
		some, err := vector.Parse(f.Name(), raw)
		if err != nil {
			return nil, err
		}
		for _, v := range some {
			all = append(all, v.Exact())
		}
	}
	return all, nil
}

// Limits are what the kit runs a guest with: the engine's defaults, with fuel for a document of 1 MiB that is read byte by byte.
func Limits() plugin.Limits {
	l := plugin.DefaultLimits()
	l.Fuel = 100_000_000
	return l
}

// Outcome is how one case, or one of the checks beside them, went.
type Outcome struct {
	Name string
	Hook string // empty for a check
	// Called is what came of the case; zero for a check.
	Called plugin.Called
	// Err says what differs; nil where nothing does.
	Err error
}

// Run holds a guest to all cases and checks, and hands the outcome of each to report, in order. The error is a *plugin.LoadError
// where the engine would refuse the module, or that ctx has ended; what the guest does wrong is in the outcomes.
func Run(ctx context.Context, w *plugin.Workbench, s plugin.Specimen, report func(Outcome)) error {
	list, err := Cases()
	if err != nil {
		return err
	}
	s.Limits, s.Config = Limits(), nil
	p, err := w.Open(ctx, s)
	if err != nil {
		return err
	}
	defer p.Close()
	report(Outcome{Name: "every hook is exported", Err: exported(p)})
	for i := range list {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		v := &list[i]
		got, err := twice(p, v)
		report(Outcome{v.Name, v.Hook, got, err})
	}
	report(Outcome{Name: "a buffer that the memory cannot hold is refused", Err: refusesBuffer(p)})
	report(Outcome{Name: "calls leave the memory as large as it is", Err: inLargeMemory(ctx, w, s, steady)})
	report(Outcome{Name: "numbers are written as the shortest text that reads back as the same", Err: writesFloats(p)})
	report(Outcome{Name: "numbers are read as the nearest to their text", Err: readsFloats(p)})
	report(Outcome{Name: "a batch with more to say than an answer holds is consumed in parts", Err: fullBatches(p)})
	report(Outcome{Name: "ticks leave the memory as large as it is", Err: inLargeMemory(ctx, w, s, steadyTicks)})
	return nil
}

// inLargeMemory opens the guest once more with a memory that a few thousand calls do not fill, whatever they take.
func inLargeMemory(ctx context.Context, w *plugin.Workbench, s plugin.Specimen, check func(*plugin.Workpiece) error) error {
	s.Limits.MemoryMiB = 256
	p, err := w.Open(ctx, s)
	if err != nil {
		return err
	}
	defer p.Close()
	return check(p)
}

// twice runs a case, and where the guest survives it once more on the same instance: a call leaves nothing behind that
// changes the next.
func twice(p *plugin.Workpiece, v *vector.Vector) (plugin.Called, error) {
	got, err := p.Check(v)
	if err != nil || v.Hook == vector.Configure || v.Hook == vector.Strategy || got.Said == vector.Trap || got.Said == vector.Fuel || got.Said == vector.Violation {
		return got, err
	}
	if _, err := p.Check(v); err != nil {
		return got, fmt.Errorf("called again on the same instance:\n%w", err)
	}
	return got, nil
}

func exported(p *plugin.Workpiece) error {
	for _, hook := range []string{vector.Transform, vector.TransformBatch, vector.Authorize, vector.Validate, vector.Strategy} {
		if !slices.Contains(p.Hooks(), hook) {
			return fmt.Errorf("wse_%s is not exported", hook)
		}
	}
	return nil
}

// steady makes calls of every shape, and again nine times as many, and compares the memory.
func steady(p *plugin.Workpiece) error {
	const few, many = 400, 3600 // of each of five
	docs := []string{
		`{"type":"echo","payload":{"a":[1,2,{"b":"c"}]}}`,
		`{"type":"text","payload":{"text":"caf\u00e9 \ud83d\ude00"}}`,
		`{"type":"kinds","payload":{"a\u0062":1,"c":[],"d":"x"}}`,
		`{"type":"many","payload":{"n":8}}`,
		`{"type":"error","payload":{"text":"no\u0021"}}`,
	}
	size := func(n int) (int, error) {
		bytes := 0
		for _, doc := range docs {
			for range n {
				got, err := p.Call(vector.Transform, []byte(doc))
				if err != nil {
					return 0, err
				}
				bytes = got.MemoryBytes
			}
		}
		return bytes, nil
	}
	before, err := size(few)
	if err != nil {
		return err
	}
	after, err := size(many)
	if err == nil && after != before {
		err = fmt.Errorf("%d calls leave a memory of %d bytes, %d more calls one of %d: something is allocated in each call",
			few*len(docs), before, many*len(docs), after)
	}
	return err
}

// refusesBuffer asks for more than the memory limit, and for sizes that are negative as an i32.
func refusesBuffer(p *plugin.Workpiece) error {
	for _, n := range []uint32{64 << 20, 0x7fffffff, 0x80000000, 0xffffffff} {
		addr, err := p.Buffer(n)
		if err != nil {
			return fmt.Errorf("wse_buffer(%d) traps, and should return 0: %w", n, err)
		}
		if addr != 0 {
			return fmt.Errorf("wse_buffer(%d) returned %d, although the memory cannot hold that", n, addr)
		}
	}
	return nil
}
