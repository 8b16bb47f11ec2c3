// {{.Name}} checks the configuration of a strategy: a symbol and a quantity.
import { ERROR_NO_BUFFER, YES, ascii, error, errorCode, holds, input, json, lenOf, word, writer } from "./sdk/assembly";

export { wse_abi_v1, wse_buffer } from "./sdk/assembly";

const CONFIG = ascii("strategy_config");
const K_SYMBOL = word("symbol");
const K_QUANTITY = word("quantity");

const HEAD = ascii("{\"valid\":false,\"errors\":[");
const NO_SYMBOL = ascii("{\"path\":\"symbol\",\"message\":\"must be a string that is not empty\"}");
const NO_QUANTITY = ascii("{\"path\":\"quantity\",\"message\":\"must be an integer of 1 or more\"}");
const TAIL = ascii("],\"warnings\":[]}");
const NOT_REQUEST = ascii("not a request");

// Which members are as they must be.
let symbol: bool = false;
let quantity: bool = false;

// wse_validate reads {"strategy_config":{"symbol":"…","quantity":N}}.
export function wse_validate(len: i32): u64 {
  if (!holds(len)) return errorCode(ERROR_NO_BUFFER);
  let found = false;
  json.open(input(), <u32>len);
  if (json.object()) {
    while (json.member()) {
      if (json.keyIs(CONFIG) && json.peek() == json.OBJECT) {
        found = true;
        strategy();
      } else {
        json.skip();
      }
    }
  }
  if (!json.close() || !found) return error(NOT_REQUEST);
  if (symbol && quantity) return YES;
  writer.begin();
  writer.put(HEAD);
  if (!symbol) writer.put(NO_SYMBOL);
  if (!symbol && !quantity) writer.putByte(0x2c);
  if (!quantity) writer.put(NO_QUANTITY);
  writer.put(TAIL);
  return writer.result();
}

function strategy(): void {
  symbol = quantity = false;
  json.object();
  while (json.member()) {
    const key = json.keyWord();
    if (key == K_SYMBOL && json.peek() == json.STRING) {
      json.string();
      symbol = lenOf(json.raw()) > 0;
    } else if (key == K_QUANTITY) {
      quantity = json.skip() && json.integer(json.raw()) && json.value() >= 1;
    } else {
      json.skip();
    }
  }
}
