// validator says whether a strategy's configuration can be run (PROTOCOL §3.5): every fault with its path, all at once, and
// warnings of what is allowed and dangerous.
import { YES, ascii, holds, input, json, writer } from "../../sdk/assemblyscript/assembly";
import * as config from "./config";
import * as findings from "./findings";

export { wse_abi_v1, wse_buffer } from "../../sdk/assemblyscript/assembly";

// DOCUMENT_MAX bounds the document: several times what the largest strategy needs, and little enough that no document uses up
// the fuel of a call.
const DOCUMENT_MAX: i32 = 64 << 10;

const K_CONFIG = ascii("strategy_config");

const TOO_LONG = ascii("document is longer than the buffer");
const NOT_JSON = ascii("request is not a valid JSON object, at byte ");
const IS_TOO_LARGE = ascii("must be at most 64 KiB");
const REQUIRED = ascii("is required");
const TWICE = ascii("is there twice");

export function wse_validate(len: i32): u64 {
  writer.begin();
  if (!holds(len)) {
    writer.put(TOO_LONG);
    return writer.failure();
  }
  findings.begin();
  if (len > DOCUMENT_MAX) {
    findings.fault(K_CONFIG, IS_TOO_LARGE);
    return findings.result();
  }
  if (!read(<u32>len)) {
    writer.begin();
    writer.put(NOT_JSON);
    writer.putInt(json.fault());
    return writer.failure();
  }
  return findings.errors == 0 && findings.warnings == 0 && findings.room ? YES : findings.result();
}

function read(len: u32): bool {
  let there = false;
  json.open(input(), len);
  if (json.object())
    while (findings.room && json.member()) {
      if (!json.keyIs(K_CONFIG)) {
        json.skip();
        continue;
      }
      if (there) findings.fault(K_CONFIG, TWICE);
      there = true;
      if (json.peek() == json.OBJECT) {
        config.read();
      } else {
        findings.enter(K_CONFIG);
        config.read();
      }
      findings.back(0);
    }
  if (!there) findings.fault(K_CONFIG, REQUIRED);
  const sound = json.sound();
  return json.close() || (sound && !findings.room);
}
