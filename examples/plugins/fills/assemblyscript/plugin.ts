// fills makes envelopes of a trading desk's events (examples/plugins/README.md says exactly what of what).
import {
  NO, Span, YES, ERROR_NO_BUFFER, ascii, batch, errorCode, holds, host, input, json, lenOf, same, word, writer,
} from "../../../../sdk/assemblyscript/assembly";

export { wse_abi_v1, wse_buffer } from "../../../../sdk/assemblyscript/assembly";

const K_TYPE = word("type");
const K_USER_ID = word("user_id");
const K_PAYLOAD = word("payload");
const K_ORDER_ID = word("order_id");
const K_SYMBOL = word("symbol");
const K_QUANTITY = word("quantity");
const K_REASON = word("reason");
const K_LARGE = word("large");

const FILLED = ascii("OrderFilled");
const REJECTED = ascii("OrderRejected");
const HEARTBEAT = ascii("Heartbeat");

// Pieces of the answers.
const OPEN = ascii("[");
const UPDATE = ascii("{\"t\":\"order_update\",\"topic\":\"user:");
const EVENTS = ascii(":order_events\",\"p\":{\"order_id\":\"");
const SYMBOL = ascii("\",\"symbol\":\"");
const IS_FILLED = ascii("\",\"status\":\"filled\",\"quantity\":");
const TRADE = ascii("},\"pri\":10},{\"t\":\"trade\",\"topic\":\"public:trades:");
const TRADE_P = ascii("\",\"p\":{\"symbol\":\"");
const QUANTITY = ascii("\",\"quantity\":");
const LARGE = ascii(",\"large\":true");
const CLOSE = ascii("}}]");
const IS_REJECTED = ascii("\",\"status\":\"rejected\",\"reason\":\"");
const REJECTED_END = ascii("\"},\"pri\":10}");
const LARGE_FILL = ascii("large fill: ");
const FILLS_TOTAL = ascii("fills_total");

// Error texts.
const NOT_EVENT = ascii("not an event");
const NO_USER = ascii("user_id");
const NO_ORDER = ascii("payload.order_id");
const NO_SYMBOL = ascii("payload.symbol");
const NO_QUANTITY = ascii("payload.quantity");
const IN = ascii(": ");
const IS_MISSING = ascii(" is missing");
const NOT_OBJECT = ascii("config: not an object");
const NOT_LARGE = ascii("config: large must be an integer of 1 or more");
const UNKNOWN = ascii("config: unknown field \"");

// large is the quantity from which a fill is a large one.
let large: i64 = 1000;

// The event read last. The texts are as they were written; one that is absent is empty.
let type: Span = 0;
let user: Span = 0;
let order: Span = 0;
let symbol: Span = 0;
let reason: Span = 0;
let quantity: i64 = 0;

export function wse_configure(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  writer.begin();
  let wrong = false;
  json.open(input(), <u32>len);
  if (json.object()) {
    while (json.member()) {
      if (json.keyWord() == K_LARGE) {
        large = integer();
        wrong = large < 1;
      } else {
        if (writer.mark() == 0) { // the first that is unknown
          writer.put(UNKNOWN);
          writer.put(json.keyText());
          writer.putByte(0x22);
        }
        json.skip();
      }
    }
  }
  if (!json.close()) return fail(NOT_OBJECT);
  if (writer.mark() != 0) return writer.failure();
  return wrong ? fail(NOT_LARGE) : YES;
}

export function wse_transform(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  writer.begin();
  if (!read(input(), <u32>len)) return fail(NOT_EVENT);
  if (type == FILLED) return fill();
  if (type == REJECTED) return reject();
  return type == HEARTBEAT ? NO : YES;
}

export function wse_transform_batch(len: i32): u64 {
  return batch(len, wse_transform);
}

// read takes an event apart. It returns false where it is none.
function read(ptr: usize, len: u32): bool {
  type = user = order = symbol = reason = 0;
  quantity = 0;
  let typed = false;
  json.open(ptr, len);
  if (json.object()) {
    while (json.member()) {
      const key = json.keyWord();
      if (key == K_TYPE) {
        typed = text();
        type = typed ? known(json.text(json.raw(), json.escaped())) : 0;
      } else if (key == K_USER_ID) {
        user = raw();
      } else if (key == K_PAYLOAD) {
        payload();
      } else {
        json.skip();
      }
    }
  }
  return json.close() && typed;
}

// known is which of our types it is, 0 for any other.
function known(s: Span): Span {
  if (same(s, FILLED)) return FILLED;
  if (same(s, REJECTED)) return REJECTED;
  return same(s, HEARTBEAT) ? HEARTBEAT : 0;
}

// payload reads a payload, and forgets one that came before it.
function payload(): void {
  order = symbol = reason = 0;
  quantity = 0;
  if (json.peek() != json.OBJECT) {
    json.skip();
    return;
  }
  json.object();
  while (json.member()) {
    const key = json.keyWord();
    if (key == K_ORDER_ID) order = raw();
    else if (key == K_SYMBOL) symbol = raw();
    else if (key == K_REASON) reason = raw();
    else if (key == K_QUANTITY) quantity = integer();
    else json.skip();
  }
}

function fill(): u64 {
  if (lenOf(user) == 0) return missing(NO_USER);
  if (lenOf(order) == 0) return missing(NO_ORDER);
  if (lenOf(symbol) == 0) return missing(NO_SYMBOL);
  if (quantity < 1) return missing(NO_QUANTITY);
  host.metric(FILLS_TOTAL, 1);
  if (quantity >= large) {
    writer.put(LARGE_FILL);
    writer.put(order);
    host.log(host.INFO, writer.written(0));
    writer.reset(0);
  }
  writer.put(OPEN);
  update();
  writer.put(SYMBOL);
  writer.put(symbol);
  writer.put(IS_FILLED);
  writer.putInt(quantity);
  writer.put(TRADE);
  writer.put(symbol);
  writer.put(TRADE_P);
  writer.put(symbol);
  writer.put(QUANTITY);
  writer.putInt(quantity);
  if (quantity >= large) writer.put(LARGE);
  writer.put(CLOSE);
  return writer.result();
}

function reject(): u64 {
  if (lenOf(user) == 0) return missing(NO_USER);
  if (lenOf(order) == 0) return missing(NO_ORDER);
  update();
  writer.put(IS_REJECTED);
  writer.put(reason);
  writer.put(REJECTED_END);
  return writer.result();
}

// update is how both envelopes to the user begin.
function update(): void {
  writer.put(UPDATE);
  writer.put(user);
  writer.put(EVENTS);
  writer.put(order);
}

function missing(field: Span): u64 {
  writer.put(type);
  writer.put(IN);
  writer.put(field);
  writer.put(IS_MISSING);
  return writer.failure();
}

function fail(why: Span): u64 {
  writer.begin();
  writer.put(why);
  return writer.failure();
}

// text reads a value, and reports whether it is a string.
function text(): bool {
  if (json.peek() == json.STRING) return json.string();
  json.skip();
  return false;
}

// raw reads a value and gives a string as it is written, nothing for any other.
function raw(): Span {
  return text() ? json.raw() : 0;
}

// integer reads a value and gives a whole number, 0 for any other.
function integer(): i64 {
  return json.skip() && json.integer(json.raw()) ? json.value() : 0;
}
