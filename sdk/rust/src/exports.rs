//! What the exports that `plugin!` makes call.

use crate::memory::{take, Global};
use crate::{error, error_code, Answer, Doc, Writer, ERROR_TOO_LARGE, INPUT_MAX, NO, YES};

struct Input {
    buffer: *mut u8,
    capacity: u32,
}

static INPUT: Global<Input> = Global::new(Input { buffer: core::ptr::null_mut(), capacity: 0 });
static OUTPUT: Global<Writer> = Global::new(Writer::new());

/// wse_buffer.
pub fn buffer(cap: u32) -> u32 {
    // SAFETY: the host calls one export at a time, and none of them keeps the reference.
    let input = unsafe { &mut *INPUT.get() };
    if cap > INPUT_MAX {
        return 0;
    }
    if input.buffer.is_null() || cap > input.capacity {
        match take(cap) {
            Some(block) => *input = Input { buffer: block, capacity: cap },
            None => return 0,
        }
    }
    input.buffer as u32
}

/// with gives a hook the input buffer and the writer, or refuses a document that does not fit.
#[inline(always)]
fn with(len: u32, hook: impl FnOnce(*mut u8, &mut Writer) -> Answer) -> u64 {
    // SAFETY: the host calls one export at a time, and none of them keeps the references.
    let (input, out) = unsafe { (&*INPUT.get(), &mut *OUTPUT.get()) };
    if input.buffer.is_null() || len > input.capacity {
        return error_code(ERROR_TOO_LARGE).0;
    }
    out.restart();
    hook(input.buffer, out).0
}

/// one gives a hook the document of len bytes at ptr. A zero stands behind the document while it is read, which is what
/// the reader stops at; the byte that stood there is put back.
///
/// SAFETY: len bytes at ptr, and SLACK more, must belong to the input buffer.
#[inline(always)]
unsafe fn one(ptr: *mut u8, len: u32, out: &mut Writer, hook: &impl Fn(Doc<'_>, &mut Writer) -> Answer) -> Answer {
    let end = ptr.add(len as usize);
    let behind = end.replace(0);
    let answer = hook(Doc::new(ptr, len), out);
    end.write(behind);
    answer
}

/// A hook that is called with one document.
#[inline(always)]
pub fn call(len: u32, hook: impl Fn(Doc<'_>, &mut Writer) -> Answer) -> u64 {
    // SAFETY: `with` has seen to it that the document lies in the buffer, which has SLACK behind it.
    with(len, |ptr, out| unsafe { one(ptr, len, out, &hook) })
}

/// wse_transform_batch: u32 n, n × {u32 length, bytes} → u32 n, n × {u32 tag, u32 length, bytes}. Every answer is written
/// where it stays: the writer's base moves on, so that to the hook every answer begins at 0.
#[inline(always)]
pub fn batch(len: u32, hook: impl Fn(Doc<'_>, &mut Writer) -> Answer) -> u64 {
    with(len, |ptr, out| match events(ptr, len, out, hook) {
        Ok(()) => out.result(),
        Err(answer) => {
            out.restart();
            answer
        }
    })
}

#[inline(always)]
fn events(ptr: *mut u8, len: u32, out: &mut Writer, hook: impl Fn(Doc<'_>, &mut Writer) -> Answer) -> Result<(), Answer> {
    if (Left { ptr, len }).whole().is_none() {
        return Err(error("batch is cut short"));
    }
    let mut left = Left { ptr, len };
    let n = left.u32().unwrap_or(0);
    out.put_u32(n);
    for _ in 0..n {
        let (ptr, len) = match left.document() {
            Some(document) => document,
            None => break, // there are as many as were looked at
        };
        let head = out.mark();
        out.put_u32(0);
        out.put_u32(0);
        if out.overflowed() {
            break;
        }
        out.nest();
        // SAFETY: `left` has seen to it that the event lies in the batch.
        let answer = unsafe { one(ptr, len, out, &hook) };
        let tag = answered(answer, out)?;
        let len = out.unnest();
        if out.overflowed() {
            break; // the batch as a whole: one by one, each answer may fit
        }
        out.patch_u32(head, tag);
        out.patch_u32(head + 4, len);
    }
    Ok(())
}

/// answered makes an answer what has been written, and returns its tag; one of no known form ends the batch.
#[inline(always)]
fn answered(answer: Answer, out: &mut Writer) -> Result<u32, Answer> {
    if answer == NO || answer == YES {
        out.reset(0);
        return Ok(answer.low());
    }
    if !answer.ptr().is_null() {
        out.settle(answer.ptr(), answer.low());
    } else if answer.is_error() {
        let full = out.overflowed();
        out.reset(0);
        if !full {
            out.put("error ");
            out.put_int(answer.low() as i64);
        }
    } else {
        return Err(answer);
    }
    Ok(if answer.is_error() { 3 } else { 2 })
}

/// What is left of a batch.
struct Left {
    ptr: *mut u8,
    len: u32,
}

impl Left {
    fn take(&mut self, n: u32) -> Option<*mut u8> {
        if n > self.len {
            return None;
        }
        let p = self.ptr;
        self.ptr = p.wrapping_add(n as usize);
        self.len -= n;
        Some(p)
    }

    fn u32(&mut self) -> Option<u32> {
        let p = self.take(4)?;
        // SAFETY: the four bytes lie in the batch.
        Some(unsafe { p.cast::<u32>().read_unaligned() })
    }

    fn document(&mut self) -> Option<(*mut u8, u32)> {
        let len = self.u32()?;
        Some((self.take(len)?, len))
    }

    /// whole looks at the lengths of all documents before the first is served, so that half a batch leaves no trace.
    fn whole(mut self) -> Option<()> {
        for _ in 0..self.u32()? {
            self.document()?;
        }
        if self.len == 0 {
            Some(())
        } else {
            None
        }
    }
}
