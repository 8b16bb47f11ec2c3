//! The guest that certifies this SDK; ../../tck/README.md says what it must do.
#![no_std]
#![forbid(unsafe_code)]

use wse::{Answer, Doc, EventKind, Handles, Json, Kind, Level, Opening, Order, Room, Says, State, Text, Ticks, Update, Writer, NO, YES};

wse::plugin! {
    configure: configure,
    transform: transform,
    transform_batch: transform,
    authorize: authorize,
    validate: validate,
    strategy_open: open,
    strategy_ticks: ticks,
    strategy_update: update,
}

static GREETING: State<Option<&'static [u8]>> = State::new(None); // of the configuration, its text

/// A value of a document; None in its place is one that is missing.
#[derive(Clone, Copy)]
struct Value<'a> {
    kind: Kind,
    doc: Doc<'a>,
}

impl<'a> Value<'a> {
    fn read(json: &mut Json<'a>) -> Option<Self> {
        let kind = json.peek();
        json.skip().map(|doc| Value { kind, doc })
    }

    fn text(self) -> Option<Text<'a>> {
        if self.kind == Kind::String {
            self.doc.open().string()
        } else {
            None
        }
    }

    /// find returns the member of that name of an object; the last of several counts.
    fn find(self, name: &str) -> Option<Value<'a>> {
        if self.kind != Kind::Object {
            return None;
        }
        let mut found = None;
        let mut json = self.doc.open();
        json.object();
        while json.member() {
            if json.key_is(name) {
                found = Value::read(&mut json);
            } else {
                json.skip();
            }
        }
        found
    }

    fn integer(self, name: &str) -> Option<i64> {
        self.find(name)?.doc.integer()
    }
}

fn transform(event: Doc, out: &mut Writer) -> Answer {
    let event = match whole(event) {
        Some(event) => event,
        None => return wse::error("not an event"),
    };
    let name = match event.find("type").and_then(Value::text) {
        Some(name) => name,
        None => return wse::error("not an event"),
    };
    match event.find("payload") {
        Some(payload) => answer(name, payload, out),
        None => answer(name, Value { kind: Kind::Bad, doc: event.doc }, out),
    }
    .unwrap_or(wse::error_code(4))
}

/// whole returns a document that is an object and JSON to its end.
fn whole(document: Doc) -> Option<Value> {
    let mut json = document.open();
    let value = Value::read(&mut json).filter(|v| v.kind == Kind::Object);
    if json.close() {
        value
    } else {
        None
    }
}

