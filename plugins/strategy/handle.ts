// What the plugin keeps for each symbol: the strategy's rules made ready to be checked, its indicators, and where it stands.
// All of it is taken when the handle is opened and nothing afterwards, however long the strategy runs.
import { Span, alloc, keep, lenOf, ptrOf, span } from "../../sdk/assemblyscript/assembly";
import * as plan from "../indicators/plan";
import * as series from "../indicators/series";
import * as config from "../validator/config";

// HANDLES_MAX bounds the symbols of one strategy.
export const HANDLES_MAX: u32 = 256;

// A check is {address of the value, which of less, equal and more it is true for as bits 1, 2 and 4, threshold}; a name is {address of the value, text}, the text being "NAME":.
const CHECK: u32 = 16;
const NAME: u32 = 16;
const EQUAL: u32 = 2;
const NOT_EQUAL: u32 = 5;

@unmanaged
export class Handle {
  number: u32;
  state: u32;
  series: series.Series;
  checks: usize; // of all sections, one behind the other
  ends: usize; // of each section's checks
  names: usize;
  named: u32;

  // The rules.
  short: bool;
  percentage: bool;
  cancelPending: bool;
  closePosition: bool;
  logEvent: bool;
  size: f64;
  stopLoss: f64; // percent, NaN for none
  takeProfit: f64;
  leverage: f64;
  timeout: f64; // milliseconds, 0 for none
  cooldown: f64;
  baseSize: f64; // part of the equity, NaN for none
  minSize: f64;
  maxSize: f64;
  interval: f64; // between reports of indicators, 0 for none

  // Where it stands.
  equity: f64;
  position: f64;
  entryPrice: f64; // the average of the entry's fills
  entryQuantity: f64;
  stopPrice: f64;
  profitPrice: f64;
  signalTime: f64;
  until: f64; // the end of a cooldown
  retryAt: f64; // no exit is ordered before
  retryWait: f64;
  reportAt: f64; // the next report of indicators is due
  orders: u32; // how many there were
  entering: u32; // the entry order that waits, 0 where none does
  entered: u32; // the last entry order
  exiting: u32; // the exit order that waits
  cancelling: bool; // the entry order was asked to be cancelled
  blocked: bool; // no signal before S1 has been false
  armed: bool; // an emergency may begin
  reported: bool;
  strategy: Span; // for the log
  symbol: Span;

  // cell is the address of value i of those that have a name, name what it is called, as a member's name with its colon.
  // @ts-ignore: decorator
  @inline cell(i: u32): usize {
    return load<usize>(this.names + i * NAME);
  }

  // @ts-ignore: decorator
  @inline name(i: u32): Span {
    return load<u64>(this.names + i * NAME, 8);
  }
}

const table = alloc(HANDLES_MAX * sizeof<usize>());
let opened: u32 = 0;
let last: usize = 0; // the handle asked for last

// find is the handle of a number, null where there is none.
export function find(number: u32): Handle | null {
  if (last != 0 && changetype<Handle>(last).number == number) return changetype<Handle>(last);
  for (let i: u32 = 0; i < opened; i++) {
    const h = load<usize>(table + i * sizeof<usize>());
    if (changetype<Handle>(h).number == number) {
      last = h;
      return changetype<Handle>(h);
    }
  }
  return null;
}

export function isFull(): bool {
  return opened == HANDLES_MAX;
}

// open makes a handle of the configuration read last, or null where memory does not suffice.
export function open(number: u32, strategy: Span, symbol: Span): Handle | null {
  const block = alloc(offsetof<Handle>());
  const built = series.build();
  if (block == 0 || built == null) return null;
  const h = changetype<Handle>(block);
  h.series = built;
  h.number = number;
  h.strategy = keep(strategy);
  h.symbol = keep(symbol);
  if (h.strategy == 0 || h.symbol == 0 || !compile(h)) return null;
  h.short = config.short;
  h.percentage = config.percentage;
  h.cancelPending = config.cancelPending;
  h.closePosition = config.closePosition;
  h.logEvent = config.logEvent;
  h.size = config.size;
  h.stopLoss = config.stopLoss;
  h.takeProfit = config.takeProfit;
  h.leverage = config.leverage > config.maxLeverage ? config.maxLeverage : config.leverage;
  h.timeout = config.timeoutSeconds * 1000;
  h.cooldown = config.cooldownMinutes * 60000;
  h.baseSize = config.basePart;
  h.minSize = config.minSize;
  h.maxSize = config.maxSize;
  h.armed = true;
  store<usize>(table + opened * sizeof<usize>(), block);
  opened++;
  return h;
}

