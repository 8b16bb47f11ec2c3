// wse_strategy.h: strategies for the wse engine in C, on top of wse.h. README.md has a whole one, sdk/ABI.md ("strategy") the
// contract underneath.
//
//   floats    wse_float, wse_put_float, wse_put_rounded
//   open      wse_opening_of
//   ticks     wse_ticks_of, wse_tick_at (wse.h)
//   update    wse_update_of, then wse_event until it says no
//   saying    wse_say_indicator, wse_say_signal, wse_say_order, wse_say_cancel, wse_say_state; wse_must_stop; then wse_said
//
// The host cuts ticks into batches as it likes. What is said must not depend on that, so nothing here knows of a batch but
// wse_must_stop, which only tells where an answer has no room for more.
#ifndef WSE_STRATEGY_H
#define WSE_STRATEGY_H

#include "wse.h"
#include "wse_pow10.h"

// WSE_RARE is for functions of what seldom happens at a tick, as an order: inlined, they would have every tick pay for the
// locals that they set, in fuel and in time (test/guests, BenchmarkStrategy).
#define WSE_RARE static __attribute__((noinline))

// ---- Floats ------------------------------------------------------------------------------------------------------------
//
// Numbers of 64 bits as decimal text and back. The method is Russ Cox's "unrounded scaling" (research.swtch.com/fp, 2026): a
// product with a power of ten of 128 bits, of which two bits behind the point are kept, the second saying whether anything follows.

enum { WSE_FLOAT_MAX = 25 }; // the longest text of a number, as -1.2345678901234567e-308

#define WSE__HIDDEN ((uint64_t)1 << 52)
#define WSE__INFINITY ((uint64_t)0x7ff << 52)

WSE__CALLED uint64_t wse__mul_high(uint64_t x, uint64_t y) {
  uint64_t x0 = (uint32_t)x, x1 = x >> 32, y0 = (uint32_t)y, y1 = y >> 32;
  uint64_t w = x1 * y0 + (x0 * y0 >> 32);
  return x1 * y1 + (w >> 32) + (((uint32_t)w + x0 * y1) >> 32);
}

// wse__scaled is x × 10^p × 2^-s, with the power's own exponent taken off: its whole part, a bit for the half, and one that
// says whether anything follows.
WSE__CALLED uint64_t wse__scaled(uint64_t x, int32_t p, int32_t s) {
  if (s >= 64) return 1;
  const uint64_t *power = wse__pow10[p - WSE__POW10_MIN];
  uint64_t mid = x * power[0], hi = wse__mul_high(x, power[0]), sticky = 1;
  if ((hi & (((uint64_t)1 << s) - 1)) == 0) {
    uint64_t mid2 = wse__mul_high(x, power[1]);
    sticky = mid - mid2 > 1;
    hi -= mid < mid2;
  }
  return hi >> s | sticky;
}

WSE__INLINE uint64_t wse__round(uint64_t u) { return (u + 1 + (u >> 2 & 1)) >> 2; }
WSE__INLINE int32_t wse__log2_pow10(int32_t x) { return x * 108853 >> 15; }
WSE__INLINE int32_t wse__log10_pow2(int32_t x) { return x * 78913 >> 18; }

// wse__nearest is the bits of the double nearest to d × 10^p.
WSE__CALLED uint64_t wse__nearest(uint64_t d, int32_t p) {
  if (d == 0 || p < WSE__POW10_MIN) return 0;
  if (p > WSE__POW10_MAX) return WSE__INFINITY;
  int32_t b = 64 - __builtin_clzll(d), lp = wse__log2_pow10(p), e = 53 - b - lp;
  if (e > 1074) e = 1074;
  uint64_t u = wse__scaled(d << (64 - b), p, -(e - (64 - b) + lp + 3));
  if (u >= (WSE__HIDDEN << 3) - 2) u = u >> 1 | (u & 1), e--; // it rounds to 2^53 or more
  uint64_t m = wse__round(u);
  if (m < WSE__HIDDEN) return m;
  return 1075 - e >= 2047 ? WSE__INFINITY : (m - WSE__HIDDEN) | (uint64_t)(1075 - e) << 52;
}

