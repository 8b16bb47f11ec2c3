use core::cell::{Cell, UnsafeCell};

use crate::float::is_number;
use crate::{Answer, Doc, Json, Kind, Text, Writer, NO};

/// The document of `strategy_open`.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Opening<'a> {
    pub handle: u32,
    pub name: Text<'a>,
    pub symbol: Text<'a>,
    pub session_type: Text<'a>,
    /// The object of strategy_config, to be opened.
    pub config: Option<Doc<'a>>,
    pub equity: f64,
    pub position: f64,
    pub indicator_interval_ms: f64,
}

impl<'a> Opening<'a> {
    /// Reads the document; None where it is none.
    pub fn of(document: Doc<'a>) -> Option<Self> {
        let none = Text::default();
        let mut o =
            Opening { handle: 0, name: none, symbol: none, session_type: none, config: None, equity: 0.0, position: 0.0, indicator_interval_ms: 0.0 };
        let mut handle = None;
        let mut json = document.open();
        json.object();
        while json.member() {
            if json.key_is("handle") {
                handle = Some(json.handle()?);
            } else if json.key_is("strategy_name") {
                o.name = json.string()?;
            } else if json.key_is("symbol") {
                o.symbol = json.string()?;
            } else if json.key_is("session_type") {
                o.session_type = json.string()?;
            } else if json.key_is("strategy_config") {
                o.config = Some(json.kind(Kind::Object)?);
            } else if json.key_is("equity") {
                o.equity = json.float()?;
            } else if json.key_is("position") {
                o.position = json.float()?;
            } else if json.key_is("indicator_interval_ms") {
                o.indicator_interval_ms = json.float()?;
            } else {
                json.skip();
            }
        }
        o.handle = handle?;
        if json.close() {
            Some(o)
        } else {
            None
        }
    }
}

/// What became of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum EventKind {
    /// One that a later version of the contract may have.
    Unknown,
    Fill,
    Reject,
    Cancelled,
}

/// One event of an update.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Event<'a> {
    pub kind: EventKind,
    pub id: Text<'a>,
    pub reason: Text<'a>,
    pub quantity: f64,
    pub price: f64,
    pub fee: f64,
}

/// The document of `strategy_update`.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Update<'a> {
    pub handle: u32,
    pub position: f64,
    pub equity: f64,
    events: Option<Doc<'a>>,
}

impl<'a> Update<'a> {
    /// Reads the document; None where it is none.
    pub fn of(document: Doc<'a>) -> Option<Self> {
        let mut u = Update { handle: 0, position: 0.0, equity: 0.0, events: None };
        let mut handle = None;
        let mut json = document.open();
        json.object();
        while json.member() {
            if json.key_is("handle") {
                handle = Some(json.handle()?);
            } else if json.key_is("position") {
                u.position = json.float()?;
            } else if json.key_is("equity") {
                u.equity = json.float()?;
            } else if json.key_is("events") {
                u.events = Some(json.kind(Kind::Array)?);
            } else {
                json.skip();
            }
        }
        u.handle = handle?;
        if json.close() {
            Some(u)
        } else {
            None
        }
    }

    /// The events in their order; it ends before the first that is none.
    pub fn events(&self) -> impl Iterator<Item = Event<'a>> {
        let mut json = self.events.map(|list| {
            let mut json = list.open();
            json.array();
            json
        });
        core::iter::from_fn(move || {
            let json = json.as_mut()?;
            if json.element() {
                Event::read(json)
            } else {
                None
            }
        })
    }
}

