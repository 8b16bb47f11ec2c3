package plugin

import (
	"bytes"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// The subset of WASI preview 1 that standard libraries need to start. There are no files but the two output streams,
// which end in the log, no arguments, no environment and no network; clocks stand still during a call, and random
// numbers repeat from one instance to the next. Functions that would need a file answer badf.

const (
	wasiOK    = 0
	wasiBadF  = 8
	wasiFault = 21
	wasiInval = 28
)

// wasiFunc returns the function of that name. Everything of preview 1 is offered, since compilers import what they then
// never call.
func wasiFunc(name string) (hostFunc, bool) {
	if params, ok := wasiBadFParams(name); ok {
		return hostFunc{params, "i", func(_ *instance, _ api.Memory, stack []uint64) { stack[0] = wasiBadF }}, true
	}
	switch name {
	case "args_get", "environ_get":
		return hostFunc{"ii", "i", func(_ *instance, _ api.Memory, stack []uint64) { stack[0] = wasiOK }}, true
	case "args_sizes_get", "environ_sizes_get":
		return hostFunc{"ii", "i", wasiNoSizes}, true
	case "clock_res_get":
		return hostFunc{"ii", "i", wasiClockRes}, true
	case "clock_time_get":
		return hostFunc{"iIi", "i", (*instance).wasiClockTime}, true
	case "fd_fdstat_get":
		return hostFunc{"ii", "i", wasiFdstat}, true
	case "fd_write":
		return hostFunc{"iiii", "i", (*instance).wasiWrite}, true
	case "poll_oneoff":
		return hostFunc{"iiii", "i", (*instance).wasiPoll}, true
	case "proc_exit":
		return hostFunc{"i", "", func(_ *instance, _ api.Memory, stack []uint64) {
			stop("the guest called proc_exit(%d); a plugin's functions return instead", uint32(stack[0]))
		}}, true
	case "random_get":
		return hostFunc{"ii", "i", (*instance).wasiRandom}, true
	case "sched_yield":
		return hostFunc{"", "i", func(_ *instance, _ api.Memory, stack []uint64) { stack[0] = wasiOK }}, true
	}
	return hostFunc{}, false
}

// wasiBadFParams lists the functions that always answer badf.
func wasiBadFParams(name string) (params string, ok bool) {
	switch name {
	case "fd_close", "fd_datasync", "fd_sync":
		return "i", true
	case "fd_fdstat_set_flags", "fd_filestat_get", "fd_prestat_get", "fd_renumber", "fd_tell", "sock_shutdown":
		return "ii", true
	case "fd_prestat_dir_name", "path_create_directory", "path_remove_directory", "path_unlink_file", "sock_accept":
		return "iii", true
	case "fd_read":
		return "iiii", true
	case "path_filestat_get", "path_symlink", "sock_send":
		return "iiiii", true
	case "path_readlink", "path_rename", "sock_recv":
		return "iiiiii", true
	case "path_link":
		return "iiiiiii", true
	case "fd_advise":
		return "iIIi", true
	case "fd_allocate", "fd_fdstat_set_rights":
		return "iII", true
	case "fd_filestat_set_size":
		return "iI", true
	case "fd_filestat_set_times":
		return "iIIi", true
	case "fd_pread", "fd_pwrite", "fd_readdir":
		return "iiiIi", true
	case "fd_seek":
		return "iIii", true
	case "path_filestat_set_times":
		return "iiiiIIi", true
	case "path_open":
		return "iiiiiIIii", true
	case "proc_raise":
		return "i", true
	}
	return "", false
}

// answer turns a memory access into an errno.
func answer(ok bool) uint64 {
	if ok {
		return wasiOK
	}
	return wasiFault
}

func wasiNoSizes(_ *instance, mem api.Memory, stack []uint64) {
	stack[0] = answer(mem.WriteUint32Le(uint32(stack[0]), 0) && mem.WriteUint32Le(uint32(stack[1]), 0))
}

func wasiClockRes(_ *instance, mem api.Memory, stack []uint64) {
	if uint32(stack[0]) > 3 {
		stack[0] = wasiInval
		return
	}
	stack[0] = answer(mem.WriteUint64Le(uint32(stack[1]), 1))
}

// clock reads the time once per call, when a guest first asks.
func (in *instance) clock() time.Duration {
	if in.now == 0 {
		in.now = time.Duration(time.Now().UnixNano())
	}
	return in.now
}

func (in *instance) wasiClockTime(mem api.Memory, stack []uint64) {
	id, now := uint32(stack[0]), in.clock()
	switch id {
	case 0: // wall clock
	case 1, 2, 3: // monotonic, CPU time: since the version was loaded
		now -= in.version.epoch
	default:
		stack[0] = wasiInval
		return
	}
	stack[0] = answer(mem.WriteUint64Le(uint32(stack[2]), uint64(now)))
}

// wasiFdstat says that 0, 1 and 2 are character devices.
func wasiFdstat(_ *instance, mem api.Memory, stack []uint64) {
	fd, at := uint32(stack[0]), uint32(stack[1])
	if fd > 2 {
		stack[0] = wasiBadF
		return
	}
	stat, ok := mem.Read(at, 24)
	if !ok {
		stack[0] = wasiFault
		return
	}
	clear(stat)
	stat[0] = 2
	if fd > 0 {
		stat[8] = 1 << 6 // the right to write
	}
	stack[0] = wasiOK
}

// wasiWrite logs what a guest prints, line by line: stdout at info, stderr at warn. Runtimes print a message in many small
// pieces, so that a line waits for its end, or for the end of a call that traps.
func (in *instance) wasiWrite(mem api.Memory, stack []uint64) {
	fd, vec, n, written := uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])
	if fd != 1 && fd != 2 {
		stack[0] = wasiBadF
		return
	}
	in.charge(uint64(n) * priceVector)
	total := uint32(0)
	for i := range n {
		ptr, okPtr := mem.ReadUint32Le(vec + i*8)
		size, okSize := mem.ReadUint32Le(vec + i*8 + 4)
		part, okPart := mem.Read(ptr, size)
		if !okPtr || !okSize || !okPart {
			stack[0] = wasiFault
			return
		}
		in.charge(uint64(size))
		in.print(fd, part)
		total += size
	}
	stack[0] = answer(mem.WriteUint32Le(written, total))
}