// wse_float reads a number's raw text (wse_skip, wse_raw) as the double nearest to it; of more than 19 digits the first 19 count.
// It returns false where the text is no number or over the largest double.
WSE__CALLED bool wse_float(wse_span number, double *value) {
  const uint8_t *p = number.ptr, *last = p + number.len;
  bool negative = p < last && *p == '-', point = false, any = false;
  uint64_t d = 0;
  uint32_t digits = 0;
  int32_t scale = 0;
  if (negative) p++;
  for (; p < last; p++) {
    if (*p == '.' && !point) {
      point = true;
      continue;
    }
    if (!wse__digit(*p)) break;
    any = true;
    if (digits < 19) {
      d = d * 10 + (*p - '0');
      if (d != 0) digits++;
      if (point) scale--;
    } else if (!point) {
      scale++;
    }
  }
  if (!any) return false;
  if (p < last) {
    if ((*p++ | 0x20) != 'e') return false;
    bool down = p < last && *p == '-';
    if (p < last && (*p == '-' || *p == '+')) p++;
    if (p == last) return false;
    int32_t e = 0;
    for (; p < last; p++) {
      if (!wse__digit(*p)) return false;
      if (e < 100000000) e = e * 10 + (*p - '0');
    }
    scale += down ? -e : e;
  }
  uint64_t bits = wse__nearest(d, scale);
  if (bits >= WSE__INFINITY) return false;
  if (negative) bits |= (uint64_t)1 << 63;
  __builtin_memcpy(value, &bits, sizeof bits);
  return true;
}

// A wse__decimal is digits × 10^power.
typedef struct {
  uint64_t digits;
  int32_t power;
} wse__decimal;

// wse__shortest is the shortest decimal that reads back as the same double (bits without the sign, finite, not 0); of several
// the nearest.
WSE__CALLED wse__decimal wse__shortest(uint64_t bits) {
  uint64_t m = bits & (WSE__HIDDEN - 1);
  int32_t e = (int32_t)(bits >> 52);
  if (e == 0) e = 1;
  else m |= WSE__HIDDEN;
  int32_t shift = __builtin_clzll(m);
  m <<= shift;
  e -= 1075 + shift;
  enum { LEAST = -1085 }; // the exponent of the smallest normal number, and of what is smaller if it were normal
  int32_t z = 11, p;
  uint64_t low;
  if (m == (uint64_t)1 << 63 && e > LEAST) { // below a power of two numbers are twice as close
    p = -(((e + z) * 631305 - 261663) >> 21);
    low = m - ((uint64_t)1 << (z - 2));
  } else {
    if (e < LEAST) z = 11 + (LEAST - e);
    p = -wse__log10_pow2(e + z);
    low = m - ((uint64_t)1 << (z - 1));
  }
  uint64_t high = m + ((uint64_t)1 << (z - 1)), odd = m >> z & 1;
  int32_t s = -(e + wse__log2_pow10(p) + 3);
  uint64_t from = (wse__scaled(low, p, s) + odd + 3) >> 2, up_to = (wse__scaled(high, p, s) - odd) >> 2;
  wse__decimal d = {up_to / 10, -p};
  if (d.digits * 10 >= from) {
    for (d.power++; d.digits % 10 == 0; d.power++) d.digits /= 10;
  } else {
    d.digits = from < up_to ? wse__round(wse__scaled(m, p, s)) : from;
  }
  return d;
}

// wse__put_digits writes n digits at `to`, and a point behind as many of them as `point` says where more follow.
WSE__CALLED uint8_t *wse__put_digits(uint8_t *to, uint64_t digits, int32_t n, int32_t point) {
  uint8_t *end = to + n + (point < n), *p = end;
  for (int32_t i = n; i > 0; i--, digits /= 10) {
    *--p = (uint8_t)('0' + digits % 10);
    if (point < n && i - 1 == point) *--p = '.';
  }
  return end;
}

