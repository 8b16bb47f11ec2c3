//! A walk over a document where it lies: nothing is built, and what is read comes back as parts of the input. All of RFC 8259
//! is checked on the way but UTF-8, which is the host's, so what was skipped or copied verbatim is valid JSON.
//!
//! What makes the `unsafe` in here sound: a [`Doc`] is only made of memory in which a zero, or the byte behind a value that
//! has been read whole, follows the content and 8 readable bytes follow that. Neither byte can be part of the value, so every
//! loop stops there by itself, and no step reads further than 8 bytes beyond.

use core::marker::PhantomData;
use core::ops::Deref;

use crate::Text;

/// How many objects and arrays may be inside each other, as the host limits them.
pub const DEPTH_MAX: u32 = 64;

/// A document, or a value of one as it was written. It derefs to its bytes.
#[derive(Clone, Copy)]
pub struct Doc<'a> {
    ptr: *const u8,
    len: u32,
    life: PhantomData<&'a [u8]>,
}

impl<'a> Doc<'a> {
    /// SAFETY: see above.
    #[inline(always)]
    pub(crate) unsafe fn new(ptr: *const u8, len: u32) -> Doc<'a> {
        Doc { ptr, len, life: PhantomData }
    }

    /// Its bytes.
    #[inline(always)]
    pub fn bytes(self) -> &'a [u8] {
        // SAFETY: a Doc is made of so many bytes, and nobody writes them while 'a lasts.
        unsafe { core::slice::from_raw_parts(self.ptr, self.len as usize) }
    }

    /// Begins to read it.
    #[inline(always)]
    pub fn open(self) -> Json<'a> {
        let mut json = Json {
            at: self.ptr,
            begin: self.ptr,
            end: self.ptr.wrapping_add(self.len as usize),
            stop: core::ptr::null(),
            depth: 0,
            fresh: false,
            key: Text::new(&[], false),
            life: PhantomData,
        };
        json.at = blanks(self.ptr);
        json
    }

    /// The value as a whole number; see [`integer`](crate::integer).
    pub fn integer(self) -> Option<i64> {
        crate::integer(self.bytes())
    }
}

impl Deref for Doc<'_> {
    type Target = [u8];
    #[inline(always)]
    fn deref(&self) -> &[u8] {
        self.bytes()
    }
}

impl AsRef<[u8]> for Doc<'_> {
    #[inline(always)]
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

/// What a value is, by its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Kind {
    /// What begins no value.
    Bad,
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

/// The reader.
///
/// ```ignore
/// let mut json = event.open();
/// json.object();
/// while json.member() {
///     if json.key_is("id") { id = json.string() } else { json.skip(); }
/// }
/// if !json.close() { return wse::error("not an object") }
/// ```
///
/// The first fault sticks: from then on every function answers false or None, so one look at [`close`](Json::close) is
/// enough. A value of another kind than the one asked for is a fault as well; [`peek`](Json::peek) asks without one.
pub struct Json<'a> {
    at: *const u8, // the next byte to read; null after a fault
    begin: *const u8,
    end: *const u8,
    stop: *const u8, // where reading failed
    depth: u32,      // objects and arrays entered and not left
    fresh: bool,     // just inside { or [, where no comma is due
    key: Text<'a>,   // read last
    life: PhantomData<&'a [u8]>,
}

impl<'a> Json<'a> {
    /// Ends reading: true when the document was whole, with nothing but blanks after its value.
    #[inline]
    pub fn close(&mut self) -> bool {
        if self.at.is_null() {
            return false;
        }
        let p = if self.at == self.end { self.at } else { blanks(self.at) };
        if p != self.end || self.depth != 0 {
            self.fail(p);
        }
        self.sound()
    }

    /// The offset of the byte that could not be read.
    pub fn fault(&self) -> usize {
        (self.stop as usize).wrapping_sub(self.begin as usize)
    }

    /// Whether there has been no fault so far.
    #[inline(always)]
    pub fn sound(&self) -> bool {
        !self.at.is_null()
    }

    /// What the next value is, without reading it. [`Kind::Bad`] is a fault.
    #[inline(always)]
    pub fn peek(&mut self) -> Kind {
        if self.at.is_null() {
            return Kind::Bad;
        }
        let c = byte(self.at);
        if c == b'"' {
            return Kind::String;
        }
        match c {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b't' => Kind::True,
            b'f' => Kind::False,
            b'n' => Kind::Null,
            b'-' | b'0'..=b'9' => Kind::Number,
            _ => {
                self.fail(self.at);
                Kind::Bad
            }
        }
    }

    /// Enters the next value, which must be an object.
    #[inline(always)]
    pub fn object(&mut self) -> bool {
        self.enter(b'{')
    }

    /// Enters the next value, which must be an array.
    #[inline(always)]
    pub fn array(&mut self) -> bool {
        self.enter(b'[')
    }

