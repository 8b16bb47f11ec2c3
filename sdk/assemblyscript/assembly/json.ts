// A JSON reader over the document where it lies: nothing is built, nothing is allocated, and what is read comes back as
// spans of the input. All of RFC 8259 is checked on the way except that strings are UTF-8, so what was skipped or copied
// verbatim is valid JSON. Nesting is limited to DEPTH_MAX, as the host's is.
//
//   json.open(ptr, len);
//   if (json.object())
//     while (json.member())
//       if (json.keyWord() == K_ID && json.string()) id = json.raw();
//       else json.skip();
//   if (!json.close()) return error(json.fault());
//
// The first fault sticks: from then on every function answers false, so one look at close() at the end is enough.
//
// One byte past the document is set to zero while it is read (and put back by close). Zero is allowed nowhere in JSON, so
// every loop stops there by itself and no step compares with the end.
import { alloc } from "./arena";
import { parse } from "./float";
import { Span, between, lenOf, ptrOf, same, wordAt } from "./span";

export const DEPTH_MAX: u32 = 64;
export const TEXT_MAX: u32 = 4096;

// What a value is, by its first byte.
export const BAD: u32 = 0;
export const OBJECT: u32 = 1;
export const ARRAY: u32 = 2;
export const STRING: u32 = 3;
export const NUMBER: u32 = 4;
export const TRUE: u32 = 5;
export const FALSE: u32 = 6;
export const NULL: u32 = 7;

const ONES: u64 = 0x0101010101010101;
const HIGHS: u64 = 0x8080808080808080;
const QUOTES: u64 = 0x2222222222222222;
const SLASHES: u64 = 0x5c5c5c5c5c5c5c5c;
const SPACES: u64 = 0x2020202020202020;

let begin: usize = 0; // the document
let end: usize = 0; // one past it, where the zero stands
let behind: u8 = 0; // the byte that stood there
let at: usize = 0; // the next byte to read; 0 after a fault
let stop: usize = 0; // where reading failed
let depth: u32 = 0; // objects and arrays entered and not left
let fresh: bool = false; // just inside { or [, where no comma is due
let keySpan: Span = 0;
let keyEscaped: bool = false;
let rawSpan: Span = 0;
let rawEscaped: bool = false;
let sawEscape: bool = false; // set by scanString

// open begins to read len bytes at ptr, which must have a byte of slack behind them.
export function open(ptr: usize, len: u32): void {
  begin = ptr;
  end = ptr + len;
  behind = load<u8>(end);
  store<u8>(end, 0);
  at = blanks(ptr);
  depth = 0;
  fresh = false;
}

// close ends reading and reports whether the document was whole: no fault, and nothing but blanks after its value.
export function close(): bool {
  if (at != 0) {
    const p = blanks(at);
    if (p != end) failAt(p);
  }
  store<u8>(end, behind);
  return at != 0;
}

// fault is the offset of the byte that could not be read.
export function fault(): u32 {
  return <u32>(stop - begin);
}

// sound reports whether there has been no fault so far.
// @ts-ignore: decorator
@inline export function sound(): bool {
  return at != 0;
}

// peek tells what the next value is without reading it. BAD, which is also a fault, is what begins no value.
export function peek(): u32 {
  if (at == 0) return BAD;
  const c = load<u8>(at);
  if (c == 0x22) return STRING;
  if (c == 0x7b) return OBJECT;
  if (c == 0x5b) return ARRAY;
  if (c == 0x74) return TRUE;
  if (c == 0x66) return FALSE;
  if (c == 0x6e) return NULL;
  if (c == 0x2d || isDigit(c)) return NUMBER;
  failAt(at);
  return BAD;
}

// object enters the next value, which must be an object.
export function object(): bool {
  return enter(0x7b);
}

// array enters the next value, which must be an array.
export function array(): bool {
  return enter(0x5b);
}

// member reads the next key of the object entered last and stands before its value. It returns false, and leaves the
// object, when there is none.
export function member(): bool {
  let p = next(0x7d);
  if (p == 0) return false;
  if (load<u8>(p) != 0x22) return failAt(p);
  const from = p + 1;
  p = scanString(from);
  if (p == 0) return false;
  keySpan = between(from, p);
  keyEscaped = sawEscape;
  p = blanks(p + 1);
  if (load<u8>(p) != 0x3a) return failAt(p);
  at = blanks(p + 1);
  return true;
}

