use core::mem::MaybeUninit;

/// A string of a document: what stands between its quotes.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    raw: &'a [u8],
    escaped: bool,
}

impl Default for Text<'_> {
    /// The empty string.
    fn default() -> Self {
        Text { raw: &[], escaped: false }
    }
}

impl<'a> Text<'a> {
    #[inline(always)]
    pub(crate) fn new(raw: &'a [u8], escaped: bool) -> Self {
        Text { raw, escaped }
    }

    /// The content as it was written. That is valid inside another JSON string as it is.
    #[inline(always)]
    pub fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// Whether it holds a backslash, so that [`raw`](Text::raw) is not its text.
    #[inline(always)]
    pub fn escaped(self) -> bool {
        self.escaped
    }

    /// Whether there is nothing between the quotes.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// Compares its text with another.
    #[inline(always)]
    pub fn is(self, text: impl AsRef<[u8]>) -> bool {
        let text = text.as_ref();
        if self.escaped {
            return self.is_decoded(text);
        }
        same(self.raw, text)
    }

    #[inline(never)]
    fn is_decoded(self, text: &[u8]) -> bool {
        let mut rest = text;
        for piece in self.pieces() {
            match rest.strip_prefix(piece.bytes()) {
                Some(r) => rest = r,
                None => return false,
            }
        }
        rest.is_empty()
    }

    /// Its text with the escapes resolved: the content itself where it has none, else written to `room`; None where that is
    /// too small. Half a surrogate pair becomes U+FFFD.
    #[inline(always)]
    pub fn text<'b, const N: usize>(self, room: &'b mut Room<N>) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        if self.escaped {
            room.decode(self)
        } else {
            Some(self.raw)
        }
    }

    /// pieces is its text in runs: what stands between escapes, and what each escape means.
    pub(crate) fn pieces(self) -> Pieces<'a> {
        Pieces { rest: self.raw }
    }
}

/// Room for the text of a string with escapes, N bytes. It costs nothing until it is written.
pub struct Room<const N: usize>([MaybeUninit<u8>; N]);

impl<const N: usize> Room<N> {
    /// An empty room.
    #[inline(always)]
    pub const fn new() -> Self {
        Room([MaybeUninit::uninit(); N])
    }

    #[inline(never)]
    fn decode(&mut self, text: Text) -> Option<&[u8]> {
        let mut n = 0;
        for piece in text.pieces() {
            for &c in piece.bytes() {
                self.0.get_mut(n)?.write(c);
                n += 1;
            }
        }
        // SAFETY: the first n have been written.
        Some(unsafe { core::slice::from_raw_parts(self.0.as_ptr().cast(), n) })
    }
}

impl<const N: usize> Default for Room<N> {
    fn default() -> Self {
        Room::new()
    }
}

/// A piece of a text.
pub(crate) enum Piece<'a> {
    Run(&'a [u8]),
    Char([u8; 4], usize),
}

impl Piece<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Piece::Run(run) => run,
            Piece::Char(c, n) => c.get(..*n).unwrap_or(&[]),
        }
    }
}

pub(crate) struct Pieces<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let first = *self.rest.first()?;
        if first != b'\\' {
            let n = self.rest.iter().position(|&c| c == b'\\').unwrap_or(self.rest.len());
            let (run, rest) = self.rest.split_at(n);
            self.rest = rest;
            return Some(Piece::Run(run));
        }
        let (code, n) = match unit(self.rest) {
            None => (simple(self.rest.get(1).copied().unwrap_or(b'\\')), 2),
            Some(high @ 0xd800..=0xdbff) => match unit(self.rest.get(6..).unwrap_or(&[])) {
                Some(low @ 0xdc00..=0xdfff) => (0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff), 12),
                _ => (0xfffd, 6),
            },
            Some(code) => (code, 6),
        };
        self.rest = self.rest.get(n..).unwrap_or(&[]);
        let mut bytes = [0; 4];
        let n = char::from_u32(code).unwrap_or('\u{fffd}').encode_utf8(&mut bytes).len();
        Some(Piece::Char(bytes, n))
    }
}

/// unit is the number of the \uxxxx that the text begins with.
fn unit(text: &[u8]) -> Option<u32> {
    if !text.starts_with(b"\\u") {
        return None;
    }
    let mut code = 0;
    for &c in text.get(2..6)? {
        code = code << 4 | (c as char).to_digit(16)?;
    }
    Some(code)
}

/// simple is the character that \c stands for.
fn simple(c: u8) -> u32 {
    match c {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => 0x0a,
        b'r' => 0x0d,
        b't' => 0x09,
        _ => c as u32,
    }
}

/// same compares bytes eight at a time: what is compared are names, too short for a call of a memcmp. Where one side is a
/// literal, its length and its words are constants.
#[inline(always)]
fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (mut x, mut y) = (a.chunks_exact(8), b.chunks_exact(8));
    let whole = x.by_ref().zip(y.by_ref()).all(|(x, y)| little(x) == little(y));
    whole && x.remainder().iter().zip(y.remainder()).all(|(x, y)| x == y)
}

#[inline(always)]
fn little(eight: &[u8]) -> u64 {
    eight.try_into().map_or(0, u64::from_le_bytes)
}

/// The raw text of a number as a whole number; None where it has a fraction or an exponent, is no number, or does not fit.
/// JSON has no leading zeros, so what fits has 19 digits at most, and those fit 64 bits unsigned.
pub fn integer(number: &[u8]) -> Option<i64> {
    let (negative, digits) = match number.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, number),
    };
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let mut v: u64 = 0;
    for &c in digits {
        if !c.is_ascii_digit() {
            return None;
        }
        v = v * 10 + (c - b'0') as u64;
    }
    if v > i64::MAX as u64 + negative as u64 {
        return None;
    }
    Some(if negative { v.wrapping_neg() as i64 } else { v as i64 })
}