    /// Reads the next key of the object entered last and stands before its value. It returns false, and leaves the object,
    /// when there is none.
    #[inline(never)]
    pub fn member(&mut self) -> bool {
        let p = match self.next(b'}') {
            Some(p) => p,
            None => return false,
        };
        if byte(p) != b'"' {
            return self.fail(p);
        }
        let (to, escaped) = match scan(add(p, 1)) {
            Ok(end) => end,
            Err(stop) => return self.fail(stop),
        };
        self.key = Text::new(between(add(p, 1), to), escaped);
        let p = blanks(add(to, 1));
        if byte(p) != b':' {
            return self.fail(p);
        }
        self.at = blanks(add(p, 1));
        true
    }

    /// Stands before the next element of the array entered last. It returns false, and leaves the array, when there is none.
    #[inline(never)]
    pub fn element(&mut self) -> bool {
        match self.next(b']') {
            Some(p) => {
                self.at = p;
                true
            }
            None => false,
        }
    }

    /// Reads the next value, which must be a string.
    #[inline(never)]
    pub fn string(&mut self) -> Option<Text<'a>> {
        if self.at.is_null() {
            return None;
        }
        if byte(self.at) != b'"' {
            self.fail(self.at);
            return None;
        }
        let from = add(self.at, 1);
        match scan(from) {
            Ok((to, escaped)) => {
                self.at = add(to, 1);
                Some(Text::new(between(from, to), escaped))
            }
            Err(stop) => {
                self.fail(stop);
                None
            }
        }
    }

    /// Reads the next value whatever it is and returns all of it, verbatim. It can be opened in its turn.
    #[inline(always)]
    pub fn skip(&mut self) -> Option<Doc<'a>> {
        if self.at.is_null() {
            return None;
        }
        let from = self.at;
        let read = match byte(from) {
            b'"' => match skip_string(from) {
                to if to.is_null() => Err(fault_in(from)),
                to => Ok(to),
            },
            _ => skip(from, self.depth),
        };
        match read {
            Ok(to) => {
                self.at = to;
                // SAFETY: the value has been read whole, so the byte behind it ends it.
                Some(unsafe { Doc::new(from, to as u32 - from as u32) })
            }
            Err(stop) => {
                self.fail(stop);
                None
            }
        }
    }

    /// The key that [`member`](Json::member) read.
    #[inline(always)]
    pub fn key(&self) -> Text<'a> {
        self.key
    }

    /// Compares the key's text with a name.
    #[inline(always)]
    pub fn key_is(&self, name: &str) -> bool {
        self.key.is(name)
    }

    /// The offset of the next byte to read, for callers that copy what they have walked over; None after a fault.
    #[inline(always)]
    pub fn here(&self) -> Option<usize> {
        self.sound().then(|| self.at as usize - self.begin as usize)
    }

    #[inline(always)]
    fn fail(&mut self, p: *const u8) -> bool {
        self.stop = p;
        self.at = core::ptr::null();
        false
    }

    #[inline(always)]
    fn enter(&mut self, bracket: u8) -> bool {
        if self.at.is_null() {
            return false;
        }
        if byte(self.at) != bracket || self.depth == DEPTH_MAX {
            return self.fail(self.at);
        }
        self.depth += 1;
        self.fresh = true;
        self.at = blanks(add(self.at, 1));
        true
    }

    /// next steps over the comma that is due and returns where the next member or element begins, None at the closing
    /// bracket or a fault. Having left a container, its parent is never fresh.
    #[inline(always)]
    fn next(&mut self, closing: u8) -> Option<*const u8> {
        if self.at.is_null() {
            return None;
        }
        let p = blanks(self.at);
        let c = byte(p);
        if c == closing && self.depth > 0 {
            self.at = add(p, 1);
            self.depth -= 1;
            self.fresh = false;
            return None;
        }
        if self.fresh {
            self.fresh = false;
            return Some(p);
        }
        if c == b',' && self.depth > 0 {
            return Some(blanks(add(p, 1)));
        }
        self.fail(p);
        None
    }
}

#[inline(always)]
fn byte(p: *const u8) -> u8 {
    // SAFETY: see the top of this file.
    unsafe { *p }
}

#[inline(always)]
fn word(p: *const u8) -> u64 {
    // SAFETY: see the top of this file.
    unsafe { p.cast::<u64>().read_unaligned() }
}

#[inline(always)]
fn add(p: *const u8, n: usize) -> *const u8 {
    p.wrapping_add(n)
}

#[inline(always)]
fn between<'a>(from: *const u8, to: *const u8) -> &'a [u8] {
    // SAFETY: both are addresses in one document, `to` not below `from`.
    unsafe { core::slice::from_raw_parts(from, to as usize - from as usize) }
}

/// blanks steps over white space, of which there is none in what the host writes.
#[inline(always)]
fn blanks(p: *const u8) -> *const u8 {
    if byte(p) > b' ' {
        p
    } else {
        many_blanks(p)
    }
}

