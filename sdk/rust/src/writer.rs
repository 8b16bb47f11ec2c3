use crate::memory::take;
use crate::text::Text;
use crate::{error_code, Answer, ERROR_TOO_LONG, OUTPUT_MAX};

const FIRST_BYTES: u32 = 64 << 10;

/// The answer, written into one buffer that every call reuses and that grows when it must. Writing past [`OUTPUT_MAX`], or
/// past the memory limit, loses nothing silently: [`result`](Writer::result) is then an error.
pub struct Writer {
    buffer: *mut u8, // of `size` bytes, all of them initialised: memory begins as zeros
    size: u32,
    pos: u32,  // where the next byte goes
    base: u32, // where this answer begins: behind the others of a batch
    full: bool, // something did not fit
}

impl Writer {
    pub(crate) const fn new() -> Self {
        Writer { buffer: core::ptr::null_mut(), size: 0, pos: 0, base: 0, full: false }
    }

    /// Starts over. Every hook is called with its answer started.
    #[inline(always)]
    pub fn begin(&mut self) {
        self.pos = self.base;
        self.full = false;
    }

    /// How much has been written.
    #[inline(always)]
    pub fn mark(&self) -> usize {
        (self.pos - self.base) as usize
    }

    /// Goes back to a mark; one that lies ahead changes nothing.
    #[inline(always)]
    pub fn reset(&mut self, mark: usize) {
        if mark < self.mark() {
            self.pos = self.base + mark as u32;
        }
    }

    /// Whether something did not fit.
    #[inline(always)]
    pub fn overflowed(&self) -> bool {
        self.full
    }

    /// What has been written from a mark on.
    #[inline(always)]
    pub fn written(&self, mark: usize) -> &[u8] {
        if self.buffer.is_null() {
            return &[];
        }
        let from = self.base as usize + mark.min(self.mark());
        // SAFETY: from <= pos <= size.
        unsafe { core::slice::from_raw_parts(self.buffer.add(from), self.pos as usize - from) }
    }

    /// Writes bytes as they are.
    #[inline(always)]
    pub fn put(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        if let Some(to) = self.room(bytes.len()) {
            // SAFETY: there is room for so many, and they do not overlap: who holds a reference to what is written cannot
            // write at the same time.
            unsafe { copy(bytes.as_ptr(), to, bytes.len()) };
        }
    }

    /// Writes one byte.
    #[inline(always)]
    pub fn put_byte(&mut self, c: u8) {
        if let Some(to) = self.room(1) {
            // SAFETY: there is room for it.
            unsafe { *to = c };
        }
    }

    /// Writes a whole number in decimal.
    #[inline(never)]
    pub fn put_int(&mut self, value: i64) {
        let mut digits = [0u8; 20];
        let (mut v, mut from) = (value.unsigned_abs(), digits.len());
        for (i, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (v % 10) as u8;
            v /= 10;
            from = i;
            if v == 0 {
                break;
            }
        }
        if value < 0 {
            self.put_byte(b'-');
        }
        self.put(digits.get(from..).unwrap_or(&[]));
    }

