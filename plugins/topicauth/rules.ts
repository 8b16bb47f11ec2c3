// The rules: built from the plugin's configuration, walked once per request.
import { Span, alloc, ascii, json, keep, lenOf, ptrOf, word, writer } from "../../sdk/assemblyscript/assembly";
import * as glob from "./glob";

// A rule opens the topics of one glob.
@unmanaged
export class Rule {
  glob: Span;
  prefix: Span; // glob.prefixOf(glob)
  permission: Span; // who holds it; 0 in the lists that need none
  next: Rule | null;
}

// RULES_MAX and TTL_MAX bound the configuration.
export const RULES_MAX: u32 = 4096;
export const TTL_MAX: i64 = 86400;

// The rules in force, in the configuration's order.
export let open: Rule | null = null; // for everybody
export let authenticated: Rule | null = null; // for whoever has a user id
export let granted: Rule | null = null; // for the holders of a permission
export let ttl: u32 = 0; // seconds a verdict may be kept; 0: not at all

const K_PUBLIC = word("public");
const K_TTL = word("ttl_s");
const K_AUTHENTICATED = ascii("authenticated");
const K_PERMISSIONS = ascii("permissions");

const IN_CONFIG = ascii("config");
const IN_PUBLIC = ascii("config: public");
const IN_AUTHENTICATED = ascii("config: authenticated");
const IN_PERMISSIONS = ascii("config: permissions");
const IN_TTL = ascii("config: ttl_s");
const NOT_JSON = ascii(" is not valid JSON, at byte ");
const NOT_OBJECT = ascii(": must be an object");
const NOT_LIST = ascii(": must be a list of topic globs");
const NOT_GLOB = ascii(": is no topic glob, such as public:*, stream:market_data:BTC_* or *");
const NOT_TTL = ascii(": must be a whole number of seconds from 0 to 86400");
const NOT_NAME = ascii(": a permission must have a name");
const UNKNOWN_KEY = ascii(": unknown key; there are public, authenticated, permissions and ttl_s");
const RULES = ascii(": there are more than 4096 globs in all");
const MEMORY = ascii(": out of memory");

let count: u32 = 0;
let last: Rule | null = null; // of the list being read

// defaults are the rules of a plugin that was given no configuration.
export function defaults(): void {
  open = rule(ascii("public:*"), 0);
  authenticated = rule(ascii("system:*"), 0);
  authenticated!.next = rule(ascii("stream:system_health:*"), 0);
  granted = rule(ascii("stream:market_data:*"), ascii("read_market_data"));
  granted!.next = rule(ascii("*"), ascii("admin"));
}

// configure reads the configuration of len bytes at ptr; a list that it names replaces the default one. It returns false,
// having written an error text, where it is not one.
export function configure(ptr: usize, len: u32): bool {
  json.open(ptr, len);
  const read = json.peek() == json.NULL ? json.skip() : config();
  if (json.close()) return read;
  if (writer.mark() != 0) return false;
  writer.put(IN_CONFIG);
  writer.put(NOT_JSON);
  writer.putInt(json.fault());
  return false;
}

function config(): bool {
  if (json.peek() != json.OBJECT) return bad(IN_CONFIG, NOT_OBJECT);
  json.object();
  while (json.member()) {
    const key = json.keyWord();
    if (key == K_PUBLIC) {
      open = list(IN_PUBLIC, 0);
      if (failed()) return false;
    } else if (key == K_TTL) {
      if (!readTTL()) return false;
    } else if (json.keyIs(K_AUTHENTICATED)) {
      authenticated = list(IN_AUTHENTICATED, 0);
      if (failed()) return false;
    } else if (json.keyIs(K_PERMISSIONS)) {
      if (!permissions()) return false;
    } else {
      return bad(IN_CONFIG, UNKNOWN_KEY);
    }
  }
  return true;
}

function permissions(): bool {
  if (json.peek() == json.NULL) return json.skip();
  if (json.peek() != json.OBJECT) return bad(IN_PERMISSIONS, NOT_OBJECT);
  granted = null;
  let tail: Rule | null = null;
  json.object();
  while (json.member()) {
    const name = keep(json.keyText());
    if (lenOf(name) == 0) return bad(IN_PERMISSIONS, NOT_NAME);
    const part = list(IN_PERMISSIONS, name);
    if (failed()) return false;
    if (part == null) continue;
    if (tail == null) granted = part;
    else tail.next = part;
    tail = last;
  }
  return true;
}

// list reads a list of globs. After a fault it has written an error text.
function list(where: Span, permission: Span): Rule | null {
  if (json.peek() == json.NULL) {
    json.skip();
    return null;
  }
  let first: Rule | null = null;
  last = null;
  if (json.peek() != json.ARRAY) badIn(where, permission, -1, NOT_LIST);
  else json.array();
  for (let i = 0; !failed() && json.element(); i++) {
    const r = readRule(where, permission, i);
    if (r == null) break;
    if (last == null) first = r;
    else last!.next = r;
    last = r;
  }
  return first;
}

function readRule(where: Span, permission: Span, i: i32): Rule | null {
  if (json.peek() != json.STRING || !json.string()) {
    badIn(where, permission, i, NOT_GLOB);
    return null;
  }
  const own = keep(json.text(json.raw(), json.escaped()));
  if (!glob.valid(own)) {
    badIn(where, permission, i, NOT_GLOB);
    return null;
  }
  if (count == RULES_MAX) {
    badIn(where, permission, i, RULES);
    return null;
  }
  const r = rule(own, permission);
  if (r == null) badIn(where, permission, i, MEMORY);
  return r;
}

function readTTL(): bool {
  if (json.peek() == json.NULL) return json.skip();
  if (json.peek() != json.NUMBER || !json.skip()) return bad(IN_TTL, NOT_TTL);
  if (!json.integer(json.raw()) || json.value() < 0 || json.value() > TTL_MAX) return bad(IN_TTL, NOT_TTL);
  ttl = <u32>json.value();
  return true;
}

function rule(text: Span, permission: Span): Rule | null {
  const block = alloc(offsetof<Rule>());
  if (block == 0) return null;
  const r = changetype<Rule>(block);
  r.glob = text;
  r.prefix = glob.prefixOf(text);
  r.permission = permission;
  count++;
  return r;
}

// covers reports whether a rule's glob covers the topic read last.
export function covers(r: Rule): bool {
  return r.prefix != 0 ? glob.begins(r.prefix) : glob.covers(r.glob);
}

function failed(): bool {
  return writer.mark() != 0 || !json.sound();
}

function bad(where: Span, why: Span): bool {
  return badIn(where, 0, -1, why);
}

// badIn writes where the fault is, as in config: permissions.trader[2], and what it is. Faults of the JSON itself are
// configure's to tell.
function badIn(where: Span, permission: Span, i: i32, why: Span): bool {
  if (!json.sound()) return false;
  writer.put(where);
  if (permission != 0) {
    writer.putByte(0x2e);
    writer.put(permission);
  }
  if (i >= 0) {
    writer.putByte(0x5b);
    writer.putInt(i);
    writer.putByte(0x5d);
  }
  writer.put(why);
  return false;
}
