package scan

import "fmt"

// Section identifiers of the binary format.
const (
	SectionCustom    byte = 0
	SectionType      byte = 1
	SectionImport    byte = 2
	SectionFunction  byte = 3
	SectionTable     byte = 4
	SectionMemory    byte = 5
	SectionGlobal    byte = 6
	SectionExport    byte = 7
	SectionStart     byte = 8
	SectionElement   byte = 9
	SectionCode      byte = 10
	SectionData      byte = 11
	SectionDataCount byte = 12
)

// What an import or export is.
const (
	KindFunction byte = iota
	KindTable
	KindMemory
	KindGlobal
)

// Module is the shape of an admitted module.
type Module struct {
	Sections []Section
	Types    []FuncType
	Imports  []Import
	Funcs    []uint32 // type index of every function, imported ones first
	Tables   []Table
	Memories int   // 0 or 1
	Memory   Limit // of that memory
	Globals  []Global
	Exports  []Export
	Bodies   []Body // one per function that is not imported
	Start    int    // index of the start function, or -1

	ImportedFuncs   int
	ImportedTables  int
	ImportedMemory  bool
	ImportedGlobals int
	ElementSegments int
	DataSegments    int
	Instructions    int // in all bodies together
}

// Section is where a section lies: its id at Start, its content from Content to End.
type Section struct {
	ID                  byte
	Start, Content, End int
	Name                string // of a custom section
}

// FuncType is a function's type; Params and Results refer to the module's bytes.
type FuncType struct{ Params, Results []byte }

// Equal reports whether both types are the same.
func (t FuncType) Equal(params, results string) bool {
	return string(t.Params) == params && string(t.Results) == results
}

// String writes the type as the text format does: (i32, i32) -> i64.
func (t FuncType) String() string {
	return typeList(t.Params) + " -> " + typeList(t.Results)
}

func typeList(types []byte) string {
	out := "("
	for i, t := range types {
		if i > 0 {
			out += ", "
		}
		out += TypeName(t)
	}
	return out + ")"
}

// TypeName is a value type in the text format.
func TypeName(t byte) string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	default:
		return fmt.Sprintf("0x%02x", t)
	}
}

// Import is one import; Type is a function's type index.
type Import struct {
	Module, Name string
	Kind         byte
	Type         uint32
}

// Limit is the size of a memory in pages or of a table in elements.
type Limit struct {
	Min, Max uint32
	HasMax   bool
}

// Table is a table's element type and size.
type Table struct {
	Elem byte
	Limit
}

// Global is a global's type.
type Global struct {
	Type    byte
	Mutable bool
}

// Export is one export.
type Export struct {
	Name  string
	Kind  byte
	Index uint32
}

// Body is where a function's body lies: Start at the locals' declaration, Code at the first instruction, End behind the
// last. Locals counts the declared ones, without parameters.
type Body struct {
	Start, Code, End int
	Locals           int
}

// Type returns the type of function i.
func (m *Module) Type(i uint32) FuncType { return m.Types[m.Funcs[i]] }

// Export returns the export of that name and kind, and whether there is one.
func (m *Module) Export(name string, kind byte) (Export, bool) {
	for _, e := range m.Exports {
		if e.Name == name && e.Kind == kind {
			return e, true
		}
	}
	return Export{}, false
}

// Scan walks wasm and returns its shape, or an error that wraps [ErrModule] and says where the module breaks which
// rule. It never panics and allocates in proportion to len(wasm) at most.
func Scan(wasm []byte, limits Limits) (*Module, error) {
	return walk(wasm, limits, false)
}

// Outline is [Scan] of a module that Scan admitted before: everything but the functions' bodies, which it steps over, and
// the names. It serves where only imports and exports are asked for; Bodies and Instructions stay empty.
func Outline(wasm []byte, limits Limits) (*Module, error) { return walk(wasm, limits, true) }

func walk(wasm []byte, limits Limits, outline bool) (*Module, error) {
	limits = limits.WithDefaults()
	if max := limits.ModuleKiBMax << 10; len(wasm) > max {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed (module_kib_max)", ErrModule, len(wasm), max)
	}
	if err := header(wasm); err != nil {
		return nil, err
	}
	s := &scanner{limits: limits, m: &Module{Start: -1}, dataCount: -1, outline: outline}
	s.reader = reader{data: wasm, pos: 8, end: len(wasm)}
	s.space = space{m: s.m, limits: &s.limits}
	for s.more() {
		s.section()
	}
	s.finish()
	if s.err != nil {
		return nil, s.err
	}
	return s.m, nil
}

