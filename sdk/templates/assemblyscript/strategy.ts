// {{.Name}} buys when the price rises above one limit, and sells when it falls below another.
import { ERROR_NO_BUFFER, Span, YES, alloc, ascii, error, errorCode, holds, input, json, lenOf, ptrOf, span, ticks, word, writer } from "./sdk/assembly";
import * as strategy from "./sdk/assembly/strategy";

export { wse_abi_v1, wse_buffer } from "./sdk/assembly";

const K_ABOVE = word("above");
const K_BELOW = word("below");
const K_NOTIONAL = word("notional");
const S1 = ascii("S1");
const PRICE = ascii("price");
const ABOVE = ascii("above");
const BELOW = ascii("below");
const ENTRY = ascii("entry_evaluation");
const CLOSING = ascii("close_order_evaluation");
const ACTIVE = ascii("position_active");
const EXITED = ascii("exited");
const NOT_OPENING = ascii("not an opening");
const NOT_TICKS = ascii("not a batch of ticks");
const NOT_UPDATE = ascii("not an update");
const NOT_OPEN = ascii("this handle is not open");
const TOO_MANY = ascii("more than 64 handles");
const LIMITS = ascii("strategy_config: above and below must be numbers over 0, above the larger");

// Series is what is kept for each handle, which is a symbol of the session. They lie end to end in memory that is taken once.
@unmanaged
class Series {
  above: f64; // of the configuration
  below: f64;
  notional: f64;
  position: f64; // as told last
  handle: u32;
  orders: u32; // so far
  waiting: bool; // an order is out
}

const HANDLES_MAX: u32 = 64;
const all = alloc(HANDLES_MAX * offsetof<Series>());
const orderText = alloc(12);
let open: u32 = 0; // handles

function at(i: u32): Series {
  return changetype<Series>(all + <usize>i * offsetof<Series>());
}

function find(handle: u32): Series | null {
  for (let i: u32 = 0; i < open; i++) if (at(i).handle == handle) return at(i);
  return null;
}

// wse_strategy_open reads {"handle":1,"strategy_config":{"above":N,"below":N,"notional":N}, …}.
export function wse_strategy_open(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  writer.begin();
  if (!strategy.openingOf(input(), <u32>len) || strategy.config == 0) return error(NOT_OPENING);
  let above: f64 = 0, below: f64 = 0, notional: f64 = 1000;
  json.open(ptrOf(strategy.config), lenOf(strategy.config));
  json.object();
  while (json.member()) {
    const key = json.keyWord();
    if (key == K_ABOVE) above = strategy.number();
    else if (key == K_BELOW) below = strategy.number();
    else if (key == K_NOTIONAL) notional = strategy.number();
    else json.skip();
  }
  if (!json.close() || below <= 0 || above <= below) return error(LIMITS);
  let s = find(strategy.handle);
  if (s == null) {
    if (open == HANDLES_MAX) return error(TOO_MANY);
    s = at(open++);
  }
  s.handle = strategy.handle;
  s.above = above;
  s.below = below;
  s.notional = notional;
  s.position = strategy.position;
  s.orders = 0;
  s.waiting = false;
  return YES;
}

export function wse_strategy_ticks(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  writer.begin();
  if (!ticks.open(input(), <u32>len)) return error(NOT_TICKS);
  const s = find(ticks.handle());
  if (s == null) return error(NOT_OPEN);
  const n = ticks.count();
  let i: u32 = 0;
  for (let ordered = false; i < n && !ordered && !strategy.mustStop(); i++) {
    ordered = step(s, i, ticks.price(i)); // the engine tells what became of it, and goes on with the rest
  }
  return strategy.said(i, n);
}

// step takes one tick and reports whether it ordered.
function step(s: Series, i: u32, price: f64): bool {
  if (s.waiting) return false;
  if (s.position <= 0 && price > s.above) {
    strategy.saySignal(i, S1, -1);
    strategy.sayValue(PRICE, price);
    strategy.saySignalEnd();
    strategy.sayState(i, ENTRY);
    strategy.sayOrder(i, orderID(s), false, 0, s.notional, 0, ABOVE);
    return true;
  }
  if (s.position > 0 && price < s.below) {
    strategy.sayState(i, CLOSING);
    strategy.sayOrder(i, orderID(s), true, s.position, 0, 0, BELOW);
    return true;
  }
  return false;
}

// orderID is o1, o2, …; what becomes of the order is told by update.
function orderID(s: Series): Span {
  s.waiting = true;
  let p = orderText + 12;
  for (let v = ++s.orders; v > 0; v /= 10) store<u8>(--p, 0x30 + (v % 10));
  store<u8>(--p, 0x6f);
  return span(p, orderText + 12 - p);
}

// wse_strategy_update is told what became of orders, and what is held now.
export function wse_strategy_update(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  writer.begin();
  if (!strategy.updateOf(input(), <u32>len)) return error(NOT_UPDATE);
  const s = find(strategy.handle);
  if (s == null) return error(NOT_OPEN);
  s.position = strategy.position;
  while (strategy.event()) {
    s.waiting = false;
    strategy.sayState(0, s.position > 0 ? ACTIVE : EXITED);
  }
  return strategy.said(0, 0);
}
