use crate::pow10::{MAX, MIN, POW10};
use crate::{Doc, Writer};

// Numbers of 64 bits as decimal text and back. The method is Russ Cox's "unrounded scaling" (research.swtch.com/fp, 2026): a
// product with a power of ten of 128 bits, of which two bits behind the point are kept, the second saying whether anything
// follows. What core::fmt writes is not always the same as the other SDKs write: of two nearest it takes the upper one.

const HIDDEN: u64 = 1 << 52;
const INFINITY: u64 = 0x7ff << 52;

/// scaled is x × 10^p × 2^-s, with the power's own exponent taken off: its whole part, a bit for the half, and one that says
/// whether anything follows.
#[inline(never)]
fn scaled(x: u64, p: i32, s: i32) -> u64 {
    let (a, b) = match POW10.get((p - MIN) as usize) {
        Some(power) if s < 64 => *power,
        _ => return 1,
    };
    let product = x as u128 * a as u128;
    let (mut hi, mid, mut sticky) = ((product >> 64) as u64, product as u64, 1);
    if hi & ((1 << s) - 1) == 0 {
        let mid2 = ((x as u128 * b as u128) >> 64) as u64;
        sticky = (mid.wrapping_sub(mid2) > 1) as u64;
        hi -= (mid < mid2) as u64;
    }
    hi >> s | sticky
}

fn round(u: u64) -> u64 {
    (u + 1 + (u >> 2 & 1)) >> 2
}

fn log2_pow10(x: i32) -> i32 {
    (x * 108853) >> 15
}

fn log10_pow2(x: i32) -> i32 {
    (x * 78913) >> 18
}

/// nearest is the bits of the double nearest to d × 10^p.
#[inline(never)]
fn nearest(d: u64, p: i32) -> u64 {
    if d == 0 || p < MIN {
        return 0;
    }
    if p > MAX {
        return INFINITY;
    }
    let shift = d.leading_zeros() as i32;
    let lp = log2_pow10(p);
    let mut e = (53 - (64 - shift) - lp).min(1074);
    let mut u = scaled(d << shift, p, -(e - shift + lp + 3));
    if u >= (HIDDEN << 3) - 2 {
        u = u >> 1 | u & 1; // it rounds to 2^53 or more
        e -= 1;
    }
    let m = round(u);
    if m < HIDDEN {
        m
    } else if 1075 - e >= 2047 {
        INFINITY
    } else {
        (m - HIDDEN) | ((1075 - e) as u64) << 52
    }
}

/// The number that a number's text stands for: the nearest, of more than 19 digits the first 19 counting; None where it is
/// none or over the largest.
pub fn float(number: &[u8]) -> Option<f64> {
    let (negative, text) = match number.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, number),
    };
    let (mut d, mut digits, mut scale, mut point, mut any, mut behind) = (0u64, 0, 0i32, false, false, text.len());
    for (i, &c) in text.iter().enumerate() {
        match c {
            b'.' if !point => point = true,
            b'0'..=b'9' => {
                any = true;
                if digits < 19 {
                    d = d * 10 + (c - b'0') as u64;
                    digits += (d != 0) as i32;
                    scale -= point as i32;
                } else {
                    scale += !point as i32;
                }
            }
            _ => {
                behind = i;
                break;
            }
        }
    }
    if !any {
        return None;
    }
    scale += exponent(text.get(behind..).unwrap_or(&[]))?;
    let bits = nearest(d, scale);
    if bits >= INFINITY {
        return None;
    }
    Some(f64::from_bits(bits | (negative as u64) << 63))
}

/// exponent reads e+12 up to the end, or nothing. A large one is cut where it no longer matters.
fn exponent(text: &[u8]) -> Option<i32> {
    let text = match text.split_first() {
        None => return Some(0),
        Some((b'e' | b'E', rest)) => rest,
        Some(_) => return None,
    };
    let (down, text) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    if text.is_empty() {
        return None;
    }
    let mut e = 0;
    for &c in text {
        if !c.is_ascii_digit() {
            return None;
        }
        if e < 100_000_000 {
            e = e * 10 + (c - b'0') as i32;
        }
    }
    Some(if down { -e } else { e })
}

/// Whether a value is neither NaN nor infinite.
#[inline(always)]
pub(crate) fn is_number(v: f64) -> bool {
    v - v == 0.0
}

impl Doc<'_> {
    /// The value as a number; see [`float`](crate::float).
    pub fn float(self) -> Option<f64> {
        float(self.bytes())
    }
}