func header(wasm []byte) error {
	switch {
	case !hasPrefix(wasm, "\x00asm"):
		return fmt.Errorf("%w: does not begin with \\0asm: this is no WebAssembly module", ErrModule)
	case hasPrefix(wasm[4:], "\x0d\x00\x01\x00"):
		return fmt.Errorf("%w: this is a component; build a core module instead (for example without wasm-tools "+
			"component new, or with target wasm32-wasip1)", ErrModule)
	case !hasPrefix(wasm[4:], "\x01\x00\x00\x00"):
		return fmt.Errorf("%w: binary version other than 1", ErrModule)
	}
	return nil
}

type scanner struct {
	reader
	space
	limits    Limits
	m         *Module
	outline   bool
	last      int // order of the last section that was not custom
	customs   int
	dataCount int // as announced, or -1
	functions int // as announced by the function section
	elements  int // listed by element segments so far
	controls  []control
}

// order is a section's place: data count (12) stands between element (9) and code (10).
func order(id byte) int {
	switch {
	case id == SectionDataCount:
		return 10
	case id >= SectionCode:
		return int(id) + 1
	default:
		return int(id)
	}
}

func (s *scanner) section() {
	sec := Section{ID: s.data[s.pos], Start: s.pos}
	s.pos++
	size := int(s.uleb())
	if s.err == nil && size > s.end-s.pos {
		s.failf("section %d of %d bytes, %d are left", sec.ID, size, s.end-s.pos)
	}
	if s.err == nil && sec.ID > SectionDataCount {
		s.failf("section %d is not part of WebAssembly 2.0", sec.ID)
	}
	if s.err == nil && sec.ID != SectionCustom {
		if o := order(sec.ID); o <= s.last {
			s.failf("section %d twice or out of order", sec.ID)
		} else {
			s.last = o
		}
	}
	if s.err != nil {
		return
	}
	sec.Content, sec.End = s.pos, s.pos+size
	whole := s.end
	s.end = sec.End
	s.content(&sec)
	if s.err == nil && s.pos != s.end {
		s.failf("section %d has %d bytes too many", sec.ID, s.end-s.pos)
	}
	s.end = whole
	if s.err != nil {
		s.pos = whole
		return
	}
	s.m.Sections = append(s.m.Sections, sec)
}

func (s *scanner) content(sec *Section) {
	switch sec.ID {
	case SectionCustom:
		s.custom(sec)
	case SectionType:
		s.types()
	case SectionImport:
		s.imports()
	case SectionFunction:
		s.funcs()
	case SectionTable:
		s.tables()
	case SectionMemory:
		if n := s.count("memories", 1, "", 2); n == 1 {
			s.memoryType()
		}
	case SectionGlobal:
		s.globals()
	case SectionExport:
		s.exports()
	case SectionStart:
		s.start()
	case SectionElement:
		s.elementSection()
	case SectionDataCount:
		s.dataCount = s.count("data segments", s.limits.SegmentsMax, "segments_max", 0)
		s.space.segments = s.dataCount
	case SectionCode:
		s.code()
	case SectionData:
		s.dataSection()
	}
}

// finish checks what only the whole module can tell.
func (s *scanner) finish() {
	switch {
	case s.err != nil:
	case s.functions != len(s.m.Bodies) && !s.outline:
		s.failf("%d functions are declared, %d have a body", s.functions, len(s.m.Bodies))
	case s.dataCount >= 0 && s.dataCount != s.m.DataSegments:
		s.failf("%d data segments are announced, %d are there", s.dataCount, s.m.DataSegments)
	}
}

func (s *scanner) types() {
	n := s.count("types", s.limits.TypesMax, "types_max", 3)
	s.m.Types = make([]FuncType, 0, n)
	for i := 0; i < n && s.err == nil; i++ {
		if form := s.byte(); s.err == nil && form != 0x60 {
			s.failf("type form 0x%02x: only function types are supported (no garbage-collected languages)", form)
		}
		params := s.valueTypes("parameters", s.limits.ParamsMax, "params_max")
		results := s.valueTypes("results", s.limits.ResultsMax, "results_max")
		s.m.Types = append(s.m.Types, FuncType{Params: params, Results: results})
	}
}

func (s *scanner) valueTypes(what string, limit int, option string) []byte {
	n := s.count(what, limit, option, 1)
	start := s.pos
	for i := 0; i < n && s.err == nil; i++ {
		s.valueType(&s.reader)
	}
	if s.err != nil {
		return nil
	}
	return s.data[start:s.pos:s.pos]
}

