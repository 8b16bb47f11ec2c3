// topicauth decides who may read a topic (PROTOCOL §2.4): a claim's deny list first, then the user's own topics, public
// ones, those for whoever is authenticated, those a permission opens, and last what a claim allows.
import {
  Span, YES, alloc, ascii, holds, input, json, lenOf, ptrOf, same, word, writer,
} from "../../sdk/assemblyscript/assembly";
import * as glob from "./glob";
import * as rules from "./rules";

export { wse_abi_v1, wse_buffer } from "../../sdk/assemblyscript/assembly";

const K_ACTION = word("action");
const K_TOPIC = word("topic");
const K_IDENTITY = word("identity");
const K_USER_ID = word("user_id");
const K_CLAIMS = word("claims");
const K_ALLOW = word("allow");
const K_DENY = word("deny");
const N_PERMISSIONS = ascii("permissions");
const N_WSE_TOPICS = ascii("wse_topics");

const SUBSCRIBE = ascii("subscribe");
const PUBLISH = ascii("publish");
const PRESENCE = ascii("presence");
const HISTORY = ascii("history");

// Error texts.
const TOO_LONG = ascii("document is longer than the buffer");
const AGAIN = ascii("already configured");
const NOT_JSON = ascii("request is not a valid JSON object, at byte ");
const NOT_REQUEST = ascii("request: ");
const IS_ACTION = ascii("action must be a string");
const IS_TOPIC = ascii("topic must be a string");
const IS_IDENTITY = ascii("identity must be an object");
const IS_USER_ID = ascii("identity.user_id must be a string");
const IS_PERMISSIONS = ascii("identity.permissions must be a list");
const IS_CLAIMS = ascii("identity.claims must be an object");

// Reasons of a refusal.
const REFUSED = ascii("{\"allow\":false,\"reason\":\"");
const ALLOWED = ascii("{\"allow\":true");
const TTL = ascii(",\"ttl_s\":");
const UNKNOWN_ACTION = ascii("action must be subscribe, publish, presence or history");
const BY_CLAIM = ascii("denied by claim wse_topics: ");
const BAD_CLAIM = ascii("claim wse_topics must be {allow:[topic globs],deny:[topic globs]}");
const ONLY_OWN_MESSAGES = ascii("clients publish only to client:{own id}:messages");
const ANOTHERS = ascii("topic belongs to another user");
const ANONYMOUS = ascii("not authenticated");
const NEEDS = ascii("needs permission ");
const OR = ascii(" or ");
const TOO_WIDE = ascii("pattern reaches beyond the topics you may read");
const NO_RULE = ascii("no rule opens this topic");

// What a claim says about the topic.
const SILENT: u32 = 0;
const ALLOWS: u32 = 1;
const DENIES: u32 = 2;
const MALFORMED: u32 = 3;

// A text longer than this, escapes and all, is no topic, user id or action.
const CONTENT_MAX: u32 = 2048;

// The request read last. Spans of length 0 are absent, null or empty.
let action: Span = 0;
let topic: Span = 0;
let user: Span = 0;
let permissions: Span = 0; // a JSON array
let claim: Span = 0; // the value of wse_topics, JSON
let wrong: Span = 0; // the first field of a wrong kind
let denying: Span = 0; // the glob that denies

const topicCopy = alloc(CONTENT_MAX);
const userCopy = alloc(CONTENT_MAX);
const actionCopy = alloc(CONTENT_MAX);

let configured: bool = false;

rules.defaults();

export function wse_configure(len: i32): u64 {
  writer.begin();
  if (!holds(len)) return fail(TOO_LONG);
  if (configured) return fail(AGAIN);
  configured = true;
  return rules.configure(input(), <u32>len) ? YES : writer.failure();
}

export function wse_authorize(len: i32): u64 {
  writer.begin();
  if (!holds(len)) return fail(TOO_LONG);
  if (!read(input(), <u32>len)) return unreadable();
  const malformed = glob.read(topic);
  if (malformed != 0) return refuse(malformed);
  const said = claim == 0 ? SILENT : heed(claim);
  if (said == MALFORMED) return refuse(BAD_CLAIM);
  if (said == DENIES) return refuseDenied();
  if (same(action, SUBSCRIBE) || same(action, HISTORY) || same(action, PRESENCE)) {
    return said == ALLOWS || mayRead() ? allow() : refuse(0);
  }
  if (!same(action, PUBLISH)) return refuse(UNKNOWN_ACTION);
  return glob.isOwnMessages(user) ? allow() : refuse(ONLY_OWN_MESSAGES);
}

// mayRead applies every rule but the claim's.
function mayRead(): bool {
  if (glob.isOwn(user) || opens(rules.open)) return true;
  if (lenOf(user) == 0) return false;
  return opens(rules.authenticated) || (permissions != 0 && permitted());
}

function opens(rule: rules.Rule | null): bool {
  while (rule != null) {
    if (rules.covers(rule)) return true;
    rule = rule.next;
  }
  return false;
}

// permitted reports whether a permission that the identity holds opens the topic.
function permitted(): bool {
  json.open(ptrOf(permissions), lenOf(permissions));
  let yes = false;
  json.array();
  while (!yes && json.element()) { // the rest was read with the request
    if (json.peek() != json.STRING) {
      json.skip();
      continue;
    }
    json.string();
    const held = json.text(json.raw(), json.escaped());
    let rule = rules.granted;
    while (rule != null && !yes) {
      yes = same(rule.permission, held) && rules.covers(rule);
      rule = rule.next;
    }
  }
  json.close();
  return yes;
}

