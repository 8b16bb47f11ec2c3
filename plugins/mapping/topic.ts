// Topic templates: user:{user_id}:order_events, stream:market_data:{payload.symbol}.
import { Span, alloc, append, ascii, between, json, lenOf, ptrOf, same, span, writer } from "../../sdk/assemblyscript/assembly";
import * as event from "./event";

// What a part of a template stands for.
const LITERAL: u32 = 0;
const USER_ID: u32 = 1;
const FIELD: u32 = 2;

@unmanaged
class Part {
  kind: u32;
  text: Span; // the literal, or the payload field's name
}

@unmanaged
export class Template {
  source: Span;
  bytesMax: u32; // of a topic it makes
  count: u32;
  parts: usize;
}

// Characters of a topic's segment, a bit each: - . 0-9 below 64, @ A-Z _ a-z above.
const LOW: u64 = 0x03ff600000000000;
const HIGH: u64 = 0x07fffffe87ffffff;
const SEGMENT_BYTES_MAX: u32 = 128;

const N_USER_ID = ascii("user_id");
const N_PAYLOAD = ascii("payload.");
const EMPTY = ascii("must not be empty");
const OPEN = ascii("{ without }");
const UNKNOWN = ascii("a placeholder is {user_id} or {payload.FIELD}");
const CHARACTER = ascii("only A-Z a-z 0-9 _ . @ - : and placeholders may stand in a topic");
const MEMORY = ascii("out of memory");
const Q_EVENT = ascii("event \"");
const Q_FIELD = ascii("\": ");
const MISSING = ascii(" is missing, and topic ");
const NEEDS = ascii(" needs it");
const SEGMENT = ascii(" is no topic segment, which topic ");
const RULE = ascii(" needs: 1 to 128 of A-Z a-z 0-9 _ . @ -");

let faultText: Span = 0;
let failed: Part | null = null; // the placeholder that write could not fill
let failedEmpty: bool = false; // because it has no value at all

// fault says why compile returned null.
export function fault(): Span {
  return faultText;
}

// compile reads a template, which must stay where it is. It returns null, and fault says why, for one that is none.
export function compile(source: Span): Template | null {
  const parts = alloc((lenOf(source) + 1) * offsetof<Part>());
  const block = alloc(offsetof<Template>());
  if (parts == 0 || block == 0) return refuse(MEMORY);
  if (lenOf(source) == 0) return refuse(EMPTY);
  let count: u32 = 0, bytes: u32 = 0;
  const end = ptrOf(source) + lenOf(source);
  for (let p = ptrOf(source); p < end; count++) {
    const part = changetype<Part>(parts + count * offsetof<Part>());
    const from = p;
    if (load<u8>(p) == 0x7b) {
      while (p < end && load<u8>(p) != 0x7d) p++;
      if (p == end) return refuse(OPEN);
      if (!placeholder(part, between(from + 1, p))) return refuse(UNKNOWN);
      p++;
      bytes += SEGMENT_BYTES_MAX;
    } else {
      while (p < end && literal(load<u8>(p))) p++;
      if (p == from) return refuse(CHARACTER);
      part.kind = LITERAL;
      part.text = between(from, p);
      bytes += <u32>(p - from);
    }
  }
  const template = changetype<Template>(block);
  template.source = source;
  template.bytesMax = bytes;
  template.count = count;
  template.parts = parts;
  return template;
}

// write writes the topic of the event read last at w, which has room for bytesMax, and returns the address behind it. Where
// a placeholder has no value that may stand in a topic it returns 0, and explain says why.
//
// A value that may not stand in a segment is refused, so that no value can reach a topic that the template does not name:
// not even one with a colon.
export function write(template: Template, w: usize): usize {
  const end = template.parts + template.count * offsetof<Part>();
  for (let p = template.parts; p < end; p += offsetof<Part>()) {
    const part = changetype<Part>(p);
    if (part.kind == LITERAL) {
      w = append(w, part.text);
      continue;
    }
    const value = part.kind == USER_ID ? json.text(event.userID, event.userIDEscaped) : fieldText(part.text);
    if (!isSegment(value)) {
      failed = part;
      failedEmpty = lenOf(value) == 0;
      return 0;
    }
    w = append(w, value);
  }
  return w;
}

// explain writes why write returned 0.
export function explain(template: Template): void {
  writer.put(Q_EVENT);
  writer.put(event.type);
  writer.put(Q_FIELD);
  if (failed!.kind == FIELD) writer.put(N_PAYLOAD);
  writer.put(failed!.text);
  writer.put(failedEmpty ? MISSING : SEGMENT);
  writer.put(template.source);
  writer.put(failedEmpty ? NEEDS : RULE);
}

// fieldText is the text of a payload's field: a string's content, or a number, true or false as written. It is empty for
// a field that is absent or null; an object or an array is as written, and so never a segment.
function fieldText(name: Span): Span {
  const m = event.find(name);
  if (m == null) return 0;
  const c = load<u8>(m.value);
  if (c == 0x6e) return 0;
  if (c != 0x22) return between(m.value, m.end);
  const content = between(m.value + 1, m.end - 1);
  return json.text(content, hasBackslash(content));
}

function hasBackslash(s: Span): bool {
  for (let p = ptrOf(s), end = p + lenOf(s); p < end; p++) if (load<u8>(p) == 0x5c) return true;
  return false;
}

function isSegment(value: Span): bool {
  const n = lenOf(value);
  if (n == 0 || n > SEGMENT_BYTES_MAX) return false;
  for (let p = ptrOf(value), end = p + n; p < end; p++) if (!inSegment(load<u8>(p))) return false;
  return true;
}

// @ts-ignore: decorator
@inline function inSegment(c: u32): bool {
  return c < 128 && (((c < 64 ? LOW : HIGH) >> (c & 63)) & 1) != 0;
}

function literal(c: u32): bool {
  return c == 0x3a || inSegment(c);
}

function placeholder(part: Part, name: Span): bool {
  if (same(name, N_USER_ID)) {
    part.kind = USER_ID;
    part.text = N_USER_ID;
    return true;
  }
  const n = lenOf(N_PAYLOAD);
  if (lenOf(name) <= n || !same(span(ptrOf(name), n), N_PAYLOAD)) return false;
  part.kind = FIELD;
  part.text = span(ptrOf(name) + n, lenOf(name) - n);
  return true;
}

function refuse(why: Span): Template | null {
  faultText = why;
  return null;
}
