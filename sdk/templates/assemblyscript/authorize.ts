// {{.Name}} decides who may use a topic: public:… everybody, user:ID:… the user with that id.
import {
  ERROR_NO_BUFFER, NO, Span, YES, ascii, begins, error, errorCode, holds, input, json, lenOf, ptrOf, rest, word,
} from "./sdk/assembly";

export { wse_abi_v1, wse_buffer } from "./sdk/assembly";

const K_TOPIC = word("topic");
const K_IDENTITY = word("identity");
const K_USER_ID = word("user_id");

const PUBLIC = ascii("public:");
const USER = ascii("user:");
const NOT_REQUEST = ascii("not a request");

// wse_authorize reads {"action":"…","topic":"…","identity":{"user_id":"…",…},…}. It compares texts as they are written:
// the engine's topics and user ids have no character that needs an escape.
export function wse_authorize(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  let topic: Span = 0, user: Span = 0;
  json.open(input(), <u32>len);
  if (json.object()) {
    while (json.member()) {
      const key = json.keyWord();
      if (key == K_TOPIC && json.peek() == json.STRING) {
        json.string();
        topic = json.raw();
      } else if (key == K_IDENTITY && json.peek() == json.OBJECT) {
        user = identity();
      } else {
        json.skip();
      }
    }
  }
  if (!json.close() || lenOf(topic) == 0) return error(NOT_REQUEST);
  if (begins(topic, PUBLIC)) return YES;
  if (!begins(topic, USER) || lenOf(user) == 0) return NO;
  const own = rest(topic, lenOf(USER));
  if (!begins(own, user)) return NO;
  const behind = rest(own, lenOf(user));
  return lenOf(behind) > 1 && load<u8>(ptrOf(behind)) == 0x3a ? YES : NO;
}

// identity returns the member user_id.
function identity(): Span {
  let user: Span = 0;
  json.object();
  while (json.member()) {
    if (json.keyWord() == K_USER_ID && json.peek() == json.STRING) {
      json.string();
      user = json.raw();
    } else {
      json.skip();
    }
  }
  return user;
}
