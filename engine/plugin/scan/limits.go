package scan

import (
	"errors"
	"fmt"
)

// Limits bounds what a module may declare. Zero fields take the value of [DefaultLimits].
type Limits struct {
	// ModuleKiBMax bounds the file, and with it the time and memory of everything that follows.
	ModuleKiBMax int `yaml:"module_kib_max"`
	// TypesMax bounds function types: the compiler makes an entry trampoline for each.
	TypesMax int `yaml:"types_max"`
	// ParamsMax and ResultsMax bound one type. Two bytes of code (a call, a block) can push that many operands, so they
	// multiply what a validator holds.
	ParamsMax  int `yaml:"params_max"`
	ResultsMax int `yaml:"results_max"`
	// ImportsMax bounds imports, each of which is resolved by name at every instantiation.
	ImportsMax int `yaml:"imports_max"`
	// FunctionsMax bounds functions: a body of two bytes costs the compiler some thousand.
	FunctionsMax int `yaml:"functions_max"`
	// FunctionKiBMax bounds one body: parts of a compiler are worse than linear in the length of a function.
	FunctionKiBMax int `yaml:"function_kib_max"`
	// LocalsMax bounds the locals of one function. Six bytes declare four thousand million of them.
	LocalsMax int `yaml:"locals_max"`
	// NestingMax bounds blocks inside blocks, for what walks them by recursion.
	NestingMax int `yaml:"nesting_max"`
	// LoopNestingMax bounds loops inside loops: 300 KB of nested loops keep a compiler busy for more than a minute.
	LoopNestingMax int `yaml:"loop_nesting_max"`
	// BranchTargetsMax bounds the targets of one br_table, each of which is an edge of the control-flow graph.
	BranchTargetsMax int `yaml:"branch_targets_max"`
	// TablesMax and TableElementsMax bound tables, which stand outside the memory limit at eight bytes an element.
	TablesMax        int `yaml:"tables_max"`
	TableElementsMax int `yaml:"table_elements_max"`
	// MemoryPagesMax bounds the declared minimum of the memory, in pages of 64 KiB: it is allocated before a single
	// instruction runs. A larger declared maximum is not refused but clamped by the rewriter.
	MemoryPagesMax int `yaml:"-"`
	// GlobalsMax bounds globals, 16 bytes in every instance.
	GlobalsMax int `yaml:"globals_max"`
	// ExportsMax bounds exports, each an entry of a map.
	ExportsMax int `yaml:"exports_max"`
	// SegmentsMax bounds element and data segments together; SegmentElementsMax the functions listed in the former:
	// both are copied for every instance.
	SegmentsMax        int `yaml:"segments_max"`
	SegmentElementsMax int `yaml:"segment_elements_max"`
	// NameBytesMax bounds one name of an import, export or function: names end in logs, metrics and traces.
	NameBytesMax int `yaml:"name_bytes_max"`
	// CustomSectionsMax bounds custom sections, each a copy and a name.
	CustomSectionsMax int `yaml:"custom_sections_max"`
}

// DefaultLimits admits what the compilers in use produce (Go's 3 MB modules with their deep block nests included) and
// bounds a worst module to a few hundred megabytes and seconds in the compiling process.
func DefaultLimits() Limits {
	return Limits{
		ModuleKiBMax: 16 << 10, TypesMax: 4096, ParamsMax: 64, ResultsMax: 16, ImportsMax: 256, FunctionsMax: 50_000,
		FunctionKiBMax: 1024, LocalsMax: 8192, NestingMax: 8192, LoopNestingMax: 48, BranchTargetsMax: 32_768,
		TablesMax: 8, TableElementsMax: 65_536, MemoryPagesMax: 256, GlobalsMax: 4096, ExportsMax: 4096,
		SegmentsMax: 131_072, SegmentElementsMax: 131_072, NameBytesMax: 4096, CustomSectionsMax: 64,
	}
}

// fields lists every limit with its name, for defaults and for validation.
func (l *Limits) fields() []field {
	return []field{
		{"module_kib_max", &l.ModuleKiBMax}, {"types_max", &l.TypesMax}, {"params_max", &l.ParamsMax},
		{"results_max", &l.ResultsMax}, {"imports_max", &l.ImportsMax}, {"functions_max", &l.FunctionsMax},
		{"function_kib_max", &l.FunctionKiBMax}, {"locals_max", &l.LocalsMax}, {"nesting_max", &l.NestingMax},
		{"loop_nesting_max", &l.LoopNestingMax}, {"branch_targets_max", &l.BranchTargetsMax},
		{"tables_max", &l.TablesMax}, {"table_elements_max", &l.TableElementsMax},
		{"memory_pages_max", &l.MemoryPagesMax}, {"globals_max", &l.GlobalsMax}, {"exports_max", &l.ExportsMax},
		{"segments_max", &l.SegmentsMax}, {"segment_elements_max", &l.SegmentElementsMax},
		{"name_bytes_max", &l.NameBytesMax}, {"custom_sections_max", &l.CustomSectionsMax},
	}
}

type field struct {
	name  string
	value *int
}

// WithDefaults returns l with every zero field set to its default.
func (l Limits) WithDefaults() Limits {
	d := DefaultLimits()
	defaults := d.fields()
	for i, f := range l.fields() {
		if *f.value == 0 {
			*f.value = *defaults[i].value
		}
	}
	return l
}

// Validate reports every limit outside its range, each by its name in the configuration. The upper bounds keep the
// products of limits within what the process survives.
func (l Limits) Validate() error { return errors.Join(l.Faults()...) }

// Faults is Validate as a list.
func (l Limits) Faults() []error {
	var errs []error
	for _, f := range l.fields() {
		if *f.value < 0 || *f.value > 1<<20 {
			errs = append(errs, fmt.Errorf("%s: %d must be between 0 (the default) and %d", f.name, *f.value, 1<<20))
		}
	}
	return errs
}
