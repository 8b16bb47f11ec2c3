// The indicators there are, and how an indicatorId names one. The validator and the strategy plugin both read this list, so
// that what the one accepts the other runs. README.md beside this file has the formulas.
import { Span, alloc, ascii, between, lenOf, ptrOf, rest, same, span } from "../../sdk/assemblyscript/assembly";

// What is computed. SPREAD_PCT is the last.
export const PRICE: u32 = 0;
export const VOLUME: u32 = 1;
export const SMA: u32 = 2;
export const EMA: u32 = 3;
export const RSI: u32 = 4;
export const MACD: u32 = 5;
export const BOLLINGER_BANDS: u32 = 6;
export const ATR: u32 = 7;
export const VWAP: u32 = 8;
export const TWPA: u32 = 9;
export const VOLATILITY: u32 = 10;
export const PRICE_VELOCITY: u32 = 11;
export const PRICE_MOMENTUM: u32 = 12;
export const PRICE_CHANGE_PCT: u32 = 13;
export const PUMP_MAGNITUDE_PCT: u32 = 14;
export const VOLUME_SURGE_RATIO: u32 = 15;
export const HIGHEST: u32 = 16;
export const LOWEST: u32 = 17;
export const SPREAD_PCT: u32 = 18;
const KINDS: u32 = 19;

// ID_MAX bounds an indicatorId, PERIOD_MAX a window, in ticks.
export const ID_MAX: u32 = 64;
export const PERIOD_MAX: f64 = 10000;
const FACTOR_MAX: f64 = 100; // of standard deviations

// What parse says of an indicatorId.
export const OK: u32 = 0;
export const UNKNOWN: u32 = 1; // no indicator of the list
export const FORM: u32 = 2; // what follows the name is no list of parameters
export const MANY: u32 = 3; // more parameters than it has
export const RANGE: u32 = 4; // a parameter out of range
export const ORDER: u32 = 5; // MACD's fast period is not below its slow one
export const COMPONENT: u32 = 6; // no component of it

@unmanaged
class Row {
  name: Span;
  params: u32;
  least: u32; // of its periods
  first: f64; // the defaults
  second: f64;
  third: f64;
  bare: u32; // the component that the bare name is
}

const rows = alloc(KINDS * offsetof<Row>());
const LINE = ascii("LINE");
const SIGNAL = ascii("SIGNAL");
const HISTOGRAM = ascii("HISTOGRAM");
const UPPER = ascii("UPPER");
const MIDDLE = ascii("MIDDLE");
const LOWER = ascii("LOWER");
const PERCENT_B = ascii("PERCENT_B");

function define(kind: u32, name: string, params: u32 = 0, least: u32 = 1, first: f64 = 0, second: f64 = 0, third: f64 = 0): void {
  const r = row(kind);
  r.name = ascii(name);
  r.params = params;
  r.least = least;
  r.first = first;
  r.second = second;
  r.third = third;
}

// @ts-ignore: decorator
@inline function row(kind: u32): Row {
  return changetype<Row>(rows + kind * offsetof<Row>());
}

define(PRICE, "PRICE");
define(VOLUME, "VOLUME");
define(SMA, "SMA", 1, 1, 20);
define(EMA, "EMA", 1, 1, 20);
define(RSI, "RSI", 1, 1, 14);
define(MACD, "MACD", 3, 1, 12, 26, 9);
define(BOLLINGER_BANDS, "BOLLINGER_BANDS", 2, 1, 20, 2);
define(ATR, "ATR", 1, 1, 14);
define(VWAP, "VWAP", 1, 1, 0);
define(TWPA, "TWPA", 1, 1, 20);
define(VOLATILITY, "VOLATILITY", 1, 2, 20);
define(PRICE_VELOCITY, "PRICE_VELOCITY", 1, 1, 10);
define(PRICE_MOMENTUM, "PRICE_MOMENTUM", 1, 1, 10);
define(PRICE_CHANGE_PCT, "PRICE_CHANGE_PCT", 1, 1, 10);
define(PUMP_MAGNITUDE_PCT, "PUMP_MAGNITUDE_PCT", 1, 1, 20);
define(VOLUME_SURGE_RATIO, "VOLUME_SURGE_RATIO", 1, 1, 20);
define(HIGHEST, "HIGHEST", 1, 1, 20);
define(LOWEST, "LOWEST", 1, 1, 20);
define(SPREAD_PCT, "SPREAD_PCT", 1, 2, 50);
row(BOLLINGER_BANDS).bare = 3; // percent b: the bands themselves are prices, which no fixed number is worth comparing with

// What parse found, valid after it said OK; after UNKNOWN or another fault kind is what it had recognised, if anything.
export let kind: u32 = 0;
export let first: f64 = 0; // the parameters, the defaults filled in
export let second: f64 = 0;
export let third: f64 = 0;
export let component: u32 = 0;
export let name: Span = 0; // the id in capitals; it holds until the next call

const capitals = alloc(ID_MAX);

