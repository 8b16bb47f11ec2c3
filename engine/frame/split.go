package frame

// Split takes the first frame off frames, which are complete and unmasked, as [AppendFrame] and [AppendClose] make them.
// size is the whole frame's length and payload its end; both are zero where frames are not of this form.
func Split(frames []byte) (op Opcode, payload []byte, size int) {
	if len(frames) < 2 || frames[1]&bitMask != 0 {
		return 0, nil, 0
	}
	head := headerSize(frames[1])
	if len(frames) < head {
		return 0, nil, 0
	}
	n, err := readLength(frames)
	if err != nil || n > int64(len(frames)-head) {
		return 0, nil, 0
	}
	size = head + int(n)
	return Opcode(frames[0] & 0x0f), frames[head:size], size
}

// Size returns how long a frame with a payload of n bytes is, as [AppendFrame] makes it.
func Size(n int) int {
	switch {
	case n < length16:
		return 2 + n
	case n <= 0xffff:
		return 4 + n
	}
	return 10 + n
}
