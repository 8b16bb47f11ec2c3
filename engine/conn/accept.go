package conn

import (
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// acceptQuiet is how long a failure to accept connections is not logged again. Without descriptors accepting is tried several
// times a second, for as long as it takes.
const acceptQuiet = time.Minute

// acceptFaults logs that connections cannot be accepted.
type acceptFaults struct {
	log    hclog.Logger
	mu     sync.Mutex
	next   time.Time // before which nothing is logged; guarded by mu
	untold int       // failures that were not logged; guarded by mu
}

// failed notes a failure. It may be called by any loop.
func (f *acceptFaults) failed(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.untold++; now.Before(f.next) {
		return
	}
	f.log.Error("cannot accept connections for the moment", "error", err, "failures", f.untold)
	f.next, f.untold = now.Add(acceptQuiet), 0
}
