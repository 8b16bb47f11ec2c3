// Numbers of 64 bits as decimal text and back, both exact: parse gives the double nearest to the text (ties to even), and
// write the shortest text that parse gives back. The method is Russ Cox's "unrounded scaling" (research.swtch.com/fp, 2026): a
// product with a power of ten of 128 bits of which two bits behind the point are kept, the second saying whether anything
// follows. WebAssembly multiplies 64 bits by 64 only to 64, hence mulHigh.
import { alloc } from "./arena";
import { POW10_MAX, POW10_MIN, pow10 } from "./pow10";
import { Span, copy, lenOf, ptrOf } from "./span";

// TEXT_MAX is the length of the longest text that write writes: -1.2345678901234567e-308.
export const TEXT_MAX: u32 = 25;

const DIGITS_MAX: u32 = 19; // what fits 64 bits
const EXACT_MAX: i32 = 800; // further digits decide nothing but whether there are any: a midpoint of doubles has at most 767
const CHUNK: u32 = 1000000000; // as many digits as 32 bits hold
const FIVES: u32 = 1220703125; // 5^13, the largest power of 5 that 32 bits hold
const HIDDEN: u64 = 1 << 52;
const INFINITY: u64 = 0x7ff << 52;

// parse is the number that a JSON number's text stands for: an infinity where it is too large, and NaN where the text is no
// number. It never allocates but the first time it meets a number of more than 19 digits that lies at a midpoint.
export function parse(s: Span): f64 {
  let p = ptrOf(s);
  const end = p + lenOf(s);
  const negative = p < end && load<u8>(p) == 0x2d;
  if (negative) p++;
  const first = p;
  let d: u64 = 0, digits: u32 = 0, scale: i32 = 0, point = false, cut = false, any = false;
  for (; p < end; p++) {
    const c = <u32>load<u8>(p) - 0x30;
    if (c < 10) {
      any = true;
      if (digits < DIGITS_MAX) {
        d = d * 10 + <u64>c;
        if (d != 0) digits++;
        if (point) scale--;
      } else {
        cut = cut || c != 0;
        if (!point) scale++;
      }
    } else if (c == 0xfffffffe && !point) { // the byte is a point
      point = true;
    } else {
      break;
    }
  }
  if (!any) return NaN;
  const mantissa = p;
  if (p < end) {
    const e = exponent(p, end);
    if (e == i32.MIN_VALUE) return NaN;
    scale += e;
  }
  let bits = nearest(d, scale);
  if (cut) {
    const above = nearest(d + 1, scale);
    if (bits != above && aboveMidpoint(first, mantissa, scale, digits, bits)) bits = above;
  }
  return reinterpret<f64>(negative ? bits | (1 << 63) : bits);
}

// exponent reads e+12 up to the end; i32.MIN_VALUE is none. A large one is cut where it no longer matters.
function exponent(p: usize, end: usize): i32 {
  if ((<u32>load<u8>(p++) | 0x20) != 0x65 || p == end) return i32.MIN_VALUE;
  const c = load<u8>(p);
  if (c == 0x2b || c == 0x2d) p++;
  if (p == end) return i32.MIN_VALUE;
  let e: i32 = 0;
  for (; p < end; p++) {
    const digit = <u32>load<u8>(p) - 0x30;
    if (digit > 9) return i32.MIN_VALUE;
    if (e < 100000000) e = e * 10 + <i32>digit;
  }
  return c == 0x2d ? -e : e;
}

// nearest is the bits of the double nearest to d × 10^p.
function nearest(d: u64, p: i32): u64 {
  if (d == 0 || p < POW10_MIN) return 0;
  if (p > POW10_MAX) return INFINITY;
  const b = 64 - <i32>clz(d);
  const lp = log2Pow10(p);
  let e = min<i32>(1074, 53 - b - lp);
  let u = scaled(d << (64 - b), p, -(e - (64 - b) + lp + 3));
  if (u >= (HIDDEN << 3) - 2) { // it rounds to 2^53 or more
    u = (u >> 1) | (u & 1);
    e--;
  }
  const m = round(u);
  if (m < HIDDEN) return m;
  return 1075 - e >= 2047 ? INFINITY : (m - HIDDEN) | (<u64>(1075 - e) << 52);
}

// scaled is x × 10^p × 2^-s (with the power of ten's own exponent taken off) unrounded: its whole part, a bit for the half,
// and one that says whether anything follows.
function scaled(x: u64, p: i32, s: i32): u64 {
  if (s >= 64) return 1;
  const power = pow10() + (<usize>(p - POW10_MIN) << 4);
  const a = load<u64>(power), mid = x * a;
  let hi = mulHigh(x, a), sticky: u64 = 1;
  if ((hi & ((<u64>1 << s) - 1)) == 0) {
    const mid2 = mulHigh(x, load<u64>(power, 8));
    sticky = <u64>(mid - mid2 > 1);
    hi -= <u64>(mid < mid2);
  }
  return (hi >> s) | sticky;
}

