// What is found in a configuration: faults and warnings, each with the path where it is. Faults are written to the answer as
// they come; warnings, which stand behind them, are kept aside until the end.
import { Span, alloc, ascii, lenOf, ptrOf, span, writer } from "../../sdk/assemblyscript/assembly";

// FINDINGS_MAX bounds the faults, and the warnings, that are told. Where there is one more of either the configuration is
// invalid, and the rest of it is not read, so that a document made of faults costs no more than one made of sense.
export const FINDINGS_MAX: u32 = 100;

const PATH_MAX: u32 = 240; // bytes of a path
const NAME_MAX: u32 = 64; // bytes of a name that is not ours
const WARNINGS_BYTES: u32 = FINDINGS_MAX * 1024;

const INVALID = ascii("{\"valid\":false,\"errors\":[");
const VALID = ascii("{\"valid\":true,\"errors\":[");
const WARNINGS = ascii("],\"warnings\":[");
const END = ascii("]}");
const PATH = ascii("{\"path\":\"");
const MESSAGE = ascii("\",\"message\":\"");
const CLOSE = ascii("\"}");
const TOO_MANY = ascii("there are more faults or warnings than the 100 of either that are listed; the rest was not read");

export let errors: u32 = 0;
export let warnings: u32 = 0;
export let room: bool = true; // for another finding of either kind

// The path, as text that is not escaped.
const path = alloc(PATH_MAX + NAME_MAX);
export let depth: u32 = 0;

const aside = alloc(WARNINGS_BYTES);
let asideBytes: u32 = 0;

let from: u32 = 0; // where the finding being written begins, and its message
let messageFrom: u32 = 0;
let firstFrom: u32 = 0; // the message of the first fault
let firstBytes: u32 = 0;
let warning: bool = false; // what is being written is one

// begin forgets everything and begins an answer.
export function begin(): void {
  errors = warnings = depth = asideBytes = 0;
  room = true;
  writer.begin();
  writer.put(INVALID);
}

// enter goes to a member, enterIndex to an element; back returns to where depth was as it is given.
export function enter(name: Span): void {
  const n = min(lenOf(name), NAME_MAX);
  if (depth + n >= PATH_MAX) return;
  if (depth != 0) store<u8>(path + depth++, 0x2e);
  memory.copy(path + depth, ptrOf(name), n);
  depth += n;
}

export function enterIndex(i: u32): void {
  if (depth + 16 >= PATH_MAX) return;
  store<u8>(path + depth++, 0x5b);
  let unit: u32 = 1;
  while (i / unit >= 10) unit *= 10;
  for (; unit != 0; unit /= 10) store<u8>(path + depth++, 0x30 + ((i / unit) % 10));
  store<u8>(path + depth++, 0x5d);
}

export function back(to: u32): void {
  depth = to;
}

// enterForeign goes to a member whose name is not ours: it is cut between characters.
export function enterForeign(key: Span): void {
  let n = min(lenOf(key), NAME_MAX);
  while (n < lenOf(key) && n > 0 && (<u32>load<u8>(ptrOf(key) + n) & 0xc0) == 0x80) n--;
  enter(span(ptrOf(key), n));
}

// error tells of a fault where the path is, fault of one in a member there.
export function error(must: Span): void {
  if (!open(false)) return;
  writer.put(must);
  close();
}

export function fault(name: Span, must: Span): void {
  const d = depth;
  enter(name);
  error(must);
  back(d);
}

export function warn(text: Span): void {
  if (!open(true)) return;
  writer.put(text);
  close();
}

// open begins a finding: the caller writes what stands behind the path in its message, and then closes it. It returns false
// where there are too many.
export function open(isWarning: bool): bool {
  if (!room) return false;
  if ((isWarning ? warnings : errors) == FINDINGS_MAX) {
    room = false;
    return false;
  }
  const n = isWarning ? ++warnings : ++errors;
  warning = isWarning;
  from = writer.mark();
  if (n > 1) writer.putByte(0x2c);
  writer.put(PATH);
  writer.putText(span(path, depth));
  writer.put(MESSAGE);
  messageFrom = writer.mark();
  writer.putText(span(path, depth));
  if (depth != 0) writer.putByte(0x20);
  return true;
}

export function close(): void {
  if (!warning && errors == 1) {
    firstFrom = messageFrom;
    firstBytes = writer.mark() - messageFrom;
  }
  writer.put(CLOSE);
  if (!warning) return;
  const text = writer.written(from);
  if (asideBytes + lenOf(text) <= WARNINGS_BYTES) {
    memory.copy(aside + asideBytes, ptrOf(text), lenOf(text));
    asideBytes += lenOf(text);
  }
  writer.reset(from);
}

// first is the message of the first fault. It holds until the answer is written on.
export function first(): Span {
  const all = writer.written(firstFrom);
  return span(ptrOf(all), firstBytes);
}

// result is the hook's answer: all faults and warnings.
export function result(): u64 {
  if (errors == 0 && room) {
    writer.reset(0);
    writer.put(VALID);
  }
  if (!room) {
    if (errors != 0) writer.putByte(0x2c);
    writer.put(PATH);
    writer.put(MESSAGE);
    writer.put(TOO_MANY);
    writer.put(CLOSE);
  }
  writer.put(WARNINGS);
  writer.put(span(aside, asideBytes));
  writer.put(END);
  return writer.result();
}
