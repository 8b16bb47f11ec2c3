// A strategy's configuration (PROTOCOL §3.5), read once: every fault and warning goes to findings.ts, and what the strategy
// plugin runs stays here. Both plugins read with this code, so that a configuration the validator passes is one that runs.
import { Span, alloc, ascii, json, lenOf, ptrOf, same, span, writer } from "../../sdk/assemblyscript/assembly";
import * as list from "../indicators/list";
import * as plan from "../indicators/plan";
import * as findings from "./findings";

// The sections that have conditions.
export const S1: u32 = 0;
export const O1: u32 = 1;
export const Z1: u32 = 2;
export const ZE1: u32 = 3;
export const EMERGENCY: u32 = 4;
export const SECTIONS: u32 = 5;

// CONDITIONS_MAX bounds the conditions of a section, NAME_MAX a strategy's name, NUMBER_MAX a number's text.
export const CONDITIONS_MAX: u32 = 32;
export const NAME_MAX: u32 = 100;
const NUMBER_MAX: u32 = 64;
const CONDITION_ID_MAX: u32 = 256;
const KEY_MAX: u32 = 256;

// How a condition compares.
export const GREATER: u32 = 0;
export const LESS: u32 = 1;
export const GREATER_EQUAL: u32 = 2;
export const LESS_EQUAL: u32 = 3;
export const EQUAL: u32 = 4;
export const NOT_EQUAL: u32 = 5;

@unmanaged
export class Condition {
  indicator: i32; // as planned
  component: u32;
  operator: u32;
  nameBytes: u32;
  value: f64;
  name: usize; // of the indicator as it was written, in capitals: nameBytes bytes
}

// The configuration read last. NaN is a number that was not given.
export let short: bool = false;
export let percentage: bool = false;
export let size: f64 = 0;
export let stopLoss: f64 = NaN; // percent, where it is enabled
export let takeProfit: f64 = NaN;
export let leverage: f64 = 1;
export let timeoutSeconds: f64 = 0;
export let cooldownMinutes: f64 = 0;
export let cancelPending: bool = false;
export let closePosition: bool = false;
export let logEvent: bool = false;
export let basePart: f64 = NaN;
export let maxLeverage: f64 = NaN;
export let minSize: f64 = NaN;
export let maxSize: f64 = NaN;

const counts = alloc(SECTIONS << 2);
const table = alloc(SECTIONS * CONDITIONS_MAX * offsetof<Condition>());
const names = alloc(SECTIONS * CONDITIONS_MAX * list.ID_MAX);

const K_NAME = ascii("strategy_name");
const K_DIRECTION = ascii("direction");
const K_S1 = ascii("s1_signal");
const K_O1 = ascii("o1_cancel");
const K_Z1 = ascii("z1_entry");
const K_ZE1 = ascii("ze1_close");
const K_EMERGENCY = ascii("emergency_exit");
const K_LIMITS = ascii("global_limits");
const K_CONDITIONS = ascii("conditions");
const K_SIZE = ascii("positionSize");
const K_STOP = ascii("stopLoss");
const K_PROFIT = ascii("takeProfit");
const K_LEVERAGE = ascii("leverage");
const K_TYPE = ascii("type");
const K_VALUE = ascii("value");
const K_ENABLED = ascii("enabled");
const K_OFFSET = ascii("offsetPercent");
const K_TIMEOUT = ascii("timeoutSeconds");
const K_COOLDOWN = ascii("cooldownMinutes");
const K_ACTIONS = ascii("actions");
const K_CANCEL = ascii("cancelPending");
const K_CLOSE = ascii("closePosition");
const K_LOG = ascii("logEvent");
const K_ID = ascii("id");
const K_INDICATOR = ascii("indicatorId");
const K_OPERATOR = ascii("operator");
const K_BASE = ascii("base_position_pct");
const K_MAX_LEVERAGE = ascii("max_leverage");
const K_MIN_SIZE = ascii("min_position_size_usdt");
const K_MAX_SIZE = ascii("max_position_size_usdt");
const LONG = ascii("LONG");
const SHORT = ascii("SHORT");
const FIXED = ascii("fixed");
const PERCENTAGE = ascii("percentage");
const OPERATORS = ascii("> < >=<===!="); // two characters each, in the order of their numbers

