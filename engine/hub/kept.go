package hub

import (
	"sync"

	"github.com/wse-engine/wse/engine/message"
)

// WithKeptBytes lets the hub keep frames whose making costs much, those of large publications in encodings that compress,
// so that replays do not make them again for each client: the newest ones, and with their publications at most bytesMax
// bytes (BenchmarkReplay).
func WithKeptBytes(bytesMax int) Option { return func(h *Hub) { h.kept.bytesMax = bytesMax } }

// kept holds frames for replays.
type kept struct {
	bytesMax int // 0: nothing is kept; fixed

	mu     sync.Mutex
	frames map[keptKey]*keptFrame // guarded by mu
	order  []keptKey              // guarded by mu; oldest first
	bytes  int                    // guarded by mu
}

// keptKey is a publication in an encoding. Envelopes are immutable once numbered, and the broker hands out the same ones.
type keptKey struct {
	env      *message.Envelope
	encoding int
}

type keptFrame struct {
	once  sync.Once
	frame []byte // written inside once
}

// cost is how much memory a kept frame may hold, its publication included.
func (k keptKey) cost() int { return 2 * (len(k.env.Payload) + len(k.env.Topic) + envelopeOverhead) }

// find returns the frame of key, which may have to be made yet; nil where it is not to be kept.
func (k *kept) find(key keptKey) *keptFrame {
	if key.cost() > k.bytesMax {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if f := k.frames[key]; f != nil {
		return f
	}
	if k.frames == nil {
		k.frames = make(map[keptKey]*keptFrame)
	}
	f := &keptFrame{}
	k.frames[key] = f
	k.order = append(k.order, key)
	for k.bytes += key.cost(); k.bytes > k.bytesMax; {
		oldest := k.order[0]
		k.order[0] = keptKey{}
		k.order = k.order[1:]
		delete(k.frames, oldest)
		k.bytes -= oldest.cost()
	}
	return f
}

// frame returns the frame of env in an encoding as it is kept, made at the first call; nil where such frames are not kept.
func (h *Hub) frame(env *message.Envelope, encoding int) []byte {
	least := h.encodings[encoding].KeepBytesMin
	if least == 0 || len(env.Payload) < least || !env.HasHistory() {
		return nil
	}
	f := h.kept.find(keptKey{env, encoding})
	if f == nil {
		return nil
	}
	f.once.Do(func() { f.frame = h.makeFrame(env, encoding) })
	return f.frame
}