/// The shortest decimal of a number, its sign apart: digits and the power of ten that they are times. Of several it is the
/// nearest.
#[inline(never)]
fn shortest(v: f64) -> (u64, i32) {
    let bits = v.to_bits() & !(1 << 63);
    if bits == 0 {
        return (0, 0);
    }
    let (mut m, mut e) = (bits & (HIDDEN - 1), (bits >> 52) as i32);
    if e == 0 {
        e = 1;
    } else {
        m |= HIDDEN;
    }
    let shift = m.leading_zeros() as i32;
    m <<= shift;
    e -= 1075 + shift;
    const LEAST: i32 = -1085; // the exponent of the smallest normal number, and of what is smaller if it were normal
    let mut z = 11;
    let (p, low) = if m == 1 << 63 && e > LEAST {
        (-(((e + z) * 631305 - 261663) >> 21), m - (1 << (z - 2))) // below a power of two numbers are twice as close
    } else {
        if e < LEAST {
            z = 11 + (LEAST - e);
        }
        (-log10_pow2(e + z), m - (1 << (z - 1)))
    };
    let (high, odd, s) = (m + (1 << (z - 1)), m >> z & 1, -(e + log2_pow10(p) + 3));
    let (from, up_to) = ((scaled(low, p, s) + odd + 3) >> 2, (scaled(high, p, s) - odd) >> 2);
    let d = up_to / 10;
    if d * 10 >= from {
        return trimmed(d, 1 - p);
    }
    (if from < up_to { round(scaled(m, p, s)) } else { from }, -p)
}

fn trimmed(mut digits: u64, mut power: i32) -> (u64, i32) {
    if digits == 0 {
        return (0, 0);
    }
    while digits % 10 == 0 {
        digits /= 10;
        power += 1;
    }
    (digits, power)
}

/// rounded is digits times 10 to the power, with at most so many decimals, half away from zero.
fn rounded(mut digits: u64, mut power: i32, decimals: i32) -> (u64, i32) {
    if -power <= decimals {
        return (digits, power);
    }
    let mut last = 0;
    while -power > decimals && digits > 0 {
        last = digits % 10;
        digits /= 10;
        power += 1;
    }
    if -power > decimals {
        return (0, 0);
    }
    trimmed(digits + (last >= 5) as u64, power)
}

impl Writer {
    /// Writes the shortest text that reads back as the same number, as JSON.stringify does: null for what JSON has no number
    /// for.
    pub fn put_float(&mut self, v: f64) {
        self.put_rounded(v, 400)
    }

    /// Writes a number with at most so many decimals: what [`put_float`](Writer::put_float) would write, rounded half away
    /// from zero, so that 1.005 with two is 1.01. Zeros at the end are left out.
    pub fn put_rounded(&mut self, v: f64, decimals: u16) {
        if !is_number(v) {
            return self.put("null");
        }
        let (digits, power) = shortest(v);
        let (digits, power) = rounded(digits, power, decimals as i32);
        if v < 0.0 && digits != 0 {
            self.put_byte(b'-');
        }
        self.put_decimal(digits, power);
    }

    /// put_decimal lays digits out: plainly from 10^-6 up to below 10^21, else with an exponent.
    fn put_decimal(&mut self, digits: u64, power: i32) {
        let (mut n, mut rest) = (1, digits);
        while rest >= 10 {
            n += 1;
            rest /= 10;
        }
        let point = n + power; // where the point stands, counted from before the first digit
        if !(-5..=21).contains(&point) {
            self.put_digits(digits, n, 1);
            self.put(if point < 1 { "e-" } else { "e+" });
            self.put_int((point - 1).unsigned_abs() as i64);
        } else if point <= 0 {
            self.put("0.");
            for _ in point..0 {
                self.put_byte(b'0');
            }
            self.put_digits(digits, n, n);
        } else {
            self.put_digits(digits, n, point);
            for _ in 0..power.max(0) {
                self.put_byte(b'0');
            }
        }
    }

    /// put_digits writes n digits, and a point behind as many of them as `point` says where more follow.
    fn put_digits(&mut self, digits: u64, n: i32, point: i32) {
        let (mut text, mut rest, mut at) = ([0u8; 24], digits, 24);
        for i in (0..n).rev() {
            at -= 1;
            if let Some(c) = text.get_mut(at) {
                *c = b'0' + (rest % 10) as u8;
            }
            rest /= 10;
            if i == point {
                at -= 1;
                if let Some(c) = text.get_mut(at) {
                    *c = b'.';
                }
            }
        }
        self.put(text.get(at..).unwrap_or(&[]));
    }
}
