// The mapping table: built from the plugin's configuration, looked up once per event.
import { Span, alloc, ascii, hash, json, keep, lenOf, ptrOf, same, span, word, writer } from "../../sdk/assemblyscript/assembly";
import * as topic from "./topic";

// Which of the payload's fields a row lets through.
export const ALL: u32 = 0;
export const KEEP: u32 = 1;
export const DROP: u32 = 2;

// ROWS_MAX and FIELDS_MAX bound the configuration.
export const ROWS_MAX: u32 = 4096;
export const FIELDS_MAX: u32 = 256;

@unmanaged
export class Row {
  event: Span; // the pattern without its stars
  starBefore: bool;
  starAfter: bool;
  order: u32; // its place in the table
  next: Row | null; // the next row with a star
  head: Span; // {"t":"<type>","topic":" ready to be written; 0: the type is the event's name in snake case
  topic: topic.Template;
  pri: Span; // ,"pri":<priority> ready to be written; empty: none
  fields: u32; // ALL, KEEP or DROP
  names: usize; // Spans
  nameCount: u32;
}

const K_MAPPINGS = word("mappings");
const K_DEFAULT = word("default");
const K_EVENT = word("event");
const K_TYPE = word("type");
const K_TOPIC = word("topic");
const K_PRIORITY = word("priority");
const K_KEEP = word("keep");
const K_DROP = word("drop");
const SNAKE_CASE = ascii("snake_case");
const DEFAULT_TOPIC = ascii("user:{user_id}:events");

// Pieces of an envelope.
export const HEAD_TYPE = ascii("{\"t\":\"");
export const HEAD_TOPIC = ascii("\",\"topic\":\"");
export const PRI = ascii(",\"pri\":");

const F_EVENT = ascii(".event: ");
const F_TYPE = ascii(".type: ");
const F_TOPIC = ascii(".topic: ");
const F_PRIORITY = ascii(".priority: ");
const F_KEEP = ascii(".keep: ");
const F_DROP = ascii(".drop: ");
const F_NONE = ascii(": ");
const IN_CONFIG = ascii("config");
const IN_MAPPINGS = ascii("config: mappings");
const IN_ROW = ascii("config: mappings[");
const IN_ROW_END = ascii("]");
const IN_DEFAULT = ascii("config: default");

const NOT_JSON = ascii("is not valid JSON, at byte ");
const NOT_OBJECT = ascii("must be an object");
const NOT_LIST = ascii("must be a list");
const NOT_TEXT = ascii("must be a string that is not empty");
const NOT_PRIORITY = ascii("must be a whole number from 1 to 10");
const NOT_NAMES = ascii("must be a list of field names");
const UNKNOWN_KEY = ascii("unknown key; there are mappings and default");
const UNKNOWN_FIELD = ascii("unknown field; there are event, type, topic, priority, keep and drop");
const STARS = ascii("* may stand only at the beginning and at the end");
const MISSING = ascii("is missing");
const BOTH = ascii("keep and drop exclude each other");
const TWICE = ascii("already mapped by an earlier row");
const ROWS = ascii("has more than 4096 rows");
const NAMES = ascii("has more than 256 names");
const MEMORY = ascii("out of memory");

let fallback: Row | null = null; // the default; null: events that no row matches are not ours
let stars: Row | null = null; // rows with a star, in order
let lastStar: Row | null = null;
let slots: usize = 0; // exact rows by hash, open addressing
let slotMask: u32 = 0;
let rowCount: u32 = 0;
const namesNow = alloc(FIELDS_MAX << 3); // the list of names being read
let rowNow: i32 = -1; // the row being read, for faults; -1: the default

// defaults is the table of a plugin that was given no configuration: no rows, and the default.
export function defaults(): void {
  const row = newRow()!;
  row.topic = topic.compile(DEFAULT_TOPIC)!;
  fallback = row;
}

// find is the first row, in the table's order, that matches an event's type, or the default, or null.
export function find(type: Span): Row | null {
  let row = exact(type);
  let star = stars;
  while (star != null) {
    if (row != null && star.order > row.order) break;
    if (matches(star, type)) return star;
    star = star.next;
  }
  return row == null ? fallback : row;
}

