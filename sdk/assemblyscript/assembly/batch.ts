// wse_transform_batch from wse_transform, in one line:
//
//   export function wse_transform_batch(len: i32): u64 { return batch(len, wse_transform); }
import { NO, YES, ERROR_NO_BUFFER, errorCode, holds, input, inputAt, isError, textOf } from "./abi";
import { Span, ascii, lenOf, ptrOf } from "./span";
import * as writer from "./writer";

const CUT_SHORT = ascii("batch is cut short");
const ERROR = ascii("error ");

const TAG_DATA: u32 = 2;
const TAG_ERROR: u32 = 3;

// batch calls a hook for each document of a batch of len bytes, and collects the answers. Where they do not fit together
// the batch is refused as a whole, and the engine asks about its documents one by one: an answer that fits alone is not lost
// for the company it is in.
export function batch(len: i32, hook: (len: i32) => u64): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  writer.beginAt(0);
  writer.begin();
  let p = input();
  const end = p + <usize>len;
  if (!whole(p, end)) {
    writer.put(CUT_SHORT);
    return writer.failure();
  }
  const count = load<u32>(p);
  writer.putU32(count);
  p += 4;
  for (let i: u32 = 0; i < count; i++) {
    const size = load<u32>(p);
    const next = p + 4 + size;
    const behind = load<u8>(next); // which a reader that is not closed leaves as a zero
    inputAt(p + 4);
    answer(<i32>size, hook);
    store<u8>(next, behind);
    p = next;
  }
  inputAt();
  const overflowed = writer.overflowed();
  writer.beginAt(0);
  return overflowed ? errorCode(writer.ERROR_TOO_LONG) : writer.result();
}

// whole reports whether the lengths of a batch are those of whole documents. All are looked at before the first is
// served, so that half a batch leaves no trace.
function whole(p: usize, end: usize): bool {
  if (end - p < 4) return false;
  const count = load<u32>(p);
  p += 4;
  for (let i: u32 = 0; i < count; i++) {
    if (end - p < 4) return false;
    const size: usize = load<u32>(p);
    p += 4;
    if (size > end - p) return false;
    p += size;
  }
  return p == end;
}

// answer serves one document: the tag, the length and the bytes go behind what the writer has already.
function answer(size: i32, hook: (len: i32) => u64): void {
  if (writer.overflowed()) return; // the batch as a whole is too long
  const head = writer.mark();
  writer.putU32(0);
  writer.putU32(0);
  if (writer.overflowed()) return;
  const from = writer.mark();
  writer.beginAt(from);
  writer.begin();
  const result = hook(size);
  if (writer.overflowed()) return;
  let tag = <u32>result;
  if (result == NO || result == YES) {
    writer.begin();
  } else if (!isError(result)) {
    tag = TAG_DATA;
    take(result);
  } else {
    tag = TAG_ERROR;
    if (ptrOf(textOf(result)) != 0) {
      take(textOf(result));
    } else {
      writer.begin();
      writer.put(ERROR);
      writer.putInt(<i64><u32>result);
    }
  }
  const n = writer.mark();
  writer.beginAt(0);
  writer.patchU32(head, tag);
  writer.patchU32(head + 4, n);
}

// take makes bytes the answer, wherever they are.
function take(s: Span): void {
  const p = ptrOf(s), n = lenOf(s);
  writer.begin();
  if (n == 0) return;
  const to = writer.room(n);
  if (to == 0) return;
  if (to != p) memory.copy(to, p, n);
  writer.wrote(to + n);
}
