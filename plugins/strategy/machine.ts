// The five sections as a machine that a tick moves. README.md says in words what happens in which state; time is the tick's.
import { Span, ascii, host, writer } from "../../sdk/assemblyscript/assembly";
import * as series from "../indicators/series";
import * as config from "../validator/config";
import * as answer from "./answer";
import { Handle, confidence, holds } from "./handle";

export const INACTIVE: u32 = 0;
export const MONITORING: u32 = 1;
export const SIGNAL_DETECTED: u32 = 2;
export const SIGNAL_CANCELLED: u32 = 3;
export const ENTRY_EVALUATION: u32 = 4;
export const POSITION_ACTIVE: u32 = 5;
export const CLOSE_ORDER_EVALUATION: u32 = 6;
export const EMERGENCY_EXIT: u32 = 7;
export const EXITED: u32 = 8;

// What no market has: a tick with a higher price is passed over, a higher volume counts as none.
const PRICE_MAX: f64 = 1e15;
const VOLUME_MAX: f64 = 1e18;

// An exit that was rejected is ordered again after so many milliseconds, then twice as many, up to a limit.
const RETRY_FIRST: f64 = 1000;
const RETRY_MAX: f64 = 60000;

const S_MONITORING = ascii("monitoring");
const S_SIGNAL_DETECTED = ascii("signal_detected");
const S_SIGNAL_CANCELLED = ascii("signal_cancelled");
const S_ENTRY_EVALUATION = ascii("entry_evaluation");
const S_POSITION_ACTIVE = ascii("position_active");
const S_CLOSE_ORDER_EVALUATION = ascii("close_order_evaluation");
const S_EMERGENCY_EXIT = ascii("emergency_exit");
const S_EXITED = ascii("exited");

const Z1_ENTRY = ascii("z1_entry");
const ZE1_CLOSE = ascii("ze1_close");
const STOP_LOSS = ascii("stop_loss");
const TAKE_PROFIT = ascii("take_profit");

const L_EMERGENCY = ascii("emergency exit:");
const L_REFUSED = ascii("no entry, for its size is not allowed:");
const L_OF = ascii(" strategy ");
const L_SYMBOL = ascii(", symbol ");
const L_TIME = ascii(", time ");
const L_PRICE = ascii(", price ");
const L_POSITION = ascii(", position ");
const L_SIZE = ascii(", size ");

// tick takes up a tick and moves the machine. It reports whether something was ordered or cancelled: the batch ends there.
export function tick(h: Handle, time: f64, price: f64, volume: f64): bool {
  const s = h.series;
  if (!(price > 0 && price <= PRICE_MAX) || time < s.time) return false;
  series.add(s, time, price, volume >= 0 && volume <= VOLUME_MAX ? volume : 0);
  if (h.interval != 0 && (!h.reported || time >= h.reportAt) && answer.indicators(h)) {
    h.reported = true;
    h.reportAt = time + h.interval;
  }
  return move(h);
}

function move(h: Handle): bool {
  if (h.state == MONITORING) return watch(h);
  if (h.state == INACTIVE || h.state == SIGNAL_CANCELLED || h.state == EXITED) {
    if (h.position != 0) adopt(h);
    become(h, h.position == 0 ? MONITORING : POSITION_ACTIVE);
  } else if (h.state == EMERGENCY_EXIT) {
    if (recover(h)) return true;
    if (h.state == EMERGENCY_EXIT) return false;
  }
  if (h.state == MONITORING) return watch(h);
  if (!holds(h, config.EMERGENCY)) h.armed = true;
  else if (h.armed) return emergency(h);
  switch (h.state) {
    case SIGNAL_DETECTED: return decide(h);
    case ENTRY_EVALUATION: return withdraw(h);
    case POSITION_ACTIVE: return guard(h);
  }
  return false;
}

