// A Span is a run of bytes in memory: address << 32 | length, the same packing as a hook's result.
import { SLACK, alloc } from "./arena";

export type Span = u64;

// @ts-ignore: decorator
@inline export function span(ptr: usize, len: usize): Span {
  return (<u64>ptr << 32) | <u64>len;
}

// between is the span from one address up to another.
// @ts-ignore: decorator
@inline export function between(from: usize, to: usize): Span {
  return span(from, to - from);
}

// @ts-ignore: decorator
@inline export function ptrOf(s: Span): usize {
  return <usize>(s >> 32);
}

// @ts-ignore: decorator
@inline export function lenOf(s: Span): u32 {
  return <u32>s;
}

// word reads up to eight bytes as one number, zeros above the last, so that short names compare at once. Only for
// lengths up to 8.
// @ts-ignore: decorator
@inline export function wordAt(ptr: usize, len: u32): u64 {
  return len == 0 ? 0 : load<u64>(ptr) & (<u64>-1 >> (64 - (<u64>len << 3)));
}

// same reports whether two spans hold the same bytes.
export function same(a: Span, b: Span): bool {
  let left = lenOf(a);
  if (left != lenOf(b)) return false;
  let p = ptrOf(a), q = ptrOf(b);
  while (left > 8) {
    if (load<u64>(p) != load<u64>(q)) return false;
    p += 8;
    q += 8;
    left -= 8;
  }
  return wordAt(p, left) == wordAt(q, left);
}

// begins reports whether a span begins with another.
export function begins(s: Span, prefix: Span): bool {
  return lenOf(s) >= lenOf(prefix) && same(span(ptrOf(s), lenOf(prefix)), prefix);
}

// rest is a span without its first n bytes.
// @ts-ignore: decorator
@inline export function rest(s: Span, n: u32): Span {
  return span(ptrOf(s) + n, <usize>(lenOf(s) - n));
}

// hash mixes a span's bytes into 32 bits. It is for tables made from an operator's own configuration, not for input that
// an attacker chooses the keys of.
export function hash(s: Span): u32 {
  let h: u64 = 0x9e3779b97f4a7c15 ^ <u64>lenOf(s);
  let p = ptrOf(s), left = lenOf(s);
  while (left > 8) {
    h = (h ^ load<u64>(p)) * 0xff51afd7ed558ccd;
    h ^= h >> 32;
    p += 8;
    left -= 8;
  }
  h = (h ^ wordAt(p, left)) * 0xff51afd7ed558ccd;
  return <u32>(h >> 32);
}

// copy moves n bytes. It may write up to SLACK bytes past the last one, so the target must be a buffer with slack.
// Short pieces, which most are, cost less this way than a call of memory.copy (BenchmarkMapping).
// @ts-ignore: decorator
@inline export function copy(to: usize, from: usize, n: u32): void {
  if (n > 32) {
    memory.copy(to, from, n);
    return;
  }
  store<u64>(to, load<u64>(from));
  store<u64>(to, load<u64>(from, 8), 8);
  if (n > 16) {
    store<u64>(to, load<u64>(from, 16), 16);
    store<u64>(to, load<u64>(from, 24), 24);
  }
}

// append copies a span to an address and returns the address behind it.
// @ts-ignore: decorator
@inline export function append(to: usize, s: Span): usize {
  copy(to, ptrOf(s), lenOf(s));
  return to + lenOf(s);
}

// keep copies a span to memory of its own, where it outlives the call. It returns 0 where memory runs out.
export function keep(s: Span): Span {
  const to = alloc(lenOf(s));
  if (to == 0) return 0;
  memory.copy(to, ptrOf(s), lenOf(s));
  return span(to, lenOf(s));
}

// ascii turns a literal into bytes that can be written and compared. Use it in module constants, which are computed once
// in _initialize; characters above 0x7f are not for it.
export function ascii(s: string): Span {
  const n = s.length;
  const to = alloc(n);
  if (to == 0) unreachable();
  const from = changetype<usize>(s);
  for (let i = 0; i < n; i++) store<u8>(to + i, <u8>load<u16>(from + (i << 1)));
  return span(to, n);
}

// word is a name of up to eight ASCII characters as the number that json.keyWord gives for it.
export function word(s: string): u64 {
  let w: u64 = 0;
  const from = changetype<usize>(s);
  for (let i = s.length - 1; i >= 0; i--) w = (w << 8) | <u64>load<u16>(from + (i << 1));
  return w;
}
