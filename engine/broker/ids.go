package broker

import (
	"crypto/rand"
	"encoding/base32"
	"strconv"
	"sync/atomic"
)

// IDs makes the ids of publications whose publishers gave none: "evt_", 13 characters drawn at random when the process
// starts, and a counter. They are unique, not secret. It may be used by any number of goroutines.
type IDs struct {
	prefix string
	n      atomic.Uint64
}

// NewIDs returns a source of ids that no other source makes.
func NewIDs() *IDs {
	var random [8]byte
	rand.Read(random[:]) // never fails: it ends the process rather than return an error
	lower := base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	return &IDs{prefix: "evt_" + lower.EncodeToString(random[:])}
}

// Next returns the next id. It allocates the string and nothing else (BenchmarkIDs).
func (s *IDs) Next() string {
	var buf [40]byte
	return string(strconv.AppendUint(append(buf[:0], s.prefix...), s.n.Add(1), 36))
}