func (s *scanner) imports() {
	n := s.count("imports", s.limits.ImportsMax, "imports_max", 4)
	for i := 0; i < n && s.err == nil; i++ {
		imp := Import{
			Module: s.name("import module name", s.limits.NameBytesMax),
			Name:   s.name("import name", s.limits.NameBytesMax),
			Kind:   s.byte(),
		}
		switch imp.Kind {
		case KindFunction:
			imp.Type = s.index("type", len(s.m.Types))
			s.m.Funcs = append(s.m.Funcs, imp.Type)
			s.m.ImportedFuncs++
		case KindTable:
			s.tableType()
			s.m.ImportedTables++
		case KindMemory:
			s.memoryType()
			s.m.ImportedMemory = true
		case KindGlobal:
			s.globalType()
			s.m.ImportedGlobals++
		default:
			s.failf("import of kind %d", imp.Kind)
		}
		s.m.Imports = append(s.m.Imports, imp)
	}
}

func (s *scanner) funcs() {
	s.functions = s.count("functions", s.limits.FunctionsMax, "functions_max", 1)
	for i := 0; i < s.functions && s.err == nil; i++ {
		s.m.Funcs = append(s.m.Funcs, s.index("type", len(s.m.Types)))
	}
}

func (s *scanner) tables() {
	n := s.count("tables", s.limits.TablesMax, "tables_max", 3)
	for i := 0; i < n && s.err == nil; i++ {
		s.tableType()
	}
}

func (s *scanner) tableType() {
	t := Table{Elem: s.byte()}
	if s.err == nil && !isRefType(t.Elem) {
		s.failf("table of 0x%02x", t.Elem)
	}
	t.Limit = s.limit("table", uint32(s.limits.TableElementsMax), "table_elements_max")
	if len(s.m.Tables) >= s.limits.TablesMax {
		s.failf("more than %d tables", s.limits.TablesMax)
	}
	s.m.Tables = append(s.m.Tables, t)
}

func (s *scanner) memoryType() {
	s.m.Memory = s.limit("memory", uint32(s.limits.MemoryPagesMax), "memory_mib, in pages of 64 KiB")
	if s.err == nil && s.m.Memory.HasMax && s.m.Memory.Max > 65536 {
		s.failf("memory of up to %d pages", s.m.Memory.Max)
	}
	if s.m.Memories++; s.m.Memories > 1 {
		s.failf("more than one memory")
	}
}

func (s *scanner) limit(what string, most uint32, option string) Limit {
	flag := s.byte()
	if s.err == nil && flag > 1 {
		s.failf("%s with flags 0x%02x: shared and 64-bit ones are not supported", what, flag)
	}
	l := Limit{Min: s.uleb(), HasMax: flag == 1}
	if l.HasMax {
		l.Max = s.uleb()
	}
	switch {
	case s.err != nil:
	case l.Min > most:
		s.failf("%s asks for %d at once, at most %d are allowed (%s)", what, l.Min, most, option)
	case l.HasMax && l.Max < l.Min:
		s.failf("%s with a maximum below its minimum", what)
	}
	return l
}

func (s *scanner) globals() {
	n := s.count("globals", s.limits.GlobalsMax, "globals_max", 4)
	for i := 0; i < n && s.err == nil; i++ {
		known := len(s.m.Globals)
		s.globalType()
		s.constExpr(known)
	}
}

func (s *scanner) globalType() {
	g := Global{}
	if g.Type = s.byte(); s.err == nil && !isValueType(g.Type) {
		s.failf("global of 0x%02x", g.Type)
	}
	m := s.byte()
	if s.err == nil && m > 1 {
		s.failf("global with mutability %d", m)
	}
	g.Mutable = m == 1
	s.m.Globals = append(s.m.Globals, g)
}

func (s *scanner) exports() {
	n := s.count("exports", s.limits.ExportsMax, "exports_max", 3)
	spaces := [...]int{len(s.m.Funcs), len(s.m.Tables), s.m.Memories, len(s.m.Globals)}
	seen := make(map[string]bool, n)
	for i := 0; i < n && s.err == nil; i++ {
		e := Export{Name: s.name("export name", s.limits.NameBytesMax), Kind: s.byte()}
		if s.err == nil && int(e.Kind) >= len(spaces) {
			s.failf("export of kind %d", e.Kind)
			return
		}
		if seen[e.Name] {
			s.failf("export %q twice", e.Name)
		}
		seen[e.Name] = true
		e.Index = s.index("export", spaces[e.Kind&3])
		s.m.Exports = append(s.m.Exports, e)
	}
}

func (s *scanner) start() {
	i := s.index("function", len(s.m.Funcs))
	if s.err != nil {
		return
	}
	if !s.m.Type(i).Equal("", "") {
		s.failf("start function of type %s", s.m.Type(i))
	}
	s.m.Start = int(i)
}