// watch waits for S1. A signal that came to nothing is not repeated until S1 has been false, and none is taken in an
// emergency.
function watch(h: Handle): bool {
  if (!holds(h, config.S1)) {
    h.blocked = false;
    return false;
  }
  if (h.blocked || holds(h, config.EMERGENCY)) return false;
  h.signalTime = h.series.time;
  h.armed = true;
  answer.signal(h, confidence(h, config.S1));
  become(h, SIGNAL_DETECTED);
  return decide(h);
}

// decide waits, with a signal, for Z1, unless O1 comes first.
function decide(h: Handle): bool {
  if (isOver(h)) {
    drop(h);
    return false;
  }
  if (!holds(h, config.Z1)) return false;
  become(h, ENTRY_EVALUATION);
  const notional = sizeOf(h);
  if (!isFinite(notional) || notional <= 0 || notional < h.minSize) {
    begin(h, L_REFUSED);
    writer.put(L_SIZE);
    writer.putFloat(notional);
    end(host.INFO);
    drop(h);
    return false;
  }
  h.entering = h.entered = ++h.orders;
  h.cancelling = false;
  h.entryQuantity = 0;
  answer.entry(h, h.entering, notional);
  answer.because(Z1_ENTRY);
  return true;
}

// isOver is O1.
function isOver(h: Handle): bool {
  return (h.timeout != 0 && h.series.time - h.signalTime >= h.timeout) || holds(h, config.O1);
}

// drop ends a signal that came to nothing.
function drop(h: Handle): void {
  h.blocked = true;
  become(h, SIGNAL_CANCELLED);
}

// sizeOf is the notional of an entry.
function sizeOf(h: Handle): f64 {
  let notional = h.percentage ? (h.equity * h.size * h.leverage) / 100 : h.size;
  const most = h.equity * h.baseSize * h.leverage;
  if (notional > most) notional = most;
  if (notional > h.maxSize) notional = h.maxSize;
  return notional;
}

// withdraw cancels an entry order that waits when O1 comes.
function withdraw(h: Handle): bool {
  if (h.cancelling || h.entering == 0 || !isOver(h)) return false;
  h.cancelling = true;
  answer.cancel(h.entering);
  return true;
}

// guard looks for a reason to close the position.
function guard(h: Handle): bool {
  const reason = reasonToClose(h);
  return reason != 0 && close(h, reason, true);
}

function reasonToClose(h: Handle): Span {
  const price = h.series.price, up = h.position > 0;
  if (up ? price <= h.stopPrice : price >= h.stopPrice) return STOP_LOSS;
  if (up ? price >= h.profitPrice : price <= h.profitPrice) return TAKE_PROFIT;
  return holds(h, config.ZE1) ? ZE1_CLOSE : 0;
}

// close orders that the position be closed, unless the last such order was rejected a moment ago.
function close(h: Handle, reason: Span, moves: bool): bool {
  if (h.exiting != 0 || h.position == 0 || h.series.time < h.retryAt) return false;
  if (moves) become(h, CLOSE_ORDER_EVALUATION);
  h.exiting = ++h.orders;
  answer.exit(h.exiting, h.position < 0, abs(h.position));
  answer.because(reason);
  return true;
}

function emergency(h: Handle): bool {
  h.armed = false;
  h.blocked = true;
  h.until = h.series.time + h.cooldown;
  become(h, EMERGENCY_EXIT);
  if (h.logEvent) {
    begin(h, L_EMERGENCY);
    writer.put(L_POSITION);
    writer.putFloat(h.position);
    end(host.WARN);
  }
  let acted = false;
  if (h.cancelPending && h.entering != 0 && !h.cancelling) {
    h.cancelling = acted = true;
    answer.cancel(h.entering);
  }
  return (h.closePosition && close(h, S_EMERGENCY_EXIT, false)) || acted;
}

// recover waits until an emergency is over: nothing is pending, what was to be closed is closed, and the cooldown has
// passed. A position that stays open is guarded meanwhile.
function recover(h: Handle): bool {
  if (!h.armed && !holds(h, config.EMERGENCY)) h.armed = true;
  if (h.position != 0) {
    const reason = h.closePosition ? S_EMERGENCY_EXIT : reasonToClose(h);
    if (reason != 0 && close(h, reason, false)) return true;
    if (h.closePosition) return false;
  }
  if (h.entering == 0 && h.exiting == 0 && h.series.time >= h.until) become(h, h.position == 0 ? MONITORING : POSITION_ACTIVE);
  return false;
}

