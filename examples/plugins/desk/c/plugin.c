// desk: who may read the topics of a trading desk. ../../README.md says what it answers.
#include "wse.h"

enum { TOPIC_BYTES_MAX = 1024 }; // as written

static int64_t ttl = 30; // seconds that an answer is remembered; 0 is not at all

// A string as it was written. Length 0 is missing, empty or of another kind.
typedef struct {
  wse_span raw;
  bool escaped;
} text;

typedef struct {
  text action, topic, user, desk;
  bool has_topic;
} request;

// string reads the next value where it is a string; anything else counts as nothing.
static text string(void) {
  if (wse_peek() == WSE_STRING) return wse_string() ? (text){wse_raw(), wse_escaped()} : (text){0};
  wse_skip();
  return (text){0};
}

// object enters the next value where it is an object, and skips anything else.
static bool object(void) {
  return wse_peek() == WSE_OBJECT ? wse_object() : wse_skip() && false;
}

static void claims(request *r) {
  r->desk = (text){0};
  if (!object()) return;
  while (wse_member()) {
    if (wse_key_is(WSE("desk"))) r->desk = string();
    else wse_skip();
  }
}

static void identity(request *r) {
  r->user = r->desk = (text){0};
  if (!object()) return;
  while (wse_member()) {
    if (wse_key_is(WSE("user_id"))) r->user = string();
    else if (wse_key_is(WSE("claims"))) claims(r);
    else wse_skip();
  }
}

// read reads a request; false where it is none.
static bool read(wse_span document, request *r) {
  wse_open(document);
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("topic"))) r->has_topic = wse_peek() == WSE_STRING, r->topic = string();
    else if (wse_key_is(WSE("action"))) r->action = string();
    else if (wse_key_is(WSE("identity"))) identity(r);
    else wse_skip();
  }
  return wse_close() && r->has_topic;
}

// is compares a string with a text by what it says.
static bool is(text s, wse_span want) { return wse_same(wse_text(s.raw, s.escaped), want); }

// cut takes a prefix away from a text that has it.
static inline bool cut(wse_span *s, wse_span prefix) {
  bool has = wse_begins(*s, prefix);
  if (has) *s = wse_from(*s, prefix.len);
  return has;
}

static wse_answer own(wse_span id, text user) {
  for (uint32_t i = 0; i < id.len; i++)
    if (id.ptr[i] == ':') id.len = i;
  return id.len > 0 && is(user, id) ? WSE_YES : WSE_NO;
}

static wse_answer desk(wse_span name, text claim) {
  if (claim.raw.ptr != NULL && is(claim, name)) {
    wse_put(WSE("{\"allow\":true"));
    if (ttl > 0) wse_put(WSE(",\"ttl_s\":")), wse_put_int(ttl);
    wse_put_byte('}');
    return wse_result();
  }
  wse_put(WSE("{\"allow\":false,\"reason\":\"desk "));
  wse_put_text(name);
  wse_put(WSE(" is not yours\"}"));
  return wse_result();
}

static wse_answer authorize(wse_span document) {
  static uint8_t decoded[TOPIC_BYTES_MAX];
  request r = {0};
  if (!read(document, &r)) return wse_error(WSE("not a request"));
  if (is(r.action, WSE("publish")) || r.topic.raw.len > TOPIC_BYTES_MAX) return WSE_NO;
  wse_span topic = r.topic.escaped ? wse_decode(r.topic.raw, decoded) : r.topic.raw;
  if (wse_begins(topic, WSE("public:"))) return WSE_YES;
  if (cut(&topic, WSE("user:"))) return own(topic, r.user);
  return cut(&topic, WSE("stream:market_data:")) && topic.len > 0 ? desk(topic, r.desk) : WSE_NO;
}

static wse_answer configure(wse_span config) {
  bool wrong = false;
  wse_open(config);
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("ttl_s"))) {
      bool number = wse_peek() == WSE_NUMBER;
      wrong = !(wse_skip() && number && wse_integer(wse_raw(), &ttl) && ttl >= 0 && ttl <= 86400);
      continue;
    }
    if (wse_mark() == 0) wse_put(WSE("config: unknown field \"")), wse_put(wse_key_text()), wse_put_byte('"');
    wse_skip();
  }
  if (!wse_close()) return wse_error(WSE("config: not an object"));
  if (wse_mark() > 0) return wse_failure();
  return wrong ? wse_error(WSE("config: ttl_s must be an integer from 0 to 86400")) : WSE_YES;
}

WSE_CONFIGURE(configure);
WSE_AUTHORIZE(authorize);
