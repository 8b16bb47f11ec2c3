// {{.Name}} buys when the price rises above one limit, and sells when it falls below another.
#include "wse_strategy.h"

enum { HANDLES_MAX = 64 };

// What is kept for each handle, which is a symbol of the session.
typedef struct {
  uint32_t handle;
  double above, below, notional; // of the configuration
  double position;               // as told last
  bool waiting;                  // an order is out
  uint32_t orders;               // so far
} series;

static series all[HANDLES_MAX];
static uint32_t n_all;

static series *find(uint32_t handle) {
  for (uint32_t i = 0; i < n_all; i++)
    if (all[i].handle == handle) return &all[i];
  return NULL;
}

// open reads {"handle":1,"strategy_config":{"above":N,"below":N,"notional":N}, …}.
static wse_answer open(wse_span document) {
  wse_opening o;
  if (!wse_opening_of(document, &o) || o.config.len == 0) return wse_error(WSE("not an opening"));
  series s = {.handle = o.handle, .notional = 1000, .position = o.position};
  wse_open(o.config);
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("above"))) wse_number(&s.above);
    else if (wse_key_is(WSE("below"))) wse_number(&s.below);
    else if (wse_key_is(WSE("notional"))) wse_number(&s.notional);
    else wse_skip();
  }
  if (!wse_close() || s.below <= 0 || s.above <= s.below) {
    return wse_error(WSE("strategy_config: above and below must be numbers over 0, above the larger"));
  }
  series *to = find(o.handle);
  if (to == NULL && n_all == HANDLES_MAX) return wse_error(WSE("more than 64 handles"));
  if (to == NULL) to = &all[n_all++];
  *to = s;
  return WSE_YES;
}

// order makes an order at a tick; what becomes of it is told by update.
WSE_RARE void order(series *s, uint32_t at, wse_order o) {
  uint8_t id[12], *p = id + sizeof id;
  s->waiting = true;
  for (uint32_t v = ++s->orders; v > 0; v /= 10) *--p = (uint8_t)('0' + v % 10);
  *--p = 'o';
  o.id = wse_between(p, id + sizeof id);
  wse_say_order(at, &o);
}

// step takes one tick and reports whether it ordered.
static bool step(series *s, uint32_t at, double price) {
  if (s->waiting) return false;
  if (s->position <= 0 && price > s->above) {
    wse_say_signal(at, WSE("S1"), -1, 1, (const wse_span[]){WSE("price")}, &price);
    wse_say_state(at, WSE("entry_evaluation"));
    order(s, at, (wse_order){.notional = s->notional, .reason = WSE("above")});
    return true;
  }
  if (s->position > 0 && price < s->below) {
    wse_say_state(at, WSE("close_order_evaluation"));
    order(s, at, (wse_order){.sell = true, .quantity = s->position, .reason = WSE("below")});
    return true;
  }
  return false;
}

static wse_answer ticks(wse_span batch) {
  wse_ticks t;
  if (!wse_ticks_of(batch, &t)) return wse_error(WSE("not a batch of ticks"));
  series *s = find(t.handle);
  if (s == NULL) return wse_error(WSE("this handle is not open"));
  uint32_t i = 0;
  while (i < t.n && !wse_must_stop()) {
    bool ordered = step(s, i, wse_tick_at(t, i).price);
    i++;
    if (ordered) break; // the engine tells what became of it, and goes on with the rest
  }
  return wse_said(i, t.n);
}

// update is told what became of orders, and what is held now.
static wse_answer update(wse_span document) {
  wse_update u;
  wse_happened e;
  if (!wse_update_of(document, &u)) return wse_error(WSE("not an update"));
  series *s = find(u.handle);
  if (s == NULL) return wse_error(WSE("this handle is not open"));
  s->position = u.position;
  while (wse_event(&u, &e)) {
    s->waiting = false;
    wse_say_state(0, s->position > 0 ? WSE("position_active") : WSE("exited"));
  }
  return wse_said(0, 0);
}

WSE_STRATEGY(open, ticks, update);