impl<'a> Event<'a> {
    fn read(json: &mut Json<'a>) -> Option<Self> {
        let none = Text::default();
        let mut e = Event { kind: EventKind::Unknown, id: none, reason: none, quantity: 0.0, price: 0.0, fee: 0.0 };
        if !json.object() {
            return None;
        }
        while json.member() {
            if json.key_is("kind") {
                let kind = json.string()?;
                e.kind = if kind.is("fill") {
                    EventKind::Fill
                } else if kind.is("reject") {
                    EventKind::Reject
                } else if kind.is("cancelled") {
                    EventKind::Cancelled
                } else {
                    EventKind::Unknown
                };
            } else if json.key_is("id") {
                e.id = json.string()?;
            } else if json.key_is("reason") {
                e.reason = json.string()?;
            } else if json.key_is("quantity") {
                e.quantity = json.float()?;
            } else if json.key_is("price") {
                e.price = json.float()?;
            } else if json.key_is("fee") {
                e.fee = json.float()?;
            } else {
                json.skip();
            }
        }
        if json.sound() {
            Some(e)
        } else {
            None
        }
    }
}

impl<'a> Json<'a> {
    /// Reads the next value as a number; None where it is none.
    pub fn float(&mut self) -> Option<f64> {
        self.skip()?.float()
    }

    fn handle(&mut self) -> Option<u32> {
        u32::try_from(self.skip()?.integer()?).ok()
    }

    fn kind(&mut self, kind: Kind) -> Option<Doc<'a>> {
        if self.peek() == kind {
            self.skip()
        } else {
            None
        }
    }
}

/// What a strategy keeps for each of its handles, at most N: `static SERIES: Handles<Series, 64> = Handles::new();`.
pub struct Handles<T, const N: usize> {
    slots: UnsafeCell<[Option<(u32, T)>; N]>,
    lent: Cell<bool>,
}

// SAFETY: an instance of a module has one thread.
unsafe impl<T, const N: usize> Sync for Handles<T, N> {}

impl<T, const N: usize> Handles<T, N> {
    const NONE: Option<(u32, T)> = None;

    /// None are open.
    pub const fn new() -> Self {
        Handles { slots: UnsafeCell::new([Self::NONE; N]), lent: Cell::new(false) }
    }

    /// Opens a handle, anew where it is open; false where N others are.
    pub fn open(&self, handle: u32, value: T) -> bool {
        self.lend(|slots| {
            let is = |s: &Option<(u32, T)>| s.as_ref().map_or(false, |(h, _)| *h == handle);
            let at = slots.iter().position(is).or_else(|| slots.iter().position(Option::is_none));
            match at.and_then(|i| slots.get_mut(i)) {
                Some(slot) => {
                    *slot = Some((handle, value));
                    true
                }
                None => false,
            }
        })
        .unwrap_or(false)
    }

    /// Lends what is kept for a handle; None where it is not open, and inside of another `with`.
    #[inline(always)]
    pub fn with<R>(&self, handle: u32, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.lend(|slots| slots.iter_mut().flatten().find(|(h, _)| *h == handle).map(|(_, value)| f(value)))?
    }

    #[inline(always)]
    fn lend<R>(&self, f: impl FnOnce(&mut [Option<(u32, T)>; N]) -> R) -> Option<R> {
        if self.lent.replace(true) {
            return None;
        }
        // SAFETY: there is one thread, and `lent` keeps this from being lent twice. A panic traps, and nobody calls again.
        let result = f(unsafe { &mut *self.slots.get() });
        self.lent.set(false);
        Some(result)
    }
}

impl<T, const N: usize> Default for Handles<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// An order: a quantity in base currency or, where that is 0, a notional in quote currency. A price of 0 makes it a market
/// order. Numbers are sent as [`put_float`](Writer::put_float) writes them; round them before where the market does.
#[derive(Clone, Copy, Default)]
#[allow(missing_docs)]
pub struct Order<'a> {
    /// The strategy's own, used once in the handle: letters, digits, _ . -
    pub id: &'a [u8],
    pub sell: bool,
    pub quantity: f64,
    pub notional: f64,
    pub price: f64,
    pub reason: &'a str,
}

// What an answer may hold is bounded by the engine; a strategy stops a little earlier, so that one tick's items always fit.
const ITEMS_MAX: u32 = 3500;
const SAID_MAX: usize = 768 << 10;

/// What a strategy says. In all of these, `at` is the tick's index in the batch; in an update it is 0.
pub struct Says<'w> {
    out: &'w mut Writer,
    items: u32,
}

