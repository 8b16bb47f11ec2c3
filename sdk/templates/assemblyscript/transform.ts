// {{.Name}} makes envelopes of events: of each Greeting one on public:greetings. Everything else is left to the next plugin.
import {
  ERROR_NO_BUFFER, Span, YES, ascii, batch, error, errorCode, holds, host, input, json, lenOf, same, word, writer,
} from "./sdk/assembly";

export { wse_abi_v1, wse_buffer } from "./sdk/assembly";

const K_TYPE = word("type");
const K_PAYLOAD = word("payload");
const K_TEXT = word("text");
const K_PRIORITY = word("priority");

const GREETING = ascii("Greeting");
const HEAD = ascii("{\"t\":\"greeting\",\"topic\":\"public:greetings\",\"p\":{\"text\":\"");
const PRI = ascii("\"},\"pri\":");
const COUNTER = ascii("greetings_total");

const NOT_EVENT = ascii("not an event");
const NO_TEXT = ascii("Greeting: payload.text is missing");
const NOT_OBJECT = ascii("config: not an object");
const NOT_PRIORITY = ascii("config: priority must be an integer from 1 to 10");
const UNKNOWN = ascii("config: unknown field \"");

// priority is what the configuration sets.
let priority: i64 = 5;

// wse_configure reads {"priority":N}.
export function wse_configure(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  writer.begin();
  let ok = true;
  json.open(input(), <u32>len);
  if (json.object()) {
    while (json.member()) {
      if (json.keyWord() != K_PRIORITY && writer.mark() == 0) {
        writer.put(UNKNOWN);
        writer.put(json.keyText());
        writer.putByte(0x22);
      }
      ok = json.skip() && json.integer(json.raw());
      priority = json.value();
    }
  }
  if (!json.close()) return error(NOT_OBJECT);
  if (writer.mark() != 0) return writer.failure();
  return ok && priority >= 1 && priority <= 10 ? YES : error(NOT_PRIORITY);
}

// wse_transform reads {"type":"Greeting","payload":{"text":"…"}}. Texts are passed on as they are written, escapes and all.
export function wse_transform(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  let typed = false, greeting = false, text: Span = 0;
  json.open(input(), <u32>len);
  if (json.object()) {
    while (json.member()) {
      const key = json.keyWord();
      if (key == K_TYPE && json.peek() == json.STRING) {
        typed = json.string();
        greeting = same(json.text(json.raw(), json.escaped()), GREETING);
      } else if (key == K_PAYLOAD && json.peek() == json.OBJECT) {
        text = payload();
      } else {
        json.skip();
      }
    }
  }
  if (!json.close() || !typed) return error(NOT_EVENT);
  if (!greeting) return YES; // not mine, ask the next plugin
  if (lenOf(text) == 0) return error(NO_TEXT);
  host.metric(COUNTER, 1);
  writer.begin();
  writer.put(HEAD);
  writer.put(text);
  writer.put(PRI);
  writer.putInt(priority);
  writer.putByte(0x7d);
  return writer.result();
}

export function wse_transform_batch(len: i32): u64 {
  return batch(len, wse_transform);
}

// payload returns the member text.
function payload(): Span {
  let text: Span = 0;
  json.object();
  while (json.member()) {
    if (json.keyWord() == K_TEXT && json.peek() == json.STRING) {
      json.string();
      text = json.raw();
    } else {
      json.skip();
    }
  }
  return text;
}
