// What a strategy needs beside the rest of the SDK. It is imported by itself, as "./sdk/assembly/strategy", so that other
// plugins do not carry its texts.
//
//   open      openingOf, then handle, config, symbol …
//   ticks     ticks.open of the SDK
//   update    updateOf, then position and equity, and event until it says false, each time kind, id, quantity …
//   saying    sayIndicator, saySignal with sayValue and saySignalEnd, sayOrder, sayCancel, sayState; mustStop; said
//
// The host cuts ticks into batches as it likes, and what is said must not depend on that. In all that is said, `at` is the tick's
// index in the batch; in an update it is 0. A hook calls writer.begin first.
import * as json from "./json";
import * as writer from "./writer";
import { NO } from "./abi";
import { Span, ascii, lenOf, ptrOf, same, word } from "./span";

const HANDLE = word("handle");
const SYMBOL = word("symbol");
const EQUITY = word("equity");
const POSITION = word("position");
const EVENTS = word("events");
const STRATEGY_NAME = ascii("strategy_name");
const SESSION_TYPE = ascii("session_type");
const STRATEGY_CONFIG = ascii("strategy_config");
const INTERVAL = ascii("indicator_interval_ms");
const KIND = word("kind");
const ID = word("id");
const REASON = word("reason");
const QUANTITY = word("quantity");
const PRICE = word("price");
const FEE = word("fee");
const IS_FILL = ascii("fill");
const IS_REJECT = ascii("reject");
const IS_CANCELLED = ascii("cancelled");

// The document that was read last, of wse_strategy_open or wse_strategy_update. Texts are as they are written.
export let handle: u32 = 0;
export let name: Span = 0; // of the strategy
export let symbol: Span = 0;
export let sessionType: Span = 0; // backtest, paper or live
export let config: Span = 0; // the object of strategy_config, for json.open; 0 where there is none
export let equity: f64 = 0;
export let position: f64 = 0;
export let interval: f64 = 0; // indicator_interval_ms

let bad: bool = false; // a member that is JSON, and not what it should be
let events: Span = 0; // the list; 0 once all have been read

// openingOf reads the document of wse_strategy_open; false where it is none.
export function openingOf(ptr: usize, len: u32): bool {
  name = symbol = sessionType = config = 0;
  equity = position = interval = 0;
  bad = false;
  let has = false;
  json.open(ptr, len);
  if (json.object()) {
    while (json.member()) {
      const key = json.keyWord();
      if (key == HANDLE) {
        readHandle();
        has = true;
      } else if (key == EQUITY) {
        equity = number();
      } else if (key == POSITION) {
        position = number();
      } else if (key == SYMBOL) {
        symbol = content();
      } else if (json.keyIs(STRATEGY_CONFIG)) {
        config = value(json.OBJECT);
      } else if (json.keyIs(INTERVAL)) {
        interval = number();
      } else if (json.keyIs(STRATEGY_NAME)) {
        name = content();
      } else if (json.keyIs(SESSION_TYPE)) {
        sessionType = content();
      } else {
        json.skip();
      }
    }
  }
  return json.close() && has && !bad;
}

// What became of an order: the values of kind. 0 is another.
export const FILL: u32 = 1;
export const REJECT: u32 = 2;
export const CANCELLED: u32 = 3;

// The event that was read last. id and reason are as they are written.
export let kind: u32 = 0;
export let id: Span = 0;
export let reason: Span = 0;
export let quantity: f64 = 0;
export let price: f64 = 0;
export let fee: f64 = 0;

// updateOf reads the document of wse_strategy_update, and begins to read its events: event must be called until it says
// false. It returns false where the document is none.
export function updateOf(ptr: usize, len: u32): bool {
  position = equity = 0;
  events = 0;
  bad = false;
  let has = false;
  json.open(ptr, len);
  if (json.object()) {
    while (json.member()) {
      const key = json.keyWord();
      if (key == HANDLE) {
        readHandle();
        has = true;
      } else if (key == POSITION) {
        position = number();
      } else if (key == EQUITY) {
        equity = number();
      } else if (key == EVENTS) {
        events = value(json.ARRAY);
      } else {
        json.skip();
      }
    }
  }
  if (!json.close() || !has || bad) return false;
  if (events != 0) {
    json.open(ptrOf(events), lenOf(events));
    json.array();
  }
  return true;
}

// event reads the next event of the update that was read last; false where there is none, or the next is none.
export function event(): bool {
  kind = 0;
  id = reason = 0;
  quantity = price = fee = 0;
  if (events == 0) return false;
  if (!json.element() || !json.object()) {
    json.close();
    events = 0;
    return false;
  }
  while (json.member()) {
    const key = json.keyWord();
    if (key == KIND) kind = eventKind();
    else if (key == ID) id = content();
    else if (key == REASON) reason = content();
    else if (key == QUANTITY) quantity = number();
    else if (key == PRICE) price = number();
    else if (key == FEE) fee = number();
    else json.skip();
  }
  return json.sound();
}

function eventKind(): u32 {
  if (!json.string()) return 0;
  const text = json.text(json.raw(), json.escaped());
  if (same(text, IS_FILL)) return FILL;
  if (same(text, IS_REJECT)) return REJECT;
  return same(text, IS_CANCELLED) ? CANCELLED : 0;
}

function readHandle(): void {
  if (json.skip() && json.integer(json.raw()) && json.value() >= 0 && json.value() <= 0xffffffff) handle = <u32>json.value();
  else bad = true;
}

