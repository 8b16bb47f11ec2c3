// A guest that does with the SDK what no stock plugin does, for sdk_test.go: it logs, sets a metric, decodes strings,
// reads numbers and writes until the buffer must grow.
import { Span, YES, alloc, ascii, errorCode, holds, host, input, json, lenOf, word, writer } from "../assembly";

export { wse_abi_v1, wse_buffer } from "../assembly";

const K_LOG = word("log");
const K_METRIC = word("metric");
const K_TEXT = word("text");
const K_INTEGER = word("integer");
const K_FLOAT = word("float");
const K_REPEAT = word("repeat");
const K_CODE = word("code");
const N_LONG = ascii("a_name_of_more_than_eight");
const LONG = ascii("long");
const NAME = ascii("guest.calls");

const room = alloc(64 << 10);

// wse_transform does what the members of its document ask for, in their order. Its answer is plain bytes.
export function wse_transform(len: i32): u64 {
  if (!holds(len)) return errorCode(2);
  writer.begin();
  let code: u32 = 0;
  json.open(input(), <u32>len);
  if (json.object()) {
    while (json.member()) {
      const key = json.keyWord();
      if (key == K_CODE) code = <u32>number(1 << 30);
      else if (!obey(key)) break;
    }
  }
  if (!json.close()) {
    writer.reset(0);
    writer.putInt(json.fault());
    return writer.failure();
  }
  if (code != 0) return errorCode(code);
  return writer.mark() == 0 && !writer.overflowed() ? YES : writer.result();
}

function obey(key: u64): bool {
  if (key == K_LOG) {
    host.log(host.WARN, text());
  } else if (key == K_METRIC) {
    host.metric(NAME, <f64>number(1000));
  } else if (key == K_TEXT) {
    writer.putText(text());
  } else if (key == K_INTEGER) {
    writer.putInt(number(1000));
  } else if (key == K_FLOAT) {
    if (json.skip()) writer.putFloat(json.float(json.raw()));
  } else if (key == K_REPEAT) {
    for (let n = number(1 << 30); n > 0; n--) writer.put(NAME);
  } else if (json.keyIs(N_LONG)) {
    writer.put(LONG);
    json.skip();
  } else {
    writer.put(json.keyText());
    json.skip();
  }
  return json.sound();
}

function text(): Span {
  if (!json.string()) return 0;
  return json.escaped() && lenOf(json.raw()) <= 64 << 10 ? json.decode(json.raw(), room) : json.raw();
}

function number(most: i32): i64 {
  return json.skip() && json.integer(json.raw()) && json.value() >= 0 && json.value() <= most ? json.value() : -1;
}
