// The guest that certifies this SDK; ../../tck/README.md says what it must do.
#include "wse_strategy.h"

static wse_span greeting; // of the configuration, its text

// What a member of a payload may be asked for. A field that is not there has the kind WSE_BAD.
typedef struct {
  wse_kind kind;
  wse_span raw; // a string's content, any other value verbatim
  bool escaped;
} field;

// read reads the next value, whatever it is.
static field read(void) {
  field f = {.kind = wse_peek()};
  if (f.kind == WSE_STRING ? wse_string() : wse_skip()) f.raw = wse_raw(), f.escaped = f.kind == WSE_STRING && wse_escaped();
  return f;
}

static bool integer(field f, int64_t *value) { return f.kind == WSE_NUMBER && wse_integer(f.raw, value); }

// find reads the payload, an object, for the member of that name; the last of several counts.
static field find(field payload, wse_span name) {
  field found = {.kind = WSE_BAD};
  if (payload.kind != WSE_OBJECT) return found;
  wse_open(payload.raw);
  wse_object();
  while (wse_member()) {
    if (wse_key_is(name)) found = read();
    else wse_skip();
  }
  wse_close();
  return found;
}

static bool find_integer(field payload, wse_span name, int64_t least, int64_t most, int64_t *value) {
  return integer(find(payload, name), value) && *value >= least && *value <= most;
}

static wse_answer missing(void) { return wse_error_code(4); }

static void begin(void) { wse_put(WSE("{\"t\":\"tck\",\"topic\":\"public:tck\",\"p\":")); }

static wse_answer end(void) {
  wse_put_byte('}');
  return wse_result();
}

static wse_answer fail(field payload) {
  int64_t code;
  if (find_integer(payload, WSE("code"), 0, UINT32_MAX, &code)) return wse_error_code((uint32_t)code);
  field text = find(payload, WSE("text"));
  if (text.kind != WSE_STRING) return missing();
  wse_put(wse_text(text.raw, text.escaped));
  return wse_failure();
}

static wse_answer many(field payload) {
  int64_t n;
  if (!find_integer(payload, WSE("n"), 1, 64, &n)) return missing();
  for (int64_t i = 0; i < n; i++) {
    wse_put_byte(i == 0 ? '[' : ',');
    begin();
    wse_put(WSE("{\"i\":"));
    wse_put_int(i);
    wse_put(WSE("}}"));
  }
  wse_put_byte(']');
  return wse_result();
}

static wse_answer text(field payload) {
  field f = find(payload, WSE("text"));
  if (f.kind != WSE_STRING) return missing();
  wse_span s = wse_text(f.raw, f.escaped);
  begin();
  wse_put(WSE("{\"text\":\""));
  wse_put_text(s);
  wse_put(WSE("\",\"bytes\":"));
  wse_put_int(s.len);
  wse_put_byte('}');
  return end();
}

static wse_answer number(field payload) {
  int64_t n;
  if (!integer(find(payload, WSE("n")), &n)) return missing();
  begin();
  wse_put(WSE("{\"n\":"));
  wse_put_int(n);
  wse_put_byte('}');
  return end();
}

static wse_span name_of(wse_kind kind) {
  switch (kind) {
    case WSE_OBJECT: return WSE("object");
    case WSE_ARRAY: return WSE("array");
    case WSE_STRING: return WSE("string");
    case WSE_NUMBER: return WSE("number");
    case WSE_TRUE: return WSE("true");
    case WSE_FALSE: return WSE("false");
    default: return WSE("null");
  }
}

static wse_answer kinds(field payload) {
  if (payload.kind != WSE_OBJECT) return missing();
  begin();
  wse_put_byte('{');
  wse_open(payload.raw);
  wse_object();
  for (bool first = true; wse_member(); first = false) {
    if (!first) wse_put_byte(',');
    wse_put_byte('"');
    wse_put_text(wse_key_text());
    wse_put(WSE("\":\""));
    wse_put(name_of(wse_peek()));
    wse_put_byte('"');
    wse_skip();
  }
  wse_close();
  wse_put_byte('}');
  return end();
}

typedef struct {
  int64_t values, sum;
} tally;

