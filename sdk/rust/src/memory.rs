use core::arch::wasm32::{memory_grow, memory_size};
use core::cell::{Cell, UnsafeCell};

use crate::Doc;

/// Every block is followed by this many bytes that may be read, and begins with so many zeros behind its content: the
/// reader moves eight bytes at a time without looking for the end first.
pub(crate) const SLACK: u32 = 16;

/// A static of this crate that only its own functions touch, one at a time.
pub(crate) struct Global<T>(UnsafeCell<T>);

// SAFETY: an instance of a module has one thread.
unsafe impl<T> Sync for Global<T> {}

impl<T> Global<T> {
    pub(crate) const fn new(value: T) -> Self {
        Global(UnsafeCell::new(value))
    }

    pub(crate) fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// What a plugin remembers between calls: `static LARGE: State<i64> = State::new(1000);`. Remember that there may be several
/// instances, each with its own: state is for the configuration, and for caches.
pub struct State<T>(Cell<T>);

// SAFETY: an instance of a module has one thread.
unsafe impl<T> Sync for State<T> {}

impl<T: Copy> State<T> {
    /// A state that begins as `value`.
    pub const fn new(value: T) -> Self {
        State(Cell::new(value))
    }

    /// What was set last.
    #[inline(always)]
    pub fn get(&self) -> T {
        self.0.get()
    }

    /// Remembers `value`.
    #[inline(always)]
    pub fn set(&self, value: T) {
        self.0.set(value)
    }
}

extern "C" {
    static __heap_base: u8; // the linker's: where data and stack end
}

static TOP: Global<usize> = Global::new(0);

/// take returns the address of so many zeroed bytes, aligned to 16 and followed by SLACK more, or None where the memory
/// limit refuses them. Memory is handed out once and never given back.
#[inline(never)]
pub(crate) fn take(bytes: u32) -> Option<*mut u8> {
    if bytes > 1 << 28 {
        return None;
    }
    // SAFETY: the one thread is here, and nothing else touches TOP. __heap_base is only asked for its address.
    let top = unsafe { &mut *TOP.get() };
    if *top == 0 {
        #[allow(unused_unsafe)] // since Rust 1.82 an address is safe to take
        let base = unsafe { core::ptr::addr_of!(__heap_base) };
        *top = (base as usize + 15) & !15;
    }
    let next = *top + ((bytes + SLACK + 15) & !15) as usize;
    let have = (memory_size(0) as u64) << 16;
    if next > 1 << 31 {
        return None; // an answer's address is below that
    }
    if next as u64 > have && memory_grow(0, ((next as u64 - have + 0xffff) >> 16) as usize) == usize::MAX {
        return None;
    }
    let block = *top as *mut u8;
    *top = next;
    Some(block)
}

/// A slice of n times `value`, for tables that live as long as the instance; None where the memory limit refuses it. Memory
/// is never given back: take it in `configure`, and nothing afterwards.
pub fn alloc<T: Copy>(n: usize, value: T) -> Option<&'static mut [T]> {
    if core::mem::align_of::<T>() > 16 {
        return None;
    }
    let bytes = u32::try_from(n.checked_mul(core::mem::size_of::<T>())?).ok()?;
    let to = take(bytes)? as *mut T;
    // SAFETY: the block is ours alone, large enough, aligned, and every element is written before it can be read.
    unsafe {
        for i in 0..n {
            to.add(i).write(value);
        }
        Some(core::slice::from_raw_parts_mut(to, n))
    }
}

/// Copies bytes to memory of their own, where they outlive the call; None where the memory limit refuses it.
pub fn keep(bytes: &[u8]) -> Option<Doc<'static>> {
    let to = take(u32::try_from(bytes.len()).ok()?)?;
    // SAFETY: the block is ours alone and large enough; behind it are SLACK zeros, as a document needs.
    unsafe {
        core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        Some(Doc::new(to, bytes.len() as u32))
    }
}
