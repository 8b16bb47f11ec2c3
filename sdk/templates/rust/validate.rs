//! {{.Name}} checks the configuration of a strategy: a symbol and a quantity.
#![no_std]
#![forbid(unsafe_code)]

use wse::{Answer, Doc, Json, Kind, Writer, YES};

wse::plugin! { validate: validate }

/// Which members are as they must be.
#[derive(Default)]
struct Strategy {
    symbol: bool,
    quantity: bool,
}

/// validate reads {"strategy_config":{"symbol":"…","quantity":N}}.
fn validate(request: Doc, out: &mut Writer) -> Answer {
    let mut found = None;
    let mut json = request.open();
    json.object();
    while json.member() {
        if json.key_is("strategy_config") && json.peek() == Kind::Object {
            found = Some(strategy(&mut json));
        } else {
            json.skip();
        }
    }
    let s = match found {
        Some(s) if json.close() => s,
        _ => return wse::error("not a request"),
    };
    if s.symbol && s.quantity {
        return YES;
    }
    out.put(r#"{"valid":false,"errors":["#);
    if !s.symbol {
        out.put(r#"{"path":"symbol","message":"must be a string that is not empty"}"#);
    }
    if !s.symbol && !s.quantity {
        out.put_byte(b',');
    }
    if !s.quantity {
        out.put(r#"{"path":"quantity","message":"must be an integer of 1 or more"}"#);
    }
    out.put(r#"],"warnings":[]}"#);
    out.result()
}

fn strategy(json: &mut Json) -> Strategy {
    let mut s = Strategy::default();
    json.object();
    while json.member() {
        if json.key_is("symbol") && json.peek() == Kind::String {
            s.symbol = json.string().map_or(false, |text| !text.is_empty());
        } else if json.key_is("quantity") {
            s.quantity = json.skip().and_then(Doc::integer).map_or(false, |n| n >= 1);
        } else {
            json.skip();
        }
    }
    s
}
