//! desk: who may read the topics of a trading desk. ../../README.md says what it answers.
#![no_std]
#![forbid(unsafe_code)]

use wse::{Answer, Doc, Json, Kind, Room, State, Text, Writer, NO, YES};

wse::plugin! { configure: configure, authorize: authorize }

const TOPIC_BYTES_MAX: usize = 1024; // as written

static TTL: State<i64> = State::new(30); // seconds that an answer is remembered; 0 is not at all

/// The members of a request that count. What is missing or no string is None.
#[derive(Default)]
struct Request<'a> {
    action: Option<Text<'a>>,
    topic: Option<Text<'a>>,
    user: Option<Text<'a>>,
    desk: Option<Text<'a>>,
}

fn authorize(document: Doc, out: &mut Writer) -> Answer {
    let (topic, request) = match read(document) {
        Some(read) => read,
        None => return wse::error("not a request"),
    };
    if is(request.action, b"publish") || topic.raw().len() > TOPIC_BYTES_MAX {
        return NO;
    }
    let mut room = Room::<TOPIC_BYTES_MAX>::new();
    let topic = topic.text(&mut room).unwrap_or(b"");
    if topic.starts_with(b"public:") {
        YES
    } else if let Some(rest) = topic.strip_prefix(b"user:") {
        own(rest, request.user)
    } else if let Some(name @ [_, ..]) = topic.strip_prefix(b"stream:market_data:") {
        desk(name, request.desk, out)
    } else {
        NO
    }
}

fn own(rest: &[u8], user: Option<Text>) -> Answer {
    let id = rest.split(|&c| c == b':').next().unwrap_or(rest);
    if !id.is_empty() && is(user, id) {
        YES
    } else {
        NO
    }
}

fn desk(name: &[u8], claim: Option<Text>, out: &mut Writer) -> Answer {
    if !is(claim, name) {
        out.put(r#"{"allow":false,"reason":"desk "#);
        out.put_text(name);
        out.put(r#" is not yours"}"#);
        return out.result();
    }
    out.put(r#"{"allow":true"#);
    if TTL.get() > 0 {
        out.put(r#","ttl_s":"#);
        out.put_int(TTL.get());
    }
    out.put_byte(b'}');
    out.result()
}

/// is compares a string by its text.
fn is(string: Option<Text>, text: &[u8]) -> bool {
    string.map_or(false, |s| s.is(text))
}

/// read reads a request and its topic; None where it is none.
fn read(document: Doc) -> Option<(Text, Request)> {
    let mut request = Request::default();
    let mut json = document.open();
    json.object();
    while json.member() {
        if json.key_is("topic") {
            request.topic = string(&mut json);
        } else if json.key_is("action") {
            request.action = string(&mut json);
        } else if json.key_is("identity") {
            identity(&mut json, &mut request);
        } else {
            json.skip();
        }
    }
    if json.close() {
        Some((request.topic?, request))
    } else {
        None
    }
}

fn identity<'a>(json: &mut Json<'a>, request: &mut Request<'a>) {
    request.user = None;
    request.desk = None;
    if !object(json) {
        return;
    }
    while json.member() {
        if json.key_is("user_id") {
            request.user = string(json);
        } else if json.key_is("claims") {
            request.desk = claims(json);
        } else {
            json.skip();
        }
    }
}

fn claims<'a>(json: &mut Json<'a>) -> Option<Text<'a>> {
    let mut desk = None;
    if !object(json) {
        return None;
    }
    while json.member() {
        if json.key_is("desk") {
            desk = string(json);
        } else {
            json.skip();
        }
    }
    desk
}

/// object enters the next value where it is an object, and skips anything else.
fn object(json: &mut Json) -> bool {
    if json.peek() == Kind::Object {
        return json.object();
    }
    json.skip();
    false
}

/// string reads the next value, and is None where that is no string.
fn string<'a>(json: &mut Json<'a>) -> Option<Text<'a>> {
    if json.peek() == Kind::String {
        return json.string();
    }
    json.skip();
    None
}

fn configure(config: Doc, out: &mut Writer) -> Answer {
    let mut wrong = false;
    let mut json = config.open();
    json.object();
    while json.member() {
        if json.key_is("ttl_s") {
            let ttl = json.skip().and_then(Doc::integer).filter(|n| (0..=86400).contains(n));
            wrong = ttl.is_none();
            TTL.set(ttl.unwrap_or(0));
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
        wse::error("config: ttl_s must be an integer from 0 to 86400")
    } else {
        YES
    }
}