// configure reads the configuration of len bytes at ptr. It returns false, having written an error text, where it is
// not one.
export function configure(ptr: usize, len: u32): bool {
  json.open(ptr, len);
  const read = json.peek() == json.NULL ? json.skip() : config();
  if (json.close()) return read;
  if (writer.mark() != 0) return false;
  writer.put(IN_CONFIG);
  writer.putByte(0x20);
  writer.put(NOT_JSON);
  writer.putInt(json.fault());
  return false;
}

function config(): bool {
  if (json.peek() != json.OBJECT) return bad(IN_CONFIG, F_NONE, NOT_OBJECT);
  json.object();
  while (json.member()) {
    const key = json.keyWord();
    if (key == K_MAPPINGS) {
      if (!mappings()) return false;
    } else if (key == K_DEFAULT) {
      if (!defaultRow()) return false;
    } else {
      return bad(IN_CONFIG, F_NONE, UNKNOWN_KEY);
    }
  }
  return true;
}

function mappings(): bool {
  if (json.peek() == json.NULL) return json.skip();
  if (json.peek() != json.ARRAY) return bad(IN_MAPPINGS, F_NONE, NOT_LIST);
  json.array();
  slotMask = (ROWS_MAX << 1) - 1;
  slots = alloc((slotMask + 1) << 2);
  if (slots == 0) return bad(IN_MAPPINGS, F_NONE, MEMORY);
  while (json.element()) {
    if (rowCount == ROWS_MAX) return bad(IN_MAPPINGS, F_NONE, ROWS);
    rowNow = <i32>rowCount;
    const row = newRow();
    if (row == null) return badRow(F_NONE, MEMORY);
    if (!fill(row)) return false;
    if (lenOf(row.event) == 0 && !row.starBefore) return badRow(F_EVENT, MISSING);
    if (changetype<usize>(row.topic) == 0) return badRow(F_TOPIC, MISSING);
    if (!add(row)) return badRow(F_EVENT, TWICE);
  }
  return true;
}

// defaultRow reads `default`: an object replaces what it names, true leaves it as it is, false and null switch it off.
function defaultRow(): bool {
  const kind = json.peek();
  if (kind == json.TRUE) return json.skip();
  if (kind == json.NULL || kind == json.FALSE) {
    fallback = null;
    return json.skip();
  }
  rowNow = -1;
  const row = newRow();
  if (row == null) return badRow(F_NONE, MEMORY);
  if (!fill(row)) return false;
  if (lenOf(row.event) != 0 || row.starBefore) return badRow(F_EVENT, UNKNOWN_FIELD);
  if (changetype<usize>(row.topic) == 0) row.topic = topic.compile(DEFAULT_TOPIC)!;
  fallback = row;
  return true;
}

function newRow(): Row | null {
  const block = alloc(offsetof<Row>());
  if (block == 0) return null;
  const row = changetype<Row>(block);
  row.order = rowCount;
  return row;
}

function fill(row: Row): bool {
  if (json.peek() != json.OBJECT) return badRow(F_NONE, NOT_OBJECT);
  json.object();
  while (json.member()) {
    const key = json.keyWord();
    let ok: bool;
    if (key == K_EVENT) ok = setEvent(row);
    else if (key == K_TYPE) ok = setType(row);
    else if (key == K_TOPIC) ok = setTopic(row);
    else if (key == K_PRIORITY) ok = setPriority(row);
    else if (key == K_KEEP) ok = setNames(row, KEEP, F_KEEP);
    else if (key == K_DROP) ok = setNames(row, DROP, F_DROP);
    else ok = badRow(F_NONE, UNKNOWN_FIELD);
    if (!ok) return false;
  }
  return json.sound();
}

function setEvent(row: Row): bool {
  let s = ownText();
  if (s == 0) return badRow(F_EVENT, NOT_TEXT);
  let p = ptrOf(s), n = lenOf(s);
  if (load<u8>(p) == 0x2a) {
    row.starBefore = true;
    p++;
    n--;
  }
  if (n != 0 && load<u8>(p + n - 1) == 0x2a) {
    row.starAfter = true;
    n--;
  }
  for (let i: u32 = 0; i < n; i++) if (load<u8>(p + i) == 0x2a) return badRow(F_EVENT, STARS);
  row.event = span(p, n);
  return true;
}

