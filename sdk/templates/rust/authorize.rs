//! {{.Name}} decides who may use a topic: public:… everybody, user:ID:… the user with that id.
#![no_std]
#![forbid(unsafe_code)]

use wse::{Answer, Doc, Json, Kind, Text, Writer, NO, YES};

wse::plugin! { authorize: authorize }

/// authorize reads {"action":"…","topic":"…","identity":{"user_id":"…",…},…}. It compares texts as they are written: the
/// engine's topics and user ids have no character that needs an escape.
fn authorize(request: Doc, _: &mut Writer) -> Answer {
    let (mut topic, mut user) = (Text::default(), Text::default());
    let mut json = request.open();
    json.object();
    while json.member() {
        if json.key_is("topic") && json.peek() == Kind::String {
            topic = json.string().unwrap_or_default();
        } else if json.key_is("identity") && json.peek() == Kind::Object {
            user = identity(&mut json);
        } else {
            json.skip();
        }
    }
    if !json.close() || topic.is_empty() {
        return wse::error("not a request");
    }
    if topic.raw().starts_with(b"public:") || own(topic.raw(), user.raw()) {
        return YES;
    }
    NO
}

/// own tells whether a topic is user:USER:… with something behind.
fn own(topic: &[u8], user: &[u8]) -> bool {
    let rest = topic.strip_prefix(b"user:").and_then(|own| own.strip_prefix(user));
    match rest {
        Some(rest) => !user.is_empty() && rest.len() > 1 && rest[0] == b':',
        None => false,
    }
}

/// identity returns the member user_id.
fn identity<'a>(json: &mut Json<'a>) -> Text<'a> {
    let mut user = Text::default();
    json.object();
    while json.member() {
        if json.key_is("user_id") && json.peek() == Kind::String {
            user = json.string().unwrap_or_default();
        } else {
            json.skip();
        }
    }
    user
}
