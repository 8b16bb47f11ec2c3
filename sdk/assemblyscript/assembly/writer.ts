// The answer is written into one buffer that is reused by every call and grows when it must. Writing past OUTPUT_MAX, or
// past the memory limit, loses nothing silently: result() is then an error.
import { data, errorCode, error } from "./abi";
import { alloc } from "./arena";
import * as float from "./float";
import { Span, ascii, copy, lenOf, ptrOf, span } from "./span";

// OUTPUT_MAX bounds an answer. The host has a limit of its own, usually lower.
export const OUTPUT_MAX: u32 = 4 << 20;

// ERROR_TOO_LONG is the number result() gives for an answer that did not fit.
export const ERROR_TOO_LONG: u32 = 1;

const FIRST_BYTES: u32 = 64 << 10;
const U00 = ascii("\\u00");
const NULL = ascii("null");

let buffer: usize = 0;
let capacity: u32 = 0;
let start: usize = 0; // of this answer: the buffer's beginning, or in a batch behind the answers before it
let pos: usize = 0; // next byte to write
let limit: usize = 0; // end of the buffer
let full: bool = false; // something did not fit

// begin starts an answer.
// @ts-ignore: decorator
@inline export function begin(): void {
  pos = start;
  full = false;
}

// beginAt makes an answer begin at a place, an offset in the buffer: what stands before it is kept, and the answer's own
// marks count from there. It returns where the last one began. batch() uses it.
export function beginAt(offset: u32): u32 {
  const last = <u32>(start - buffer);
  start = buffer + offset;
  return last;
}

// mark is how much has been written; reset goes back there.
// @ts-ignore: decorator
@inline export function mark(): u32 {
  return <u32>(pos - start);
}

export function reset(to: u32): void {
  pos = start + to;
}

// overflowed reports whether something did not fit.
// @ts-ignore: decorator
@inline export function overflowed(): bool {
  return full;
}

// written is the span from a mark to here. It holds until the next put.
export function written(from: u32): Span {
  return span(start + from, <usize>(mark() - from));
}

// put writes the bytes of a span as they are.
// @ts-ignore: decorator
@inline export function put(s: Span): void {
  putBytes(ptrOf(s), lenOf(s));
}

export function putBytes(from: usize, n: u32): void {
  if (pos + n > limit && !grow(n)) return;
  copy(pos, from, n);
  pos += n;
}

// room returns the address where the next n bytes may be written, 0 where there is no room for them. append writes there,
// and wrote says how far it came: for answers whose length has a bound, one check instead of one a piece
// (BenchmarkMapping).
//
//   let w = writer.room(lenOf(a) + lenOf(b));
//   if (w == 0) return writer.result();
//   w = append(append(w, a), b);
//   writer.wrote(w);
export function room(n: u32): usize {
  return pos + n > limit && !grow(n) ? 0 : pos;
}

// @ts-ignore: decorator
@inline export function wrote(end: usize): void {
  pos = end;
}

// putByte writes one byte.
export function putByte(c: u32): void {
  if (pos >= limit && !grow(1)) return;
  store<u8>(pos++, <u8>c);
}

// putU32 writes four bytes, little endian.
export function putU32(v: u32): void {
  if (pos + 4 > limit && !grow(4)) return;
  store<u32>(pos, v);
  pos += 4;
}

// patchU32 overwrites four bytes at a mark.
export function patchU32(where: u32, v: u32): void {
  if (!full) store<u32>(start + where, v);
}

// putInt writes a whole number in decimal.
export function putInt(v: i64): void {
  if (v < 0) putByte(0x2d);
  putDigits(v < 0 ? <u64>-v : <u64>v);
}

function putDigits(v: u64): void {
  if (v >= 10) putDigits(v / 10);
  putByte(0x30 + <u32>(v % 10));
}

// putFloat writes a number as the shortest decimal text that reads back as the same number, the way JSON.stringify does:
// null for what JSON has no number for.
export function putFloat(v: f64): void {
  if (!isFinite(v)) return put(NULL);
  const to = room(float.TEXT_MAX);
  if (to != 0) pos = float.write(to, v);
}

// FLOAT_MAX is how many bytes appendFloat writes at most.
export const FLOAT_MAX: u32 = float.TEXT_MAX;

// appendFloat writes a finite number as putFloat does, where room has made room, and returns the address behind it.
// @ts-ignore: decorator
@inline export function appendFloat(to: usize, v: f64): usize {
  return float.write(to, v);
}

// putText writes plain text as the content of a JSON string, escaping what must be.
export function putText(s: Span): void {
  const p = ptrOf(s), n = lenOf(s);
  for (let i: u32 = 0; i < n; i++) {
    const c: u32 = load<u8>(p + i);
    if (c == 0x22 || c == 0x5c) {
      putByte(0x5c);
      putByte(c);
    } else if (c < 0x20) {
      put(U00);
      putByte(0x30 + (c >> 4));
      putByte((c & 15) < 10 ? 0x30 + (c & 15) : 0x57 + (c & 15));
    } else {
      putByte(c);
    }
  }
}

// result is what a hook returns for the answer from a mark on: DATA, or an error where it did not fit.
export function result(from: u32 = 0): u64 {
  return full ? errorCode(ERROR_TOO_LONG) : data(written(from));
}

// failure is what a hook returns where what was written from a mark on is an error text.
export function failure(from: u32 = 0): u64 {
  return full ? errorCode(ERROR_TOO_LONG) : error(written(from));
}

// grow makes room for n more bytes. The old buffer is left behind, so capacity doubles at least.
function grow(n: u32): bool {
  const used = <u32>(pos - buffer), before = <u32>(start - buffer);
  if (full || n > OUTPUT_MAX || used + n > OUTPUT_MAX) {
    full = true;
    return false;
  }
  let size: u32 = capacity == 0 ? FIRST_BYTES : capacity << 1;
  while (size < used + n) size <<= 1;
  const fresh = alloc(size);
  if (fresh == 0) {
    full = true;
    return false;
  }
  memory.copy(fresh, buffer, used);
  buffer = fresh;
  start = fresh + before;
  capacity = size;
  pos = fresh + used;
  limit = fresh + size;
  return true;
}
