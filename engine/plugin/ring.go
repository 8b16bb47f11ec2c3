package plugin

// ring keeps documents in the order in which they came. Their bytes lie end to end in one buffer, the one at its end
// going on at its beginning; buffer and list double as they are needed up to a limit, and are never given back. It allocates
// nothing once it has grown (BenchmarkRecord).
//
// Ownership: a ring belongs to whoever holds the lock beside it.
type ring struct {
	buf      []byte
	items    []item // round
	first    int    // index in items of the oldest
	count    int
	from     int // index in buf of the oldest byte
	used     int // bytes
	itemsMax int
	bytesMax int
}

// item is a document of a ring: doc bytes that a plugin was given, followed by said bytes that it answered.
type item struct {
	hook      hook
	outcome   Outcome
	doc, said int
	fuel      int64
}

// The sizes that a ring begins with.
const (
	ringItems = 16
	ringBytes = 4 << 10
)

// fits tells whether a document of n bytes can be pushed.
func (r *ring) fits(n int) bool { return r.count < r.itemsMax && r.used+n <= r.bytesMax }

// push appends a document, which fits.
func (r *ring) push(it item, doc, said []byte) {
	it.doc, it.said = len(doc), len(said)
	r.reserve(len(doc) + len(said))
	r.items[(r.first+r.count)%len(r.items)] = it
	r.count++
	r.write(doc)
	r.write(said)
}

// reserve makes room for one more document, of n bytes.
func (r *ring) reserve(n int) {
	if r.count == len(r.items) {
		items := make([]item, min(max(2*len(r.items), ringItems), r.itemsMax))
		for i := range r.count {
			items[i] = *r.at(i)
		}
		r.items, r.first = items, 0
	}
	if r.used+n > len(r.buf) {
		size := max(len(r.buf), min(ringBytes, r.bytesMax))
		for size < r.used+n {
			size = min(2*size, r.bytesMax)
		}
		buf := make([]byte, size)
		copy(buf, r.read(make([]byte, 0, r.used), 0, r.used))
		r.buf, r.from = buf, 0
	}
}

func (r *ring) at(i int) *item { return &r.items[(r.first+i)%len(r.items)] }

// write copies b behind the last byte, for which there is room.
func (r *ring) write(b []byte) {
	if len(b) == 0 {
		return
	}
	end := (r.from + r.used) % len(r.buf)
	n := copy(r.buf[end:], b)
	copy(r.buf, b[n:])
	r.used += len(b)
}

// read appends n bytes to dst, from the skipth on.
func (r *ring) read(dst []byte, skip, n int) []byte {
	if n == 0 {
		return dst
	}
	begin := (r.from + skip) % len(r.buf)
	end := min(begin+n, len(r.buf))
	dst = append(dst, r.buf[begin:end]...)
	return append(dst, r.buf[:n-(end-begin)]...)
}

// pop removes the oldest document and appends it to dst: what the plugin was given, then what it said.
func (r *ring) pop(dst []byte) (item, []byte) {
	it := *r.at(0)
	dst = r.read(dst, 0, it.doc+it.said)
	r.drop()
	return it, dst
}

// drop removes the oldest document.
func (r *ring) drop() {
	it := r.at(0)
	n := it.doc + it.said
	r.first = (r.first + 1) % len(r.items)
	r.count--
	r.used -= n
	if r.from += n; r.from >= len(r.buf) {
		r.from -= len(r.buf)
	}
}