function mulHigh(x: u64, y: u64): u64 {
  const x0 = x & 0xffffffff, x1 = x >> 32, y0 = y & 0xffffffff, y1 = y >> 32;
  const w = x1 * y0 + ((x0 * y0) >> 32);
  return x1 * y1 + (w >> 32) + (((w & 0xffffffff) + x0 * y1) >> 32);
}

// @ts-ignore: decorator
@inline function round(u: u64): u64 {
  return (u + 1 + ((u >> 2) & 1)) >> 2;
}

// @ts-ignore: decorator
@inline function log2Pow10(x: i32): i32 {
  return (x * 108853) >> 15;
}

// @ts-ignore: decorator
@inline function log10Pow2(x: i32): i32 {
  return (x * 78913) >> 18;
}

// write writes the shortest text of a finite number, in the form JSON.stringify gives it, to `to`, which must have room for
// TEXT_MAX bytes and the slack of a buffer. It returns the address behind it.
export function write(to: usize, v: f64): usize {
  let bits = reinterpret<u64>(v);
  if (bits >> 63 != 0 && v != 0) store<u8>(to++, 0x2d);
  bits &= ~(<u64>1 << 63);
  if (bits == 0) {
    store<u8>(to, 0x30);
    return to + 1;
  }
  if (!isShort(reinterpret<f64>(bits))) shorten(bits);
  return layOut(to);
}

let digits: u64 = 0; // what shorten made: digits × 10^power
let power: i32 = 0;

// isShort reports whether a number is whole, or has up to four places, and at most 15 digits, as prices do: then no other
// decimal of so few digits is as near, and they are found without a table (BenchmarkStrategyReports).
function isShort(v: f64): bool {
  power = 0;
  if (v >= 1e11) return false;
  let scaled = v;
  if (floor(v) != v) {
    scaled = floor(v * 1e4 + 0.5);
    if (scaled / 1e4 != v) return false;
    power = -4;
  }
  digits = <u64>scaled;
  while (power < 0 && digits % 10 == 0) {
    digits /= 10;
    power++;
  }
  return true;
}

function shorten(bits: u64): void {
  let m = bits & (HIDDEN - 1), e = <i32>(bits >> 52);
  if (e == 0) e = 1;
  else m |= HIDDEN;
  const shift = <i32>clz(m);
  m <<= shift;
  e -= 1075 + shift;
  const least = -1085; // the exponent of the smallest normal number, and of what is smaller if it were normal
  let z = 11, p: i32, low: u64;
  if (m == 1 << 63 && e > least) { // below a power of two numbers are twice as close
    p = -((e + z) * 631305 - 261663 >> 21);
    low = m - (<u64>1 << (z - 2));
  } else {
    if (e < least) z = 11 + (least - e);
    p = -log10Pow2(e + z);
    low = m - (<u64>1 << (z - 1));
  }
  const high = m + (<u64>1 << (z - 1)), odd = (m >> z) & 1;
  const s = -(e + log2Pow10(p) + 3);
  const from = (scaled(low, p, s) + odd + 3) >> 2;
  const upTo = (scaled(high, p, s) - odd) >> 2;
  let d = upTo / 10;
  power = -p;
  if (d * 10 >= from) {
    power++;
    while (d % 10 == 0) {
      d /= 10;
      power++;
    }
  } else {
    d = from;
    if (d < upTo) d = round(scaled(m, p, s));
  }
  digits = d;
}

// layOut writes digits × 10^power.
function layOut(to: usize): usize {
  const n = spell();
  const point = n + power; // where the point stands, counted from before the first digit
  if (point > 21 || point < -5) {
    to = put(to, n, 1);
    store<u8>(to++, 0x65);
    let e = point - 1;
    store<u8>(to++, e < 0 ? 0x2d : 0x2b);
    digits = abs(e);
    e = spell();
    return put(to, e, e);
  }
  if (point <= 0) {
    store<u64>(to, 0x3030303030302e30); // 0.000000
    return put(to + 2 - point, n, n);
  }
  to = put(to, n, point);
  for (; power > 0; power--) store<u8>(to++, 0x30);
  return to;
}

const SPELT: u32 = 24; // digits that spell writes
const spelt = memory.data(32, 8);

// spell writes the digits to the end of spelt, zeros before them, and returns how many they are.
function spell(): i32 {
  const middle = digits / 100000000, top = middle / 100000000;
  store<u8>(spelt, 0x30 + <u32>top, 7);
  store<u64>(spelt, eight(middle - top * 100000000), 8);
  store<u64>(spelt, eight(digits - middle * 100000000), 16);
  let p = 7; // a double has at most 17 digits
  while (p < 23 && load<u8>(spelt + p) == 0x30) p++;
  return <i32>SPELT - p;
}

