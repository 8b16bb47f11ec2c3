// desk decides who may read a trading desk's topics (examples/plugins/README.md says exactly who).
import {
  NO, Span, YES, ERROR_NO_BUFFER, alloc, ascii, begins, errorCode, holds, input, json, lenOf, ptrOf, rest, same, span, word, writer,
} from "../../../../sdk/assemblyscript/assembly";

export { wse_abi_v1, wse_buffer } from "../../../../sdk/assemblyscript/assembly";

const K_ACTION = word("action");
const K_TOPIC = word("topic");
const K_IDENTITY = word("identity");
const K_USER_ID = word("user_id");
const K_CLAIMS = word("claims");
const K_DESK = word("desk");
const K_TTL = word("ttl_s");

const PUBLISH = ascii("publish");
const PUBLIC = ascii("public:");
const USER = ascii("user:");
const MARKET_DATA = ascii("stream:market_data:");

const ALLOWED = ascii("{\"allow\":true");
const TTL = ascii(",\"ttl_s\":");
const REFUSED = ascii("{\"allow\":false,\"reason\":\"desk ");
const NOT_YOURS = ascii(" is not yours\"}");

// Error texts.
const NOT_REQUEST = ascii("not a request");
const NOT_OBJECT = ascii("config: not an object");
const NOT_TTL = ascii("config: ttl_s must be an integer from 0 to 86400");
const UNKNOWN = ascii("config: unknown field \"");

// TEXT_MAX bounds a topic, a user id and a desk, as they are written. The engine has no topic that is so long, and what is
// longer than every topic is part of none.
const TEXT_MAX: u32 = 1024;

// ttl is how many seconds a verdict may be kept.
let ttl: i64 = 30;

// The request read last. Texts that are absent, or no strings, are empty.
let publish: bool = false;
let asked: bool = false; // there is a topic
let topic: Span = 0;
let tooLong: bool = false; // the topic is
let user: Span = 0;
let desk: Span = 0;

const topicCopy = alloc(TEXT_MAX);
const userCopy = alloc(TEXT_MAX);
const deskCopy = alloc(TEXT_MAX);

export function wse_configure(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  writer.begin();
  let wrong = false;
  json.open(input(), <u32>len);
  if (json.object()) {
    while (json.member()) {
      if (json.keyWord() == K_TTL) {
        wrong = !(json.skip() && json.integer(json.raw())) || json.value() < 0 || json.value() > 86400;
        ttl = json.value();
      } else {
        if (writer.mark() == 0) { // the first that is unknown
          writer.put(UNKNOWN);
          writer.put(json.keyText());
          writer.putByte(0x22);
        }
        json.skip();
      }
    }
  }
  if (!json.close()) return fail(NOT_OBJECT);
  if (writer.mark() != 0) return writer.failure();
  return wrong ? fail(NOT_TTL) : YES;
}

export function wse_authorize(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  writer.begin();
  if (!read(input(), <u32>len)) return fail(NOT_REQUEST);
  if (publish || tooLong) return NO;
  if (begins(topic, PUBLIC)) return YES;
  if (begins(topic, USER)) {
    const id = segment(rest(topic, lenOf(USER)));
    return lenOf(id) != 0 && same(id, user) ? YES : NO;
  }
  if (!begins(topic, MARKET_DATA)) return NO;
  const name = rest(topic, lenOf(MARKET_DATA));
  return lenOf(name) == 0 ? NO : verdict(name);
}

// segment is what stands before the first colon.
function segment(s: Span): Span {
  const from = ptrOf(s);
  let n: u32 = 0;
  while (n < lenOf(s) && load<u8>(from + n) != 0x3a) n++;
  return span(from, n);
}

function verdict(name: Span): u64 {
  if (!same(name, desk)) {
    writer.put(REFUSED);
    writer.putText(name);
    writer.put(NOT_YOURS);
    return writer.result();
  }
  writer.put(ALLOWED);
  if (ttl > 0) {
    writer.put(TTL);
    writer.putInt(ttl);
  }
  writer.putByte(0x7d);
  return writer.result();
}

// read takes a request apart. It returns false where it is none.
function read(ptr: usize, len: u32): bool {
  publish = asked = tooLong = false;
  topic = user = desk = 0;
  json.open(ptr, len);
  if (json.object()) {
    while (json.member()) {
      const key = json.keyWord();
      if (key == K_ACTION) {
        publish = text() && same(json.text(json.raw(), json.escaped()), PUBLISH);
      } else if (key == K_TOPIC) {
        asked = text();
        tooLong = asked && lenOf(json.raw()) > TEXT_MAX;
        topic = asked ? decoded(topicCopy) : 0;
      } else if (key == K_IDENTITY) {
        identity();
      } else {
        json.skip();
      }
    }
  }
  return json.close() && asked;
}

// identity reads an identity, and forgets one that came before it.
function identity(): void {
  user = desk = 0;
  if (json.peek() != json.OBJECT) {
    json.skip();
    return;
  }
  json.object();
  while (json.member()) {
    const key = json.keyWord();
    if (key == K_USER_ID) user = text() ? decoded(userCopy) : 0;
    else if (key == K_CLAIMS) claims();
    else json.skip();
  }
}

function claims(): void {
  desk = 0;
  if (json.peek() != json.OBJECT) {
    json.skip();
    return;
  }
  json.object();
  while (json.member()) {
    if (json.keyWord() == K_DESK) desk = text() ? decoded(deskCopy) : 0;
    else json.skip();
  }
}

// text reads a value, and reports whether it is a string.
function text(): bool {
  if (json.peek() == json.STRING) return json.string();
  json.skip();
  return false;
}

// decoded is the text of the string read last, written out at `to` where it has escapes; nothing where it is too long.
function decoded(to: usize): Span {
  const content = json.raw();
  if (!json.escaped()) return content;
  return lenOf(content) > TEXT_MAX ? 0 : json.decode(content, to);
}

function fail(why: Span): u64 {
  writer.begin();
  writer.put(why);
  return writer.failure();
}
