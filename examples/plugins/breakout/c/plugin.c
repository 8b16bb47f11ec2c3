// A Donchian channel breakout with a trailing stop, as ../README.md describes it: it buys when the price rises above the highest of
// the last ticks, and sells when it has fallen by so much from the highest since.
#include "wse_strategy.h"

enum { HANDLES_MAX = 256, CHANNEL_MAX = 10000 };

// A channel end is the highest, or the lowest, of the last n prices: a queue whose prices fall (or rise) from its front on. What
// is behind a price that is higher and later can never be the highest again, so each price is put in once and taken out once.
typedef struct {
  double price;
  uint32_t tick;
} entry;

typedef struct {
  entry *ring;
  uint32_t mask, front, back; // front is the first, back is behind the last; both only grow
} queue;

typedef enum { WATCHING, BUYING, HOLDING, SELLING } phase;

typedef struct {
  uint32_t handle;
  uint32_t channel; // n
  double notional, trail;
  queue high, low;
  uint32_t ticks;
  phase phase;
  double position, peak; // peak is the highest price since it was bought
  uint32_t orders;       // so far
  double interval, reported;
} series;

static series *all[HANDLES_MAX];
static uint32_t n_all;

static series *find(uint32_t handle) {
  for (uint32_t i = 0; i < n_all; i++)
    if (all[i]->handle == handle) return all[i];
  return NULL;
}

// ---- Configuration -----------------------------------------------------------------------------------------------------

// A configuration, with what its members are where they are left out.
typedef struct {
  double channel, notional, trail;
} settings;

#define DEFAULTS ((settings){.channel = 20, .notional = 1000, .trail = 2})

// number reads the number that the member is, if it is one within its bounds.
static bool number(double *value, double least, double most) {
  if (wse_peek() != WSE_NUMBER) return wse_skip(), false;
  return wse_number(value) && *value >= least && *value <= most;
}

// member reads a member of the configuration and returns what is wrong with it, behind the member's name; or nothing.
static wse_span member(settings *s) {
  if (wse_key_is(WSE("channel")))
    return number(&s->channel, 2, CHANNEL_MAX) && s->channel == (uint32_t)s->channel ? WSE_NONE : WSE(" must be a whole number from 2 to 10000");
  if (wse_key_is(WSE("notional"))) return number(&s->notional, 1e-6, 1e12) ? WSE_NONE : WSE(" must be a number from 0.000001 to 1000000000000");
  if (wse_key_is(WSE("trail_pct"))) return number(&s->trail, 0.01, 50) ? WSE_NONE : WSE(" must be a number from 0.01 to 50");
  wse_skip();
  return wse_key_is(WSE("strategy_name")) ? WSE_NONE : WSE(" is unknown; there are channel, notional and trail_pct");
}

// ---- Validate ----------------------------------------------------------------------------------------------------------

// validate tells everything that is wrong with {"strategy_config":{…}}.
static wse_answer validate(wse_span request) {
  settings s = DEFAULTS;
  bool found = false, faulty = false;
  wse_open(request);
  wse_object();
  wse_put(WSE("{\"valid\":false,\"errors\":["));
  while (wse_member()) {
    if (!wse_key_is(WSE("strategy_config")) || wse_peek() != WSE_OBJECT) {
      wse_skip();
      continue;
    }
    found = true;
    wse_object();
    while (wse_member()) {
      wse_span wrong = member(&s);
      if (wrong.len == 0) continue;
      if (faulty) wse_put_byte(',');
      faulty = true;
      wse_put(WSE("{\"path\":\""));
      wse_put_text(wse_key_text());
      wse_put(WSE("\",\"message\":\""));
      wse_put_text(wse_key_text());
      wse_put(wrong);
      wse_put(WSE("\"}"));
    }
  }
  if (!wse_close() || !found) {
    wse_begin();
    return wse_error(WSE("not a request"));
  }
  if (!faulty) return WSE_YES;
  wse_put(WSE("],\"warnings\":[]}"));
  return wse_result();
}

// ---- Open --------------------------------------------------------------------------------------------------------------

static bool queue_for(queue *q, uint32_t n) {
  uint32_t size = 16;
  while (size < n + 1) size <<= 1;
  q->ring = wse_alloc(size * sizeof(entry));
  q->mask = size - 1;
  return q->ring != NULL;
}

static wse_answer open(wse_span document) {
  wse_opening o;
  if (!wse_opening_of(document, &o)) return wse_error(WSE("not an opening"));
  if (find(o.handle) != NULL) return wse_error(WSE("this handle is open already"));
  if (n_all == HANDLES_MAX) return wse_error(WSE("more than 256 handles"));
  settings c = DEFAULTS;
  if (o.config.len > 0) {
    wse_open(o.config);
    wse_object();
    while (wse_member()) {
      wse_span wrong = member(&c);
      if (wrong.len == 0) continue;
      wse_put(WSE("strategy_config."));
      wse_put(wse_key_text());
      wse_put(wrong);
      wse_close();
      return wse_failure();
    }
    wse_close(); // it was read as a part of the document before
  }
  series *s = wse_alloc(sizeof *s);
  if (s == NULL || !queue_for(&s->high, (uint32_t)c.channel) || !queue_for(&s->low, (uint32_t)c.channel)) return wse_error(WSE("no memory for the channel"));
  s->handle = o.handle;
  s->channel = (uint32_t)c.channel;
  s->notional = c.notional;
  s->trail = 1 - c.trail / 100;
  s->position = o.position > 0 ? o.position : 0;
  s->phase = s->position > 0 ? HOLDING : WATCHING;
  s->interval = o.indicator_interval_ms;
  s->reported = -1e300;
  all[n_all++] = s;
  return WSE_YES;
}

