// strategy runs a strategy's configuration (PROTOCOL §3.5) on ticks: the five sections, with the indicators of ../indicators.
import { Span, YES, ascii, holds as fits, input, json, lenOf, ptrOf, same, span, ticks, word, writer } from "../../sdk/assemblyscript/assembly";
import * as config from "../validator/config";
import * as findings from "../validator/findings";
import * as answer from "./answer";
import * as handle from "./handle";
import * as machine from "./machine";

export { wse_abi_v1, wse_buffer } from "../../sdk/assemblyscript/assembly";

const K_HANDLE = word("handle");
const K_SYMBOL = word("symbol");
const K_EQUITY = word("equity");
const K_POSITION = word("position");
const K_EVENTS = word("events");
const K_KIND = word("kind");
const K_ID = word("id");
const K_QUANTITY = word("quantity");
const K_PRICE = word("price");
const N_STRATEGY = ascii("strategy_name");
const N_CONFIG = ascii("strategy_config");
const N_INTERVAL = ascii("indicator_interval_ms");
const FILL = ascii("fill");
const REJECT = ascii("reject");
const CANCELLED = ascii("cancelled");

const TEXT_MAX: u32 = 256; // of a name that goes into the log

// Error texts.
const TOO_LONG = ascii("document is longer than the buffer");
const NOT_JSON = ascii("request is not a valid JSON object, at byte ");
const NOT_TICKS = ascii("ticks: the document is not as long as its number of ticks says");
const NO_HANDLE = ascii("handle is not open: ");
const AGAIN = ascii("handle is open already: ");
const FULL = ascii("256 handles are open, which is all that one strategy may have");
const IS_HANDLE = ascii("handle must be a whole number from 0 to 4294967295");
const IS_EQUITY = ascii("equity must be a number");
const IS_POSITION = ascii("position must be a number");
const IS_INTERVAL = ascii("indicator_interval_ms must be a number of at least 0");
const IS_EVENTS = ascii("events must be a list of objects, each with a kind and an id");
const NO_CONFIG = ascii("strategy_config is required");
const IN_CONFIG = ascii("strategy_config: ");
const AND = ascii(", and ");
const MORE = ascii(" more");
const NO_MEMORY = ascii("out of memory for the windows of this symbol: raise limits.memory_mib of the plugin, or ask for shorter windows or fewer symbols");

// The document read last.
let number: i64 = -1;
let equity: f64 = NaN;
let position: f64 = 0;
let interval: f64 = 0;
let strategy: Span = 0;
let symbol: Span = 0;
let events: Span = 0;
let configured: bool = false;

export function wse_strategy_open(len: i32): u64 {
  writer.begin();
  if (!fits(len)) return fail(TOO_LONG);
  findings.begin();
  if (!read(<u32>len)) return unreadable();
  if (!configured) return fail(NO_CONFIG);
  if (findings.errors != 0) return misconfigured();
  if (number < 0) return fail(IS_HANDLE);
  if (!isFinite(equity)) return fail(IS_EQUITY);
  if (!isFinite(position)) return fail(IS_POSITION);
  if (!(interval >= 0) || !isFinite(interval)) return fail(IS_INTERVAL);
  if (handle.find(<u32>number) != null) return failHandle(AGAIN);
  if (handle.isFull()) return fail(FULL);
  const h = handle.open(<u32>number, strategy, symbol);
  if (h == null) return fail(NO_MEMORY);
  h.equity = equity;
  h.position = position;
  h.interval = interval;
  h.retryAt = -Infinity;
  return YES;
}

export function wse_strategy_ticks(len: i32): u64 {
  answer.begin();
  if (!fits(len)) return fail(TOO_LONG);
  if (!ticks.open(input(), <u32>len)) return fail(NOT_TICKS);
  number = ticks.handle();
  const h = handle.find(<u32>number);
  if (h == null) return failHandle(NO_HANDLE);
  const n = ticks.count();
  for (let i: u32 = 0; i < n; i++) {
    answer.tick(i);
    if (machine.tick(h, ticks.time(i), ticks.price(i), ticks.volume(i)) || answer.full()) return answer.result(i + 1);
  }
  return answer.result(n);
}