// element stands before the next element of the array entered last. It returns false, and leaves the array, when there
// is none.
export function element(): bool {
  const p = next(0x5d);
  if (p == 0) return false;
  at = p;
  return true;
}

// string reads the next value, which must be a string; raw() is its content between the quotes.
export function string(): bool {
  if (at == 0) return false;
  if (load<u8>(at) != 0x22) return failAt(at);
  const from = at + 1;
  const to = scanString(from);
  if (to == 0) return false;
  rawSpan = between(from, to);
  rawEscaped = sawEscape;
  at = to + 1;
  return true;
}

// skip reads the next value whatever it is; raw() is all of it, verbatim.
export function skip(): bool {
  if (at == 0) return false;
  const from = at;
  const to = skipValue(from, depth);
  if (to == 0) return false;
  rawSpan = between(from, to);
  rawEscaped = false;
  at = to;
  return true;
}

// key is the key member() read, as written between its quotes.
// @ts-ignore: decorator
@inline export function key(): Span {
  return keySpan;
}

// keyText is the key with its escapes resolved. It holds until the next call of keyText or text.
// @ts-ignore: decorator
@inline export function keyText(): Span {
  return text(keySpan, keyEscaped);
}

// text is a string's content with its escapes resolved: the content itself where it has none. It holds until the next
// call of keyText or text. Content of more than TEXT_MAX bytes stays as it is written: no name that a plugin compares
// with is that long.
// @ts-ignore: decorator
@inline export function text(content: Span, escaped: bool): Span {
  return escaped ? decodeToScratch(content) : content;
}

// keyIsEscaped reports whether the key read last holds a backslash.
// @ts-ignore: decorator
@inline export function keyIsEscaped(): bool {
  return keyEscaped;
}

// keyWord is a key of up to eight characters as one number, to be compared with word("name"); 0 for a longer one, or
// one with a NUL in it.
// @ts-ignore: decorator
@inline export function keyWord(): u64 {
  if (keyEscaped) return escapedWord();
  const n = lenOf(keySpan);
  return n > 8 ? 0 : wordAt(ptrOf(keySpan), n);
}

function escapedWord(): u64 {
  const k = keyText();
  const n = lenOf(k);
  if (n == 0 || n > 8) return 0;
  const w = wordAt(ptrOf(k), n);
  return ((w - (ONES >> (64 - (n << 3)))) & ~w & HIGHS) != 0 ? 0 : w;
}

// keyIs compares the key with a name of any length.
// @ts-ignore: decorator
@inline export function keyIs(name: Span): bool {
  return (keyEscaped || lenOf(keySpan) == lenOf(name)) && same(keyText(), name);
}

// raw is what string() or skip() read last.
// @ts-ignore: decorator
@inline export function raw(): Span {
  return rawSpan;
}

// escaped reports whether the string read last holds a backslash, so that raw() is not its text.
// @ts-ignore: decorator
@inline export function escaped(): bool {
  return rawEscaped;
}

// here is the address of the next byte to read, for callers that copy what they have walked over.
// @ts-ignore: decorator
@inline export function here(): usize {
  return at;
}

// decode writes the text of a string's raw content to `to`, which must have room for as many bytes, and returns it.
// Half a surrogate pair becomes U+FFFD.
export function decode(s: Span, to: usize): Span {
  let p = ptrOf(s), w = to;
  const last = p + lenOf(s);
  while (p < last) {
    const c = load<u8>(p);
    if (c != 0x5c) {
      store<u8>(w++, c);
      p++;
    } else if (load<u8>(p, 1) != 0x75) {
      store<u8>(w++, simpleEscape(load<u8>(p, 1)));
      p += 2;
    } else {
      const code = hex4(p + 2);
      p += 6;
      if ((code & 0xfc00) == 0xd800 && p < last && load<u16>(p) == 0x755c && (hex4(p + 2) & 0xfc00) == 0xdc00) {
        w = putRune(w, 0x10000 + ((code & 0x3ff) << 10) + (hex4(p + 2) & 0x3ff));
        p += 6;
      } else {
        w = putRune(w, (code & 0xf800) == 0xd800 ? 0xfffd : code);
      }
    }
  }
  return between(to, w);
}

let number: i64 = 0;

