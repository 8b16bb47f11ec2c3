// The indicators of one symbol, computed tick by tick. A tick costs each indicator the same whatever its window: sums are
// kept with what rounding lost beside them, so that they neither drift nor have to be taken again, and highest and lowest
// prices come from queues in which a value stands only as long as it may still be one. README.md has the formulas.
import { alloc } from "../../sdk/assemblyscript/assembly";
import * as list from "./list";
import * as plan from "./plan";

// A variance below this part of the mean square counts as none: so much may rounding leave of one.
const NO_VARIANCE: f64 = 1e-20;
// Averages of gains and losses that are both below this have decayed to nothing.
const NO_CHANGE: f64 = 1e-150;

// VALUE is where in an Indicator its components begin, as f64. NaN is no value.
export const VALUE: usize = 16;

@unmanaged
export class Indicator {
  update: u32; // the function that takes up a tick
  n: u32; // its period
  filled: u32; // ticks taken up, as far as they matter
  nonzero: u32; // volumes in the window that are not 0
  value: f64; // VALUE
  value1: f64;
  value2: f64;
  value3: f64;
  length: f64; // n as a float
  weight: f64; // of a new value in an average
  a: f64; // a sum and what rounding lost of it, or an average
  aLost: f64;
  b: f64;
  bLost: f64;
  c: f64; // the sums of the next block of n ticks
  cLost: f64;
  d: f64;
  dLost: f64;
  block: u32; // how many of them there are
  factor: f64; // of the standard deviation; for MACD the weight of the slow average
  signal: f64; // the weight of MACD's signal
  slow: u32; // MACD's further periods
  smooth: u32;
  queue: usize; // entries of {value f64, tick u32}
  mask: u32; // of the queue
  head: u32; // its first entry, and the one behind its last, counted without end
  tail: u32;
}

// SUM_A to SUM_D are where the sums of an Indicator are.
const SUM_A: usize = offsetof<Indicator>("a");
const SUM_B: usize = offsetof<Indicator>("b");
const SUM_C: usize = offsetof<Indicator>("c");
const SUM_D: usize = offsetof<Indicator>("d");

@unmanaged
export class Series {
  indicators: usize;
  end: usize; // of the indicators
  count: u64; // ticks seen; while one is taken up, those before it
  prices: usize; // rings, 0 where nothing looks back, and the masks of their places
  times: usize;
  volumes: usize;
  returns: usize;
  priceMask: u32;
  timeMask: u32;
  volumeMask: u32;
  returnMask: u32;
  time: f64; // the last tick; NaN before the first
  price: f64;
  volume: f64;
  before: f64; // the price before it
}

// build makes a series for what is planned, or null where memory does not suffice.
export function build(): Series | null {
  const block = alloc(offsetof<Series>());
  const indicators = alloc(plan.count * offsetof<Indicator>());
  if (block == 0 || indicators == 0) return null;
  const s = changetype<Series>(block);
  s.time = s.price = s.volume = s.before = NaN;
  s.indicators = s.end = indicators;
  s.prices = ring(plan.prices);
  s.times = ring(plan.times);
  s.volumes = ring(plan.volumes);
  s.returns = ring(plan.returns);
  if (!has(s.prices, plan.prices) || !has(s.times, plan.times) || !has(s.volumes, plan.volumes) || !has(s.returns, plan.returns)) return null;
  s.priceMask = mask(plan.prices);
  s.timeMask = mask(plan.times);
  s.volumeMask = mask(plan.volumes);
  s.returnMask = mask(plan.returns);
  for (let i: u32 = 0; i < plan.count; i++) if (!place(s, plan.at(i))) return null;
  return s;
}

function ring(back: u32): usize {
  return back == 0 ? 0 : alloc(plan.room(back) << 3);
}

function has(ring: usize, back: u32): bool {
  return back == 0 || ring != 0;
}

function mask(back: u32): u32 {
  return back == 0 ? 0 : plan.room(back) - 1;
}