// What happened to an order. settle follows when all is told.

export function filled(h: Handle, id: Span, quantity: f64, price: f64): void {
  const entry = answer.entryNumber(id);
  if (entry == 0 || entry != h.entered) return;
  if (h.entering == entry) h.entering = 0;
  const before = h.entryQuantity;
  h.entryQuantity = before + quantity;
  h.entryPrice = before == 0 ? price : (h.entryPrice * before + price * quantity) / h.entryQuantity;
}

// refused is told of an order that was rejected or cancelled.
export function refused(h: Handle, id: Span): void {
  const entry = answer.entryNumber(id), exit = answer.exitNumber(id);
  if (entry != 0 && entry == h.entering) {
    h.entering = 0;
  } else if (exit != 0 && exit == h.exiting) {
    h.exiting = 0;
    h.retryWait = h.retryWait == 0 ? RETRY_FIRST : min(2 * h.retryWait, RETRY_MAX);
    h.retryAt = h.series.time + h.retryWait;
  }
}

// settle moves the machine to where the position says that it is.
export function settle(h: Handle, position: f64, equity: f64): void {
  h.equity = equity;
  h.position = position;
  if (position == 0) return settleFlat(h);
  if (h.state == INACTIVE) return;
  adopt(h);
  if (h.state == CLOSE_ORDER_EVALUATION) {
    if (h.exiting == 0) become(h, POSITION_ACTIVE);
  } else if (h.state != EMERGENCY_EXIT && h.state != POSITION_ACTIVE) {
    become(h, POSITION_ACTIVE);
  }
}

function settleFlat(h: Handle): void {
  if (h.entering == 0) h.entryQuantity = 0;
  h.exiting = 0;
  h.retryAt = -Infinity;
  h.retryWait = 0;
  if (h.state == POSITION_ACTIVE || h.state == CLOSE_ORDER_EVALUATION) become(h, EXITED);
  else if (h.state == ENTRY_EVALUATION && h.entering == 0) drop(h);
}

// adopt sets where the position is to be closed. One that no entry of ours made counts from the last price.
function adopt(h: Handle): void {
  if (h.entryQuantity == 0) {
    h.entryPrice = h.series.price;
    h.entryQuantity = abs(h.position);
  }
  const way: f64 = h.position < 0 ? -1 : 1;
  h.stopPrice = h.entryPrice * (1 - (way * h.stopLoss) / 100);
  h.profitPrice = h.entryPrice * (1 + (way * h.takeProfit) / 100);
}

function become(h: Handle, state: u32): void {
  h.state = state;
  answer.state(nameOf(state));
}

function nameOf(state: u32): Span {
  switch (state) {
    case MONITORING: return S_MONITORING;
    case SIGNAL_DETECTED: return S_SIGNAL_DETECTED;
    case SIGNAL_CANCELLED: return S_SIGNAL_CANCELLED;
    case ENTRY_EVALUATION: return S_ENTRY_EVALUATION;
    case POSITION_ACTIVE: return S_POSITION_ACTIVE;
    case CLOSE_ORDER_EVALUATION: return S_CLOSE_ORDER_EVALUATION;
    case EMERGENCY_EXIT: return S_EMERGENCY_EXIT;
    default: return S_EXITED;
  }
}

// A line of the log is written behind the answer, and then taken back.
let line: u32 = 0;

function begin(h: Handle, what: Span): void {
  line = writer.mark();
  writer.put(what);
  writer.put(L_OF);
  writer.put(h.strategy);
  writer.put(L_SYMBOL);
  writer.put(h.symbol);
  writer.put(L_TIME);
  writer.putFloat(h.series.time);
  writer.put(L_PRICE);
  writer.putFloat(h.series.price);
}

function end(level: i32): void {
  host.log(level, writer.written(line));
  writer.reset(line);
}
