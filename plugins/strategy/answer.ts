// The answer of ticks and update: {"consumed":k,"out":[items]}. How many ticks were consumed is known at the end, so the
// beginning is written last, into room left for it.
import { NO, Span, alloc, append, ascii, json, lenOf, ptrOf, span, writer } from "../../sdk/assemblyscript/assembly";
import { Handle } from "./handle";

// A call ends after the tick with which its answer passes one of these, so that the answer to many ticks is no larger than
// the host takes.
const ITEMS_MAX: u32 = 1024;
const BYTES_MAX: u32 = 48 << 10;

const HEAD_ROOM: u32 = 48;
const ITEM_BYTES_MAX: u32 = 192; // of an indicator: what is around its name and value is below 80
const HEAD = ascii("{\"consumed\":");
const OUT = ascii(",\"out\":[");
const END = ascii("]}");
const INDICATOR = ascii("{\"kind\":\"indicator\",\"at\":");
const SIGNAL = ascii("{\"kind\":\"signal\",\"at\":");
const ORDER = ascii("{\"kind\":\"order\",\"at\":");
const CANCEL = ascii("{\"kind\":\"cancel\",\"at\":");
const STATE = ascii("{\"kind\":\"state\",\"at\":");
const NAME = ascii(",\"name\":");
const VALUE = ascii(",\"value\":");
const TYPE = ascii(",\"type\":\"");
const CONFIDENCE = ascii("\",\"confidence\":");
const INDICATORS = ascii(",\"indicators\":{");
const ID = ascii(",\"id\":\"");
const SIDE = ascii("\",\"side\":\"");
const NOTIONAL = ascii("\",\"notional\":");
const QUANTITY = ascii("\",\"quantity\":");
const REASON = ascii(",\"order_type\":\"market\",\"reason\":\"");
const STATE_IS = ascii(",\"state\":\"");
const CLOSE = ascii("\"}");
const CLOSE_TWO = ascii("}}");
const ENTRY = ascii("entry-");
const EXIT = ascii("exit-");
const BUY = ascii("buy");
const SELL = ascii("sell");
const SIGNAL_BUY = ascii("BUY");
const SIGNAL_SELL = ascii("SELL");

let count: u32 = 0;
let at: u32 = 0; // the tick being looked at

const headCopy = alloc(64);

export function begin(): void {
  writer.begin();
  count = 0;
  at = 0;
}

// tick says which tick the following items are about.
// @ts-ignore: decorator
@inline export function tick(i: u32): void {
  at = i;
}

// full reports whether no further tick should be looked at in this call.
// @ts-ignore: decorator
@inline export function full(): bool {
  return count != 0 && (count > ITEMS_MAX || writer.mark() > BYTES_MAX);
}

// result is what the hook returns, of so many ticks.
export function result(consumed: u32): u64 {
  if (count == 0) return NO;
  writer.put(END);
  const end = writer.mark();
  writer.put(HEAD);
  writer.putInt(consumed);
  writer.put(OUT);
  if (writer.overflowed()) return writer.result();
  const head = writer.written(end), from = HEAD_ROOM - lenOf(head);
  memory.copy(ptrOf(head) - end + from, ptrOf(head), lenOf(head));
  writer.reset(end);
  return writer.result(from);
}

function item(head: Span): void {
  if (count++ == 0) for (let i: u32 = 0; i < HEAD_ROOM; i++) writer.putByte(0x20);
  else writer.putByte(0x2c);
  writer.put(head);
  writer.putInt(at);
}

export function state(name: Span): void {
  item(STATE);
  writer.put(STATE_IS);
  writer.put(name);
  writer.put(CLOSE);
}

// indicators reports each indicator that has a value, and whether there is any. What all items of a tick begin with is
// written once, and there is room for all of them before the first is written (BenchmarkStrategyReports).
export function indicators(h: Handle): bool {
  let head: Span = 0, w: usize = 0;
  for (let i: u32 = 0; i < h.named; i++) {
    const value = load<f64>(h.cell(i));
    if (value != value) continue;
    if (head == 0) {
      head = headOf();
      w = writer.room(h.named * ITEM_BYTES_MAX);
      if (w == 0) return true;
    } else {
      store<u8>(w++, 0x2c);
      w = append(w, head);
      count++;
    }
    const name = h.name(i); // without its colon the name is a string
    w = append(w, span(ptrOf(name), lenOf(name) - 1));
    w = writer.appendFloat(append(w, VALUE), value);
    store<u8>(w++, 0x7d);
  }
  if (w != 0) writer.wrote(w);
  return head != 0;
}

// headOf begins the first item of a tick and returns what it begins with, for the others.
function headOf(): Span {
  const first = count == 0, from = writer.mark();
  item(INDICATOR);
  writer.put(NAME);
  const head = writer.written(first ? HEAD_ROOM : from + 1);
  memory.copy(headCopy, ptrOf(head), lenOf(head));
  return span(headCopy, lenOf(head));
}

export function signal(h: Handle, confidence: f64): void {
  item(SIGNAL);
  writer.put(TYPE);
  writer.put(h.short ? SIGNAL_SELL : SIGNAL_BUY);
  writer.put(CONFIDENCE);
  writer.putFloat(confidence);
  writer.put(INDICATORS);
  let w = writer.room(h.named * ITEM_BYTES_MAX), first = true;
  if (w == 0) return;
  for (let i: u32 = 0; i < h.named; i++) {
    const value = load<f64>(h.cell(i));
    if (value != value) continue;
    if (!first) store<u8>(w++, 0x2c);
    first = false;
    w = writer.appendFloat(append(w, h.name(i)), value);
  }
  writer.wrote(w);
  writer.put(CLOSE_TWO);
}

export function entry(h: Handle, number: u32, notional: f64): void {
  item(ORDER);
  id(ENTRY, number);
  writer.put(SIDE);
  writer.put(h.short ? SELL : BUY);
  writer.put(NOTIONAL);
  writer.putFloat(notional);
}

export function exit(number: u32, buys: bool, quantity: f64): void {
  item(ORDER);
  id(EXIT, number);
  writer.put(SIDE);
  writer.put(buys ? BUY : SELL);
  writer.put(QUANTITY);
  writer.putFloat(quantity);
}

// because ends an order.
export function because(reason: Span): void {
  writer.put(REASON);
  writer.put(reason);
  writer.put(CLOSE);
}

export function cancel(number: u32): void {
  item(CANCEL);
  id(ENTRY, number);
  writer.put(CLOSE);
}

function id(kind: Span, number: u32): void {
  writer.put(ID);
  writer.put(kind);
  writer.putInt(number);
}

// entryNumber and exitNumber are the number of an order by its id, 0 where it is none of ours.
export function entryNumber(id: Span): u32 {
  return numberBehind(ENTRY, id);
}

export function exitNumber(id: Span): u32 {
  return numberBehind(EXIT, id);
}

function numberBehind(kind: Span, id: Span): u32 {
  const n = lenOf(kind);
  if (lenOf(id) <= n || lenOf(id) > n + 10) return 0;
  for (let i: u32 = 0; i < n; i++) if (load<u8>(ptrOf(id) + i) != load<u8>(ptrOf(kind) + i)) return 0;
  if (!json.integer(span(ptrOf(id) + n, lenOf(id) - n))) return 0;
  return json.value() > 0 && json.value() <= <i64>u32.MAX_VALUE ? <u32>json.value() : 0;
}
