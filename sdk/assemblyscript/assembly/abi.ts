// The exports every plugin has, and the results a hook may return (ABI v1). The names are the contract's own.
import { alloc } from "./arena";
import { Span } from "./span";

// What a hook returns. NO is zero: a half-written plugin drops and denies.
export const NO: u64 = 0;
export const YES: u64 = 1;

const ERROR_BIT: u64 = 1 << 63;

// @ts-ignore: decorator
@inline export function data(s: Span): u64 {
  return s;
}

// @ts-ignore: decorator
@inline export function error(text: Span): u64 {
  return ERROR_BIT | text;
}

// @ts-ignore: decorator
@inline export function errorCode(code: u32): u64 {
  return ERROR_BIT | <u64>code;
}

// isError reports whether a result is an error, a text or a number.
// @ts-ignore: decorator
@inline export function isError(result: u64): bool {
  return (result & ERROR_BIT) != 0;
}

// textOf is the text of an error made with error().
// @ts-ignore: decorator
@inline export function textOf(result: u64): Span {
  return result & ~ERROR_BIT;
}

// ERROR_NO_BUFFER is the number for a document that is longer than the buffer the host was given; writer.ERROR_TOO_LONG
// is the other number the SDK has.
export const ERROR_NO_BUFFER: u32 = 2;

// INPUT_MAX bounds a document. The host has a limit of its own, usually lower.
export const INPUT_MAX: u32 = 4 << 20;

let buffer: usize = 0;
let capacity: u32 = 0;
let document: usize = 0; // where input is: the buffer, or in a batch a part of it

// input is the address of the document the host has just written.
// @ts-ignore: decorator
@inline export function input(): usize {
  return document;
}

// inputAt makes a part of the input the document, until it is called again without one.
export function inputAt(ptr: usize = 0): void {
  document = ptr == 0 ? buffer : ptr;
}

// holds reports whether a document of len bytes fits the buffer the host was given; a hook refuses what does not.
// @ts-ignore: decorator
@inline export function holds(len: i32): bool {
  return buffer != 0 && <u32>len <= capacity;
}

export function wse_abi_v1(): i32 {
  return 0;
}

export function wse_buffer(cap: i32): i32 {
  if (cap < 0 || <u32>cap > INPUT_MAX) return 0;
  if (buffer != 0 && <u32>cap <= capacity) return <i32>buffer;
  const fresh = alloc(<u32>cap);
  if (fresh == 0) return 0;
  buffer = document = fresh;
  capacity = <u32>cap;
  return <i32>buffer;
}
