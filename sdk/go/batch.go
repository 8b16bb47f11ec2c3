package wse

// The tags of a batch's answers.
const (
	tagNo = iota
	tagYes
	tagData
	tagError
)

// Batch runs a transform hook on each document of a batch of n bytes, and collects the answers. It is the body of
// wse_transform_batch. Where the answers do not fit together the batch is refused as a whole, and the engine asks about its
// documents one by one: an answer that fits alone is not lost for the company it is in.
func Batch(n int32, hook Hook) Result { return guest.batch(n, hook) }

func (s *state) batch(n int32, hook Hook) Result {
	doc, ok := s.document(n)
	if !ok {
		return ErrorCode(ErrorNoBuffer)
	}
	out := &s.out
	out.start = 0
	out.Begin()
	count, ok := documents(doc)
	if !ok {
		return out.Error("batch is cut short")
	}
	out.putU32(count)
	for rest := doc[4:]; len(rest) > 0; {
		size := le32(rest)
		if s.answer(rest[4:4+size], hook); out.full {
			break
		}
		rest = rest[4+size:]
	}
	out.start = 0
	return out.Result()
}

// documents is how many documents a batch holds; false where its lengths are not those of whole documents. All are looked
// at before the first is served, so that half a batch leaves no trace.
func documents(batch []byte) (count uint32, ok bool) {
	if len(batch) < 4 {
		return 0, false
	}
	count = le32(batch)
	rest := batch[4:]
	for range count {
		if len(rest) < 4 {
			return 0, false
		}
		size := le32(rest)
		if uint64(size) > uint64(len(rest)-4) {
			return 0, false
		}
		rest = rest[4+size:]
	}
	return count, len(rest) == 0
}

// answer serves one document of a batch: the tag, the length and the bytes go behind what the Writer has already.
func (s *state) answer(doc []byte, hook Hook) {
	out := &s.out
	head := out.n
	out.putU32(0)
	out.putU32(0)
	if out.full {
		return // not even the heads fit: the batch as a whole is too long
	}
	out.start = out.n
	s.in.Open(doc)
	out.Begin()
	tag, isText, code := hook(&s.in, out).kind()
	if out.full {
		return
	}
	switch {
	case isText:
		out.settle()
	case tag == tagError:
		out.Begin()
		out.PutString("error ")
		out.PutInt(int64(code))
	default:
		out.Begin()
	}
	putLE32(out.buf[head:], tag)
	putLE32(out.buf[head+4:], uint32(out.n-out.start))
}