const LONG_NAME = ascii("(a long name)");
const REQUIRED = ascii("is required");
const TWICE = ascii("is there twice");
const IGNORED = ascii("is unknown and ignored");
const OBJECT = ascii("must be an object");
const LIST = ascii("must be a list");
const TEXT = ascii("must be a string of 1 to 256 bytes");
const BOOL = ascii("must be true or false");
const NAME_FORM = ascii("must be 1 to 100 of A-Z a-z 0-9 _ and -");
const DIRECTIONS = ascii("must be LONG or SHORT");
const TYPES = ascii("must be fixed or percentage");
const NON_NEGATIVE = ascii("must be a non-negative number");
const NON_NEGATIVE_INTEGER = ascii("must be a non-negative integer");
const TO_100 = ascii("must be a number from 0 to 100");
const TO_1000 = ascii("must be a number from 0 to 1000");
const TO_1440 = ascii("must be a number from 0 to 1440");
const TO_10 = ascii("must be a number from 1 to 10");
const TO_1 = ascii("must be a number above 0 and up to 1");
const BELOW_MAX = ascii("must be less than global_limits.max_position_size_usdt");
const NUMBER = ascii("must be a number");
const AT_LEAST_ONE = ascii("must hold at least one condition");
const AT_MOST = ascii("must hold at most 32 conditions");
const COMPARISON = ascii("must be one of > < >= <= == !=");
const KNOWN = ascii("must name one of ");
const FORM = ascii("must be a name, its parameters as _20 or (20), and a component as .upper");
const MANY = ascii("has more parameters than the indicator takes");
const RANGE = ascii("has a parameter out of range: periods are whole numbers from 1 (VOLATILITY and SPREAD_PCT: 2) to 10000, deviations above 0 and up to 100");
const FAST = ascii("must have a fast period below the slow one");
const COMPONENTS = ascii("has no such component: MACD has .line, .signal and .histogram, BOLLINGER_BANDS has .upper, .middle, .lower and .percent_b, the others have none");
const TOO_MANY = ascii("is one value more than the 20 that a strategy may look at");
const TOO_LARGE = ascii("needs more than 1 MiB of windows, together with the indicators before it");
const OF = ascii("of ");
const MODERATE = ascii(" is a moderate risk: gains and losses are multiplied by it");
const HIGH = ascii(" is a high risk: the position is liquidated when the price moves ");
const AGAINST = ascii(" % against it");
const LOWERED = ascii("is over global_limits.max_leverage and will be lowered to it");

// condition is condition i of a section, count how many there are.
export function condition(section: u32, i: u32): Condition {
  return changetype<Condition>(table + (section * CONDITIONS_MAX + i) * offsetof<Condition>());
}

export function count(section: u32): u32 {
  return load<u32>(counts + (section << 2));
}

