// mapping turns domain events into envelopes by a table from its configuration (WSE v2 §8, PROTOCOL §2.8).
import { Span, YES, ascii, holds, input, isError, json, lenOf, same, writer } from "../../sdk/assemblyscript/assembly";
import * as event from "./event";
import * as snake from "./snake";
import * as table from "./table";
import * as topic from "./topic";

export { wse_abi_v1, wse_buffer } from "../../sdk/assemblyscript/assembly";

const HEAD_TYPE = ascii("{\"t\":\"");
const HEAD_TOPIC = ascii("\",\"topic\":\"");
const PAYLOAD = ascii("\",\"p\":{\"original_event_type\":\"");
const PRI = ascii(",\"pri\":");
const CID = ascii(",\"cid\":\"");
const ID = ascii(",\"id\":\"");
const VERSION = ascii(",\"event_version\":");

const TOO_LONG = ascii("document is longer than the buffer");
const AGAIN = ascii("already configured");
const NOT_JSON = ascii("event is not a valid JSON object, at byte ");
const IN_EVENT = ascii("event: ");
const NO_TYPE = ascii("type is missing");
const Q_EVENT = ascii("event \"");
const NO_LETTER = ascii("\": type has no letter or digit to make a name of");
const NOT_BATCH = ascii("batch is cut short");

// The tags of a batch's results.
const TAG_YES: u32 = 1;
const TAG_DATA: u32 = 2;
const TAG_ERROR: u32 = 3;

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

// wse_transform_batch answers n events at once: u32 n, n × {u32 len, bytes} → u32 n, n × {u32 tag, u32 len, bytes}.
export function wse_transform_batch(len: i32): u64 {
  writer.begin();
  if (!holds(len)) return refuse(0, TOO_LONG);
  let p = input();
  const end = p + <usize>len;
  if (len < 4) return refuse(0, NOT_BATCH);
  const n = load<u32>(p);
  p += 4;
  writer.putU32(n);
  for (let i: u32 = 0; i < n; i++) {
    if (end - p < 4) return refuse(0, NOT_BATCH);
    const size = load<u32>(p);
    p += 4;
    if (end - p < <usize>size) return refuse(0, NOT_BATCH);
    const head = writer.mark();
    writer.putU32(0);
    writer.putU32(0);
    const result = transform(p, size);
    if (writer.overflowed()) return writer.result();
    writer.patchU32(head, tagOf(result));
    writer.patchU32(head + 4, writer.mark() - head - 8);
    p += size;
  }
  return p == end ? writer.result() : refuse(0, NOT_BATCH);
}

function tagOf(result: u64): u32 {
  if (result == YES) return TAG_YES;
  return isError(result) ? TAG_ERROR : TAG_DATA;
}

// transform writes the envelope of one event, or its error text, behind what has been written so far.
function transform(ptr: usize, len: u32): u64 {
  const from = writer.mark();
  if (!event.read(ptr, len)) return unreadable(from);
  if (lenOf(event.type) == 0) return refuseEvent(from, NO_TYPE);
  const row = table.find(json.text(event.type, event.typeEscaped));
  if (row == null) return YES;
  if (row.head != 0) {
    writer.put(row.head);
  } else {
    writer.put(HEAD_TYPE);
    if (!snake.write(json.text(event.type, event.typeEscaped))) return nameless(from);
    writer.put(HEAD_TOPIC);
  }
  if (lenOf(event.topic) != 0) writer.put(event.topic);
  else if (!topic.write(row.topic, from)) return writer.failure(from);
  payload(row);
  tail(row);
  return writer.result(from);
}

// payload writes p: the event's own type first, then the payload's members as they were written.
function payload(row: table.Row): void {
  writer.put(PAYLOAD);
  writer.put(event.type);
  writer.putByte(0x22);
  const n = event.memberCount;
  if (n == 0) {
    writer.putByte(0x7d);
    return;
  }
  if (row.fields == table.ALL && !event.hasOriginal) {
    const first = event.memberAt(0).from;
    writer.putByte(0x2c);
    writer.putBytes(first, <u32>(event.memberAt(n - 1).end - first));
  } else {
    for (let i: u32 = 0; i < n; i++) {
      const m = event.memberAt(i);
      if (m.original || !passes(row, m)) continue;
      writer.putByte(0x2c);
      writer.putBytes(m.from, <u32>(m.end - m.from));
    }
  }
  writer.putByte(0x7d);
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
function tail(row: table.Row): void {
  if (lenOf(event.priority) != 0) {
    writer.put(PRI);
    writer.put(event.priority);
  } else if (row.priority != 0) {
    writer.put(PRI);
    writer.putInt(row.priority);
  }
  member(CID, event.cid);
  member(ID, event.id);
  if (lenOf(event.version) != 0) {
    writer.put(VERSION);
    writer.put(event.version);
  }
  writer.putByte(0x7d);
}

function member(name: Span, content: Span): void {
  if (lenOf(content) == 0) return;
  writer.put(name);
  writer.put(content);
  writer.putByte(0x22);
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