// heed reads the claim wse_topics. Any fault in it refuses the topic: a deny list that cannot be read might have held it.
function heed(value: Span): u32 {
  let said = SILENT;
  json.open(ptrOf(value), lenOf(value));
  if (json.peek() != json.OBJECT) {
    if (json.peek() != json.NULL) said = MALFORMED;
    json.skip();
  } else {
    json.object();
    while (json.member()) {
      const key = json.keyWord();
      if (key == K_DENY) said = max(said, globs(true));
      else if (key == K_ALLOW) said = max(said, globs(false));
      else json.skip();
    }
  }
  json.close();
  return said;
}

// globs reads one list of the claim and says what it makes of the topic.
function globs(deny: bool): u32 {
  let said = SILENT;
  if (json.peek() != json.ARRAY) {
    if (json.peek() != json.NULL) said = MALFORMED;
    json.skip();
    return said;
  }
  json.array();
  while (json.element()) {
    if (json.peek() != json.STRING) {
      said = MALFORMED;
      json.skip();
      continue;
    }
    json.string();
    const text = json.text(json.raw(), json.escaped());
    if (!glob.valid(text)) {
      said = MALFORMED;
    } else if (deny ? glob.touches(text) : glob.covers(text)) {
      said = max(said, deny ? DENIES : ALLOWS);
      if (deny) denying = json.raw();
    }
  }
  return said;
}

function read(ptr: usize, len: u32): bool {
  action = topic = user = permissions = claim = wrong = 0;
  json.open(ptr, len);
  if (json.object()) {
    while (json.member()) {
      const key = json.keyWord();
      if (key == K_TOPIC) topic = text(topicCopy, IS_TOPIC);
      else if (key == K_ACTION) action = text(actionCopy, IS_ACTION);
      else if (key == K_IDENTITY) identity();
      else json.skip();
    }
  }
  return json.close() && wrong == 0;
}

function identity(): void {
  user = permissions = claim = 0;
  if (json.peek() != json.OBJECT) {
    absent(IS_IDENTITY);
    return;
  }
  json.object();
  while (json.member()) {
    const key = json.keyWord();
    if (key == K_USER_ID) {
      user = text(userCopy, IS_USER_ID);
    } else if (key == K_CLAIMS) {
      claims();
    } else if (json.keyIs(N_PERMISSIONS)) {
      permissions = json.peek() == json.ARRAY && json.skip() ? json.raw() : absent(IS_PERMISSIONS);
    } else {
      json.skip();
    }
  }
}

function claims(): void {
  claim = 0;
  if (json.peek() != json.OBJECT) {
    absent(IS_CLAIMS);
    return;
  }
  json.object();
  while (json.member()) {
    const ours = json.keyIs(N_WSE_TOPICS);
    json.skip();
    if (ours) claim = json.raw();
  }
}

// text reads a string; one with escapes is written out at `to`. What is too long to be of use becomes a text that is
// nobody's: it is refused as a topic, and owns nothing as a user.
function text(to: usize, must: Span): Span {
  if (json.peek() != json.STRING) return absent(must);
  if (!json.string()) return 0;
  const content = json.raw();
  if (!json.escaped()) return content;
  return lenOf(content) > CONTENT_MAX ? 0 : json.decode(content, to);
}

// absent accepts null and takes down any other kind as a fault.
function absent(must: Span): Span {
  if (json.peek() != json.NULL && wrong == 0) wrong = must;
  json.skip();
  return 0;
}

function allow(): u64 {
  if (rules.ttl == 0) return YES;
  writer.put(ALLOWED);
  return verdict();
}

// refuse gives a reason: the one told, or with 0 the one that helps most.
function refuse(reason: Span): u64 {
  writer.put(REFUSED);
  if (reason != 0) writer.put(reason);
  else if (lenOf(user) == 0) writer.put(ANONYMOUS);
  else if (glob.isOwned()) writer.put(glob.wild && same(glob.owner, user) ? TOO_WIDE : ANOTHERS);
  else if (!putNeeded()) writer.put(glob.wild ? TOO_WIDE : NO_RULE);
  writer.putByte(0x22);
  return verdict();
}

function refuseDenied(): u64 {
  writer.put(REFUSED);
  writer.put(BY_CLAIM);
  writer.put(denying);
  writer.putByte(0x22);
  return verdict();
}

function verdict(): u64 {
  if (rules.ttl != 0) {
    writer.put(TTL);
    writer.putInt(rules.ttl);
  }
  writer.putByte(0x7d);
  return writer.result();
}

// putNeeded names the permissions that would open the topic; false where none would.
function putNeeded(): bool {
  let named: Span = 0;
  let rule = rules.granted;
  while (rule != null) {
    if (!same(rule.permission, named) && rules.covers(rule)) {
      writer.put(named == 0 ? NEEDS : OR);
      writer.putText(rule.permission);
      named = rule.permission;
    }
    rule = rule.next;
  }
  return named != 0;
}

function unreadable(): u64 {
  if (json.sound()) {
    writer.put(NOT_REQUEST);
    return fail(wrong);
  }
  writer.put(NOT_JSON);
  writer.putInt(json.fault());
  return writer.failure();
}

function fail(why: Span): u64 {
  writer.put(why);
  return writer.failure();
}