function setType(row: Row): bool {
  const s = ownText();
  if (s == 0) return badRow(F_TYPE, NOT_TEXT);
  if (same(s, SNAKE_CASE)) return true;
  const from = writer.mark();
  writer.put(HEAD_TYPE);
  writer.putText(s);
  writer.put(HEAD_TOPIC);
  row.head = writer.overflowed() ? 0 : keep(writer.written(from));
  writer.reset(from);
  return row.head != 0 || badRow(F_TYPE, MEMORY);
}

function setTopic(row: Row): bool {
  const s = ownText();
  if (s == 0) return badRow(F_TOPIC, NOT_TEXT);
  const template = topic.compile(s);
  if (template == null) return badRow(F_TOPIC, topic.fault());
  row.topic = template;
  return true;
}

function setPriority(row: Row): bool {
  if (json.peek() == json.NULL) return json.skip();
  if (json.peek() != json.NUMBER || !json.skip()) return badRow(F_PRIORITY, NOT_PRIORITY);
  if (!json.integer(json.raw()) || json.value() < 1 || json.value() > 10) return badRow(F_PRIORITY, NOT_PRIORITY);
  const from = writer.mark();
  writer.put(PRI);
  writer.putInt(json.value());
  row.pri = writer.overflowed() ? 0 : keep(writer.written(from));
  writer.reset(from);
  return row.pri != 0 || badRow(F_PRIORITY, MEMORY);
}

function setNames(row: Row, fields: u32, name: Span): bool {
  if (json.peek() == json.NULL) return json.skip();
  if (json.peek() != json.ARRAY) return badRow(name, NOT_NAMES);
  if (row.fields != ALL) return badRow(name, BOTH);
  row.fields = fields;
  json.array();
  let n: u32 = 0;
  for (; json.element(); n++) {
    if (n == FIELDS_MAX) return badRow(name, NAMES);
    const s = ownText();
    if (s == 0) return badRow(name, NOT_NAMES);
    store<u64>(namesNow + (n << 3), s);
  }
  row.nameCount = n;
  row.names = ptrOf(keep(span(namesNow, n << 3)));
  return json.sound() && (row.names != 0 || badRow(name, MEMORY));
}

// ownText reads a string into memory that outlives the call; 0 where it is no string, or empty.
function ownText(): Span {
  if (json.peek() != json.STRING || !json.string() || lenOf(json.raw()) == 0) return 0;
  const own = keep(json.raw());
  return own == 0 || !json.escaped() ? own : json.decode(json.raw(), ptrOf(own));
}

// add puts a row into the table; false where an earlier row has the same name.
function add(row: Row): bool {
  rowCount++;
  if (row.starBefore || row.starAfter) {
    if (lastStar == null) stars = row;
    else lastStar!.next = row;
    lastStar = row;
    return true;
  }
  let slot = hash(row.event) & slotMask;
  for (; load<u32>(slots + (slot << 2)) != 0; slot = (slot + 1) & slotMask) {
    if (same(changetype<Row>(<usize>load<u32>(slots + (slot << 2))).event, row.event)) return false;
  }
  store<u32>(slots + (slot << 2), <u32>changetype<usize>(row));
  return true;
}

function exact(type: Span): Row | null {
  if (slots == 0) return null;
  let slot = hash(type) & slotMask;
  while (true) {
    const row = changetype<Row | null>(<usize>load<u32>(slots + (slot << 2)));
    if (row == null || same(row.event, type)) return row;
    slot = (slot + 1) & slotMask;
  }
}

function matches(row: Row, type: Span): bool {
  const n = lenOf(row.event), m = lenOf(type);
  if (n > m) return false;
  const p = ptrOf(type);
  if (!row.starBefore) return same(span(p, n), row.event);
  if (!row.starAfter) return same(span(p + (m - n), n), row.event);
  for (let i: u32 = 0; i <= m - n; i++) if (same(span(p + i, n), row.event)) return true;
  return false;
}

// bad writes an error text, unless the JSON itself is at fault, which configure tells. It returns false.
function bad(where: Span, field: Span, why: Span): bool {
  if (!json.sound()) return false;
  writer.reset(0);
  writer.put(where);
  writer.put(field);
  writer.put(why);
  return false;
}

function badRow(field: Span, why: Span): bool {
  if (rowNow < 0) return bad(IN_DEFAULT, field, why);
  if (!json.sound()) return false;
  writer.reset(0);
  writer.put(IN_ROW);
  writer.putInt(rowNow);
  writer.put(IN_ROW_END);
  writer.put(field);
  writer.put(why);
  return false;
}
