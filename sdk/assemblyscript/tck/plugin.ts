// The guest that certifies this SDK; ../../tck/README.md says what it must do.
import {
  ERROR_NO_BUFFER, NO, Span, YES, ascii, batch, errorCode, holds, host, input, json, keep, lenOf, ptrOf, same, writer,
} from "../assembly";

export { wse_abi_v1, wse_buffer } from "../assembly";

const TYPE = ascii("type");
const PAYLOAD = ascii("payload");
const CODE = ascii("code");
const TEXT = ascii("text");
const N = ascii("n");
const LEVEL = ascii("level");
const NAME = ascii("name");
const VALUE = ascii("value");
const TOPIC = ascii("topic");
const IDENTITY = ascii("identity");
const PERMISSIONS = ascii("permissions");
const USER_ID = ascii("user_id");
const STRATEGY_CONFIG = ascii("strategy_config");
const GREETING = ascii("greeting");

const T_ECHO = ascii("echo");
const T_DROP = ascii("drop");
const T_ERROR = ascii("error");
const T_MANY = ascii("many");
const T_TEXT = ascii("text");
const T_INTEGER = ascii("integer");
const T_KINDS = ascii("kinds");
const T_WALK = ascii("walk");
const T_LOG = ascii("log");
const T_METRIC = ascii("metric");
const T_CONFIG = ascii("config");
const T_REPEAT = ascii("repeat");
const T_TRAP = ascii("trap");
const T_SPIN = ascii("spin");

const BEGIN = ascii("{\"t\":\"tck\",\"topic\":\"public:tck\",\"p\":");
const P_I = ascii("{\"i\":");
const P_N = ascii("{\"n\":");
const P_TEXT = ascii("{\"text\":\"");
const P_BYTES = ascii("\",\"bytes\":");
const P_VALUES = ascii("{\"values\":");
const P_SUM = ascii(",\"sum\":");
const P_GREETING = ascii("{\"greeting\":\"");
const P_X = ascii("{\"x\":\"");
const QUOTE_COLON_QUOTE = ascii("\":\"");
const QUOTE_END = ascii("\"}");
const OBJECT = ascii("object");
const ARRAY = ascii("array");
const STRING = ascii("string");
const NUMBER = ascii("number");
const TRUE = ascii("true");
const FALSE = ascii("false");
const NULL = ascii("null");

const YES_TOPIC = ascii("tck:yes");
const ASK_TOPIC = ascii("tck:ask");
const PERMISSION = ascii("tck");
const ALLOWED = ascii("{\"allow\":true,\"ttl_s\":60}");
const REFUSED = ascii("{\"allow\":false,\"reason\":\"");
const LACKS = ascii(" lacks tck\"}");
const INVALID = ascii("{\"valid\":false,\"errors\":[");
const PATH = ascii("{\"path\":\"");
const MUST_BE = ascii("\",\"message\":\"must be an integer\"}");
const WARNINGS = ascii("],\"warnings\":[]}");

const NOT_EVENT = ascii("not an event");
const NOT_REQUEST = ascii("not a request");
const NOT_OBJECT = ascii("config: not an object");
const NOT_STRING = ascii("config: greeting must be a string");
const UNKNOWN = ascii("config: unknown field \"");

const ERROR_MISSING: u32 = 4;

let greeting: Span = ascii("hello");

// The value that read or find read last: its kind, json.BAD where it is not there, and what is written, of a string
// between its quotes.
let kind: u32 = 0;
let raw: Span = 0;
let escaped: bool = false;

// read reads the next value, whatever it is.
function read(): void {
  kind = json.peek();
  if (kind == json.STRING) json.string();
  else json.skip();
  raw = json.raw();
  escaped = json.escaped();
}

// text is the text of the string read last.
function text(): Span {
  return json.text(raw, escaped);
}

function integer(): bool {
  return kind == json.NUMBER && json.integer(raw);
}

// find reads an object for the member of that name; the last of several counts.
function find(object: Span, name: Span): void {
  kind = json.BAD;
  if (lenOf(object) == 0 || load<u8>(ptrOf(object)) != 0x7b) return;
  json.open(ptrOf(object), lenOf(object));
  json.object();
  while (json.member()) {
    if (json.keyIs(name)) read();
    else json.skip();
  }
  json.close();
}

function findText(object: Span, name: Span): bool {
  find(object, name);
  return kind == json.STRING;
}

function findInteger(object: Span, name: Span, least: i64, most: i64): bool {
  find(object, name);
  return integer() && json.value() >= least && json.value() <= most;
}

function missing(): u64 {
  return errorCode(ERROR_MISSING);
}

function begin(): void {
  writer.put(BEGIN);
}