// compile makes checks and names of the conditions.
function compile(h: Handle): bool {
  let all: u32 = 0;
  for (let s: u32 = 0; s < config.SECTIONS; s++) all += config.count(s);
  h.checks = alloc(all * CHECK);
  h.ends = alloc(config.SECTIONS * sizeof<usize>());
  h.names = alloc(all * NAME);
  if (h.checks == 0 || h.ends == 0 || h.names == 0) return false;
  let p = h.checks;
  for (let s: u32 = 0; s < config.SECTIONS; s++) {
    for (let i: u32 = 0; i < config.count(s); i++) {
      const c = config.condition(s, i);
      const cell = series.valueAt(c.indicator, c.component);
      store<usize>(p, cell);
      store<u32>(p, truths(c.operator), 4);
      store<f64>(p, c.value, 8);
      p += CHECK;
      if (!call(h, cell, span(c.name, c.nameBytes))) return false;
    }
    store<usize>(h.ends + s * sizeof<usize>(), p);
  }
  return true;
}

function truths(operator: u32): u32 {
  switch (operator) {
    case config.GREATER: return 4;
    case config.LESS: return 1;
    case config.GREATER_EQUAL: return 6;
    case config.LESS_EQUAL: return 3;
    case config.EQUAL: return EQUAL;
    default: return NOT_EQUAL;
  }
}

// call gives a value its name: the way it is written first.
function call(h: Handle, cell: usize, name: Span): bool {
  for (let i: u32 = 0; i < h.named; i++) if (h.cell(i) == cell) return true;
  const n = lenOf(name), text = alloc(n + 3);
  if (text == 0) return false;
  store<u8>(text, 0x22);
  memory.copy(text + 1, ptrOf(name), n);
  store<u16>(text + 1 + n, 0x3a22);
  store<usize>(h.names + h.named * NAME, cell);
  store<u64>(h.names + h.named * NAME, span(text, n + 3), 8);
  h.named++;
  return true;
}

// begins and ends are where a section's checks are.
// @ts-ignore: decorator
@inline function begins(h: Handle, section: u32): usize {
  return section == 0 ? h.checks : load<usize>(h.ends + (section - 1) * sizeof<usize>());
}

// holds reports whether a section has conditions and all of them are true. What has no value yet is neither more, nor less,
// nor equal, nor different.
export function holds(h: Handle, section: u32): bool {
  let p = begins(h, section);
  const end = load<usize>(h.ends + section * sizeof<usize>());
  if (p == end) return false;
  for (; p != end; p += CHECK) {
    const x = load<f64>(load<usize>(p)), v = load<f64>(p, 8);
    if ((((<u32>(x < v)) | (<u32>(x == v) << 1) | (<u32>(x > v) << 2)) & load<u32>(p, 4)) == 0) return false;
  }
  return true;
}

// confidence says how far beyond their thresholds the values of a section that holds are: 0.5 and half the mean of
// |x - v| / max(|x|, |v|), of which none counts for more than 1, and == and != count as 1.
export function confidence(h: Handle, section: u32): f64 {
  const begin = begins(h, section), end = load<usize>(h.ends + section * sizeof<usize>());
  let sum: f64 = 0;
  for (let p = begin; p != end; p += CHECK) {
    const x = load<f64>(load<usize>(p)), v = load<f64>(p, 8), most = max(abs(x), abs(v));
    const truth = load<u32>(p, 4);
    if (truth == EQUAL || truth == NOT_EQUAL) sum += 1;
    else if (most != 0) sum += min<f64>(abs(x - v) / most, 1);
  }
  return 0.5 + (0.5 * sum) / (<f64>(<u32>(end - begin) / CHECK));
}
