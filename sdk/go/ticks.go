package wse

import "math"

const (
	ticksHead = 8
	tickBytes = 32
)

// Ticks is the document of wse_strategy_ticks, which is binary (sdk/ABI.md §3, strategy).
type Ticks struct{ doc []byte }

// Ticks reads the document as ticks; false where it is none.
func (r *Reader) Ticks() (t Ticks, ok bool) {
	if len(r.doc) < ticksHead || uint64(le32(r.doc))*tickBytes != uint64(len(r.doc)-ticksHead) {
		return Ticks{}, false
	}
	return Ticks{r.doc}, true
}

// Len is how many ticks there are.
func (t Ticks) Len() int { return (len(t.doc) - ticksHead) / tickBytes }

// Handle is the number that wse_strategy_open was given for the symbol.
func (t Ticks) Handle() uint32 { return le32(t.doc[4:]) }

// Time is when tick i was, in Unix milliseconds.
func (t Ticks) Time(i int) float64 { return t.value(i, 0) }

// Price is the price of tick i.
func (t Ticks) Price(i int) float64 { return t.value(i, 1) }

// Volume is the volume of tick i.
func (t Ticks) Volume(i int) float64 { return t.value(i, 2) }

// QuoteVolume is the quote volume of tick i.
func (t Ticks) QuoteVolume(i int) float64 { return t.value(i, 3) }

func (t Ticks) value(i, field int) float64 {
	return math.Float64frombits(le64(t.doc[ticksHead+i*tickBytes+field*8:]))
}