// wse__put_decimal lays digits out as JSON.stringify does: plainly from 10^-6 up to below 10^21, else with an exponent.
WSE__CALLED void wse__put_decimal(wse__decimal d) {
  if (!wse_room(WSE_FLOAT_MAX)) return;
  uint8_t *to = wse__out.pos;
  int32_t n = 1, power = d.power;
  for (uint64_t v = d.digits; v >= 10; v /= 10) n++;
  int32_t point = n + power; // where the point stands, counted from before the first digit
  if (point > 21 || point < -5) {
    to = wse__put_digits(to, d.digits, n, 1);
    *to++ = 'e';
    int32_t e = point - 1;
    *to++ = e < 0 ? '-' : '+';
    if (e < 0) e = -e;
    to = wse__put_digits(to, (uint64_t)e, e < 10 ? 1 : e < 100 ? 2 : 3, 3);
  } else if (point <= 0) {
    *to++ = '0', *to++ = '.';
    for (; point < 0; point++) *to++ = '0';
    to = wse__put_digits(to, d.digits, n, n);
  } else {
    to = wse__put_digits(to, d.digits, n, point);
    for (; power > 0; power--) *to++ = '0';
  }
  wse__out.pos = to;
}

// wse_put_rounded writes a number with at most so many decimals (0 to 400): what wse_put_float would write, rounded half away from
// zero, so that 1.005 with two is 1.01. Zeros at the end are left out.
WSE__CALLED void wse_put_rounded(double value, int32_t decimals) {
  uint64_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  bool negative = bits >> 63;
  bits &= ~((uint64_t)1 << 63);
  if (bits >= WSE__INFINITY) {
    wse_put(WSE("null")); // JSON has no such number
    return;
  }
  wse__decimal d = bits == 0 ? (wse__decimal){0, 0} : wse__shortest(bits);
  if (-d.power > decimals) {
    uint32_t half = 0;
    for (; -d.power > decimals && d.digits > 0; d.power++, d.digits /= 10) half = d.digits % 10;
    d.digits = -d.power > decimals ? 0 : d.digits + (half >= 5);
    if (d.digits == 0) d.power = 0;
    for (; d.digits > 0 && d.digits % 10 == 0; d.power++) d.digits /= 10;
  }
  if (negative && d.digits != 0) wse_put_byte('-');
  wse__put_decimal(d);
}

// wse_put_float writes the shortest text that reads back as the same number, as JSON.stringify does: null for what JSON has no
// number for.
WSE__INLINE void wse_put_float(double value) { wse_put_rounded(value, 400); }

// wse_is_number reports whether a value is neither NaN nor infinite.
WSE__INLINE bool wse_is_number(double value) { return value - value == 0; }

// ---- Open --------------------------------------------------------------------------------------------------------------

// A wse_opening is the document of wse_strategy_open. Its texts are as written (wse_decode resolves escapes), its configuration is
// the object verbatim, for wse_open; both hold until the hook returns.
typedef struct {
  uint32_t handle;
  wse_span name, symbol, session_type, config;
  double equity, position, indicator_interval_ms;
} wse_opening;

// wse_number reads the next value, which must be a number.
WSE__CALLED bool wse_number(double *value) {
  const uint8_t *at = wse_here();
  if (wse_peek() != WSE_NUMBER || !wse_skip()) return wse_sound() ? wse__fail(at) : false;
  return wse_float(wse_raw(), value) ? true : wse__fail(at);
}

WSE__CALLED bool wse__handle(uint32_t *handle) {
  int64_t v;
  if (!wse_skip() || !wse_integer(wse_raw(), &v) || v < 0 || v > UINT32_MAX) return false;
  *handle = (uint32_t)v;
  return true;
}

// wse_opening_of reads the document. It returns false where that is none.
WSE__CALLED bool wse_opening_of(wse_span document, wse_opening *o) {
  *o = (wse_opening){0};
  bool handle = false, good = true;
  wse_open(document);
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("handle"))) good &= handle = wse__handle(&o->handle);
    else if (wse_key_is(WSE("equity"))) wse_number(&o->equity);
    else if (wse_key_is(WSE("position"))) wse_number(&o->position);
    else if (wse_key_is(WSE("indicator_interval_ms"))) wse_number(&o->indicator_interval_ms);
    else if (wse_key_is(WSE("strategy_name"))) wse_string(), o->name = wse_raw();
    else if (wse_key_is(WSE("symbol"))) wse_string(), o->symbol = wse_raw();
    else if (wse_key_is(WSE("session_type"))) wse_string(), o->session_type = wse_raw();
    else if (wse_key_is(WSE("strategy_config"))) good &= wse_peek() == WSE_OBJECT, wse_skip(), o->config = wse_raw();
    else wse_skip();
  }
  return wse_close() && good && handle;
}

