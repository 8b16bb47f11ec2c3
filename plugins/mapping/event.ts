// One domain event, read into spans of the input buffer.
import { Span, alloc, ascii, json, same, word } from "../../sdk/assemblyscript/assembly";

// A member of the payload, as it stands in the input.
@unmanaged
export class Member {
  key: Span; // between the quotes
  from: usize; // the key's opening quote
  value: usize;
  end: usize; // one past the value
  escaped: bool; // the key holds a backslash
  original: bool; // the key is original_event_type
}

// The fields of the event read last. A span of length 0 is a field that is absent, null or empty.
export let type: Span = 0;
export let typeEscaped: bool = false;
export let userID: Span = 0;
export let userIDEscaped: bool = false;
export let topic: Span = 0;
export let id: Span = 0;
export let cid: Span = 0;
export let priority: Span = 0; // a number's text
export let version: Span = 0; // a number's text
export let memberCount: u32 = 0; // of the payload
export let hasOriginal: bool = false; // one of them is original_event_type

const T_TYPE = word("type");
const T_PAYLOAD = word("payload");
const T_USER_ID = word("user_id");
const T_TOPIC = word("topic");
const T_ID = word("id");
const T_CID = word("cid");
const T_PRI = word("pri");
const N_VERSION = ascii("event_version");
const N_ORIGINAL = ascii("original_event_type");
const ZERO = ascii("0");

const IS_TYPE = ascii("type must be a string");
const IS_USER_ID = ascii("user_id must be a string");
const IS_TOPIC = ascii("topic must be a string");
const IS_ID = ascii("id must be a string");
const IS_CID = ascii("cid must be a string");
const IS_PRI = ascii("pri must be a number");
const IS_VERSION = ascii("event_version must be a number");
const IS_PAYLOAD = ascii("payload must be an object");
const TOO_MANY = ascii("payload has more members than there is memory for");

let wrong: Span = 0; // the first field of a wrong kind
let members: usize = 0;
let memberRoom: u32 = 0;

// read reads the event of len bytes at ptr. It returns false where the bytes are no JSON object (json.fault says where)
// or a field is of the wrong kind (problem says which).
export function read(ptr: usize, len: u32): bool {
  type = userID = topic = id = cid = priority = version = wrong = 0;
  memberCount = 0;
  hasOriginal = false;
  json.open(ptr, len);
  if (json.object()) while (json.member()) field(json.keyWord());
  return json.close() && wrong == 0;
}

// problem says which field is of the wrong kind; 0 where the JSON itself is at fault.
export function problem(): Span {
  return json.sound() ? wrong : 0;
}

// memberAt is the payload's i-th member.
// @ts-ignore: decorator
@inline export function memberAt(i: u32): Member {
  return changetype<Member>(members + i * offsetof<Member>());
}

// find is the payload's last member of that name, or null.
export function find(name: Span): Member | null {
  for (let i = memberCount; i-- > 0;) {
    const m = memberAt(i);
    if (same(json.text(m.key, m.escaped), name)) return m;
  }
  return null;
}

function field(key: u64): void {
  if (key == T_TYPE) {
    type = text(IS_TYPE);
    typeEscaped = json.escaped();
  } else if (key == T_PAYLOAD) {
    payload();
  } else if (key == T_USER_ID) {
    userID = text(IS_USER_ID);
    userIDEscaped = json.escaped();
  } else if (key == T_TOPIC) {
    topic = text(IS_TOPIC);
  } else if (key == T_ID) {
    id = text(IS_ID);
  } else if (key == T_CID) {
    cid = text(IS_CID);
  } else if (key == T_PRI) {
    priority = number(IS_PRI);
  } else if (key == 0 && json.keyIs(N_VERSION)) {
    version = number(IS_VERSION);
  } else {
    json.skip();
  }
}

function text(must: Span): Span {
  if (json.peek() == json.STRING) return json.string() ? json.raw() : 0;
  return absent(must);
}

// number is a number's text; 0 counts as absent, as everywhere in the engine.
function number(must: Span): Span {
  if (json.peek() != json.NUMBER) return absent(must);
  return json.skip() && !same(json.raw(), ZERO) ? json.raw() : 0;
}

// absent accepts null and takes down any other kind as a fault.
function absent(must: Span): Span {
  if (json.peek() != json.NULL && wrong == 0) wrong = must;
  json.skip();
  return 0;
}

function payload(): void {
  memberCount = 0;
  hasOriginal = false;
  if (json.peek() != json.OBJECT) {
    absent(IS_PAYLOAD);
    return;
  }
  json.object();
  while (json.member()) {
    const key = json.key(), escaped = json.keyIsEscaped();
    const original = json.keyIs(N_ORIGINAL);
    const value = json.here();
    json.skip();
    if (memberCount == memberRoom && !moreMembers()) {
      if (wrong == 0) wrong = TOO_MANY;
      continue;
    }
    const m = memberAt(memberCount++);
    m.key = key;
    m.from = <usize>(key >> 32) - 1;
    m.value = value;
    m.end = json.here();
    m.escaped = escaped;
    m.original = original;
    hasOriginal = hasOriginal || original;
  }
}

function moreMembers(): bool {
  const room = memberRoom == 0 ? 128 : memberRoom << 1;
  const fresh = alloc(room * offsetof<Member>());
  if (fresh == 0) return false;
  memory.copy(fresh, members, memberRoom * offsetof<Member>());
  members = fresh;
  memberRoom = room;
  return true;
}