// eight is the eight digits of a number below 10^8 as text: all of them at once, by halves, quarters and eighths of a word.
// @ts-ignore: decorator
@inline function eight(v: u64): u64 {
  const high = (v * 109951163) >> 40;
  let y = high | ((v - high * 10000) << 32);
  let t = ((y * 10486) >> 20) & 0x0000007f0000007f;
  y = t | ((y - t * 100) << 16);
  t = ((y * 103) >> 10) & 0x000f000f000f000f;
  return (t | ((y - t * 10) << 8)) + 0x3030303030303030;
}

// put writes the n digits that are spelt, and a point behind as many of them as `point` says where more follow.
function put(to: usize, n: i32, point: i32): usize {
  const from = spelt + SPELT - n;
  copy(to, from, n);
  if (point >= n) return to + n;
  store<u8>(to + point, 0x2e);
  copy(to + point + 1, from + point, n - point);
  return to + n + 1;
}

// Whole numbers of many bits, for the one question that 128 bits do not answer: on which side of a midpoint a number of more
// than 19 digits lies. limbs 0 is how many limbs of 32 bits follow, the lowest first.
const LIMBS: u32 = 180;
let left: usize = 0;
let right: usize = 0;

// aboveMidpoint reports whether the number written from first to mantissa, whose first `taken` digits times 10^scale lie
// next to the double `bits`, lies above the middle between it and the next one, or on it where the next one is even.
function aboveMidpoint(first: usize, mantissa: usize, scale: i32, taken: u32, bits: u64): bool {
  if (left == 0) {
    left = alloc(4 * LIMBS);
    right = left == 0 ? 0 : alloc(4 * LIMBS);
  }
  if (right == 0) return false;
  store<u32>(left, 0);
  let n: i32 = 0, last: u32 = 0, chunk: u32 = 0, unit: u32 = 1;
  for (let p = first; p < mantissa; p++) {
    const c = <u32>load<u8>(p) - 0x30;
    if (c > 9 || (n == 0 && c == 0)) continue;
    if (n++ >= EXACT_MAX) {
      last |= c;
      continue;
    }
    chunk = chunk * 10 + c;
    unit *= 10;
    if (unit != CHUNK) continue;
    multiplyAdd(left, CHUNK, chunk);
    chunk = 0;
    unit = 1;
  }
  multiplyAdd(left, unit, chunk);
  const used = min(n, EXACT_MAX);
  if (last != 0) multiplyAdd(left, 10, 1);
  let ten = scale - (used - <i32>taken) - <i32>(last != 0);
  const field = <i32>(bits >> 52);
  const m = (field == 0 ? bits : (bits & (HIDDEN - 1)) | HIDDEN) * 2 + 1;
  let two = max(field, 1) - 1076; // the midpoint is m × 2^two
  store<u32>(right, 0);
  multiplyAdd(right, 1, <u32>(m >> 32));
  shiftUp(right, 32);
  multiplyAdd(right, 1, <u32>m);
  two -= ten; // ten is five times two
  const big = ten > 0 ? left : right;
  for (ten = abs(ten); ten >= 13; ten -= 13) multiplyAdd(big, FIVES, 0);
  for (; ten > 0; ten--) multiplyAdd(big, 5, 0);
  if (two > 0) shiftUp(right, two);
  else shiftUp(left, -two);
  const order = compare(left, right);
  return order > 0 || (order == 0 && (bits & 1) != 0);
}

function multiplyAdd(limbs: usize, factor: u32, plus: u32): void {
  const n = load<u32>(limbs);
  let carry = <u64>plus;
  for (let i: u32 = 1; i <= n; i++) {
    const at = limbs + (i << 2);
    carry += <u64>load<u32>(at) * factor;
    store<u32>(at, <u32>carry);
    carry >>= 32;
  }
  if (carry == 0) return;
  store<u32>(limbs + ((n + 1) << 2), <u32>carry);
  store<u32>(limbs, n + 1);
}

function shiftUp(limbs: usize, bits: i32): void {
  for (let b = bits & 31; b > 0; b -= 16) multiplyAdd(limbs, 1 << min(b, 16), 0);
  const whole = <u32>(bits >> 5), n = load<u32>(limbs);
  if (whole == 0 || n == 0) return;
  memory.copy(limbs + 4 + (whole << 2), limbs + 4, n << 2);
  memory.fill(limbs + 4, 0, whole << 2);
  store<u32>(limbs, n + whole);
}

function compare(a: usize, b: usize): i32 {
  const n = load<u32>(a), m = load<u32>(b);
  if (n != m) return n < m ? -1 : 1;
  for (let i = n; i > 0; i--) {
    const x = load<u32>(a + (i << 2)), y = load<u32>(b + (i << 2));
    if (x != y) return x < y ? -1 : 1;
  }
  return 0;
}