// place says where an indicator's value is: the last price and volume are there already, the others are computed.
function place(s: Series, p: plan.Planned): bool {
  if (p.kind == list.PRICE) {
    p.value = changetype<usize>(s) + offsetof<Series>("price");
  } else if (p.kind == list.VOLUME) {
    p.value = changetype<usize>(s) + offsetof<Series>("volume");
  } else {
    p.value = s.end + VALUE;
    s.end += offsetof<Indicator>();
    return prepare(changetype<Indicator>(s.end - offsetof<Indicator>()), p);
  }
  return true;
}

function prepare(x: Indicator, p: plan.Planned): bool {
  x.update = updateOf(p.kind).index;
  x.n = <u32>p.first;
  x.length = p.first;
  x.value = x.value1 = x.value2 = x.value3 = NaN;
  x.weight = p.kind == list.RSI || p.kind == list.ATR ? 1 / p.first : 2 / (p.first + 1);
  x.factor = p.second;
  if (p.kind == list.MACD) {
    x.slow = <u32>p.second;
    x.smooth = <u32>p.third;
    x.factor = 2 / (p.second + 1);
    x.signal = 2 / (p.third + 1);
  }
  if (p.kind != list.HIGHEST && p.kind != list.LOWEST && p.kind != list.PUMP_MAGNITUDE_PCT) return true;
  const entries = max<u32>(plan.room(x.n - 1), 1);
  x.queue = alloc(entries << 4);
  x.mask = entries - 1;
  return x.queue != 0;
}

// valueAt is the address of a component of indicator i of the series that was built last.
export function valueAt(i: u32, component: u32): usize {
  return plan.at(i).value + (component << 3);
}

// hasSeen reports whether there was a tick.
// @ts-ignore: decorator
@inline export function hasSeen(s: Series): bool {
  return s.count != 0;
}

// add takes up a tick: a time in milliseconds that is not before the last one's, a price above 0, a volume of at least 0.
export function add(s: Series, time: f64, price: f64, volume: f64): void {
  const i = <u32>s.count;
  if (s.prices != 0) store<f64>(s.prices + ((i & s.priceMask) << 3), price);
  if (s.times != 0) store<f64>(s.times + ((i & s.timeMask) << 3), time);
  if (s.volumes != 0) store<f64>(s.volumes + ((i & s.volumeMask) << 3), volume);
  if (s.returns != 0 && s.count != 0) store<f64>(s.returns + ((i & s.returnMask) << 3), Math.log(price / s.price));
  s.before = s.price;
  s.price = price;
  s.time = time;
  s.volume = volume;
  const end = s.end;
  for (let p = s.indicators; p < end; p += offsetof<Indicator>()) {
    call_indirect<void>(changetype<Indicator>(p).update, s, changetype<Indicator>(p));
  }
  s.count++;
}

type Update = (s: Series, x: Indicator) => void;

// updateOf is the function that takes up a tick for a kind of indicator. It is called through the table of functions: one
// function with all of them inside would have so many locals that every branch cost more than the call (BenchmarkStrategy).
function updateOf(kind: u32): Update {
  switch (kind) {
    case list.SMA: return sma;
    case list.EMA: return ema;
    case list.RSI: return rsi;
    case list.MACD: return macd;
    case list.BOLLINGER_BANDS: return bands;
    case list.ATR: return atr;
    case list.VWAP: return vwap;
    case list.TWPA: return twpa;
    case list.VOLATILITY: return volatility;
    case list.PRICE_VELOCITY: return velocity;
    case list.PRICE_MOMENTUM: return momentum;
    case list.PRICE_CHANGE_PCT: return change;
    case list.PUMP_MAGNITUDE_PCT: return pump;
    case list.VOLUME_SURGE_RATIO: return surge;
    case list.HIGHEST: return highest;
    case list.LOWEST: return lowest;
    default: return spread;
  }
}

function momentum(s: Series, x: Indicator): void {
  if (fills(x)) x.value = s.price - priceBack(s, x.n);
}

function change(s: Series, x: Indicator): void {
  if (fills(x)) x.value = percent(s.price, priceBack(s, x.n));
}