function end(): u64 {
  writer.putByte(0x7d);
  return writer.result();
}

function refuse(why: Span): u64 {
  writer.begin();
  writer.put(why);
  return writer.failure();
}

export function wse_transform(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  writer.begin();
  let type: Span = 0, typeEscaped = false, payload: Span = 0;
  json.open(input(), <u32>len);
  if (json.object()) {
    while (json.member()) {
      if (json.keyIs(TYPE)) {
        read();
        type = kind == json.STRING ? raw : 0;
        typeEscaped = escaped;
      } else if (json.keyIs(PAYLOAD)) {
        json.skip();
        payload = json.raw();
      } else {
        json.skip();
      }
    }
  }
  if (!json.close() || type == 0) return refuse(NOT_EVENT);
  return answer(json.text(type, typeEscaped), payload);
}

function answer(type: Span, payload: Span): u64 {
  if (same(type, T_ECHO)) return echo(payload);
  if (same(type, T_DROP)) return NO;
  if (same(type, T_ERROR)) return fail(payload);
  if (same(type, T_MANY)) return many(payload);
  if (same(type, T_TEXT)) return again(payload);
  if (same(type, T_INTEGER)) return whole(payload);
  if (same(type, T_KINDS)) return kinds(payload);
  if (same(type, T_WALK)) return walk(payload);
  if (same(type, T_LOG)) return say(payload);
  if (same(type, T_METRIC)) return count(payload);
  if (same(type, T_CONFIG)) return config();
  if (same(type, T_REPEAT)) return repeat(payload);
  if (same(type, T_TRAP)) return sink();
  if (same(type, T_SPIN)) while (true) {}
  return YES;
}

function echo(payload: Span): u64 {
  if (payload == 0) return missing();
  begin();
  writer.put(payload);
  return end();
}

function fail(payload: Span): u64 {
  if (findInteger(payload, CODE, 0, u32.MAX_VALUE)) return errorCode(<u32>json.value());
  if (!findText(payload, TEXT)) return missing();
  writer.put(text());
  return writer.failure();
}

function many(payload: Span): u64 {
  if (!findInteger(payload, N, 1, 64)) return missing();
  for (let i: i64 = 0, n = json.value(); i < n; i++) {
    writer.putByte(i == 0 ? 0x5b : 0x2c);
    begin();
    writer.put(P_I);
    writer.putInt(i);
    writer.putByte(0x7d);
    writer.putByte(0x7d);
  }
  writer.putByte(0x5d);
  return writer.result();
}

function again(payload: Span): u64 {
  if (!findText(payload, TEXT)) return missing();
  const s = text();
  begin();
  writer.put(P_TEXT);
  writer.putText(s);
  writer.put(P_BYTES);
  writer.putInt(lenOf(s));
  writer.putByte(0x7d);
  return end();
}

function whole(payload: Span): u64 {
  find(payload, N);
  if (!integer()) return missing();
  begin();
  writer.put(P_N);
  writer.putInt(json.value());
  writer.putByte(0x7d);
  return end();
}

function kinds(payload: Span): u64 {
  if (lenOf(payload) == 0 || load<u8>(ptrOf(payload)) != 0x7b) return missing();
  begin();
  writer.putByte(0x7b);
  json.open(ptrOf(payload), lenOf(payload));
  json.object();
  for (let first = true; json.member(); first = false) {
    if (!first) writer.putByte(0x2c);
    writer.putByte(0x22);
    writer.putText(json.keyText());
    writer.put(QUOTE_COLON_QUOTE);
    writer.put(nameOf(json.peek()));
    writer.putByte(0x22);
    json.skip();
  }
  json.close();
  writer.putByte(0x7d);
  return end();
}

function nameOf(kind: u32): Span {
  switch (kind) {
    case json.OBJECT: return OBJECT;
    case json.ARRAY: return ARRAY;
    case json.STRING: return STRING;
    case json.NUMBER: return NUMBER;
    case json.TRUE: return TRUE;
    case json.FALSE: return FALSE;
    default: return NULL;
  }
}

let values: i64 = 0;
let sum: i64 = 0;

function walk(payload: Span): u64 {
  if (payload == 0) return missing();
  values = sum = 0;
  json.open(ptrOf(payload), lenOf(payload));
  inside();
  json.close();
  begin();
  writer.put(P_VALUES);
  writer.putInt(values);
  writer.put(P_SUM);
  writer.putInt(sum);
  writer.putByte(0x7d);
  return end();
}

// inside counts the values inside the one that comes next; the reader's bound on depth bounds the recursion.
function inside(): void {
  const kind = json.peek();
  if (kind == json.OBJECT) {
    json.object();
    while (json.member()) {
      values++;
      inside();
    }
  } else if (kind == json.ARRAY) {
    json.array();
    while (json.element()) {
      values++;
      inside();
    }
  } else {
    read();
    if (integer()) sum += json.value();
  }
}

