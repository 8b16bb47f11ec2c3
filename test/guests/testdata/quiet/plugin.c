// A strategy that does nothing: what a tick takes then is the price of the border.
#include "wse.h"

static wse_answer open(wse_span document) { return document.len > 0 ? WSE_YES : WSE_NO; }
static wse_answer quiet(wse_span document) { return document.len > 0 ? WSE_NO : WSE_YES; }

WSE_STRATEGY(open, quiet, quiet);
