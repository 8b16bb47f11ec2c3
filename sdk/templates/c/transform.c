// {{.Name}} makes envelopes of events: of each Greeting one on public:greetings. Everything else is left to the next plugin.
#include "wse.h"

static int64_t priority = 5; // what the configuration sets

// configure reads {"priority":N}.
static wse_answer configure(wse_span config) {
  bool ok = true;
  wse_open(config);
  wse_object();
  while (wse_member()) {
    if (!wse_key_is(WSE("priority")) && wse_mark() == 0) {
      wse_put(WSE("config: unknown field \""));
      wse_put(wse_key_text());
      wse_put_byte('"');
    }
    ok = wse_skip() && wse_integer(wse_raw(), &priority);
  }
  if (!wse_close()) return wse_error(WSE("config: not an object"));
  if (wse_mark() > 0) return wse_failure();
  if (!ok || priority < 1 || priority > 10) return wse_error(WSE("config: priority must be an integer from 1 to 10"));
  return WSE_YES;
}

// payload returns the member text.
static wse_span payload(void) {
  wse_span text = WSE_NONE;
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("text")) && wse_peek() == WSE_STRING) wse_string(), text = wse_raw();
    else wse_skip();
  }
  return text;
}

// transform reads {"type":"Greeting","payload":{"text":"…"}}. Texts are passed on as they are written, escapes and all.
static wse_answer transform(wse_span event) {
  bool typed = false, greeting = false;
  wse_span text = WSE_NONE;
  wse_open(event);
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("type")) && wse_peek() == WSE_STRING) {
      wse_string();
      typed = true;
      greeting = wse_same(wse_text(wse_raw(), wse_escaped()), WSE("Greeting"));
    } else if (wse_key_is(WSE("payload")) && wse_peek() == WSE_OBJECT) {
      text = payload();
    } else {
      wse_skip();
    }
  }
  if (!wse_close() || !typed) return wse_error(WSE("not an event"));
  if (!greeting) return WSE_YES; // not mine, ask the next plugin
  if (text.len == 0) return wse_error(WSE("Greeting: payload.text is missing"));
  wse_metric(WSE("greetings_total"), 1);
  wse_put(WSE("{\"t\":\"greeting\",\"topic\":\"public:greetings\",\"p\":{\"text\":\""));
  wse_put(text);
  wse_put(WSE("\"},\"pri\":"));
  wse_put_int(priority);
  wse_put_byte('}');
  return wse_result();
}

WSE_CONFIGURE(configure);
WSE_TRANSFORM(transform);
WSE_TRANSFORM_BATCH(transform);