// parse reads an indicatorId: a name of the list in any case, then parameters as _12_26_9 or (12, 26, 9), of which the last
// may be left out, then .component.
export function parse(id: Span): u32 {
  if (lenOf(id) > ID_MAX || lenOf(id) == 0) return UNKNOWN;
  name = capitalise(id);
  let tail = known();
  if (tail == 0) return UNKNOWN;
  const r = row(kind);
  first = r.first;
  second = r.second;
  third = r.third;
  component = r.bare;
  tail = parameters(tail, r);
  if (tail == 0) return fault;
  if (lenOf(tail) == 0) return OK;
  return part(rest(tail, 1)) ? OK : COMPONENT;
}

function capitalise(id: Span): Span {
  const n = lenOf(id), p = ptrOf(id);
  for (let i: u32 = 0; i < n; i++) {
    const c = <u32>load<u8>(p + i);
    store<u8>(capitals + i, c - 0x61 < 26 ? c - 0x20 : c);
  }
  return span(capitals, n);
}

// known finds the indicator that the name begins with and returns what follows, which is nothing or begins with one of _(.
// and only there is a digit behind the underscore: PRICE_CHANGE_PCT is no PRICE. 0 where there is none. What is empty keeps
// its address.
function known(): Span {
  for (let k: u32 = 0; k < KINDS; k++) {
    const n = lenOf(row(k).name);
    if (lenOf(name) < n || !same(span(ptrOf(name), n), row(k).name)) continue;
    const tail = rest(name, n);
    if (lenOf(tail) != 0) {
      const c = load<u8>(ptrOf(tail));
      if (c != 0x28 && c != 0x2e && (c != 0x5f || lenOf(tail) < 2 || !isDigit(load<u8>(ptrOf(tail), 1)))) continue;
    }
    kind = k;
    return tail;
  }
  return 0;
}

let fault: u32 = 0; // why parameters returned 0

// parameters reads those that are given and returns what follows them.
function parameters(tail: Span, r: Row): Span {
  let p = ptrOf(tail);
  const end = p + lenOf(tail);
  fault = FORM;
  if (p == end || load<u8>(p) == 0x2e) return tail;
  const round = load<u8>(p) == 0x28;
  for (let i: u32 = 0, more = true; more; i++) {
    p = skipBlanks(p + 1, end, round);
    const next = readNumber(p, end);
    if (next == p) return 0;
    p = skipBlanks(next, end, round);
    if (i == r.params) {
      fault = MANY;
      return 0;
    }
    if (!set(i, r)) {
      fault = RANGE;
      return 0;
    }
    more = p < end && load<u8>(p) == (round ? 0x2c : 0x5f);
  }
  if (round && (p == end || load<u8>(p++) != 0x29)) return 0;
  if (p < end && load<u8>(p) != 0x2e) return 0;
  if (kind == MACD && first >= second) {
    fault = ORDER;
    return 0;
  }
  return between(p, end);
}

function skipBlanks(p: usize, end: usize, round: bool): usize {
  while (round && p < end && load<u8>(p) == 0x20) p++;
  return p;
}

let number: f64 = 0;

// readNumber reads digits, and a point and digits where digits follow it, and returns the address behind them.
function readNumber(p: usize, end: usize): usize {
  let v: f64 = 0, unit: f64 = 1;
  const from = p;
  for (; p < end && isDigit(load<u8>(p)); p++) v = v * 10 + <f64>(load<u8>(p) - 0x30);
  if (p != from && p + 1 < end && load<u8>(p) == 0x2e && isDigit(load<u8>(p, 1))) {
    for (p++; p < end && isDigit(load<u8>(p)); p++) {
      v = v * 10 + <f64>(load<u8>(p) - 0x30);
      unit *= 10;
    }
  }
  number = v / unit;
  return p;
}

// set takes the number read last as parameter i.
function set(i: u32, r: Row): bool {
  if (kind == BOLLINGER_BANDS && i == 1) {
    if (!(number > 0 && number <= FACTOR_MAX)) return false;
  } else if (!(number >= <f64>r.least && number <= PERIOD_MAX && floor(number) == number)) {
    return false;
  }
  if (i == 0) first = number;
  else if (i == 1) second = number;
  else third = number;
  return true;
}

function part(word: Span): bool {
  if (kind == MACD) {
    return is(word, LINE, 0) || is(word, SIGNAL, 1) || is(word, HISTOGRAM, 2);
  }
  return kind == BOLLINGER_BANDS && (is(word, UPPER, 0) || is(word, MIDDLE, 1) || is(word, LOWER, 2) || is(word, PERCENT_B, 3));
}

function is(word: Span, name: Span, i: u32): bool {
  component = i;
  return same(word, name);
}

// count is how many indicators there are, and nameOf the name of one, for texts that list them.
export function count(): u32 {
  return KINDS;
}

export function nameOf(kind: u32): Span {
  return row(kind).name;
}

// @ts-ignore: decorator
@inline function isDigit(c: u32): bool {
  return c - 0x30 < 10;
}
