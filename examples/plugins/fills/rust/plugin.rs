//! fills: envelopes of the events of a trading desk. ../../README.md says what it answers.
#![no_std]
#![forbid(unsafe_code)]

use wse::{Answer, Doc, Json, Kind, Level, State, Text, Writer, NO, YES};

wse::plugin! { configure: configure, transform: transform, transform_batch: transform }

static LARGE: State<i64> = State::new(1000); // a fill of so much is a large one

/// The members of an event that count. What is missing or of another kind is empty or 0.
#[derive(Default)]
struct Fill<'a> {
    user: Text<'a>,
    order: Text<'a>,
    symbol: Text<'a>,
    reason: Text<'a>,
    quantity: i64,
}

fn transform(event: Doc, out: &mut Writer) -> Answer {
    let (name, fill) = match read(event) {
        Some(read) => read,
        None => return wse::error("not an event"),
    };
    if name.is("OrderFilled") {
        filled(&fill, out)
    } else if name.is("OrderRejected") {
        rejected(&fill, out)
    } else if name.is("Heartbeat") {
        NO
    } else {
        YES
    }
}

fn filled(fill: &Fill, out: &mut Writer) -> Answer {
    if fill.user.is_empty() {
        return wse::error("OrderFilled: user_id is missing");
    }
    if fill.order.is_empty() {
        return wse::error("OrderFilled: payload.order_id is missing");
    }
    if fill.symbol.is_empty() {
        return wse::error("OrderFilled: payload.symbol is missing");
    }
    if fill.quantity == 0 {
        return wse::error("OrderFilled: payload.quantity is missing");
    }
    wse::metric("fills_total", 1.0);
    let large = fill.quantity >= LARGE.get();
    if large {
        out.put("large fill: ");
        out.put(fill.order.raw());
        wse::log(Level::Info, out.written(0));
        out.begin();
    }
    out.put_byte(b'[');
    head(fill, out);
    out.put(r#"","symbol":""#);
    out.put(fill.symbol.raw());
    out.put(r#"","status":"filled","quantity":"#);
    out.put_int(fill.quantity);
    out.put(r#"},"pri":10},{"t":"trade","topic":"public:trades:"#);
    out.put(fill.symbol.raw());
    out.put(r#"","p":{"symbol":""#);
    out.put(fill.symbol.raw());
    out.put(r#"","quantity":"#);
    out.put_int(fill.quantity);
    if large {
        out.put(r#","large":true"#);
    }
    out.put("}}]");
    out.result()
}

fn rejected(fill: &Fill, out: &mut Writer) -> Answer {
    if fill.user.is_empty() {
        return wse::error("OrderRejected: user_id is missing");
    }
    if fill.order.is_empty() {
        return wse::error("OrderRejected: payload.order_id is missing");
    }
    head(fill, out);
    out.put(r#"","status":"rejected","reason":""#);
    out.put(fill.reason.raw());
    out.put(r#""},"pri":10}"#);
    out.result()
}

/// head writes what both kinds of order update begin with.
fn head(fill: &Fill, out: &mut Writer) {
    out.put(r#"{"t":"order_update","topic":"user:"#);
    out.put(fill.user.raw());
    out.put(r#":order_events","p":{"order_id":""#);
    out.put(fill.order.raw());
}

/// read reads an event and its type; None where it is none.
fn read(event: Doc) -> Option<(Text, Fill)> {
    let mut name = None;
    let mut fill = Fill::default();
    let mut json = event.open();
    json.object();
    while json.member() {
        if json.key_is("type") {
            name = string(&mut json);
        } else if json.key_is("user_id") {
            fill.user = string(&mut json).unwrap_or_default();
        } else if json.key_is("payload") {
            payload(&mut json, &mut fill);
        } else {
            json.skip();
        }
    }
    if json.close() {
        Some((name?, fill))
    } else {
        None
    }
}

fn payload<'a>(json: &mut Json<'a>, fill: &mut Fill<'a>) {
    *fill = Fill { user: fill.user, ..Fill::default() };
    if json.peek() != Kind::Object {
        json.skip();
        return;
    }
    json.object();
    while json.member() {
        if json.key_is("order_id") {
            fill.order = string(json).unwrap_or_default();
        } else if json.key_is("symbol") {
            fill.symbol = string(json).unwrap_or_default();
        } else if json.key_is("quantity") {
            fill.quantity = integer(json).unwrap_or(0);
        } else if json.key_is("reason") {
            fill.reason = string(json).unwrap_or_default();
        } else {
            json.skip();
        }
    }
}

/// string reads the next value, and is None where that is no string.
fn string<'a>(json: &mut Json<'a>) -> Option<Text<'a>> {
    if json.peek() == Kind::String {
        return json.string();
    }
    json.skip();
    None
}

/// integer reads the next value, and is None where that is no integer of at least 1.
fn integer(json: &mut Json) -> Option<i64> {
    json.skip()?.integer().filter(|&n| n > 0)
}

fn configure(config: Doc, out: &mut Writer) -> Answer {
    let mut wrong = false;
    let mut json = config.open();
    json.object();
    while json.member() {
        if json.key_is("large") {
            let large = integer(&mut json);
            wrong = large.is_none();
            LARGE.set(large.unwrap_or(0));
            continue;
        }
        if out.mark() == 0 {
            out.put("config: unknown field \"");
            out.put_decoded(json.key());
            out.put_byte(b'"');
        }
        json.skip();
    }
    if !json.close() {
        wse::error("config: not an object")
    } else if out.mark() > 0 {
        out.failure()
    } else if wrong {
        wse::error("config: large must be an integer of 1 or more")
    } else {
        YES
    }
}