function highest(s: Series, x: Indicator): void {
  if (extreme(s, x, s.price)) x.value = front(x);
}

function lowest(s: Series, x: Indicator): void {
  if (extreme(s, x, -s.price)) x.value = -front(x);
}

function pump(s: Series, x: Indicator): void {
  if (extreme(s, x, -s.price)) x.value = percent(s.price, -front(x));
}

// priceBack is the price of n ticks ago; the others likewise. While a tick is taken up, count is its own number.
// @ts-ignore: decorator
@inline function priceBack(s: Series, n: u32): f64 {
  return load<f64>(s.prices + ((((<u32>s.count) - n) & s.priceMask) << 3));
}

// @ts-ignore: decorator
@inline function timeBack(s: Series, n: u32): f64 {
  return load<f64>(s.times + ((((<u32>s.count) - n) & s.timeMask) << 3));
}

// @ts-ignore: decorator
@inline function volumeBack(s: Series, n: u32): f64 {
  return load<f64>(s.volumes + ((((<u32>s.count) - n) & s.volumeMask) << 3));
}

// @ts-ignore: decorator
@inline function percent(value: f64, base: f64): f64 {
  return (100 * (value - base)) / base;
}

// fills counts a tick into a window of n and reports whether it was full before: whether one leaves it.
// @ts-ignore: decorator
@inline function fills(x: Indicator): bool {
  if (x.filled == x.n) return true;
  x.filled++;
  return false;
}

// plus adds to a sum and keeps what rounding took from it (Neumaier, ZAMM 54, 1974; Knuth's TwoSum).
// @ts-ignore: decorator
@inline function plus(sum: usize, v: f64): void {
  const before = load<f64>(sum), after = before + v, taken = after - before;
  store<f64>(sum, after);
  store<f64>(sum, load<f64>(sum, 8) + ((before - (after - taken)) + (v - taken)), 8);
}

// plusSquare adds sign × v² with all its digits (Dekker, Numerische Mathematik 18, 1971).
// @ts-ignore: decorator
@inline function plusSquare(sum: usize, v: f64, sign: f64): void {
  const square = v * v;
  plus(sum, sign * square);
  store<f64>(sum, load<f64>(sum, 8) + sign * lostOf(v, v, square), 8);
}

// lostOf is what rounding took from the product of a and b.
// @ts-ignore: decorator
@inline function lostOf(a: f64, b: f64, product: f64): f64 {
  const p = 134217729 * a, q = 134217729 * b; // 2^27 + 1
  const aHigh = p - (p - a), bHigh = q - (q - b), aLow = a - aHigh, bLow = b - bHigh;
  return aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow);
}

// @ts-ignore: decorator
@inline function total(sum: usize): f64 {
  return load<f64>(sum) + load<f64>(sum, 8);
}

function sma(s: Series, x: Indicator): void {
  const price = s.price;
  const sum = changetype<usize>(x) + SUM_A;
  plus(sum, price);
  if (fills(x)) plus(sum, -priceBack(s, x.n));
  if (x.filled == x.n) x.value = total(sum) / x.length;
}

function ema(s: Series, x: Indicator): void {
  const price = s.price;
  if (fills(x)) {
    x.value += x.weight * (price - x.value);
  } else {
    x.a += price;
    if (x.filled == x.n) x.value = x.a / x.length;
  }
}

function rsi(s: Series, x: Indicator): void {
  if (s.count == 0) return;
  const change = s.price - s.before, size = abs(change);
  const gain = 0.5 * (size + change), loss = 0.5 * (size - change); // exact, and no branch that nobody can predict
  if (fills(x)) {
    x.a += x.weight * (gain - x.a);
    x.b += x.weight * (loss - x.b);
    if (x.a < NO_CHANGE && x.b < NO_CHANGE) x.a = x.b = 0;
  } else {
    x.a += gain;
    x.b += loss;
    if (x.filled != x.n) return;
    x.a /= x.length;
    x.b /= x.length;
  }
  const both = x.a + x.b;
  x.value = both == 0 ? 50 : (100 * x.a) / both;
}

