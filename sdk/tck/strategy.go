package tck

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/wse-engine/wse/engine/message"
	"github.com/wse-engine/wse/engine/plugin"
	"github.com/wse-engine/wse/engine/plugin/vector"
)

// ticksMost is how many ticks a call of the kit holds at most.
const ticksMost = 4096

// opened opens handle 1 in a mode, on an instance that knows nothing.
func opened(p *plugin.Workpiece, mode string) error {
	if err := p.Restart(); err != nil {
		return err
	}
	got, err := p.Call("strategy_open", fmt.Appendf(nil, `{"handle":1,"strategy_config":{"mode":%q,"above":20000,"notional":5}}`, mode))
	if err == nil && got.Said != vector.Yes {
		err = fmt.Errorf("open in mode %s: %s", mode, got.Got)
	}
	return err
}

// said is an answer of a strategy, as far as the kit reads it.
type said struct {
	Consumed int `json:"consumed"`
	Out      []struct {
		Kind  string      `json:"kind"`
		Name  string      `json:"name"`
		Value json.Number `json:"value"`
	} `json:"out"`
}

// values returns the indicators of that name in an answer, in their order.
func values(got plugin.Called, name string) ([]string, error) {
	if got.Said != vector.Data {
		return nil, fmt.Errorf("want data\ngot  %s", got.Got)
	}
	var s said
	if err := json.Unmarshal(got.Data, &s); err != nil {
		return nil, err
	}
	var list []string
	for _, x := range s.Out {
		if x.Name == name {
			list = append(list, x.Value.String())
		}
	}
	return list, nil
}

// hard are numbers at which shortening or reading goes wrong where it does: at the ends of what there is, at powers of two and of ten,
// at midpoints.
func hard() []float64 {
	list := []float64{0, math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64, 0x1p-1022, 0x1p-1022 - 0x1p-1074, 1, 0.1, 0.3, 1e21, 1e-7,
		999999999999999900000, 5e-324, 9007199254740993, 123456789.125, 1.7976931348623157e308, 2.2250738585072011e-308, 100, 1e22, 1e23, 8.41e21, 9.5367431640625e-7}
	for e := -1074; e <= 1023; e += 7 {
		list = append(list, math.Ldexp(1, e), math.Nextafter(math.Ldexp(1, e), math.Inf(1)), -math.Ldexp(1, e))
	}
	for e := -323; e <= 308; e += 3 {
		f, _ := strconv.ParseFloat("1e"+strconv.Itoa(e), 64)
		list = append(list, f)
	}
	return list
}

// randomFloats returns n numbers of every size, and of the sizes that prices have.
func randomFloats(n int) []float64 {
	r := rand.New(rand.NewPCG(1, 2))
	list := make([]float64, 0, n)
	for len(list) < n {
		f := math.Float64frombits(r.Uint64())
		if len(list)%2 == 0 {
			f = float64(r.IntN(1<<30)) / math.Pow10(r.IntN(9))
		}
		if !math.IsNaN(f) && !math.IsInf(f, 0) {
			list = append(list, f)
		}
	}
	return list
}

// writesFloats has the guest write numbers that it is given as they are.
func writesFloats(p *plugin.Workpiece) error {
	if err := opened(p, "echo"); err != nil {
		return err
	}
	all := append(hard(), randomFloats(3000)...)
	for part := range slices.Chunk(all, ticksMost) {
		ticks := make([]message.StrategyTick, len(part))
		for i, f := range part {
			ticks[i].Price = f
		}
		got, err := p.Ticks(1, ticks, ticksMost)
		if err != nil {
			return err
		}
		list, err := values(got, "price")
		if err != nil {
			return err
		}
		if len(list) != len(part) {
			return fmt.Errorf("%d ticks are echoed as %d prices", len(part), len(list))
		}
		for i, f := range part {
			if want := text(f); list[i] != want {
				return fmt.Errorf("the number of bits %#x\nwant %s\ngot  %s", math.Float64bits(f), want, list[i])
			}
		}
	}
	return nil
}

