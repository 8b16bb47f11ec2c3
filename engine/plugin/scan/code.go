package scan

import "fmt"

// control is an open block, loop or if.
type control struct {
	op    Op
	arity bool // an else may follow
}

// code walks every body of the code section.
func (s *scanner) code() {
	n := s.count("function bodies", s.limits.FunctionsMax, "functions_max", 2)
	if s.err == nil && n != s.functions {
		s.failf("%d functions are declared, %d have a body", s.functions, n)
		return
	}
	if s.outline {
		s.pos = s.end
		return
	}
	s.m.Bodies = make([]Body, 0, n)
	section := s.end
	for i := 0; i < n && s.err == nil; i++ {
		size := s.count("bytes of a function", s.limits.FunctionKiBMax<<10, "function_kib_max", 1)
		s.end = s.pos + size
		s.body(s.m.ImportedFuncs + i)
		if s.err != nil {
			s.err = fmt.Errorf("%w (function %d)", s.err, s.m.ImportedFuncs+i)
		}
		s.end = section
	}
}

func (s *scanner) body(fn int) {
	b := Body{Start: s.pos, End: s.end}
	groups := s.count("groups of locals", s.limits.LocalsMax, "locals_max", 2)
	for i := 0; i < groups && s.err == nil; i++ {
		n := int(s.uleb())
		s.valueType(&s.reader)
		if b.Locals += n; s.err == nil && b.Locals > s.limits.LocalsMax {
			s.failf("more than %d locals (locals_max)", s.limits.LocalsMax)
		}
	}
	b.Code = s.pos
	if s.err == nil {
		s.locals = len(s.m.Type(uint32(fn)).Params) + b.Locals
		s.instructions()
	}
	s.m.Bodies = append(s.m.Bodies, b)
}

// instructions walks one body to its last end and checks labels and nesting.
func (s *scanner) instructions() {
	controls := append(s.controls[:0], control{op: OpBlock})
	loops := 0
	var in Instr
	for len(controls) > 0 && s.err == nil {
		s.next(&s.reader, &in)
		s.m.Instructions++
		switch in.Op {
		case OpBlock, OpLoop, OpIf:
			controls = append(controls, control{op: in.Op, arity: in.Op == OpIf})
			if in.Op == OpLoop {
				loops++
			}
			s.nesting(len(controls)-1, loops)
		case OpElse:
			top := &controls[len(controls)-1]
			if !top.arity {
				s.failf("else without if")
			}
			top.arity = false
		case OpEnd:
			if controls[len(controls)-1].op == OpLoop {
				loops--
			}
			controls = controls[:len(controls)-1]
		case OpBr, OpBrIf:
			s.label(in.Index, len(controls))
		case OpBrTable:
			for _, target := range in.Targets {
				s.label(target, len(controls))
			}
		}
	}
	s.controls = controls[:0]
	if s.err == nil && s.pos != s.end {
		s.failf("%d bytes after the end of the function", s.end-s.pos)
	}
}

func (s *scanner) nesting(depth, loops int) {
	if depth > s.limits.NestingMax {
		s.failf("blocks nested deeper than %d (nesting_max)", s.limits.NestingMax)
	}
	if loops > s.limits.LoopNestingMax {
		s.failf("loops nested deeper than %d (loop_nesting_max)", s.limits.LoopNestingMax)
	}
}

func (s *scanner) label(label uint32, open int) {
	if s.err == nil && int(label) >= open {
		s.failf("branch to label %d of %d", label, open)
	}
}

// Walker reads the instructions of a module that [Scan] admitted.
type Walker struct {
	r     reader
	space space
}

// Walk returns a walker over the given body of m, which must be the module that Scan made of wasm.
func Walk(wasm []byte, m *Module, limits Limits, body int) *Walker {
	limits = limits.WithDefaults()
	b := m.Bodies[body]
	fn := uint32(m.ImportedFuncs + body)
	return &Walker{
		r:     reader{data: wasm, pos: b.Code, end: b.End},
		space: space{m: m, limits: &limits, locals: len(m.Type(fn).Params) + b.Locals, segments: m.DataSegments},
	}
}

// Next reads the next instruction into in and reports whether there was one.
func (w *Walker) Next(in *Instr) bool {
	if !w.r.more() {
		return false
	}
	w.space.next(&w.r, in)
	return w.r.err == nil
}

// Err returns what stopped the walk early; after an admission scan that is always nil.
func (w *Walker) Err() error { return w.r.err }
