// mapping turns domain events into envelopes by a table from its configuration (WSE v2 §8, PROTOCOL §2.8).
import { Span, YES, append, ascii, batch, between, holds, input, json, lenOf, same, writer } from "../../sdk/assemblyscript/assembly";
import * as event from "./event";
import * as snake from "./snake";
import * as table from "./table";
import * as topic from "./topic";

export { wse_abi_v1, wse_buffer } from "../../sdk/assemblyscript/assembly";

// Pieces of an envelope, in their order, and a bound on the bytes of all of them together.
const PAYLOAD = ascii("\",\"p\":{\"original_event_type\":\"");
const QUOTE = ascii("\"");
const QUOTE_END = ascii("\"}");
const QUOTE_COMMA = ascii("\",");
const COMMA = ascii(",");
const END = ascii("}");
const CID = ascii(",\"cid\":\"");
const ID = ascii(",\"id\":\"");
const VERSION = ascii(",\"event_version\":");
const PIECES_BYTES: u32 = 256;

const TOO_LONG = ascii("document is longer than the buffer");
const AGAIN = ascii("already configured");
const NOT_JSON = ascii("event is not a valid JSON object, at byte ");
const IN_EVENT = ascii("event: ");
const NO_TYPE = ascii("type is missing");
const Q_EVENT = ascii("event \"");
const NO_LETTER = ascii("\": type has no letter or digit to make a name of");

let configured: bool = false;

table.defaults();

export function wse_configure(len: i32): u64 {
  writer.begin();
  if (!holds(len)) return refuse(0, TOO_LONG);
  if (configured) return refuse(0, AGAIN);
  configured = true;
  return table.configure(input(), <u32>len) ? YES : writer.failure();
}

export function wse_transform(len: i32): u64 {
  writer.begin();
  return holds(len) ? transform(input(), <u32>len) : refuse(0, TOO_LONG);
}

export function wse_transform_batch(len: i32): u64 {
  return batch(len, wse_transform);
}

// transform writes the envelope of one event, or its error text, behind what has been written so far. No part of the
// event is written twice but its type, so the room an envelope needs is known before its first byte.
function transform(ptr: usize, len: u32): u64 {
  const from = writer.mark();
  if (!event.read(ptr, len)) return unreadable(from);
  if (lenOf(event.type) == 0) return refuseEvent(from, NO_TYPE);
  const row = table.find(json.text(event.type, event.typeEscaped));
  if (row == null) return YES;
  let w = writer.room(len + 2 * lenOf(event.type) + lenOf(row.head) + row.topic.bytesMax + PIECES_BYTES);
  if (w == 0) return writer.result(from);
  w = head(row, w);
  if (w == 0) return nameless(from);
  w = lenOf(event.topic) != 0 ? append(w, event.topic) : topic.write(row.topic, w);
  if (w == 0) {
    topic.explain(row.topic);
    return writer.failure(from);
  }
  writer.wrote(tail(row, payload(row, w)));
  return writer.result(from);
}

// head writes what stands before the topic; 0 where the type has no name in snake case.
function head(row: table.Row, w: usize): usize {
  if (row.head != 0) return append(w, row.head);
  w = append(w, table.HEAD_TYPE);
  const end = snake.write(json.text(event.type, event.typeEscaped), w);
  return end == w ? 0 : append(end, table.HEAD_TOPIC);
}

// payload writes p: the event's own type first, then the payload's members as they were written.
function payload(row: table.Row, w: usize): usize {
  w = append(append(w, PAYLOAD), event.type);
  const n = event.memberCount;
  if (n == 0) return append(w, QUOTE_END);
  if (row.fields == table.ALL && !event.hasOriginal) {
    const first = event.memberAt(0).from;
    w = append(append(w, QUOTE_COMMA), between(first, event.memberAt(n - 1).end));
    return append(w, END);
  }
  w = append(w, QUOTE);
  for (let i: u32 = 0; i < n; i++) {
    const m = event.memberAt(i);
    if (!m.original && passes(row, m)) w = append(append(w, COMMA), between(m.from, m.end));
  }
  return append(w, END);
}

function passes(row: table.Row, m: event.Member): bool {
  if (row.fields == table.ALL) return true;
  const key = json.text(m.key, m.escaped);
  for (let i: u32 = 0; i < row.nameCount; i++) {
    if (same(load<Span>(row.names + (i << 3)), key)) return row.fields == table.KEEP;
  }
  return row.fields == table.DROP;
}

// tail writes what stands behind p, and the closing brace.
function tail(row: table.Row, w: usize): usize {
  w = lenOf(event.priority) != 0 ? append(append(w, table.PRI), event.priority) : append(w, row.pri);
  if (lenOf(event.cid) != 0) w = append(append(append(w, CID), event.cid), QUOTE);
  if (lenOf(event.id) != 0) w = append(append(append(w, ID), event.id), QUOTE);
  if (lenOf(event.version) != 0) w = append(append(w, VERSION), event.version);
  return append(w, END);
}

function unreadable(from: u32): u64 {
  const problem = event.problem();
  if (problem != 0) return refuseEvent(from, problem);
  writer.put(NOT_JSON);
  writer.putInt(json.fault());
  return writer.failure(from);
}

function nameless(from: u32): u64 {
  writer.reset(from);
  writer.put(Q_EVENT);
  writer.put(event.type);
  writer.put(NO_LETTER);
  return writer.failure(from);
}

function refuseEvent(from: u32, why: Span): u64 {
  writer.reset(from);
  writer.put(IN_EVENT);
  writer.put(why);
  return writer.failure(from);
}

function refuse(from: u32, why: Span): u64 {
  writer.reset(from);
  writer.put(why);
  return writer.failure(from);
}