// integer reports whether raw text is a whole number of 64 bits, without fraction and exponent, which value() then is.
export function integer(s: Span): bool {
  let p = ptrOf(s), n = lenOf(s);
  const negative = n != 0 && load<u8>(p) == 0x2d;
  if (negative) {
    p++;
    n--;
  }
  if (n == 0 || n > 19) return false;
  let v: u64 = 0;
  for (const end = p + n; p < end; p++) {
    const c = load<u8>(p);
    if (!isDigit(c)) return false;
    v = v * 10 + <u64>(c - 0x30);
  }
  number = negative ? -<i64>v : <i64>v;
  return v <= <u64>i64.MAX_VALUE + <u64>negative;
}

// value is the number that integer() read last.
// @ts-ignore: decorator
@inline export function value(): i64 {
  return number;
}

// float is the number that raw text stands for: the double nearest to it, an infinity where it is too large for one, NaN
// where the text is no number.
export function float(s: Span): f64 {
  return parse(s);
}

function failAt(p: usize): bool {
  stop = p;
  at = 0;
  return false;
}

function enter(bracket: u8): bool {
  if (at == 0) return false;
  if (load<u8>(at) != bracket || depth == DEPTH_MAX) return failAt(at);
  depth++;
  at = blanks(at + 1);
  fresh = true;
  return true;
}

// next steps over the comma that is due and returns where the next member or element begins, 0 at the closing bracket or
// a fault. Having left a container its parent is never fresh.
// @ts-ignore: decorator
@inline function next(closing: u8): usize {
  if (at == 0) return 0;
  let p = blanks(at);
  const c = load<u8>(p);
  if (c == closing) {
    at = p + 1;
    depth--;
    fresh = false;
    return 0;
  }
  if (fresh) {
    fresh = false;
    return p;
  }
  if (c != 0x2c) {
    failAt(p);
    return 0;
  }
  return blanks(p + 1);
}

// @ts-ignore: decorator
@inline function blanks(p: usize): usize {
  return load<u8>(p) > 0x20 ? p : manyBlanks(p);
}

function manyBlanks(p: usize): usize {
  while (true) {
    const c = load<u8>(p);
    if (c != 0x20 && c != 0x0a && c != 0x0d && c != 0x09) return p;
    p++;
  }
}

// @ts-ignore: decorator
@inline function isDigit(c: u32): bool {
  return c - 0x30 < 10;
}

// scanString finds the quote that ends the string whose content begins at p; 0 is a fault. Eight bytes at a time: a byte
// is of interest when it is a quote, a backslash or below 0x20, and the lowest one found is exact, because a borrow only
// ever disturbs bytes above a hit.
// @ts-ignore: decorator
@inline function scanString(p: usize): usize {
  sawEscape = false;
  while (true) {
    const x = load<u64>(p);
    const hit = (((x ^ QUOTES) - ONES) | ((x ^ SLASHES) - ONES) | (x - SPACES)) & ~x & HIGHS;
    if (hit == 0) {
      p += 8;
      continue;
    }
    p += <usize>(ctz(hit) >> 3);
    const c = load<u8>(p);
    if (c == 0x22) return p;
    const after = c == 0x5c ? skipEscape(p) : 0;
    if (after == 0) {
      failAt(p);
      return 0;
    }
    sawEscape = true;
    p = after;
  }
}

// skipEscape returns the byte after the escape at p, 0 where it is none.
function skipEscape(p: usize): usize {
  const c = load<u8>(p, 1);
  if (c == 0x75) {
    for (let i: usize = 2; i < 6; i++) if (hexDigit(load<u8>(p + i)) < 0) return 0;
    return p + 6;
  }
  return simpleEscape(c) == 0 ? 0 : p + 2;
}

// simpleEscape is the character that \c stands for, 0 where that is no escape.
function simpleEscape(c: u8): u8 {
  switch (c) {
    case 0x22: case 0x5c: case 0x2f: return c;
    case 0x62: return 0x08;
    case 0x66: return 0x0c;
    case 0x6e: return 0x0a;
    case 0x72: return 0x0d;
    case 0x74: return 0x09;
    default: return 0;
  }
}

function hexDigit(c: u32): i32 {
  if (isDigit(c)) return c - 0x30;
  const letter = (c | 0x20) - 0x61;
  return letter < 6 ? <i32>letter + 10 : -1;
}

function hex4(p: usize): u32 {
  let v: u32 = 0;
  for (let i: usize = 0; i < 4; i++) v = (v << 4) | (<u32>hexDigit(load<u8>(p + i)) & 0xf);
  return v;
}

