// {{.Name}} decides who may use a topic: public:… everybody, user:ID:… the user with that id.
#include "wse.h"

// identity returns the member user_id.
static wse_span identity(void) {
  wse_span user = WSE_NONE;
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("user_id")) && wse_peek() == WSE_STRING) wse_string(), user = wse_raw();
    else wse_skip();
  }
  return user;
}

// authorize reads {"action":"…","topic":"…","identity":{"user_id":"…",…},…}. It compares texts as they are written: the
// engine's topics and user ids have no character that needs an escape.
static wse_answer authorize(wse_span request) {
  wse_span topic = WSE_NONE, user = WSE_NONE;
  wse_open(request);
  wse_object();
  while (wse_member()) {
    if (wse_key_is(WSE("topic")) && wse_peek() == WSE_STRING) wse_string(), topic = wse_raw();
    else if (wse_key_is(WSE("identity")) && wse_peek() == WSE_OBJECT) user = identity();
    else wse_skip();
  }
  if (!wse_close() || topic.len == 0) return wse_error(WSE("not a request"));
  if (wse_begins(topic, WSE("public:"))) return WSE_YES;
  if (!wse_begins(topic, WSE("user:")) || user.len == 0) return WSE_NO;
  wse_span own = wse_from(topic, 5);
  if (!wse_begins(own, user)) return WSE_NO;
  wse_span rest = wse_from(own, user.len);
  return rest.len > 1 && rest.ptr[0] == ':' ? WSE_YES : WSE_NO;
}

WSE_AUTHORIZE(authorize);