// walk counts the values inside the one that comes next; the reader's bound on depth bounds the recursion.
static void walk(tally *t) {
  wse_kind kind = wse_peek();
  if (kind != WSE_OBJECT && kind != WSE_ARRAY) {
    int64_t n;
    if (integer(read(), &n)) t->sum += n;
    return;
  }
  if (kind == WSE_OBJECT ? !wse_object() : !wse_array()) return;
  while (kind == WSE_OBJECT ? wse_member() : wse_element()) {
    t->values++;
    walk(t);
  }
}

static wse_answer count(field payload) {
  if (payload.kind == WSE_BAD) return missing();
  tally t = {0, 0};
  wse_open(payload.raw);
  walk(&t);
  wse_close();
  begin();
  wse_put(WSE("{\"values\":"));
  wse_put_int(t.values);
  wse_put(WSE(",\"sum\":"));
  wse_put_int(t.sum);
  wse_put_byte('}');
  return end();
}

static wse_answer say(field payload) {
  int64_t level;
  field text = find(payload, WSE("text"));
  if (text.kind != WSE_STRING || !find_integer(payload, WSE("level"), WSE_TRACE, WSE_ERROR, &level)) return missing();
  wse_log((wse_level)level, wse_text(text.raw, text.escaped));
  return WSE_YES;
}

static wse_answer measure(field payload) {
  int64_t value;
  field name = find(payload, WSE("name"));
  if (name.kind != WSE_STRING || !find_integer(payload, WSE("value"), 0, INT64_MAX, &value)) return missing();
  wse_metric(wse_text(name.raw, name.escaped), (double)value);
  return WSE_YES;
}

static wse_answer config(void) {
  begin();
  wse_put(WSE("{\"greeting\":\""));
  wse_put_text(greeting.ptr == NULL ? WSE("hello") : greeting);
  wse_put(WSE("\"}"));
  return end();
}

static wse_answer repeat(field payload) {
  int64_t n;
  if (!find_integer(payload, WSE("n"), 0, 1000000, &n)) return missing();
  begin();
  wse_put(WSE("{\"x\":\""));
  while (n-- > 0) wse_put_byte('x');
  wse_put(WSE("\"}"));
  return end();
}

__attribute__((noinline)) static void sink(void) { __builtin_trap(); }

__attribute__((noinline)) static void spin(void) {
  for (volatile uint32_t turns = 0;;) turns = turns + 1;
}

static wse_answer transform(wse_span event) {
  field type = {.kind = WSE_BAD}, payload = type;
  wse_open(event);
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("type"))) type = read();
    else if (wse_key_is(WSE("payload"))) payload = read();
    else wse_skip();
  }
  if (!wse_close() || type.kind != WSE_STRING) return wse_error(WSE("not an event"));
  wse_span t = wse_text(type.raw, type.escaped);
  if (wse_is(t, WSE("echo"))) {
    if (payload.kind == WSE_BAD) return missing();
    begin();
    if (payload.kind == WSE_STRING) wse_put_byte('"');
    wse_put(payload.raw);
    if (payload.kind == WSE_STRING) wse_put_byte('"');
    return end();
  }
  if (wse_is(t, WSE("drop"))) return WSE_NO;
  if (wse_is(t, WSE("error"))) return fail(payload);
  if (wse_is(t, WSE("many"))) return many(payload);
  if (wse_is(t, WSE("text"))) return text(payload);
  if (wse_is(t, WSE("integer"))) return number(payload);
  if (wse_is(t, WSE("kinds"))) return kinds(payload);
  if (wse_is(t, WSE("walk"))) return count(payload);
  if (wse_is(t, WSE("log"))) return say(payload);
  if (wse_is(t, WSE("metric"))) return measure(payload);
  if (wse_is(t, WSE("config"))) return config();
  if (wse_is(t, WSE("repeat"))) return repeat(payload);
  if (wse_is(t, WSE("trap"))) sink();
  if (wse_is(t, WSE("spin"))) spin();
  return WSE_YES;
}

// permits reads the list that comes next for the string "tck".
static bool permits(void) {
  bool found = false;
  if (wse_peek() != WSE_ARRAY) return wse_skip() && false;
  wse_array();
  while (wse_element()) {
    field f = read();
    found |= f.kind == WSE_STRING && wse_is(wse_text(f.raw, f.escaped), WSE("tck"));
  }
  return found;
}