impl<'w> Says<'w> {
    /// Begins the answer of a hook.
    pub fn to(out: &'w mut Writer) -> Self {
        Says { out, items: 0 }
    }

    fn item(&mut self, kind: &str, at: usize) {
        self.out.put(if self.items == 0 { "{\"out\":[{\"kind\":\"" } else { ",{\"kind\":\"" });
        self.items += 1;
        self.out.put(kind);
        self.out.put("\",\"at\":");
        self.out.put_int(at as i64);
    }

    fn member(&mut self, before: &str, text: &[u8]) {
        self.out.put(before);
        self.out.put_text(text);
        self.out.put_byte(b'"');
    }

    fn number(&mut self, before: &str, v: f64) {
        self.out.put(before);
        self.out.put_float(v);
    }

    /// Reports a value under a name. One that is not ready (NaN) or infinite is left out.
    #[inline(never)]
    pub fn indicator(&mut self, at: usize, name: &str, value: f64) {
        if is_number(value) {
            self.item("indicator", at);
            self.member(",\"name\":\"", name.as_bytes());
            self.number(",\"value\":", value);
            self.out.put_byte(b'}');
        }
    }

    /// Reports a signal with the values that it was made of; those that are no number are left out.
    #[inline(never)]
    pub fn signal(&mut self, at: usize, kind: &str, confidence: Option<f64>, indicators: &[(&str, f64)]) {
        self.item("signal", at);
        self.member(",\"type\":\"", kind.as_bytes());
        if let Some(confidence) = confidence {
            self.number(",\"confidence\":", confidence);
        }
        self.out.put(",\"indicators\":{");
        let mut before = "\"";
        for (name, value) in indicators.iter().filter(|(_, value)| is_number(*value)) {
            self.member(before, name.as_bytes());
            self.number(":", *value);
            before = ",\"";
        }
        self.out.put("}}");
    }

    /// Orders. The strategy must stop at this tick: return [`done`](Says::done) of `at + 1`.
    #[inline(never)]
    pub fn order(&mut self, at: usize, o: &Order) {
        self.item("order", at);
        self.member(",\"id\":\"", o.id);
        self.out.put(if o.sell { ",\"side\":\"sell\"" } else { ",\"side\":\"buy\"" });
        if o.quantity > 0.0 {
            self.number(",\"quantity\":", o.quantity);
        } else {
            self.number(",\"notional\":", o.notional);
        }
        if o.price > 0.0 {
            self.number(",\"order_type\":\"limit\",\"price\":", o.price);
        } else {
            self.out.put(",\"order_type\":\"market\"");
        }
        self.member(",\"reason\":\"", o.reason.as_bytes());
        self.out.put_byte(b'}');
    }

    /// Asks for an order to be cancelled. The strategy must stop at this tick.
    #[inline(never)]
    pub fn cancel(&mut self, at: usize, id: &[u8]) {
        self.item("cancel", at);
        self.member(",\"id\":\"", id);
        self.out.put_byte(b'}');
    }

    /// Tells the state that the handle is in from here on, as "monitoring"; sdk/ABI.md lists them.
    #[inline(never)]
    pub fn state(&mut self, at: usize, state: &str) {
        self.item("state", at);
        self.member(",\"state\":\"", state.as_bytes());
        self.out.put_byte(b'}');
    }

    /// Whether so much has been said that the next tick belongs into another call.
    #[inline(always)]
    pub fn must_stop(&self) -> bool {
        self.items >= ITEMS_MAX || self.items > 0 && self.out.mark() >= SAID_MAX
    }

    /// What the hook returns: the first `consumed` of n ticks are done with. In an update both are 0.
    pub fn done(self, consumed: usize, n: usize) -> Answer {
        if self.items == 0 {
            if consumed == n {
                return NO;
            }
            self.out.put("{\"out\":[");
        }
        self.out.put("],\"consumed\":");
        self.out.put_int(consumed as i64);
        self.out.put_byte(b'}');
        self.out.result()
    }
}
