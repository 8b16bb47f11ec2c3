use core::fmt::Write;
use core::panic::PanicInfo;

/// How much a log line matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

// Of these a module imports only what it calls.
mod wse {
    #[link(wasm_import_module = "wse")]
    extern "C" {
        pub fn log(level: i32, ptr: *const u8, len: usize);
        pub fn metric(ptr: *const u8, len: usize, value: f64);
    }
}

mod env {
    #[link(wasm_import_module = "env")]
    extern "C" {
        pub fn abort(message: *const u16, file: *const u16, line: u32, column: u32) -> !;
    }
}

/// Writes a line to the engine's log, which adds the plugin's name and version and caps how much it takes.
pub fn log(level: Level, text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    // SAFETY: the host reads the text during the call.
    unsafe { wse::log(level as i32, text.as_ptr(), text.len()) }
}

/// Adds value, at least 0, to the counter of that name, one of the plugin's own.
pub fn metric(name: impl AsRef<[u8]>, value: f64) {
    let name = name.as_ref();
    // SAFETY: the host reads the name during the call.
    unsafe { wse::metric(name.as_ptr(), name.len(), value) }
}

/// A text as env.abort takes it: UTF-16 with its size in bytes in front.
#[repr(C, align(4))]
struct Message {
    size: u32,
    units: [u16; 200],
}

impl Write for Message {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        for unit in s.encode_utf16() {
            match self.units.get_mut(self.size as usize / 2) {
                Some(to) => *to = unit,
                None => return Err(core::fmt::Error),
            }
            self.size += 2;
        }
        Ok(())
    }
}

/// A panic is a trap whose text is the panic's message and place.
#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    let mut message = Message { size: 0, units: [0; 200] };
    let _ = write!(message, "{}", info);
    // SAFETY: the host reads the message during the call, from which it does not return.
    unsafe { env::abort(message.units.as_ptr(), core::ptr::null(), 0, 0) }
}