#[cold]
#[inline(never)]
fn many_blanks(mut p: *const u8) -> *const u8 {
    while matches!(byte(p), b' ' | b'\n' | b'\r' | b'\t') {
        p = add(p, 1);
    }
    p
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// scan finds the quote that ends the string whose content begins at p, and whether a backslash stands before it. Eight
/// bytes at a time: a byte is of interest when it is a quote, a backslash or below 0x20, and the lowest one found is exact,
/// because a borrow only ever disturbs bytes above a hit. An error is where the string cannot be read.
#[inline(always)]
fn scan(mut p: *const u8) -> Result<(*const u8, bool), *const u8> {
    let mut escaped = false;
    loop {
        let x = word(p);
        let quote = (x ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
        let slash = (x ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
        let hit = (quote | slash | x.wrapping_sub(ONES * 0x20)) & !x & HIGHS;
        if hit == 0 {
            p = add(p, 8);
            continue;
        }
        p = add(p, (hit.trailing_zeros() >> 3) as usize);
        match byte(p) {
            b'"' => return Ok((p, escaped)),
            b'\\' => {}
            _ => return Err(p),
        }
        let n = escape(p);
        if n == 0 {
            return Err(p);
        }
        p = add(p, n);
        escaped = true;
    }
}

/// escape is how long the escape at p is, 0 where it is none.
#[inline(never)]
fn escape(p: *const u8) -> usize {
    match byte(add(p, 1)) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
        b'u' if (2..6).all(|i| byte(add(p, i)).is_ascii_hexdigit()) => 6,
        _ => 0,
    }
}

/// skip_string returns the byte after the string at p, null where it cannot be read; fault_in is where.
#[inline(never)]
fn skip_string(p: *const u8) -> *const u8 {
    scan(add(p, 1)).map_or(core::ptr::null(), |(to, _)| add(to, 1))
}

#[cold]
#[inline(never)]
fn fault_in(p: *const u8) -> *const u8 {
    scan(add(p, 1)).map_or_else(|stop| stop, |(to, _)| to)
}

#[inline(never)]
fn skip_number(mut p: *const u8) -> Result<*const u8, *const u8> {
    if byte(p) == b'-' {
        p = add(p, 1);
    }
    p = if byte(p) == b'0' { add(p, 1) } else { digits(p)? };
    if byte(p) == b'.' {
        p = digits(add(p, 1))?;
    }
    if matches!(byte(p), b'e' | b'E') {
        p = add(p, 1);
        if matches!(byte(p), b'+' | b'-') {
            p = add(p, 1);
        }
        p = digits(p)?;
    }
    Ok(p)
}

/// digits steps over at least one digit.
#[inline(always)]
fn digits(from: *const u8) -> Result<*const u8, *const u8> {
    let mut p = from;
    while byte(p).is_ascii_digit() {
        p = add(p, 1);
    }
    if p == from {
        Err(p)
    } else {
        Ok(p)
    }
}

/// skip returns the byte after the value at p, which stands in `depth` objects and arrays. What it has entered is one bit a
/// level, an object's 1, so that it does not call itself.
#[inline(never)]
fn skip(mut p: *const u8, depth: u32) -> Result<*const u8, *const u8> {
    let mut objects: u64 = 0; // the lowest bit is the innermost
    let mut inside = 0;
    loop {
        match byte(p) {
            b'"' => {
                let to = skip_string(p);
                if to.is_null() {
                    return Err(fault_in(p));
                }
                p = to;
            }
            b'-' | b'0'..=b'9' => p = skip_number(p)?,
            open @ (b'{' | b'[') => {
                if depth + inside == DEPTH_MAX {
                    return Err(p);
                }
                p = blanks(add(p, 1));
                if byte(p) == open + 2 {
                    p = add(p, 1); // closed at once
                } else {
                    objects = objects << 1 | (open == b'{') as u64;
                    inside += 1;
                    if open == b'{' {
                        p = skip_key(p)?;
                    }
                    continue;
                }
            }
            _ => p = skip_name(p)?,
        }
        loop {
            // behind a value
            if inside == 0 {
                return Ok(p);
            }
            p = blanks(p);
            if byte(p) == b',' {
                break;
            }
            if byte(p) != (if objects & 1 == 1 { b'}' } else { b']' }) {
                return Err(p);
            }
            p = add(p, 1);
            objects >>= 1;
            inside -= 1;
        }
        p = blanks(add(p, 1));
        if objects & 1 == 1 {
            p = skip_key(p)?;
        }
    }
}

/// skip_key steps over a key and its colon.
#[inline(always)]
fn skip_key(p: *const u8) -> Result<*const u8, *const u8> {
    if byte(p) != b'"' {
        return Err(p);
    }
    let to = skip_string(p);
    if to.is_null() {
        return Err(fault_in(p));
    }
    let p = blanks(to);
    if byte(p) != b':' {
        return Err(p);
    }
    Ok(blanks(add(p, 1)))
}

/// skip_name steps over true, false or null.
#[inline(always)]
fn skip_name(p: *const u8) -> Result<*const u8, *const u8> {
    let four = word(p) as u32;
    if four == u32::from_le_bytes(*b"true") || four == u32::from_le_bytes(*b"null") {
        Ok(add(p, 4))
    } else if four == u32::from_le_bytes(*b"fals") && byte(add(p, 4)) == b'e' {
        Ok(add(p, 5))
    } else {
        Err(p)
    }
}