// ---- Update ------------------------------------------------------------------------------------------------------------

// A wse_update is the document of wse_strategy_update.
typedef struct {
  uint32_t handle;
  double position, equity;
  wse_span events; // the list, verbatim
} wse_update;

// What became of an order.
typedef enum { WSE_UNKNOWN, WSE_FILL, WSE_REJECT, WSE_CANCELLED } wse_event_kind;

// A wse_happened is one event of an update: what became of the order of that id. id and reason are as written.
typedef struct {
  wse_event_kind kind;
  wse_span id, reason;
  double quantity, price, fee;
} wse_happened;

WSE__CALLED wse_event_kind wse__event_kind(void) {
  if (!wse_string()) return WSE_UNKNOWN;
  wse_span kind = wse_text(wse_raw(), wse_escaped());
  if (wse_is(kind, WSE("fill"))) return WSE_FILL;
  if (wse_is(kind, WSE("reject"))) return WSE_REJECT;
  return wse_is(kind, WSE("cancelled")) ? WSE_CANCELLED : WSE_UNKNOWN;
}

// wse_update_of reads the document, and begins to read its events: wse_event must be called until it returns false. It returns
// false where the document is none.
WSE__CALLED bool wse_update_of(wse_span document, wse_update *u) {
  *u = (wse_update){0};
  bool handle = false, good = true;
  wse_open(document);
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("handle"))) good &= handle = wse__handle(&u->handle);
    else if (wse_key_is(WSE("position"))) wse_number(&u->position);
    else if (wse_key_is(WSE("equity"))) wse_number(&u->equity);
    else if (wse_key_is(WSE("events"))) good &= wse_peek() == WSE_ARRAY, wse_skip(), u->events = wse_raw();
    else wse_skip();
  }
  if (!wse_close() || !good || !handle) return false;
  if (u->events.len > 2) wse_open(u->events), wse_array(); // else there are none
  return true;
}

// wse_event reads the next event of the update read last. It returns false when there is none, or the next is none.
WSE__CALLED bool wse_event(wse_update *u, wse_happened *e) {
  *e = (wse_happened){0};
  if (u->events.len <= 2) return false;
  if (!wse_element() || !wse_object()) {
    wse_close();
    u->events.len = 0;
    return false;
  }
  while (wse_member()) {
    if (wse_key_is(WSE("kind"))) e->kind = wse__event_kind();
    else if (wse_key_is(WSE("id"))) wse_string(), e->id = wse_raw();
    else if (wse_key_is(WSE("reason"))) wse_string(), e->reason = wse_raw();
    else if (wse_key_is(WSE("quantity"))) wse_number(&e->quantity);
    else if (wse_key_is(WSE("price"))) wse_number(&e->price);
    else if (wse_key_is(WSE("fee"))) wse_number(&e->fee);
    else wse_skip();
  }
  return wse_sound();
}

// ---- Saying ------------------------------------------------------------------------------------------------------------

// What an answer may hold is bounded by the host; a strategy stops a little earlier, so that one tick's items always fit.
enum { WSE_ITEMS_MAX = 3500, WSE_SAID_MAX = 768 << 10 };

static uint32_t wse__items; // in this answer

WSE__CALLED void wse__item(wse_span kind, uint32_t at) {
  if (wse_mark() == 0) wse__items = 0, wse_put(WSE("{\"out\":["));
  if (wse__items++ > 0) wse_put_byte(',');
  wse_put(WSE("{\"kind\":\""));
  wse_put(kind);
  wse_put(WSE("\",\"at\":"));
  wse_put_int(at);
}

WSE__CALLED void wse__text_member(wse_span before, wse_span text) {
  wse_put(before);
  wse_put_text(text);
  wse_put_byte('"');
}

