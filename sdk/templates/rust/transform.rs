//! {{.Name}} makes envelopes of events: of each Greeting one on public:greetings. Everything else is left to the next plugin.
#![no_std]
#![forbid(unsafe_code)]

use wse::{Answer, Doc, Json, Kind, State, Text, Writer, YES};

wse::plugin! { configure: configure, transform: transform, transform_batch: transform }

static PRIORITY: State<i64> = State::new(5); // what the configuration sets

/// configure reads {"priority":N}.
fn configure(config: Doc, out: &mut Writer) -> Answer {
    let mut priority = Some(PRIORITY.get());
    let mut json = config.open();
    json.object();
    while json.member() {
        if !json.key_is("priority") && out.mark() == 0 {
            out.put("config: unknown field \"");
            out.put_decoded(json.key());
            out.put_byte(b'"');
        }
        priority = json.skip().and_then(Doc::integer);
    }
    if !json.close() {
        return wse::error("config: not an object");
    }
    if out.mark() > 0 {
        return out.failure();
    }
    match priority {
        Some(n) if (1..=10).contains(&n) => PRIORITY.set(n),
        _ => return wse::error("config: priority must be an integer from 1 to 10"),
    }
    YES
}

/// transform reads {"type":"Greeting","payload":{"text":"…"}}. Texts are passed on as they are written, escapes and all.
fn transform(event: Doc, out: &mut Writer) -> Answer {
    let (mut name, mut text) = (None, Text::default());
    let mut json = event.open();
    json.object();
    while json.member() {
        if json.key_is("type") && json.peek() == Kind::String {
            name = json.string();
        } else if json.key_is("payload") && json.peek() == Kind::Object {
            text = payload(&mut json);
        } else {
            json.skip();
        }
    }
    let name = match name {
        Some(name) if json.close() => name,
        _ => return wse::error("not an event"),
    };
    if !name.is("Greeting") {
        return YES; // not mine, ask the next plugin
    }
    if text.is_empty() {
        return wse::error("Greeting: payload.text is missing");
    }
    wse::metric("greetings_total", 1.0);
    out.put(r#"{"t":"greeting","topic":"public:greetings","p":{"text":""#);
    out.put(text.raw());
    out.put(r#""},"pri":"#);
    out.put_int(PRIORITY.get());
    out.put_byte(b'}');
    out.result()
}

/// payload returns the member text.
fn payload<'a>(json: &mut Json<'a>) -> Text<'a> {
    let mut text = Text::default();
    json.object();
    while json.member() {
        if json.key_is("text") && json.peek() == Kind::String {
            text = json.string().unwrap_or_default();
        } else {
            json.skip();
        }
    }
    text
}
