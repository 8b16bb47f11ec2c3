// Memory is handed out once and never given back: a plugin takes its buffers and tables when it is made and configured,
// and nothing afterwards. There is no collector, so that a call costs what its own instructions cost.

// Every block is followed by this many bytes that may be read, and, inside buffers, written, past its end. It lets
// copies and scans move eight bytes at a time without looking for the end first.
export const SLACK: u32 = 16;

let top: usize = 0;

// alloc returns the address of `bytes` zeroed bytes, aligned to 16, or 0 where the memory limit refuses them.
export function alloc(bytes: u32): usize {
  if (bytes > 1 << 28) return 0;
  if (top == 0) top = (__heap_base + 15) & ~15;
  const next = top + ((<usize>bytes + SLACK + 15) & ~15);
  const have = <usize>memory.size() << 16;
  if (next > have && memory.grow(<i32>((next - have + 0xffff) >> 16)) < 0) return 0;
  const block = top;
  top = next;
  return block;
}
