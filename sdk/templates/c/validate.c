// {{.Name}} checks the configuration of a strategy: a symbol and a quantity.
#include "wse.h"

// Which members are as they must be.
typedef struct {
  bool found, symbol, quantity;
} strategy;

static strategy read(void) {
  strategy s = {.found = true};
  int64_t n;
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("symbol")) && wse_peek() == WSE_STRING) wse_string(), s.symbol = wse_raw().len > 0;
    else if (wse_key_is(WSE("quantity"))) s.quantity = wse_skip() && wse_integer(wse_raw(), &n) && n >= 1;
    else wse_skip();
  }
  return s;
}

// validate reads {"strategy_config":{"symbol":"…","quantity":N}}.
static wse_answer validate(wse_span request) {
  strategy s = {0};
  wse_open(request);
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("strategy_config")) && wse_peek() == WSE_OBJECT) s = read();
    else wse_skip();
  }
  if (!wse_close() || !s.found) return wse_error(WSE("not a request"));
  if (s.symbol && s.quantity) return WSE_YES;
  wse_put(WSE("{\"valid\":false,\"errors\":["));
  if (!s.symbol) wse_put(WSE("{\"path\":\"symbol\",\"message\":\"must be a string that is not empty\"}"));
  if (!s.symbol && !s.quantity) wse_put_byte(',');
  if (!s.quantity) wse_put(WSE("{\"path\":\"quantity\",\"message\":\"must be an integer of 1 or more\"}"));
  wse_put(WSE("],\"warnings\":[]}"));
  return wse_result();
}

WSE_VALIDATE(validate);