// number reads the next value as a number; the document is none where it is no number, or over the largest.
export function number(): f64 {
  if (json.peek() != json.NUMBER || !json.skip()) {
    bad = true;
    if (json.sound()) json.skip();
    return 0;
  }
  const v = json.float(json.raw());
  if (isFinite(v)) return v;
  bad = true;
  return 0;
}

function content(): Span {
  return json.string() ? json.raw() : 0;
}

function value(wanted: u32): Span {
  if (json.peek() != wanted) bad = true;
  return json.skip() ? json.raw() : 0;
}

const OUT = ascii("{\"out\":[");
const ITEM = ascii("{\"kind\":\"");
const AT = ascii("\",\"at\":");
const A_INDICATOR = ascii("indicator");
const A_SIGNAL = ascii("signal");
const AN_ORDER = ascii("order");
const A_CANCEL = ascii("cancel");
const A_STATE = ascii("state");
const NAME_IS = ascii(",\"name\":\"");
const VALUE_IS = ascii("\",\"value\":");
const TYPE_IS = ascii(",\"type\":\"");
const CONFIDENCE_IS = ascii(",\"confidence\":");
const INDICATORS_ARE = ascii(",\"indicators\":{");
const COLON = ascii("\":");
const ENDS = ascii("}}");
const ID_IS = ascii(",\"id\":\"");
const BUY = ascii("\",\"side\":\"buy\"");
const SELL = ascii("\",\"side\":\"sell\"");
const QUANTITY_IS = ascii(",\"quantity\":");
const NOTIONAL_IS = ascii(",\"notional\":");
const MARKET = ascii(",\"order_type\":\"market\"");
const LIMIT = ascii(",\"order_type\":\"limit\",\"price\":");
const REASON_IS = ascii(",\"reason\":\"");
const STATE_IS = ascii(",\"state\":\"");
const END = ascii("\"}");
const CONSUMED = ascii("],\"consumed\":");

// What an answer may hold is bounded by the host; a strategy stops a little earlier, so that one tick's items always fit.
const ITEMS_MAX: u32 = 3500;
const SAID_MAX: u32 = 768 << 10;

let items: u32 = 0; // in this answer
let values: u32 = 0; // in this signal

function item(what: Span, at: u32): void {
  if (writer.mark() == 0) {
    items = 0;
    writer.put(OUT);
  }
  if (items++ > 0) writer.putByte(0x2c);
  writer.put(ITEM);
  writer.put(what);
  writer.put(AT);
  writer.putInt(at);
}

function member(before: Span, v: f64): void {
  writer.put(before);
  writer.putFloat(v);
}

// sayIndicator reports a value under a name. One that is not ready (NaN) or infinite is left out.
export function sayIndicator(at: u32, what: Span, v: f64): void {
  if (!isFinite(v)) return;
  item(A_INDICATOR, at);
  writer.put(NAME_IS);
  writer.putText(what);
  member(VALUE_IS, v);
  writer.putByte(0x7d);
}

// saySignal begins to report a signal; a confidence below 0 is none. sayValue adds the values that it was made of, of which
// those that are no number are left out, and saySignalEnd ends it.
export function saySignal(at: u32, type: Span, confidence: f64): void {
  item(A_SIGNAL, at);
  writer.put(TYPE_IS);
  writer.putText(type);
  writer.putByte(0x22);
  if (confidence >= 0) member(CONFIDENCE_IS, confidence);
  writer.put(INDICATORS_ARE);
  values = 0;
}

export function sayValue(what: Span, v: f64): void {
  if (!isFinite(v)) return;
  if (values++ > 0) writer.putByte(0x2c);
  writer.putByte(0x22);
  writer.putText(what);
  member(COLON, v);
}

export function saySignalEnd(): void {
  writer.put(ENDS);
}

// sayOrder orders a quantity in base currency or, where that is 0, a notional in quote currency; a limit of 0 makes it a
// market order. The id is the plugin's own, used once in the handle. The strategy must stop at this tick: return said(at + 1, n).
export function sayOrder(at: u32, orderID: Span, sell: bool, base: f64, notional: f64, limit: f64, why: Span): void {
  item(AN_ORDER, at);
  writer.put(ID_IS);
  writer.putText(orderID);
  writer.put(sell ? SELL : BUY);
  if (base > 0) member(QUANTITY_IS, base);
  else member(NOTIONAL_IS, notional);
  if (limit > 0) member(LIMIT, limit);
  else writer.put(MARKET);
  writer.put(REASON_IS);
  writer.putText(why);
  writer.put(END);
}

// sayCancel asks for an order to be cancelled. The strategy must stop at this tick.
export function sayCancel(at: u32, orderID: Span): void {
  item(A_CANCEL, at);
  writer.put(ID_IS);
  writer.putText(orderID);
  writer.put(END);
}

// sayState tells the state that the handle is in from here on; sdk/ABI.md lists them.
export function sayState(at: u32, state: Span): void {
  item(A_STATE, at);
  writer.put(STATE_IS);
  writer.putText(state);
  writer.put(END);
}

// mustStop reports whether so much has been said that the next tick belongs into another call.
export function mustStop(): bool {
  const used = writer.mark();
  return used > 0 && (items >= ITEMS_MAX || used >= SAID_MAX);
}

// said is what the hook returns: the first `consumed` of n ticks are done with. In an update both are 0.
export function said(consumed: u32, n: u32): u64 {
  if (writer.mark() == 0) {
    if (consumed == n) return NO;
    writer.put(OUT);
  }
  writer.put(CONSUMED);
  writer.putInt(consumed);
  writer.putByte(0x7d);
  return writer.result();
}