    /// Writes plain text as the content of a JSON string, escaping what must be.
    #[inline(never)]
    pub fn put_text(&mut self, text: &[u8]) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        for &c in text {
            match c {
                b'"' | b'\\' => {
                    self.put_byte(b'\\');
                    self.put_byte(c);
                }
                0..=0x1f => {
                    self.put("\\u00");
                    self.put_byte(b'0' + (c >> 4));
                    self.put_byte(HEX[(c & 15) as usize]);
                }
                _ => self.put_byte(c),
            }
        }
    }

    /// Writes a string of the document as plain text: its escapes resolved.
    pub fn put_decoded(&mut self, text: Text) {
        for piece in text.pieces() {
            self.put(piece.bytes());
        }
    }

    /// Writes a string of the document as the content of a JSON string in its shortest form: its escapes resolved, and those
    /// written that must be. (As it was written it is `put(text.raw())`.)
    pub fn put_again(&mut self, text: Text) {
        for piece in text.pieces() {
            self.put_text(piece.bytes());
        }
    }

    /// Writes four bytes, little endian.
    #[inline(always)]
    pub fn put_u32(&mut self, v: u32) {
        self.put(v.to_le_bytes());
    }

    /// Overwrites four bytes at a mark, which must have been written.
    #[inline(always)]
    pub fn patch_u32(&mut self, mark: usize, v: u32) {
        if mark.saturating_add(4) <= self.mark() {
            // SAFETY: the four bytes lie below pos.
            unsafe { self.buffer.add(self.base as usize + mark).cast::<u32>().write_unaligned(v) };
        }
    }

    /// What a hook returns for the answer it has written: DATA, or an error where it did not fit.
    #[inline(always)]
    pub fn result(&mut self) -> Answer {
        if self.full || self.room(0).is_none() {
            return error_code(ERROR_TOO_LONG);
        }
        let written = self.written(0);
        Answer::of(written.as_ptr(), written.len() as u32)
    }

    /// What a hook returns where what it has written is an error text.
    #[inline(always)]
    pub fn failure(&mut self) -> Answer {
        self.result().failed()
    }

    /// room returns the address where the next n bytes go and moves behind them.
    #[inline(always)]
    fn room(&mut self, n: usize) -> Option<*mut u8> {
        if n > (self.size - self.pos) as usize || self.size == 0 {
            self.grow(n)?;
        }
        // SAFETY: pos <= size.
        let to = unsafe { self.buffer.add(self.pos as usize) };
        self.pos += n as u32;
        Some(to)
    }

    /// grow makes room for n more bytes. The old buffer is left behind, so the size doubles at least.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, n: usize) -> Option<()> {
        let most = (OUTPUT_MAX - self.pos) as usize;
        let fresh = if self.full || n > most {
            None
        } else {
            let mut size = if self.size == 0 { FIRST_BYTES } else { self.size << 1 };
            while ((size - self.pos) as usize) < n {
                size <<= 1;
            }
            take(size).map(|block| (block, size))
        };
        self.full = fresh.is_none();
        let (block, size) = fresh?;
        // SAFETY: both hold at least pos bytes, and the new one is ours alone.
        unsafe { core::ptr::copy_nonoverlapping(self.buffer as *const u8, block, self.pos as usize) };
        self.buffer = block;
        self.size = size;
        Some(())
    }

    /// restart begins the answer of a call, which is alone in the buffer.
    #[inline(always)]
    pub(crate) fn restart(&mut self) {
        self.base = 0;
        self.begin();
    }

    /// nest begins an answer behind what has been written; unnest ends it, without bytes where `keep` is false, and returns
    /// how long it is.
    #[inline(always)]
    pub(crate) fn nest(&mut self) {
        self.base = self.pos;
    }

    #[inline(always)]
    pub(crate) fn unnest(&mut self) -> u32 {
        let len = self.pos - self.base;
        self.base = 0;
        len
    }

    /// settle makes the answer of so many bytes at ptr what has been written.
    pub(crate) fn settle(&mut self, ptr: *const u8, len: u32) {
        if core::ptr::eq(ptr, self.written(0).as_ptr()) {
            self.reset(len as usize);
            return;
        }
        self.reset(0);
        if let Some(to) = self.room(len as usize) {
            // SAFETY: an Answer is made of bytes that are there; they may be some of this buffer's.
            unsafe { core::ptr::copy(ptr, to, len as usize) };
        }
    }
}

/// copy moves n bytes; short pieces, which most are, cost less this way than by a memory.copy.
///
/// SAFETY: as for copy_nonoverlapping.
#[inline(always)]
unsafe fn copy(mut from: *const u8, mut to: *mut u8, mut n: usize) {
    if n > 64 {
        core::ptr::copy_nonoverlapping(from, to, n);
        return;
    }
    if n >= 8 {
        let (last_from, last_to) = (from.add(n - 8), to.add(n - 8));
        while from < last_from {
            to.cast::<u64>().write_unaligned(from.cast::<u64>().read_unaligned());
            from = from.add(8);
            to = to.add(8);
        }
        last_to.cast::<u64>().write_unaligned(last_from.cast::<u64>().read_unaligned()); // some of them twice
        return;
    }
    while n > 0 {
        *to = *from;
        from = from.add(1);
        to = to.add(1);
        n -= 1;
    }
}