// print collects a stream's bytes and logs every whole line.
func (in *instance) print(fd uint32, part []byte) {
	for len(part) > 0 {
		line, rest, whole := bytes.Cut(part, []byte{'\n'})
		part = rest
		text := &in.printed[fd-1]
		room := max(in.version.cfg.Limits.LogLineBytes-len(*text), 0)
		*text = append(*text, line[:min(len(line), room)]...)
		if whole {
			in.charge(priceLineEnd)
			in.flush(fd)
		}
	}
}

// flush logs what a stream has so far.
func (in *instance) flush(fd uint32) {
	text := &in.printed[fd-1]
	if len(*text) > 0 {
		in.log(int(fd)+1, *text) // 1 is info, 2 is warn
	}
	*text = (*text)[:0]
}

// wasiPoll answers every subscription at once. A sleep moves the standing clock forward instead of waiting.
func (in *instance) wasiPoll(mem api.Memory, stack []uint64) {
	const subscription, event = 48, 32
	subs, events, n, count := uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])
	if n == 0 {
		stack[0] = wasiInval
		return
	}
	in.charge(uint64(n) * pricePoll)
	for i := range n {
		sub, okSub := mem.Read(subs+i*subscription, subscription)
		ev, okEvent := mem.Read(events+i*event, event)
		if !okSub || !okEvent {
			stack[0] = wasiFault
			return
		}
		user, kind := [8]byte(sub[:8]), sub[8]
		if kind == 0 {
			in.sleep(sub)
		}
		clear(ev)
		copy(ev, user[:])
		ev[10] = kind
		if kind != 0 {
			ev[8] = wasiBadF
		}
	}
	stack[0] = answer(mem.WriteUint32Le(count, n))
}

// sleep moves the clock to the end of the subscription's time.
func (in *instance) sleep(sub []byte) {
	var timeout uint64
	for i := range 8 {
		timeout |= uint64(sub[24+i]) << (8 * i)
	}
	now := in.clock()
	const most = time.Duration(1) << 60
	until := time.Duration(min(timeout, uint64(most)))
	switch {
	case sub[40]&1 == 0: // relative
		in.now = now + until
	case sub[16] != 0: // absolute, monotonic
		in.now = max(now, until+in.version.epoch)
	default:
		in.now = max(now, until)
	}
	in.now = min(in.now, most*4)
}

func (in *instance) wasiRandom(mem api.Memory, stack []uint64) {
	ptr, n := uint32(stack[0]), uint32(stack[1])
	in.charge(priceRandom + uint64(n)*priceRandomByte)
	b, ok := mem.Read(ptr, n)
	if ok {
		_, _ = in.random.Read(b) // never fails
	}
	stack[0] = answer(ok)
}
