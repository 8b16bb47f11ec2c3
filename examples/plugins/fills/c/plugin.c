// fills: envelopes of the events of a trading desk. ../../README.md says what it answers.
#include "wse.h"

static int64_t large = 1000; // a fill of so much is a large one

// The members of an event that count, a string's content as it was written. Length 0 is missing or of another kind.
typedef struct {
  wse_span type, user, order, symbol, reason;
  bool type_escaped;
  int64_t quantity; // 0 is missing
} fill;

// string reads the next value where it is a string; anything else counts as nothing.
static wse_span string(void) {
  if (wse_peek() == WSE_STRING) return wse_string() ? wse_raw() : WSE_NONE;
  wse_skip();
  return WSE_NONE;
}

// integer reads the next value where it is an integer of at least 1; anything else is 0.
static int64_t integer(void) {
  int64_t n;
  bool number = wse_peek() == WSE_NUMBER;
  return wse_skip() && number && wse_integer(wse_raw(), &n) && n > 0 ? n : 0;
}

static void payload(fill *f) {
  f->order = f->symbol = f->reason = WSE_NONE;
  f->quantity = 0;
  if (wse_peek() != WSE_OBJECT) {
    wse_skip();
    return;
  }
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("order_id"))) f->order = string();
    else if (wse_key_is(WSE("symbol"))) f->symbol = string();
    else if (wse_key_is(WSE("quantity"))) f->quantity = integer();
    else if (wse_key_is(WSE("reason"))) f->reason = string();
    else wse_skip();
  }
}

// read reads an event; false where it is none.
static bool read(wse_span event, fill *f) {
  bool typed = false;
  wse_open(event);
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("type"))) {
      typed = wse_peek() == WSE_STRING;
      f->type = string();
      f->type_escaped = typed && wse_escaped();
    } else if (wse_key_is(WSE("user_id"))) {
      f->user = string();
    } else if (wse_key_is(WSE("payload"))) {
      payload(f);
    } else {
      wse_skip();
    }
  }
  return wse_close() && typed;
}

// head writes what both kinds of order update begin with.
static void head(const fill *f) {
  wse_put(WSE("{\"t\":\"order_update\",\"topic\":\"user:"));
  wse_put(f->user);
  wse_put(WSE(":order_events\",\"p\":{\"order_id\":\""));
  wse_put(f->order);
}

static wse_answer filled(const fill *f) {
  if (f->user.len == 0) return wse_error(WSE("OrderFilled: user_id is missing"));
  if (f->order.len == 0) return wse_error(WSE("OrderFilled: payload.order_id is missing"));
  if (f->symbol.len == 0) return wse_error(WSE("OrderFilled: payload.symbol is missing"));
  if (f->quantity == 0) return wse_error(WSE("OrderFilled: payload.quantity is missing"));
  wse_metric(WSE("fills_total"), 1);
  if (f->quantity >= large) {
    wse_put(WSE("large fill: "));
    wse_put(f->order);
    wse_log(WSE_INFO, wse_written(0));
    wse_begin();
  }
  wse_put_byte('[');
  head(f);
  wse_put(WSE("\",\"symbol\":\""));
  wse_put(f->symbol);
  wse_put(WSE("\",\"status\":\"filled\",\"quantity\":"));
  wse_put_int(f->quantity);
  wse_put(WSE("},\"pri\":10},{\"t\":\"trade\",\"topic\":\"public:trades:"));
  wse_put(f->symbol);
  wse_put(WSE("\",\"p\":{\"symbol\":\""));
  wse_put(f->symbol);
  wse_put(WSE("\",\"quantity\":"));
  wse_put_int(f->quantity);
  if (f->quantity >= large) wse_put(WSE(",\"large\":true"));
  wse_put(WSE("}}]"));
  return wse_result();
}

static wse_answer rejected(const fill *f) {
  if (f->user.len == 0) return wse_error(WSE("OrderRejected: user_id is missing"));
  if (f->order.len == 0) return wse_error(WSE("OrderRejected: payload.order_id is missing"));
  head(f);
  wse_put(WSE("\",\"status\":\"rejected\",\"reason\":\""));
  wse_put(f->reason);
  wse_put(WSE("\"},\"pri\":10}"));
  return wse_result();
}

static wse_answer transform(wse_span event) {
  fill f = {0};
  if (!read(event, &f)) return wse_error(WSE("not an event"));
  wse_span type = wse_text(f.type, f.type_escaped);
  if (wse_is(type, WSE("OrderFilled"))) return filled(&f);
  if (wse_is(type, WSE("OrderRejected"))) return rejected(&f);
  return wse_is(type, WSE("Heartbeat")) ? WSE_NO : WSE_YES;
}

static wse_answer configure(wse_span config) {
  bool wrong = false;
  wse_open(config);
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("large"))) {
      large = integer();
      wrong = large == 0;
      continue;
    }
    if (wse_mark() == 0) wse_put(WSE("config: unknown field \"")), wse_put(wse_key_text()), wse_put_byte('"');
    wse_skip();
  }
  if (!wse_close()) return wse_error(WSE("config: not an object"));
  if (wse_mark() > 0) return wse_failure();
  return wrong ? wse_error(WSE("config: large must be an integer of 1 or more")) : WSE_YES;
}

WSE_CONFIGURE(configure);
WSE_TRANSFORM(transform);
WSE_TRANSFORM_BATCH(transform);