/// answer is None where the payload lacks what the type needs.
fn answer(name: Text, payload: Value, out: &mut Writer) -> Option<Answer> {
    let mut room = Room::<16>::new();
    Some(match name.text(&mut room).unwrap_or(b"") {
        b"echo" if payload.kind != Kind::Bad => envelope(out, |out| out.put(payload.doc)),
        b"echo" => return None,
        b"drop" => NO,
        b"error" => return fail(payload, out),
        b"many" => return many(payload, out),
        b"text" => return text(payload, out),
        b"integer" => {
            let n = payload.integer("n")?;
            envelope(out, |out| number(out, r#"{"n":"#, n, "}"))
        }
        b"kinds" => kinds(payload, out),
        b"walk" if payload.kind != Kind::Bad => {
            let (values, sum) = walk(&mut payload.doc.open());
            envelope(out, |out| {
                number(out, r#"{"values":"#, values, "");
                number(out, r#","sum":"#, sum, "}");
            })
        }
        b"walk" => return None,
        b"log" => return say(payload, out),
        b"metric" => return measure(payload, out),
        b"config" => envelope(out, |out| {
            out.put(r#"{"greeting":""#);
            out.put_text(GREETING.get().unwrap_or(b"hello"));
            out.put(r#""}"#);
        }),
        b"repeat" => {
            let n = payload.integer("n").filter(|n| (0..=1_000_000).contains(n))?;
            envelope(out, |out| {
                out.put(r#"{"x":""#);
                (0..n).for_each(|_| out.put_byte(b'x'));
                out.put(r#""}"#);
            })
        }
        b"trap" => sink(),
        b"spin" => spin(),
        _ => YES,
    })
}

fn begin(out: &mut Writer) {
    out.put(r#"{"t":"tck","topic":"public:tck","p":"#);
}

fn envelope(out: &mut Writer, payload: impl FnOnce(&mut Writer)) -> Answer {
    begin(out);
    payload(out);
    out.put_byte(b'}');
    out.result()
}

fn number(out: &mut Writer, before: &str, n: i64, after: &str) {
    out.put(before);
    out.put_int(n);
    out.put(after);
}

fn fail(payload: Value, out: &mut Writer) -> Option<Answer> {
    if let Some(code) = payload.integer("code").and_then(|n| u32::try_from(n).ok()) {
        return Some(wse::error_code(code));
    }
    out.put_decoded(payload.find("text")?.text()?);
    Some(out.failure())
}

fn many(payload: Value, out: &mut Writer) -> Option<Answer> {
    let n = payload.integer("n").filter(|n| (1..=64).contains(n))?;
    for i in 0..n {
        out.put_byte(if i == 0 { b'[' } else { b',' });
        begin(out);
        number(out, r#"{"i":"#, i, "}}");
    }
    out.put_byte(b']');
    Some(out.result())
}

fn text(payload: Value, out: &mut Writer) -> Option<Answer> {
    let text = payload.find("text")?.text()?;
    out.put_decoded(text);
    let bytes = out.mark() as i64;
    out.begin();
    Some(envelope(out, |out| {
        out.put(r#"{"text":""#);
        out.put_again(text);
        number(out, r#"","bytes":"#, bytes, "}");
    }))
}

fn kinds(payload: Value, out: &mut Writer) -> Answer {
    if payload.kind != Kind::Object {
        return wse::error_code(4);
    }
    envelope(out, |out| {
        let mut json = payload.doc.open();
        json.object();
        let mut comma = "{\"";
        while json.member() {
            out.put(comma);
            comma = ",\"";
            out.put_again(json.key());
            out.put("\":\"");
            out.put(match json.peek() {
                Kind::Object => "object",
                Kind::Array => "array",
                Kind::String => "string",
                Kind::Number => "number",
                Kind::True => "true",
                Kind::False => "false",
                _ => "null",
            });
            out.put_byte(b'"');
            json.skip();
        }
        out.put(if comma == "{\"" { "{}" } else { "}" });
    })
}

/// walk counts the values inside the one that comes next, and adds up those that are integers. The reader's bound on depth
/// bounds the recursion.
fn walk(json: &mut Json) -> (i64, i64) {
    let kind = json.peek();
    if kind != Kind::Object && kind != Kind::Array {
        return (0, json.skip().and_then(Doc::integer).unwrap_or(0));
    }
    let (mut values, mut sum) = (0, 0);
    let object = kind == Kind::Object;
    let _ = if object { json.object() } else { json.array() };
    while if object { json.member() } else { json.element() } {
        let (v, s) = walk(json);
        values += 1 + v;
        sum += s;
    }
    (values, sum)
}

fn say(payload: Value, out: &mut Writer) -> Option<Answer> {
    const LEVELS: [Level; 5] = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error];
    let level = payload.integer("level").and_then(|n| usize::try_from(n).ok())?;
    out.put_decoded(payload.find("text")?.text()?);
    wse::log(*LEVELS.get(level)?, out.written(0));
    Some(YES)
}

fn measure(payload: Value, out: &mut Writer) -> Option<Answer> {
    let value = payload.integer("value").filter(|&n| n >= 0)?;
    out.put_decoded(payload.find("name")?.text()?);
    wse::metric(out.written(0), value as f64);
    Some(YES)
}

#[inline(never)]
fn sink() -> Answer {
    panic!("down the sink")
}

#[inline(never)]
fn spin() -> Answer {
    loop {
        core::hint::spin_loop();
    }
}

fn authorize(request: Doc, out: &mut Writer) -> Answer {
    let request = match whole(request) {
        Some(request) => request,
        None => return wse::error("not a request"),
    };
    let topic = match request.find("topic").and_then(Value::text) {
        Some(topic) => topic,
        None => return wse::error("not a request"),
    };
    if topic.is("tck:yes") {
        return YES;
    }
    if !topic.is("tck:ask") {
        return NO;
    }
    let identity = request.find("identity");
    if identity.and_then(|i| i.find("permissions")).map_or(false, permits) {
        return wse::data(r#"{"allow":true,"ttl_s":60}"#);
    }
    out.put(r#"{"allow":false,"reason":""#);
    out.put_again(identity.and_then(|i| i.find("user_id")?.text()).unwrap_or_default());
    out.put(r#" lacks tck"}"#);
    out.result()
}

/// permits says whether a list holds the string "tck".
fn permits(list: Value) -> bool {
    if list.kind != Kind::Array {
        return false;
    }
    let mut json = list.doc.open();
    json.array();
    let mut found = false;
    while json.element() {
        found |= Value::read(&mut json).and_then(Value::text).map_or(false, |s| s.is("tck"));
    }
    found
}

fn validate(request: Doc, out: &mut Writer) -> Answer {
    let config = whole(request).and_then(|r| r.find("strategy_config"));
    let config = match config {
        Some(config) if config.kind == Kind::Object => config,
        _ => return wse::error("not a request"),
    };
    let (mut members, mut wrong) = (0, 0);
    out.put(r#"{"valid":false,"errors":["#);
    let mut json = config.doc.open();
    json.object();
    while json.member() {
        members += 1;
        if json.skip().and_then(Doc::integer).is_some() {
            continue;
        }
        out.put(if wrong == 0 { r#"{"path":""# } else { r#",{"path":""# });
        wrong += 1;
        out.put_again(json.key());
        out.put(r#"","message":"must be an integer"}"#);
    }
    out.put(r#"],"warnings":[]}"#);
    match (members, wrong) {
        (0, _) => NO,
        (_, 0) => YES,
        _ => out.result(),
    }
}

fn configure(config: Doc, out: &mut Writer) -> Answer {
    let config = match whole(config) {
        Some(config) => config,
        None => return wse::error("config: not an object"),
    };
    let mut json = config.doc.open();
    json.object();
    while json.member() {
        if !json.key_is("greeting") {
            out.put("config: unknown field \"");
            out.put_decoded(json.key());
            out.put_byte(b'"');
            return out.failure();
        }
        json.skip();
    }
    let greeting = match config.find("greeting") {
        None => return YES,
        Some(value) => match value.text() {
            None => return wse::error("config: greeting must be a string"),
            Some(text) => text,
        },
    };
    out.put_decoded(greeting);
    match wse::keep(out.written(0)) {
        Some(kept) => {
            GREETING.set(Some(kept.bytes()));
            YES
        }
        None => wse::error("config: no memory for the greeting"),
    }
}

/// What a handle does at ticks.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Quiet,
    Echo,
    Trade,
    Trap,
    Spin,
}

/// A handle.
struct Book {
    mode: Mode,
    above: f64,
    quantity: f64,
    notional: f64,
    limit: f64,
    confidence: f64,
    ticks: u32,
    orders: u32,
    sum: f64,
    position: f64,
    out: bool, // an order is out
    cancelled: bool, // and its cancel too
}

static BOOKS: Handles<Book, 64> = Handles::new();

fn mode(name: Text) -> Option<Mode> {
    let modes = [("quiet", Mode::Quiet), ("echo", Mode::Echo), ("trade", Mode::Trade), ("trap", Mode::Trap), ("spin", Mode::Spin)];
    modes.iter().find(|(n, _)| name.is(n)).map(|(_, m)| *m)
}

fn open(document: Doc, _: &mut Writer) -> Answer {
    let o = match Opening::of(document) {
        Some(o) => o,
        None => return wse::error("not an opening"),
    };
    let config = match o.config {
        Some(config) => Value { kind: Kind::Object, doc: config },
        None => return wse::error("not an opening"),
    };
    let mode = match config.find("mode").and_then(Value::text).and_then(mode) {
        Some(mode) => mode,
        None => return wse::error("no such mode"),
    };
    let number = |name| config.find(name).and_then(|v| v.doc.float()).unwrap_or(0.0);
    let book = Book {
        mode,
        above: number("above"),
        quantity: number("quantity"),
        notional: number("notional"),
        limit: number("limit"),
        confidence: number("confidence"),
        ticks: 0,
        orders: 0,
        sum: 0.0,
        position: o.position,
        out: false,
        cancelled: false,
    };
    if BOOKS.open(o.handle, book) {
        YES
    } else {
        wse::error("too many handles")
    }
}

fn ticks(batch: Doc, out: &mut Writer) -> Answer {
    let all = match Ticks::of(&batch) {
        Some(all) => all,
        None => return wse::error("not a batch of ticks"),
    };
    BOOKS.with(all.handle, |book| book.run(&all, Says::to(out))).unwrap_or(wse::error("not open"))
}

impl Book {
    fn run(&mut self, all: &Ticks, mut says: Says) -> Answer {
        for (i, t) in all.iter().enumerate() {
            if says.must_stop() {
                return says.done(i, all.len());
            }
            self.ticks += 1;
            self.sum += t.price;
            match self.mode {
                Mode::Quiet => {}
                Mode::Echo => {
                    says.indicator(i, "price", t.price);
                    says.indicator(i, "sum", self.sum);
                    says.indicator(i, "mean", self.sum / self.ticks as f64);
                }
                Mode::Trade => {
                    if self.trade(i, t.price, &mut says) {
                        return says.done(i + 1, all.len());
                    }
                }
                Mode::Trap => return sink(),
                Mode::Spin => return spin(),
            }
        }
        says.done(all.len(), all.len())
    }

    /// trade says whether it ordered or cancelled.
    fn trade(&mut self, at: usize, price: f64, says: &mut Says) -> bool {
        let mut room = [0; 12];
        if self.out && !self.cancelled && price <= self.above {
            self.cancelled = true;
            says.cancel(at, self.order_id(&mut room));
            return true;
        }
        if self.out || price <= self.above {
            return false;
        }
        let confidence = if self.confidence > 0.0 { Some(self.confidence) } else { None };
        says.signal(at, "S1", confidence, &[("price", price), ("above", self.above)]);
        says.state(at, "entry_evaluation");
        self.out = true;
        self.orders += 1;
        let (id, sell) = (self.order_id(&mut room), self.position > 0.0);
        says.order(at, &Order { id, sell, quantity: self.quantity, notional: self.notional, price: self.limit, reason: "price is \"above\"" });
        true
    }

    /// order_id is o and the order's number.
    fn order_id<'a>(&self, room: &'a mut [u8; 12]) -> &'a [u8] {
        let (mut at, mut rest) = (12, self.orders);
        while rest > 0 {
            at -= 1;
            room[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        room[at - 1] = b'o';
        &room[at - 1..]
    }
}

fn update(document: Doc, out: &mut Writer) -> Answer {
    let u = match Update::of(document) {
        Some(u) => u,
        None => return wse::error("not an update"),
    };
    let told = |book: &mut Book| {
        let mut says = Says::to(out);
        book.position = u.position;
        for e in u.events() {
            match book.mode {
                Mode::Echo => {
                    says.indicator(0, "quantity", e.quantity);
                    says.indicator(0, "price", e.price);
                    says.indicator(0, "fee", e.fee);
                }
                Mode::Trade => {
                    book.out = false;
                    book.cancelled = false;
                    says.state(
                        0,
                        match e.kind {
                            EventKind::Fill => "position_active",
                            EventKind::Reject => "signal_cancelled",
                            _ => "exited",
                        },
                    );
                }
                _ => {}
            }
        }
        if book.mode == Mode::Echo {
            says.indicator(0, "position", u.position);
            says.indicator(0, "equity", u.equity);
        }
        says.done(0, 0)
    };
    BOOKS.with(u.handle, told).unwrap_or(wse::error("not open"))
}
