package collection

import (
	"io"

	"github.com/wse-engine/wse/engine/message"
)

// ReadFile reads the file of symbol A from in, as a Reader does.
func ReadFile(in io.Reader) (all []message.Tick, err error) {
	r := newRows("A/prices.csv", "A", in, -1)
	if err := r.header(); err != nil {
		return nil, err
	}
	for err = r.advance(); err == nil; err = r.advance() {
		all = append(all, r.tick)
	}
	if err == io.EOF {
		err = nil
	}
	return all, err
}
