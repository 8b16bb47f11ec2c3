//! Plugins of the wse engine in Rust (plugin ABI, version 1), without the standard library and without `unsafe` in a plugin.
//! README.md has a whole plugin and the lines that build it, sdk/ABI.md is the contract underneath.
//!
//! A hook is a function `fn(Doc, &mut Writer) -> Answer`; [`plugin!`] makes the module's exports of the hooks:
//!
//! ```ignore
//! wse::plugin! { configure: configure, transform: transform, transform_batch: transform }
//! ```
//!
//! Nothing here allocates per call but the output buffer, which doubles until it is large enough. An instance has one
//! thread and its hooks are called one at a time, which is what makes the statics of this crate sound.
#![no_std]
#![warn(missing_docs)]

#[cfg(not(target_arch = "wasm32"))]
compile_error!("this crate is for --target wasm32-unknown-unknown");

mod answer;
mod float;
mod host;
mod json;
mod memory;
mod pow10;
mod strategy;
mod text;
mod ticks;
mod writer;

#[doc(hidden)]
pub mod exports;

pub use answer::{data, error, error_code, Answer, NO, YES};
pub use float::float;
pub use host::{log, metric, Level};
pub use json::{Doc, Json, Kind, DEPTH_MAX};
pub use memory::{alloc, keep, State};
pub use strategy::{Event, EventKind, Handles, Opening, Order, Says, Update};
pub use text::{integer, Room, Text};
pub use ticks::{Tick, Ticks};
pub use writer::Writer;

/// The most bytes of a document and of an answer. The host has limits of its own, usually lower.
pub const INPUT_MAX: u32 = 4 << 20;
/// The most bytes of an answer, or of all answers of a batch.
pub const OUTPUT_MAX: u32 = 4 << 20;
/// What [`Writer::result`] gives for an answer that did not fit.
pub const ERROR_TOO_LONG: u32 = 1;
/// What a hook gives for a document that is longer than the buffer.
pub const ERROR_TOO_LARGE: u32 = 2;

/// Makes the exports of a plugin: `plugin! { hook: function, … }` with the hooks `configure`, `transform`,
/// `transform_batch` (give it the function that `transform` has), `authorize`, `validate`, `strategy_open`,
/// `strategy_ticks` and `strategy_update`.
#[macro_export]
macro_rules! plugin {
    ($($hook:ident: $function:expr),+ $(,)?) => {
        #[no_mangle]
        pub extern "C" fn wse_abi_v1() -> i32 {
            0
        }
        #[no_mangle]
        pub extern "C" fn wse_buffer(cap: u32) -> u32 {
            $crate::exports::buffer(cap)
        }
        $($crate::__hook!($hook, $function);)+
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __hook {
    (configure, $f:expr) => { $crate::__export!(wse_configure, call, $f); };
    (transform, $f:expr) => { $crate::__export!(wse_transform, call, $f); };
    (transform_batch, $f:expr) => { $crate::__export!(wse_transform_batch, batch, $f); };
    (authorize, $f:expr) => { $crate::__export!(wse_authorize, call, $f); };
    (validate, $f:expr) => { $crate::__export!(wse_validate, call, $f); };
    (strategy_open, $f:expr) => { $crate::__export!(wse_strategy_open, call, $f); };
    (strategy_ticks, $f:expr) => { $crate::__export!(wse_strategy_ticks, call, $f); };
    (strategy_update, $f:expr) => { $crate::__export!(wse_strategy_update, call, $f); };
    ($other:ident, $f:expr) => { compile_error!(concat!("no such hook: ", stringify!($other))); };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($name:ident, $how:ident, $f:expr) => {
        #[no_mangle]
        pub extern "C" fn $name(len: u32) -> u64 {
            $crate::exports::$how(len, $f)
        }
    };
}