// text is a number as JSON.stringify writes it.
func text(f float64) string {
	out, err := json.Marshal(f + 0) // of both zeros the positive
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// readsFloats has the guest read numbers from texts of up to 19 digits, and write what it has read.
func readsFloats(p *plugin.Workpiece) error {
	if err := opened(p, "echo"); err != nil {
		return err
	}
	texts := []string{"0", "-0", "0.0e-0", "1E5", "1e+5", "0.000001", "9007199254740993", "9007199254740992.5", "4.9406564584124654e-324", "2.47e-324",
		"1.797693134862315708e308", "0.1e1", "1234567890123456789e-400", "5e-1000000000", "123.456e+3"}
	r := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		digits := strconv.FormatUint(r.Uint64()%uint64(math.Pow10(1+r.IntN(18)))+1, 10)
		if at := r.IntN(len(digits) + 1); at > 0 && at < len(digits) {
			digits = digits[:at] + "." + digits[at:]
		}
		if r.IntN(2) == 0 {
			digits += "e" + strconv.Itoa(r.IntN(620)-330)
		}
		if f, err := strconv.ParseFloat(digits, 64); err == nil && !math.IsInf(f, 0) {
			texts = append(texts, digits)
		}
	}
	for _, number := range texts {
		got, err := p.Call("strategy_update", fmt.Appendf(nil, `{"handle":1,"events":[],"position":%s,"equity":1}`, number))
		if err != nil {
			return err
		}
		list, err := values(got, "position")
		if err != nil {
			return fmt.Errorf("%s: %w", number, err)
		}
		f, err := strconv.ParseFloat(number, 64)
		if want := text(f); err != nil || len(list) != 1 || list[0] != want {
			return fmt.Errorf("%s is read as another number\nwant %s\ngot  %s", number, want, list)
		}
	}
	return nil
}

// fullBatches gives the guest as many ticks as there may be in a call, of which it has more to say than an answer holds.
func fullBatches(p *plugin.Workpiece) error {
	if err := opened(p, "echo"); err != nil {
		return err
	}
	ticks := plugin.WalkTicks(2*ticksMost, 1)
	got, err := p.Ticks(1, ticks, ticksMost)
	if err != nil {
		return err
	}
	list, err := values(got, "sum")
	if err != nil {
		return err
	}
	sum := 0.0
	for i, t := range ticks {
		if sum += t.Price; i >= len(list) || list[i] != text(sum) {
			return fmt.Errorf("of %d ticks %d sums are told, and tick %d should be %s", len(ticks), len(list), i, text(sum))
		}
	}
	return nil
}

// steadyTicks gives the guest ticks, and ten times as many, and compares the memory.
func steadyTicks(p *plugin.Workpiece) error {
	const few, many = 400, 3600
	ticks := plugin.WalkTicks(16, 1)
	for _, mode := range []string{"quiet", "echo", "trade"} {
		if err := opened(p, mode); err != nil {
			return err
		}
		size := func(n int) (bytes int, err error) {
			for range n {
				got, err := p.Ticks(1, ticks, 16)
				if err != nil {
					return 0, err
				}
				if got.Said == vector.Data {
					got, err = p.Call("strategy_update", []byte(`{"handle":1,"events":[{"kind":"fill","id":"o1","quantity":1,"price":2,"fee":0}],"position":0,"equity":1}`))
				}
				if err != nil {
					return 0, err
				}
				if got.Said != vector.Data && got.Said != vector.No {
					return 0, fmt.Errorf("%s: %s", mode, got.Got)
				}
				bytes = got.MemoryBytes
			}
			return bytes, nil
		}
		before, err := size(few)
		if err != nil {
			return err
		}
		after, err := size(many)
		if err != nil {
			return err
		}
		if after != before {
			return fmt.Errorf("mode %s: %d calls leave a memory of %d bytes, %d more calls one of %d: something is allocated in each call", mode, few, before, many, after)
		}
	}
	return nil
}
