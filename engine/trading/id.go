package trading

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

// newID returns a session's id, exec_YYYYMMDD_HHMMSS_xxxxxxxx in UTC, of which the last part is random.
func newID(now time.Time) string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	return "exec_" + now.UTC().Format("20060102_150405") + "_" + hex.EncodeToString(random[:])
}