static void identity(field *user, bool *permitted) {
  *user = (field){.kind = WSE_BAD};
  *permitted = false;
  if (wse_peek() != WSE_OBJECT) {
    wse_skip();
    return;
  }
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("permissions"))) *permitted = permits();
    else if (wse_key_is(WSE("user_id"))) *user = read();
    else wse_skip();
  }
}

static wse_answer ask(field user, bool permitted) {
  if (permitted) return wse_data(WSE("{\"allow\":true,\"ttl_s\":60}"));
  wse_put(WSE("{\"allow\":false,\"reason\":\""));
  if (user.kind == WSE_STRING) wse_put_text(wse_text(user.raw, user.escaped));
  wse_put(WSE(" lacks tck\"}"));
  return wse_result();
}

static wse_answer authorize(wse_span request) {
  field topic = {.kind = WSE_BAD}, user = topic;
  bool permitted = false;
  wse_open(request);
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("topic"))) topic = read();
    else if (wse_key_is(WSE("identity"))) identity(&user, &permitted);
    else wse_skip();
  }
  if (!wse_close() || topic.kind != WSE_STRING) return wse_error(WSE("not a request"));
  wse_span t = wse_text(topic.raw, topic.escaped);
  if (wse_is(t, WSE("tck:yes"))) return WSE_YES;
  return wse_is(t, WSE("tck:ask")) ? ask(user, permitted) : WSE_NO;
}

static wse_answer validate(wse_span request) {
  field config = {.kind = WSE_BAD};
  wse_open(request);
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("strategy_config"))) config = read();
    else wse_skip();
  }
  if (!wse_close() || config.kind != WSE_OBJECT) return wse_error(WSE("not a request"));
  uint32_t members = 0, wrong = 0;
  wse_put(WSE("{\"valid\":false,\"errors\":["));
  wse_open(config.raw);
  wse_object();
  for (; wse_member(); members++) {
    int64_t n;
    if (integer(read(), &n)) continue;
    if (wrong++ > 0) wse_put_byte(',');
    wse_put(WSE("{\"path\":\""));
    wse_put_text(wse_key_text());
    wse_put(WSE("\",\"message\":\"must be an integer\"}"));
  }
  wse_close();
  wse_put(WSE("],\"warnings\":[]}"));
  if (members == 0) return WSE_NO;
  return wrong == 0 ? WSE_YES : wse_result();
}

// ---- Strategy ----------------------------------------------------------------------------------------------------------

typedef enum { QUIET, ECHO, TRADE, TRAP, SPIN, MODES } mode;

typedef struct {
  uint32_t handle;
  mode mode;
  double above, quantity, notional, limit, confidence;
  uint32_t ticks, orders;
  double sum, position;
  bool out, cancelled; // an order is out, and its cancel too
} book;

enum { BOOKS_MAX = 64 };
static book books[BOOKS_MAX];
static uint32_t n_books;

static book *book_of(uint32_t handle) {
  for (uint32_t i = 0; i < n_books; i++)
    if (books[i].handle == handle) return &books[i];
  return NULL;
}

static mode mode_of(wse_span name) {
  const wse_span names[] = {WSE("quiet"), WSE("echo"), WSE("trade"), WSE("trap"), WSE("spin")};
  mode m = QUIET;
  while (m < MODES && !wse_same(name, names[m])) m++;
  return m;
}

static wse_answer open(wse_span document) {
  wse_opening o;
  if (!wse_opening_of(document, &o) || o.config.len == 0) return wse_error(WSE("not an opening"));
  book b = {.handle = o.handle, .mode = MODES, .position = o.position};
  wse_open(o.config);
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("mode")) && wse_peek() == WSE_STRING) wse_string(), b.mode = mode_of(wse_text(wse_raw(), wse_escaped()));
    else if (wse_key_is(WSE("above"))) wse_number(&b.above);
    else if (wse_key_is(WSE("quantity"))) wse_number(&b.quantity);
    else if (wse_key_is(WSE("notional"))) wse_number(&b.notional);
    else if (wse_key_is(WSE("limit"))) wse_number(&b.limit);
    else if (wse_key_is(WSE("confidence"))) wse_number(&b.confidence);
    else wse_skip();
  }
  if (!wse_close() || b.mode == MODES) return wse_error(WSE("no such mode"));
  book *to = book_of(o.handle);
  if (to == NULL && n_books == BOOKS_MAX) return wse_error(WSE("too many handles"));
  if (to == NULL) to = &books[n_books++];
  *to = b;
  return WSE_YES;
}