export function wse_strategy_update(len: i32): u64 {
  answer.begin();
  if (!fits(len)) return fail(TOO_LONG);
  if (!read(<u32>len)) return unreadable();
  if (number < 0) return fail(IS_HANDLE);
  const h = handle.find(<u32>number);
  if (h == null) return failHandle(NO_HANDLE);
  if (!isFinite(equity)) return fail(IS_EQUITY);
  if (!isFinite(position)) return fail(IS_POSITION);
  if (events != 0 && !happened(h)) return fail(IS_EVENTS);
  machine.settle(h, position, equity);
  return answer.result(0);
}

// read reads the document of open, or of update.
function read(len: u32): bool {
  number = -1;
  equity = NaN;
  position = interval = 0;
  strategy = symbol = events = 0;
  configured = false;
  json.open(input(), len);
  if (json.object())
    while ((findings.room || !configured) && json.member()) {
      const key = json.keyWord();
      if (key == K_HANDLE) readHandle();
      else if (key == K_EQUITY) equity = numberOr(NaN);
      else if (key == K_POSITION) position = numberOr(NaN);
      else if (key == K_SYMBOL) symbol = text();
      else if (key == K_EVENTS) events = json.skip() ? json.raw() : 0;
      else if (json.keyIs(N_CONFIG)) readConfig();
      else if (json.keyIs(N_STRATEGY)) strategy = text();
      else if (json.keyIs(N_INTERVAL)) interval = numberOr(NaN);
      else json.skip();
    }
  const sound = json.sound();
  return json.close() || (sound && configured && !findings.room);
}

function readConfig(): void {
  configured = true;
  findings.begin();
  config.read();
}

function readHandle(): void {
  number = json.skip() && json.integer(json.raw()) && json.value() >= 0 && json.value() <= <i64>u32.MAX_VALUE ? json.value() : -1;
}

function numberOr(otherwise: f64): f64 {
  const is = json.peek() == json.NUMBER;
  return json.skip() && is ? json.float(json.raw()) : otherwise;
}

// text reads a name as it is written, for the log.
function text(): Span {
  if (json.peek() != json.STRING) {
    json.skip();
    return 0;
  }
  json.string();
  return span(ptrOf(json.raw()), min(lenOf(json.raw()), TEXT_MAX));
}

// happened tells the machine what became of its orders. The list was read once already, as JSON.
function happened(h: handle.Handle): bool {
  json.open(ptrOf(events), lenOf(events));
  let good = json.array();
  while (good && json.element()) good = json.peek() == json.OBJECT && event(h);
  json.close();
  return good;
}

function event(h: handle.Handle): bool {
  let kind: Span = 0, id: Span = 0, quantity: f64 = 0, price: f64 = 0;
  json.object();
  while (json.member()) {
    const key = json.keyWord();
    if (key == K_KIND) kind = text();
    else if (key == K_ID) id = text();
    else if (key == K_QUANTITY) quantity = numberOr(0);
    else if (key == K_PRICE) price = numberOr(0);
    else json.skip();
  }
  if (kind == 0 || id == 0) return false;
  if (same(kind, FILL)) machine.filled(h, id, abs(quantity), price);
  else if (same(kind, REJECT) || same(kind, CANCELLED)) machine.refused(h, id);
  return true;
}

// misconfigured says the first thing that is wrong with the configuration, and how many there are.
function misconfigured(): u64 {
  const first = findings.first(), from = writer.mark();
  writer.put(IN_CONFIG);
  writer.put(first);
  if (findings.errors > 1) {
    writer.put(AND);
    writer.putInt(findings.errors - 1);
    writer.put(MORE);
  }
  return writer.failure(from);
}

function unreadable(): u64 {
  writer.begin();
  writer.put(NOT_JSON);
  writer.putInt(json.fault());
  return writer.failure();
}

function fail(why: Span): u64 {
  writer.begin();
  writer.put(why);
  return writer.failure();
}

function failHandle(why: Span): u64 {
  writer.begin();
  writer.put(why);
  writer.putInt(number);
  return writer.failure();
}
