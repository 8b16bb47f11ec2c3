package wse

// OutputMax bounds an answer, or the answers of a batch, in bytes. The engine has a limit of its own, usually lower.
const OutputMax = 4 << 20

const firstOutput = 64 << 10

// Writer holds the answer. Its buffer is reused by every call and grows where it must. What does not fit OutputMax is not
// lost silently: Result is then an error.
type Writer struct {
	buf      []byte // as long as it can hold
	n        int    // bytes in use
	start    int    // where this answer begins; in a batch others stand before it
	from, to int    // what Result or Failure gave out
	full     bool   // something did not fit
	items    int    // that a strategy has said
}

// prepare takes the first buffer, so that no call has to.
func (w *Writer) prepare() {
	if w.buf == nil {
		w.buf = make([]byte, firstOutput)
	}
}

// Begin throws away what has been written. Call and Batch do it before each document.
func (w *Writer) Begin() { w.n, w.full = w.start, false }

// Mark is how many bytes of the answer have been written.
func (w *Writer) Mark() int { return w.n - w.start }

// Reset goes back to a mark: what was written behind it is gone.
func (w *Writer) Reset(mark int) { w.n = w.start + mark }

// Written is what has been written since a mark. It is good until the next Put.
func (w *Writer) Written(mark int) []byte { return w.buf[w.start+mark : w.n] }

// Overflowed reports whether something did not fit.
func (w *Writer) Overflowed() bool { return w.full }

// Put writes bytes as they are.
func (w *Writer) Put(b []byte) {
	if len(b) > len(w.buf)-w.n && !w.grow(len(b)) {
		return
	}
	w.n += copy(w.buf[w.n:], b)
}

// PutString writes a string as it is.
func (w *Writer) PutString(s string) {
	if len(s) > len(w.buf)-w.n && !w.grow(len(s)) {
		return
	}
	w.n += copy(w.buf[w.n:], s)
}

// PutByte writes one byte.
func (w *Writer) PutByte(c byte) {
	if uint(w.n) < uint(len(w.buf)) {
		w.buf[w.n] = c
		w.n++
		return
	}
	w.putByte(c)
}

func (w *Writer) putByte(c byte) {
	if w.grow(1) {
		w.buf[w.n] = c
		w.n++
	}
}

// PutInt writes a whole number in decimal.
func (w *Writer) PutInt(v int64) {
	const most = 20 // bytes of the longest, with its sign
	if len(w.buf)-w.n < most && !w.grow(most) {
		return
	}
	u := uint64(v)
	if v < 0 {
		w.buf[w.n] = '-'
		w.n++
		u = -u
	}
	digits := 1
	for rest := u; rest >= 10; rest /= 10 {
		digits++
	}
	for i := w.n + digits - 1; i >= w.n; i-- {
		w.buf[i] = byte('0' + u%10)
		u /= 10
	}
	w.n += digits
}

// PutText writes text as the content of a JSON string: quotes, backslashes and control characters are escaped. The
// quotes around it are the caller's.
func (w *Writer) PutText(text []byte) {
	for i := 0; ; i++ {
		from := i
		i = plain(text, i)
		w.Put(text[from:i])
		if i == len(text) {
			return
		}
		c := text[i]
		w.PutByte('\\')
		if c >= ' ' {
			w.PutByte(c)
			continue
		}
		w.PutString("u00")
		w.PutByte('0' + c>>4)
		w.PutByte("0123456789abcdef"[c&15])
	}
}

func (w *Writer) putU32(v uint32) {
	if len(w.buf)-w.n < 4 && !w.grow(4) {
		return
	}
	putLE32(w.buf[w.n:], v)
	w.n += 4
}

// Result is what a hook returns for the answer that has been written.
func (w *Writer) Result() Result {
	if w.full {
		return ErrorCode(ErrorTooLong)
	}
	w.from, w.to = w.start, w.n
	return pack(w.buf[w.from:], w.to-w.from)
}

// Failure is what a hook returns where what has been written is an error text.
func (w *Writer) Failure() Result { return errorBit | w.Result() }

// Error is what a hook returns for an error with that text. What had been written is thrown away.
func (w *Writer) Error(text string) Result {
	w.Begin()
	w.PutString(text)
	return w.Failure()
}

// settle keeps what Result gave out, and nothing behind it.
func (w *Writer) settle() { w.n, w.full = w.to, false }

// grow makes room for n more bytes. The buffer doubles at least, so that growing costs little in all.
func (w *Writer) grow(n int) bool {
	if w.full || n > OutputMax-w.n {
		w.full = true
		return false
	}
	size := max(2*len(w.buf), firstOutput)
	for size < w.n+n {
		size *= 2
	}
	larger := newBuffer(min(size, OutputMax))
	copy(larger, w.buf[:w.n])
	w.buf = larger
	return true
}
