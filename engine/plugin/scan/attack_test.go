package scan_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wse-engine/wse/engine/plugin/scan"
	w "github.com/wse-engine/wse/engine/plugin/wasmtest"
)

// attack returns a module that has n of what the limit of that name bounds, put to the use that costs a compiler, or the
// runtime that makes an instance, most; and little else.
func attack(limit string, n int) []byte {
	switch limit {
	case "module_kib_max":
		return whole(n << 10)
	case "types_max":
		return module(w.Section(1, vector(n, 0x60, 0, 0)...))
	case "params_max":
		args := bytes.Repeat(w.LocalGet(0), n)
		return oneType(bytes.Repeat([]byte{w.I32}, n), nil, bytes.Repeat(w.Cat(args, w.Call(0)), 500_000/len(args)/8+1))
	case "results_max": // seven bytes push n operands
		call := w.Block(w.Call(0), w.Br(0))
		return oneType(nil, bytes.Repeat([]byte{w.I32}, n), w.Cat(bytes.Repeat(call, 2000), bytes.Repeat(w.I32Const(1), n)))
	case "imports_max":
		return module(w.Section(1, 1, 0x60, 0, 0), w.Section(2, vector(n, 1, 'm', 0, 0, 0)...))
	case "functions_max":
		return functions(n, []byte{2, 0, 0x0b})
	case "function_kib_max":
		return function(n<<10, w.Cat(w.LocalGet(0), w.LocalGet(0), []byte{0x6a}, w.LocalSet(0)))
	case "locals_max":
		loops := bytes.Repeat(w.Loop(w.LocalGet(0), []byte{0xa7}, w.BrIf(0)), 1000)
		return module(oneFunction(nil), w.Section(10, body(w.Cat(w.U([]byte{1}, n), []byte{w.I64}, loops, []byte{0x0b}))...))
	case "nesting_max":
		return nested([]byte{0x02, 0x40}, n).Bytes()
	case "loop_nesting_max":
		return nested([]byte{0x03, 0x40}, n).Bytes()
	case "branch_targets_max":
		table := w.Cat(w.Block(w.I32Const(0), w.U([]byte{0x0e}, n), make([]byte, n+1)), []byte{0x0b})
		return module(oneFunction(nil), w.Section(10, body(append([]byte{0}, table...))...))
	}
	return attackSizes(limit, n)
}

// attackSizes are the attacks of what is declared rather than executed.
func attackSizes(limit string, n int) []byte {
	switch limit {
	case "tables_max":
		return module(w.Section(4, vector(n, 0x70, 0, 1)...))
	case "table_elements_max":
		return module(w.Section(4, w.U([]byte{1, 0x70, 0}, n)...))
	case "memory_pages_max":
		return module(w.Section(5, w.U([]byte{1, 0}, n)...))
	case "globals_max":
		return module(w.Section(6, vector(n, w.I64, 1, 0x42, 0, 0x0b)...))
	case "exports_max":
		return append(module(w.Section(1, 1, 0x60, 0, 0), w.Section(3, 1, 0), w.Section(7, exportNames(n)...)), w.Section(10, 1, 2, 0, 0x0b)...)
	case "segments_max":
		return module(w.Section(5, 1, 0, 1), w.Section(11, vector(n, 0, 0x41, 0, 0x0b, 0)...))
	case "segment_elements_max":
		content := append(w.U([]byte{1, 1, 0}, n), make([]byte, n)...) // passive, each function 0
		return module(w.Section(1, 1, 0x60, 0, 0), w.Section(3, 1, 0), w.Section(9, content...), w.Section(10, 1, 2, 0, 0x0b))
	case "name_bytes_max":
		return module(w.Section(0, w.Text(nil, strings.Repeat("n", n))...))
	case "custom_sections_max":
		return module(bytes.Repeat(w.Section(0, 1, 'x'), n))
	}
	return nil
}

func vector(n int, item ...byte) []byte { return append(w.U(nil, n), bytes.Repeat(item, n)...) }

func body(code []byte) []byte { return append(w.U([]byte{1}, len(code)), code...) }

func oneFunction(params []byte) []byte {
	return append(w.Section(1, append(w.U([]byte{1, 0x60}, len(params)), append(params, 0)...)...), w.Section(3, 1, 0)...)
}

// oneType is a module of one function that has that type and code.
func oneType(params, results, code []byte) []byte {
	t := append(append(w.U([]byte{1, 0x60}, len(params)), params...), w.U(nil, len(results))...)
	return module(w.Section(1, append(t, results...)...), w.Section(3, 1, 0), w.Section(10, body(w.Cat([]byte{0}, code, []byte{0x0b}))...))
}

// function is a module of one function whose body has exactly size bytes, filled with code.
func function(size int, code []byte) []byte {
	in := append([]byte{0}, bytes.Repeat(code, (size-2)/len(code))...)
	in = append(in, bytes.Repeat([]byte{0x01}, size-1-len(in))...) // nop
	return module(oneFunction([]byte{w.I32}), w.Section(10, body(append(in, 0x0b))...))
}

func functions(n int, body []byte) []byte {
	return module(w.Section(1, 1, 0x60, 0, 0), w.Section(3, vector(n, 0)...), w.Section(10, vector(n, body...)...))
}

// whole is a module of exactly size bytes, as many functions of a kilobyte as fit.
func whole(size int) []byte {
	one := append(w.U(nil, 1000), 0)
	one = append(append(one, bytes.Repeat(w.Cat(w.I32Const(1), []byte{0x1a}), 332)...), 0x01, 0x01, 0x0b)
	out := functions((size-60)/(len(one)+1), one)
	for fill := size - len(out) - 4; fill >= 0; fill-- { // a custom section of the bytes that are missing
		if s := w.Section(0, append([]byte{0}, make([]byte, fill)...)...); len(out)+len(s) == size {
			return append(out, s...)
		}
	}
	return out
}

// exportNames lists n exports of function 0 under different names.
func exportNames(n int) []byte {
	content := w.U(nil, n)
	for i := range n {
		name := []byte{byte('0' + i&63), byte('0' + i>>6&63), byte('0' + i>>12&63), byte('0' + i>>18&63)}
		content = append(w.Text(content, string(name)), 0, 0)
	}
	return content
}

type limitValue struct {
	name  string
	value int
}

// scanLimits lists the limits and their defaults, in their order.
func scanLimits() (out []limitValue) {
	defaults := reflect.ValueOf(scan.DefaultLimits())
	for i := range defaults.NumField() {
		name := defaults.Type().Field(i).Tag.Get("yaml")
		if name == "-" {
			name = "memory_pages_max" // follows from memory_mib
		}
		out = append(out, limitValue{name, int(defaults.Field(i).Int())})
	}
	return out
}

func TestScan_refuses_by_exactly_the_limit_that_an_attack_is_for(t *testing.T) {
	for i, limit := range scanLimits() {
		t.Run(limit.name, func(t *testing.T) {
			const n = 40
			wasm := attack(limit.name, n)
			require.NotNil(t, wasm, "a limit without its attack")
			var limits scan.Limits
			field := reflect.ValueOf(&limits).Elem().Field(i)
			field.SetInt(n)
			_, err := scan.Scan(wasm, limits)
			require.NoError(t, err, "as much as the limit allows")
			field.SetInt(n - 1)
			_, err = scan.Scan(wasm, limits)
			require.ErrorIs(t, err, scan.ErrModule)
			want := "(" + limit.name + ")"
			if limit.name == "memory_pages_max" {
				want = "(memory_mib, in pages of 64 KiB)"
			}
			require.ErrorContains(t, err, want)
		})
	}
}