// read reads the next value of json as a configuration. What is wrong with it is in findings.
export function read(): void {
  short = percentage = cancelPending = closePosition = logEvent = false;
  size = timeoutSeconds = cooldownMinutes = 0;
  leverage = 1;
  stopLoss = takeProfit = basePart = maxLeverage = minSize = maxSize = NaN;
  memory.fill(counts, 0, SECTIONS << 2);
  plan.begin();
  let seen: u32 = 0;
  if (!object()) return;
  while (findings.room && json.member()) {
    const key = keyOf();
    if (is(key, K_NAME)) { if (fresh(seen, 1, K_NAME)) readName(); seen |= 1; }
    else if (is(key, K_DIRECTION)) { if (fresh(seen, 2, K_DIRECTION)) readDirection(); seen |= 2; }
    else if (is(key, K_S1)) { if (fresh(seen, 4, K_S1)) readConditionsOnly(S1); seen |= 4; }
    else if (is(key, K_O1)) { if (fresh(seen, 8, K_O1)) readCancel(); seen |= 8; }
    else if (is(key, K_Z1)) { if (fresh(seen, 16, K_Z1)) readEntry(); seen |= 16; }
    else if (is(key, K_ZE1)) { if (fresh(seen, 32, K_ZE1)) readConditionsOnly(ZE1); seen |= 32; }
    else if (is(key, K_EMERGENCY)) { if (fresh(seen, 64, K_EMERGENCY)) readEmergency(); seen |= 64; }
    else if (is(key, K_LIMITS)) { if (fresh(seen, 128, K_LIMITS)) readLimits(); seen |= 128; }
    else unknown(key);
    findings.back(0);
  }
  need(seen, 1, K_NAME);
  need(seen, 4, K_S1);
  need(seen, 8, K_O1);
  need(seen, 16, K_Z1);
  need(seen, 32, K_ZE1);
  need(seen, 64, K_EMERGENCY);
  assess();
}

// assess warns of a leverage that is dangerous, or over its limit.
function assess(): void {
  if (leverage <= 3 && !(leverage > maxLeverage)) return;
  findings.enter(K_Z1);
  findings.enter(K_LEVERAGE);
  if (leverage > 3 && findings.open(true)) {
    writer.put(OF);
    writer.putFloat(leverage);
    if (leverage > 5) {
      writer.put(HIGH);
      writer.putFloat(Math.round(10000 / leverage) / 100);
      writer.put(AGAINST);
    } else {
      writer.put(MODERATE);
    }
    findings.close();
  }
  if (leverage > maxLeverage) findings.warn(LOWERED);
  findings.back(0);
}

function readName(): void {
  if (!text()) return findings.error(NAME_FORM);
  const t = json.text(json.raw(), json.escaped()), n = lenOf(t), p = ptrOf(t);
  let good = n != 0 && n <= NAME_MAX;
  for (let i: u32 = 0; good && i < n; i++) {
    const c = <u32>load<u8>(p + i);
    good = (c | 0x20) - 0x61 < 26 || c - 0x30 < 10 || c == 0x5f || c == 0x2d;
  }
  if (!good) findings.error(NAME_FORM);
}

function readDirection(): void {
  if (absent()) return;
  if (!text()) return findings.error(DIRECTIONS);
  const t = json.text(json.raw(), json.escaped());
  short = sameAnyCase(t, SHORT);
  if (!short && !sameAnyCase(t, LONG)) findings.error(DIRECTIONS);
}

function readConditionsOnly(section: u32): void {
  const depth = findings.depth;
  let seen: u32 = 0;
  if (!object()) return;
  while (findings.room && json.member()) {
    const key = keyOf();
    if (is(key, K_CONDITIONS)) { if (fresh(seen, 1, K_CONDITIONS)) readConditions(section); seen |= 1; }
    else unknown(key);
    findings.back(depth);
  }
  need(seen, 1, K_CONDITIONS);
}

function readCancel(): void {
  const depth = findings.depth;
  let seen: u32 = 0;
  if (!object()) return;
  while (findings.room && json.member()) {
    const key = keyOf();
    if (is(key, K_CONDITIONS)) { if (fresh(seen, 1, K_CONDITIONS)) readConditions(O1); seen |= 1; }
    else if (is(key, K_TIMEOUT)) {
      if (fresh(seen, 2, K_TIMEOUT)) timeoutSeconds = number(NON_NEGATIVE_INTEGER, 0, f64.MAX_SAFE_INTEGER, 0, true);
      seen |= 2;
    } else unknown(key);
    findings.back(depth);
  }
  need(seen, 2, K_TIMEOUT);
  need(seen, 1, K_CONDITIONS);
}

