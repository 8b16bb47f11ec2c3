// What a strategy needs computed: each distinct indicator once, and windows of ticks that they share. The validator only
// plans, to refuse what would be too much; the strategy plugin builds what is planned.
import { alloc } from "../../sdk/assemblyscript/assembly";
import * as list from "./list";

// VALUES_MAX bounds the distinct values of a strategy, each component of an indicator being one: it is what bounds the cost
// of a tick. BYTES_MAX bounds the memory of their windows for one symbol.
export const VALUES_MAX: u32 = 20;
export const BYTES_MAX: u32 = 1 << 20;

// What add returns instead of an indicator's number.
export const TOO_MANY: i32 = -1;
export const TOO_LARGE: i32 = -2;

// Planned is one indicator that is to be computed.
@unmanaged
export class Planned {
  kind: u32;
  first: f64;
  second: f64;
  third: f64;
  components: u32; // those that are asked for, as bits
  value: usize; // where series.build put its first component
}

const table = alloc(VALUES_MAX * offsetof<Planned>());

// How many indicators are planned, and how many ticks back they look in each column of the history; 0: not at all.
export let count: u32 = 0;
export let prices: u32 = 0;
export let times: u32 = 0;
export let volumes: u32 = 0;
export let returns: u32 = 0;
let queues: u32 = 0; // bytes that queues take
let values: u32 = 0;

export function begin(): void {
  count = prices = times = volumes = returns = queues = values = 0;
}

export function at(i: u32): Planned {
  return changetype<Planned>(table + i * offsetof<Planned>());
}

// add plans what list.parse read last and returns its number, the same for an indicator that is planned already.
export function add(): i32 {
  let i: u32 = 0;
  while (i < count && !isPlanned(at(i))) i++;
  const p = at(i), bit: u32 = 1 << list.component;
  if (i < count && (p.components & bit) != 0) return <i32>i;
  if (values == VALUES_MAX) return TOO_MANY;
  if (i == count) {
    if (!enlist(p)) return TOO_LARGE;
    count++;
  }
  p.components |= bit;
  values++;
  return <i32>i;
}

function isPlanned(p: Planned): bool {
  return p.kind == list.kind && p.first == list.first && p.second == list.second && p.third == list.third;
}

// enlist makes room for an indicator in the windows, unless they would be too large.
function enlist(p: Planned): bool {
  p.kind = list.kind;
  p.first = list.first;
  p.second = list.second;
  p.third = list.third;
  p.components = 0;
  const p0 = prices, t0 = times, v0 = volumes, r0 = returns, q0 = queues;
  lookBack(p.kind, <u32>p.first);
  if (bytes() > BYTES_MAX) {
    prices = p0;
    times = t0;
    volumes = v0;
    returns = r0;
    queues = q0;
    return false;
  }
  return true;
}

function lookBack(kind: u32, n: u32): void {
  switch (kind) {
    case list.SMA: case list.BOLLINGER_BANDS: case list.PRICE_MOMENTUM: case list.PRICE_CHANGE_PCT:
      prices = max(prices, n);
      break;
    case list.PRICE_VELOCITY:
      prices = max(prices, n);
      times = max(times, n);
      break;
    case list.TWPA:
      prices = max(prices, n + 1);
      times = max(times, n + 1);
      break;
    case list.VWAP:
      prices = max(prices, n);
      volumes = max(volumes, n);
      break;
    case list.VOLUME_SURGE_RATIO:
      volumes = max(volumes, n);
      break;
    case list.VOLATILITY:
      returns = max(returns, n);
      break;
    case list.SPREAD_PCT:
      prices = max(prices, n + 2);
      break;
    case list.HIGHEST: case list.LOWEST: case list.PUMP_MAGNITUDE_PCT:
      queues += room(n - 1) << 4;
      break;
  }
}

// bytes is what the windows take together.
export function bytes(): u32 {
  return queues + ((room(prices) + room(times) + room(volumes) + room(returns)) << 3);
}

// room is how many entries a ring has that looks n ticks back: the next power of two above n, 0 where n is 0.
export function room(n: u32): u32 {
  return n == 0 ? 0 : 1 << (32 - clz(n));
}
