package plugin

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wse-engine/wse/engine/plugin/scan"
	"github.com/wse-engine/wse/sdk/abi"
)

// Report is what [Workbench.Inspect] finds out about a module. What the admission scan did not get to is empty.
type Report struct {
	Name   string `json:"name"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
	// ABI is the version of the contract that the module names, as in wse_abi_v1; empty: none.
	ABI string `json:"abi,omitempty"`
	// Hooks is what of the contract the module exports, without wse_.
	Hooks []string `json:"hooks"`
	// Imports are in the text format, as in "wse.log (i32, i32, i32) -> ()".
	Imports []string `json:"imports"`
	// MemoryPages is what the memory begins with, MemoryPagesMax what the module lets it grow to (0: does not say), both in
	// pages of 64 KiB.
	MemoryPages    int `json:"memory_pages"`
	MemoryPagesMax int `json:"memory_pages_max,omitempty"`
	// Tables are the elements that each table begins with.
	Tables       []int `json:"tables,omitempty"`
	Functions    int   `json:"functions"`
	Instructions int   `json:"instructions"`
	Globals      int   `json:"globals,omitempty"`
	// Sections are the parts of the file in their order.
	Sections []SectionSize `json:"sections,omitempty"`
	// NameSection and DWARF say whether the module has a name section, without which functions are numbers, and debug
	// information.
	NameSection bool `json:"name_section"`
	DWARF       bool `json:"dwarf"`
	// Toolchain is what the producers section says the module was made with.
	Toolchain []string `json:"toolchain,omitempty"`
	// Admitted is the verdict. Step and Reason say why not.
	Admitted bool   `json:"admitted"`
	Step     Step   `json:"step,omitempty"`
	Reason   string `json:"reason,omitempty"`
	// Ready is what an engine does to be ready for calls: compile (or take from the cache), make an instance, configure it.
	Ready time.Duration `json:"ready_ns,omitempty"`
	// StartFuel and StartBytes are what an instance takes to be ready, in units of fuel and bytes of memory.
	StartFuel  int64 `json:"start_fuel,omitempty"`
	StartBytes int   `json:"start_memory_bytes,omitempty"`
}

// SectionSize is one section of a module's file.
type SectionSize struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
}

// Inspect tells what a module is, and whether an engine with these limits would take it. It goes all the way that an engine
// goes, in the same compiling child process, so hostile modules are safe to inspect.
func (w *Workbench) Inspect(ctx context.Context, s Specimen) Report {
	src := s.source()
	r := Report{Name: s.Name, Bytes: len(s.Module), SHA256: hex.EncodeToString(src.digest[:]), Hooks: []string{}, Imports: []string{}}
	if m, err := scan.Scan(s.Module, src.cfg.Limits.Scan); err == nil {
		r.describe(m, s.Module)
	}
	begin := time.Now()
	p, err := w.Open(ctx, s)
	if err != nil {
		r.refuse(err)
		return r
	}
	defer p.Close()
	r.Admitted, r.Ready = true, time.Since(begin)
	r.StartFuel, r.StartBytes = p.start, int(p.in.mem.Size())
	return r
}

func (r *Report) refuse(err error) {
	var refused *LoadError
	if r.Reason = err.Error(); errors.As(err, &refused) {
		r.Step, r.Reason = refused.Step, refused.Err.Error()
	}
}

func (r *Report) describe(m *scan.Module, wasm []byte) {
	for _, e := range m.Exports {
		name, ours := strings.CutPrefix(e.Name, "wse_")
		if !ours || e.Kind != scan.KindFunction || e.Name == abi.ExportBuffer {
			continue
		}
		if v, ok := strings.CutPrefix(name, "abi_v"); ok {
			r.ABI = v
		} else {
			r.Hooks = append(r.Hooks, name)
		}
	}
	for _, imp := range m.Imports {
		text := imp.Module + "." + imp.Name + " (" + [...]string{"function", "table", "memory", "global"}[imp.Kind&3] + ")"
		if imp.Kind == scan.KindFunction {
			text = imp.Module + "." + imp.Name + " " + m.Types[imp.Type].String()
		}
		r.Imports = append(r.Imports, printable([]byte(text), 4*nameBytesShown))
	}
	r.MemoryPages, r.MemoryPagesMax = int(m.Memory.Min), int(m.Memory.Max)
	for _, t := range m.Tables {
		r.Tables = append(r.Tables, int(t.Min))
	}
	r.Functions, r.Instructions, r.Globals = len(m.Bodies), m.Instructions, len(m.Globals)
	for _, s := range m.Sections {
		r.Sections = append(r.Sections, SectionSize{sectionName(s), s.End - s.Start})
		if s.ID != scan.SectionCustom {
			continue
		}
		r.NameSection = r.NameSection || s.Name == "name"
		r.DWARF = r.DWARF || s.Name == ".debug_info"
		if s.Name == "producers" {
			r.Toolchain = producers(customContent(wasm, s))
		}
	}
}

func sectionName(s scan.Section) string {
	if s.ID == scan.SectionCustom {
		return fmt.Sprintf("custom %q", s.Name)
	}
	names := [...]string{"", "type", "import", "function", "table", "memory", "global", "export", "start", "element", "code", "data", "data count"}
	if int(s.ID) < len(names) {
		return names[s.ID]
	}
	return fmt.Sprintf("section %d", s.ID)
}

// customContent is a custom section behind its name.
func customContent(wasm []byte, s scan.Section) []byte {
	content := wasm[s.Content:s.End]
	_, n := binary.Uvarint(content)
	return content[min(max(n, 0)+len(s.Name), len(content)):]
}

// Bounds of what is read of a producers section.
const (
	producersMax     = 32
	producerBytesMax = 128
)

// producers reads a producers section (WebAssembly tool conventions, "Producers section"): fields of name and version pairs. It stops at
// the first thing that is none, since nothing depends on it.
func producers(content []byte) []string {
	r := producersReader{rest: content, ok: true}
	var out []string
	for range r.number() {
		field := r.text()
		for range r.number() {
			name, version := r.text(), r.text()
			if !r.ok || len(out) == producersMax {
				return out
			}
			out = append(out, strings.TrimSpace(field+": "+name+" "+version))
		}
	}
	return out
}

type producersReader struct {
	rest []byte
	ok   bool
}

func (r *producersReader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > uint64(len(r.rest)) {
		r.ok = false
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *producersReader) text() string {
	n := r.number()
	if !r.ok || n > uint64(len(r.rest)) {
		r.ok = false
		return ""
	}
	text := r.rest[:n]
	r.rest = r.rest[n:]
	return printable(text, producerBytesMax)
}