static void echo(book *b, uint32_t at, double price) {
  wse_say_indicator(at, WSE("price"), price);
  wse_say_indicator(at, WSE("sum"), b->sum);
  wse_say_indicator(at, WSE("mean"), b->sum / b->ticks);
}

static wse_span order_id(book *b, uint8_t id[12]) {
  uint8_t *p = id + 12;
  for (uint32_t v = b->orders; v > 0; v /= 10) *--p = (uint8_t)('0' + v % 10);
  *--p = 'o';
  return wse_between(p, id + 12);
}

// trade reports whether it ordered or cancelled.
static bool trade(book *b, uint32_t at, double price) {
  uint8_t id[12];
  if (b->out && !b->cancelled && price <= b->above) {
    b->cancelled = true;
    wse_say_cancel(at, order_id(b, id));
    return true;
  }
  if (b->out || price <= b->above) return false;
  const wse_span names[] = {WSE("price"), WSE("above")};
  const double values[] = {price, b->above};
  wse_say_signal(at, WSE("S1"), b->confidence > 0 ? b->confidence : -1, 2, names, values);
  wse_say_state(at, WSE("entry_evaluation"));
  b->out = true;
  b->orders++;
  wse_say_order(at, &(wse_order){.id = order_id(b, id), .sell = b->position > 0, .quantity = b->quantity, .notional = b->notional, .price = b->limit,
                                 .reason = WSE("price is \"above\"")});
  return true;
}

static wse_answer ticks(wse_span batch) {
  wse_ticks all;
  if (!wse_ticks_of(batch, &all)) return wse_error(WSE("not a batch of ticks"));
  book *b = book_of(all.handle);
  if (b == NULL) return wse_error(WSE("not open"));
  uint32_t i = 0;
  while (i < all.n && !wse_must_stop()) {
    wse_tick t = wse_tick_at(all, i);
    b->ticks++;
    b->sum += t.price;
    if (b->mode == TRAP) sink();
    if (b->mode == SPIN) spin();
    if (b->mode == ECHO) echo(b, i, t.price);
    bool stop = b->mode == TRADE && trade(b, i, t.price);
    i++;
    if (stop) break;
  }
  return wse_said(i, all.n);
}

static wse_answer update(wse_span document) {
  wse_update u;
  wse_happened e;
  if (!wse_update_of(document, &u)) return wse_error(WSE("not an update"));
  book *b = book_of(u.handle);
  if (b == NULL) return wse_error(WSE("not open"));
  b->position = u.position;
  while (wse_event(&u, &e)) {
    if (b->mode == ECHO) {
      wse_say_indicator(0, WSE("quantity"), e.quantity);
      wse_say_indicator(0, WSE("price"), e.price);
      wse_say_indicator(0, WSE("fee"), e.fee);
    }
    if (b->mode != TRADE) continue;
    b->out = b->cancelled = false;
    wse_say_state(0, e.kind == WSE_FILL ? WSE("position_active") : e.kind == WSE_REJECT ? WSE("signal_cancelled") : WSE("exited"));
  }
  if (b->mode == ECHO) {
    wse_say_indicator(0, WSE("position"), u.position);
    wse_say_indicator(0, WSE("equity"), u.equity);
  }
  return wse_said(0, 0);
}

static wse_answer configure(wse_span document) {
  field f = {.kind = WSE_BAD};
  bool other = false;
  wse_open(document);
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("greeting"))) {
      f = read();
      continue;
    }
    if (!other) wse_put(WSE("config: unknown field \"")), wse_put(wse_key_text()), wse_put_byte('"');
    other = true;
    wse_skip();
  }
  if (!wse_close()) return wse_error(WSE("config: not an object"));
  if (other) return wse_failure();
  if (f.kind == WSE_BAD) return WSE_YES;
  if (f.kind != WSE_STRING) return wse_error(WSE("config: greeting must be a string"));
  greeting = wse_keep(wse_text(f.raw, f.escaped));
  return greeting.ptr == NULL ? wse_error(WSE("config: no memory for the greeting")) : WSE_YES;
}

WSE_CONFIGURE(configure);
WSE_TRANSFORM(transform);
WSE_TRANSFORM_BATCH(transform);
WSE_AUTHORIZE(authorize);
WSE_VALIDATE(validate);
WSE_STRATEGY(open, ticks, update);