function say(payload: Span): u64 {
  if (!findInteger(payload, LEVEL, host.TRACE, host.ERROR)) return missing();
  const level = <i32>json.value();
  if (!findText(payload, TEXT)) return missing();
  host.log(level, text());
  return YES;
}

function count(payload: Span): u64 {
  if (!findInteger(payload, VALUE, 0, i64.MAX_VALUE)) return missing();
  const value = <f64>json.value();
  if (!findText(payload, NAME)) return missing();
  host.metric(text(), value);
  return YES;
}

function config(): u64 {
  begin();
  writer.put(P_GREETING);
  writer.putText(greeting);
  writer.put(QUOTE_END);
  return end();
}

function repeat(payload: Span): u64 {
  if (!findInteger(payload, N, 0, 1000000)) return missing();
  begin();
  writer.put(P_X);
  for (let n = json.value(); n > 0; n--) writer.putByte(0x78);
  writer.put(QUOTE_END);
  return end();
}

// sink traps. It is exported, and has more to do than its caller could hold, so that the compiler keeps it as a function
// of its own.
export function sink(): u64 {
  for (let i: u32 = 0; i < lenOf(T_TRAP); i++) {
    writer.putText(T_TRAP);
    writer.putInt(i);
    writer.putByte(0x2c);
    writer.putText(T_SPIN);
    writer.putInt(-i);
  }
  if (writer.mark() != 0) unreachable();
  return writer.result();
}

export function wse_transform_batch(len: i32): u64 {
  return batch(len, wse_transform);
}

export function wse_authorize(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  writer.begin();
  let topic: Span = 0, topicEscaped = false, identity: Span = 0;
  json.open(input(), <u32>len);
  if (json.object()) {
    while (json.member()) {
      if (json.keyIs(TOPIC)) {
        read();
        topic = kind == json.STRING ? raw : 0;
        topicEscaped = escaped;
      } else if (json.keyIs(IDENTITY)) {
        json.skip();
        identity = json.raw();
      } else {
        json.skip();
      }
    }
  }
  if (!json.close() || topic == 0) return refuse(NOT_REQUEST);
  const s = json.text(topic, topicEscaped);
  if (same(s, YES_TOPIC)) return YES;
  return same(s, ASK_TOPIC) ? ask(identity) : NO;
}

function ask(identity: Span): u64 {
  find(identity, PERMISSIONS);
  if (kind == json.ARRAY && permits(raw)) {
    writer.put(ALLOWED);
    return writer.result();
  }
  writer.put(REFUSED);
  if (findText(identity, USER_ID)) writer.putText(text());
  writer.put(LACKS);
  return writer.result();
}

function permits(list: Span): bool {
  let found = false;
  json.open(ptrOf(list), lenOf(list));
  json.array();
  while (json.element()) {
    read();
    if (kind == json.STRING && same(text(), PERMISSION)) found = true;
  }
  json.close();
  return found;
}

export function wse_validate(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  writer.begin();
  let config: Span = 0;
  json.open(input(), <u32>len);
  if (json.object()) {
    while (json.member()) {
      if (!json.keyIs(STRATEGY_CONFIG)) {
        json.skip();
        continue;
      }
      read();
      config = kind == json.OBJECT ? raw : 0;
    }
  }
  if (!json.close() || config == 0) return refuse(NOT_REQUEST);
  let members = 0, wrong = 0;
  writer.put(INVALID);
  json.open(ptrOf(config), lenOf(config));
  json.object();
  while (json.member()) {
    members++;
    read();
    if (integer()) continue;
    if (wrong++ > 0) writer.putByte(0x2c);
    writer.put(PATH);
    writer.putText(json.keyText());
    writer.put(MUST_BE);
  }
  json.close();
  if (wrong == 0) return members == 0 ? NO : YES;
  writer.put(WARNINGS);
  return writer.result();
}

export function wse_configure(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  writer.begin();
  kind = json.BAD;
  json.open(input(), <u32>len);
  if (json.object()) {
    while (json.member()) {
      if (json.keyIs(GREETING)) {
        read();
        continue;
      }
      if (writer.mark() == 0) { // the first that is unknown
        writer.put(UNKNOWN);
        writer.put(json.keyText());
        writer.putByte(0x22);
      }
      json.skip();
    }
  }
  if (!json.close()) return refuse(NOT_OBJECT);
  if (writer.mark() != 0) return writer.failure();
  if (kind == json.BAD) return YES;
  if (kind != json.STRING) return refuse(NOT_STRING);
  greeting = keep(text());
  return YES;
}
