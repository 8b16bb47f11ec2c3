// The guest that certifies this SDK; ../../tck/README.md says what it must do.
import {
  ERROR_NO_BUFFER, NO, Span, YES, alloc, ascii, batch, errorCode, holds, host, input, json, keep, lenOf, ptrOf, same, span, ticks, writer,
} from "../assembly";
import * as strategy from "../assembly/strategy";

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

// ---- Strategy

const NOT_OPENING = ascii("not an opening");
const NO_MODE = ascii("no such mode");
const NOT_TICKS = ascii("not a batch of ticks");
const NOT_OPEN = ascii("not open");
const NOT_UPDATE = ascii("not an update");
const TOO_MANY = ascii("too many handles");
const B_MODE = ascii("mode");
const B_ABOVE = ascii("above");
const B_QUANTITY = ascii("quantity");
const B_NOTIONAL = ascii("notional");
const B_LIMIT = ascii("limit");
const B_CONFIDENCE = ascii("confidence");
const M_QUIET = ascii("quiet");
const M_TRADE = ascii("trade");
const I_PRICE = ascii("price");
const I_SUM = ascii("sum");
const I_MEAN = ascii("mean");
const I_FEE = ascii("fee");
const I_POSITION = ascii("position");
const I_EQUITY = ascii("equity");
const S1 = ascii("S1");
const ENTRY = ascii("entry_evaluation");
const ACTIVE = ascii("position_active");
const GONE = ascii("signal_cancelled");
const EXITED = ascii("exited");
const WHY = ascii("price is \"above\"");

const QUIET: u32 = 1;
const ECHO: u32 = 2;
const TRADE: u32 = 3;
const TRAP: u32 = 4;
const SPIN: u32 = 5;

// Book is a handle. The books lie end to end in memory that is taken once, and are never collected.
@unmanaged
class Book {
  above: f64;
  quantity: f64;
  notional: f64;
  limit: f64;
  confidence: f64;
  sum: f64;
  position: f64;
  handle: u32;
  mode: u32;
  ticks: u32;
  orders: u32;
  out: bool; // an order is out
  cancelled: bool; // and its cancel too
}

const BOOKS_MAX: u32 = 64;
const books = alloc((BOOKS_MAX + 1) * offsetof<Book>());
const orderText = alloc(12);
let open: u32 = 0; // books

function bookAt(i: u32): Book {
  return changetype<Book>(books + <usize>i * offsetof<Book>());
}

function bookOf(handle: u32): Book | null {
  for (let i: u32 = 0; i < open; i++) {
    const b = bookAt(i);
    if (b.handle == handle) return b;
  }
  return null;
}

function modeOf(name: Span): u32 {
  if (same(name, M_QUIET)) return QUIET;
  if (same(name, T_ECHO)) return ECHO;
  if (same(name, M_TRADE)) return TRADE;
  if (same(name, T_TRAP)) return TRAP;
  return same(name, T_SPIN) ? SPIN : 0;
}

function setting(name: Span): f64 {
  find(strategy.config, name);
  return kind == json.NUMBER ? json.float(raw) : 0;
}

export function wse_strategy_open(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  writer.begin();
  if (!strategy.openingOf(input(), <u32>len) || strategy.config == 0) return refuse(NOT_OPENING);
  const mode = findText(strategy.config, B_MODE) ? modeOf(text()) : 0;
  if (mode == 0) return refuse(NO_MODE);
  let b = bookOf(strategy.handle);
  if (b == null) {
    if (open == BOOKS_MAX) return refuse(TOO_MANY);
    b = bookAt(open++);
  }
  memory.fill(changetype<usize>(b), 0, offsetof<Book>());
  b.handle = strategy.handle;
  b.mode = mode;
  b.position = strategy.position;
  b.above = setting(B_ABOVE);
  b.quantity = setting(B_QUANTITY);
  b.notional = setting(B_NOTIONAL);
  b.limit = setting(B_LIMIT);
  b.confidence = setting(B_CONFIDENCE);
  return YES;
}

export function wse_strategy_ticks(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  writer.begin();
  if (!ticks.open(input(), <u32>len)) return refuse(NOT_TICKS);
  const b = bookOf(ticks.handle());
  if (b == null) return refuse(NOT_OPEN);
  const n = ticks.count();
  let i: u32 = 0;
  for (let stop = false; i < n && !stop && !strategy.mustStop(); i++) {
    const price = ticks.price(i);
    b.ticks++;
    b.sum += price;
    if (b.mode == ECHO) {
      strategy.sayIndicator(i, I_PRICE, price);
      strategy.sayIndicator(i, I_SUM, b.sum);
      strategy.sayIndicator(i, I_MEAN, b.sum / <f64>b.ticks);
    } else if (b.mode == TRADE) {
      stop = trade(b, i, price);
    } else if (b.mode == TRAP) {
      return sink();
    } else if (b.mode == SPIN) {
      for (;;) spun++;
    }
  }
  return strategy.said(i, n);
}

let spun: u32 = 0;

// trade reports whether it ordered or cancelled.
function trade(b: Book, at: u32, price: f64): bool {
  if (b.out && !b.cancelled && price <= b.above) {
    b.cancelled = true;
    strategy.sayCancel(at, orderID(b));
    return true;
  }
  if (b.out || price <= b.above) return false;
  strategy.saySignal(at, S1, b.confidence > 0 ? b.confidence : -1);
  strategy.sayValue(I_PRICE, price);
  strategy.sayValue(B_ABOVE, b.above);
  strategy.saySignalEnd();
  strategy.sayState(at, ENTRY);
  b.out = true;
  b.orders++;
  strategy.sayOrder(at, orderID(b), b.position > 0, b.quantity, b.notional, b.limit, WHY);
  return true;
}

// orderID is o and the order's number.
function orderID(b: Book): Span {
  let p = orderText + 12;
  for (let v = b.orders; v > 0; v /= 10) store<u8>(--p, 0x30 + (v % 10));
  store<u8>(--p, 0x6f);
  return span(p, orderText + 12 - p);
}

export function wse_strategy_update(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  writer.begin();
  if (!strategy.updateOf(input(), <u32>len)) return refuse(NOT_UPDATE);
  const b = bookOf(strategy.handle);
  if (b == null) return refuse(NOT_OPEN);
  b.position = strategy.position;
  while (strategy.event()) {
    if (b.mode == ECHO) {
      strategy.sayIndicator(0, B_QUANTITY, strategy.quantity);
      strategy.sayIndicator(0, I_PRICE, strategy.price);
      strategy.sayIndicator(0, I_FEE, strategy.fee);
    } else if (b.mode == TRADE) {
      b.out = b.cancelled = false;
      strategy.sayState(0, strategy.kind == strategy.FILL ? ACTIVE : strategy.kind == strategy.REJECT ? GONE : EXITED);
    }
  }
  if (b.mode == ECHO) {
    strategy.sayIndicator(0, I_POSITION, strategy.position);
    strategy.sayIndicator(0, I_EQUITY, strategy.equity);
  }
  return strategy.said(0, 0);
}