// In all of these, at is the tick's index in the batch; in an update it is 0.

// wse_say_indicator reports a value under a name. One that is not ready (NaN) or infinite is left out.
WSE__CALLED void wse_say_indicator(uint32_t at, wse_span name, double value) {
  if (!wse_is_number(value)) return;
  wse__item(WSE("indicator"), at);
  wse__text_member(WSE(",\"name\":\""), name);
  wse_put(WSE(",\"value\":"));
  wse_put_float(value);
  wse_put_byte('}');
}

// wse_say_signal reports a signal with the values that it was made of, n names and n values; those that are no number are left
// out. A confidence below 0 is none.
WSE__CALLED void wse_say_signal(uint32_t at, wse_span type, double confidence, uint32_t n, const wse_span *names, const double *values) {
  wse__item(WSE("signal"), at);
  wse__text_member(WSE(",\"type\":\""), type);
  if (confidence >= 0) wse_put(WSE(",\"confidence\":")), wse_put_float(confidence);
  wse_put(WSE(",\"indicators\":{"));
  for (uint32_t i = 0, first = 1; i < n; i++) {
    if (!wse_is_number(values[i])) continue;
    wse__text_member(first ? WSE("\"") : WSE(",\""), names[i]);
    wse_put_byte(':');
    wse_put_float(values[i]);
    first = 0;
  }
  wse_put(WSE("}}"));
}

// A wse_order is an order: a quantity in base currency or, where that is 0, a notional in quote currency. A price of 0 makes it a
// market order. Numbers are sent as wse_put_float writes them; round them before where the market does.
typedef struct {
  wse_span id; // yours, used once in the handle: letters, digits, _ . -
  bool sell;
  double quantity, notional, price;
  wse_span reason;
} wse_order;

// wse_say_order orders. The strategy must stop at this tick: return wse_said(at + 1, n).
WSE__CALLED void wse_say_order(uint32_t at, const wse_order *o) {
  wse__item(WSE("order"), at);
  wse__text_member(WSE(",\"id\":\""), o->id);
  wse_put(o->sell ? WSE(",\"side\":\"sell\"") : WSE(",\"side\":\"buy\""));
  wse_put(o->quantity > 0 ? WSE(",\"quantity\":") : WSE(",\"notional\":"));
  wse_put_float(o->quantity > 0 ? o->quantity : o->notional);
  if (o->price > 0) wse_put(WSE(",\"order_type\":\"limit\",\"price\":")), wse_put_float(o->price);
  else wse_put(WSE(",\"order_type\":\"market\""));
  wse__text_member(WSE(",\"reason\":\""), o->reason);
  wse_put_byte('}');
}

// wse_say_cancel asks for an order to be cancelled. The strategy must stop at this tick.
WSE__CALLED void wse_say_cancel(uint32_t at, wse_span id) {
  wse__item(WSE("cancel"), at);
  wse__text_member(WSE(",\"id\":\""), id);
  wse_put_byte('}');
}

// wse_say_state tells the state that the handle is in from here on, as WSE("monitoring"); sdk/ABI.md lists them.
WSE__CALLED void wse_say_state(uint32_t at, wse_span state) {
  wse__item(WSE("state"), at);
  wse__text_member(WSE(",\"state\":\""), state);
  wse_put_byte('}');
}

// wse_must_stop reports whether so much has been said that the next tick belongs into another call.
WSE__INLINE bool wse_must_stop(void) {
  return wse_mark() > 0 && (wse__items >= WSE_ITEMS_MAX || wse_mark() >= WSE_SAID_MAX);
}

// wse_said is what the hook returns: the first `consumed` of n ticks are done with. In an update both are 0.
WSE__CALLED wse_answer wse_said(uint32_t consumed, uint32_t n) {
  if (wse_mark() == 0 && consumed == n) return WSE_NO;
  if (wse_mark() == 0) wse_put(WSE("{\"out\":["));
  wse_put(WSE("],\"consumed\":"));
  wse_put_int(consumed);
  wse_put_byte('}');
  return wse_result();
}

#endif