function readEntry(): void {
  const depth = findings.depth;
  let seen: u32 = 0;
  if (!object()) return;
  while (findings.room && json.member()) {
    const key = keyOf();
    if (is(key, K_CONDITIONS)) { if (fresh(seen, 1, K_CONDITIONS)) readConditions(Z1); seen |= 1; }
    else if (is(key, K_SIZE)) { if (fresh(seen, 2, K_SIZE)) readSize(); seen |= 2; }
    else if (is(key, K_STOP)) { if (fresh(seen, 4, K_STOP)) stopLoss = readOffset(TO_100, 100); seen |= 4; }
    else if (is(key, K_PROFIT)) { if (fresh(seen, 8, K_PROFIT)) takeProfit = readOffset(TO_1000, 1000); seen |= 8; }
    else if (is(key, K_LEVERAGE)) {
      if (fresh(seen, 16, K_LEVERAGE)) leverage = absent() ? 1 : number(TO_10, 1, 10, 1);
      seen |= 16;
    } else unknown(key);
    findings.back(depth);
  }
  need(seen, 1, K_CONDITIONS);
  need(seen, 2, K_SIZE);
}

function readSize(): void {
  const depth = findings.depth;
  let seen: u32 = 0;
  if (!object()) return;
  while (findings.room && json.member()) {
    const key = keyOf();
    if (is(key, K_TYPE)) {
      if (fresh(seen, 1, K_TYPE)) readType();
      seen |= 1;
    } else if (is(key, K_VALUE)) {
      if (fresh(seen, 2, K_VALUE)) size = number(NON_NEGATIVE, 0, f64.MAX_VALUE, 0);
      seen |= 2;
    } else unknown(key);
    findings.back(depth);
  }
  need(seen, 1, K_TYPE);
  need(seen, 2, K_VALUE);
}

function readType(): void {
  const string = text(), t = string ? json.text(json.raw(), json.escaped()) : 0;
  percentage = string && same(t, PERCENTAGE);
  if (!string || (!percentage && !same(t, FIXED))) findings.error(TYPES);
}

// readOffset reads a stop loss or take profit and returns its percentage, NaN where it is not enabled.
function readOffset(must: Span, most: f64): f64 {
  const depth = findings.depth;
  let seen: u32 = 0, enabled = false, offset: f64 = NaN;
  if (absent() || !object()) return NaN;
  while (findings.room && json.member()) {
    const key = keyOf();
    if (is(key, K_ENABLED)) { if (fresh(seen, 1, K_ENABLED)) enabled = truth(); seen |= 1; }
    else if (is(key, K_OFFSET)) { if (fresh(seen, 2, K_OFFSET)) offset = number(must, 0, most, NaN); seen |= 2; }
    else unknown(key);
    findings.back(depth);
  }
  need(seen, 1, K_ENABLED);
  if (enabled) need(seen, 2, K_OFFSET);
  return enabled ? offset : NaN;
}

function readEmergency(): void {
  const depth = findings.depth;
  let seen: u32 = 0;
  if (!object()) return;
  while (findings.room && json.member()) {
    const key = keyOf();
    if (is(key, K_CONDITIONS)) { if (fresh(seen, 1, K_CONDITIONS)) readConditions(EMERGENCY); seen |= 1; }
    else if (is(key, K_COOLDOWN)) { if (fresh(seen, 2, K_COOLDOWN)) cooldownMinutes = number(TO_1440, 0, 1440, 0); seen |= 2; }
    else if (is(key, K_ACTIONS)) { if (fresh(seen, 4, K_ACTIONS)) readActions(); seen |= 4; }
    else unknown(key);
    findings.back(depth);
  }
  need(seen, 1, K_CONDITIONS);
  need(seen, 2, K_COOLDOWN);
  need(seen, 4, K_ACTIONS);
}

function readActions(): void {
  const depth = findings.depth;
  let seen: u32 = 0;
  if (!object()) return;
  while (findings.room && json.member()) {
    const key = keyOf();
    if (is(key, K_CANCEL)) { if (fresh(seen, 1, K_CANCEL)) cancelPending = truth(); seen |= 1; }
    else if (is(key, K_CLOSE)) { if (fresh(seen, 2, K_CLOSE)) closePosition = truth(); seen |= 2; }
    else if (is(key, K_LOG)) { if (fresh(seen, 4, K_LOG)) logEvent = truth(); seen |= 4; }
    else unknown(key);
    findings.back(depth);
  }
  need(seen, 1, K_CANCEL);
  need(seen, 2, K_CLOSE);
  need(seen, 4, K_LOG);
}