// macd counts ticks up to the one with which the signal is there.
function macd(s: Series, x: Indicator): void {
  const price = s.price;
  const complete = x.slow + x.smooth;
  if (x.filled < complete) x.filled++;
  x.a = x.filled <= x.n ? mean(x.a, price, x.filled, x.n) : x.a + x.weight * (price - x.a);
  x.b = x.filled <= x.slow ? mean(x.b, price, x.filled, x.slow) : x.b + x.factor * (price - x.b);
  if (x.filled < x.slow) return;
  const line = x.a - x.b, seen = x.filled - x.slow + 1;
  x.value = line;
  x.aLost = seen <= x.smooth ? mean(x.aLost, line, seen, x.smooth) : x.aLost + x.signal * (line - x.aLost);
  if (seen < x.smooth) return;
  x.value1 = x.aLost;
  x.value2 = line - x.aLost;
}

// mean adds up the first n values and, with the last of them, divides.
// @ts-ignore: decorator
@inline function mean(sum: f64, v: f64, seen: u32, n: u32): f64 {
  return seen == n ? (sum + v) / <f64>n : sum + v;
}

function bands(s: Series, x: Indicator): void {
  const price = s.price;
  moments(x, price, fills(x), priceBack(s, x.n));
  if (x.filled != x.n) return;
  const middle = total(changetype<usize>(x) + SUM_A) / x.length;
  const width = x.factor * sqrt(variance(x) / x.length);
  x.value = middle + width;
  x.value1 = middle;
  x.value2 = middle - width;
  x.value3 = width == 0 ? 0.5 : (price - x.value2) / (2 * width);
}

// moments adds a value to the sums of values and of squares, and takes out the one that leaves. What rounding did to squares
// of a much higher price would stay in their sum, so that the sums are taken anew every n ticks, a value at a time.
// @ts-ignore: decorator
@inline function moments(x: Indicator, v: f64, leaves: bool, old: f64): void {
  const at = changetype<usize>(x);
  plus(at + SUM_A, v);
  plusSquare(at + SUM_B, v, 1);
  plus(at + SUM_C, v);
  plusSquare(at + SUM_D, v, 1);
  if (leaves) {
    plus(at + SUM_A, -old);
    plusSquare(at + SUM_B, old, -1);
  }
  if (++x.block != x.n) return;
  x.a = x.c;
  x.aLost = x.cLost;
  x.b = x.d;
  x.bLost = x.dLost;
  x.c = x.cLost = x.d = x.dLost = 0;
  x.block = 0;
}

// variance is n times the variance of the window: Σv² - (Σv)²/n, in twice the digits, for most of them cancel.
function variance(x: Indicator): f64 {
  const n = x.length, ns = n * x.b, square = x.a * x.a;
  const rest = lostOf(n, x.b, ns) - lostOf(x.a, x.a, square) + n * x.bLost - 2 * x.a * x.aLost;
  const v = ns - square + rest;
  return v <= ns * NO_VARIANCE ? 0 : v / n;
}

function atr(s: Series, x: Indicator): void {
  if (s.count == 0) return;
  const range = abs(s.price - s.before);
  if (fills(x)) {
    x.value += x.weight * (range - x.value);
  } else {
    x.a += range;
    if (x.filled == x.n) x.value = x.a / x.length;
  }
}

// vwap with period 0 never forgets.
function vwap(s: Series, x: Indicator): void {
  const volume = s.volume;
  const money = changetype<usize>(x) + SUM_A, amount = changetype<usize>(x) + SUM_B;
  plus(money, s.price * volume);
  plus(amount, volume);
  if (volume != 0 && x.nonzero < u32.MAX_VALUE) x.nonzero++;
  if (x.n != 0 && fills(x)) {
    const old = volumeBack(s, x.n);
    plus(money, -(priceBack(s, x.n) * old));
    plus(amount, -old);
    if (old != 0) x.nonzero--;
  }
  if (x.nonzero == 0) x.a = x.aLost = x.b = x.bLost = 0;
  if (x.filled == x.n) x.value = x.nonzero == 0 ? NaN : total(money) / total(amount);
}