// ---- Ticks -------------------------------------------------------------------------------------------------------------

WSE__INLINE void push(queue *q, double price, uint32_t tick, bool lowest) {
  while (q->back != q->front) {
    double last = q->ring[(q->back - 1) & q->mask].price;
    if (lowest ? last < price : last > price) break;
    q->back--;
  }
  q->ring[q->back++ & q->mask] = (entry){price, tick};
}

WSE__INLINE void forget(queue *q, uint32_t oldest) {
  while ((int32_t)(q->ring[q->front & q->mask].tick - oldest) < 0) q->front++;
}

// add puts a price into the channel, from which it takes the oldest.
WSE__INLINE void add(series *s, double price) {
  push(&s->high, price, s->ticks, false);
  push(&s->low, price, s->ticks, true);
  uint32_t oldest = ++s->ticks - s->channel;
  if (s->ticks > s->channel) forget(&s->high, oldest), forget(&s->low, oldest);
}

WSE__INLINE double highest(const series *s) { return s->high.ring[s->high.front & s->high.mask].price; }
WSE__INLINE double lowest(const series *s) { return s->low.ring[s->low.front & s->low.mask].price; }

// name_order writes an order's id, b1, s2, b3 …, into id and returns it.
static wse_span name_order(series *s, uint8_t id[12]) {
  uint8_t *p = id + 12;
  for (uint32_t v = ++s->orders; v > 0; v /= 10) *--p = (uint8_t)('0' + v % 10);
  *--p = s->phase == BUYING ? 'b' : 's';
  return wse_between(p, id + 12);
}

WSE_RARE void buy(series *s, uint32_t at, double price) {
  const wse_span names[] = {WSE("price"), WSE("channel_high"), WSE("channel_low")};
  const double values[] = {price, highest(s), lowest(s)};
  uint8_t id[12];
  wse_say_signal(at, WSE("S1"), -1, 3, names, values);
  wse_say_state(at, WSE("entry_evaluation"));
  s->phase = BUYING;
  wse_say_order(at, &(wse_order){.id = name_order(s, id), .notional = s->notional, .reason = WSE("breakout")});
}

WSE_RARE void sell(series *s, uint32_t at) {
  uint8_t id[12];
  wse_say_state(at, WSE("close_order_evaluation"));
  s->phase = SELLING;
  wse_say_order(at, &(wse_order){.id = name_order(s, id), .sell = true, .quantity = s->position, .reason = WSE("trailing stop")});
}

WSE_RARE void report(series *s, uint32_t at, double time) {
  s->reported = time;
  if (s->ticks >= s->channel) {
    wse_say_indicator(at, WSE("channel_high"), highest(s));
    wse_say_indicator(at, WSE("channel_low"), lowest(s));
  }
  if (s->phase == HOLDING) wse_say_indicator(at, WSE("stop"), s->peak * s->trail);
}

static wse_answer ticks(wse_span batch) {
  wse_ticks ticks;
  if (!wse_ticks_of(batch, &ticks)) return wse_error(WSE("not a batch of ticks"));
  series *s = find(ticks.handle);
  if (s == NULL) return wse_error(WSE("this handle is not open"));
  uint32_t i = 0;
  for (; i < ticks.n && !wse_must_stop(); i++) {
    wse_tick t = wse_tick_at(ticks, i);
    bool stop = false;
    if (s->phase == WATCHING) {
      if (s->ticks >= s->channel && t.price > highest(s)) buy(s, i, t.price), stop = true;
    } else if (s->phase == HOLDING) {
      if (t.price > s->peak) s->peak = t.price;
      if (t.price <= s->peak * s->trail) sell(s, i), stop = true;
    }
    add(s, t.price);
    if (s->interval > 0 && t.time >= s->reported + s->interval) report(s, i, t.time);
    if (stop) return wse_said(i + 1, ticks.n);
  }
  return wse_said(i, ticks.n);
}

// ---- Update ------------------------------------------------------------------------------------------------------------

static wse_answer update(wse_span document) {
  wse_update u;
  wse_happened e;
  if (!wse_update_of(document, &u)) return wse_error(WSE("not an update"));
  series *s = find(u.handle);
  if (s == NULL) return wse_error(WSE("this handle is not open"));
  s->position = u.position;
  while (wse_event(&u, &e)) {
    bool filled = e.kind == WSE_FILL;
    if (s->phase == BUYING && (filled || s->position <= 0)) {
      s->phase = filled ? HOLDING : WATCHING;
      s->peak = e.price;
      wse_say_state(0, filled ? WSE("position_active") : WSE("signal_cancelled"));
    } else if (s->phase == SELLING && (!filled || s->position <= 0)) {
      s->phase = s->position > 0 ? HOLDING : WATCHING;
      wse_say_state(0, s->position > 0 ? WSE("position_active") : WSE("exited"));
    }
  }
  return wse_said(0, 0);
}

WSE_VALIDATE(validate);
WSE_STRATEGY(open, ticks, update);