function readLimits(): void {
  const depth = findings.depth;
  let seen: u32 = 0;
  if (absent() || !object()) return;
  while (findings.room && json.member()) {
    const key = keyOf();
    if (is(key, K_BASE)) { if (fresh(seen, 1, K_BASE)) basePart = optional(TO_1, f64.MIN_VALUE, 1); seen |= 1; }
    else if (is(key, K_MAX_LEVERAGE)) { if (fresh(seen, 2, K_MAX_LEVERAGE)) maxLeverage = optional(TO_10, 1, 10); seen |= 2; }
    else if (is(key, K_MIN_SIZE)) { if (fresh(seen, 4, K_MIN_SIZE)) minSize = optional(NON_NEGATIVE, 0, f64.MAX_VALUE); seen |= 4; }
    else if (is(key, K_MAX_SIZE)) { if (fresh(seen, 8, K_MAX_SIZE)) maxSize = optional(NON_NEGATIVE, 0, f64.MAX_VALUE); seen |= 8; }
    else unknown(key);
    findings.back(depth);
  }
  if (minSize >= maxSize) findings.fault(K_MIN_SIZE, BELOW_MAX);
}

// readConditions reads the conditions of a section. Two sections are nothing without one.
function readConditions(section: u32): void {
  const depth = findings.depth;
  if (json.peek() != json.ARRAY) {
    json.skip();
    return findings.error(LIST);
  }
  let n: u32 = 0;
  json.array();
  while (findings.room && json.element()) {
    if (n < CONDITIONS_MAX) {
      findings.enterIndex(n);
      readCondition(section, n);
      findings.back(depth);
    } else {
      json.skip();
    }
    n++;
  }
  if (n == 0 && (section == S1 || section == Z1)) findings.error(AT_LEAST_ONE);
  if (n > CONDITIONS_MAX) findings.error(AT_MOST);
  store<u32>(counts + (section << 2), min(n, CONDITIONS_MAX));
}

function readCondition(section: u32, i: u32): void {
  const depth = findings.depth, c = condition(section, i);
  let seen: u32 = 0;
  c.name = names + (section * CONDITIONS_MAX + i) * list.ID_MAX;
  if (!object()) return;
  while (findings.room && json.member()) {
    const key = keyOf();
    if (is(key, K_ID)) {
      if (fresh(seen, 1, K_ID) && (!text() || lenOf(json.raw()) == 0 || lenOf(json.raw()) > CONDITION_ID_MAX)) findings.error(TEXT);
      seen |= 1;
    } else if (is(key, K_INDICATOR)) { if (fresh(seen, 2, K_INDICATOR)) readIndicator(c); seen |= 2; }
    else if (is(key, K_OPERATOR)) { if (fresh(seen, 4, K_OPERATOR)) readOperator(c); seen |= 4; }
    else if (is(key, K_VALUE)) { if (fresh(seen, 8, K_VALUE)) c.value = number(NUMBER, -f64.MAX_VALUE, f64.MAX_VALUE, 0); seen |= 8; }
    else unknown(key);
    findings.back(depth);
  }
  need(seen, 1, K_ID);
  need(seen, 2, K_INDICATOR);
  need(seen, 4, K_OPERATOR);
  need(seen, 8, K_VALUE);
}

function readIndicator(c: Condition): void {
  const said = text() ? list.parse(json.text(json.raw(), json.escaped())) : list.UNKNOWN;
  if (said != list.OK) return explain(said);
  c.indicator = plan.add();
  c.component = list.component;
  c.nameBytes = lenOf(list.name);
  memory.copy(c.name, ptrOf(list.name), c.nameBytes);
  if (c.indicator == plan.TOO_MANY) findings.error(TOO_MANY);
  if (c.indicator == plan.TOO_LARGE) findings.error(TOO_LARGE);
}