function putRune(w: usize, r: u32): usize {
  if (r < 0x80) {
    store<u8>(w, <u8>r);
    return w + 1;
  }
  if (r < 0x800) {
    store<u8>(w, <u8>(0xc0 | (r >> 6)));
    store<u8>(w, <u8>(0x80 | (r & 0x3f)), 1);
    return w + 2;
  }
  if (r < 0x10000) {
    store<u8>(w, <u8>(0xe0 | (r >> 12)));
    store<u8>(w, <u8>(0x80 | ((r >> 6) & 0x3f)), 1);
    store<u8>(w, <u8>(0x80 | (r & 0x3f)), 2);
    return w + 3;
  }
  store<u8>(w, <u8>(0xf0 | (r >> 18)));
  store<u8>(w, <u8>(0x80 | ((r >> 12) & 0x3f)), 1);
  store<u8>(w, <u8>(0x80 | ((r >> 6) & 0x3f)), 2);
  store<u8>(w, <u8>(0x80 | (r & 0x3f)), 3);
  return w + 4;
}

// skipValue returns the byte after the value at p, which stands in `depth` objects and arrays; 0 is a fault.
function skipValue(p: usize, depth: u32): usize {
  const c = load<u8>(p);
  if (c == 0x22) {
    p = scanString(p + 1);
    return p == 0 ? 0 : p + 1;
  }
  if (c == 0x2d || isDigit(c)) return skipNumber(p);
  if (c == 0x7b) return skipObject(p, depth);
  if (c == 0x5b) return skipArray(p, depth);
  const w = load<u32>(p);
  if (w == 0x65757274 || w == 0x6c6c756e) return p + 4; // true, null
  if (w == 0x736c6166 && load<u8>(p, 4) == 0x65) return p + 5; // false
  failAt(p);
  return 0;
}

function skipNumber(p: usize): usize {
  let c: u32 = load<u8>(p);
  if (c == 0x2d) c = load<u8>(++p);
  if (c == 0x30) {
    c = load<u8>(++p);
  } else {
    const from = p;
    p = skipDigits(p);
    if (p == 0) return 0;
    c = load<u8>(p);
  }
  if (c == 0x2e) {
    p = skipDigits(p + 1);
    if (p == 0) return 0;
    c = load<u8>(p);
  }
  if ((c | 0x20) == 0x65) {
    c = load<u8>(++p);
    if (c == 0x2b || c == 0x2d) p++;
    p = skipDigits(p);
  }
  return p;
}

// skipDigits steps over at least one digit.
function skipDigits(p: usize): usize {
  const from = p;
  while (isDigit(load<u8>(p))) p++;
  if (p != from) return p;
  failAt(p);
  return 0;
}

function skipObject(p: usize, depth: u32): usize {
  if (depth >= DEPTH_MAX) {
    failAt(p);
    return 0;
  }
  p = blanks(p + 1);
  if (load<u8>(p) == 0x7d) return p + 1;
  while (true) {
    if (load<u8>(p) != 0x22) break;
    p = scanString(p + 1);
    if (p == 0) return 0;
    p = blanks(p + 1);
    if (load<u8>(p) != 0x3a) break;
    p = skipValue(blanks(p + 1), depth + 1);
    if (p == 0) return 0;
    p = blanks(p);
    const c = load<u8>(p);
    if (c == 0x7d) return p + 1;
    if (c != 0x2c) break;
    p = blanks(p + 1);
  }
  failAt(p);
  return 0;
}

function skipArray(p: usize, depth: u32): usize {
  if (depth >= DEPTH_MAX) {
    failAt(p);
    return 0;
  }
  p = blanks(p + 1);
  if (load<u8>(p) == 0x5d) return p + 1;
  while (true) {
    p = skipValue(p, depth + 1);
    if (p == 0) return 0;
    p = blanks(p);
    const c = load<u8>(p);
    if (c == 0x5d) return p + 1;
    if (c != 0x2c) break;
    p = blanks(p + 1);
  }
  failAt(p);
  return 0;
}

let scratch: usize = 0;

function decodeToScratch(content: Span): Span {
  if (lenOf(content) > TEXT_MAX) return content;
  if (scratch == 0) scratch = alloc(TEXT_MAX);
  return scratch == 0 ? content : decode(content, scratch);
}
