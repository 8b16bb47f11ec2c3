package vector

import (
	"encoding/binary"
	"fmt"
)

// The tags of the answers of a batch (sdk/ABI.md, "transform").
const (
	TagNo uint32 = iota
	TagYes
	TagData
	TagError
)

// AppendBatch appends the document of wse_transform_batch for docs: u32 n, then n × {u32 length, bytes}.
func AppendBatch(dst []byte, docs [][]byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(docs)))
	for _, doc := range docs {
		dst = append(binary.LittleEndian.AppendUint32(dst, uint32(len(doc))), doc...)
	}
	return dst
}

// SplitBatch reads the answer of wse_transform_batch, u32 n and n × {u32 tag, u32 length, bytes}. The answers refer to data. An
// answer that is cut short, has an unknown tag, or has bytes behind its end is an error that says where.
func SplitBatch(data []byte) ([]Got, error) {
	if len(data) < 4 {
		return nil, fmt.Errorf("an answer of %d bytes is no batch", len(data))
	}
	n, at := binary.LittleEndian.Uint32(data), 4
	if uint64(n)*8 > uint64(len(data)) {
		return nil, fmt.Errorf("says it has %d answers and has %d bytes", n, len(data))
	}
	answers := make([]Got, 0, n)
	for i := range n {
		if len(data)-at < 8 {
			return nil, fmt.Errorf("answer %d of %d is cut short", i, n)
		}
		tag, size := binary.LittleEndian.Uint32(data[at:]), binary.LittleEndian.Uint32(data[at+4:])
		at += 8
		switch {
		case uint64(size) > uint64(len(data)-at):
			return nil, fmt.Errorf("answer %d of %d has %d bytes, %d are left", i, n, size, len(data)-at)
		case tag > TagError:
			return nil, fmt.Errorf("answer %d of %d has tag %d", i, n, tag)
		case tag <= TagYes && size > 0:
			return nil, fmt.Errorf("answer %d of %d has tag %d and %d bytes", i, n, tag, size)
		}
		got := Got{Said: [...]string{No, Yes, Data, Error}[tag]}
		if body := data[at : at+int(size)]; tag == TagError {
			got.Error = string(body)
		} else {
			got.Data = body
		}
		answers, at = append(answers, got), at+int(size)
	}
	if at != len(data) {
		return nil, fmt.Errorf("%d bytes follow the last answer", len(data)-at)
	}
	return answers, nil
}