function explain(said: u32): void {
  switch (said) {
    case list.FORM: return findings.error(FORM);
    case list.MANY: return findings.error(MANY);
    case list.RANGE: return findings.error(RANGE);
    case list.ORDER: return findings.error(FAST);
    case list.COMPONENT: return findings.error(COMPONENTS);
  }
  if (!findings.open(false)) return;
  writer.put(KNOWN);
  for (let k: u32 = 0; k < list.count(); k++) {
    if (k != 0) writer.putByte(0x20);
    writer.put(list.nameOf(k));
  }
  findings.close();
}

function readOperator(c: Condition): void {
  if (text()) {
    const t = json.text(json.raw(), json.escaped());
    for (let i: u32 = 0; i < 6; i++) {
      const p = ptrOf(OPERATORS) + (i << 1);
      if (!same(t, span(p, load<u8>(p, 1) == 0x20 ? 1 : 2))) continue;
      c.operator = i;
      return;
    }
  }
  findings.error(COMPARISON);
}

// keyOf is the text of the key read last; one that is much longer than any of ours is not looked at.
function keyOf(): Span {
  return lenOf(json.key()) > KEY_MAX ? LONG_NAME : json.keyText();
}

// is reports whether a key is a name.
// @ts-ignore: decorator
@inline function is(key: Span, name: Span): bool {
  return lenOf(key) == lenOf(name) && same(key, name);
}

// object enters the next value, or tells that it is none.
function object(): bool {
  if (json.peek() == json.OBJECT) return json.object();
  json.skip();
  findings.error(OBJECT);
  return false;
}

// text reads the next value and reports whether it is a string; json.raw() is then its content.
function text(): bool {
  if (json.peek() == json.STRING) return json.string();
  json.skip();
  return false;
}

function truth(): bool {
  const kind = json.peek();
  json.skip();
  if (kind != json.TRUE && kind != json.FALSE) findings.error(BOOL);
  return kind == json.TRUE;
}

// number reads a number from least to most, or tells what it must be and returns another. Longer texts than NUMBER_MAX are
// refused: reading one exactly is the only thing here whose cost grows faster than the document.
function number(must: Span, least: f64, most: f64, otherwise: f64, whole: bool = false): f64 {
  const is = json.peek() == json.NUMBER;
  json.skip();
  if (is && lenOf(json.raw()) <= NUMBER_MAX) {
    const v = json.float(json.raw());
    if (v >= least && v <= most && (!whole || floor(v) == v)) return v;
  }
  findings.error(must);
  return otherwise;
}

function optional(must: Span, least: f64, most: f64): f64 {
  return absent() ? NaN : number(must, least, most, NaN);
}

// absent skips a null: where a member may be left out, it counts as left out.
function absent(): bool {
  return json.peek() == json.NULL && json.skip();
}

// fresh goes to a member and reports whether it is to be read: one that was there before is a fault, and skipped, since which
// of the two counts would depend on who reads them.
function fresh(seen: u32, bit: u32, name: Span): bool {
  findings.enter(name);
  if ((seen & bit) == 0) return true;
  json.skip();
  findings.error(TWICE);
  return false;
}

function need(seen: u32, bit: u32, name: Span): void {
  if ((seen & bit) == 0) findings.fault(name, REQUIRED);
}

function unknown(key: Span): void {
  findings.enterForeign(key);
  findings.warn(IGNORED);
  json.skip();
}

function sameAnyCase(s: Span, capitals: Span): bool {
  if (lenOf(s) != lenOf(capitals)) return false;
  for (let i: u32 = 0; i < lenOf(s); i++) {
    const c = <u32>load<u8>(ptrOf(s) + i);
    if ((c - 0x61 < 26 ? c - 0x20 : c) != load<u8>(ptrOf(capitals) + i)) return false;
  }
  return true;
}