function twpa(s: Series, x: Indicator): void {
  const price = s.price;
  if (s.count == 0) return;
  const sum = changetype<usize>(x) + SUM_A;
  plus(sum, s.before * (s.time - timeBack(s, 1)));
  if (fills(x)) plus(sum, -(priceBack(s, x.n + 1) * (timeBack(s, x.n) - timeBack(s, x.n + 1))));
  if (x.filled != x.n) return;
  const span = s.time - timeBack(s, x.n);
  x.value = span > 0 ? total(sum) / span : price;
}

function volatility(s: Series, x: Indicator): void {
  if (s.count == 0) return;
  const i = <u32>s.count;
  const old = load<f64>(s.returns + (((i - x.n) & s.returnMask) << 3));
  moments(x, load<f64>(s.returns + ((i & s.returnMask) << 3)), fills(x), old);
  if (x.filled == x.n) x.value = 100 * sqrt(variance(x) / (x.length - 1));
}

function velocity(s: Series, x: Indicator): void {
  const price = s.price;
  if (!fills(x)) return;
  const seconds = (s.time - timeBack(s, x.n)) / 1000;
  x.value = seconds > 0 ? percent(price, priceBack(s, x.n)) / seconds : NaN;
}

// surge compares a volume with those before it, and then counts it among them.
function surge(s: Series, x: Indicator): void {
  const volume = s.volume;
  const sum = changetype<usize>(x) + SUM_A;
  if (x.filled == x.n) x.value = x.nonzero == 0 ? NaN : (volume * x.length) / total(sum);
  plus(sum, volume);
  if (volume != 0) x.nonzero++;
  if (fills(x)) {
    const old = volumeBack(s, x.n);
    plus(sum, -old);
    if (old != 0) x.nonzero--;
  }
  if (x.nonzero == 0) x.a = x.aLost = 0;
}

// extreme puts a value into the queue, drops those that it surpasses and the one that leaves the window, and reports
// whether the window is full. Values in the queue fall from its head to its tail, so that how many are surpassed is found by
// halving where the last few do not say.
function extreme(s: Series, x: Indicator, v: f64): bool {
  let tail = x.tail, looks = 4;
  const head = x.head;
  while (tail != head && looks != 0 && load<f64>(entry(x, tail - 1)) <= v) {
    tail--;
    looks--;
  }
  if (looks == 0) {
    let low = head;
    while (low != tail) {
      const middle = low + ((tail - low) >> 1);
      if (load<f64>(entry(x, middle)) <= v) tail = middle;
      else low = middle + 1;
    }
  }
  if (head != tail && <u32>s.count - load<u32>(entry(x, head), 8) >= x.n) x.head = head + 1;
  const e = entry(x, tail);
  store<f64>(e, v);
  store<u32>(e, <u32>s.count, 8);
  x.tail = tail + 1;
  if (x.filled < x.n) x.filled++;
  return x.filled == x.n;
}

// @ts-ignore: decorator
@inline function entry(x: Indicator, i: u32): usize {
  return x.queue + ((i & x.mask) << 4);
}

// @ts-ignore: decorator
@inline function front(x: Indicator): f64 {
  return load<f64>(entry(x, x.head));
}

// spread is Roll's measure: twice the root of how much successive changes run against each other.
function spread(s: Series, x: Indicator): void {
  const price = s.price;
  if (s.count < 2) return;
  const sum = changetype<usize>(x) + SUM_A, n = x.n;
  plus(sum, (price - s.before) * (s.before - priceBack(s, 2)));
  if (fills(x)) {
    const b = priceBack(s, n + 1);
    plus(sum, -((priceBack(s, n) - b) * (b - priceBack(s, n + 2))));
  }
  if (x.filled != n) return;
  const means = ((price - priceBack(s, n)) * (s.before - priceBack(s, n + 1))) / (x.length * x.length);
  const covariance = total(sum) / x.length - means;
  x.value = covariance < 0 ? (200 * sqrt(-covariance)) / price : 0;
}
