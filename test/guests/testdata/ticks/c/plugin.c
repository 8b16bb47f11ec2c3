// Reads ticks: answers {"consumed":n,"out":[]} for a batch whose volumes add up to what open was told, an error for any other.
#include "wse.h"

static int64_t volume;
static uint32_t opened;

static wse_answer open(wse_span document) {
  int64_t handle = 0;
  wse_open(document);
  wse_object();
  while (wse_member()) {
    bool is_handle = wse_key_is(WSE("handle"));
    if (wse_skip()) wse_integer(wse_raw(), is_handle ? &handle : &volume);
  }
  opened = (uint32_t)handle;
  return wse_close() ? WSE_YES : wse_error(WSE("not JSON"));
}

static wse_answer ticks(wse_span batch) {
  wse_ticks all;
  if (!wse_ticks_of(batch, &all) || all.handle != opened) return wse_error(WSE("no ticks"));
  double sum = 0;
  for (uint32_t i = 0; i < all.n; i++) {
    wse_tick t = wse_tick_at(all, i);
    if (t.time != 1000.0 + i || t.price != 0.5 || t.quote != t.price * t.volume) return wse_error(WSE("another tick"));
    sum += t.volume;
  }
  if (sum != (double)volume) return wse_error(WSE("another sum"));
  wse_put(WSE("{\"consumed\":"));
  wse_put_int(all.n);
  wse_put(WSE(",\"out\":[]}"));
  return wse_result();
}

static wse_answer update(wse_span document) {
  return document.len > 0 ? WSE_NO : WSE_YES;
}

WSE_STRATEGY(open, ticks, update);
